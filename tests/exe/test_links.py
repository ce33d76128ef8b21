"""A product's executable and the desktop's links: registered, opened with xdg-open, unregistered."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exe.build import PROJECT, Built
from tests.tools import need

pytestmark = pytest.mark.exe

LINK = "demo-update://v1/demo-widget/stable/latest"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder that is not among the temporary files, where no program may be registered."""
    need("xdg-mime", "xdg-open")
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    lasting = next(one for one in (build, Path.home(), Path("/opt")) if not one.is_relative_to("/tmp"))
    folder = Path(tempfile.mkdtemp(dir=lasting, prefix="home-"))
    terminal = folder / "terminal"  # called as `terminal -e PROGRAM ARGUMENTS`, it shows what they say here
    terminal.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    terminal.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(home: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """One command of a person who sits before a desktop without a special tool."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "DISPLAY": ":99"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=home,
        env={**environment, "BROWSER": "false", "TERMINAL": str(home / "terminal")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_download_registers_a_copy_of_itself_which_then_opens_links(product: Built, home: Path) -> None:
    download = home / "Downloads" / "Updater_0505 (1)"
    download.parent.mkdir()
    shutil.copy(product.window.path, download)
    said = run(home, download, "register", "--yes")
    assert said.returncode == 0, said.stderr
    copy = home / ".local/share/demo-update/Updater"
    assert str(copy) in said.stdout
    download.unlink()

    opened = run(home, "xdg-open", LINK)
    assert "The link asks for the newest version (stable)" in opened.stderr
    hostile = run(home, "xdg-open", f"{LINK} --yes")
    assert "this is not an update link" in hostile.stderr.lower()

    said = run(home, copy, "unregister")
    assert said.returncode == 0, said.stderr
    assert not copy.exists()
    assert "The link asks" not in run(home, "xdg-open", LINK).stderr
    assert [one.name for one in home.rglob("*.desktop")] == []


def test_its_own_name_says_what_to_install(product: Built, home: Path) -> None:
    program = home / "Updater_0505 (1)"
    shutil.copy(product.window.path, program)
    assert "The link asks for the newest version (stable)" in run(home, program).stderr


def test_a_folder_among_temporary_files_is_not_registered(product: Built) -> None:
    said = product.window_in_folder.run("register", "--yes")
    assert said.returncode == 2
    assert "Move its whole folder" in said.stderr
