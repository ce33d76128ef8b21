"""What is said of OTP memory to other programs: JSON lines, by the contract in `docs/json.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from updater.heads.otp.layout import Decoded
from updater.heads.otp.lock import LockPlan
from updater.heads.otp.plan import OtpContents, OtpPlan, Patch
from updater.heads.report import Line, cost_of, device_line, hex_text
from updater.heads.silicon import OtpArea
from updater.words.events import Step
from updater.words.facts import DeviceFacts

OtpResult = Literal["written", "written-not-confirmed", "nothing-to-do", "dry-run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpIssue:
    """What a layout made of its sources for one board. `values` by field name; `shown` without secrets.

    `row` is the number in `table` and `key` what the ledger calls it, `count` how many boards were counted
    before.
    """

    layout: str
    values: Mapping[str, str]
    shown: Mapping[str, str | None]
    patches: tuple[Patch, ...]
    table: str | None = None
    row: int | None = None
    key: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpReceipt:
    """What was burnt into one device's OTP memory, and how it was verified."""

    exit_status: int
    result: OtpResult
    device: DeviceFacts
    plan: OtpPlan
    verified: Literal["read-back", "none"]
    wrote_bytes: int
    control_transfers: int
    steps: tuple[tuple[Step, int], ...]
    clock: Literal["virtual", "real"]
    issue: OtpIssue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpLockReceipt:
    """That one block of a device's OTP memory was locked."""

    exit_status: int
    result: OtpResult
    device: DeviceFacts
    plan: LockPlan
    verified: Literal["read-back", "none"]
    control_transfers: int


def otp_line(
    facts: DeviceFacts,
    area: OtpArea,
    contents: OtpContents,
    alternate: int | None,
    decoded: Sequence[Decoded] | None = None,
) -> Line:
    """What `updater otp show` read, byte for byte, and what a layout makes of it."""
    size = area.block_bytes
    return {
        "type": "otp",
        "device": device_line(facts),
        **_otp_place(area),
        "alternate": alternate,
        "blocks": [
            {"offset": at, "hex": contents.data[at : at + size].hex(), "lock": contents.lock(at // size)}
            for at in range(0, area.bytes, size)
        ],
        "locks": contents.locks.hex() if contents.locks else None,
        **({} if decoded is None else {"fields": [_field(one) for one in decoded]}),
    }


def _field(one: Decoded) -> Line:
    return {
        "name": one.field.name,
        "offset": one.field.offset,
        "hex": one.data.hex(),
        "value": one.value,
        "blank": one.is_blank,
        "wrong": one.is_wrong,
    }


def otp_plan_line(plan: OtpPlan, alternate: int | None, issue: OtpIssue | None = None) -> Line:
    """What would be burnt: `write` are the bytes that change, `send` what goes over USB for that."""
    old = plan.before.data
    return {
        "type": "otp-plan",
        "product": plan.product,
        "identity": plan.identity,
        "chip": plan.chip,
        **_otp_place(plan.area),
        "alternate": alternate,
        "write": [
            {"offset": one.offset, "old": old[one.offset : one.end].hex(), "new": one.data.hex()}
            for one in plan.changes
        ],
        "send": [{"address": hex_text(run.address, 8), "hex": run.data.hex()} for run in plan.runs],
        "blocks": list(plan.blocks),
        "spent": [{"offset": at, "length": length} for at, length in plan.spent],
        **({"values": dict(issue.shown), **_issue(issue)} if issue else {}),
    }


def otp_receipt_line(receipt: OtpReceipt) -> Line:
    """What was burnt. Receipts go into support reports, so the bytes themselves are not in it."""
    plan, issue = receipt.plan, receipt.issue
    return {
        "type": "otp-receipt",
        "exit": receipt.exit_status,
        "result": receipt.result,
        "device": device_line(receipt.device),
        "product": plan.product,
        "identity": plan.identity,
        "chip": plan.chip,
        **_otp_place(plan.area),
        "asked": [_digest(patch) for patch in plan.patches],
        "write": [_digest(change) for change in plan.changes],
        **({"fields": sorted(issue.values), **_issue(issue)} if issue else {}),
        "verified": receipt.verified,
        "wrote_bytes": receipt.wrote_bytes,
        **cost_of(receipt.control_transfers, receipt.steps, receipt.clock),
    }


def otp_lock_plan_line(plan: LockPlan) -> Line:
    """What `updater otp lock` would do."""
    return {
        "type": "otp-lock-plan",
        "product": plan.product,
        "chip": plan.chip,
        **_otp_place(plan.area),
        "block": plan.block,
        "old": plan.before.locks.hex(),
        "new": plan.after.locks.hex(),
        "blank_bytes": plan.blank_bytes,
        "send": {"address": hex_text(plan.run.address, 8), "hex": plan.run.data.hex()} if plan.run else None,
    }


def otp_lock_receipt_line(receipt: OtpLockReceipt) -> Line:
    """What `updater otp lock` did."""
    plan = receipt.plan
    return {
        "type": "otp-lock-receipt",
        "exit": receipt.exit_status,
        "result": receipt.result,
        "device": device_line(receipt.device),
        "product": plan.product,
        "chip": plan.chip,
        **_otp_place(plan.area),
        "block": plan.block,
        "locks": plan.after.locks.hex(),
        "verified": receipt.verified,
        "control_transfers": receipt.control_transfers,
    }


def _issue(issue: OtpIssue) -> Line:
    return {"layout": issue.layout, "table": issue.table, "row": issue.row, "count": issue.count}


def _otp_place(area: OtpArea) -> Line:
    return {"address": hex_text(area.at, 8), "bytes": area.bytes, "block_bytes": area.block_bytes}


def _digest(patch: Patch) -> Line:
    digest = hashlib.sha256(patch.data).hexdigest()
    return {"offset": patch.offset, "length": len(patch.data), "sha256": digest}
