"""Every fault at every point: nothing is lost, nothing untrue is said. `python -m tests.faults` prints it."""

from __future__ import annotations

import pytest

from tests.bench.figures import MATRIX, load
from tests.faults.desk import Desk, Ran
from tests.faults.job import NEW, Job, Work, remembering
from tests.faults.matrix import AGAIN, ENDINGS, LEFT_ALONE, WENT_THROUGH, Matrix, Result
from tests.faults.rows import LARGEST_SECTOR, Row, every_row, one_row_per_geometry
from tests.faults.totals import run, words
from tests.faults.truth import found_wrong
from updater.heads.dfu.words import Request
from updater.heads.plan import Plan
from updater.heads.planwords import describe
from updater.heads.silicon import the_table
from updater.lab.record import BoardState, Fault, FaultKind, Power
from updater.lab.rom import Dialect
from updater.story.flashing import Flasher
from updater.words.errors import DeviceIs, NotFinished, UsbFailed
from updater.words.facts import Segment

ONE_CHIP = "stm32f042"


def a_row(name: str) -> Row:
    return next(row for row in every_row() if str(row).startswith(name))


@pytest.mark.faults
def test_no_fault_at_any_point_on_any_row_loses_a_device_or_makes_the_updater_lie() -> None:
    totals = run(every_row())
    print("\n".join(words(totals)))
    assert totals.wrong == []
    assert totals.lost == 0
    assert {row.split()[0] for row in totals.rows} == written_to()
    fresh, kept = totals.as_json(), load(MATRIX)
    for one in ("rows", "commands", "transfers_of_an_update", "total", "by_kind", "by_row"):
        assert fresh[one] == kept[one], f"{one}: run `python -m tests.bench figures matrix`"


def written_to() -> set[str]:
    return {chip.id for chip in the_table().chip if chip.geometry}


def test_the_rows_of_the_matrix_are_all_that_are_written_to_and_their_sectors_are_small() -> None:
    rows = every_row()
    assert {row.chip_id for row in rows} == written_to()
    for row in rows:
        real = the_table().by_id(row.chip_id)
        assert real is not None
        assert len(row.chip.flash.sectors) == len(real.flash.sectors)
        assert max(sector.size for sector in row.sectors) <= LARGEST_SECTOR
        assert row.chip.program_unit_bytes == real.program_unit_bytes


def test_full_size_rows_are_one_for_each_geometry() -> None:
    rows = one_row_per_geometry()
    assert {row.scale for row in rows} == {1}
    assert {row.sectors for row in every_row(full_size=True)} == {row.sectors for row in rows}


# ------------------------------------------------------------------------------- a thin thread through it


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("stm32h743 ROM 90", Work.FULL),
        ("stm32g0b1 ROM 92", Work.ONE_SECTOR),
        ("stm32f405", Work.FIRST_INSTALL),
    ],
)
def test_some_faults_of_each_kind_are_survived(name: str, work: Work) -> None:
    """A sample, so that a broken promise is seen in every run of the tests. The marked test tries all."""
    result = Matrix(Job(a_row(name), work), Dialect.STANDARD, only=4).run()
    assert result.wrong == []
    assert ended(result) <= set(ENDINGS) - {"lost"}
    assert {WENT_THROUGH, AGAIN, LEFT_ALONE} <= ended(result)


def ended(result: Result) -> set[str]:
    return {how for tally in result.tallies.values() for how in tally.mended}


def test_every_request_that_the_rom_hears_is_a_point_of_the_matrix() -> None:
    desk, whole = a_run(ONE_CHIP, Work.FULL)
    points: dict[str, list[int]] = {}
    for trial in Matrix(desk.job, Dialect.STANDARD).trials(whole):
        at = trial.kill_after or (trial.fault.value if trial.fault else 0)
        points.setdefault(trial.kind, []).append(at)
    every = list(range(1, len(whole.board.heard) + 1))
    assert len(every) > 50
    for kind in ("stall", "cut, self-powered", "cut, bus-powered", "updater killed"):
        assert points[kind] == every
    assert points["error status"] == [n for n in every if whole.board.heard[n - 1] == Request.GETSTATUS]
    written = [part for part in desk.job.image(NEW) if part.data]
    assert len(points["wrong bytes"]) == len(written) + 1  # one block in each sector, and the granule


# --------------------------------------------------------------------- the oracle sees what it is there for


def a_run(name: str, work: Work, power: Power = Power.SELF, fault: Fault | None = None) -> tuple[Desk, Ran]:
    desk = Desk(Job(a_row(name), work))
    with remembering():
        return desk, desk.run(desk.start(power), fault=fault)


def test_the_oracle_sees_a_program_that_is_half_old_and_half_new() -> None:
    desk, _ = a_run("stm32f405", Work.FULL)
    desk.chip.hold(desk.chip.never_held(desk.job.before))
    flash = desk.chip.flash
    flash.mixtures = 0
    flash.erase(desk.job.sectors[1])
    assert flash.mixtures == 1
    flash.erase(desk.job.sectors[0])
    flash.erase(desk.job.sectors[2])
    assert flash.mixtures == 1


def test_the_oracle_sees_a_flasher_that_does_not_hold_the_vector_table_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = Flasher._write

    def vectors_first(flasher: Flasher, parts: tuple[Segment, ...], plan: Plan) -> None:
        is_first = parts == plan.sectors[0].body
        write(flasher, (plan.granule, *parts) if is_first else parts, plan)

    monkeypatch.setattr(Flasher, "_write", vectors_first)
    desk, ran = a_run("stm32f405", Work.FULL)
    assert "a mixture of old and new could start" in found_wrong(desk.job, desk.start(Power.SELF), ran)


def test_the_oracle_sees_words_and_bytes_that_are_not_true() -> None:
    desk, ran = a_run("stm32f405", Work.FULL, fault=Fault(kind=FaultKind.CUT_AFTER, value=80))
    before = desk.start(Power.SELF)
    assert (ran.said.exit, found_wrong(desk.job, before, ran)) == (9, [])
    error = ran.said.error
    assert error is not None
    error.device_is = DeviceIs.RUNS_OLD
    assert "the error says runs-old" in found_wrong(desk.job, before, ran)[0]
    error.device_is = DeviceIs.UNKNOWN
    ran.said.exit = 8
    assert found_wrong(desk.job, before, ran) == ["exit 8, but the flash was changed"]
    ran.said.exit = 0
    assert "exit 0, but the board is not complete" in found_wrong(desk.job, before, ran)[0]


def test_the_oracle_sees_a_kept_region_that_was_touched() -> None:
    desk, ran = a_run("stm32f405", Work.FULL)
    contents = bytearray(ran.state.silicon.contents)
    contents[desk.job.kept.address - desk.job.row.sectors[0].address] ^= 1
    spoilt = ran.state._replace(silicon=ran.state.silicon._replace(contents=bytes(contents)))
    ran.state = spoilt
    wrong = found_wrong(desk.job, desk.start(Power.SELF), ran)
    assert "which the plan does not name" in wrong[0]


# ------------------------------------------------------------------------------------ what the matrix found


def cut_in_the_first_erase(name: str) -> Ran:
    """A bus-powered board, cut off while the sector with its vector table is half erased."""
    desk, whole = a_run(name, Work.FULL, Power.BUS)
    for at in range(1, len(whole.board.heard)):
        fault = Fault(kind=FaultKind.CUT_AFTER, value=at)
        with remembering():
            ran = desk.run(desk.start(Power.BUS), fault=fault)
        if ran.state.board.state is BoardState.LOCKED_UP:
            return ran
    raise AssertionError("it never was half erased")


def test_a_half_erased_vector_table_is_not_empty_and_the_words_say_what_to_do_then() -> None:
    ran = cut_in_the_first_erase("stm32g0b1 ROM D0")
    assert isinstance(ran.said.error, NotFinished)
    assert "If the device is not found, start its bootloader by hand: Hold BOOT" in ran.said.error.advice
    assert ran.said.plan is not None
    assert describe(ran.said.plan)[-2:] == [
        "if cut:   unplug the device, plug it in again, and run the same command",
        "          If the device is not found then: Hold BOOT while you plug it in.",
    ]


def test_a_blank_device_that_is_cut_off_before_its_first_erase_needs_more_than_the_cable() -> None:
    """It was brought into its ROM by hand, so it must be again; nothing was erased, and exit 8 says so."""
    _, ran = a_run("stm32f405", Work.FIRST_INSTALL, Power.BUS, Fault(kind=FaultKind.CUT_AFTER, value=60))
    assert isinstance(ran.said.error, UsbFailed)
    assert ran.state.board.state is BoardState.LOCKED_UP
    assert "start its bootloader by hand: Hold BOOT" in ran.said.error.advice


def test_a_bootloader_that_goes_away_while_it_is_asked_is_not_said_to_be_there() -> None:
    _, ran = a_run("stm32f405", Work.FIRST_INSTALL, fault=Fault(kind=FaultKind.CUT_AFTER, value=30))
    assert ran.said.error is not None
    assert ran.said.error.device_is is not DeviceIs.IN_BOOTLOADER
    assert not ran.is_present


def test_a_device_of_a_rom_that_cannot_start_it_is_not_said_to_be_there_when_it_is_gone() -> None:
    _, ran = a_run("stm32h743 ROM D2", Work.FULL, fault=Fault(kind=FaultKind.CUT_AFTER, value=20))
    assert isinstance(ran.said.error, UsbFailed)
    assert ran.said.error.device_is is DeviceIs.UNKNOWN


def test_the_bundle_of_a_job_is_for_the_version_that_its_image_names() -> None:
    _, ran = a_run("stm32f405", Work.FULL)
    assert ran.said.receipt is not None
    assert (ran.said.exit, str(ran.said.receipt.to_version)) == (0, NEW)
