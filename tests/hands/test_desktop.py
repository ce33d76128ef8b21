"""The person's desktop: asked politely, and never a reason to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from updater.hands.desktop import be_sharp, kept_awake, languages, taste

linux = pytest.mark.skipif(sys.platform != "linux", reason="the programs of a Linux desktop")


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """A program of the desktop that does this."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def gnome(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GTK_THEME", "GDK_SCALE", "UPDATER_PLAIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")


def test_the_languages_are_those_of_the_environment_best_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGUAGE", "de_AT:de")
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    assert languages() == ("de_AT", "de", "en_GB.UTF-8")


@linux
@pytest.mark.usefixtures("gnome")
def test_a_desktop_that_says_dark_and_still_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(
        tmp_path, monkeypatch, "gsettings",
        'case "$3" in color-scheme) echo "\'prefer-dark\'";; enable-animations) echo false;; esac',
    )  # fmt: skip
    likes = taste()
    assert (likes.dark, likes.plain) == (True, True)


@linux
@pytest.mark.usefixtures("gnome")
@pytest.mark.parametrize(
    "script", ["exit 1", "exec sleep 5", "printf '\\377'"], ids=["fails", "hangs", "garbage"]
)
def test_a_desktop_that_does_not_answer_is_light_and_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr("updater.hands.desktop.ANSWERS_WITHIN_S", 0.1)
    installed(tmp_path, monkeypatch, "gsettings", script)
    likes = taste()
    assert (likes.dark, likes.plain, likes.scale) == (False, False, 1.0)


@linux
@pytest.mark.usefixtures("gnome")
def test_plain_and_scale_can_be_said_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "")
    monkeypatch.setenv("UPDATER_PLAIN", "1")
    monkeypatch.setenv("GDK_SCALE", "2")
    likes = taste()
    assert (likes.plain, likes.scale) == (True, 2.0)


@linux
def test_the_computer_is_kept_awake_exactly_as_long_as_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    os.mkfifo(said)
    installed(tmp_path, monkeypatch, "systemd-inhibit", f'echo "$1 $$" > {said}; exec cat')
    with kept_awake():
        what, number = said.read_text().split()
        assert what == "--what=sleep:idle"
        assert Path(f"/proc/{number}").exists()
        assert os.getpgid(int(number)) != os.getpgrp(), "a Ctrl-C in the terminal is not meant for it"
    assert not Path(f"/proc/{number}").exists()


@linux
def test_where_nobody_keeps_computers_awake_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with kept_awake():
        pass
    be_sharp()


@linux
def test_what_stops_the_work_also_lets_the_computer_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen
    installed(tmp_path, monkeypatch, "systemd-inhibit", "exec cat")

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("updater.hands.desktop.subprocess.Popen", popen)
    with pytest.raises(KeyboardInterrupt), kept_awake():
        raise KeyboardInterrupt
    assert [one.poll() is not None for one in started] == [True]
