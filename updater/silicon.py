"""The silicon table: what is known of each chip, its revisions and its ROM, with sources.

`silicon.toml` is the data; this room loads it strictly and answers three questions: which row is it,
what does its ROM do wrong (`symptoms`, for the lab) and what do we do about it (`behaviour`, for the plan).
A row may match on facts that are not known; then the safe assumption is that it applies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from updater.dfu.layout import parse_layout
from updater.dfu.scripts import Pace
from updater.dfu.words import ProtocolError
from updater.facts import Limitation, Region, RomFacts

T = TypeVar("T")
Standing = Literal["documented", "observed", "inferred"]
Source = Annotated[str, Meta(pattern=r"\S")]
RESET_VECTORS_BYTES = 8
"""Initial SP and reset vector: they must appear in flash together (`docs/safe-order.md`)."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every struct of the table is frozen and refuses keys it does not know."""


class Fact(_Row, Generic[T], frozen=True):
    """A value, how sure we are of it, and who says so."""

    value: T
    standing: Standing
    source: Source


class Revision(_Row, frozen=True):
    """REV_ID of DBGMCU_IDCODE and the letter printed on the package."""

    rev_id: int
    letter: str
    standing: Standing
    source: Source


class Rom(_Row, frozen=True):
    """A bootloader ID as AN2606 prints it: high digit interfaces, low digit version."""

    id: int
    standing: Standing
    source: Source


class LabTiming(_Row, frozen=True):
    """How long the virtual ROM takes; the host never reads this."""

    erase_ms: Fact[dict[str, int]]
    program_us: Fact[int]
    upload_us_per_kib: Fact[int]
    erase_poll_ms: Fact[int]
    write_poll_ms: Fact[int]
    command_poll_ms: Fact[int]
    answers: Fact[Literal["before-work", "after-work"]]
    once_per_erase: Fact[bool]


class Chip(_Row, frozen=True):
    """One row of the table: a DEV_ID and everything that goes with it."""

    id: str
    title: str
    dev_id: Fact[int]
    revisions: tuple[Revision, ...]
    roms: tuple[Rom, ...]
    rom_id_at: Fact[int]
    serial: Fact[Literal["idcode", "uid-sum"]]
    serial_is_unique: Fact[bool]
    bcd_device: Fact[int]
    product_string: Fact[str]
    transfer_size: Fact[int]
    alternates: Fact[tuple[str, ...]]
    program_unit_bytes: Fact[int]
    erase_max_ms: Fact[int]
    write_max_ms: Fact[int]
    usb_ready_ms: Fact[int]
    reenumerate_within_ms: Fact[int]
    empty_check: Fact[bool]
    lab: LabTiming

    @property
    def regions(self) -> tuple[Region, ...]:
        """The alternate settings as regions; the flash is the first."""
        return tuple(parse_layout(text, number) for number, text in enumerate(self.alternates.value))

    @property
    def flash(self) -> Region:
        return self.regions[0]

    @property
    def granule_bytes(self) -> int:
        """The commit granule: the program unit, at least SP and reset vector together."""
        return max(self.program_unit_bytes.value, RESET_VECTORS_BYTES)

    def letter(self, rev_id: int) -> str | None:
        """The revision letter for a REV_ID, or None when the table does not know it."""
        return next((row.letter for row in self.revisions if row.rev_id == rev_id), None)

    def predicted_serial(self, *, uid: bytes, idcode: int) -> str:
        """The serial number string that this chip's ROM will show on USB.

        Twelve hex digits over three little-endian words (ST:263112): the sum of first and third word,
        then the upper half of the second. The words are the UID, or the DBGMCU registers.
        """
        if self.serial.value == "idcode":
            return f"{idcode:08X}0000"
        w0, w1, w2 = (int.from_bytes(uid[at : at + 4], "little") for at in (0, 4, 8))
        return f"{(w0 + w2) & 0xFFFFFFFF:08X}{w1 >> 16:04X}"

    def contradiction(self, rom: RomFacts) -> str | None:
        """What in these facts this row's ROM would never show, in words; None when nothing."""
        if rom.bcd_device != self.bcd_device.value:
            return f"its bootloader reports bcdDevice {rom.bcd_device:04x}, not {self.bcd_device.value:04x}"
        if rom.transfer_size != self.transfer_size.value:  # a block would land at another address
            return f"its bootloader takes blocks of {rom.transfer_size} bytes, not {self.transfer_size.value}"
        if not rom.regions or rom.regions[0].sectors != self.flash.sectors:
            return f"its flash is laid out differently from a {self.title}"
        return None

    def serial_contradiction(self, serial: str | None, *, uid: bytes, idcode: int) -> str | None:
        """In words: this ROM's serial is not the one that the application's UID and IDCODE foretold.

        Of an IDCODE serial only the first eight digits count: the rest is a register that a debugger
        may have written to.
        """
        predicted = self.predicted_serial(uid=uid, idcode=idcode)
        digits = 8 if self.serial.value == "idcode" else len(predicted)
        if serial is None or serial[:digits].upper() != predicted[:digits]:
            return f"its bootloader has serial {serial}, but {predicted} was to be expected"
        return None

    def rev_id_of(self, serial: str | None) -> int | None:
        """REV_ID out of the ROM's serial, where the row says that it is the IDCODE."""
        if self.serial.value != "idcode" or serial is None or len(serial) < 8:
            return None
        try:
            idcode = int(serial[:8], 16)
        except ValueError:
            return None
        return idcode >> 16 if idcode & 0xFFF == self.dev_id.value else None


class Match(_Row, frozen=True):
    """Who a quirk is about. An empty `rom_versions` means every ROM of these chips.

    Where the ROM's version is not known, or is none of the row's, the quirk is assumed, except on the
    revisions named here.
    """

    chips: tuple[str, ...]
    rom_versions: tuple[int, ...]
    rom_unknown_except_revisions: tuple[str, ...]
    source: Source

    def fits(self, chip: Chip, *, rom_version: int | None, revision: str | None) -> bool:
        if chip.id not in self.chips:
            return False
        if not self.rom_versions:
            return True
        if rom_version not in {rom.id for rom in chip.roms}:
            return revision not in self.rom_unknown_except_revisions
        return rom_version in self.rom_versions


class Symptom(_Row, frozen=True):
    """What the silicon does; the lab plays it."""

    source: Source
    erase_sticks_from: int | None = None
    first_answer_ms: int | None = None
    command_before_done_hangs: bool = False
    erase_poll_ms: int | None = None
    write_poll_ms: int | None = None
    command_poll_ms: int | None = None


class Remedy(_Row, frozen=True):
    """What the updater does about it."""

    source: Source
    stuck_erase_from: int | None = None
    stuck_erase_wait_ms: int | None = None
    poll_at_once: bool = False


class Quirk(_Row, frozen=True):
    """Four cells: match, symptom, remedy, and where it was seen.

    `limitation` is the sentence for people; a quirk that nobody notices has none.
    """

    id: str
    seen: Source
    match: Match
    symptom: Symptom
    remedy: Remedy
    limitation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckErase:
    """The cure for an erase that leaves the ROM in dfuDNBUSY: wait this long, then the CLRSTATUS pair."""

    from_address: int
    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What to do with one particular chip: the row and its quirks' remedies, as numbers."""

    chip: Chip
    limitations: tuple[Limitation, ...]
    stuck_erase: StuckErase | None = None
    poll_at_once: bool = False

    @property
    def pace(self) -> Pace:
        """How the scripts move bytes with this chip's ROM."""
        return Pace(
            transfer_size=self.chip.transfer_size.value,
            write_max_ms=self.chip.write_max_ms.value,
            poll_at_once=self.poll_at_once,
            may_stick=self.stuck_erase is not None,
        )


class Silicon(_Row, frozen=True):
    """The whole table."""

    schema: Literal[1]
    chip: tuple[Chip, ...]
    quirk: tuple[Quirk, ...]

    def by_id(self, chip_id: str) -> Chip | None:
        return next((row for row in self.chip if row.id == chip_id), None)

    def by_dev_id(self, dev_id: int) -> Chip | None:
        return next((row for row in self.chip if row.dev_id.value == dev_id), None)

    def like(self, rom: RomFacts) -> tuple[Chip, ...]:
        """The rows whose ROM shows itself like this one."""
        return tuple(row for row in self.chip if row.contradiction(rom) is None)

    def quirks(self, chip: Chip, *, rom_version: int | None, revision: str | None) -> tuple[Quirk, ...]:
        """The quirks to reckon with. What is not known is assumed to be the worse."""
        fits = (row for row in self.quirk if row.match.fits(chip, rom_version=rom_version, revision=revision))
        return tuple(fits)

    def behaviour(self, chip: Chip, *, rom_version: int | None, revision: str | None) -> Behaviour:
        """Fold the quirks' remedies into numbers for the plan."""
        quirks = self.quirks(chip, rom_version=rom_version, revision=revision)
        stuck = [(r.stuck_erase_from, r.stuck_erase_wait_ms) for r in (q.remedy for q in quirks)]
        cures = [StuckErase(from_address=at, wait_ms=ms) for at, ms in stuck if at is not None and ms]
        return Behaviour(
            chip=chip,
            limitations=tuple(_limitation(q, q.limitation) for q in quirks if q.limitation),
            stuck_erase=cures[0] if cures else None,
            poll_at_once=any(quirk.remedy.poll_at_once for quirk in quirks),
        )

    def without_remedy(self, quirk_id: str) -> Silicon:
        """The same table with one remedy emptied: what a tool that does not know the quirk would do."""
        rows = (
            msgspec.structs.replace(row, remedy=Remedy(source=row.remedy.source))
            if row.id == quirk_id
            else row
            for row in self.quirk
        )
        return msgspec.structs.replace(self, quirk=tuple(rows))


def _limitation(quirk: Quirk, text: str) -> Limitation:
    sources = tuple(dict.fromkeys((quirk.match.source, quirk.symptom.source, quirk.remedy.source)))
    return Limitation(id=quirk.id, text=text, source=sources)


def parse_silicon(text: str) -> Silicon:
    """Load a table. Raises `msgspec.ValidationError` (naming the key) or `ValueError` for a bad row."""
    table = msgspec.toml.decode(text, type=Silicon)
    _refuse_repeats("chip", (row.id for row in table.chip))
    _refuse_repeats("DEV_ID", (f"0x{row.dev_id.value:03X}" for row in table.chip))
    _refuse_repeats("quirk", (row.id for row in table.quirk))
    for row in table.chip:
        _check_chip(row)
    for quirk in table.quirk:
        _check_quirk(quirk, table.chip)
    return table


def _check_chip(row: Chip) -> None:
    """What would be wrong in the field is found here."""
    try:
        regions = row.regions
    except ProtocolError as error:
        raise ValueError(f"chip {row.id}: {error}") from error
    sizes = {str(sector.size) for region in regions[:1] for sector in region.sectors}
    if not sizes or sizes - row.lab.erase_ms.value.keys():
        raise ValueError(f"chip {row.id} has no flash, or no erase time for one of its sector sizes")
    _refuse_repeats(f"in chip {row.id} revision", (f"0x{one.rev_id:04X}" for one in row.revisions))
    _refuse_repeats(f"in chip {row.id} ROM", (f"0x{rom.id:02X}" for rom in row.roms))


def _check_quirk(quirk: Quirk, chips: Iterable[Chip]) -> None:
    """A match names only what the table knows; half a remedy is none."""
    match, remedy = quirk.match, quirk.remedy
    rows = [row for row in chips if row.id in match.chips]
    roms = {rom.id for row in rows for rom in row.roms}
    letters = {one.letter for row in rows for one in row.revisions}
    for kind, strangers in (
        ("chips", set(match.chips) - {row.id for row in rows}),
        ("ROMs", {f"0x{rom:02X}" for rom in set(match.rom_versions) - roms}),
        ("revisions", set(match.rom_unknown_except_revisions) - letters),
    ):
        if strangers:
            raise ValueError(f"quirk {quirk.id} names unknown {kind}: {', '.join(sorted(strangers))}")
    if (remedy.stuck_erase_from is None) != (not remedy.stuck_erase_wait_ms):
        raise ValueError(f"quirk {quirk.id}: stuck_erase_from and stuck_erase_wait_ms belong together")
    if (wait_ms := remedy.stuck_erase_wait_ms) and any(wait_ms < row.erase_max_ms.value for row in rows):
        raise ValueError(f"quirk {quirk.id} waits {wait_ms} ms, which is less than the longest erase")


def _refuse_repeats(kind: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise ValueError(f"{kind} {name} stands twice in the silicon table")
        seen.add(name)


@cache
def the_table() -> Silicon:
    """The table that ships with the updater."""
    return parse_silicon(files("updater").joinpath("silicon.toml").read_text(encoding="utf-8"))
