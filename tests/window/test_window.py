"""The real window on a virtual screen: every state, by clicks and keys, down to the device's flash."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tkinter import ttk

import pytest

from tests.desk import Desk
from tests.window.shots import SCENARIOS, Camera
from tests.window.stage import Stage, patiently
from updater.doors.window import first_state
from updater.doors.window.app import App, WindowFailed
from updater.doors.window.speech import speaker
from updater.doors.window.state import Action, Scene, Wanted, WantedKind
from updater.hands.desktop import Taste
from updater.hands.host import load_home
from updater.lab.shelf import remove_board
from updater.words.events import Step

pytestmark = [pytest.mark.window, pytest.mark.usefixtures("display")]
PATIENCE_S = 30


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_state_comes_about_and_fits_into_the_window(name: str, desk: Desk, tmp_path: Path) -> None:
    SCENARIOS[name](desk, Camera(tmp_path / "pictures"))
    pictures = list((tmp_path / "pictures").glob("*.png"))
    assert pictures
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in pictures)


@pytest.mark.parametrize("name", ["nothing", "pick", "update", "link", "older", "cut", "failed"])
def test_the_longer_words_of_german_fit_too(name: str, desk: Desk, tmp_path: Path) -> None:
    SCENARIOS[name](desk, Camera(tmp_path / "pictures", "-de", language="de", dark=True))


def test_everything_can_be_reached_with_tab_and_pressed_with_enter(desk: Desk) -> None:
    desk.plug_in()
    with Stage(desk) as stage:
        stage.start().until(Scene.OFFERED)
        reached = []
        for _ in range(6):
            focus = stage.app.root.focus_get()
            reached.append(str(focus.cget("text")) if isinstance(focus, ttk.Button) else "")
            stage.key("Tab")
        assert {"Update now", "Not now", "Other update …", "▸ Details"} <= set(reached)
        while stage.app.root.focus_get() is not stage.app.view._buttons[Action.OTHER]:
            stage.key("Tab")
        stage.key("Return")
        assert stage.scene is Scene.OTHER


def test_choosing_needs_no_mouse(desk: Desk) -> None:
    desk.plug_in("demo-widget")
    desk.plug_in("demo-gadget", name="board2")
    with Stage(desk) as stage:
        stage.start().until(Scene.SEVERAL)
        stage.key("Down", "space")
        assert stage.app.state.picked == "1-2"
        stage.key("Return")
        stage.until(Scene.OFFERED)
        assert stage.app.state.offer is not None
        assert stage.app.state.offer.title == "Demo Gadget"


def test_closing_while_it_works_asks_and_the_work_goes_on(desk: Desk) -> None:
    desk.plug_in()
    with Stage(desk) as stage:
        stage.start().until(Scene.OFFERED)
        stage.hold_at(Step.WRITE)
        stage.key("Return")
        stage.until(stage.reached.is_set)
        stage.app.root.tk.call(*stage.app.root.tk.splitlist(stage.app.root.protocol("WM_DELETE_WINDOW")))
        assert stage.app.state.asks_to_stop
        stage.key("Escape")
        assert not stage.app.state.asks_to_stop
        stage.go_on()
        stage.until(Scene.DONE)
    assert desk.holds("demo-widget-1.1.0")


def test_a_typed_confirmation_is_armed_only_by_the_right_words(desk: Desk) -> None:
    desk.plug_in(runs="1.1.0")
    wanted = Wanted(WantedKind.FILE, str(desk.published.bundle_path("demo-widget-1.0.0")))
    with Stage(desk, wanted) as stage:
        stage.start().until(Scene.OFFERED)
        stage.key("Return")
        stage.type("1.0.")
        stage.key("Return")
        assert stage.scene is Scene.TYPED
        assert stage.app.view._buttons[Action.TYPED].instate(["disabled"])
        stage.type("0")
        stage.key("Return")
        stage.until(Scene.DONE)
    assert desk.holds("demo-widget-1.0.0")


def test_a_plain_window_has_nothing_that_moves(desk: Desk) -> None:
    with Stage(desk, plain=True) as stage:
        assert stage.scene is Scene.LOOKING
        assert stage.app.view._bar is None
    with Stage(desk) as stage:
        assert stage.app.view._bar is not None


def test_a_mistake_in_the_window_ends_it_and_comes_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(_page: object) -> None:
        raise OSError(28, "a fault")

    app = App(desk.hands, first_state(Wanted(), load_home().vendor), speak=speaker(["en"]), taste=Taste())
    monkeypatch.setattr(app.view, "show", faulty)
    with pytest.raises(WindowFailed, match="a fault"):
        app.run(desk.state)
    assert not app.worker._thread.is_alive()


# ---------------------------------------------------------------------------------------- as its own process


@contextmanager
def program(desk: Desk, *arguments: str, lab: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """`updater`, as a customer starts it."""
    folders = ["--lab", str(desk.lab), "--state", str(desk.state)] if lab else []
    environment = {
        **os.environ,
        "UPDATER_LAB": str(desk.lab),
        "UPDATER_STATE": str(desk.state),
        "LANGUAGE": "en",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "updater", *folders, *arguments], env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def window(title: str) -> str:
    """The number of the window whose title begins so, once it is there; it has the keyboard then."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        search = ["xdotool", "search", "--onlyvisible", "--name", f"^{title}"]
        found = subprocess.run(search, capture_output=True, text=True, timeout=PATIENCE_S).stdout.split()
        if found:
            subprocess.run(["xdotool", "windowfocus", "--sync", found[0]], check=True, timeout=PATIENCE_S)
            return found[0]
        time.sleep(0.05)
    pytest.fail(f"no window {title!r}")


def press(*keys: str) -> None:
    subprocess.run(["xdotool", "key", "--delay", "50", *keys], check=True, timeout=PATIENCE_S)


def test_a_customer_updates_with_two_keys(desk: Desk) -> None:
    desk.plug_in()
    with program(desk) as process:
        window("An update for your Demo Widget is ready")
        press("Return")
        window("Done. Your Demo Widget has version 1.1.0")
        press("Return")
        assert process.wait(PATIENCE_S) == 0
    assert desk.holds("demo-widget-1.1.0")


def test_a_link_that_is_answered_with_enter_changes_nothing(desk: Desk) -> None:
    desk.plug_in()
    with program(desk, "--link", desk.published.link("demo-widget"), lab=False) as process:
        window("A link asks you to update your Demo Widget")
        press("Return")
        assert process.wait(PATIENCE_S) == 12
    assert desk.holds("demo-widget-1.0.0")


def test_a_file_dropped_on_the_program_is_offered(desk: Desk) -> None:
    desk.plug_in()
    with program(desk, str(desk.published.bundle_path("demo-widget-1.1.0")), lab=False) as process:
        window("An update for your Demo Widget is ready")
        press("Escape")
        assert process.wait(PATIENCE_S) == 12


def test_a_device_that_is_plugged_in_later_is_found_by_itself(desk: Desk) -> None:
    desk.plug_in()
    desk.updater("lab", "unplug", "board1")
    with program(desk) as process:
        window("No device found")
        patiently(desk.replug)
        window("An update for your Demo Widget is ready")
        press("Escape")
        assert process.wait(PATIENCE_S) == 12


def test_a_second_start_hands_its_link_to_the_window_that_is_open(desk: Desk) -> None:
    desk.plug_in(runs="1.1.0")
    with program(desk, lab=False) as process:
        window("Your Demo Widget is up to date")
        patiently(lambda: remove_board(desk.lab, "board1"))
        window("No device found")
        with program(desk, "--link", desk.published.link("demo-gadget"), lab=False) as second:
            assert second.wait(PATIENCE_S) == 0
        patiently(lambda: desk.plug_in("demo-gadget"))
        window("A link asks you to update your Demo Gadget")
        press("Return")
        assert process.wait(PATIENCE_S) == 12
    assert desk.holds("demo-gadget-1.0.0")


def test_whoever_clicked_a_link_that_is_none_reads_why_in_a_window(desk: Desk) -> None:
    with program(desk, "--link", "demo-update://v1/../x", lab=False) as process:
        window("This cannot be opened")
        press("Return")
        assert process.wait(PATIENCE_S) == 2
