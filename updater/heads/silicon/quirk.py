"""What ROMs do wrong and what the updater does about it, and what a person only has to know."""

from __future__ import annotations

from updater.heads.silicon.cells import BankMode, Row, Source, Standing
from updater.heads.silicon.chip import Chip


class Match(Row, frozen=True):
    """Who a quirk is about. An empty `rom_versions` means every ROM of these chips, no `bank_mode` both.

    Where the ROM's version is not known, or is none of the row's, the quirk is assumed, except on the
    revisions named here. An unknown bank mode is assumed to be the one named.
    """

    chips: tuple[str, ...]
    source: Source
    rom_versions: tuple[int, ...] = ()
    rom_unknown_except_revisions: tuple[str, ...] = ()
    bank_mode: BankMode | None = None

    def fits(
        self, chip: Chip, *, rom_version: int | None, revision: str | None, bank_mode: BankMode | None
    ) -> bool:
        if chip.id not in self.chips:
            return False
        if self.bank_mode is not None and bank_mode not in (None, self.bank_mode):
            return False
        if not self.rom_versions:
            return True
        if rom_version not in {rom.id for rom in chip.roms}:
            return revision not in self.rom_unknown_except_revisions
        return rom_version in self.rom_versions


class Symptom(Row, frozen=True):
    """What the silicon does; the lab plays it. `bank2` is the second half of the flash."""

    source: Source
    erase_sticks_from: int | None = None
    first_answer_ms: int | None = None
    command_before_done_hangs: bool = False
    erase_poll_ms: int | None = None
    write_poll_ms: int | None = None
    command_poll_ms: int | None = None
    mass_erase_poll_ms: int | None = None
    mass_erase_ms: int | None = None
    mass_erase_does_nothing: bool = False
    bank2_erase_hits_sectors_later: int | None = None
    bank2_erases_first_of_several: bool = False
    corrupts_odd_buffers_over: int | None = None
    stalled_polls: int | None = None
    clrstatus_outside_error_stalls: bool = False
    functional_descriptor_alone_hangs: bool = False
    go_is_broken: bool = False
    go_needs_stack_below_ram_end_by: int | None = None


class Remedy(Row, frozen=True):
    """What the updater does about it.

    `never_sent` says in words why the updater cannot meet the symptom at all: it never sends what brings
    it about. A remedy that guards against damage does not stand on an inference alone.
    """

    source: Source
    standing: Standing
    stuck_erase_from: int | None = None
    stuck_erase_wait_ms: int | None = None
    poll_at_once: bool = False
    no_mass_erase: bool = False
    no_sector_erase_in_bank2: bool = False
    pad_to_bytes: int | None = None
    stalled_poll_retries: int | None = None
    replug_to_start: bool = False
    replug_if_stack_within: int | None = None
    never_sent: str | None = None

    @property
    def guards_against_damage(self) -> bool:
        """Whether without this remedy the device could be left with wrong or missing bytes."""
        return bool(
            self.stuck_erase_from or self.no_mass_erase or self.no_sector_erase_in_bank2 or self.pad_to_bytes
        )


class Quirk(Row, frozen=True):
    """Four cells: match, symptom, remedy, and where it was seen.

    `limitation` is the sentence for people; a quirk that nobody notices has none.
    """

    id: str
    seen: Source
    match: Match
    symptom: Symptom
    remedy: Remedy
    limitation: str | None = None


class KnownLimitation(Row, frozen=True):
    """What a person should know of this silicon and the updater can do nothing about."""

    id: str
    chips: tuple[str, ...]
    rom_versions: tuple[int, ...]
    text: str
    standing: Standing
    source: Source
