"""The story of a layout: which values this board gets, on the books before the first byte is burnt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from updater.hands.ledger import Ledger, OpenLedger
from updater.heads.otp.issue import (
    Board,
    Entry,
    Table,
    check_columns,
    check_use,
    choose_count,
    choose_row,
    columns_of,
    held_row,
    use_of_count,
    use_of_row,
)
from updater.heads.otp.layout import Given, Layout, decode, patches_for, values_for
from updater.heads.otp.plan import OtpContents
from updater.heads.otp.report import OtpIssue
from updater.heads.silicon import Chip
from updater.story.job import Hands
from updater.story.provision import OtpVisit
from updater.story.visit import Subject
from updater.words.errors import Refused, UpdaterError, Usage
from updater.words.events import Emit, Noticed
from updater.words.facts import DeviceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A layout and where its values come from: all that is known before a device is.

    `name` is what the layout is called in words; `numbers` is the ledger of counted numbers.
    """

    layout: Layout
    name: str
    asked: Mapping[str, str]
    numbers: Path | None = None
    table: Table | None = None
    table_path: Path | None = None
    row: int | None = None


class Books:
    """What was given out of a table, and of a counter, so far. Made by `read_books` and `locked_books`."""

    def __init__(self, rows: list[Entry], counts: list[Entry]) -> None:
        self.rows, self.counts = rows, counts


class OpenBooks(Books):
    """The same, and nobody else can give out anything meanwhile."""

    def __init__(self, rows: OpenLedger | None, counts: OpenLedger | None) -> None:
        super().__init__(rows.entries if rows else [], counts.entries if counts else [])
        self._rows, self._counts = rows, counts

    def book(self, sources: Sources, issue: OtpIssue, board: Board, when: str) -> None:
        """Put on the books what this board gets. On the disk when it returns.

        Raises `Refused` where another board has it by now, and `StorageFailed`.
        """
        for ledger, entry, what in self._entries(sources, issue, board, when):
            if not check_use(ledger.entries, entry.use, board, what):
                ledger.add(entry)

    def finish(self, sources: Sources, issue: OtpIssue, board: Board, when: str) -> None:
        """Note that it was burnt and read back. Raises `StorageFailed`."""
        for ledger, entry, _what in self._entries(sources, issue, board, when):
            if not any(one.done and one.use == entry.use for one in ledger.entries):
                ledger.add(msgspec.structs.replace(entry, done=True))

    def _entries(
        self, sources: Sources, issue: OtpIssue, board: Board, when: str
    ) -> Iterator[tuple[OpenLedger, Entry, str]]:
        """What this board has of each ledger, as a line of it and in words."""
        if self._rows is not None and issue.row is not None and issue.key is not None:
            columns = columns_of(sources.layout)
            check_columns(issue.table or "", self.rows, columns)
            entry = Entry(use=issue.key, device=board.names, when=when, row=issue.row, columns=columns)
            yield self._rows, entry, f"row {issue.row} of {issue.table}"
        if self._counts is not None and issue.count is not None:
            entry = Entry(use=use_of_count(issue.count), device=board.names, when=when)
            yield self._counts, entry, f"number {issue.count} of {sources.name}"


def read_books(sources: Sources) -> Books:
    """The books as they are now. Raises `Refused`, `StorageFailed`, `Usage`."""
    rows, counts = _ledgers(sources)
    return Books(rows.entries() if rows else [], counts.entries() if counts else [])


@contextmanager
def locked_books(sources: Sources) -> Iterator[OpenBooks]:
    """The books for this board alone: no other bench, and no other lane, has them. Raises as `read_books`."""
    rows, counts = _ledgers(sources)
    with ExitStack() as open_ones:
        yield OpenBooks(
            open_ones.enter_context(rows.opened()) if rows else None,
            open_ones.enter_context(counts.opened()) if counts else None,
        )


def _ledgers(sources: Sources) -> tuple[Ledger | None, Ledger | None]:
    if sources.layout.counts and sources.numbers is None:
        raise Usage(
            f"{sources.name} counts from board to board, and nothing says where the numbers are kept",
            advice="Add --ledger FILE, the same file at every bench, and keep it for ever.",
        )
    rows = Ledger.beside(sources.table_path) if sources.table_path is not None else None
    return rows, Ledger(sources.numbers) if sources.layout.counts and sources.numbers else None


def board_of(layout: Layout, visit: OtpVisit, subject: Subject, before: OtpContents) -> Board:
    """What the device goes by, in its application and in its bootloader."""
    return board_named(layout, visit.facts, visit.behaviour.chip, uid_of(visit, subject), before)


def board_named(
    layout: Layout, facts: DeviceFacts, chip: Chip, uid: bytes | None, before: OtpContents
) -> Board:
    """The same of a device that is in its bootloader, by what is known of it there."""
    names = [f"uid:{uid.hex()}"] if uid else []
    rom = facts.rom
    if rom is not None and rom.serial and chip.serial.value in _SAYS_SOMETHING:
        names.append(f"rom:{chip.id}:{rom.serial}")
    begun = any(not one.is_blank for one in decode(layout, before.data))
    return Board(tuple(names), begun, before.data)


_SAYS_SOMETHING = ("uid-sum", "uid-sum-0a", "uid-sum-w2")
"""Rules by which a bootloader's serial number is made of the UID: of most chips another one for each part."""


def issue_for(
    sources: Sources, board: Board, uid: bytes | None, books: Books, reserved: Collection[str] = ()
) -> OtpIssue:
    """The values of this board. Nothing is on the books yet. `reserved` rows wait for other boards.

    Raises `Usage` for values that are missing or do not fit, and `Refused` for a row that was used.
    """
    layout, table = sources.layout, sources.table
    takes_next = layout.counts or (
        table is not None and sources.row is None and held_row(layout, table, board.data) is None
    )
    if not board.names and takes_next:
        raise Refused(
            "this device's bootloader shows no number of its own, so nothing says which board it is",
            advice="Nothing was changed. Unplug the device and plug it in so that its application starts, "
            "and run the command again. A board without an application takes --row N, or --set.",
        )
    row = count = None
    if table is not None:
        row = choose_row(layout, table, books.rows, board, sources.row, reserved)
    if layout.counts:
        count = choose_count(layout, books.counts, board)
    return made_issue(sources, row=row, count=count, uid=uid)


def made_issue(sources: Sources, *, row: int | None, count: int | None, uid: bytes | None) -> OtpIssue:
    """The values of one row and one count. Raises `Usage` where one is missing or does not fit."""
    layout, table = sources.layout, sources.table
    cells = table.row(row) if table is not None and row is not None else None
    values = values_for(layout, Given(asked=sources.asked, row=cells, count=count, uid=uid))
    secret = {field.name for field in layout.valued if field.secret}
    return OtpIssue(
        layout=sources.name,
        values=values,
        shown={name: None if name in secret else value for name, value in values.items()},
        patches=patches_for(layout, values),
        table=table.name if table else None,
        row=row,
        key=use_of_row(layout, cells) if cells is not None else None,
        count=count,
    )


def book(hands: Hands, sources: Sources, issue: OtpIssue, board: Board) -> None:
    """Put on the books what this board gets. On the disk when it returns.

    Raises `Refused` where another bench was faster, and `StorageFailed`.
    """
    with locked_books(sources) as books:
        books.book(sources, issue, board, hands.now.isoformat(timespec="seconds"))


def finish(hands: Hands, sources: Sources, issue: OtpIssue, board: Board, emit: Emit) -> None:
    """Note on the books that it was burnt and read back: what cannot be noted is told, and stops nobody."""
    try:
        with locked_books(sources) as books:
            books.finish(sources, issue, board, hands.now.isoformat(timespec="seconds"))
    except UpdaterError as error:
        emit(Noticed(f"The ledger could not be told that the values are burnt: {error.message}"))


def uid_of(visit: OtpVisit, subject: Subject) -> bytes | None:
    """The UID, where the application said it."""
    return said_uid(visit.facts) or said_uid(subject.connected.facts)


def said_uid(facts: DeviceFacts) -> bytes | None:
    """The UID that a device's application said; None for one of zeros or ones alone, which names no board.

    Firmware that leaves it out sends zeros, and all boards with such firmware would look like one.
    """
    uid = facts.uid
    return uid if uid and len(set(uid) - {0x00, 0xFF}) else None
