"""The conversations of `updater otp` by a layout: what the bytes mean, and values into a board."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from updater.doors.console import keep_and_tell, stopped_at_work
from updater.doors.otpconsole import ask_once, show, tell
from updater.doors.terminal import Face
from updater.hands.host import read_file
from updater.heads.otp import otp_area
from updater.heads.otpissue import parse_table
from updater.heads.otplayout import Layout, parse_layout
from updater.heads.otplock import check_block, make_lock_plan
from updater.heads.otpwords import describe, describe_lock, issue_words
from updater.heads.policy import TypedConfirmation
from updater.heads.report import otp_lock_plan_line, otp_lock_receipt_line, otp_plan_line
from updater.story.devices import behaviour_of
from updater.story.issuing import (
    Sources,
    board_of,
    book,
    check_local_layout,
    find_for_layout,
    issue_for,
    uid_of,
)
from updater.story.job import Hands, Request
from updater.story.provision import in_bootloader, lock_receipt, perform, perform_lock, prepare, receipt
from updater.story.update import check_may_write
from updater.words.errors import Usage

_LAYOUT_LIMIT_BYTES = 64 * 1024
_TABLE_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says: a layout file, `--set` texts, and a table with a row."""

    layout: Path
    sets: tuple[str, ...] = ()
    table: Path | None = None
    row: int | None = None


def read_sources(wanted: Wanted) -> Sources:
    """Read the files. Raises `Usage` and `StorageFailed`."""
    asked: dict[str, str] = {}
    for text in wanted.sets:
        name, equals, value = text.partition("=")
        if not equals or name in asked:
            raise Usage(
                f"{text!r} is not NAME=VALUE, or gives {name!r} twice", advice="For example: --set serial=17"
            )
        asked[name] = value
    if wanted.row is not None and wanted.table is None:
        raise Usage("--row needs a table", advice="Add --from FILE.csv.")
    table = None
    if wanted.table is not None:
        table = parse_table(wanted.table.name, _read(wanted.table, _TABLE_LIMIT_BYTES))
    return Sources(
        layout=read_layout(wanted.layout),
        path=wanted.layout,
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


def show_by_layout(hands: Hands, face: Face, request: Request, path: Path) -> int:
    """`updater otp show --layout`: decoded, then the raw bytes."""
    layout = read_layout(path)
    return show(hands, face, request, layout=layout, subject=find_for_layout(hands, request, layout))


def write_by_layout(
    hands: Hands, face: Face, request: Request, wanted: Wanted, *, yes: bool, dry: bool
) -> int:
    """`updater otp plan` and `otp write --layout`: values, plan, one question, the books, the bytes."""
    check_local_layout(hands.home.vendor)
    sources = read_sources(wanted)
    subject = find_for_layout(hands, request, sources.layout)
    with stopped_at_work(), in_bootloader(hands, subject, face.emit) as visit:
        before = visit.worker.read()
        board = board_of(sources.layout, visit, subject, before)
        issue = issue_for(sources, board, uid_of(visit, subject))
        plan = prepare(visit, issue.patches, before)
        words = [*issue_words(issue), *describe(plan)]
        if plan.runs:
            face.announce(otp_plan_line(plan, visit.worker.alternate, issue), words)
        if plan.runs and not dry:
            ask_once(face, plan, yes=yes)
        if not dry:
            check_may_write(hands)
            book(hands, sources, issue, board)
        if plan.runs and not dry:
            perform(hands, visit, plan)
    done = replace(receipt(hands, visit, plan, dry=dry), issue=issue)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        tell(hands, face, done)
    return done.exit_status


def lock(hands: Hands, face: Face, request: Request, path: Path, block: int, *, dry: bool) -> int:
    """`updater otp lock`: one block, for ever, after its name was typed."""
    check_local_layout(hands.home.vendor)
    layout = read_layout(path)
    subject = find_for_layout(hands, request, layout)
    check_block(layout, otp_area(behaviour_of(hands.silicon, subject.connected.facts).chip), block)
    with stopped_at_work(), in_bootloader(hands, subject, face.emit) as visit:
        plan = make_lock_plan(visit.product, visit.behaviour, layout, block, visit.worker.read())
        if plan.run is not None:
            face.announce(otp_lock_plan_line(plan), describe_lock(plan))
        if plan.run is not None and not dry:
            because = f"block {block} of this {plan.title} can never be written again"
            face.typed(TypedConfirmation(text=f"lock block {block}", because=because))
            perform_lock(hands, visit, plan)
    done = lock_receipt(visit, plan, dry=dry)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        work = f"{plan.product}-otp-lock" if done.verified == "read-back" else None
        said = f"Block {block} is locked." if done.result != "dry-run" else "Nothing was changed."
        keep_and_tell(hands, face, otp_lock_receipt_line(done), [said], work=work)
    return done.exit_status
