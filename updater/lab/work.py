"""What a stored download does to the memories of a virtual chip, how long it takes, and what goes wrong.

The ROM (`rom`) knows requests and states; here are commands and blocks: set address, erase, write. Sources:
ST AN3156 for the commands, the silicon table's symptoms for the faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from updater.heads.dfu.words import FIRST_BLOCK, Command, StatusCode, TimedOut
from updater.lab.clock import Clock
from updater.lab.flash import BLANK, Memory
from updater.lab.symptoms import Behaves
from updater.words.facts import Sector

VECTOR_TABLE = 0x08000000
"""Where the address pointer stands if nobody set it (AN3156)."""
READ_UNPROTECT = 0x92
WORD_BYTES = 4
_ADDRESS_BYTES = 4
_ROUNDING_MS = 0.001
"""Waiting until a moment, in floating point, may end a hair before it."""


class Work(NamedTuple):
    """What one stored DNLOAD costs and how it ends."""

    ms: float
    poll_ms: int
    result: StatusCode = StatusCode.OK
    sticks: bool = False


class Workbench:
    """Commands and blocks, carried out on one chip's memories.

    `flip_next_write` and `stick_at` (an address) are faults that clear themselves when they fire.
    """

    def __init__(
        self,
        memory: Memory,
        behaves: Behaves,
        transfer_size: int,
        clock: Clock,
        *,
        pointer: int = VECTOR_TABLE,
        hung: bool = False,
    ) -> None:
        self.memory = memory
        self.behaves = behaves
        self.transfer_size = transfer_size
        self.clock = clock
        self.pointer = pointer
        self.hung = hung
        self.busy_until_ms = 0.0
        self.violations: list[str] = []
        self.flip_next_write = False
        self.stick_at: int | None = None
        self._misaligned = False
        self._spoil: Callable[[], None] | None = None

    def run(self, block: int, data: bytes) -> Work:
        """Carry one download out. Raises `TimedOut` when that hangs the ROM."""
        if block == 0:
            work = self._command(data)
        elif block < FIRST_BLOCK:
            work = Work(0, 0)
        else:
            work = self._write(self.pointer + (block - FIRST_BLOCK) * self.transfer_size, data)
        if work.ms:
            self.busy_until_ms = self.clock.now_ms() + work.ms
        return work

    def power_off(self, *, at_least_until_ms: float) -> None:
        """The supply fails now: what the flash was doing stays half done."""
        if self._spoil is not None and self.clock.now_ms() < max(self.busy_until_ms, at_least_until_ms):
            self._spoil()
        self._spoil = None

    # ---------------------------------------------------------------------------------------- the commands

    def _command(self, data: bytes) -> Work:
        poll_ms, name, tail = self.behaves.command_poll_ms, data[0], data[1:]
        if name == READ_UNPROTECT:
            self.violations.append("read unprotect (0x92)")
            return Work(0, poll_ms, StatusCode.errVENDOR)
        if name == Command.SET_ADDRESS and len(tail) == _ADDRESS_BYTES:
            return Work(0, poll_ms, self._set_address(int.from_bytes(tail, "little")))
        if name == Command.ERASE and len(tail) % _ADDRESS_BYTES == 0:
            if self.memory.read_protected:
                return Work(0, poll_ms, StatusCode.errVENDOR)
            addresses = [
                int.from_bytes(tail[at : at + _ADDRESS_BYTES], "little")
                for at in range(0, len(tail), _ADDRESS_BYTES)
            ]
            if not addresses:
                return self._mass_erase()
            if len(addresses) == 1:
                return self._erase(addresses[0])
            if self.behaves.bank2_erases_first_of_several:
                return self._erase_several(addresses)
        return Work(0, poll_ms, StatusCode.errSTALLEDPKT)

    def _set_address(self, address: int) -> StatusCode:
        if self.memory.read_protected and self.behaves.protected_refuses_pointer:
            return StatusCode.errVENDOR
        if not self.memory.is_known(address):
            return StatusCode.errTARGET
        self.pointer = address
        return StatusCode.OK

    def _erase(self, address: int) -> Work:
        poll_ms = self.behaves.erase_poll_ms
        sector = self.memory.flash.sector_at(address)
        if sector is None or not sector.erasable:
            return Work(0, poll_ms, StatusCode.errTARGET)
        hit = self._really_hit(sector)
        self._start_flash()
        if hit is not None:
            self._wipe([hit])
        return Work(self._erase_ms([sector]), poll_ms, sticks=self._sticks(sector))

    def _really_hit(self, sector: Sector) -> Sector | None:
        """The sector that the ROM erases when it is told to erase this one; None behind the last."""
        later, sectors = self.behaves.bank2_erase_hits_sectors_later, self.memory.flash.region.sectors
        number = sectors.index(sector)
        if not later or number < len(sectors) // 2:
            return sector
        return sectors[number + later] if number + later < len(sectors) else None

    def _erase_several(self, addresses: Sequence[int]) -> Work:
        """A list of sectors, of which some ROMs erase only the first one of the second bank."""
        sectors = [self.memory.flash.sector_at(address) for address in addresses]
        if None in sectors:
            return Work(0, self.behaves.erase_poll_ms, StatusCode.errTARGET)
        self._start_flash()
        whole = self.memory.flash.region.sectors
        known = [sector for sector in sectors if sector is not None]
        second = [sector for sector in known if sector.address >= whole[len(whole) // 2].address]
        self._wipe([sector for sector in known if sector not in second[1:]])
        return Work(self._erase_ms(known), self.behaves.erase_poll_ms)

    def _mass_erase(self) -> Work:
        self._start_flash()
        sectors, behaves = self.memory.flash.region.sectors, self.behaves
        if not behaves.mass_erase_does_nothing:
            self._wipe(sectors)
        poll_ms = behaves.erase_poll_ms if behaves.mass_erase_poll_ms is None else behaves.mass_erase_poll_ms
        return Work(behaves.mass_erase_ms or self._erase_ms(sectors), poll_ms)

    def _erase_ms(self, sectors: Sequence[Sector]) -> int:
        fast = self.memory.feature_is_fast
        ms = self.behaves.erase_ms_fast if fast else self.behaves.erase_ms
        return sum(ms[sector.size] for sector in sectors)

    def _wipe(self, sectors: Sequence[Sector]) -> None:
        flash = self.memory.flash
        before = [(sector, flash.erase(sector)) for sector in sectors]

        def spoil() -> None:
            for sector, old in before:
                flash.spoil_erase(sector, old)

        self._spoil = spoil

    def _sticks(self, sector: Sector) -> bool:
        first = self.behaves.erase_sticks_from
        return self._sticks_by_fault(sector.address, sector.size) or (
            first is not None and sector.address >= first
        )

    def _sticks_by_fault(self, address: int, length: int) -> bool:
        if self.stick_at is None or not address <= self.stick_at < address + length:
            return False
        self.stick_at = None
        return True

    # ------------------------------------------------------------------------------------------ the blocks

    def _write(self, address: int, data: bytes) -> Work:
        poll_ms, memory = self.behaves.write_poll_ms, self.memory
        flash, length = memory.flash, len(data)
        if memory.is_option_byte(address):
            self.violations.append("a download to the option bytes")
            return Work(0, poll_ms, StatusCode.errVENDOR)
        if address == memory.feature_at:
            return Work(0, poll_ms, self._set_feature(data))
        in_flash = flash.holds(address, length)
        if memory.read_protected and (in_flash or memory.is_otp(address, length)):
            return Work(0, poll_ms, StatusCode.errVENDOR)
        if not in_flash and not memory.is_otp(address, length):
            return Work(0, poll_ms, StatusCode.errTARGET)
        step = WORD_BYTES if self._takes_odd_lengths else max(flash.unit_bytes, WORD_BYTES)
        if self._misaligned or address % step or length % step:
            self._misaligned = True  # AN3156: this and the following operations fail
            return Work(0, poll_ms, StatusCode.errPROG)
        self._start_flash()
        result = self._program(address, self._garbled(data)) if in_flash else self._burn(address, data)
        ms = -(-length // flash.unit_bytes) * self._program_us() / 1000.0
        return Work(ms, poll_ms, result, sticks=in_flash and self._sticks_by_fault(address, length))

    @property
    def _takes_odd_lengths(self) -> bool:
        return self.behaves.corrupts_odd_buffers_over is not None

    def _garbled(self, data: bytes) -> bytes:
        """What arrives in flash: where the ROM has that fault, long buffers of odd length are spoilt."""
        limit, unit = self.behaves.corrupts_odd_buffers_over, self.memory.flash.unit_bytes
        odd = len(data) % unit
        if limit is None or not odd:
            return data
        if len(data) > limit:
            data = data[:limit] + bytes(byte ^ 0x55 for byte in data[limit:])
        return data + bytes([BLANK]) * (unit - odd)

    def _program_us(self) -> int:
        fast = self.memory.feature_is_fast
        return self.behaves.program_us_fast if fast else self.behaves.program_us

    def _set_feature(self, data: bytes) -> StatusCode:
        """Byte 0 says the supply voltage; the others must stay 0xFF (AN2606)."""
        if len(data) != WORD_BYTES or data[1:] != b"\xff\xff\xff":
            self.violations.append("a download to the Device Feature that changes more than byte 0")
            return StatusCode.errVENDOR
        self.memory.feature[0] = data[0]
        return StatusCode.OK

    def _burn(self, address: int, data: bytes) -> StatusCode:
        assert self.memory.otp is not None
        return self.memory.otp.program(address, data)

    def _program(self, address: int, data: bytes) -> StatusCode:
        flash = self.memory.flash
        before = flash.read(address, len(data))
        result = flash.program(address, data)
        if result == StatusCode.OK:
            self._spoil = lambda: flash.spoil_program(address, data, before)
            if self.flip_next_write:
                self.flip_next_write = False
                flash.flip(address)
        return result

    def _start_flash(self) -> None:
        """A flash operation begins. AN2606 table 136: before the hardware has ended the last, it can hang."""
        if self.clock.now_ms() < self.busy_until_ms - _ROUNDING_MS:
            if self.behaves.command_before_done_hangs:
                self.hung = True
                self.violations.append("a flash operation before the last one had ended")
                raise TimedOut("the ROM hangs; only a power cycle helps")
            self.clock.sleep_ms(self.busy_until_ms - self.clock.now_ms())
        self._spoil = None
