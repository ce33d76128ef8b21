"""A chip row: one DEV_ID, its revisions, its ROM, its flash. Unknown keys are refused."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta

from updater.heads.dfu.layout import parse_layout
from updater.heads.silicon.cells import BankMode, Fact, Row, Source, Standing
from updater.words.facts import Region, RomFacts, Sector

SerialRule = Literal["uid-sum", "uid-sum-0a", "uid-sum-w2", "idcode", "constant", "random", "unknown"]
RESET_VECTORS_BYTES = 8
"""Initial SP and reset vector: they must appear in flash together (`docs/safe-order.md`)."""
KIB = 1024


class Revision(Row, frozen=True):
    """REV_ID of DBGMCU_IDCODE and the letter printed on the package."""

    rev_id: int
    letter: str
    standing: Standing
    source: Source


class Rom(Row, frozen=True):
    """A bootloader ID as AN2606 prints it: high digit interfaces, low digit version; 16 bits on the C5."""

    id: int
    standing: Standing
    source: Source


class Part(Row, frozen=True):
    """A flash size whose sectors are not simply the first ones of the largest part."""

    kib: int
    layout: str
    standing: Standing
    source: Source
    bank_mode: BankMode = "single"


class BankOption(Row, frozen=True):
    """The option bit that decides how the flash is divided, and the sectors of the other division.

    `bit` counts from `at`, little-endian; the bit's value `dual_when` means dual bank.
    """

    option: str
    at: int
    bit: Annotated[int, Meta(ge=0, le=31)]
    dual_when: Annotated[int, Meta(ge=0, le=1)]
    dual: str
    standing: Standing
    source: Source

    def mode_in(self, word: bytes) -> BankMode:
        """The mode that four option bytes, read from `at & ~3`, mean."""
        bits = int.from_bytes(word, "little") >> ((self.at & 3) * 8 + self.bit)
        return "dual" if bits & 1 == self.dual_when else "single"


class OtpArea(Row, frozen=True):
    """One-time-programmable bytes: `at` and `bytes` without the lock bytes.

    Lock byte n (at `lock_at` + n) locks block n of `block_bytes` for ever; `lock_bytes` is 0 where there
    are none.
    """

    at: int
    bytes: int
    block_bytes: int
    lock_at: int
    lock_bytes: int
    standing: Standing
    source: Source

    @property
    def end(self) -> int:
        return self.at + self.bytes


class OptionBytes(Row, frozen=True):
    """Where UPLOAD finds the option bytes."""

    at: int
    bytes: int
    standing: Standing
    source: Source


class Supply(Row, frozen=True):
    """ST's Device Feature: told that the supply is within these millivolts, the ROM programs words."""

    feature_at: int
    value: Annotated[int, Meta(ge=0, le=0xFE)]
    from_mv: int
    to_mv: int
    standing: Standing
    source: Source


class LabTiming(Row, frozen=True):
    """How long the virtual ROM takes, at the datasheet's typical values.

    The host reads the typical times only, to say how long it will take (`eta`); nothing that it does to a
    device depends on them. The `_fast` ones hold once the ROM was told its supply (`Supply`).
    """

    erase_ms: Fact[dict[str, int]]
    program_us: Fact[int]
    upload_us_per_kib: Fact[int]
    erase_poll_ms: Fact[int]
    write_poll_ms: Fact[int]
    command_poll_ms: Fact[int]
    answers: Fact[Literal["before-work", "after-work"]]
    once_per_erase: Fact[bool]
    program_us_fast: Fact[int] | None = None
    erase_ms_fast: Fact[dict[str, int]] | None = None


class Chip(Row, frozen=True):
    """One row of the table: a DEV_ID and everything that goes with it.

    `geometry` is the real flash of the largest part and guards against damage: a row without it is
    listed, never written to, and `not_written` says why. `alternates` is what the ROM shows, which may be
    something else.
    """

    id: str
    title: str
    dev_id: Fact[int]
    revisions: tuple[Revision, ...]
    roms: tuple[Rom, ...]
    serial: Fact[SerialRule]
    serial_is_unique: Fact[bool]
    bcd_device: Fact[int]
    product_string: Fact[str]
    transfer_size: Fact[int]
    alternates: Fact[tuple[str, ...]]
    sizes_kib: Fact[tuple[int, ...]]
    layout_follows_size: Fact[bool]
    program_unit_bytes: Fact[int]
    erase_max_ms: Fact[int]
    mass_erase_max_ms: Fact[int]
    write_max_ms: Fact[int]
    usb_ready_ms: Fact[int]
    reenumerate_within_ms: Fact[int]
    empty_check: Fact[bool]
    leave: Fact[Literal["answers", "drops", "unknown"]]
    lab: LabTiming
    rom_id_at: Fact[int] | None = None
    serial_constants: Fact[tuple[str, ...]] | None = None
    also_shows: tuple[Fact[str], ...] = ()
    geometry: Fact[str] | None = None
    not_written: Fact[str] | None = None
    parts: tuple[Part, ...] = ()
    flash_size_at: Fact[int] | None = None
    bank_mode: BankOption | None = None
    otp: OtpArea | None = None
    no_otp: Fact[str] | None = None
    option_bytes: OptionBytes | None = None
    no_option_bytes: Fact[str] | None = None
    supply: Supply | None = None
    stack_ends: Fact[tuple[int, ...]] | None = None

    @property
    def regions(self) -> tuple[Region, ...]:
        """The alternate settings as regions; the flash is the first."""
        return tuple(_layout(text, number) for number, text in enumerate(self.alternates.value))

    @property
    def flash(self) -> Region:
        """The flash of the largest part; what the ROM says of it where no source has the truth."""
        return _layout(self.geometry.value, 0) if self.geometry else self.regions[0]

    @property
    def shown_layouts(self) -> tuple[tuple[Sector, ...], ...]:
        """Every division of the flash that a ROM of this row may show."""
        texts = [self.alternates.value[0], *(fact.value for fact in self.also_shows)]
        if self.geometry:
            texts.append(self.geometry.value)
        if self.bank_mode:
            texts.append(self.bank_mode.dual)
        return tuple(_layout(text, 0).sectors for text in texts)

    @property
    def granule_bytes(self) -> int:
        """The commit granule: the program unit, at least SP and reset vector together."""
        return max(self.program_unit_bytes.value, RESET_VECTORS_BYTES)

    @property
    def rom_id_bytes(self) -> int:
        """How wide the bootloader ID is."""
        return 2 if any(rom.id > 0xFF for rom in self.roms) else 1

    def letter(self, rev_id: int) -> str | None:
        """The revision letter for a REV_ID, or None when the table does not know it."""
        return next((row.letter for row in self.revisions if row.rev_id == rev_id), None)

    def sectors(self, *, kib: int | None, bank_mode: BankMode | None) -> tuple[Sector, ...]:
        """The sectors of a part of `kib` KiB (None: the largest) in this bank mode (None: as `geometry`).

        Empty when the table does not know that part: a size that does not end with a sector, or a smaller
        part in dual bank mode, whose second bank begins elsewhere.
        """
        mode = bank_mode or "single"
        for part in self.parts:
            if (part.kib, part.bank_mode) == (kib, mode):
                return _layout(part.layout, 0).sectors
        whole = (
            _layout(self.bank_mode.dual, 0).sectors
            if self.bank_mode and mode == "dual"
            else self.flash.sectors
        )
        end = whole[0].address + (kib * KIB if kib else whole[-1].end - whole[0].address)
        if mode == "dual" and end != whole[-1].end:
            return ()
        cut = tuple(sector for sector in whole if sector.end <= end)
        return cut if cut and cut[-1].end == end else ()

    def predicted_serials(self, *, uid: bytes, idcode: int) -> tuple[str, ...]:
        """The serial numbers this chip's ROM may show on USB; empty where no rule foretells one.

        Twelve hex digits over three little-endian words (ST:263112): the sum of first and third word,
        then the upper half of the second. The words are the UID, or the DBGMCU registers. Sources disagree
        whether the sum carries from its lower half into its upper, so both are possible.
        """
        rule = self.serial.value
        if rule == "idcode":
            return (f"{idcode:08X}0000",)
        if rule == "constant":
            return self.serial_constants.value if self.serial_constants else ()
        if rule in ("random", "unknown"):
            return ()
        w0, w1, w2 = (int.from_bytes(uid[at : at + 4], "little") for at in (0, 4, 8))
        extra = 0x0A if rule == "uid-sum-0a" else 0
        last = (w2 if rule == "uid-sum-w2" else w1) >> 16
        low = (w0 & 0xFFFF) + (w2 & 0xFFFF) + extra
        halves = ((w0 >> 16) + (w2 >> 16)) & 0xFFFF
        carried = (w0 + w2 + extra) & 0xFFFF_FFFF
        return tuple(dict.fromkeys((f"{carried:08X}{last:04X}", f"{halves:04X}{low & 0xFFFF:04X}{last:04X}")))

    def contradiction(self, rom: RomFacts) -> str | None:
        """What in these facts this row's ROM would never show, in words; None when nothing.

        A version or a product string that is only inferred contradicts nobody. A block size does: at
        another one the blocks would land at other addresses, so then nothing is written.
        """
        version = self.bcd_device
        if version.standing != "inferred" and rom.bcd_device != version.value:
            return f"its bootloader reports bcdDevice {rom.bcd_device:04x}, not {version.value:04x}"
        if rom.transfer_size != self.transfer_size.value:
            return f"its bootloader takes blocks of {rom.transfer_size} bytes, not {self.transfer_size.value}"
        names = self.product_string
        if names.standing != "inferred" and rom.product_string not in (None, names.value):
            return f"its bootloader calls itself {rom.product_string!r}, not {names.value!r}"
        if not rom.regions or rom.regions[0].sectors not in self.shown_layouts:
            return f"its flash is laid out differently from a {self.title}"
        constants = self.serial_constants.value if self.serial_constants else ()
        if self.serial.value == "constant" and constants and rom.serial not in constants:
            return f"its bootloader has serial {rom.serial}, not {' or '.join(constants)}"
        if self.serial.value == "idcode" and rom.serial is not None and self.rev_id_of(rom.serial) is None:
            return f"its bootloader has serial {rom.serial}, which does not name a {self.title}"
        return None

    def serial_contradiction(self, serial: str | None, *, uid: bytes, idcode: int) -> str | None:
        """In words: this ROM's serial is not the one that the application's UID and IDCODE foretold.

        Of an IDCODE serial only the first eight digits count: the rest is a register that a debugger
        may have written to. A rule that is only inferred contradicts nobody.
        """
        if self.serial.standing == "inferred":
            return None
        predicted = self.predicted_serials(uid=uid, idcode=idcode)
        if predicted and self.serial_constants:  # some ROM versions of the row show a constant instead
            predicted = (*predicted, *self.serial_constants.value)
        digits = 8 if self.serial.value == "idcode" else None
        if not predicted or (serial or "")[:digits].upper() in {one[:digits].upper() for one in predicted}:
            return None
        return f"its bootloader has serial {serial}, but {predicted[0]} was to be expected"

    def rev_id_of(self, serial: str | None) -> int | None:
        """REV_ID out of the ROM's serial, where the row says that it is the IDCODE."""
        if self.serial.value != "idcode" or serial is None or len(serial) < 8:
            return None
        try:
            idcode = int(serial[:8], 16)
        except ValueError:
            return None
        return idcode >> 16 if idcode & 0xFFF == self.dev_id.value else None


@lru_cache(maxsize=1024)
def _layout(text: str, alternate: int) -> Region:
    return parse_layout(text, alternate)
