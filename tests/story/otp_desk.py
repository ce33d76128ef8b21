"""OTP on a customer's desk: boards by chip, what their OTP memory holds, and ROMs that burn it wrongly."""

from __future__ import annotations

from functools import partial

import pytest

from tests.desk import Desk, Said, program
from updater.heads.dfu.words import StatusCode
from updater.lab import shelf
from updater.lab.flash import Otp
from updater.lab.record import Power
from updater.lab.rom import Dialect

F746 = "stm32f746"
RUNS = program("1.0.0")
DATA_BYTES = 1024
"""Of an F746; 16 lock bytes follow (RM0385)."""


def plug_in(desk: Desk, chip: str = F746, *, power: Power = Power.SELF, in_rom: bool = False) -> None:
    """A gizmo with this chip that runs its application (or was started with BOOT held)."""
    desk.sells(chip)
    desk.plug_in_gizmo(chip, RUNS, power=power, in_rom=in_rom)


def otp(desk: Desk) -> bytes:
    """The data bytes and the lock bytes behind them."""
    return (desk.lab / "board1" / "otp.bin").read_bytes()


def burnt(desk: Desk, *places: tuple[int, str]) -> None:
    """Somebody has burnt these bytes (offset, hex digits) before; offsets beyond the data are locks."""
    held = bytearray(otp(desk))
    for at, digits in places:
        data = bytes.fromhex(digits)
        held[at : at + len(data)] = data
    (desk.lab / "board1" / "otp.bin").write_bytes(held)


def new(*places: tuple[int, str], size: int = DATA_BYTES + 16) -> bytes:
    """A memory that is blank but for these bytes."""
    held = bytearray(b"\xff" * size)
    for at, digits in places:
        data = bytes.fromhex(digits)
        held[at : at + len(data)] = data
    return bytes(held)


def write(desk: Desk, *patches: str, more: tuple[str, ...] = ("--yes", "--json")) -> Said:
    """`updater otp write --hex … --yes --json`."""
    given = [word for patch in patches for word in ("--hex", patch)]
    return desk.updater("otp", "write", *given, *more)


def speak(monkeypatch: pytest.MonkeyPatch, dialect: Dialect) -> None:
    """The ROMs on this desk speak this dialect."""
    monkeypatch.setattr(shelf, "open_lab", partial(shelf.open_lab, dialect=dialect))


def burns_a_lock_byte_too(memory: Otp, address: int, data: bytes) -> StatusCode:
    """What STM32CubeProgrammer did to an F767 (ST:352825), done by a ROM."""
    memory.contents[memory.area.bytes + 3] = 0x12
    return really_program(memory, address, data)


def stores_nothing(_memory: Otp, _address: int, _data: bytes) -> StatusCode:
    """AN3156: a write to protected memory reports no error."""
    return StatusCode.OK


def refuses(_memory: Otp, _address: int, _data: bytes) -> StatusCode:
    return StatusCode.errPROG


def stores_half(memory: Otp, address: int, data: bytes) -> StatusCode:
    return really_program(memory, address, data[: len(data) // 2])


really_program = Otp.program
