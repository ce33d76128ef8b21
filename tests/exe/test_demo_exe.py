"""The demo's executable, run as somebody who downloaded it."""

from __future__ import annotations

import re

import pytest

from tests.exe.build import Built, Executable
from updater import __version__

pytestmark = pytest.mark.exe


@pytest.fixture(params=["one_file", "in_folder"])
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
    temporary = demo.one_file.home / "temporary"
    temporary.mkdir(parents=True)
    said = demo.one_file.run("demo", "--fast", TMPDIR=str(temporary))
    assert said.returncode == 0, said.stderr
    assert list(temporary.iterdir()) == []
