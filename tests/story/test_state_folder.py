"""A state folder that cannot be written, is full, is on a stick, or is used by another updater.

Until the first erase a folder that fails stops the update and the device is as it was; afterwards nothing on
this computer's disk may stop it.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import usb.core

from tests.desk import FLASH, Desk, Said, at_the_question, program
from tests.fat import FORBIDDEN, knows_no_links
from tests.story.mounts import Disk, memory_disk
from updater.lab.backend import LabBackend

PLACES = (FLASH, 3_000), (FLASH + 4096, 3_000)
OLD, NEW = program("1.0.0", *PLACES), program("1.1.0", *PLACES)
ROOM = "Free some disk space and check that the folder can be written, then run the command again."


@pytest.fixture
def disk(desk: Desk) -> Iterator[Disk]:
    """64 KiB for the state folder."""
    with memory_disk(desk.state, kib=64) as disk:
        yield disk


@pytest.fixture
def gizmo(desk: Desk) -> Desk:
    """A gizmo that runs 1.0.0."""
    desk.has_small_chips(4)
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD)
    return desk


def is_untouched(desk: Desk, said: Said) -> bool:
    """Exit 13 with its advice, and the device runs what it ran."""
    told = said.exit, said.last["error"], said.last["device_is"], said.last["advice"]
    runs = desk.board()["state"], desk.board()["version"]
    return told == (13, "StorageFailed", "untouched", ROOM) and runs == ("application", "1.0.0")


def when(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, command: int) -> list[int]:
    """`act` once, right before the first download of this DfuSe command (0x21: pointer, 0x41: erase)."""
    done: list[int] = []
    real = LabBackend.ctrl_transfer

    def transfer(backend: LabBackend, handle: Any, *setup: Any) -> int:
        if not done and setup[:3] == (0x21, 1, 0) and setup[4].tobytes()[:1] == bytes([command]):
            done.append(command)
            act()
        return real(backend, handle, *setup)

    monkeypatch.setattr(LabBackend, "ctrl_transfer", transfer)
    return done


# -------------------------------------------------------------------------------------------- read-only, full


def test_a_state_folder_that_is_read_only_leaves_the_device_alone(disk: Disk, gizmo: Desk) -> None:
    disk.read_only()
    said = gizmo.install(gizmo.bundle(NEW))
    assert is_untouched(gizmo, said), said.out
    assert "Read-only file system" in said.last["message"]
    disk.repair()
    assert gizmo.install(gizmo.bundle(NEW)).exit == 0


def test_a_state_folder_that_is_full_leaves_the_device_alone(disk: Disk, gizmo: Desk) -> None:
    disk.fill()
    said = gizmo.install(gizmo.bundle(NEW))
    assert is_untouched(gizmo, said), said.out
    assert "No space left on device" in said.last["message"]
    disk.repair()
    assert gizmo.install(gizmo.bundle(NEW)).exit == 0


@pytest.mark.parametrize("fails", [Disk.read_only, Disk.fill])
def test_a_state_folder_that_fails_during_the_question_leaves_the_device_alone(
    disk: Disk, gizmo: Desk, monkeypatch: pytest.MonkeyPatch, fails: Callable[[Disk], None]
) -> None:
    at_the_question(monkeypatch, lambda: fails(disk))
    said = gizmo.updater("install", gizmo.bundle(NEW), "--json")
    assert is_untouched(gizmo, said), said.out


@pytest.mark.parametrize("fails", [Disk.read_only, Disk.fill])
def test_a_state_folder_that_fails_in_the_bootloader_before_the_first_erase(
    disk: Disk, gizmo: Desk, monkeypatch: pytest.MonkeyPatch, fails: Callable[[Disk], None]
) -> None:
    done = when(monkeypatch, lambda: fails(disk), command=0x21)
    said = gizmo.install(gizmo.bundle(NEW))
    assert done
    assert (said.exit, said.last["error"], said.last["device_is"]) == (13, "StorageFailed", "runs-old")
    assert said.last["advice"] == ROOM
    assert gizmo.holds(OLD)
    assert gizmo.board()["state"] == "application"


@pytest.mark.parametrize("fails", [Disk.read_only, Disk.fill])
def test_a_state_folder_that_fails_after_the_first_erase_does_not_stop_the_update(
    disk: Disk, gizmo: Desk, monkeypatch: pytest.MonkeyPatch, fails: Callable[[Disk], None]
) -> None:
    done = when(monkeypatch, lambda: fails(disk), command=0x41)
    said = gizmo.updater("install", gizmo.bundle(NEW), "--yes")
    assert done
    assert (said.exit, gizmo.holds(NEW)) == (0, True), said.err
    words = " ".join(said.err.split())
    assert "The journal could not be kept" in words
    assert "The update goes on." in words
    if fails is Disk.read_only:  # on the full disk there is room for it where the journal was
        assert "Note: the receipt could not be kept" in words


@pytest.mark.parametrize("fails", [Disk.read_only, Disk.fill])
def test_cut_with_a_state_folder_that_failed_the_same_command_still_finishes(
    disk: Disk, gizmo: Desk, fails: Callable[[Disk], None]
) -> None:
    """What the journal knew before the first erase is enough: the second sector still holds it."""

    def first_erase(block: int, data: bytes) -> bool:
        if block == 0 and data[:1] == b"\x41":
            fails(disk)
        return block == 0 and data[:1] == b"\x41"

    with gizmo.cut(first_erase):
        said = gizmo.install(gizmo.bundle(NEW))
    assert (said.exit, said.last["error"]) == (9, "NotFinished"), said.out
    disk.repair()
    again = gizmo.install(gizmo.bundle(NEW))
    assert (again.exit, again.last["identity"]) == (0, "journal"), again.out
    assert gizmo.holds(NEW)


def test_online_too_a_full_disk_is_said_and_the_device_is_left_alone(disk: Disk, desk: Desk) -> None:
    desk.plug_in()
    disk.fill()
    said = desk.install(desk.published.link("demo-widget"))
    assert is_untouched(desk, said), said.out
    assert "No space left on device" in said.last["message"]
    disk.repair()
    assert desk.install(desk.published.link("demo-widget")).exit == 0


# ------------------------------------------------------------------------------------------------ on a stick


def test_an_online_update_keeps_its_state_on_a_stick(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a cut is remembered there, and no name is one that FAT forbids or takes for another.

    The real thing is in `tests.usb`, whose guest has a kernel with FAT.
    """
    knows_no_links(monkeypatch, desk.state)
    stick = desk.state
    desk.plug_in()
    link = desk.published.link("demo-widget")
    with desk.cut(lambda block, data: block == 0 and data[:1] == b"\x41"):
        assert desk.install(link).exit == 9
    names = [file.relative_to(stick).as_posix() for file in stick.rglob("*")]
    again = desk.install(link)
    assert (again.exit, again.last["identity"]) == (0, "journal"), again.out
    names = sorted({*names, *(file.relative_to(stick).as_posix() for file in stick.rglob("*"))})
    assert {"journal", "site", "receipts"} <= {part for name in names for part in name.split("/")}
    assert not [name for name in names if FORBIDDEN & set(name) or name.endswith((".", " "))]
    assert len({name.casefold() for name in names}) == len(names)


# ---------------------------------------------------------------------------------------------- two updaters


def process(desk: Desk, *arguments: str, state: Path | None = None) -> subprocess.Popen[str]:
    """A real process of its own, with the lab and state folder of this desk."""
    command = [sys.executable, "-m", "updater", "--lab", str(desk.lab), "--state", str(state or desk.state)]
    return subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_while_one_updater_asks_its_question_another_is_told_to_wait(desk: Desk) -> None:
    """Two processes. The second has the same state folder, then one of its own and the same device."""
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD)
    first = process(desk, "install", desk.bundle(NEW))
    assert first.stderr is not None
    said = ""
    while "Update Gizmo now?" not in said:
        said += first.stderr.read(1)
    same = desk.updater("devices", "--json")
    assert (same.exit, same.last["error"]) == (13, "StorageFailed")
    assert same.last["message"] == "another updater is at work with the same state folder"
    assert same.last["advice"].startswith("Wait until it is done, or close its window")
    desk.state = desk.state.parent / "another-state"
    other = desk.updater("install", desk.bundle(NEW), "--yes", "--json")
    assert (other.exit, other.last["error"]) == (13, "StorageFailed"), other.out
    _, errors = first.communicate("yes\n", timeout=60)
    assert first.returncode == 0, errors
    assert desk.holds(NEW)
    assert desk.updater("devices", "--json").exit == 0


@pytest.mark.parametrize("in_rom", [False, True])
def test_a_device_that_another_program_has_open_is_not_touched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, in_rom: bool
) -> None:
    """A second updater with a state folder of its own, on a real bus: an interface is one program's."""
    desk.has_small_chips(4)
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD, in_rom=in_rom)

    def taken(_backend: LabBackend, _device: Any, _interface: int) -> None:
        raise usb.core.USBError("Resource busy", -6, errno.EBUSY)

    with monkeypatch.context() as patch:
        patch.setattr(LabBackend, "claim_interface", taken)
        said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"]) == (8, "CannotOpen"), said.out
    assert said.last["device_is"] == ("untouched" if in_rom else "runs-old")
    assert "Close other programs that talk to the device" in said.last["advice"]
    assert desk.holds(OLD)
    assert desk.install(desk.bundle(NEW)).exit == 0
