"""OTP by a layout: values by name, a row of a table for each board, and never a row for two of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.desk import Desk, Said
from tests.story.otp_desk import F746, RUNS, burnt, new, otp
from updater.lab.record import Power

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
offset = 0x24
asked = true
[[field]]
name = "key"
type = "bytes"
length = 2
offset = 0x80
csv = "Key"
secret = true
[[field]]
name = "check"
type = "crc"
algorithm = "crc-16-ibm-3740"
over = { offset = 0x20, length = 6 }
offset = 0x26
"""
ROWS = "Serial,Key\n1,AA01\n2,AA02\n3,AA03\n"


def bench(desk: Desk, *, layout: str = LAYOUT) -> Path:
    """An engineer's updater, a layout, a table of three boards, and one gizmo."""
    desk.sells(F746)
    folder = desk.state.parent
    vendor = folder / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
    (folder / "gizmo.toml").write_text(layout, "utf-8")
    (folder / "boards.csv").write_text(ROWS, "utf-8")
    desk.plug_in_gizmo(F746, RUNS)
    return folder


def by_layout(desk: Desk, command: str, *more: str) -> Said:
    return desk.updater("otp", command, "--layout", str(desk.state.parent / "gizmo.toml"), *more)


def write(desk: Desk, *more: str) -> Said:
    table = str(desk.state.parent / "boards.csv")
    return by_layout(desk, "write", "--from", table, "--set", "batch=0x0102", *more, "--yes", "--json")


def next_board(desk: Desk, name: str) -> None:
    """The board is taken out, and another one plugged in."""
    for folder in sorted(desk.lab.glob("board*")):
        desk.updater("lab", "remove", folder.name)
    desk.plug_in_gizmo(F746, RUNS, name=name)


def ledger(desk: Desk) -> list[dict[str, object]]:
    path = desk.state.parent / "boards.csv.ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry for entry in map(json.loads, lines) if "done" not in entry]


def held(desk: Desk, name: str) -> bytes:
    return (desk.lab / name / "otp.bin").read_bytes()


def board(serial: int) -> bytes:
    """What the memory holds with this row: CRC-16/IBM-3740 over the six bytes before it."""
    check = {1: "F33D", 2: "13F3"}[serial]
    return new((0x20, f"0{serial}000000" + "0201" + check), (0x80, f"AA0{serial}"))


def test_the_values_of_a_row_are_burnt_and_read_back_by_name(desk: Desk) -> None:
    bench(desk)
    said = write(desk)
    assert (said.exit, said.last["result"], said.last["row"]) == (0, "written", 1)
    assert otp(desk) == board(1)
    shown = by_layout(desk, "show", "--json").last["fields"]
    assert [(one["name"], one["value"], one["wrong"]) for one in shown] == [
        ("serial", "1", False),
        ("batch", "258", False),
        ("key", "aa01", False),
        ("check", "0x3df3", False),
    ]
    assert "serial           0x0020  1  [01 00 00 00]" in by_layout(desk, "show").out
    assert desk.board()["state"] == "application"


def test_the_plan_names_the_values_but_no_secret_and_burns_nothing(desk: Desk) -> None:
    folder = bench(desk)
    said = by_layout(desk, "plan", "--from", str(folder / "boards.csv"), "--row", "2", "--set", "batch=7")
    assert said.exit == 0
    assert "layout:   gizmo.toml, row 2 of boards.csv\n" in said.err
    assert "value:    serial = 2\n" in said.err
    assert "value:    key = (secret)\n" in said.err
    assert "for ever: this can never be undone" in said.err
    assert otp(desk) == new()
    assert ledger(desk) == []


def test_a_receipt_names_the_fields_and_holds_no_value(desk: Desk) -> None:
    bench(desk)
    said = write(desk)
    assert said.last["fields"] == ["batch", "key", "serial"]
    assert (said.last["layout"], said.last["table"]) == ("gizmo.toml", "boards.csv")
    assert "aa01" not in json.dumps(said.last)


def test_each_board_gets_the_next_row_and_a_used_one_is_refused(desk: Desk) -> None:
    bench(desk)
    assert write(desk).last["row"] == 1
    next_board(desk, "board2")
    said = write(desk, "--row", "1")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "runs-old")
    assert "row 1 of boards.csv was used for another board" in said.last["message"]
    assert held(desk, "board2") == new()
    assert write(desk).last["row"] == 2
    assert held(desk, "board2") == board(2)
    assert [entry["row"] for entry in ledger(desk)] == [1, 2]


def test_the_same_board_again_has_its_row_already(desk: Desk) -> None:
    bench(desk)
    write(desk)
    again = write(desk)
    assert (again.exit, again.last["result"], again.last["row"]) == (0, "nothing-to-do", 1)
    assert len(ledger(desk)) == 1


def test_a_no_uses_no_row(desk: Desk) -> None:
    folder = bench(desk)
    said = by_layout(desk, "write", "--from", str(folder / "boards.csv"), "--set", "batch=1")
    assert said.exit == 12
    assert (ledger(desk), otp(desk)) == ([], new())


def test_the_row_is_on_the_books_before_the_first_byte_is_burnt(desk: Desk) -> None:
    """The ledger's folder takes no file: so nothing is burnt."""
    folder = bench(desk)
    (folder / "boards.csv.ledger.lock").mkdir()
    said = write(desk)
    assert (said.exit, said.last["error"]) == (13, "StorageFailed")
    assert otp(desk) == new()


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.faults), 9])
@pytest.mark.parametrize("power", Power)
def test_a_cable_pulled_at_any_transfer_is_made_good_with_the_same_row(
    desk: Desk, power: Power, every: int
) -> None:
    bench(desk)
    transfers = int(write(desk).last["control_transfers"])
    for at in range(1, transfers + 1, every):
        (desk.state.parent / "boards.csv.ledger").unlink(missing_ok=True)
        desk.updater("lab", "remove", "board1")
        desk.plug_in_gizmo(F746, RUNS, power=power)
        desk.fault("cut-after", at)
        said = write(desk)
        desk.fault("none")
        assert said.exit in (0, 8, 9, 10), (at, said.out)
        assert said.exit == 8 or ledger(desk), at
        assert otp(desk) == new() or ledger(desk), "nothing is burnt that is not on the books"
        again = write(desk)
        if again.exit == 6:  # in its bootloader, which says nothing of the part
            assert desk.board()["state"] == "rom", at
            assert "plug it in so that its application starts" in again.last["advice"]
            desk.replug()
            again = write(desk)
        assert again.exit == 0, (at, said.exit, again.out[-900:])
        assert again.last["row"] == 1
        assert otp(desk) == board(1), at
        assert len(ledger(desk)) == 1


def test_a_count_goes_up_from_board_to_board(desk: Desk) -> None:
    counted = (
        'schema = 1\nproduct = "gizmo"\n[[field]]\nname = "n"\ntype = "u32"\noffset = 0\ncounter = 1000\n'
    )
    bench(desk, layout=counted)
    for name, digits in (("board1", "e8030000"), ("board2", "e9030000")):
        if name != "board1":
            next_board(desk, name)
        for _twice in range(2):
            assert by_layout(desk, "write", "--yes", "--json").exit == 0
        assert held(desk, name) == new((0, digits))


def test_the_devices_own_id_is_burnt_where_it_says_it(desk: Desk) -> None:
    field = 'name = "chip"\ntype = "bytes"\nlength = 12\noffset = 0\nuid = true\n'
    own = f'schema = 1\nproduct = "gizmo"\n[[field]]\n{field}'
    bench(desk, layout=own)
    uid = tomllib.loads((desk.lab / "board1" / "board.toml").read_text())["uid"]
    said = by_layout(desk, "write", "--yes", "--json")
    assert said.exit == 0, said.out
    assert otp(desk)[:12].hex() == uid.lower()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--set", "batch=65536"), "batch: 65536 does not fit into 16 bits"),
        (("--set", "batch=1", "--set", "colour=2"), "the layout asks for no colour"),
        (("--set", "batch=1", "--set", "batch=2"), "gives 'batch' twice"),
        ((), "the value of batch is missing"),
        (("--set", "batch=1", "--row", "9"), "has rows 1 to 3, and no row 9"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_the_application_runs_on(
    desk: Desk, more: tuple[str, ...], why: str
) -> None:
    folder = bench(desk)
    said = by_layout(desk, "write", "--from", str(folder / "boards.csv"), *more, "--yes", "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert why in said.last["message"]
    assert (otp(desk), ledger(desk)) == (new(), [])
    assert desk.board()["state"] == "application"


def test_a_field_that_holds_something_else_is_refused_and_uses_no_row(desk: Desk) -> None:
    bench(desk)
    burnt(desk, (0x21, "55"))
    said = write(desk)
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert (otp(desk), ledger(desk)) == (new((0x21, "55")), [])


def test_a_layout_for_another_product_is_refused(desk: Desk) -> None:
    bench(desk, layout=LAYOUT.replace('"gizmo"', '"gadget"'))
    said = write(desk)
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "untouched")


def test_a_customers_updater_takes_no_layout_from_a_file(desk: Desk) -> None:
    folder = bench(desk)
    vendor = folder / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8").replace("write = true", "write = false"), "utf-8")
    for command in ("plan", "write"):
        said = by_layout(desk, command, "--json")
        assert (said.exit, said.last["error"]) == (6, "Refused")
        assert "takes no layout from a file" in said.last["message"]
    assert by_layout(desk, "show", "--json").exit == 0, "looking is for everybody"


def test_a_layout_and_hex_digits_exclude_each_other(desk: Desk) -> None:
    bench(desk)
    assert by_layout(desk, "write", "--hex", "0:00").exit == 2
    said = desk.updater("otp", "write", "--hex", "0:00", "--set", "a=1", "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")


def test_a_board_that_was_never_programmed_is_known_again_by_what_it_holds(desk: Desk) -> None:
    """An F405's bootloader shows a number made of the UID, which two parts may share."""
    bench(desk)
    desk.updater("lab", "remove", "board1")
    desk.sells("stm32f405")
    vendor = desk.state.parent / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
    desk.plug_in_gizmo("stm32f405", None)
    for result in ("written", "nothing-to-do"):
        said = write(desk, "--as", "gizmo")
        assert (said.exit, said.last["result"], said.last["row"]) == (0, result, 1), said.out
    (desk.lab / "board1" / "otp.bin").write_bytes(new(size=528))
    said = write(desk, "--as", "gizmo")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "this may be that board or another one" in said.last["message"]
    assert write(desk, "--as", "gizmo", "--row", "2").last["result"] == "written"
    assert [entry["row"] for entry in ledger(desk)] == [1, 2]


def test_a_board_that_shows_no_number_at_all_needs_its_row_named(desk: Desk) -> None:
    """What an F746's bootloader shows is not known to be made of anything of the part."""
    bench(desk)
    desk.updater("lab", "remove", "board1")
    desk.plug_in_gizmo(F746, None)
    said = write(desk, "--as", "gizmo")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "A board without an application takes --row N" in said.last["advice"]
    for result in ("written", "nothing-to-do"):
        said = write(desk, "--as", "gizmo", "--row", "1")
        assert (said.exit, said.last["result"]) == (0, result)
    assert otp(desk) == board(1)
