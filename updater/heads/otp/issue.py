"""Which row of a table, and which count, belongs to which board: each is given out once. Pure.

A ledger line names what was given out (`use`) and to which device, by every name that the device is known
by. The same device may have the same again, so that a write that was cut off can be repeated. A UID proves
which device it is. The serial number that a bootloader shows does not: others may share it (the silicon
table's `serial_is_unique`). It counts together with fields that hold something already; else a person says.
A memory that holds all values of a row has that row, unless the ledger gave it to another device.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from updater.heads.otp.fields import Field, Valued
from updater.heads.otp.layout import Layout
from updater.heads.otp.plan import BLANK
from updater.words.errors import Refused, Usage

_ADVICE = "Correct the table, and run the command again."


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a ledger. `when` is ISO 8601; `device` are names like "uid:..." and "rom:...".

    `columns` say of a row which values the layout took from it (`columns_of`). `done`: a second line for the
    same, once it was burnt and read back.
    """

    use: str
    device: tuple[str, ...]
    when: str
    row: int | None = None
    columns: tuple[str, ...] = ()
    done: bool = False

    def is_for(self, board: Board) -> bool | None:
        """Whether it was given to this board; None where it may have been."""
        mine, others = (
            {name for name in names if name.startswith("uid:")} for names in (self.device, board.names)
        )
        if mine and others:
            return mine == others
        if not board.names or not self.device:
            return None if board.is_begun else False
        if set(self.device).isdisjoint(board.names):
            return False
        return True if board.is_begun else None


@dataclass(frozen=True, slots=True)
class Board:
    """A device by its names, "uid:..." and "rom:...". `is_begun`: its fields hold something already.

    `data` is what its OTP memory holds, where that was read.
    """

    names: tuple[str, ...]
    is_begun: bool
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV file by column."""

    name: str
    rows: tuple[Mapping[str, str], ...]

    def row(self, number: int) -> Mapping[str, str]:
        """A row by number, the first after the headings being 1. Raises `Usage`."""
        if not 1 <= number <= len(self.rows):
            raise Usage(f"{self.name} has rows 1 to {len(self.rows)}, and no row {number}")
        return self.rows[number - 1]


def parse_table(name: str, data: bytes) -> Table:
    """Read CSV (RFC 4180) with headings, in UTF-8, with commas or semicolons. Raises `Usage`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Usage(f"{name} is not text in UTF-8", advice="Save the table as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise Usage(f"{name} is not CSV: {error}", advice=_ADVICE) from error
    lines = [line for line in lines if line]
    if len(lines) < 2:
        raise Usage(f"{name} has no rows below its headings", advice=_ADVICE)
    heads = [cell.strip() for cell in lines[0]]
    if len(set(heads)) != len(heads) or "" in heads:
        raise Usage(f"{name} has a heading twice, or an empty one", advice=_ADVICE)
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(heads):
            raise Usage(f"row {number} of {name} has {len(line)} cells, not {len(heads)}", advice=_ADVICE)
    cells = ([cell.strip() for cell in line] for line in lines[1:])
    return Table(name, tuple(dict(zip(heads, line, strict=True)) for line in cells))


def parse_ledger(name: str, data: bytes) -> list[Entry]:
    """The lines of a ledger. A last line that was cut off counts for nothing: its write was never begun.

    Raises `Refused` for a file that holds anything else.
    """
    entries = []
    *lines, last = data.split(b"\n")
    if _is_entry(last):
        lines.append(last)
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except msgspec.MsgspecError as error:
            if line.endswith(_TORN):
                continue
            raise Refused(
                f"line {number} of {name} is not what an updater writes ({error})",
                advice="It says which values were given out. Put back the file as it was; do not delete it.",
            ) from error
    return entries


_TORN = b"#torn"
"""Set behind a line that a power failure cut off, before the next is written."""


def appended(data: bytes, entry: Entry) -> bytes:
    """What to append to a ledger that holds this, so that it holds the entry too."""
    last = data.rpartition(b"\n")[2]
    mend = b"" if not last else b"\n" if _is_entry(last) else _TORN + b"\n"
    return mend + msgspec.json.encode(entry) + b"\n"


def _is_entry(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Entry)
    except msgspec.MsgspecError:
        return False
    return True


def use_of_row(layout: Layout, row: Mapping[str, str]) -> str:
    """What a row is called in the ledger: a digest of the values that it gives, wherever it stands by then.

    Of values and not of cells: `16` and `0x10` are the same number. And not of bytes: how long a field is,
    and where it lies, may be another with the next release, and the row is the same.
    """
    digest = hashlib.sha256()
    for column, field in _from_table(layout):
        cell = row.get(column, "")
        try:
            value = field.decode(field.encode(cell)) or ""
        except ValueError:  # not a value; who chooses this row is told so
            value = f"?{cell}"
        digest.update(f"{len(column)}:{column}{len(value)}:{value}".encode())
    return f"{_ROW}{digest.hexdigest()}"


def columns_of(layout: Layout) -> tuple[str, ...]:
    """Which values a layout takes from a table, as "Serial: number". Rows are known by these alone."""
    return tuple(
        f"{column}: {_KINDS.get(_type_of(field), 'number')}" for column, field in _from_table(layout)
    )


_KINDS = {"text": "text", "uuid": "uuid", "mac": "mac", "date": "date", "bytes": "bytes"}
"""The types that are not numbers."""


def _type_of(field: Field) -> str:
    return str(field.__struct_config__.tag)


def _from_table(layout: Layout) -> list[tuple[str, Valued]]:
    found = [(field.csv, field) for field in layout.valued if field.csv is not None]
    return sorted(found, key=lambda pair: (pair[0], _type_of(pair[1]), pair[1].name))


def use_of_count(count: int) -> str:
    """What a count is called in the ledger."""
    return f"{_COUNT}{count}"


def check_use(entries: Iterable[Entry], use: str, board: Board, what: str) -> bool:
    """Whether it was given to this board already. Raises `Refused` where another one has it."""
    found = [entry for entry in entries if entry.use == use]
    if any(entry.is_for(board) is False for entry in found):
        raise Refused(
            f"{what} was used for another board on {found[0].when}",
            advice="Nothing was changed. Choose another row; without --row the next free one is taken.",
        )
    return bool(found)


def choose_row(
    layout: Layout,
    table: Table,
    entries: Sequence[Entry],
    board: Board,
    wanted: int | None,
    reserved: Collection[str] = (),
) -> int:
    """The row for this board: the wanted one, else the one that it has already, else the first free one.

    It has a row when the ledger says so, or when its memory holds all values of it. `reserved` are rows
    (`use_of_row`) that wait for other boards. Raises `Usage` and `Refused`.
    """
    check_columns(table.name, entries, columns_of(layout))
    uses = [use_of_row(layout, row) for row in table.rows]
    if wanted is not None:
        table.row(wanted)
        check_use(entries, uses[wanted - 1], board, f"row {wanted} of {table.name}")
        return wanted
    has = _row_it_has(uses, table.name, entries, board, held_row(layout, table, board.data))
    if has is not None:
        return has
    if not _is_blank(layout, board.data):
        raise Refused(
            f"the board holds values already that are in no row of {table.name}, and the ledger does not "
            "know this board",
            advice="Nothing was changed. `updater otp show` with the layout shows them. If you know which "
            "row is this board's, run `updater otp write` for it with --row.",
        )
    taken = {entry.use for entry in entries}.union(reserved)
    for number, use in enumerate(uses, start=1):
        if use not in taken:
            return number
    raise Refused(
        f"every row of {table.name} was used",
        advice="Nothing was changed. Add rows to the table, and run the command again.",
    )


def _row_it_has(
    uses: Sequence[str], table: str, entries: Sequence[Entry], board: Board, held: int | None
) -> int | None:
    """The row that the ledger gave to this board, or whose values it holds (`held`); None without one.

    Raises `Refused` where another board has the held one, or where this may be the board that has a row.
    """
    own = {entry.use for entry in entries if entry.is_for(board)}
    for number, use in enumerate(uses, start=1):
        if use in own:
            if held is None or uses[held - 1] != use:
                _check_not_done(entries, use, board, f"row {number} of {table}")
            return number
    if held is not None:
        check_use(entries, uses[held - 1], board, f"row {held} of {table}, whose values this board holds,")
        return held
    maybe = {entry.use for entry in entries if entry.is_for(board) is None}
    for number, use in enumerate(uses, start=1):
        if use in maybe:
            raise _may_be(f"row {number} of {table}", f"add --row {number}; else add another --row")
    return None


def check_columns(name: str, entries: Iterable[Entry], wanted: tuple[str, ...]) -> None:
    """A row is known by the values that were taken from it: by others it would look unused.

    Raises `Refused` where rows were given out by a layout that takes something else from the table.
    """
    for entry in entries:
        if entry.use.startswith(_ROW) and entry.columns != wanted:
            raise Refused(
                f"rows of {name} were given out by another layout, which took from it: "
                f"{', '.join(entry.columns) or 'nothing'}; this one takes: {', '.join(wanted) or 'nothing'}",
                advice="Nothing was changed. Give this layout a table of its own, under another name, with "
                "rows that no board has.",
            )


def held_row(layout: Layout, table: Table, data: bytes) -> int | None:
    """The row of which a memory holds every value; None where there is none."""
    fields = _from_table(layout)
    if not data or not fields:
        return None
    for number, row in enumerate(table.rows, start=1):
        if all(_holds(field, row.get(column, ""), data) for column, field in fields):
            return number
    return None


def _holds(field: Valued, cell: str, data: bytes) -> bool:
    try:
        return field.encode(cell) == data[field.offset : field.end]
    except ValueError:
        return False


def _is_blank(layout: Layout, data: bytes) -> bool:
    """Whether nothing stands in the fields whose values come from a table."""
    held = b"".join(data[field.offset : field.end] for _, field in _from_table(layout))
    return held.count(BLANK) == len(held)


def choose_count(layout: Layout, entries: Iterable[Entry], board: Board) -> int:
    """How many boards were counted before this one; the same again for a board that was counted.

    It was counted when the ledger says so, or when its memory holds a number. Raises `Refused` where it may
    have been counted.
    """
    counted = [entry for entry in entries if entry.use.startswith(_COUNT)]
    held = held_count(layout, board.data)
    for entry in counted:
        if entry.is_for(board):
            if held != _number(entry):
                _check_not_done(counted, entry.use, board, f"number {_number(entry)}")
            return _number(entry)
    if held is not None:
        check_use(counted, use_of_count(held), board, "the number that this board holds")
        return held
    for entry in counted:
        if entry.is_for(board) is None:
            raise _may_be(f"number {_number(entry)}", "start its application first, which says the UID")
    return max((_number(entry) for entry in counted), default=-1) + 1


def held_count(layout: Layout, data: bytes) -> int | None:
    """The count that a memory's numbers are made of; None where they are blank. Raises `Refused`."""
    fields = [field for field in layout.valued if field.counter is not None]
    held = [data[field.offset : field.end] for field in fields]
    if all(one.count(BLANK) == len(one) for one in held):
        return None
    counts = {
        int(field.decode(one) or 0) - (field.counter or 0) for field, one in zip(fields, held, strict=True)
    }
    if len(counts) == 1 and min(counts) >= 0:
        return counts.pop()
    raise Refused(
        "the board holds a number that is none of this layout's, and the ledger does not know this board",
        advice="Nothing was changed. `updater otp show` with the layout shows it. Put the board aside.",
    )


_COUNT = "count:"
_ROW = "row:"


def _number(entry: Entry) -> int:
    return int(entry.use.removeprefix(_COUNT))


def _check_not_done(entries: Iterable[Entry], use: str, board: Board, what: str) -> None:
    """Burnt bytes stay: a board without what was burnt into it is another one. Raises `Refused`."""
    if board.data and any(entry.done and entry.use == use for entry in entries):
        raise Refused(
            f"{what} was burnt into a board with this unique ID, and this board does not hold it where the "
            "layout says: two boards say the same ID, or the layout has moved its fields",
            advice="Nothing was changed. Put the board aside. If it is the one that was burnt, use the "
            "layout by which that was done. Else one of the two chips may be a copy, or the firmware says "
            "an ID that is not the chip's.",
        )


def _may_be(what: str, how: str) -> Refused:
    return Refused(
        f"{what} was given to a board whose bootloader shows the same serial number, and this may be that "
        "board or another one",
        advice="Nothing was changed. Unplug the device, plug it in so that its application starts, and run "
        f"the command again. If it has no application: if it is that board, {how}.",
    )
