"""A row is given to one board; the same board may have it again; what is unclear is not used."""

from __future__ import annotations

import msgspec
import pytest

from tests.heads.test_otplayout import layout
from updater.heads.otp.issue import (
    Board,
    Entry,
    Table,
    appended,
    choose_count,
    choose_row,
    parse_ledger,
    parse_table,
    use_of_count,
    use_of_row,
)
from updater.words.errors import Refused, Usage

SERIAL = layout('name = "serial"\ntype = "u32"\noffset = 0\ncsv = "Serial"')
COUNTED = layout('name = "n"\ntype = "u16"\noffset = 8\ncounter = 1000')
TABLE = Table(
    "boards.csv", ({"Serial": "1", "Note": "a"}, {"Serial": "2", "Note": ""}, {"Serial": "3", "Note": ""})
)
WHEN = "2026-11-21T09:00:00+00:00"


def used(row: int, *device: str) -> Entry:
    use = use_of_row(SERIAL, TABLE.row(row))
    return Entry(use=use, device=device, when=WHEN, row=row, columns=("Serial: number",))


def board(*names: str, begun: bool = False) -> Board:
    return Board(names, begun)


@pytest.mark.parametrize(
    "text",
    ["Serial,Note\r\n1,a\r\n", "\ufeffSerial;Note\n1;a\n", ' Serial ,Note\n"1", a\n'.replace('", a', '",a')],
)
def test_a_table_is_read_with_commas_or_semicolons(text: str) -> None:
    assert parse_table("t.csv", text.encode()).rows == ({"Serial": "1", "Note": "a"},)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "has no rows"),
        (b"Serial\n", "has no rows"),
        (b"Serial,Note\n1\n", "row 1 of t.csv has 1 cells, not 2"),
        (b"Serial,Serial\n1,2\n", "has a heading twice"),
        (b"Serial,\n1,2\n", "or an empty one"),
        (b"Serial\n\xff\n", "is not text in UTF-8"),
        (b'Serial\n"1\n', "is not CSV"),
    ],
)
def test_a_table_that_is_unclear_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Usage) as caught:
        parse_table("t.csv", data)
    assert why in caught.value.message


def test_the_first_free_row_is_chosen_and_the_own_one_before_it() -> None:
    entries = [used(1, "uid:a"), used(3, "uid:b", "rom:b")]
    assert choose_row(SERIAL, TABLE, entries, board("uid:c"), None) == 2
    assert choose_row(SERIAL, TABLE, entries, board("rom:b", begun=True), None) == 3
    assert choose_row(SERIAL, TABLE, entries, board("uid:a"), 1) == 1


def test_a_row_that_another_board_has_is_refused() -> None:
    with pytest.raises(
        Refused, match=f"row 1 of boards.csv was used for another board on {WHEN}".replace("+", "\\+")
    ):
        choose_row(SERIAL, TABLE, [used(1, "uid:a")], board("uid:c"), 1)
    with pytest.raises(Refused, match="every row of boards"):
        choose_row(SERIAL, TABLE, [used(row, "uid:a") for row in (1, 2, 3)], board("uid:c"), None)
    with pytest.raises(Usage, match="has rows 1 to 3, and no row 4"):
        choose_row(SERIAL, TABLE, [], board("uid:c"), 4)


def test_a_bootloaders_serial_number_alone_says_maybe_and_a_person_decides() -> None:
    """Two parts can share it (the silicon table's serial_is_unique), so a blank board may be either."""
    entries = [used(1, "uid:a", "rom:s")]
    with pytest.raises(
        Refused, match=r"row 1 of boards\.csv was given to a board whose bootloader shows"
    ) as caught:
        choose_row(SERIAL, TABLE, entries, board("rom:s"), None)
    assert "if it is that board, add --row 1; else add another --row" in caught.value.advice
    assert choose_row(SERIAL, TABLE, entries, board("rom:s"), 1) == 1
    assert choose_row(SERIAL, TABLE, entries, board("rom:s"), 2) == 2
    assert choose_row(SERIAL, TABLE, entries, board("rom:s", begun=True), None) == 1
    assert choose_row(SERIAL, TABLE, entries, board("uid:b", "rom:s", begun=True), None) == 2
    with pytest.raises(Refused, match="was used for another board"):
        choose_row(SERIAL, TABLE, entries, board("uid:b", "rom:s", begun=True), 1)
    counted = [Entry(use=use_of_count(0), device=("rom:s",), when=WHEN)]
    with pytest.raises(Refused, match="number 0 was given to a board"):
        choose_count(COUNTED, counted, board("rom:s"))


def test_a_board_without_any_name_gets_a_free_row_or_goes_on_with_what_it_has_begun() -> None:
    entries = [used(1), used(2, "uid:a")]
    for row in (1, 2):
        with pytest.raises(Refused, match="was used for another board"):
            choose_row(SERIAL, TABLE, entries, board(), row)
        assert choose_row(SERIAL, TABLE, entries, board(begun=True), row) == row
    assert choose_row(SERIAL, TABLE, entries, board(), 3) == 3


def test_a_row_is_known_by_its_values_wherever_it_stands_and_however_they_are_written() -> None:
    assert use_of_row(SERIAL, {"Serial": "0x10", "Note": "x"}) == use_of_row(SERIAL, {"Serial": "16"})
    assert use_of_row(SERIAL, {"Serial": "17"}) != use_of_row(SERIAL, {"Serial": "16"})


def test_a_count_goes_up_by_one_and_stays_with_its_board() -> None:
    entries = [Entry(use=use_of_count(n), device=(f"uid:{n}",), when=WHEN) for n in (0, 1)]
    assert choose_count(COUNTED, [], board("uid:x")) == 0
    assert choose_count(COUNTED, entries, board("uid:x")) == 2
    assert choose_count(COUNTED, entries, board("uid:0")) == 0


def test_a_line_that_was_cut_off_anywhere_counts_for_nothing_and_the_next_is_whole() -> None:
    one, two = used(1, "uid:a"), used(2, "uid:b")
    whole = appended(b"", one)
    for at in range(len(whole) + 1):
        torn = whole[:at]
        held = [one] if at >= len(whole) - 1 else []  # without its newline only: it is whole
        assert parse_ledger("l", torn) == held, at
        assert parse_ledger("l", torn + appended(torn, two)) == [*held, two], at


def test_a_ledger_that_holds_anything_else_is_not_used() -> None:
    with pytest.raises(Refused, match="line 1 of l is not what an updater writes"):
        parse_ledger("l", b"Serial,Note\n")


def burnt(*places: tuple[int, str]) -> bytes:
    """A memory of 16 bytes that is blank but for these."""
    data = bytearray(b"\xff" * 16)
    for at, digits in places:
        data[at : at + len(digits) // 2] = bytes.fromhex(digits)
    return bytes(data)


def test_a_board_that_holds_all_values_of_a_row_has_that_row() -> None:
    second = Board(("uid:c",), True, burnt((0, "02000000")))
    assert choose_row(SERIAL, TABLE, [used(1, "uid:a")], second, None) == 2
    assert choose_row(SERIAL, TABLE, [], Board((), True, second.data), None) == 2
    with pytest.raises(
        Refused, match=r"row 2 of boards\.csv, whose values this board holds, was used for another"
    ):
        choose_row(SERIAL, TABLE, [used(2, "uid:a")], second, None)


def test_a_board_that_holds_something_else_gets_no_row_by_itself() -> None:
    """Half a row, or somebody else's: the next free one is not tried on it."""
    for data in (burnt((0, "02")), burnt((0, "09000000"))):
        with pytest.raises(Refused, match=r"in no row of boards\.csv") as caught:
            choose_row(SERIAL, TABLE, [], Board(("uid:c",), True, data), None)
        assert "--row" in caught.value.advice
        assert choose_row(SERIAL, TABLE, [used(3, "uid:c")], Board(("uid:c",), True, data), None) == 3
        assert choose_row(SERIAL, TABLE, [], Board(("uid:c",), True, data), 2) == 2


def test_a_row_that_was_burnt_is_not_given_to_a_board_that_does_not_hold_it() -> None:
    """The same unique ID, and a memory that cannot be the one that was burnt."""
    done = msgspec.structs.replace(used(2, "uid:a"), done=True)
    entries = [used(2, "uid:a"), done]
    assert choose_row(SERIAL, TABLE, entries, Board(("uid:a",), True, burnt((0, "02000000"))), None) == 2
    for data in (burnt(), burnt((0, "0200"))):
        assert choose_row(SERIAL, TABLE, entries[:1], Board(("uid:a",), True, data), None) == 2
        with pytest.raises(Refused, match="two boards say the same ID"):
            choose_row(SERIAL, TABLE, entries, Board(("uid:a",), True, data), None)
    counted = [Entry(use=use_of_count(3), device=("uid:a",), when=WHEN, done=True)]
    with pytest.raises(Refused, match="two boards say the same ID"):
        choose_count(COUNTED, counted, Board(("uid:a",), False, burnt()))


def test_what_lies_outside_the_tables_fields_says_nothing_of_a_row() -> None:
    assert choose_row(SERIAL, TABLE, [], Board(("uid:c",), True, burnt((8, "00"))), None) == 1


def test_rows_that_wait_for_other_boards_are_not_chosen() -> None:
    waits = {use_of_row(SERIAL, TABLE.row(1)), use_of_row(SERIAL, TABLE.row(2))}
    assert choose_row(SERIAL, TABLE, [], board("uid:c"), None, waits) == 3
    assert choose_row(SERIAL, TABLE, [used(2, "uid:c")], board("uid:c"), None, waits) == 2


def test_a_row_is_the_same_wherever_the_next_release_puts_it_and_however_wide() -> None:
    for other in ("u64", "u16"):
        moved = layout(f'name = "sn"\ntype = "{other}"\nendian = "big"\noffset = 64\ncsv = "Serial"')
        assert use_of_row(moved, TABLE.row(2)) == use_of_row(SERIAL, TABLE.row(2))
        assert choose_row(moved, TABLE, [used(1, "uid:a")], board("uid:c"), None) == 2


def test_a_layout_that_takes_other_values_from_the_table_would_not_know_its_rows() -> None:
    """Row 1 is used, and by its serial and note together nobody has seen it."""
    both = layout(
        'name = "serial"\ntype = "u32"\noffset = 0\ncsv = "Serial"\n'
        '[[field]]\nname = "note"\ntype = "text"\nlength = 4\noffset = 4\ncsv = "Note"'
    )
    with pytest.raises(
        Refused, match="which took from it: Serial: number; this one takes: Note: text, Serial"
    ) as caught:
        choose_row(both, TABLE, [used(1, "uid:a")], board("uid:c"), None)
    assert "a table of its own" in caught.value.advice


def test_a_board_that_holds_a_number_keeps_it() -> None:
    holds_7 = Board(("uid:c",), True, burnt((8, "ef03")))
    entries = [Entry(use=use_of_count(7), device=("uid:a",), when=WHEN)]
    assert choose_count(COUNTED, [], holds_7) == 7
    with pytest.raises(Refused, match="the number that this board holds was used for another board"):
        choose_count(COUNTED, entries, holds_7)
    with pytest.raises(Refused, match="a number that is none of this layout's"):
        choose_count(COUNTED, [], Board(("uid:c",), True, burnt((8, "e703"))))
