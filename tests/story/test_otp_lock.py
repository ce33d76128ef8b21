"""Locking a block of OTP memory: one lock byte, its neighbours never, and only over what the layout says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.desk import Desk, Said
from tests.story.otp_desk import (
    DATA_BYTES,
    F746,
    RUNS,
    burns_a_lock_byte_too,
    burnt,
    new,
    otp,
    stores_nothing,
)
from updater.heads.silicon import the_table
from updater.lab.flash import Otp
from updater.lab.record import Power

LAYOUT = """
schema = 1
product = "gizmo"
lock = [0, 2]
[[field]]
name = "format"
type = "u8"
offset = 0x1F
constant = 1
[[field]]
name = "serial"
type = "u32"
offset = 0x20
asked = true
[[field]]
name = "check"
type = "crc"
algorithm = "crc-32"
over = { offset = 0x20, length = 4 }
offset = 0x24
"""

HOLDS = ((0x1F, "01"), (0x20, "31323334"), (0x24, "a3e0e39b"))
"""The serial is the text 1234; its CRC-32 is 0x9BE3E0A3, lowest byte first."""


def bench(desk: Desk, chip: str = F746, *, power: Power = Power.SELF) -> Path:
    desk.sells(chip)
    folder = desk.state.parent
    vendor = folder / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
    (folder / "gizmo.toml").write_text(LAYOUT, "utf-8")
    desk.plug_in_gizmo(chip, RUNS, power=power)
    return folder


def lock(desk: Desk, block: int = 0, *more: str, typed: str | None = None) -> Said:
    layout = str(desk.state.parent / "gizmo.toml")
    stdin = f"{typed or f'lock block {block}'}\n"
    return desk.updater(
        "otp", "lock", "--layout", layout, "--block", str(block), *more, "--json", stdin=stdin
    )


@pytest.mark.parametrize("chip", [chip.id for chip in the_table().chip if chip.otp and chip.otp.lock_bytes])
def test_one_lock_byte_falls_and_nothing_beside_it(desk: Desk, chip: str) -> None:
    bench(desk, chip)
    size = len(otp(desk))
    data_bytes = size - 16
    burnt(desk, *HOLDS)
    layout = desk.state.parent / "gizmo.toml"
    block = 0x20 // (data_bytes // 16)
    layout.write_text(LAYOUT.replace("0x1F", hex(0x24 + 4)).replace("[0, 2]", f"[{block}]"), "utf-8")
    (desk.lab / "board1" / "otp.bin").write_bytes(new(*HOLDS[1:], (0x28, "01"), size=size))
    said = lock(desk, block)
    assert (said.exit, said.last["result"], said.last["verified"]) == (0, "written", "read-back"), said.out
    assert otp(desk) == new(*HOLDS[1:], (0x28, "01"), (data_bytes + block, "00"), size=size)
    assert desk.board()["state"] == "application"


def test_the_lab_holds_the_lock_and_the_command_is_nothing_to_do_then(desk: Desk) -> None:
    bench(desk)
    burnt(desk, *HOLDS)
    assert lock(desk).exit == 0
    again = lock(desk)
    assert (again.exit, again.last["result"]) == (0, "nothing-to-do")
    said = desk.updater("otp", "write", "--hex", "0:00", "--yes", "--json")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "block 0 is locked" in said.last["message"]


def test_anything_else_typed_locks_nothing(desk: Desk) -> None:
    bench(desk)
    burnt(desk, *HOLDS)
    for typed in ("yes", "lock block 2", "lock"):
        said = lock(desk, typed=typed)
        assert (said.exit, said.last["device_is"]) == (12, "runs-old")
    assert lock(desk, 0, "--dry-run").last["result"] == "dry-run"
    assert otp(desk) == new(*HOLDS)


def test_the_plan_shows_what_the_block_holds_and_what_is_lost(desk: Desk) -> None:
    folder = bench(desk)
    burnt(desk, *HOLDS)
    said = desk.updater("otp", "lock", "--layout", str(folder / "gizmo.toml"), "--block", "0", "--dry-run")
    assert "Gizmo: lock block 0 of the OTP memory of its STM32F745/746/750/756, for ever\n" in said.err
    assert "holds:    serial           0x0020  875770417  [31 32 33 34]\n" in said.err
    assert f"new:      lock bytes 00{' FF' * 15}\n" in said.err
    assert "spent:    55 bytes of the block are FF and can never be written after this\n" in said.err


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ((), "format is not 1"),
        (HOLDS[:1], "serial is blank"),
        (HOLDS[:2], "check does not match the bytes that it covers"),
        ((*HOLDS, (0x3F, "00")), "offset 0x3F belongs to no field and holds 0x00"),
        ((*HOLDS, (DATA_BYTES, "7F")), "the lock byte of block 0 is 0x7F"),
    ],
)
def test_a_block_that_is_not_what_the_layout_says_is_never_locked(
    desk: Desk, places: tuple[tuple[int, str], ...], why: str
) -> None:
    bench(desk)
    burnt(desk, *places)
    said = lock(desk)
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "runs-old")
    assert why in said.last["message"]
    assert otp(desk) == new(*places)


@pytest.mark.parametrize(
    ("block", "why"), [(1, "does not say that block 1"), (-1, "does not say that block -1")]
)
def test_a_block_that_the_layout_does_not_name_is_refused_before_the_device_is_sent_anywhere(
    desk: Desk, block: int, why: str
) -> None:
    bench(desk)
    said = lock(desk, block)
    assert (said.exit, said.last["device_is"], len(said.lines)) == (6, "untouched", 1)
    assert why in said.last["message"]


def test_a_block_in_which_no_field_is_is_refused(desk: Desk) -> None:
    bench(desk)
    assert "no field of the layout is in it" in lock(desk, 2).last["message"]


def test_a_chip_without_lock_bytes_is_refused(desk: Desk) -> None:
    bench(desk, "stm32g474")
    said = lock(desk)
    assert (said.exit, said.last["device_is"]) == (6, "untouched")
    assert "no lock bytes" in said.last["message"]


def test_a_rom_that_burns_a_neighbours_lock_is_found_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bench(desk)
    burnt(desk, *HOLDS)
    monkeypatch.setattr(Otp, "program", burns_a_lock_byte_too)
    said = lock(desk)
    assert (said.exit, said.last["error"]) == (9, "NotFinished")
    assert "lock byte 3 holds 0x12, not 0xFF" in said.last["message"]
    assert "Do not write to this device again" in said.last["advice"]


def test_a_rom_that_stores_nothing_is_found_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bench(desk)
    burnt(desk, *HOLDS)
    monkeypatch.setattr(Otp, "program", stores_nothing)
    assert lock(desk).exit == 11
    assert otp(desk) == new(*HOLDS)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.faults), 7])
@pytest.mark.parametrize("power", Power)
def test_a_cable_pulled_at_any_transfer_is_made_good_by_the_same_command(
    desk: Desk, power: Power, every: int
) -> None:
    bench(desk, power=power)
    burnt(desk, *HOLDS)
    transfers = int(lock(desk).last["control_transfers"])
    locked = new(*HOLDS, (DATA_BYTES, "00"))
    assert otp(desk) == locked
    for at in range(1, transfers + 1, every):
        desk.updater("lab", "remove", "board1")
        desk.plug_in_gizmo(F746, RUNS, power=power)
        burnt(desk, *HOLDS)
        desk.fault("cut-after", at)
        said = lock(desk)
        desk.fault("none")
        assert said.exit in (0, 8, 9, 10), (at, said.out)
        assert otp(desk) in (new(*HOLDS), locked), at
        again = lock(desk)
        assert again.exit == 0, (at, said.exit, again.out)
        assert otp(desk) == locked, at
