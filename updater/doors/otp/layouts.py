"""The conversations of `updater otp` by a layout: what the bytes mean, and values into a board."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from updater.doors.console import awake, keep_and_tell, stopped_at_work
from updater.doors.console import request_for as release_request
from updater.doors.otp.console import ask_once, show, tell
from updater.doors.terminal import Face
from updater.hands.host import read_file
from updater.heads.otp.issue import columns_of, parse_table
from updater.heads.otp.layout import Layout, parse_layout
from updater.heads.otp.lock import check_block, make_lock_plan
from updater.heads.otp.plan import otp_area
from updater.heads.otp.report import otp_lock_plan_line, otp_lock_receipt_line, otp_plan_line
from updater.heads.otp.words import describe, describe_lock, issue_words
from updater.heads.policy import TypedConfirmation, Verdict
from updater.story.devices import behaviour_of
from updater.story.issuing import Sources, board_of, book, finish, issue_for, read_books, uid_of
from updater.story.job import Hands, Request
from updater.story.layouts import (
    check_local_layout,
    find_for_layout,
    find_with_release,
    layout_of,
    verdict_on,
)
from updater.story.production import Production
from updater.story.provision import in_bootloader, lock_receipt, perform, perform_lock, prepare, receipt
from updater.story.supply import Supply
from updater.story.update import check_may_write
from updater.story.visit import Subject
from updater.words.errors import Usage
from updater.words.events import Noticed

_LAYOUT_LIMIT_BYTES = 64 * 1024
_TABLE_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says: a layout, `--set` texts, a table with a row, and a ledger of numbers.

    `layout` is a file on the bench (`.toml`), a release as `install` takes it, or empty: the channel's.
    """

    layout: str
    sets: tuple[str, ...] = ()
    table: Path | None = None
    row: int | None = None
    ledger: Path | None = None

    @property
    def local(self) -> Path | None:
        """The layout file that nobody signed, if it is one."""
        return Path(self.layout) if self.layout.lower().endswith(".toml") else None


def read_sources(wanted: Wanted, layout: Layout, name: str) -> Sources:
    """Where the values come from; reads the table. Raises `Usage` and `StorageFailed`."""
    asked: dict[str, str] = {}
    for text in wanted.sets:
        field, equals, value = text.partition("=")
        if not equals or field in asked:
            raise Usage(
                f"{text!r} is not NAME=VALUE, or gives {field!r} twice", advice="For example: --set serial=17"
            )
        asked[field] = value
    if wanted.row is not None and wanted.table is None:
        raise Usage("--row needs a table", advice="Add --from FILE.csv.")
    table = None
    if wanted.table is not None and not columns_of(layout):
        raise Usage("the layout takes nothing from a table", advice="Leave out --from.")
    if wanted.table is not None:
        table = parse_table(wanted.table.name, _read(wanted.table, _TABLE_LIMIT_BYTES))
    beside = wanted.local
    return Sources(
        layout=layout,
        name=name,
        numbers=wanted.ledger or (beside.with_name(f"{beside.name}.ledger") if beside else None),
        asked=asked,
        table=table,
        table_path=wanted.table,
        row=wanted.row,
    )


def read_layout(path: Path) -> Layout:
    """Read a layout file. Raises `Usage` and `StorageFailed`."""
    return parse_layout(_read(path, _LAYOUT_LIMIT_BYTES))


def _read(path: Path, limit: int) -> bytes:
    data = read_file(path, limit=limit)
    if len(data) > limit:
        raise Usage(f"{path.name} is larger than {limit:,} bytes", advice="Choose the right file.")
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A device and the layout for it; `name` says where that is from."""

    subject: Subject
    layout: Layout
    name: str
    verdict: Verdict


def _choose(hands: Hands, face: Face, request: Request, wanted: Wanted, *, burns: bool) -> _Chosen:
    """The layout that is wanted, and the device. What a layout burns is held to more than what it shows."""
    if wanted.local is not None:
        if burns:
            check_local_layout(hands.home.vendor)
        layout = read_layout(wanted.local)
        subject = find_for_layout(hands, request, layout)
        return _Chosen(subject=subject, layout=layout, name=wanted.local.name, verdict=Verdict())
    release = release_request(wanted.layout or None, hands.home.vendor)
    release = replace(release, device=request.device, as_product=request.as_product)
    subject, bundle, layout = find_with_release(hands, release, face.emit)
    verdict = verdict_on(hands, release, subject, bundle) if burns else Verdict()
    for warning in verdict.warnings:
        face.emit(Noticed(warning))
    name = f"{bundle.manifest.product} {bundle.manifest.version}"
    return _Chosen(subject=subject, layout=layout, name=name, verdict=verdict)


def production_for(hands: Hands, face: Face, request: Request, wanted: Wanted) -> Production:
    """What `updater station --otp` gives to each board: by a file on the bench, or by the release's layout.

    Raises `Usage`, `Refused`, `StorageFailed`, and what the gate does.
    """
    if wanted.local is not None:
        check_local_layout(hands.home.vendor)
        return Production(read_sources(wanted, read_layout(wanted.local), wanted.local.name))
    if wanted.layout or request.data is None:
        raise Usage(
            "--otp takes a .toml file, or the layout of the bundle file that is installed",
            advice="For example: updater station FILE.fwb --otp --from boards.csv",
        )
    bundle = Supply(hands, request).file(face.emit)
    name = f"{bundle.manifest.product} {bundle.manifest.version}"
    return Production(read_sources(wanted, layout_of(bundle), name), signed=bundle.layout)


def show_by_layout(hands: Hands, face: Face, request: Request, wanted: Wanted) -> int:
    """`updater otp show --layout`: decoded, then the raw bytes."""
    chosen = _choose(hands, face, request, wanted, burns=False)
    return show(hands, face, request, layout=chosen.layout, subject=chosen.subject)


def write_by_layout(
    hands: Hands, face: Face, request: Request, wanted: Wanted, *, yes: bool, dry: bool
) -> int:
    """`updater otp plan` and `otp write --layout`: values, plan, one question, the books, the bytes."""
    chosen = _choose(hands, face, request, wanted, burns=True)
    subject, sources = chosen.subject, read_sources(wanted, chosen.layout, chosen.name)
    books = read_books(sources)
    with stopped_at_work(), awake(hands), in_bootloader(hands, subject, face.emit) as visit:
        before = visit.worker.read()
        board = board_of(sources.layout, visit, subject, before)
        issue = issue_for(sources, board, uid_of(visit, subject), books)
        plan = prepare(visit, issue.patches, before)
        words = [*issue_words(issue), *describe(plan)]
        if plan.runs:
            face.announce(otp_plan_line(plan, visit.worker.alternate, issue), words)
        if plan.runs and not dry:
            for confirmation in chosen.verdict.confirmations:
                face.typed(confirmation)
            ask_once(face, plan, yes=yes)
        if not dry:
            check_may_write(hands)
            book(hands, sources, issue, board)
        if plan.runs and not dry:
            perform(hands, visit, plan)
        if not dry:
            finish(hands, sources, issue, board, face.emit)
    done = replace(receipt(hands, visit, plan, dry=dry), issue=issue)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        tell(hands, face, done)
    return done.exit_status


def lock(hands: Hands, face: Face, request: Request, wanted: Wanted, block: int, *, dry: bool) -> int:
    """`updater otp lock`: one block, for ever, after its name was typed."""
    chosen = _choose(hands, face, request, wanted, burns=True)
    subject, layout = chosen.subject, chosen.layout
    check_block(layout, otp_area(behaviour_of(hands.silicon, subject.connected.facts).chip), block)
    with stopped_at_work(), awake(hands), in_bootloader(hands, subject, face.emit) as visit:
        plan = make_lock_plan(visit.product, visit.behaviour, layout, block, visit.worker.read())
        if plan.run is not None:
            face.announce(otp_lock_plan_line(plan), describe_lock(plan))
        if plan.run is not None and not dry:
            for confirmation in chosen.verdict.confirmations:
                face.typed(confirmation)
            because = f"block {block} of this {plan.title} can never be written again"
            face.typed(TypedConfirmation(text=f"lock block {block}", because=because))
            perform_lock(hands, visit, plan)
    done = lock_receipt(visit, plan, dry=dry)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        work = f"{plan.product}-otp-lock" if done.verified == "read-back" else None
        said = f"Block {block} is locked." if done.result != "dry-run" else "Nothing was changed."
        keep_and_tell(hands, face, otp_lock_receipt_line(done), [said], work=work)
    return done.exit_status
