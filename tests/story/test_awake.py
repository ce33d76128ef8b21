"""The computer does not fall asleep while a device is written, whichever command does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.desk import GIZMO, Desk, program
from tests.story.otp_desk import F746, plug_in
from updater.doors.console import awake
from updater.lab.backend import LabBackend
from updater.story.job import Hands

NEW = program("1.1.0")


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in order: the computer is kept awake, blocks are written, it may sleep again."""
    seen: list[str] = []

    @contextmanager
    def kept(_hands: Hands) -> Iterator[None]:
        seen.append("awake")
        yield
        seen.append("may sleep")

    def transfer(backend: LabBackend, handle: Any, *setup: Any) -> int:
        if setup[:2] == (0x21, 1) and setup[2] >= 2:  # DFU 1.1: a block comes down
            seen.append("writes")
        return real(backend, handle, *setup)

    real = LabBackend.ctrl_transfer
    monkeypatch.setattr(LabBackend, "ctrl_transfer", transfer)
    for room in ("console", "bench.console", "otp.console", "memory.writing"):
        monkeypatch.setattr(f"updater.doors.{room}.awake", kept)
    return seen


@pytest.mark.parametrize(
    "command", ["install NEW", "install NEW --all", "station NEW --boards 1", "otp write --hex 0:01", "write"]
)
def test_a_device_is_written_only_while_the_computer_is_kept_awake(
    desk: Desk, states: list[str], command: str
) -> None:
    plug_in(desk)
    if command == "write":
        vendor = desk.state.parent / "own-vendor" / "vendor.toml"
        vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
        file = desk.state.parent / "tables.bin"
        file.write_bytes(bytes(range(256)))
        command = f"write {file} --at 0x08008000"
    words = [desk.bundle(NEW) if word == "NEW" else word for word in command.split()]
    said = desk.updater(*words, "--yes", stdin=f"{GIZMO}\n")
    assert said.exit == 0, said.err
    assert (states[0], states[-1]) == ("awake", "may sleep")
    assert set(states[1:-1]) == {"writes"}


def test_only_real_devices_keep_it_awake(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    @contextmanager
    def kept_awake() -> Iterator[None]:
        asked.append("awake")
        yield

    monkeypatch.setattr("updater.doors.console.kept_awake", kept_awake)
    plug_in(desk, F746)
    for virtual in (True, False):
        with desk.hands(virtual=virtual) as hands, awake(hands):
            assert bool(asked) is not virtual
