"""A station that burns each board's own values: every row once; no firmware where they cannot be burnt."""

from __future__ import annotations

import binascii
import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.desk import FLASH, Desk, Said, program
from tests.story.otp_desk import DATA_BYTES, F746, burns_a_lock_byte_too, new, stores_nothing
from updater.lab.flash import Otp
from updater.lab.record import Power

OLD, NEW = (program(version, (FLASH, 1_200)) for version in ("1.0.0", "1.1.0"))
LAYOUT = """
schema = 1
product = "gizmo"
[[field]]
name = "serial"
type = "u32"
offset = 0x20
csv = "Serial"
[[field]]
name = "batch"
type = "u16"
offset = 0x40
asked = true
[[field]]
name = "key"
type = "bytes"
length = 2
offset = 0x80
csv = "Key"
secret = true
"""
ROWS = "Serial,Key\n1,AA01\n2,AA02\n3,AA03\n4,AA04\n"


def bench(desk: Desk, *, boards: int = 1, runs: Any = None, chip: str = F746, layout: str = LAYOUT) -> Path:
    """An engineer's station, a table, and boards that were never programmed (or run something)."""
    desk.sells(chip)
    folder = desk.state.parent
    vendor = folder / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
    (folder / "gizmo.toml").write_text(layout, "utf-8")
    (folder / "boards.csv").write_text(ROWS, "utf-8")
    for number in range(1, boards + 1):
        desk.plug_in_gizmo(chip, runs, name=f"board{number}", port=f"1-{number}")
    return folder


def serve(desk: Desk, *more: str, boards: int = 1, firmware: Any = NEW, otp: str = "gizmo.toml") -> Said:
    """The station with the layout in a file, until it has served so many boards."""
    folder = desk.state.parent
    given = ["--otp", str(folder / otp)] if otp else ["--otp"]
    return desk.updater(
        "station", desk.bundle(firmware, otp=None if otp else LAYOUT), *given,
        "--from", str(folder / "boards.csv"),
        "--set", "batch=0x0102", "--as", "gizmo:A", "--receipts", str(folder / "paper"), "--yes",
        "--boards", str(boards), *more,
    )  # fmt: skip


def board(row: int) -> bytes:
    return new((0x20, f"0{row}000000"), (0x40, "0201"), (0x80, f"AA0{row}"))


def held(desk: Desk, name: str = "board1") -> bytes:
    return (desk.lab / name / "otp.bin").read_bytes()


def ledger(desk: Desk) -> list[int]:
    path = desk.state.parent / "boards.csv.ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry["row"] for entry in map(json.loads, lines) if "done" not in entry]


def paper(desk: Desk) -> list[dict[str, str]]:
    with (desk.state.parent / "paper" / "boards.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_new_boards_get_firmware_and_each_a_row_of_its_own(desk: Desk) -> None:
    bench(desk, boards=3)
    said = serve(desk, boards=3)
    assert said.exit == 0, said.err
    names = [f"board{number}" for number in (1, 2, 3)]
    assert all(desk.holds(NEW, name) for name in names)
    assert sorted(held(desk, name) for name in names) == [board(1), board(2), board(3)]
    assert sorted(ledger(desk)) == [1, 2, 3]
    assert all(held(desk, name)[DATA_BYTES:] == b"\xff" * 16 for name in names), "nothing is ever locked"
    assert "4 rows are free of 4. Nothing is locked." in said.err
    assert "and burn its values for ever? yes" in said.err
    assert said.out.count("8 bytes burnt and read back") == 3


def test_paper_and_label_name_the_row_and_its_values_but_no_secret(desk: Desk) -> None:
    bench(desk)
    said = serve(desk, "--label", "$title {serial} of batch {batch}")
    assert said.exit == 0, said.err
    (row,) = paper(desk)
    entry = json.loads((desk.state.parent / "boards.csv.ledger").read_text().splitlines()[0])
    assert (row["result"], row["otp"], row["otp_row"]) == ("confirmed", "written", "1")
    assert row["otp_key"] == entry["use"]
    assert row["label"] == "Gizmo 1 of batch 258"
    assert "| Gizmo 1 of batch 258" in said.out
    line = json.loads((desk.state.parent / "paper" / "boards.jsonl").read_text())
    assert line["receipt"]["result"] == "confirmed"
    assert line["otp_receipt"]["fields"] == ["batch", "key", "serial"]
    assert "aa01" not in json.dumps(line).lower()
    usual = "Gizmo\nhardware A, version 1.1.0\nserial 1\nbatch 258"
    assert serve(desk, "--json").lines[-2]["label"] == usual


def test_a_label_with_a_secret_or_unknown_value_is_refused_before_the_first_board(desk: Desk) -> None:
    bench(desk)
    said = serve(desk, "--label", "{key}", "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert "{serial}" in said.last["advice"]
    assert set(desk.flash()) == {0xFF}


def test_the_layout_of_the_release_itself_needs_no_engineering_updater(desk: Desk) -> None:
    bench(desk)
    desk.sells(F746)
    said = serve(desk, otp="")
    assert said.exit == 0, said.err
    assert held(desk) == board(1)
    assert serve(desk, "--json").last["exit"] == 6, "a file is another matter"
    assert ledger(desk) == [1]


def test_a_board_that_comes_again_has_its_row_and_is_passed_over(desk: Desk) -> None:
    bench(desk)
    assert serve(desk).exit == 0
    said = serve(desk)
    assert said.exit == 0, said.err
    assert "row 1 of boards.csv: was burnt already, and read back" in said.out
    assert "| serial 1" in said.out, "its label, should the first one be lost"
    assert [(row["result"], row["otp"]) for row in paper(desk)][1] == ("nothing-to-do", "nothing-to-do")
    assert ledger(desk) == [1]


def test_a_board_that_carries_a_row_is_known_by_it_where_the_ledger_is_new(desk: Desk) -> None:
    folder = bench(desk, boards=2)
    assert serve(desk, boards=2).exit == 0
    carried = {held(desk, f"board{number}") for number in (1, 2)}
    (folder / "boards.csv.ledger").unlink()
    assert serve(desk, boards=2).exit == 0
    assert {held(desk, f"board{number}") for number in (1, 2)} == carried
    assert sorted(ledger(desk)) == [1, 2]


def test_a_row_that_a_board_carries_and_another_has_is_refused(desk: Desk) -> None:
    """A copy: the bytes of board 1 in another part."""
    bench(desk, boards=2)
    assert serve(desk, boards=1).exit == 0
    done, other = ("board1", "board2") if held(desk) != new() else ("board2", "board1")
    (desk.lab / other / "otp.bin").write_bytes(held(desk, done))
    desk.updater("lab", "remove", done)
    said = serve(desk, "--json")
    assert said.exit == 6, said.out
    assert "whose values this board holds, was used for another board" in said.lines[-2]["message"]


@pytest.mark.parametrize("runs", [None, OLD])
def test_a_board_whose_values_cannot_be_burnt_gets_no_firmware(desk: Desk, runs: Any) -> None:
    """A locked block; bytes of nobody; no free row. Told before the first erase."""
    bench(desk, runs=runs)
    before, flash = new((DATA_BYTES + 1, "00")), desk.flash()
    for content, why in ((before, "block 1 is locked"), (new((0x20, "55")), "0x55")):
        (desk.lab / "board1" / "otp.bin").write_bytes(content)
        said = serve(desk, "--json")
        assert said.exit == 6, said.out
        assert why in said.lines[-2]["message"] or "in no row of boards.csv" in said.lines[-2]["message"]
        assert (desk.flash(), held(desk), ledger(desk)) == (flash, content, [])


def test_more_boards_than_rows_and_the_last_one_keeps_its_flash(desk: Desk) -> None:
    folder = bench(desk, boards=3)
    (folder / "boards.csv").write_text("Serial,Key\n1,AA01\n2,AA02\n", "utf-8")
    said = serve(desk, boards=3)
    assert said.exit == 6
    assert sorted(ledger(desk)) == [1, 2]
    names = [f"board{number}" for number in (1, 2, 3)]
    assert sum(desk.holds(NEW, name) for name in names) == 2
    (left,) = (name for name in names if not desk.holds(NEW, name))
    assert (set(desk.flash(left)), held(desk, left)) == ({0xFF}, new())


def test_the_board_with_the_last_row_is_finished_when_no_row_is_free(desk: Desk) -> None:
    """Cut off between the ledger and the first byte, and now in its bootloader, which says nothing."""
    folder = bench(desk)
    (folder / "boards.csv").write_text("Serial,Key\n1,AA01\n", "utf-8")
    assert serve(desk).exit == 0
    (desk.lab / "board1" / "otp.bin").write_bytes(new())
    claimed, _done = (folder / "boards.csv.ledger").read_text().splitlines()
    (folder / "boards.csv.ledger").write_text(claimed + "\n")
    desk.replug(boot=True)
    said = serve(desk)
    assert said.exit == 0, said.out
    assert "no row is free of 1" in said.err
    assert (held(desk), ledger(desk)) == (board(1), [1])


def test_a_chip_without_otp_memory_is_refused_before_the_first_board(desk: Desk) -> None:
    bench(desk, chip="stm32h743")
    said = serve(desk, "--json")
    assert (said.exit, said.last["error"], len(said.lines)) == (4, "WrongDevice", 1)
    assert "no one-time-programmable memory (ST:169834" in said.last["message"]
    assert set(desk.flash()) == {0xFF}


def test_a_ledger_that_cannot_be_kept_is_told_before_the_first_board(desk: Desk) -> None:
    folder = bench(desk)
    (folder / "boards.csv.ledger.lock").mkdir()
    said = serve(desk, "--json")
    assert (said.exit, said.last["error"]) == (13, "StorageFailed")
    assert set(desk.flash()) == {0xFF}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("Serial,Key\n1,AA01\n2,AA\n", "row 2 of boards.csv: key: 'AA' has 1 bytes, and 2 are needed"),
        ("Serial\n1\n", "the table has no column 'Key'"),
    ],
)
def test_a_table_with_a_wrong_value_anywhere_is_refused_before_the_first_board(
    desk: Desk, rows: str, why: str
) -> None:
    folder = bench(desk)
    (folder / "boards.csv").write_text(rows, "utf-8")
    said = serve(desk, "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert why in said.last["message"]
    assert set(desk.flash()) == {0xFF}


@pytest.mark.parametrize(("program_otp", "exit"), [(burns_a_lock_byte_too, 9), (stores_nothing, 11)])
def test_values_that_are_not_burnt_behind_new_firmware_leave_the_lane_red(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, program_otp: Callable[..., Any], exit: int
) -> None:
    bench(desk)
    monkeypatch.setattr(Otp, "program", program_otp)
    said = serve(desk)
    assert said.exit == exit
    assert "FAILED  Gizmo: Version 1.1.0 is written, its values are not:" in said.out.replace(
        "\n" + " " * 16, " "
    )
    assert "Row 1 of boards.csv stays this board's." in said.out
    assert "| Gizmo" not in said.out, "no label"
    (row,) = paper(desk)
    assert (row["result"], row["exit"], row["to_version"]) == ("failed", str(exit), "1.1.0")
    assert (row["otp"], row["otp_row"], row["label"]) == ("failed", "1", "")
    assert desk.holds(NEW)


def transfers_of(said: Said) -> int:
    """How many the firmware and the values of the one board took."""
    line = next(line for line in said.lines if line["type"] == "board")
    return int(line["receipt"]["control_transfers"]) + int(line["otp_receipt"]["control_transfers"])


@pytest.mark.parametrize(
    ("runs", "power", "every"),
    [
        (None, Power.SELF, 67),
        pytest.param(None, Power.SELF, 4, marks=pytest.mark.faults),
        pytest.param(OLD, Power.BUS, 4, marks=pytest.mark.faults),
    ],
)
def test_a_cut_anywhere_is_made_good_with_the_same_row(
    desk: Desk, runs: Any, power: Power, every: int
) -> None:
    """Firmware, values, and all that lies between: the same station again, and the board has one row."""
    bench(desk, runs=runs)
    transfers = transfers_of(serve(desk, "--json"))
    for at in range(3, transfers + 1, every):
        (desk.state.parent / "boards.csv.ledger").unlink()
        desk.updater("lab", "remove", "board1")
        desk.plug_in_gizmo(F746, runs, port="1-1", power=power)
        desk.fault("cut-after", at)
        first = serve(desk)
        desk.fault("none")
        assert held(desk) == new() or ledger(desk) == [1], "nothing is burnt that is not on the books"
        if desk.board()["state"] == "locked-up":
            desk.replug(boot=True)
        again = serve(desk)
        assert again.exit == 0, (at, first.out, again.out)
        assert (held(desk), ledger(desk)) == (board(1), [1]), at
        assert desk.holds(NEW)
    assert {"", "failed", "written"} <= {row["otp"] for row in paper(desk)}, "cuts in both parts"


EVERYTHING = """
schema = 1
product = "gizmo"
[[field]]
name = "serial"
type = "u32"
offset = 0
csv = "Serial"
[[field]]
name = "n"
type = "u16"
offset = 4
counter = 1000
[[field]]
name = "chip"
type = "bytes"
length = 12
offset = 0x40
uid = true
[[field]]
name = "check"
type = "crc"
algorithm = "crc-16-xmodem"
over = { offset = 0x40, length = 12 }
offset = 0x80
"""


def begins_with(digits: str) -> Callable[[int, bytes], bool]:
    """A download of data that begins so."""
    return lambda block, data: block >= 2 and data.startswith(bytes.fromhex(digits))


@pytest.mark.parametrize(
    ("chip", "size"), [pytest.param("stm32f405", 528, marks=pytest.mark.faults), ("stm32g474", 1024)]
)
def test_numbers_ids_and_checksums_are_finished_after_any_cut_too(desk: Desk, chip: str, size: int) -> None:
    """By the number that was counted for this board; also with ECC, where a unit is written once."""
    folder = bench(desk, chip=chip, layout=EVERYTHING)
    more = ("--otp", str(folder / "gizmo.toml"), "--from", str(folder / "boards.csv"), "--as", "gizmo:A")
    station = ("station", desk.bundle(NEW), *more, "--yes", "--boards", "1", "--json")
    for name, start in (("board1", "01000000e803"), ("board2", "02000000e903")):
        if name == "board2":
            desk.updater("lab", "remove", "board1")
            desk.plug_in_gizmo(chip, None, name=name)
        uid = tomllib.loads((desk.lab / name / "board.toml").read_text())["uid"]
        check = binascii.crc_hqx(bytes.fromhex(uid), 0).to_bytes(2, "little").hex()
        for run in (start, uid, check):
            with desk.cut(begins_with(run)):
                assert desk.updater(*station).exit == 9
        assert desk.updater(*station).exit == 0
        assert held(desk, name) == new((0, start), (0x40, uid), (0x80, check), size=size)


def test_firmware_that_says_no_unique_id_gets_no_values(desk: Desk) -> None:
    """Zeros are what firmware sends that leaves it out: all boards would look like one."""
    bench(desk)
    desk.updater("lab", "remove", "board1")
    desk.plug_in_gizmo(F746, None, uid=bytes(12))
    said = serve(desk, "--json")
    assert said.exit == 6, said.out
    assert "does not say the chip's unique ID" in said.lines[-2]["message"]
    assert (held(desk), ledger(desk)) == (new(), [])
    assert desk.holds(NEW)


def test_two_boards_that_say_the_same_unique_id_do_not_share_a_row(desk: Desk) -> None:
    """A copied chip, or firmware with an ID of its own invention: the ledger says that it was burnt."""
    bench(desk, boards=2)
    for name in ("board1", "board2"):
        desk.updater("lab", "remove", name)
    desk.plug_in_gizmo(F746, None, name="board1", port="1-1", uid=bytes(range(12)))
    assert serve(desk).exit == 0
    desk.updater("lab", "remove", "board1")
    desk.plug_in_gizmo(F746, None, name="board2", port="1-1", uid=bytes(range(12)))
    said = serve(desk, "--json")
    assert (said.exit, held(desk, "board2"), ledger(desk)) == (6, new(), [1])
    failed = said.lines[-2]["error"]
    assert "two boards say the same ID" in failed["message"]
    assert failed["advice"].startswith("Nothing was burnt."), "its firmware was written"
    assert failed["device_is"] == "runs-new"


def test_values_without_a_layout_are_a_usage_error(desk: Desk) -> None:
    bench(desk)
    said = desk.updater("station", desk.bundle(NEW), "--set", "a=1", "--yes", "--boards", "1", "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    said = desk.updater("station", "1.1.0", "--otp", "--yes", "--boards", "1", "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert "station FILE.fwb --otp" in said.last["advice"]
