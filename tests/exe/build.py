"""Builds executables with `build_exe.spec` and looks into them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.tools import need, unavailable

PROJECT = Path(__file__).resolve().parents[2]
BUILD_DEADLINE_S = 180
RUN_DEADLINE_S = 60


@dataclass(frozen=True)
class Executable:
    """A built program. It runs in `home`, far from the sources, and without any variable of ours."""

    path: Path
    home: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, with these environment variables added."""
        self.home.mkdir(exist_ok=True)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", **variables}
        return subprocess.run(
            [str(self.path), *arguments],
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_DEADLINE_S,
        )

    def contents(self) -> frozenset[str]:
        """What the file carries: files with "/" between their parts, modules with "."."""
        from PyInstaller.archive.readers import CArchiveReader

        archive = CArchiveReader(str(self.path))
        modules = archive.open_embedded_archive("PYZ.pyz").toc
        return frozenset(archive.toc) | frozenset(modules)

    def carried_file(self, name: str) -> bytes:
        """One file that a one-file program unpacks."""
        from PyInstaller.archive.readers import CArchiveReader

        return bytes(CArchiveReader(str(self.path)).extract(name))


@dataclass(frozen=True)
class Built:
    """What one run of the spec makes: two programs, each as one file, and both in one folder."""

    window: Executable
    console: Executable
    window_in_folder: Executable
    console_in_folder: Executable

    def programs(self) -> tuple[Executable, ...]:
        return (self.window, self.console, self.window_in_folder, self.console_in_folder)

    def beside(self) -> frozenset[str]:
        """The files that the programs in the folder share."""
        internal = self.console_in_folder.path.parent / "_internal"
        return frozenset(
            path.relative_to(internal).as_posix() for path in internal.rglob("*") if path.is_file()
        )

    def contents(self) -> frozenset[str]:
        """What any of them carries."""
        return self.beside().union(*(one.contents() for one in self.programs()))

    def made(self, name: str) -> str:
        """A text that the build leaves beside the programs."""
        return (self.console.path.parent / name).read_text(encoding="utf-8")


def run_the_spec(folder: Path, vendor: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run PyInstaller; everything that it writes goes into `folder`. Skips the test where it is absent."""
    if find_spec("PyInstaller") is None:
        unavailable("PyInstaller is not installed: pip install -e '.[exe]'")
    if find_spec("_tkinter") is None:
        unavailable("this Python has no tkinter; Debian: apt install python3-tk")
    need("objdump", "strip")
    environment = {key: value for key, value in os.environ.items() if key != "UPDATER_VENDOR"}
    environment |= {
        "PYINSTALLER_CONFIG_DIR": str(folder / "cache"),
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "1700000000",
    }
    if vendor is not None:
        environment["UPDATER_VENDOR"] = str(vendor)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    places = ["--distpath", str(folder / "dist"), "--workpath", str(folder / "work")]
    return subprocess.run(
        [*command, *places, str(PROJECT / "build_exe.spec")],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
    )


def build(folder: Path, window: str, console: str, vendor: Path | None = None) -> Built:
    """Build the two programs, which the spec gives these names for this vendor."""
    done = run_the_spec(folder, vendor)
    assert done.returncode == 0, done.stderr
    dist, home = folder / "dist", folder / "home"
    both = dist / f"{window}-folder"
    return Built(*(Executable(where / name, home) for where in (dist, both) for name in (window, console)))
