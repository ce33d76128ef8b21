"""Several devices at once: one question, a lane for each, and what stops one leaves the others alone."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.desk import Desk, Said, program
from updater.doors.terminal import JsonFace
from updater.heads.gate import verify_bundle
from updater.heads.manifest import Bundle
from updater.heads.policy import OpenedFrom
from updater.story.job import Hands, Prepared, Request
from updater.story.lanes import Outcome, gravest, perform_every, prepare_every
from updater.words.events import Event, Step, StepDone, StepStarted

OLD, NEW = program("1.0.0"), program("1.1.0")


@pytest.fixture
def bench(desk: Desk) -> Desk:
    """Four gizmos on one bench, at ports 1-1 to 1-4, with version 1.0.0."""
    desk.sells("stm32f405", flash_kib=1024)
    for number in range(1, 5):
        desk.plug_in_gizmo("stm32f405", OLD, name=f"board{number}", port=f"1-{number}")
    return desk


def boards(said: Said) -> dict[str, dict[str, Any]]:
    return {line["port"]: line for line in said.lines if line["type"] == "board"}


def test_all_devices_are_updated_after_one_question(bench: Desk) -> None:
    said = bench.updater("install", bench.bundle(NEW), "--all", stdin="y\n")
    assert said.exit == 0, said.err
    assert said.err.count("Update 4 devices now?") == 1
    assert said.err.count("The plan:") == 1, "boards that are alike share one plan"
    assert "Ports 1-1, 1-2, 1-3, 1-4:" in said.err
    assert "4 devices: 4 done, 0 failed." in said.err
    for number in range(1, 5):
        assert bench.holds(NEW, f"board{number}")


def test_a_no_leaves_all_of_them_untouched(bench: Desk) -> None:
    said = bench.updater("install", bench.bundle(NEW), "--all", stdin="n\n")
    assert said.exit == 12
    assert all(bench.holds(OLD, f"board{number}") for number in range(1, 5))


def test_the_lanes_of_virtual_boards_share_their_time_and_run_side_by_side(bench: Desk) -> None:
    one = bench.install(bench.bundle(NEW), "--device", "1-1")
    alone_ms = sum(step["ms"] for step in one.last["steps"])
    said = bench.install(bench.bundle(program("1.2.0")), "--all")
    for board in boards(said).values():
        # the lab shares out one machine's turns; each lane still lasts as long as one device alone
        assert board["ms"] == pytest.approx(alone_ms, rel=0.1)


@pytest.mark.parametrize("fault", [("cut-after", 40), ("stall-at", 40), ("no-leave",), ("wrong-identity",)])
def test_a_lane_that_fails_leaves_the_others_alone_and_decides_the_exit_status(
    bench: Desk, fault: tuple[Any, ...]
) -> None:
    alone = bench.bundle(NEW)
    bench.fault(*fault, name="board3")
    said = bench.install(alone, "--all")
    every = boards(said)
    assert [every[f"1-{number}"]["exit"] for number in (1, 2, 4)] == [0, 0, 0]
    assert every["1-3"]["exit"] != 0
    assert said.exit == every["1-3"]["exit"] == said.last["exit"]
    assert said.last["type"] == "tally"
    bench.fault("none", name="board3")
    bench.replug(name="board3", boot=True)
    again = bench.install(alone, "--all", "--as", "gizmo:A")
    assert again.exit == 0, again.out
    assert bench.holds(NEW, "board3")


def test_every_json_line_says_which_port_it_is_about(bench: Desk) -> None:
    said = bench.install(bench.bundle(NEW), "--all")
    *lines, tally = said.lines
    assert {line["port"] for line in lines} == {"1-1", "1-2", "1-3", "1-4"}
    assert tally == {
        "type": "tally", "exit": 0,
        "boards": [{"port": board["port"], "exit": 0} for board in boards(said).values()],
    }  # fmt: skip
    for port in ("1-1", "1-4"):
        mine = [line for line in lines if line["port"] == port]
        steps = [line.get("step", line["type"]) for line in mine]
        assert steps.index("plan") < steps.index("enter")
        assert mine[-1]["type"] == "board"
        assert mine[-1]["receipt"]["result"] == "confirmed"
        assert {"enter", "erase", "write", "verify", "leave", "confirm"} <= {
            line["step"] for line in mine if line["type"] == "progress"
        }


def test_a_bundle_is_verified_once_for_all(bench: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def counted(data: bytes, **how: Any) -> Bundle:
        calls.append(data)
        return verify_bundle(data, **how)

    monkeypatch.setattr("updater.story.supply.verify_bundle", counted)
    assert bench.install(bench.bundle(NEW), "--all").exit == 0
    assert len(calls) == 1


@pytest.mark.parametrize("columns", ["80", "100"])
def test_devices_that_cannot_be_updated_are_said_before_the_question(
    bench: Desk, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    bench.plug_in_gizmo("stm32f405", None, name="board5", port="1-5", in_rom=True)
    said = bench.updater("install", bench.bundle(NEW), "--all", stdin="n\n")
    assert said.exit == 12
    assert "1-5      FAILED" in said.out
    assert "--as PRODUCT" in " ".join(said.out.split()), "lines fold at the screen's width"


def test_each_board_leaves_a_line_in_both_files_and_its_label(bench: Desk, tmp_path: Path) -> None:
    bench.fault("no-leave", name="board2")
    paper = tmp_path / "paper"
    label = "$title $version for $port"
    said = bench.install(bench.bundle(NEW), "--all", "--receipts", str(paper), "--label", label)
    assert said.exit == 10
    with (paper / "boards.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (paper / "boards.jsonl").read_text().splitlines()]
    assert sorted((row["port"], row["result"]) for row in table) == [
        ("1-1", "confirmed"), ("1-2", "written-not-confirmed"), ("1-3", "confirmed"), ("1-4", "confirmed"),
    ]  # fmt: skip
    assert [line["port"] for line in lines] == [row["port"] for row in table]
    labels = {row["port"]: row["label"] for row in table}
    assert labels["1-1"] == "Gizmo 1.1.0 for 1-1"
    assert labels["1-2"] == "", "a board that is not done gets no label"
    uids = {bench.board(f"board{number}")["uid"].lower() for number in range(1, 5)}
    assert {row["uid"] for row in table} == uids


def test_a_second_run_adds_to_the_files_and_says_the_columns_once(bench: Desk, tmp_path: Path) -> None:
    paper = tmp_path / "paper"
    for _ in range(2):
        assert bench.install(bench.bundle(NEW), "--all", "--receipts", str(paper)).exit == 0
    with (paper / "boards.csv").open(newline="") as file:
        results = [row["result"] for row in csv.DictReader(file)]
    assert results == ["confirmed"] * 4 + ["nothing-to-do"] * 4


@pytest.mark.parametrize("label", ["$serialnumber", "50 $ off", "${"])
def test_a_label_that_no_board_has_is_refused_before_anything_else(bench: Desk, label: str) -> None:
    said = bench.updater("install", bench.bundle(NEW), "--all", "--label", label)
    assert said.exit == 2
    assert "$title" in said.err
    assert bench.holds(OLD)


def test_receipts_that_cannot_be_written_are_known_before_the_first_board(
    bench: Desk, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    said = bench.install(bench.bundle(NEW), "--all", "--receipts", str(tmp_path / "file"))
    assert said.exit == 13
    assert bench.holds(OLD)


@pytest.mark.parametrize("command", [["install", "--all"], ["station", "--boards", "1"]])
def test_a_product_that_there_is_not_is_said_before_any_question(bench: Desk, command: list[str]) -> None:
    said = bench.updater(*command, bench.bundle(NEW), "--as", "gadgetron")
    assert said.exit == 2
    assert "[y/N]" not in said.err


def test_all_and_one_device_exclude_each_other(bench: Desk) -> None:
    assert bench.updater("install", bench.bundle(NEW), "--all", "--device", "1-1").exit == 2


def test_a_dry_run_shows_the_plan_of_each_and_touches_none(bench: Desk) -> None:
    said = bench.updater("install", bench.bundle(NEW), "--all", "--dry-run", "--json")
    assert said.exit == 0
    assert sum(line["type"] == "plan" for line in said.lines) == 4
    assert {line["result"] for line in boards(said).values()} == {"dry-run"}
    assert all(bench.holds(OLD, f"board{number}") for number in range(1, 5))


@pytest.mark.parametrize("step", list(Step)[2:])
def test_ctrl_c_stops_every_lane_and_the_same_command_finishes_them(bench: Desk, step: Step) -> None:
    pressed: list[Step] = []

    def hear(port: str, event: Event) -> None:
        if port == "1-2" and isinstance(event, StepStarted) and event.step is step and not pressed:
            pressed.append(step)
            raise KeyboardInterrupt

    file = Path(bench.bundle(NEW))
    request = Request(opened_from=OpenedFrom.FILE, data=file.read_bytes())
    outcomes: list[Outcome] = []
    with bench.hands() as hands:
        every = prepare_every(hands, request, lambda _port, _event: None)
        ready = {port: one for port, one in every.items() if not isinstance(one, Outcome)}
        perform_every(hands, ready, hear, outcomes.append)
    assert len(outcomes) == 4
    assert {one.exit_status for one in outcomes} <= {0, 8, 9, 10, 12}
    for number in range(1, 5):
        bench.replug(name=f"board{number}")
        if bench.board(f"board{number}")["state"] == "locked-up":
            bench.replug(name=f"board{number}", boot=True)
    assert bench.install(str(file), "--all", "--as", "gizmo:A").exit == 0
    assert all(bench.holds(NEW, f"board{number}") for number in range(1, 5))


def ready_on(hands: Hands, bench: Desk) -> dict[str, Prepared]:
    """Every board of the bench, prepared for the new version."""
    request = Request(opened_from=OpenedFrom.FILE, data=Path(bench.bundle(NEW)).read_bytes())
    every = prepare_every(hands, request, lambda _port, _event: None)
    return {port: one for port, one in every.items() if isinstance(one, Prepared)}


def test_ctrl_c_while_the_last_words_are_told_loses_no_outcome(bench: Desk) -> None:
    told: list[str] = []

    def hear(port: str, event: Event) -> None:
        if isinstance(event, StepDone) and event.step is Step.CONFIRM:
            told.append(port)
            if len(told) == 1:
                raise KeyboardInterrupt

    outcomes: list[Outcome] = []
    with bench.hands() as hands:
        perform_every(hands, ready_on(hands, bench), hear, outcomes.append)
    assert told
    assert sorted((one.port, one.exit_status) for one in outcomes) == [(f"1-{n}", 0) for n in range(1, 5)]


def test_ctrl_c_while_an_outcome_is_noted_waits_until_it_is(bench: Desk) -> None:
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        signal.raise_signal(signal.SIGINT)
        outcomes.append(outcome)

    with bench.hands() as hands:
        perform_every(hands, ready_on(hands, bench), lambda _port, _event: None, note)
    assert sorted(one.port for one in outcomes) == ["1-1", "1-2", "1-3", "1-4"]


def test_whatever_fails_beside_the_lanes_is_raised_when_all_of_them_have_ended(bench: Desk) -> None:
    def hear(_port: str, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step is Step.ERASE:
            raise TypeError("a fault in the screen's words")

    outcomes: list[Outcome] = []
    with bench.hands() as hands, pytest.raises(TypeError, match="words"):
        perform_every(hands, ready_on(hands, bench), hear, outcomes.append)
    assert [one.exit_status for one in outcomes] == [0, 0, 0, 0]
    assert all(bench.holds(NEW, f"board{number}") for number in range(1, 5))


@pytest.mark.parametrize("command", [["install", "--all"], ["station", "--boards", "4"]])
def test_a_reader_that_goes_away_stops_no_lane(
    bench: Desk, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    emit = JsonFace.emit

    def read_to_the_erase(face: JsonFace, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step is Step.ERASE:
            raise BrokenPipeError
        emit(face, event)

    monkeypatch.setattr(JsonFace, "emit", read_to_the_erase)
    said = bench.updater(*command, bench.bundle(NEW), "--yes", "--json")
    assert said.exit == 0
    assert all(bench.holds(NEW, f"board{number}") for number in range(1, 5))


def test_the_gravest_lane_decides() -> None:
    """Architecture, section 4: 70, 9, 10, 8, 11, 4, 5, 6, 7, 3, 13, 12, 0."""
    assert gravest([]) == 0
    assert gravest([0, 12, 13]) == 13
    assert gravest([3, 13, 7, 6]) == 6
    assert gravest([4, 11, 8, 10]) == 10
    assert gravest([10, 9, 0]) == 9
    assert gravest([9, 70]) == 70


@pytest.mark.parametrize("option", [["--receipts", "paper"], ["--label", "$serial"]])
def test_paper_for_a_single_device_is_refused_and_not_forgotten(bench: Desk, option: list[str]) -> None:
    said = bench.install(bench.bundle(NEW), "--device", "1-1", *option)
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert "go with --all" in said.last["message"]
    assert not bench.holds(NEW)
