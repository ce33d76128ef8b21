"""The windowed program: missing streams, what nobody could read, and the outermost guard."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from updater.doors.cli import run
from updater.doors.windowed import run_windowed
from updater.hands.host import Home


class Screen:
    """The boxes that a person was shown."""

    def __init__(self) -> None:
        self.boxes: list[str] = []

    def show(self, _title: str, text: str) -> None:
        self.boxes.append(text)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Screen:
    monkeypatch.setenv("UPDATER_STATE", str(tmp_path / "state"))
    return Screen()


@pytest.fixture
def no_streams(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes the standard streams away; to be called in the test, because pytest puts its own there before."""

    def take_away() -> None:
        for name in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(sys, name, None)

    return take_away


def test_what_nobody_could_read_is_shown_in_a_box(screen: Screen, no_streams: Callable[[], None]) -> None:
    no_streams()
    assert run_windowed(run, ["link", "demo-widget"], show=screen.show) == 0
    no_streams()
    assert run_windowed(run, ["link", "no-such-product"], show=screen.show) == 2
    link, error = screen.boxes
    assert "demo-update://v1/demo-widget/stable/latest" in link
    assert error.startswith("Error: There is no product 'no-such-product'")
    assert "What to do: " in error


def test_the_help_ends_well_without_a_console(screen: Screen, no_streams: Callable[[], None]) -> None:
    no_streams()
    assert run_windowed(run, ["--help"], show=screen.show) == 0
    assert "Update the firmware of your device over USB." in screen.boxes[0]


def test_with_a_console_there_is_no_box(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_windowed(run, ["link", "demo-widget"], show=screen.show) == 0
    assert screen.boxes == []
    assert "demo-update://" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [ZeroDivisionError("a fault"), KeyboardInterrupt()])
def test_a_fault_becomes_a_friendly_box_and_a_file_without_the_persons_name(
    screen: Screen,
    no_streams: Callable[[], None],
    fault: BaseException,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_streams()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    def faulty(_arguments: Sequence[str]) -> int:
        raise fault from OSError(f"{tmp_path}/secret.txt")

    assert run_windowed(faulty, ["devices"], show=screen.show) == 70
    (file,) = (tmp_path / "state" / "crashes").iterdir()
    (box,) = screen.boxes
    assert str(file) in box
    assert "Traceback" not in box
    kept = file.read_text("utf-8")
    assert type(fault).__name__ in kept
    assert "~/secret.txt" in kept
    assert str(tmp_path) not in kept


def test_a_box_that_cannot_be_shown_is_no_second_fault(
    screen: Screen, no_streams: Callable[[], None]
) -> None:
    no_streams()

    def broken(_title: str, _text: str) -> None:
        raise RuntimeError("no screen")

    assert run_windowed(run, ["link", "demo-widget"], show=broken) == 70


def test_a_full_disk_does_not_hide_the_first_fault(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UPDATER_STATE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))

    def faulty(_arguments: Sequence[str]) -> int:
        raise ZeroDivisionError

    assert run_windowed(faulty, [], show=screen.show) == 70
    assert "fault of its own" in screen.boxes[0]
    assert "is written in" not in screen.boxes[0]


def test_a_fault_of_a_command_comes_out_to_the_box(
    screen: Screen, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where there are streams: nobody reads those of a program that was double-clicked."""

    def faulty() -> Home:
        raise OSError(28, "a fault")

    monkeypatch.setattr("updater.hands.host.load_home", faulty)
    assert run_windowed(partial(run, guarded=False), ["link", "demo-widget"], show=screen.show) == 70
    (file,) = (tmp_path / "state" / "crashes").iterdir()
    assert str(file) in screen.boxes[0]
    assert "Traceback" not in "".join((*screen.boxes, *capsys.readouterr()))


def test_a_helpers_thread_that_fails_leaves_a_file_and_no_words(
    screen: Screen, no_streams: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    no_streams()

    def helped(_arguments: Sequence[str]) -> int:
        helper = threading.Thread(target=lambda: 1 / 0)
        helper.start()
        helper.join()
        return 0

    assert run_windowed(helped, [], show=screen.show) == 0
    assert screen.boxes == []
    (file,) = (tmp_path / "state" / "crashes").iterdir()
    assert "ZeroDivisionError" in file.read_text("utf-8")
