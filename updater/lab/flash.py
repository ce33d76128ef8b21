"""The memories of a virtual chip, with the rules of the real ones.

NOR flash: an erase makes a sector 0xFF, programming turns ones into zeros, never back. On chips with ECC a
program unit can be programmed once per erase. OTP: the same without an erase, and lock bytes. The system
memory's ROM ID can be read. Protection is silent: AN3156 says that writing or erasing a
write-protected sector reports no error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from updater.heads.dfu.words import StatusCode
from updater.heads.silicon import BankMode, Chip, OtpArea
from updater.words.facts import Region, Sector

BLANK = 0xFF
UNLOCKED = 0xFF
_LOOKED_AT_BYTES = 16 * 1024
"""Most of a flash is blank, or full: so much of it at once is found to be without looking at each unit."""
ROM_ID_WINDOW_BYTES = 256
"""How much of the system memory before the ROM ID the lab knows; everything but the ID is 0xFF."""


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
        used = bytearray()
        for start in range(0, len(contents), _LOOKED_AT_BYTES):
            part = contents[start : start + _LOOKED_AT_BYTES]
            units = -(-len(part) // unit)
            if part.count(BLANK) == len(part):
                used += bytes(units)
            elif blank not in part:
                used += b"\1" * units
            else:
                used += bytes(part[at : at + unit] != blank for at in range(0, len(part), unit))
        return used

    def sector_at(self, address: int) -> Sector | None:
        """The sector that holds this address, or None outside the flash."""
        if not self.base <= address < self.end:
            return None
        sector = self.region.sectors[bisect_right(self._starts, address) - 1]
        return sector if address < sector.end else None  # there may be a hole between two banks

    def holds(self, address: int, length: int) -> bool:
        """Whether these few bytes lie in sectors: between two banks there may be nothing."""
        return self.sector_at(address) is not None and self.sector_at(address + length - 1) is not None

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

    `contents` are the data bytes, then the lock bytes. A lock byte that is not 0xFF ends writing to its
    block (RM0090 section 3.6). Where the flash has ECC a unit of OTP is written once, too.
    """

    def __init__(self, area: OtpArea, contents: bytearray, *, unit_bytes: int, is_once: bool) -> None:
        self.area = area
        self.base = area.at
        self.end = area.end + area.lock_bytes
        self.contents = contents
        self._unit_bytes = unit_bytes if is_once else 0

    def program(self, address: int, data: bytes) -> StatusCode:
        first = address - self.base
        if self._unit_bytes and not self._is_fresh(first, len(data)):
            return StatusCode.errPROG
        for at, byte in enumerate(data, start=first):
            if not self._is_locked(at):
                self.contents[at] &= byte
        return StatusCode.OK

    def _is_fresh(self, at: int, length: int) -> bool:
        return self.contents.count(BLANK, at, at + length) == length

    def _is_locked(self, at: int) -> bool:
        area = self.area
        if not area.lock_bytes or at >= area.bytes:
            return False
        return self.contents[area.bytes + at // area.block_bytes] != UNLOCKED


class Memory:
    """Everything a ROM can address, found by address.

    `flash_kib` is the part's real size (None: the largest). The option bytes say whether the flash is in
    one bank or two. `reads_size`: whether the flash-size register answers UPLOAD; no source says so.
    """

    def __init__(
        self,
        chip: Chip,
        *,
        flash: bytearray,
        otp: bytearray,
        options: bytearray,
        rom_id: int,
        flash_kib: int | None = None,
        reads_size: bool = False,
    ):
        self.bank_mode = bank_mode_in(chip, options)
        self.flash = Flash(
            flash_region(chip, flash_kib=flash_kib, bank_mode=self.bank_mode),
            flash,
            unit_bytes=chip.program_unit_bytes.value,
            once_per_erase=chip.lab.once_per_erase.value,
        )
        self.otp = None
        if chip.otp:
            unit, is_once = chip.program_unit_bytes.value, chip.lab.once_per_erase.value
            self.otp = Otp(chip.otp, otp, unit_bytes=unit, is_once=is_once)
        self.read_protected = False
        self.feature_at = chip.supply.feature_at if chip.supply else None
        self.feature = bytearray([0x00, BLANK, BLANK, BLANK])
        self._fast_feature = chip.supply.value if chip.supply else None
        self.options = options
        self._options_at = _options_at(chip)
        self._others = list(_system_memory(chip, rom_id))
        if self.otp:
            self._others.append((self.otp.base, otp))
        if options:
            self._others.append((self._options_at, options))
        if self.feature_at is not None:
            self._others.append((self.feature_at, self.feature))
        if reads_size:
            self._others += _size_register(chip, flash_kib or max(chip.sizes_kib.value))

    def is_known(self, address: int) -> bool:
        """Whether an address pointer may point here."""
        return self.flash.holds(address, 1) or any(
            first <= address < first + len(contents) for first, contents in self._others
        )

    def is_option_byte(self, address: int) -> bool:
        return bool(self.options) and self._options_at <= address < self._options_at + len(self.options)

    def is_otp(self, address: int, length: int) -> bool:
        return self.otp is not None and self.otp.base <= address and address + length <= self.otp.end

    @property
    def feature_is_fast(self) -> bool:
        """Whether the Device Feature has been told that the supply allows words."""
        return self.feature[0] == self._fast_feature

    def read(self, address: int, length: int) -> bytes | None:
        """These bytes, or None when one of them cannot be read.

        Option bytes are read from the start of their block only (AN3156).
        """
        if self.is_option_byte(address) and address != self._options_at:
            return None
        if self.flash.holds(address, length):
            return self.flash.read(address, length)
        for first, contents in self._others:
            if first <= address and address + length <= first + len(contents):
                return bytes(contents[address - first : address - first + length])
        return None


def _system_memory(chip: Chip, rom_id: int) -> Iterator[tuple[int, bytearray]]:
    """The end of the ROM with its ID: the last bytes but one of its area (AN2606 section 4.2)."""
    if chip.rom_id_at is None:
        return
    start = (chip.rom_id_at.value & ~3) - ROM_ID_WINDOW_BYTES
    system = bytearray([BLANK]) * (ROM_ID_WINDOW_BYTES + 4)
    at, width = chip.rom_id_at.value - start, chip.rom_id_bytes
    system[at : at + width] = rom_id.to_bytes(width, "little")
    yield start, system


def _size_register(chip: Chip, kib: int) -> Iterator[tuple[int, bytearray]]:
    """The word that holds the 16-bit flash-size register."""
    if chip.flash_size_at is None:
        return
    word, at = bytearray([BLANK]) * 4, chip.flash_size_at.value
    word[at & 3 : (at & 3) + 2] = kib.to_bytes(2, "little")
    yield at & ~3, word


def _options_at(chip: Chip) -> int:
    return chip.option_bytes.at if chip.option_bytes else 0


def bank_mode_in(chip: Chip, options: bytes | bytearray) -> BankMode | None:
    """What the option bytes say; None on a chip whose flash is divided in one way only."""
    if chip.bank_mode is None:
        return None
    at = (chip.bank_mode.at & ~3) - _options_at(chip)
    return chip.bank_mode.mode_in(bytes(options[at : at + 4]))


def blank_options(chip: Chip, bank_mode: BankMode | None = None) -> bytearray:
    """Option bytes of a new part: all ones, but for the bank mode where the chip has one."""
    options = bytearray([BLANK]) * size_of(chip, "options")
    option = chip.bank_mode
    if option is not None and bank_mode_in(chip, options) != (bank_mode or "single"):
        at, bit = option.at - _options_at(chip) + option.bit // 8, option.bit % 8
        options[at] ^= 1 << bit
    return options


def flash_region(chip: Chip, *, flash_kib: int | None = None, bank_mode: BankMode | None = None) -> Region:
    """The real flash of a part. Raises ValueError for a part that the table does not know."""
    sectors = chip.sectors(kib=flash_kib, bank_mode=bank_mode)
    if not sectors:
        raise ValueError(f"the table knows no {chip.title} with {flash_kib} KiB in {bank_mode} bank mode")
    return Region(name="Internal Flash", alternate=0, sectors=sectors)


def size_of(chip: Chip, kind: str, *, flash_kib: int | None = None, bank_mode: BankMode | None = None) -> int:
    """How many bytes `flash.bin`, `otp.bin` or `options.bin` of this chip has."""
    if kind == "otp":
        return chip.otp.bytes + chip.otp.lock_bytes if chip.otp else 0
    if kind == "options":
        return chip.option_bytes.bytes if chip.option_bytes else 0
    sectors = flash_region(chip, flash_kib=flash_kib, bank_mode=bank_mode).sectors
    return sectors[-1].end - sectors[0].address


def _only_clears_bits(old: bytes | bytearray, new: bytes) -> bool:
    wanted = int.from_bytes(new, "little")
    return int.from_bytes(old, "little") & wanted == wanted
