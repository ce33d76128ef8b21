"""The demo's executable, run as somebody who downloaded it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.exe.build import RUN_DEADLINE_S, Built, Executable
from updater import __version__

pytestmark = pytest.mark.exe


@pytest.fixture(params=["window", "console", "window_in_folder", "console_in_folder"])
def program(request: pytest.FixtureRequest, demo: Built) -> Executable:
    chosen: Executable = getattr(demo, request.param)
    return chosen


def test_it_says_its_version(program: Executable) -> None:
    said = program.run("--version")
    assert (said.returncode, said.stdout) == (0, f"updater {__version__}\n")


def test_the_demo_updates_both_products(program: Executable) -> None:
    said = program.run("demo", "--fast")
    assert said.returncode == 0, said.stderr
    assert "Done. Demo Widget runs version 1.1.0." in said.stdout + said.stderr
    assert "Done. Demo Gadget runs version 1.1.0." in said.stdout + said.stderr


def test_it_looks_for_devices_with_the_libusb_that_it_carries(program: Executable) -> None:
    said = program.run("devices", LD_DEBUG="files")
    assert said.returncode in (0, 3), said.stderr  # 0: a device happens to be plugged into this computer
    loaded = [path for path in re.findall(r"calling init: (\S+)", said.stderr) if "libusb" in path]
    assert len(loaded) == 1, loaded
    assert loaded[0].endswith("/libusb_package/libusb-1.0.so")
    assert loaded[0].startswith(("/tmp/_MEI", str(program.path.parent)))


def test_no_environment_variable_makes_it_another_vendors_updater(program: Executable) -> None:
    said = program.run("link", "demo-widget", UPDATER_VENDOR="/nowhere")
    assert said.returncode == 0, said.stderr
    assert "demo-update://v1/demo-widget/stable/latest" in said.stdout


def test_it_leaves_nothing_behind_in_the_temporary_folder(demo: Built) -> None:
    temporary = demo.console.home / "temporary"
    temporary.mkdir(parents=True)
    said = demo.console.run("demo", "--fast", TMPDIR=str(temporary))
    assert said.returncode == 0, said.stderr
    assert list(temporary.iterdir()) == []


def test_without_a_console_it_is_no_different(program: Executable) -> None:
    """As a double-click starts a windowed program on Windows: no standard streams at all."""
    closed = ["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', str(program.path)]
    for arguments, status in ((["link", "demo-widget"], 0), (["link", "no-such-product"], 2)):
        done = subprocess.run(
            [*closed, *arguments], env={"HOME": str(program.home)}, timeout=RUN_DEADLINE_S, check=False
        )
        assert done.returncode == status


def test_a_fault_of_its_own_is_kept_in_a_file_and_no_traceback_is_shown(demo: Built, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(demo.console_in_folder.path.parent, folder)
    (folder / "_internal" / "updater" / "demo" / "vendor.toml").write_bytes(b"\xff")
    for name in (demo.console_in_folder.path.name, demo.window_in_folder.path.name):
        broken = Executable(folder / name, tmp_path / "home")
        said = broken.run("devices", UPDATER_STATE=str(tmp_path / "home" / name))
        assert said.returncode == 70
        assert "Traceback" not in said.stdout + said.stderr
        (kept,) = (tmp_path / "home" / name / "crashes").iterdir()
        assert "UnicodeDecodeError" in kept.read_text()
        assert str(tmp_path / "home") not in kept.read_text()
        assert kept.name in said.stderr
