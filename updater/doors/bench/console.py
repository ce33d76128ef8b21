"""The conversations of a bench: every device that is connected, or every one that will be plugged in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from updater.doors.bench.face import LanesFace
from updater.doors.console import awake, kept, receipt_name
from updater.doors.terminal import Face
from updater.hands.host import today
from updater.hands.receiptbook import ReceiptBook, open_receipt_book
from updater.heads.otp.report import otp_receipt_line
from updater.heads.otp.words import production_words
from updater.heads.report import Line, receipt_line
from updater.heads.tally import board_line, board_row, check_label, label_text
from updater.story.catalogue import newest_if_any
from updater.story.job import Hands, Prepared, Request
from updater.story.lanes import Outcome, gravest, perform_every, prepare_every
from updater.story.production import Production
from updater.story.station import LOOK_EVERY_MS, Station
from updater.story.update import check_may_write, dry_run, perform
from updater.words.errors import StorageFailed, UpdaterError, UsbFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is left behind of each board: where its rows go, and what its label says. None: nothing.

    `fields` are those of the OTP layout that a label may name.
    """

    folder: Path | None = None
    label: str | None = None
    fields: tuple[str, ...] = ()


def install_every(
    hands: Hands, face: Face, lanes: LanesFace, request: Request, paper: Paper, *, yes: bool, dry: bool
) -> int:
    """`updater install --all`: one question for all devices, then a lane for each of them."""
    hands = _with_newest(hands, request, face)
    with _clerk(hands, face, lanes, paper) as clerk:
        every = prepare_every(hands, request, lanes.hear)
        ready = {port: one for port, one in every.items() if isinstance(one, Prepared)}
        wanted = {port: one for port, one in ready.items() if one.plan is not None}
        lanes.plans([(port, one.plan) for port, one in wanted.items() if one.plan])
        for port, one in every.items():
            if isinstance(one, Outcome):
                clerk.note(one)
            elif dry or port not in wanted:
                clerk.note(_unchanged(hands, one))
        if wanted and not dry:
            check_may_write(hands)
            _ask_once(face, list(wanted.values()), yes=yes)
            with clerk.tally_of_what_is_done(), awake(hands):
                perform_every(hands, wanted, lanes.hear, clerk.note)
        return clerk.tally()


def station(
    hands: Hands,
    face: Face,
    lanes: LanesFace,
    request: Request,
    paper: Paper,
    *,
    yes: bool,
    boards: int | None,
    production: Production | None = None,
) -> int:
    """`updater station`: one question, then a lane for each board that comes, until Ctrl-C.

    `boards`: end by itself after so many. `production`: values for each board, checked before the question.
    """
    check_may_write(hands)
    hands = _with_newest(hands, request, face)
    question = _said_of_values(hands, face, production)
    with _clerk(hands, face, lanes, paper) as clerk, hands.bus.clock.together():
        bench = Station(hands, request, lanes.hear, clerk.note, production)
        face.confirm(question, yes=yes)
        face.say("Plug the boards in. Ctrl-C ends the station once those at work are done.")
        with clerk.tally_of_what_is_done(), awake(hands):
            try:
                _serve(hands, bench, clerk, boards)
            finally:
                bench.wait()
        return clerk.tally()


def _serve(hands: Hands, bench: Station, clerk: _Clerk, boards: int | None) -> None:
    """Until so many boards are done, or nothing more can be: those at work are always waited for."""
    is_closing = False
    while not is_closing or bench.ports_at_work:
        try:
            hands.bus.clock.sleep_ms(LOOK_EVERY_MS)
            left = None if boards is None else boards - clerk.count - len(bench.ports_at_work)
            bench.look(takes=0 if is_closing else left)
            is_closing |= clerk.failure is not None or clerk.count == boards
        except UsbFailed as problem:
            if not is_closing:
                clerk.ends_for(problem)
            is_closing = True
        except KeyboardInterrupt:
            if is_closing:
                bench.stop()
            is_closing = True


def _with_newest(hands: Hands, request: Request, face: Face) -> Hands:
    """Once for all boards; for a file the site is not asked, and without it they go on as they are."""
    if hands.home.doubt:
        face.say(f"Note: {hands.home.doubt}")
    return hands if request.data is not None else newest_if_any(hands, face.emit)


def _said_of_values(hands: Hands, face: Face, production: Production | None) -> str:
    """Say what each board gets beside its firmware, and return the question. Raises what `begin` does."""
    if production is None:
        return "Update every device that is plugged in from now on?"
    begun = production.begin(hands)
    for line in production_words(production.layout, production.name, begun.table, begun.rows, begun.free):
        face.say(line)
    return "Update every device that is plugged in from now on, and burn its values for ever?"


def _unchanged(hands: Hands, prepared: Prepared) -> Outcome:
    """A device on which nothing is to be done, or whose plan was only to be shown."""
    receipt = dry_run(hands, prepared) if prepared.plan else perform(hands, prepared, lambda _event: None)
    facts = prepared.connected.facts
    return Outcome(port=facts.port, device=facts, receipt=receipt)


def _ask_once(face: Face, prepared: Sequence[Prepared], *, yes: bool) -> None:
    for wanted in dict.fromkeys(one for each in prepared for one in each.verdict.confirmations):
        face.typed(wanted)
    count = len(prepared)
    question = f"Update {count} devices now?" if count > 1 else f"Update {prepared[0].product.title} now?"
    face.confirm(question, yes=yes)


class _Clerk:
    """Writes down how each lane ended, and tells it. `failure`: why no more boards are taken."""

    def __init__(
        self, hands: Hands, face: Face, lanes: LanesFace, label: str | None, book: ReceiptBook | None
    ) -> None:
        self._hands, self._face, self._lanes, self._label, self._book = hands, face, lanes, label, book
        self._outcomes: list[Outcome] = []
        self.failure: UpdaterError | None = None

    @property
    def count(self) -> int:
        """How many boards are done, whatever came of them."""
        return len(self._outcomes)

    def note(self, outcome: Outcome) -> None:
        """The lane is done: nothing that fails here may stop another one."""
        self._outcomes.append(outcome)
        receipt, error, otp, at = outcome.receipt, outcome.error, outcome.otp, today()
        label = self._label_of(outcome, at)
        row = board_row(
            outcome.port, outcome.device, at=at, receipt=receipt, error=error, label=label, otp=otp,
            issue=outcome.issue,
        )  # fmt: skip
        line = board_line(row, receipt=receipt, error=error, otp=otp)
        if receipt and receipt.erased_sectors:
            self._keep(receipt_name(at, receipt), receipt_line(receipt))
        if otp and otp.verified == "read-back":
            name = f"{at:%Y%m%d-%H%M%S-%f}-{otp.plan.product}-otp-on-{outcome.port}"
            self._keep(name, otp_receipt_line(otp))
        try:
            if self._book is not None:
                self._book.add(row, line)
        except StorageFailed as problem:
            self.ends_for(problem)
        with suppress(OSError, ValueError):
            self._lanes.ended(outcome, line, label)

    def _keep(self, name: str, line: Line) -> None:
        with suppress(OSError, ValueError):
            kept(self._hands.store, name, line, self._face)

    def ends_for(self, problem: UpdaterError) -> None:
        """No more boards are taken for this; the tally has its exit status too."""
        self.failure = problem
        with suppress(OSError, ValueError):
            self._face.say(f"Note: {problem.message}. No more boards are taken. {problem.advice}")

    def _label_of(self, outcome: Outcome, at: datetime) -> str | None:
        """The label of a board that is done; with values of its own, each time that it comes."""
        receipt = outcome.receipt
        if not self._label or receipt is None or outcome.exit_status:
            return None
        if outcome.otp is not None:
            return label_text(
                self._label, outcome.otp.device, at, outcome.issue.shown if outcome.issue else None
            )
        return label_text(self._label, receipt.device, at) if receipt.result == "confirmed" else None

    def tally(self) -> int:
        """Tell how all ended; returns the exit status of the gravest."""
        statuses = [one.exit_status for one in self._outcomes]
        if self.failure:
            statuses.append(self.failure.exit_status)
        exit_status = gravest(statuses)
        with suppress(KeyboardInterrupt, OSError, ValueError):
            self._lanes.tally(self._outcomes, exit_status)
        return exit_status

    @contextmanager
    def tally_of_what_is_done(self) -> Iterator[None]:
        """What stops the work itself does not hide what came of the boards that are done."""
        try:
            yield
        except BaseException:
            self.tally()
            raise


@contextmanager
def _clerk(hands: Hands, face: Face, lanes: LanesFace, paper: Paper) -> Iterator[_Clerk]:
    """What could fail on paper fails before the first board is asked. Raises `Usage`, `StorageFailed`."""
    check_label(paper.label or "", paper.fields)
    if paper.folder is None:
        yield _Clerk(hands, face, lanes, paper.label, None)
        return
    with open_receipt_book(paper.folder) as book:
        face.say(f"Receipts are added to boards.jsonl and boards.csv in {paper.folder}")
        yield _Clerk(hands, face, lanes, paper.label, book)
