"""Every row of quirks: with its remedy the whole job is done, and its failing without it is proved.

The virtual ROM plays the symptom in both cases; only what the updater does about it changes. The halves
without the remedy are in the modules imported here, by kind.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import asdict

from tests.pair import test_quirks_of_erasing, test_quirks_of_talking
from tests.pair.job import ceiling_ms, flasher_on, install, plan_for
from tests.pair.kit import TABLE, on_usb, row
from tests.pair.quirk_cases import (
    CASES,
    PROVED,
    Case,
    carried_out,
    each_dialect,
    first_and_last,
    holds,
)
from updater.lab.rom import Dialect
from updater.words.errors import Refused

each_case = pytest.mark.parametrize("case", CASES, ids=str)


@each_case
@each_dialect
@pytest.mark.parametrize("is_rom_known", [True, False], ids=["known", "unknown"])
def test_with_its_remedy_the_job_is_done(case: Case, dialect: Dialect, is_rom_known: bool) -> None:
    wire, segments = case.wire(dialect), first_and_last(case)
    behaviour = case.behaviour(is_rom_known=is_rom_known)
    plan = plan_for(behaviour, segments, bank_mode=case.bank_mode)
    carried_out(wire, plan)
    assert holds(wire, *segments)
    assert wire.rom.memory.flash.contents.count(0xFF) == plan.erase_bytes - sum(len(s.data) for s in segments)
    assert wire.rom.violations == []
    assert wire.clock.now_ms() < ceiling_ms(plan)


@pytest.mark.parametrize("case", {case.quirk.id: case for case in CASES}.values(), ids=str)
def test_with_its_remedy_the_job_is_done_over_pyusb(case: Case, tmp_path: Path) -> None:
    segments = first_and_last(case)
    with (
        on_usb(tmp_path / "lab", case.silicon, bank_mode=case.bank_mode) as usb,
        usb.opened() as wire,
    ):
        install(flasher_on(wire, usb.clock), case.plan(segments))
        flash = usb.board.memory.flash
        assert [flash.read(part.address, len(part.data)) for part in segments] == [s.data for s in segments]
        assert usb.board.violations == ()


def test_every_symptom_of_every_row_is_seen_failing_by_one_of_the_proofs() -> None:
    """A new kind of symptom needs a new kind of proof."""
    assert test_quirks_of_erasing
    assert test_quirks_of_talking
    for quirk in TABLE.quirk:
        assert [case for case in CASES if case.quirk is quirk], quirk.id
        shown = {name for name, value in asdict(quirk.symptom).items() if value and name != "source"}
        assert shown, quirk.id
        assert shown <= PROVED, quirk.id


def test_a_chip_with_a_quirk_and_without_a_geometry_is_refused_before_the_quirk_can_be_met() -> None:
    ids = {chip for quirk in TABLE.quirk for chip in quirk.match.chips if row(chip).geometry is None}
    assert ids
    for chip_id in ids:
        behaviour = TABLE.behaviour(row(chip_id), rom_version=None, revision=None)
        with pytest.raises(Refused, match="does not write to"):
            plan_for(behaviour, first_and_last(CASES[0]))
