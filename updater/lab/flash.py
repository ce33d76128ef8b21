"""The memories of a virtual chip, with the rules of the real ones.

NOR flash: an erase makes a sector 0xFF, programming turns ones into zeros, never back. On chips with ECC a
program unit can be programmed once per erase. OTP: the same without an erase, and lock bytes. The system
memory's ROM ID byte can be read. Protection is silent: AN3156 says that writing or erasing a
write-protected sector reports no error.
"""

from __future__ import annotations

from bisect import bisect_right

from updater.dfu.words import StatusCode
from updater.facts import Region, Sector
from updater.silicon import Chip

BLANK = 0xFF
UNLOCKED = 0xFF
ROM_ID_WINDOW_BYTES = 256
"""How much of the system memory around the ROM ID byte the lab knows; everything but that byte is 0xFF."""


class Flash:
    """The main flash. `contents` is what `flash.bin` holds, from the region's first address."""

    def __init__(self, region: Region, contents: bytearray, *, unit_bytes: int, once_per_erase: bool) -> None:
        self.region = region
        self.base = region.address
        self.end = region.sectors[-1].end
        self.contents = contents
        self.unit_bytes = unit_bytes
        self.write_protected: frozenset[int] = frozenset()
        self._starts = [sector.address for sector in region.sectors]
        self._spent: bytearray | None = self._units_in_use() if once_per_erase else None

    def _units_in_use(self) -> bytearray:
        """One byte per program unit, 1 where it cannot be programmed again.

        Told from the contents: a unit that was programmed with all ones looks fresh after a reload.
        """
        unit, contents = self.unit_bytes, self.contents
        blank = bytes([BLANK]) * unit
        return bytearray(contents[at : at + unit] != blank for at in range(0, len(contents), unit))

    def sector_at(self, address: int) -> Sector | None:
        """The sector that holds this address, or None outside the flash."""
        if not self.base <= address < self.end:
            return None
        return self.region.sectors[bisect_right(self._starts, address) - 1]

    def is_protected(self, sector: Sector) -> bool:
        return sector.address in self.write_protected

    def read(self, address: int, length: int) -> bytes:
        at = address - self.base
        return bytes(self.contents[at : at + length])

    def erase(self, sector: Sector) -> bytes:
        """Make the sector blank and return what it held, for an erase that is cut short."""
        before = self.read(sector.address, sector.size)
        if not self.is_protected(sector):
            at = sector.address - self.base
            self.contents[at : at + sector.size] = bytes([BLANK]) * sector.size
            self._set_spent(at, sector.size, 0)
        return before

    def spoil_erase(self, sector: Sector, before: bytes) -> None:
        """Power failed during the erase: every other byte has been erased, the rest has not."""
        if self.is_protected(sector):
            return
        mixed = bytearray(before)
        mixed[::2] = bytes([BLANK]) * len(mixed[::2])
        at = sector.address - self.base
        self.contents[at : at + sector.size] = mixed
        self._set_spent(at, sector.size, 1)

    def program(self, address: int, data: bytes) -> StatusCode:
        """Program whole units. errPROG, and nothing is changed, where the silicon's rules forbid it."""
        sector = self.sector_at(address)
        if sector is not None and self.is_protected(sector):
            return StatusCode.OK
        at, length = address - self.base, len(data)
        old = self.contents[at : at + length]
        if self._spent is not None:
            first, last = at // self.unit_bytes, (at + length) // self.unit_bytes
            if self._spent.find(1, first, last) >= 0:
                return StatusCode.errPROG
            self._spent[first:last] = b"\1" * (last - first)
        elif old.count(BLANK) != length and not _only_clears_bits(old, data):
            return StatusCode.errPROG
        self.contents[at : at + length] = data
        return StatusCode.OK

    def spoil_program(self, address: int, data: bytes, before: bytes) -> None:
        """Power failed during the download: the second half of the units was never reached."""
        units = len(data) // self.unit_bytes // 2
        at = address - self.base + units * self.unit_bytes
        rest = before[units * self.unit_bytes :]
        self.contents[at : at + len(rest)] = rest
        self._set_spent(at, len(rest), 0)

    def flip(self, address: int) -> None:
        """Change one bit: a write that went wrong without anyone noticing."""
        self.contents[address - self.base] ^= 0x01

    def _set_spent(self, at: int, length: int, value: int) -> None:
        if self._spent is not None:
            first, last = at // self.unit_bytes, (at + length) // self.unit_bytes
            self._spent[first:last] = bytes([value]) * (last - first)


class Otp:
    """One-time-programmable memory: bits go from 1 to 0 for ever, and a rewrite ANDs without an error.

    Where the layout string has two parts, the second holds lock bytes: the first part is cut into as many
    equal blocks, and a lock byte that is not 0xFF ends writing to its block (RM0090 section 3.6).
    """

    def __init__(self, region: Region, contents: bytearray) -> None:
        self.region = region
        self.base = region.address
        self.end = region.sectors[-1].end
        self.contents = contents

    def program(self, address: int, data: bytes) -> StatusCode:
        for at, byte in enumerate(data, start=address - self.base):
            if not self._is_locked(at):
                self.contents[at] &= byte
        return StatusCode.OK

    def _is_locked(self, at: int) -> bool:
        sectors = self.region.sectors
        if len(sectors) != 2 or at >= sectors[0].size:
            return False
        block = at // (sectors[0].size // sectors[1].size)
        return self.contents[sectors[0].size + block] != UNLOCKED


class Memory:
    """Everything a ROM can address, found by address."""

    def __init__(self, chip: Chip, *, flash: bytearray, otp: bytearray, options: bytearray, rom_id: int):
        self.flash = Flash(
            chip.flash,
            flash,
            unit_bytes=chip.program_unit_bytes.value,
            once_per_erase=chip.lab.once_per_erase.value,
        )
        zone = region_of(chip, "otp")
        self.otp = Otp(zone, otp) if zone else None
        self.read_protected = False
        start = (chip.rom_id_at.value & ~3) - ROM_ID_WINDOW_BYTES
        system = bytearray([BLANK]) * (2 * ROM_ID_WINDOW_BYTES)
        system[chip.rom_id_at.value - start] = rom_id
        self._others: list[tuple[int, int, bytearray]] = [(start, start + len(system), system)]
        if self.otp:
            self._others.append((self.otp.base, self.otp.end, otp))
        self.options = options
        self._options = region_of(chip, "options")
        if self._options:
            first = self._options.address
            self._others.append((first, first + len(options), options))

    def is_known(self, address: int) -> bool:
        """Whether an address pointer may point here."""
        return self.flash.base <= address < self.flash.end or any(
            first <= address < end for first, end, _ in self._others
        )

    def is_option_byte(self, address: int) -> bool:
        zone = self._options
        return zone is not None and zone.address <= address < zone.sectors[-1].end

    def is_otp(self, address: int, length: int) -> bool:
        return self.otp is not None and self.otp.base <= address and address + length <= self.otp.end

    def read(self, address: int, length: int) -> bytes | None:
        """These bytes, or None when one of them cannot be read."""
        if self.flash.base <= address and address + length <= self.flash.end:
            return self.flash.read(address, length)
        for first, end, contents in self._others:
            if first <= address and address + length <= end:
                return bytes(contents[address - first : address - first + length])
        return None


def region_of(chip: Chip, kind: str) -> Region | None:
    """The row's region for `flash`, `otp` or `options`; None when the chip shows none."""
    words = {"flash": "internal flash", "otp": "otp memory", "options": "option bytes"}
    return next((region for region in chip.regions if region.name.lower() == words[kind]), None)


def size_of(chip: Chip, kind: str) -> int:
    """How many bytes `flash.bin`, `otp.bin` or `options.bin` of this chip has."""
    region = region_of(chip, kind)
    return sum(sector.size for sector in region.sectors) if region else 0


def _only_clears_bits(old: bytes | bytearray, new: bytes) -> bool:
    wanted = int.from_bytes(new, "little")
    return int.from_bytes(old, "little") & wanted == wanted
