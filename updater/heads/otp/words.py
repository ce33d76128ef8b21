"""OTP in words, for the person who reads the plan before the one question. Pure: values in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from updater.heads.otp.layout import Decoded, Layout
from updater.heads.otp.lock import LockPlan
from updater.heads.otp.plan import BLANK, Lock, OtpContents, OtpPlan
from updater.heads.otp.report import OtpIssue, OtpReceipt
from updater.heads.silicon import OtpArea
from updater.words.facts import IdentityFrom

_ROW_BYTES = 16


def describe(plan: OtpPlan) -> list[str]:
    """The plan in words, one line each, as the person reads it before the one question."""
    hardware = f", hardware {plan.hardware}" if plan.hardware else ""
    area, changed = plan.area, count_bytes(plan.changed_bytes)
    lines = [
        f"{plan.title}{hardware}: {changed} into the OTP memory of its {plan.chip_title}",
        f"region:   {count_bytes(area.bytes)} at 0x{area.at:08X}, in blocks of {area.block_bytes}",
    ]
    for change in plan.changes:
        for at in range(change.offset, change.end, _ROW_BYTES):
            until = min(at + _ROW_BYTES, change.end)
            lines += [
                f"0x{at:04X}:   old     {_hex(plan.before.data[at:until])}",
                f"          new     {_hex(change.data[at - change.offset : until - change.offset])}",
            ]
    lines += [f"result:   {row}" for row in _result_rows(plan)]
    blocks = ", ".join(str(block) for block in plan.blocks)
    lines.append(f"blocks:   {blocks}; lock bytes are not touched")
    lines += [
        f"spent:    {count_bytes(length)} at 0x{at:04X} stay blank and can never be written after this"
        for at, length in plan.spent
    ]
    if plan.identity in (IdentityFrom.PERSON, IdentityFrom.NONE):
        lines.append("identity: not proven; you said which product this is")
    lines += [
        "if cut:   run the same command; bytes that are there by then are skipped",
        "for ever: this can never be undone",
    ]
    return lines


def _result_rows(plan: OtpPlan) -> Iterator[str]:
    """The rows of 16 that hold a change, as they will be."""
    after = plan.after.data
    rows = {at // _ROW_BYTES for change in plan.changes for at in range(change.offset, change.end)}
    for row in sorted(rows):
        at = row * _ROW_BYTES
        yield f"0x{at:04X}  {_hex(after[at : at + _ROW_BYTES])}"


def dump(area: OtpArea, contents: OtpContents) -> list[str]:
    """The memory block by block: its lock, and its bytes in rows; neighbours that are blank in one line."""
    lines = []
    count = area.bytes // area.block_bytes
    blocks = [contents.data[n * area.block_bytes :][: area.block_bytes] for n in range(count)]
    alike = groupby(range(count), key=lambda n: (None if _is_blank(blocks[n]) else n, contents.lock(n)))
    for (used, lock), stretch in alike:
        numbers = list(stretch)
        many = len(numbers) > 1
        name = f"blocks {numbers[0]} to {numbers[-1]}" if many else f"block {numbers[0]}"
        said = "" if lock is Lock.NONE else f", {_LOCK_WORDS[lock]}"
        lines.append(
            f"{name} (0x{numbers[0] * area.block_bytes:04X}){said}{', blank' if used is None else ''}"
        )
        if used is not None:
            lines += [
                f"  0x{used * area.block_bytes + at:04X}  {_hex(blocks[used][at : at + _ROW_BYTES])}"
                for at in range(0, area.block_bytes, _ROW_BYTES)
            ]
    if contents.locks:
        lines.append(f"lock bytes at 0x{area.lock_at:08X}: {_hex(contents.locks)}")
    return lines


def field_words(decoded: Iterable[Decoded]) -> list[str]:
    """What each field of a layout holds, one line each."""
    lines = []
    for one in decoded:
        said = "blank" if one.is_blank else one.value if one.value is not None else "no value"
        wrong = " (does not match the bytes that it covers)" if one.is_wrong and not one.is_blank else ""
        lines.append(f"{one.field.name:<16} 0x{one.field.offset:04X}  {said}{wrong}  [{_hex(one.data)}]")
    return lines


def issue_words(issue: OtpIssue) -> list[str]:
    """Which values a board gets, and where they come from."""
    row = f", row {issue.row} of {issue.table}" if issue.row is not None else ""
    lines = [f"layout:   {issue.layout}{row}"]
    return lines + [
        f"value:    {name} = {'(secret)' if value is None else value}" for name, value in issue.shown.items()
    ]


def production_words(layout: Layout, name: str, table: str | None, rows: int, free: int) -> Iterator[str]:
    """What every board of a station will get, before the one question."""
    fields = ", ".join(field.name for field in layout.fields)
    yield f"Each board gets its values by {name}, burnt into its OTP memory for ever: {fields}."
    if table is not None:
        many = {0: "no row is", 1: "1 row is"}.get(free, f"{free:,} rows are")
        yield f"Each takes a row of {table} that no other has: {many} free of {rows:,}. Nothing is locked."
    else:
        yield "Nothing is locked."


def describe_lock(plan: LockPlan) -> list[str]:
    """What locking means, as the person reads it before typing."""
    start = plan.block * plan.area.block_bytes
    return [
        f"{plan.title}: lock block {plan.block} of the OTP memory of its {plan.chip_title}, for ever",
        f"block:    {count_bytes(plan.area.block_bytes)} at 0x{start:04X}",
        *(f"holds:    {line}" for line in field_words(plan.fields)),
        f"old:      lock bytes {_hex(plan.before.locks)}",
        f"new:      lock bytes {_hex(plan.after.locks)}",
        f"spent:    {count_bytes(plan.blank_bytes)} of the block are FF and can never be written after this",
        "for ever: this can never be undone",
    ]


def receipt_words(receipt: OtpReceipt) -> list[str]:
    """What was done, for a person."""
    plan, name = receipt.plan, receipt.device.name
    if receipt.result == "nothing-to-do":
        return [f"Nothing to do: {name} holds these bytes already."]
    if receipt.result == "dry-run":
        return ["This was a dry run; nothing was changed."]
    places = ", ".join(f"0x{one.offset:04X}" for one in plan.changes)
    whole = count_bytes(plan.area.bytes + plan.area.lock_bytes)
    return [
        f"Done. {count_bytes(plan.changed_bytes)} burnt into the OTP memory of {name} at {places}.",
        f"  verified     all {whole} of the area read back and compared",
        f"  took         {sum(ms for _, ms in receipt.steps) / 1000:.1f} s ({receipt.clock} time), "
        f"{receipt.control_transfers:,} control transfers",
    ]


_LOCK_WORDS = {
    Lock.OPEN: "open",
    Lock.LOCKED: "locked for ever",
    Lock.UNCLEAR: "not open: its lock byte is neither FF nor 00",
}


def _is_blank(data: bytes) -> bool:
    return data.count(BLANK) == len(data)


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()


def count_bytes(count: int) -> str:
    """The number with its word."""
    return f"{count:,} byte{'s' if count != 1 else ''}"
