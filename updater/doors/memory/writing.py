"""The conversation of `updater write`: the plan, the product typed in, the one question, the receipt."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from updater.doors.console import IN_PLACE, awake, keep_and_tell, stopped_at_work
from updater.doors.memory.console import FILE_LIMIT_BYTES
from updater.doors.terminal import Face
from updater.hands.host import read_file
from updater.heads.memory import Format, format_of, parse_memory
from updater.heads.memoryreport import WriteReceipt, write_plan_line, write_receipt_line
from updater.heads.plan import Plan
from updater.heads.policy import TypedConfirmation
from updater.heads.writewords import describe_write, write_receipt_words
from updater.story.job import Hands, Request
from updater.story.update import check_may_write
from updater.story.writing import Bench, Piece, check_engineering, dry_write, perform_write, prepare_write
from updater.words.errors import NotConfirmed, Usage

_SUFFIXES = tuple(f".{one}" for one in Format)


def write(
    hands: Hands,
    face: Face,
    request: Request,
    path: Path,
    *,
    at: int | None,
    over_kept: bool,
    yes: bool,
    dry: bool,
) -> int:
    """`updater write`: prepare, ask, perform, and keep the receipt."""
    check_engineering(hands.home.vendor)
    if path.suffix.lower() not in _SUFFIXES:
        raise Usage(f"{path.name}: only .bin, .hex and .dfu are written", advice="Convert the file.")
    data = read_file(path, limit=FILE_LIMIT_BYTES)
    parts = parse_memory(data, format_of(path.name, None), address=at)
    bench = prepare_write(hands, request, Piece(file=path.name, parts=parts, over_kept=over_kept))
    assert bench.plan is not None
    overwritten = _overwritten(bench, bench.plan)
    words = describe_write(bench.plan, parts, overwritten)
    face.announce(write_plan_line(bench.plan, bench.digest, parts, overwritten), words)
    if dry:
        _tell(hands, face, dry_write(hands, bench))
        return 0
    check_may_write(hands)
    _ask(face, bench, yes=yes)
    with stopped_at_work(), awake(hands):
        receipt = perform_write(hands, bench, bench.plan, face.emit)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        _tell(hands, face, receipt)
    return receipt.exit_status


def _overwritten(bench: Bench, plan: Plan) -> list[tuple[int, int]]:
    """What the product keeps in sectors that will be erased all the same."""
    return [
        (kept.address, kept.length)
        for kept in bench.product.keep
        if bench.piece.over_kept
        and any(s.address < kept.end and kept.address < s.end for s in plan.erased_sectors)
    ]


def _ask(face: Face, bench: Bench, *, yes: bool) -> None:
    because = f"nobody has signed {bench.piece.file}, so nothing says that it is meant for this device"
    face.typed(TypedConfirmation(text=bench.product.id, because=because))
    face.confirm(f"Write {bench.piece.file} into this {bench.product.title} now?", yes=yes)


def _tell(hands: Hands, face: Face, receipt: WriteReceipt) -> None:
    work = f"{receipt.product}-write" if receipt.verified == "read-back" else None
    keep_and_tell(hands, face, write_receipt_line(receipt), write_receipt_words(receipt), work=work)
    if receipt.exit_status == NotConfirmed.exit_status:
        face.say(IN_PLACE)
