"""The windowed program on a virtual screen: started, pressed with the mouse, given a link or a file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree
from threading import Thread

import pytest

from tests.exe.build import PROJECT, RUN_DEADLINE_S, Built, Executable
from tests.window.screen import screen
from updater.heads.vendor import parse_vendor

pytestmark = pytest.mark.exe

DEMO = PROJECT / "updater" / "demo"
BUNDLE = DEMO / "site" / "files" / "demo-widget-1.1.0.fwb"
LINK = "demo-update://v1/demo-widget/stable/latest"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Desktop:
    """A person's home, a virtual device, and what is on the screen."""

    def __init__(self, demo: Built, home: Path, display: str) -> None:
        self.demo, self.home, self.display = demo, home, display
        self.lab, self.state = home / "lab", home / "state"
        self.lab.mkdir(parents=True)  # with nothing in it

    def plug_in(self) -> None:
        """A demo widget with version 1.0.0; its flash is in the lab's folder."""
        old = str(DEMO / "site" / "files" / "demo-widget-1.0.0.fwb")
        add = ("lab", "add", "stm32h743", "--name", "board1", "--product", "demo-widget", "--firmware", old)
        said = self.demo.console_in_folder.run("--lab", str(self.lab), *add)
        assert said.returncode == 0, said.stderr

    def version(self) -> str:
        """What the device says that it runs."""
        said = self.demo.console_in_folder.run(
            "--lab", str(self.lab), "devices", UPDATER_STATE=str(self.state)
        )
        return said.stdout

    @contextmanager
    def started(
        self, program: Executable, *arguments: str, lab: bool = True, **variables: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The program, as a file manager starts it: no console, and nobody who reads its streams."""
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "DISPLAY": self.display,
            "UPDATER_STATE": str(self.state),
            **({"UPDATER_LAB": str(self.lab)} if lab else {}),
            **variables,
        }
        with subprocess.Popen(
            [str(program.path), *arguments],
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()  # a one-file program's starter passes it on

    def window(self, title: str) -> str:
        """The number of the window whose title begins so, once it is there; it has the keyboard then."""
        end = time.monotonic() + RUN_DEADLINE_S
        while time.monotonic() < end:
            found = self._xdotool("search", "--onlyvisible", "--name", f"^{title}").split()
            if found:
                self._xdotool("windowfocus", "--sync", found[0])
                return found[0]
            time.sleep(0.05)
        there = self._xdotool("search", "--onlyvisible", "--name", ".", "getwindowname", "%@")
        pytest.fail(f"no window {title!r}, but {there.splitlines()}")

    def press(self, *keys: str) -> None:
        self._xdotool("key", "--delay", "50", *keys)

    def double_click(self, window: str, right: int, bottom: int) -> None:
        """The mouse, so many pixels from the window's lower right corner."""
        said = self._xdotool("getwindowgeometry", "--shell", window)
        size = dict(line.split("=") for line in said.splitlines())
        x, y = int(size["WIDTH"]) - right, int(size["HEIGHT"]) - bottom
        self._xdotool("mousemove", "--window", window, str(x), str(y))
        self._xdotool("click", "--repeat", "2", "--delay", "100", "1")

    def _xdotool(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words],
            env={**os.environ, "DISPLAY": self.display},
            capture_output=True,
            text=True,
            timeout=RUN_DEADLINE_S,
        )
        return done.stdout


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as name:
        yield name


@pytest.fixture
def desktop(demo: Built, tmp_path: Path, display: str) -> Desktop:
    return Desktop(demo, tmp_path / "home", display)


@contextmanager
def demo_site() -> Iterator[None]:
    """The demo vendor's update site, where the demo's vendor.toml says that it is."""
    vendor = parse_vendor((DEMO / "vendor.toml").read_text("utf-8"), allow_loopback_http=True)
    port = int(vendor.repository.rstrip("/").rsplit(":", 1)[1])
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=DEMO / "site")) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield
        server.shutdown()


def test_a_double_click_on_the_button_updates_the_device(desktop: Desktop, demo: Built) -> None:
    desktop.plug_in()
    assert "1.0.0" in desktop.version()
    folders = ("--lab", str(desktop.lab), "--state", str(desktop.state))
    with demo_site(), desktop.started(demo.window, *folders, lab=False) as process:
        offered = desktop.window("An update for your Demo Widget is ready")
        desktop.double_click(offered, 60, 30)
        desktop.window("Done. Your Demo Widget has version 1.1.0")
        desktop.press("Return")
        assert process.wait(RUN_DEADLINE_S) == 0
    assert "1.1.0" in desktop.version()


def test_a_file_that_is_dropped_on_it_is_offered_in_german(desktop: Desktop, demo: Built) -> None:
    desktop.plug_in()
    with desktop.started(demo.window_in_folder, str(BUNDLE), LANGUAGE="de") as process:
        desktop.window("Demo Widget: Eine Aktualisierung ist bereit")
        desktop.press("Return")
        desktop.window("Fertig. Demo Widget hat jetzt Version 1.1.0")
        desktop.press("Return")
        assert process.wait(RUN_DEADLINE_S) == 0
    assert "1.1.0" in desktop.version()


def test_a_link_is_only_a_question_and_a_second_one_comes_into_the_same_window(
    desktop: Desktop, demo: Built
) -> None:
    with desktop.started(demo.window) as process:
        desktop.window("No device found")
        with desktop.started(demo.window, "--link", LINK) as second:
            assert second.wait(RUN_DEADLINE_S) == 0
        with demo_site():  # before there is a device to look for an update for
            desktop.plug_in()
            desktop.window("A link asks you to update your Demo Widget")
        desktop.press("Return")
        assert process.wait(RUN_DEADLINE_S) == 12
    assert "1.0.0" in desktop.version()


def test_a_fault_of_its_own_ends_in_a_friendly_box_and_a_file(
    desktop: Desktop, demo: Built, tmp_path: Path
) -> None:
    """The one who works behind the window falls over a part that is broken."""
    copytree(demo.window_in_folder.path.parent, tmp_path / "folder")
    broken = Executable(tmp_path / "folder" / demo.window_in_folder.path.name, desktop.home)
    (tmp_path / "folder" / "_internal" / "updater" / "heads" / "silicon" / "h7.toml").write_bytes(b"\xff")
    with desktop.started(broken) as process:
        desktop.window("Updater$")
        desktop.press("Return")
        assert process.wait(RUN_DEADLINE_S) == 70
    (kept,) = (desktop.state / "crashes").iterdir()
    assert "UnicodeDecodeError" in kept.read_text("utf-8")
