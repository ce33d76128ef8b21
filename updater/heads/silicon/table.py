"""The whole table: loaded strictly, and asked which row it is.

A quirk may match on facts that are not known; then the safe assumption is that it applies.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from updater.heads.dfu.words import ProtocolError
from updater.heads.silicon.behaviour import Behaviour, behaviour_of
from updater.heads.silicon.cells import BankMode, Row
from updater.heads.silicon.chip import Chip
from updater.heads.silicon.lookalike import Lookalike
from updater.heads.silicon.options import OptionGroup
from updater.heads.silicon.quirk import KnownLimitation, Quirk, Remedy
from updater.words.facts import RomFacts, Shown

_LISTS = ("chip", "quirk", "limitation", "lookalike", "options")
_GUARDS = ("geometry", "parts", "sizes_kib", "bank_mode", "program_unit_bytes", "supply", "otp")
"""What keeps the wrong bytes from being erased or burnt: where the memory is, and how it is written."""


class Silicon(Row, frozen=True):
    """Chips, their quirks, what to know of them, and what only looks like them."""

    schema: Literal[2]
    chip: tuple[Chip, ...]
    quirk: tuple[Quirk, ...]
    limitation: tuple[KnownLimitation, ...] = ()
    lookalike: tuple[Lookalike, ...] = ()
    options: tuple[OptionGroup, ...] = ()

    @property
    def chip_ids(self) -> frozenset[str]:
        """The ids of all chips."""
        return frozenset(row.id for row in self.chip)

    def by_id(self, chip_id: str) -> Chip | None:
        return next((row for row in self.chip if row.id == chip_id), None)

    def by_dev_id(self, dev_id: int) -> Chip | None:
        return next((row for row in self.chip if row.dev_id.value == dev_id), None)

    def like(self, rom: RomFacts) -> tuple[Chip, ...]:
        """The rows whose ROM shows itself like this one: none, one, or several that look alike."""
        return tuple(row for row in self.chip if row.contradiction(rom) is None)

    def lookalike_of(self, usb: str, shown: Shown) -> Lookalike | None:
        """The known look-alike that shows this of itself."""
        return next((row for row in self.lookalike if row.is_this(usb, shown)), None)

    def quirks(
        self,
        chip: Chip,
        *,
        rom_version: int | None,
        revision: str | None,
        bank_mode: BankMode | None = None,
    ) -> tuple[Quirk, ...]:
        """The quirks to reckon with. What is not known is assumed to be the worse."""
        return tuple(
            row
            for row in self.quirk
            if row.match.fits(chip, rom_version=rom_version, revision=revision, bank_mode=bank_mode)
        )

    def behaviour(
        self,
        chip: Chip,
        *,
        rom_version: int | None,
        revision: str | None,
        bank_mode: BankMode | None = None,
    ) -> Behaviour:
        """What to do with this chip, as numbers for the plan."""
        quirks = self.quirks(chip, rom_version=rom_version, revision=revision, bank_mode=bank_mode)
        known = (
            row
            for row in self.limitation
            if chip.id in row.chips and (not row.rom_versions or rom_version in (None, *row.rom_versions))
        )
        return behaviour_of(chip, quirks, known)

    def without_remedy(self, quirk_id: str) -> Silicon:
        """The same table with one remedy emptied: what a tool that does not know the quirk would do."""
        rows = (
            msgspec.structs.replace(
                row, remedy=Remedy(source=row.remedy.source, standing=row.remedy.standing)
            )
            if row.id == quirk_id
            else row
            for row in self.quirk
        )
        return msgspec.structs.replace(self, quirk=tuple(rows))


def parse_silicon(*texts: str) -> Silicon:
    """Load a table from its files' texts.

    Raises `msgspec.ValidationError` (naming the key) or `ValueError` for a bad row.
    """
    lists: dict[str, list[Any]] = {name: [] for name in _LISTS}
    generations: dict[str, dict[str, Any]] = {}
    for text in texts:
        raw = tomllib.loads(text)
        if raw.pop("schema", None) != 2:
            raise ValueError("a file of the silicon table does not say schema = 2")
        own = raw.pop("generation", {})
        if taken := own.keys() & generations.keys():
            raise ValueError(f"generation {min(taken)} stands twice in the silicon table")
        generations |= own
        for name in _LISTS:
            lists[name] += raw.pop(name, [])
        if raw:
            raise ValueError(f"the silicon table does not know {min(raw)!r}")
    lists["chip"] = [_inherited(row, generations) for row in lists["chip"]]
    table = msgspec.convert({"schema": 2, **lists}, Silicon)
    _check(table)
    return table


def _inherited(row: dict[str, Any], generations: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row with its generation's keys for those that it does not state itself."""
    name = row.get("generation")
    if name is None:
        return row
    if name not in generations:
        raise ValueError(f"chip {row.get('id')} is of a generation {name} that nobody describes")
    return {key: value for key, value in (generations[name] | row).items() if key != "generation"}


def _check(table: Silicon) -> None:
    """What would be wrong in the field is found here."""
    _refuse_repeats("chip", (row.id for row in table.chip))
    _refuse_repeats("DEV_ID", (f"0x{row.dev_id.value:03X}" for row in table.chip))
    _refuse_repeats("quirk", (row.id for row in table.quirk))
    _refuse_repeats("look-alike", (row.id for row in table.lookalike))
    for row in table.chip:
        _check_chip(row)
    for quirk in table.quirk:
        _check_quirk(quirk, table.chip)
    for known in table.limitation:
        _refuse_strangers(
            f"limitation {known.id}", "chips", set(known.chips) - {row.id for row in table.chip}
        )
    for group in table.options:
        _check_options(group, {row.id: row for row in table.chip})


def _check_chip(row: Chip) -> None:
    try:
        layouts = [
            *row.shown_layouts,
            *(row.sectors(kib=part.kib, bank_mode=part.bank_mode) for part in row.parts),
        ]
        assert row.regions
    except ProtocolError as error:
        raise ValueError(f"chip {row.id}: {error}") from error
    sizes = {str(sector.size) for sectors in layouts for sector in sectors}
    for times in (row.lab.erase_ms, row.lab.erase_ms_fast or row.lab.erase_ms):
        if not sizes or sizes - times.value.keys():
            raise ValueError(f"chip {row.id} has no flash, or no erase time for one of its sector sizes")
    _refuse_repeats(f"in chip {row.id} revision", (f"0x{one.rev_id:04X}" for one in row.revisions))
    _refuse_repeats(f"in chip {row.id} ROM", (f"0x{rom.id:02X}" for rom in row.roms))
    for name in _GUARDS:
        cells = getattr(row, name)
        for guard in cells if isinstance(cells, tuple) else (cells,):
            if guard is not None and guard.standing == "inferred":
                raise ValueError(f"chip {row.id}: {name} guards against damage and rests on an inference")
    if row.layout_follows_size.value and row.layout_follows_size.standing == "inferred":
        raise ValueError(f"chip {row.id}: layout_follows_size rests on an inference")
    if (row.serial.value == "constant") and row.serial_constants is None:
        raise ValueError(f"chip {row.id}: a constant serial that is not named")
    if (option := row.bank_mode) is not None:
        block = row.option_bytes
        if block is None or not block.at <= option.at & ~3 <= block.at + block.bytes - 4:
            raise ValueError(f"chip {row.id}: {option.option} does not lie in the row's option bytes")
    if row.otp and row.no_otp:
        raise ValueError(f"chip {row.id} has OTP memory and none")
    if row.option_bytes and row.no_option_bytes:
        raise ValueError(f"chip {row.id} shows its option bytes and does not")


def _check_quirk(quirk: Quirk, chips: Iterable[Chip]) -> None:
    """A match names only what the table knows; half a remedy is none; a guard is no inference."""
    match, remedy = quirk.match, quirk.remedy
    rows = [row for row in chips if row.id in match.chips]
    roms = {rom.id for row in rows for rom in row.roms}
    letters = {one.letter for row in rows for one in row.revisions}
    for kind, strangers in (
        ("chips", set(match.chips) - {row.id for row in rows}),
        ("ROMs", {f"0x{rom:02X}" for rom in set(match.rom_versions) - roms}),
        ("revisions", set(match.rom_unknown_except_revisions) - letters),
    ):
        _refuse_strangers(f"quirk {quirk.id}", kind, strangers)
    if (remedy.stuck_erase_from is None) != (not remedy.stuck_erase_wait_ms):
        raise ValueError(f"quirk {quirk.id}: stuck_erase_from and stuck_erase_wait_ms belong together")
    if (wait_ms := remedy.stuck_erase_wait_ms) and any(wait_ms < row.erase_max_ms.value for row in rows):
        raise ValueError(f"quirk {quirk.id} waits {wait_ms} ms, which is less than the longest erase")
    if remedy.guards_against_damage and remedy.standing == "inferred":
        raise ValueError(f"quirk {quirk.id}: its remedy guards against damage and rests on an inference")


def _check_options(group: OptionGroup, chips: dict[str, Chip]) -> None:
    """Every option lies in the bytes that the row's ROM gives, and says in one way what it means."""
    names = ", ".join(field.name for field in group.fields)
    _refuse_strangers(f"options {names}", "chips", set(group.chips) - chips.keys())
    for field in group.fields:
        ways = (field.values, field.protects, field.range_of, field.address_shift is not None)
        if sum(map(bool, ways)) != 1:
            raise ValueError(f"option {field.name} does not say in one way what it means")
        for chip in group.chips:
            block = chips[chip].option_bytes
            if block is None or not block.at <= field.at <= field.end <= block.at + block.bytes:
                raise ValueError(f"chip {chip}: {field.name} does not lie in the row's option bytes")


def _refuse_strangers(who: str, kind: str, strangers: set[str]) -> None:
    if strangers:
        raise ValueError(f"{who} names unknown {kind}: {', '.join(sorted(strangers))}")


def _refuse_repeats(kind: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise ValueError(f"{kind} {name} stands twice in the silicon table")
        seen.add(name)


@cache
def the_table() -> Silicon:
    """The table that ships with the updater: all the `.toml` files of this package."""
    folder = files("updater.heads.silicon")
    rows = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda e: e.name)
    return parse_silicon(*(entry.read_text(encoding="utf-8") for entry in rows))
