"""What `doctor --fix` does: one command of the system with more rights, and whatever it answers in words."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.heads.test_udev import vendor
from updater.hands import windrivers
from updater.hands.host import Home
from updater.hands.mending import install_driver, install_rules
from updater.heads.udev import rules_text
from updater.words.errors import Cancelled, CannotOpen

WITH_DRIVER = Home(vendor(), b"", driver=(("stm32.cat", b"signature"), ("stm32.inf", b"[Version]")))


def program(folder: Path, name: str, text: str) -> str:
    """A small program of this name, first on the PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pkexec that asks nobody, and a udevadm that notes what it was told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "pkexec", 'exec "$@"')
    program(folder, "udevadm", f'echo "$@" >> {tmp_path}/told')
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_rules_are_written_and_udev_is_told(tools: Path, tmp_path: Path) -> None:
    path = tmp_path / "70-your-update.rules"

    assert install_rules(vendor(), path=str(path)) == str(path)

    assert path.read_text() == rules_text(vendor())
    assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "told").read_text() == "control --reload-rules\n"


def test_a_question_for_the_password_that_is_not_answered_is_a_no(tools: Path, tmp_path: Path) -> None:
    program(tools, "pkexec", "exit 126")

    with pytest.raises(Cancelled):
        install_rules(vendor(), path=str(tmp_path / "rules"))

    assert not (tmp_path / "rules").exists()


@pytest.mark.parametrize("pkexec", ["exit 127", None])
def test_without_the_rights_the_steps_by_hand_are_said(
    tools: Path, tmp_path: Path, pkexec: str | None
) -> None:
    if pkexec:
        program(tools, "pkexec", pkexec)

    with pytest.raises(CannotOpen) as caught:
        install_rules(vendor(), path=str(tmp_path / "rules"), pkexec=("pkexec" if pkexec else "no-pkexec",))

    assert rules_text(vendor()).splitlines()[0] in caught.value.advice
    assert "udevadm control --reload-rules" in caught.value.advice


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (windrivers.INSTALLED, "The driver is installed. Run"),
        (windrivers.NEEDS_RESTART, "Restart Windows"),
        (windrivers.NOTHING_BETTER, "Windows keeps the driver package"),
    ],
)
def test_what_pnputil_answers_is_said_in_words(
    answer: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft: "PnPUtil return values"."""
    asked: list[Path] = []

    def install(inf: Path) -> int:
        asked.append(inf)
        return answer

    monkeypatch.setattr(windrivers, "install", install)

    assert said in install_driver(WITH_DRIVER, tmp_path / "driver")

    assert asked == [tmp_path / "driver" / "stm32.inf"]
    assert asked[0].read_bytes() == b"[Version]"
    assert (tmp_path / "driver" / "stm32.cat").read_bytes() == b"signature"


def test_a_no_to_windows_question_is_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windrivers, "install", lambda _inf: windrivers.SAID_NO)

    with pytest.raises(Cancelled):
        install_driver(WITH_DRIVER, tmp_path)


def test_another_answer_of_pnputil_leads_to_who_looks_after_the_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windrivers, "install", lambda _inf: 5)

    with pytest.raises(CannotOpen, match="pnputil ended with 5"):
        install_driver(WITH_DRIVER, tmp_path)


def test_an_updater_without_a_driver_says_so_and_only_windows_installs_one(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="brings no driver"):
        install_driver(Home(vendor(), b""), tmp_path)
    if os.name != "nt":
        with pytest.raises(CannotOpen, match="a driver for Windows"):
            install_driver(WITH_DRIVER, tmp_path)
