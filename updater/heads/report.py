"""What is said to other programs: JSON lines, by the contract in `docs/json.md`.

Every line has a `type`; unknown values are null and never left out; addresses are "0x…" strings, sizes
bytes, times ms. Pure: values in, dictionaries out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from semver import Version

from updater.heads.dfufile import DfuFile
from updater.heads.doctor import Diagnosis
from updater.heads.manifest import Image, Manifest
from updater.heads.memory import Difference, Memory
from updater.heads.otp import OtpContents, OtpPlan, Patch
from updater.heads.otplayout import Decoded
from updater.heads.otplock import LockPlan
from updater.heads.plan import Plan
from updater.heads.silicon import Option, OtpArea
from updater.words.errors import UpdaterError
from updater.words.events import Progressed, Step
from updater.words.facts import DeviceFacts, IdentityFrom, Limitation, Segment

Line = dict[str, Any]
Result = Literal["confirmed", "written-not-confirmed", "nothing-to-do", "dry-run"]
OtpResult = Literal["written", "written-not-confirmed", "nothing-to-do", "dry-run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was done to one device, how it was verified, and how long each step took."""

    exit_status: int
    result: Result
    device: DeviceFacts
    product: str
    from_version: Version | None
    to_version: Version
    manifest_sha256: str
    signed_by: tuple[str, ...]
    root_version: int
    identity: IdentityFrom
    verified: Literal["read-back", "none"]
    wrote_bytes: int
    erased_sectors: int
    control_transfers: int
    steps: tuple[tuple[Step, int], ...]
    clock: Literal["virtual", "real"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReceipt:
    """What `updater write` did to one device, and how it was verified. Nobody had signed the file."""

    exit_status: int
    result: Result
    device: DeviceFacts
    product: str
    identity: IdentityFrom
    file: str
    parts: tuple[Segment, ...]
    verified: Literal["read-back", "none"]
    wrote_bytes: int
    erased_sectors: int
    control_transfers: int
    steps: tuple[tuple[Step, int], ...]
    clock: Literal["virtual", "real"]


def device_line(facts: DeviceFacts) -> Line:
    """One device of `updater devices --json`."""
    return {
        "type": "device",
        "name": facts.name,
        "mode": facts.mode,
        "product": facts.product,
        "hardware": facts.hardware,
        "serial": facts.serial,
        "version": _text(facts.version),
        "security_counter": facts.security_counter,
        "identity": facts.identity,
        "chip": facts.chip,
        "chips": list(facts.chips),
        "dev_id": _hex(facts.dev_id, 3),
        "revision": facts.revision,
        "revision_from": facts.revision_from,
        "rom_version": _hex(facts.rom_version, 2),
        "rom_version_from": facts.rom_version_from,
        "flash_kib": facts.flash_kib,
        "bank_mode": facts.bank_mode,
        "port": facts.port,
        "usb": facts.usb,
        "limitations": [_limitation(one) for one in facts.limitations],
        "problem": facts.problem,
        "refused": facts.refused,
    }


def diagnosis_line(diagnosis: Diagnosis) -> Line:
    """What `updater doctor` says."""
    finding = diagnosis.finding
    return {
        "type": "doctor",
        "exit": finding.exit_status,
        "finding": finding.id,
        "what": finding.what,
        "next_step": finding.next_step,
        "fix": finding.fix,
        "others": [{"finding": one.id, "what": one.what} for one in diagnosis.others],
        "looked_at": [{"name": name, "text": text} for name, text in diagnosis.looked_at],
    }


def plan_line(plan: Plan) -> Line:
    """What would be done."""
    return {
        "type": "plan",
        "product": plan.product,
        "from_version": _text(plan.from_version),
        "to_version": _text(plan.to_version),
        "image": plan.image,
        "image_because": plan.image_because,
        "erase": [{"address": _hex(one.address, 8), "size": one.size} for one in plan.erased_sectors],
        "erase_whole_flash_because": plan.mass_erase.because if plan.mass_erase else None,
        "write_bytes": plan.write_bytes,
        "keep": [{"address": _hex(address, 8), "length": length} for address, length in plan.keep],
        "lost_bytes": plan.lost_bytes,
        "recovery": plan.recovery.kind,
        "estimate_ms": plan.estimate_ms,
        "replug_because": plan.replug_because,
    }


def progress_line(event: Progressed, total: int | None) -> Line:
    """How far a step is, and how long the whole will still take."""
    return {
        "type": "progress",
        "step": event.step,
        "done": event.done,
        "total": total,
        "remaining_ms": event.remaining_ms,
        "quiet_ms": event.quiet_ms,
    }


def receipt_line(receipt: Receipt) -> Line:
    """What was done."""
    return {
        "type": "receipt",
        "exit": receipt.exit_status,
        "result": receipt.result,
        "device": device_line(receipt.device),
        "product": receipt.product,
        "from_version": _text(receipt.from_version),
        "to_version": str(receipt.to_version),
        "manifest_sha256": receipt.manifest_sha256,
        "signed_by": list(receipt.signed_by),
        "root_version": receipt.root_version,
        "identity": receipt.identity,
        "verified": receipt.verified,
        "wrote_bytes": receipt.wrote_bytes,
        "erased_sectors": receipt.erased_sectors,
        "control_transfers": receipt.control_transfers,
        "steps": [{"step": step, "ms": ms} for step, ms in receipt.steps],
        "clock": receipt.clock,
    }


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
        "send": [{"address": _hex(run.address, 8), "hex": run.data.hex()} for run in plan.runs],
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
        "control_transfers": receipt.control_transfers,
        "steps": [{"step": step, "ms": ms} for step, ms in receipt.steps],
        "clock": receipt.clock,
    }


def write_plan_line(
    plan: Plan, digest: str, parts: Sequence[Segment], overwritten: Sequence[tuple[int, int]]
) -> Line:
    """What `updater write` would do: the plan of an update, of a file without a version or a signature."""
    return {
        **plan_line(plan),
        "type": "write-plan",
        "sha256": digest,
        "parts": [_part(part) for part in parts],
        "overwrites": [{"address": _hex(address, 8), "length": length} for address, length in overwritten],
    }


def write_receipt_line(receipt: WriteReceipt) -> Line:
    """What `updater write` did."""
    return {
        "type": "write-receipt",
        "exit": receipt.exit_status,
        "result": receipt.result,
        "device": device_line(receipt.device),
        "product": receipt.product,
        "identity": receipt.identity,
        "file": receipt.file,
        "parts": [_part(part) for part in receipt.parts],
        "signed_by": [],
        "verified": receipt.verified,
        "wrote_bytes": receipt.wrote_bytes,
        "erased_sectors": receipt.erased_sectors,
        "control_transfers": receipt.control_transfers,
        "steps": [{"step": step, "ms": ms} for step, ms in receipt.steps],
        "clock": receipt.clock,
    }


def _part(part: Segment) -> Line:
    digest = hashlib.sha256(part.data).hexdigest()
    return {"address": _hex(part.address, 8), "length": len(part.data), "sha256": digest}


def memory_line(facts: DeviceFacts, chip: str, memory: Memory, *, file: str | None) -> Line:
    """What `updater read` read; the bytes themselves only where no file holds them."""
    return {
        "type": "memory",
        "device": device_line(facts),
        "chip": chip,
        "region": memory.kind,
        "alternate": memory.alternate,
        "parts": [{**_part(part), "hex": part.data.hex() if file is None else None} for part in memory.parts],
        "options": [_option(one) for one in memory.options],
        "file": file,
    }


def _option(option: Option) -> Line:
    return {
        "name": option.name,
        "value": _hex(option.value, (option.bits + 3) // 4),
        "meaning": option.meaning,
        "standing": option.standing,
        "source": option.source,
    }


def compared_line(
    facts: DeviceFacts, chip: str, memory: Memory, file: str, difference: Difference | None
) -> Line:
    """What `updater read --compare` found."""
    return {
        "type": "compared",
        "device": device_line(facts),
        "chip": chip,
        "region": memory.kind,
        "compared_bytes": memory.size,
        "file": file,
        "differing_bytes": difference.bytes if difference else 0,
        "first": {
            "address": _hex(difference.address, 8),
            "device": _hex(difference.device, 2),
            "file": _hex(difference.file, 2),
        }
        if difference
        else None,
    }


def dfu_line(file: DfuFile) -> Line:
    """What is in a DFU file. `targets` is null for a plain one."""
    return {
        "type": "dfu-file",
        "vendor_id": _hex(file.vendor_id, 4),
        "product_id": _hex(file.product_id, 4),
        "bcd_device": _hex(file.bcd_device, 4),
        "bcd_dfu": _hex(file.bcd_dfu, 4),
        "crc": _hex(file.crc, 8),
        "bytes": file.body_bytes,
        "targets": None
        if file.targets is None
        else [
            {
                "alternate": target.alternate,
                "name": target.name,
                "elements": [_part(one) for one in target.elements],
            }
            for target in file.targets
        ],
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
        "send": {"address": _hex(plan.run.address, 8), "hex": plan.run.data.hex()} if plan.run else None,
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
    return {"address": _hex(area.at, 8), "bytes": area.bytes, "block_bytes": area.block_bytes}


def _digest(patch: Patch) -> Line:
    digest = hashlib.sha256(patch.data).hexdigest()
    return {"offset": patch.offset, "length": len(patch.data), "sha256": digest}


def error_line(error: UpdaterError) -> Line:
    """What went wrong; always the last line."""
    return {
        "type": "error",
        "exit": error.exit_status,
        "error": type(error).__name__,
        "message": error.message,
        "advice": error.advice,
        "device_is": error.device_is,
    }


def bundle_line(
    manifest: Manifest, *, signed_by: tuple[str, ...], threshold: int, root_version: int, manifest_sha256: str
) -> Line:
    """What `updater verify` and `bundles show` found."""
    return {
        "type": "bundle",
        "exit": 0,
        "product": manifest.product,
        "version": str(manifest.version),
        "security_counter": manifest.security_counter,
        "channels": list(manifest.channels),
        "hardware": list(manifest.hardware),
        "images": [line for image in manifest.images for line in _segments(image)],
        "otp": {"length": manifest.otp.length, "sha256": manifest.otp.sha256} if manifest.otp else None,
        "signed_by": list(signed_by),
        "threshold": threshold,
        "root_version": root_version,
        "manifest_sha256": manifest_sha256,
    }


def offer_line(
    product: str, *, installed: Version | None, offered: Version | None, notes: str | None, size: int | None
) -> Line:
    """What `updater check` found for one device."""
    return {
        "type": "offer",
        "product": product,
        "installed": _text(installed),
        "offered": _text(offered),
        "notes": notes,
        "size": size,
    }


def _segments(image: Image) -> list[Line]:
    chosen = image.for_
    silicon = {
        "dev_ids": [_hex(dev_id, 3) for dev_id in chosen.dev_ids],
        "revisions": list(chosen.revisions),
        "rom_versions": [_hex(rom, 2) for rom in chosen.rom_versions],
    }
    return [
        {"address": _hex(part.address, 8), "length": part.length, "sha256": part.sha256, "for": silicon}
        for part in image.segments
    ]


def _limitation(limitation: Limitation) -> Line:
    return {
        "id": limitation.id,
        "text": limitation.text,
        "source": list(limitation.source),
        "handled": limitation.handled,
    }


def _hex(value: int | None, digits: int) -> str | None:
    return None if value is None else f"0x{value:0{digits}X}"


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)
