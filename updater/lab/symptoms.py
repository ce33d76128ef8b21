"""What a virtual ROM does of itself and wrong: the row's timings, overridden by its quirks' symptoms."""

from __future__ import annotations

from dataclasses import dataclass

from updater.silicon import Chip, Silicon, Symptom


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaves:
    """All numbers that one ROM needs. `erase_sticks_from` is an address; None where no erase sticks."""

    erase_ms: dict[int, int]
    program_us: int
    erase_poll_ms: int
    write_poll_ms: int
    command_poll_ms: int
    answers_after_work: bool
    erase_sticks_from: int | None
    first_answer_ms: int
    command_before_done_hangs: bool


def behaves(table: Silicon, chip: Chip, *, rom_version: int, revision: str) -> Behaves:
    """The row's `[chip.lab]` and the symptoms of every quirk that fits this ROM. Remedies are not read."""
    symptoms = [quirk.symptom for quirk in table.quirks(chip, rom_version=rom_version, revision=revision)]
    lab = chip.lab
    return Behaves(
        erase_ms={int(size): ms for size, ms in lab.erase_ms.value.items()},
        program_us=lab.program_us.value,
        erase_poll_ms=_first(symptoms, "erase_poll_ms", lab.erase_poll_ms.value),
        write_poll_ms=_first(symptoms, "write_poll_ms", lab.write_poll_ms.value),
        command_poll_ms=_first(symptoms, "command_poll_ms", lab.command_poll_ms.value),
        answers_after_work=lab.answers.value == "after-work",
        erase_sticks_from=next(
            (s.erase_sticks_from for s in symptoms if s.erase_sticks_from is not None), None
        ),
        first_answer_ms=_first(symptoms, "first_answer_ms", 0),
        command_before_done_hangs=any(s.command_before_done_hangs for s in symptoms),
    )


def _first(symptoms: list[Symptom], field: str, otherwise: int) -> int:
    values: list[int | None] = [getattr(symptom, field) for symptom in symptoms]
    return next((value for value in values if value is not None), otherwise)
