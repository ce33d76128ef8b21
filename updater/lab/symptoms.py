"""What a virtual ROM does of itself and wrong: the row's timings, overridden by its quirks' symptoms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from updater.heads.silicon import BankMode, Chip, Silicon, Symptom


class Leaves(StrEnum):
    """How a ROM goes to the application after the zero-length DNLOAD (facts of many hosts' logs).

    `answers` dfuMANIFEST first (AN3156); `drops` off the bus before it answers; `stalls` that GETSTATUS;
    answers it with a `status-error`; goes `on-zero-download` already, without a GETSTATUS; or comes back
    after `one-more-reset`, which the application has to make itself.
    """

    ANSWERS = "answers"
    DROPS = "drops"
    STALLS = "stalls"
    STATUS_ERROR = "status-error"
    ON_ZERO_DOWNLOAD = "on-zero-download"
    ONE_MORE_RESET = "one-more-reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaves:
    """All that one ROM needs to know of itself. Sizes are in bytes; an address of None means nowhere."""

    erase_ms: dict[int, int]
    erase_ms_fast: dict[int, int]
    mass_erase_ms: int | None
    program_us: int
    program_us_fast: int
    erase_poll_ms: int
    write_poll_ms: int
    command_poll_ms: int
    mass_erase_poll_ms: int | None
    answers_after_work: bool
    erase_sticks_from: int | None
    first_answer_ms: int
    leaves: Leaves
    command_before_done_hangs: bool = False
    mass_erase_does_nothing: bool = False
    bank2_erase_hits_sectors_later: int = 0
    bank2_erases_first_of_several: bool = False
    corrupts_odd_buffers_over: int | None = None
    stalled_polls: int = 0
    clrstatus_outside_error_stalls: bool = False
    functional_descriptor_alone_hangs: bool = False
    go_is_broken: bool = False
    go_needs_stack_below_ram_end_by: int = 0
    protected_refuses_pointer: bool = False  # AN3156 and BFC disagree; the tests play both


def behaves(
    table: Silicon, chip: Chip, *, rom_version: int, revision: str, bank_mode: BankMode | None = None
) -> Behaves:
    """The row's `[chip.lab]` and the symptoms of every quirk that fits this ROM. Remedies are not read."""
    quirks = table.quirks(chip, rom_version=rom_version, revision=revision, bank_mode=bank_mode)
    symptoms = [quirk.symptom for quirk in quirks]
    lab = chip.lab
    numbers: dict[str, Any] = {
        "erase_poll_ms": lab.erase_poll_ms.value,
        "write_poll_ms": lab.write_poll_ms.value,
        "command_poll_ms": lab.command_poll_ms.value,
        "mass_erase_ms": None,
        "mass_erase_poll_ms": None,
        "erase_sticks_from": None,
        "first_answer_ms": 0,
        "bank2_erase_hits_sectors_later": 0,
        "corrupts_odd_buffers_over": None,
        "stalled_polls": 0,
        "go_needs_stack_below_ram_end_by": 0,
    }
    flags: tuple[str, ...] = (
        "command_before_done_hangs",
        "mass_erase_does_nothing",
        "bank2_erases_first_of_several",
        "clrstatus_outside_error_stalls",
        "functional_descriptor_alone_hangs",
        "go_is_broken",
    )
    fast, erases_fast = lab.program_us_fast, lab.erase_ms_fast or lab.erase_ms
    return Behaves(
        erase_ms={int(size): ms for size, ms in lab.erase_ms.value.items()},
        erase_ms_fast={int(size): ms for size, ms in erases_fast.value.items()},
        program_us=lab.program_us.value,
        program_us_fast=fast.value if fast else lab.program_us.value,
        answers_after_work=lab.answers.value == "after-work",
        leaves=Leaves.DROPS if chip.leave.value == "drops" else Leaves.ANSWERS,
        **{name: _first(symptoms, name, value) for name, value in numbers.items()},
        **{name: any(getattr(symptom, name) for symptom in symptoms) for name in flags},
    )


def _first(symptoms: list[Symptom], field: str, otherwise: Any) -> Any:
    values = [getattr(symptom, field) for symptom in symptoms]
    return next((value for value in values if value is not None), otherwise)
