"""What to do with one particular chip: its row and the remedies of the quirks that fit, as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from updater.heads.dfu.scripts import AS_TOLD, Pace, Polling
from updater.heads.silicon.chip import Chip
from updater.heads.silicon.quirk import KnownLimitation, Quirk
from updater.words.facts import Limitation


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckErase:
    """The cure for an erase that leaves the ROM in dfuDNBUSY: wait this long, then the CLRSTATUS pair."""

    from_address: int
    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A chip and what is done differently because of its quirks.

    `replug_to_start` and `replug_if_stack_within` are about a ROM that cannot start the application (at
    all; with a stack pointer so close to a RAM's end): the person unplugs the device instead.
    """

    chip: Chip
    limitations: tuple[Limitation, ...]
    stuck_erase: StuckErase | None = None
    polling: Polling = AS_TOLD
    unit_bytes: int
    no_mass_erase: str | None = None
    no_sector_erase_in_bank2: str | None = None
    replug_to_start: bool = False
    replug_if_stack_within: int = 0

    @property
    def pace(self) -> Pace:
        """How the scripts move bytes with this chip's ROM."""
        return Pace(
            transfer_size=self.chip.transfer_size.value,
            write_max_ms=self.chip.write_max_ms.value,
            polling=self.polling,
            may_stick=self.stuck_erase is not None,
        )


def behaviour_of(chip: Chip, quirks: Iterable[Quirk], known: Iterable[KnownLimitation]) -> Behaviour:
    """Fold the remedies of these quirks, and what a person should know, over the chip's row."""
    quirks = tuple(quirks)
    remedies = [quirk.remedy for quirk in quirks]
    stuck = [(r.stuck_erase_from, r.stuck_erase_wait_ms) for r in remedies]
    cures = [StuckErase(from_address=at, wait_ms=ms) for at, ms in stuck if at is not None and ms]
    return Behaviour(
        chip=chip,
        limitations=(*_of_quirks(quirks), *_of_rows(known)),
        stuck_erase=cures[0] if cures else None,
        polling=Polling(
            at_once=any(r.poll_at_once for r in remedies),
            stalls=max((r.stalled_poll_retries or 0 for r in remedies), default=0),
        ),
        unit_bytes=max([chip.program_unit_bytes.value, *(r.pad_to_bytes or 1 for r in remedies)]),
        no_mass_erase=_words(q for q in quirks if q.remedy.no_mass_erase),
        no_sector_erase_in_bank2=_words(q for q in quirks if q.remedy.no_sector_erase_in_bank2),
        replug_to_start=any(r.replug_to_start for r in remedies),
        replug_if_stack_within=max((r.replug_if_stack_within or 0 for r in remedies), default=0),
    )


def _words(quirks: Iterable[Quirk]) -> str | None:
    return next((quirk.limitation or quirk.id for quirk in quirks), None)


def _of_quirks(quirks: Iterable[Quirk]) -> Iterable[Limitation]:
    for quirk in quirks:
        if quirk.limitation:
            sources = (quirk.match.source, quirk.symptom.source, quirk.remedy.source)
            yield Limitation(
                id=quirk.id, text=quirk.limitation, source=tuple(dict.fromkeys(sources)), handled=True
            )


def _of_rows(known: Iterable[KnownLimitation]) -> Iterable[Limitation]:
    for row in known:
        source = row.source if row.standing != "inferred" else f"{row.source} (inferred)"
        yield Limitation(id=row.id, text=row.text, source=(source,), handled=False)
