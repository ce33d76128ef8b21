"""Any lawful ROM that the silicon table can describe, and any plan for it, as hypothesis draws them.

The rows are small ones (`kit.small`). To a row's own quirks others are added, so that symptoms meet that no
known chip has together; the host learns of them by the same table, so each has its remedy.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
from hypothesis import strategies as st

from tests.pair.job import program
from tests.pair.kit import Known, TableWire, small_table, wire_to
from updater.heads.dfu.words import FIRST_BLOCK, Out, Request, Wish
from updater.heads.silicon import BankMode, Behaviour, Chip, Quirk, Silicon
from updater.lab.flash import Memory, blank_options, size_of
from updater.lab.rom import Dialect
from updater.lab.shelf import UNKNOWN
from updater.lab.symptoms import Behaves, Leaves, behaves
from updater.lab.work import WORD_BYTES
from updater.words.facts import Sector, Segment

POLL_MS = st.sampled_from([0, 1, 7, 100, 1_000, 65_535, 0xFF_FFFF])
NEEDS_TWO_BANKS = "bank2-erase-hits-another-sector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lawful:
    """One ROM in one part, and what the host knows of it."""

    silicon: Known
    chip: Chip = field(repr=False)
    kib: int
    bank_mode: BankMode | None
    dialect: Dialect
    behaves: Behaves
    behaviour: Behaviour = field(repr=False)
    extra: tuple[str, ...]

    @property
    def sectors(self) -> tuple[Sector, ...]:
        return self.chip.sectors(kib=self.kib, bank_mode=self.bank_mode)

    def wire(self, contents: bytes) -> TableWire:
        """A part with this in its flash. Addresses in a hole between two banks are nobody's."""
        memory = Memory(
            self.chip,
            flash=bytearray(contents),
            otp=bytearray(b"\xff" * size_of(self.chip, "otp")),
            options=blank_options(self.chip, self.bank_mode),
            rom_id=self.silicon.rom_version,
            flash_kib=self.kib,
        )
        return wire_to(self.chip, memory, self.behaves, self.dialect)

    @property
    def bytes_of_flash(self) -> int:
        return self.sectors[-1].end - self.sectors[0].address


@st.composite
def lawful_roms(draw: st.DrawFn, *, errs_in_bank_2: bool = False) -> Lawful:
    """A row, a ROM version, a revision, a part, a bank mode, symptoms and times within the row's maxima.

    `errs_in_bank_2`: only such that erase another sector there, which makes a plan erase all at once.
    """
    rows = [chip for chip in small_table().chip if chip.geometry]
    if errs_in_bank_2:
        rows = [chip for chip in rows if _divided(chip)]
    chip = draw(st.sampled_from(rows))
    silicon = Known(
        chip.id,
        draw(st.sampled_from([rom.id for rom in chip.roms] or [0])),
        draw(st.sampled_from([one.letter for one in chip.revisions] or [UNKNOWN])),
    )
    mode: BankMode | None = draw(st.sampled_from(["dual", "single"])) if chip.bank_mode else None
    kibs = [kib for kib in chip.sizes_kib.value if len(chip.sectors(kib=kib, bank_mode=mode)) > 1]
    if errs_in_bank_2:
        mode, kibs = "dual", _divided(chip)
    kib = draw(st.sampled_from(kibs))
    table, extra = _with_more_quirks(draw, chip, errs_in_bank_2=errs_in_bank_2)
    behaviour = _as_the_host_knows_it(draw, chip, table, silicon, mode)
    return Lawful(
        silicon=silicon,
        chip=chip,
        kib=kib,
        bank_mode=mode,
        dialect=draw(st.sampled_from(Dialect)),
        behaves=_within_the_rules(draw, chip, table, silicon, mode, behaviour),
        behaviour=behaviour,
        extra=extra,
    )


def _as_the_host_knows_it(
    draw: st.DrawFn, chip: Chip, table: Silicon, silicon: Known, mode: BankMode | None
) -> Behaviour:
    """With or without ROM version and revision; both where that revision is never sold with that ROM."""
    rom, letter = silicon.rom_version, draw(st.sampled_from([silicon.revision, None]))
    there = table.quirks(chip, rom_version=rom, revision=letter, bank_mode=mode)
    assumed = table.quirks(chip, rom_version=None, revision=letter, bank_mode=mode)
    known = draw(st.sampled_from([rom, None])) if set(there) <= set(assumed) else rom
    return table.behaviour(chip, rom_version=known, revision=letter, bank_mode=mode)


def _divided(chip: Chip) -> list[int]:
    """The sizes of this row's parts whose flash an option bit divides in another way."""
    sizes = chip.sizes_kib.value if chip.bank_mode else ()
    both = {
        kib: (chip.sectors(kib=kib, bank_mode="single"), chip.sectors(kib=kib, bank_mode="dual"))
        for kib in sizes
    }
    return [kib for kib, (single, dual) in both.items() if dual and single != dual]


def _with_more_quirks(
    draw: st.DrawFn, chip: Chip, *, errs_in_bank_2: bool
) -> tuple[Silicon, tuple[str, ...]]:
    """The small table in which this chip has some of the others' quirks as well, in every ROM.

    That of a ROM which errs in the second bank only where an option makes two banks of one.
    """
    table = small_table()
    names = [one.id for one in table.quirk if one.id != NEEDS_TWO_BANKS]
    extra = set(draw(st.lists(st.sampled_from(names), max_size=4)))
    if errs_in_bank_2:
        extra = extra - {"mass-erase-does-nothing"} | {NEEDS_TWO_BANKS}  # with both it is refused
    quirks = tuple(_on(one, chip) if one.id in extra else one for one in table.quirk)
    return msgspec.structs.replace(table, quirk=quirks), tuple(sorted(extra))


def _on(quirk: Quirk, chip: Chip) -> Quirk:
    """The quirk on every ROM of this chip; what it says of bank 2 begins in the middle of its flash."""
    match = msgspec.structs.replace(quirk.match, chips=(*quirk.match.chips, chip.id), rom_versions=())
    symptom, remedy = quirk.symptom, quirk.remedy
    if symptom.erase_sticks_from is not None:
        middle = chip.flash.sectors[len(chip.flash.sectors) // 2].address
        symptom = msgspec.structs.replace(symptom, erase_sticks_from=middle)
        remedy = msgspec.structs.replace(remedy, stuck_erase_from=middle)
    return msgspec.structs.replace(quirk, match=match, symptom=symptom, remedy=remedy)


def _within_the_rules(
    draw: st.DrawFn,
    chip: Chip,
    table: Silicon,
    silicon: Known,
    mode: BankMode | None,
    behaviour: Behaviour,
) -> Behaves:
    """The ROM of this table, with any times up to its maxima and any poll times at all."""
    own = behaves(table, chip, rom_version=silicon.rom_version, revision=silicon.revision, bank_mode=mode)
    units = -(-chip.transfer_size.value // chip.program_unit_bytes.value)
    longest_us = chip.write_max_ms.value * 1000 // units
    program_us, longest_mass_ms = draw(st.integers(0, longest_us)), chip.mass_erase_max_ms.value
    longest = dict.fromkeys(own.erase_ms, chip.erase_max_ms.value)
    return replace(
        own,
        erase_ms={size: draw(st.integers(0, most)) for size, most in longest.items()},
        erase_ms_fast={size: draw(st.integers(0, most)) for size, most in longest.items()},
        mass_erase_ms=draw(st.just(longest_mass_ms) | st.integers(0, longest_mass_ms)),
        program_us=program_us,
        program_us_fast=draw(st.integers(0, program_us)),
        erase_poll_ms=draw(POLL_MS),
        write_poll_ms=draw(POLL_MS),
        command_poll_ms=draw(POLL_MS),
        mass_erase_poll_ms=draw(POLL_MS),
        answers_after_work=draw(st.booleans()),
        stalled_polls=draw(st.integers(0, behaviour.polling.stalls)),
        leaves=draw(st.sampled_from(Leaves)),
        protected_refuses_pointer=draw(st.booleans()),
    )


# ------------------------------------------------------------------------------------------------- images


@st.composite
def images(draw: st.DrawFn, rom: Lawful) -> list[Segment]:
    """A program at the start of the flash, and up to three parts elsewhere; their ends are anywhere."""
    sectors = _without_holes(rom.sectors)
    start, span = sectors[0].address, sectors[min(draw(st.integers(0, 2)), len(sectors) - 1)]
    length = draw(st.integers(16, max(16, span.end - start)))
    stack = draw(st.sampled_from([0x2000_1000, 0x2002_0000, 0x2001_FFF8]))
    segments = [Segment(address=start, data=program(length, at=start, stack=stack, salt=draw(SALT)))]
    behind = [sector for sector in rom.sectors if sector.address >= segments[0].end]
    if behind:
        chosen = set(draw(st.lists(st.sampled_from(behind) | st.just(behind[-1]), max_size=3)))
        if NEEDS_TWO_BANKS in rom.extra:
            chosen.add(draw(st.sampled_from(behind[-3:])))
        segments += [draw(_parts(one)) for one in sorted(chosen, key=lambda one: one.address)]
    return segments


SALT = st.integers(0, 250)


def _without_holes(sectors: Sequence[Sector]) -> list[Sector]:
    """Those of the first bank, where there is a gap before the second."""
    whole = [sectors[0]]
    for sector in sectors[1:]:
        if sector.address != whole[-1].end:
            break
        whole.append(sector)
    return whole


@st.composite
def _parts(draw: st.DrawFn, sector: Sector) -> Segment:
    """Some bytes of one sector. Addresses are multiples of 4 (the manifest's rule); lengths are not."""
    offset = draw(st.integers(0, sector.size // WORD_BYTES - 1)) * WORD_BYTES
    length = draw(st.integers(1, sector.size - offset))
    return Segment(address=sector.address + offset, data=program(length + 16, salt=draw(SALT))[16:])


@st.composite
def prior_contents(draw: st.DrawFn, rom: Lawful, image: Sequence[Segment]) -> bytes:
    """What the flash holds before: blank, anything, or the image with some sectors spoilt."""
    kind = draw(st.sampled_from(["blank", "zeros", "anything", "nearly the image"]))
    size, base = rom.bytes_of_flash, rom.sectors[0].address
    if kind in ("blank", "zeros"):
        return (b"\xff" if kind == "blank" else b"\x00") * size
    chance = random.Random(draw(st.integers(0, 2**32)))
    contents = bytearray(chance.randbytes(size))
    if kind == "nearly the image":
        for part in image:
            contents[part.address - base : part.end - base] = part.data
        for sector in rom.sectors:
            if chance.random() < 0.2:
                contents[sector.address - base] ^= 1 << chance.randrange(8)
    return bytes(contents)


# ----------------------------------------------------------------------------------------------- trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """At most one thing goes wrong on top of the quirks. `value` is an address, or counts blocks."""

    kind: str = "none"
    value: int = 0
    protected: frozenset[int] = frozenset()

    def befall(self, wire: TableWire) -> None:
        rom = wire.rom
        rom.memory.flash.write_protected = self.protected
        rom.memory.read_protected = self.kind == "read-protected"
        rom.bench.stick_at = self.value if self.kind == "stuck" else None
        if self.kind == "flipped":
            blocks = itertools.count(1)

            def hears(wish: Wish) -> None:
                if isinstance(wish, Out) and wish.request == Request.DNLOAD and wish.value >= FIRST_BLOCK:
                    rom.bench.flip_next_write |= next(blocks) == self.value

            wire.hears = hears


@st.composite
def troubles(draw: st.DrawFn, rom: Lawful, image: Sequence[Segment]) -> Trouble:
    kind = draw(st.sampled_from(["none", "none", "write-protected", "read-protected", "stuck", "flipped"]))
    if kind == "write-protected":
        starts = st.sampled_from([sector.address for sector in rom.sectors])
        near = st.just(rom.sectors[0].address) | st.sampled_from([part.address for part in image])
        inside = {_start_of(rom, at) for at in draw(st.lists(near | near | starts, min_size=1, max_size=3))}
        return Trouble(kind=kind, protected=frozenset(inside))
    if kind == "stuck":
        part = draw(st.sampled_from(list(image)))
        return Trouble(kind=kind, value=draw(st.integers(part.address, part.end - 1)))
    block = draw(st.integers(1, 3) | st.integers(1, 40))
    return Trouble(kind=kind, value=block)


def _start_of(rom: Lawful, address: int) -> int:
    return next(sector.address for sector in rom.sectors if sector.address <= address < sector.end)
