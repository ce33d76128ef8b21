"""Two products on the same silicon and one USB port: whatever came before, the wrong board is never written.

Both have an STM32H743 rev V, whose ROM shows one and the same serial number for all of its kind. Ours is cut
off in each phase of its update; the other is put on its port, in its bootloader; then ours comes back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.desk import FLASH, Desk, Program, Said, program
from updater.words.facts import Segment

CHIP, OTHER = "stm32h743", "gimcrack"
SECTOR = 4096
"""128 KiB, divided by 32."""
SECOND, BANK2 = FLASH + SECTOR, FLASH + 8 * SECTOR
GRANULE = 32
"""The program unit of an H743 (RM0433): the commit granule is one."""
PLACES = (FLASH, SECTOR), (SECOND, 3_000), (BANK2, 2_000)
OLD, NEW = program("1.0.0", *PLACES), program("1.1.0", *PLACES)
ITS_OWN = program("1.0.0", *PLACES, product=OTHER)

Download = Callable[[int, bytes], bool]


def erases(address: int) -> Download:
    return lambda block, data: block == 0 and data == b"\x41" + address.to_bytes(4, "little")


def body_write(block: int, data: bytes) -> bool:
    return block >= 2 and len(data) > GRANULE


def read_back() -> Download:
    """The setting of the address pointer that follows on the writing of a sector."""
    written: list[int] = []

    def download(block: int, data: bytes) -> bool:
        if body_write(block, data):
            written.append(block)
        return bool(written) and block == 0 and data[:1] == b"\x21"

    return download


PHASES: dict[str, tuple[Download, int]] = {
    "read": (lambda block, data: block == 0 and data[:1] == b"\x21", 8),
    "erase the first sector": (erases(FLASH), 9),
    "erase another sector": (erases(SECOND), 9),
    "erase in the second bank": (erases(BANK2), 9),
    "write": (body_write, 9),
    "verify": (read_back(), 9),
    "commit": (lambda block, data: block >= 2 and len(data) == GRANULE, 9),
    "leave": (lambda _block, data: not data, 10),
}
"""The download at which the cable is pulled, and the exit status that says so."""


def sharing_a_library() -> Program:
    """The other's own program, but the last part of it is the very one that ours has."""
    first, second, _ = ITS_OWN.segments
    return replace(ITS_OWN, segments=(first, second, OLD.segments[2]))


def half_erased() -> Program:
    """The other, whose own update was cut behind the first erase: no vectors, no header."""
    _, *others = ITS_OWN.segments
    return replace(ITS_OWN, segments=(Segment(address=FLASH, data=b"\xff" * SECTOR), *others))


@dataclass(frozen=True)
class Wrong:
    """What the other board holds, and what is said of it."""

    holds: Program | None
    exit: int
    error: str
    advice: str


BOARDS = {
    "with its own program": Wrong(ITS_OWN, 4, "WrongDevice", "Check that the right device is connected"),
    "with a library of ours": Wrong(sharing_a_library(), 4, "WrongDevice", "Check that the right device"),
    "half erased": Wrong(half_erased(), 3, "UnknownDevice", "Read the product name on its label"),
    "blank": Wrong(None, 3, "UnknownDevice", "one of: gizmo, gimcrack"),
}


class Port:
    """One port of a desk, our board on it, and the command."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.aside = desk, desk.state.parent / "aside"
        desk.has_small_chips()
        desk.sells(CHIP, others=(OTHER,), flash_kib=64)
        desk.plug_in_gizmo(CHIP, OLD, revision="V")
        self.update = desk.bundle(NEW)

    def run(self) -> Said:
        return self.desk.install(self.update)

    def try_wrong(self, wrong: Wrong) -> tuple[Said, bool]:
        """The other board in place of ours: what is said, and whether any byte of it has changed."""
        shutil.move(self.desk.lab / "board1", self.aside)
        self.desk.plug_in_gizmo(
            CHIP, wrong.holds, name="board9", product=OTHER, port="1-1", in_rom=True, revision="V"
        )
        before = self.desk.flash("board9")
        said = self.run()
        changed = self.desk.flash("board9") != before
        self.desk.updater("lab", "remove", "board9")
        shutil.move(self.aside, self.desk.lab / "board1")
        return said, changed

    def check_wrong_boards(self) -> None:
        for name, wrong in BOARDS.items():
            said, changed = self.try_wrong(wrong)
            assert not changed, name
            assert (said.exit, said.last["error"]) == (wrong.exit, wrong.error), (name, said.out)
            assert wrong.advice in said.last["advice"], name
            assert said.last["device_is"] == "untouched", name

    def check_ours_is_finished(self) -> None:
        self.desk.replug(boot=True)
        said = self.run()
        assert (said.exit, said.last["result"]) == (0, "confirmed"), said.out
        assert said.last["identity"] in ("header", "journal")
        assert self.desk.holds(NEW)


@pytest.fixture
def port(desk: Desk) -> Port:
    return Port(desk)


@pytest.mark.parametrize("phase", PHASES)
def test_a_board_of_another_product_does_not_inherit_an_update_that_was_cut(port: Port, phase: str) -> None:
    download, status = PHASES[phase]
    with port.desk.cut(download):
        said = port.run()
    assert said.exit == status, said.out
    port.check_wrong_boards()
    port.check_ours_is_finished()


def test_a_board_of_another_product_does_not_inherit_a_way_into_the_bootloader(port: Port) -> None:
    """Ours comes into its bootloader too late; by then the other is there."""
    port.desk.fault("late-arrival", 30_000)
    said = port.run()
    assert (said.exit, said.last["error"]) == (8, "UsbFailed")
    port.check_wrong_boards()
    port.check_ours_is_finished()
