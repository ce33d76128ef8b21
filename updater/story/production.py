"""Production: a board gets its firmware, and then the values of its row, burnt for ever.

The firmware comes first. It can be written again; a burnt byte stays. And a board that runs its application
says the chip's unique ID, which most bootloaders do not: by that the ledger knows the board again after any
cut, and gives it its own row. Before the first erase the memory is read all the same, and a plan for it made,
so that no board gets firmware whose values could not be burnt. Blocks are never locked here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from updater.hands.usbio import Wire
from updater.heads.otp.issue import Board, Entry, check_columns, columns_of, held_count, use_of_row
from updater.heads.otp.layout import Layout
from updater.heads.otp.lock import check_layout
from updater.heads.otp.plan import BLANK, OtpContents, make_otp_plan
from updater.heads.otp.report import OtpIssue, OtpReceipt
from updater.heads.report import Receipt
from updater.heads.silicon import Behaviour
from updater.heads.vendor import Product
from updater.story.burning import glimpse
from updater.story.devices import application_ids, look_at, product_of
from updater.story.issuing import (
    Sources,
    board_named,
    board_of,
    finish,
    issue_for,
    locked_books,
    made_issue,
    read_books,
    said_uid,
    uid_of,
)
from updater.story.job import Hands, Prepared
from updater.story.lanes import Lane
from updater.story.provision import in_bootloader, prepare, receipt
from updater.story.provision import perform as burn
from updater.story.update import perform
from updater.story.visit import Subject
from updater.words.errors import DeviceIs, NoDevice, Refused, UpdaterError, Usage, WrongDevice
from updater.words.facts import DeviceFacts

_ANY_UID = bytes(range(1, 13))
_NO_ROWS = "Add rows to the table, and start the station again."


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known before the first board: the table, its rows, and how many of them no board has."""

    table: str | None = None
    rows: int = 0
    free: int = 0


class Production:
    """What every board of a station gets beside its firmware. One for all lanes.

    `signed` is the text of the layout where it must be that of the release itself.
    """

    def __init__(self, sources: Sources, *, signed: bytes | None = None) -> None:
        self._sources, self._signed = sources, signed
        self._reserved: dict[str, str] = {}
        self._choosing = threading.Lock()

    @property
    def layout(self) -> Layout:
        return self._sources.layout

    @property
    def name(self) -> str:
        """What the layout is called in words."""
        return self._sources.name

    def begin(self, hands: Hands) -> Beginning:
        """What can be refused before the first board is.

        Raises `WrongDevice` for a product with a chip without OTP memory, `Refused` for one that the layout
        does not fit, `Usage` for a value that is missing or does not fit, `StorageFailed` where the ledger
        cannot be kept. A table without a free row is no error: boards that have a row may be unfinished.
        """
        sources, layout = self._sources, self.layout
        product = hands.home.vendor.product(layout.product)
        if product is None:
            raise WrongDevice(f"the layout is for {layout.product}, which this updater does not know")
        for name in product.chips:
            chip = hands.silicon.by_id(name)
            if chip is not None:
                check_layout(layout, chip)
        for row in range(1, len(sources.table.rows) + 1) if sources.table else (None,):
            _checked(sources, row)
        with locked_books(sources) as books:  # and that they can be kept is seen here too
            return self._beginning(books.rows)

    def _beginning(self, entries: Sequence[Entry]) -> Beginning:
        table = self._sources.table
        if table is None:
            return Beginning()
        check_columns(table.name, entries, columns_of(self.layout))
        taken = {entry.use for entry in entries}
        uses = {use_of_row(self.layout, row) for row in table.rows}
        return Beginning(table.name, len(uses), len(uses - taken))

    def make(self, hands: Hands, lane: Lane, prepared: Prepared) -> Receipt:
        """Firmware, and then the values. What is done is in the lane as soon as it is, and not before.

        Raises what `update.perform` and `provision.perform` do, and `Refused` for a board that cannot get a
        row.
        """
        self._check_release(prepared)
        port = prepared.connected.facts.port

        def look(wire: Wire, behaviour: Behaviour, facts: DeviceFacts) -> None:
            before = glimpse(wire, behaviour, facts, hands.bus.clock)
            self._foresee(port, prepared.product, behaviour, facts, before)

        try:
            lane.receipt = perform(hands, replace(prepared, before_erase=look), lane.emit)
            if lane.receipt.exit_status == 0:
                with _after_firmware():
                    self._burn(hands, lane, prepared.product)
            return lane.receipt
        finally:
            with self._choosing:
                self._reserved.pop(port, None)

    def _check_release(self, prepared: Prepared) -> None:
        if prepared.product.id != self.layout.product:
            raise WrongDevice(
                f"the layout is for a {self.layout.product}, but the device is a {prepared.product.title}"
            )
        if self._signed is not None and prepared.bundle.layout != self._signed:
            raise Refused(
                "the release has another OTP layout than the one that this station was started with",
                advice="Nothing was changed. Start the station again.",
            )

    def _foresee(
        self, port: str, product: Product, behaviour: Behaviour, facts: DeviceFacts, before: OtpContents
    ) -> None:
        """Whether this board's values can be burnt, before anything is erased; keeps a row for it.

        A board whose application does not run yet does not say which it is. Then some row must fit.
        Raises `Refused` or `WrongDevice`.
        """
        sources = self._sources
        uid = said_uid(facts)
        board = board_named(self.layout, facts, behaviour.chip, uid, before)
        with self._choosing:
            books, others = read_books(sources), self._others(port)
            if uid is not None:
                issue = issue_for(sources, board, uid, books, others)
                make_otp_plan(facts, product, behaviour, issue.patches, before)
            else:
                rows = self._possible_rows(board, books.rows, others)
                issue = self._first_that_fits(rows, product, behaviour, facts, before)
            if issue.key is not None:
                self._reserved[port] = issue.key

    def _others(self, port: str) -> set[str]:
        return {use for at, use in self._reserved.items() if at != port}

    def _possible_rows(self, board: Board, entries: Iterable[Entry], others: set[str]) -> list[int | None]:
        """The rows that a board may get of which it is not known which it is; [None] without a table."""
        table = self._sources.table
        if table is None:
            return [None]
        not_its = {entry.use for entry in entries if entry.is_for(board) is False} | others
        taken = {entry.use for entry in entries}
        uses = [(use_of_row(self.layout, row), number) for number, row in enumerate(table.rows, start=1)]
        fitting: list[int | None] = [number for use, number in uses if use not in not_its | taken]
        return fitting + [number for use, number in uses if use in taken and use not in not_its]

    def _first_that_fits(
        self,
        rows: Iterable[int | None],
        product: Product,
        behaviour: Behaviour,
        facts: DeviceFacts,
        before: OtpContents,
    ) -> OtpIssue:
        why: Refused | None = None
        count, uid = held_count(self.layout, before.data) or 0, _held_uid(self.layout, before.data)
        for row in rows:
            issue = made_issue(self._sources, row=row, count=count, uid=uid)
            try:
                make_otp_plan(facts, product, behaviour, issue.patches, before)
            except Refused as error:
                why = why or error
            else:
                return issue
        name = self._sources.table.name if self._sources.table else ""
        raise why or Refused(f"every row of {name} was used or waits for another board", advice=_NO_ROWS)

    def _burn(self, hands: Hands, lane: Lane, product: Product) -> None:
        """The values, into a board that runs its firmware: it says which board it is."""
        subject = _seen(hands, lane.device.port, product)
        if said_uid(subject.connected.facts) is None:
            raise Refused(
                "the firmware does not say the chip's unique ID, so nothing says which board this is",
                advice="Nothing was burnt. A station needs firmware that says the unique ID "
                "(docs/integration.md). Without it burn each board by itself: `updater otp write --row N`.",
            )
        with in_bootloader(hands, subject, lane.emit) as visit:
            before = visit.worker.read()
            board = board_of(self.layout, visit, subject, before)
            uid = uid_of(visit, subject)
            with self._choosing, locked_books(self._sources) as books:
                others = self._others(lane.device.port)
                issue = issue_for(self._sources, board, uid, books, others)
                plan = prepare(visit, issue.patches, before)
                books.book(self._sources, issue, board, hands.now.isoformat(timespec="seconds"))
                lane.issue = issue
            if plan.runs:
                burn(hands, visit, plan)
            finish(hands, self._sources, issue, board, lane.emit)
        done: OtpReceipt = replace(receipt(hands, visit, plan), issue=issue)
        lane.otp, lane.device = done, done.device


@contextmanager
def _after_firmware() -> Iterator[None]:
    """What stops the burning says how the device is now: with its new firmware."""
    try:
        yield
    except UpdaterError as error:
        error.advice = error.advice.replace("Nothing was changed", "Nothing was burnt")
        if error.device_is in (DeviceIs.UNTOUCHED, DeviceIs.RUNS_OLD):
            error.device_is = DeviceIs.RUNS_NEW
        raise


def _checked(sources: Sources, row: int | None) -> None:
    """Whether a row gives every value. Raises `Usage`."""
    try:
        made_issue(sources, row=row, count=0, uid=_ANY_UID)
    except Usage as error:
        where = f"row {row} of {sources.table.name}: " if sources.table and row else ""
        raise Usage(f"{where}{error.message}", advice=error.advice) from error


def _held_uid(layout: Layout, data: bytes) -> bytes:
    """The unique ID that a memory holds; another one, of which nothing is burnt, where it holds none."""
    for field in layout.valued:
        held = data[field.offset : field.end]
        if field.uid and held.count(BLANK) != len(held):
            return held
    return _ANY_UID


def _seen(hands: Hands, port: str, product: Product) -> Subject:
    """The board whose firmware runs, as it says itself. Raises `NoDevice`, or what `product_of` does."""
    vendor = hands.home.vendor
    for attached in hands.bus.attached(application_ids(vendor)):
        one = look_at(hands.bus, attached, vendor, hands.silicon) if attached.port == port else None
        if one is not None and product_of(one.facts, vendor) == product:
            return Subject(one, product)
    raise NoDevice(
        f"the device on port {port} went away after its firmware was written",
        advice="Nothing was burnt. Plug it in again: the station goes on.",
    )
