"""What is said to other programs: JSON lines, by the contract in `docs/json.md`.

Every line has a `type`; unknown values are null and never left out; addresses are "0x…" strings, sizes
bytes, times ms. Pure: values in, dictionaries out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from semver import Version

from updater.heads.doctor import Diagnosis
from updater.heads.manifest import Image, Manifest
from updater.heads.plan import Plan
from updater.words.errors import UpdaterError
from updater.words.events import Progressed, Step
from updater.words.facts import DeviceFacts, IdentityFrom, Limitation

Line = dict[str, Any]
Result = Literal["confirmed", "written-not-confirmed", "nothing-to-do", "dry-run"]


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


def device_line(facts: DeviceFacts) -> Line:
    """One device of `updater devices --json`."""
    return {
        "type": "device",
        "name": facts.name,
        "mode": facts.mode,
        "product": facts.product,
        "hardware": facts.hardware,
        "serial": facts.serial,
        "version": text_of(facts.version),
        "security_counter": facts.security_counter,
        "identity": facts.identity,
        "chip": facts.chip,
        "chips": list(facts.chips),
        "dev_id": hex_text(facts.dev_id, 3),
        "revision": facts.revision,
        "revision_from": facts.revision_from,
        "rom_version": hex_text(facts.rom_version, 2),
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
        "from_version": text_of(plan.from_version),
        "to_version": text_of(plan.to_version),
        "image": plan.image,
        "image_because": plan.image_because,
        "erase": [{"address": hex_text(one.address, 8), "size": one.size} for one in plan.erased_sectors],
        "erase_whole_flash_because": plan.mass_erase.because if plan.mass_erase else None,
        "write_bytes": plan.write_bytes,
        "keep": [{"address": hex_text(address, 8), "length": length} for address, length in plan.keep],
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
        "from_version": text_of(receipt.from_version),
        "to_version": str(receipt.to_version),
        "manifest_sha256": receipt.manifest_sha256,
        "signed_by": list(receipt.signed_by),
        "root_version": receipt.root_version,
        "identity": receipt.identity,
        "verified": receipt.verified,
        "wrote_bytes": receipt.wrote_bytes,
        "erased_sectors": receipt.erased_sectors,
        **cost_of(receipt.control_transfers, receipt.steps, receipt.clock),
    }


def cost_of(control_transfers: int, steps: Iterable[tuple[Step, int]], clock: str) -> Line:
    """What a piece of work cost, as every receipt says it."""
    return {
        "control_transfers": control_transfers,
        "steps": [{"step": step, "ms": ms} for step, ms in steps],
        "clock": clock,
    }


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
        "installed": text_of(installed),
        "offered": text_of(offered),
        "notes": notes,
        "size": size,
    }


def _segments(image: Image) -> list[Line]:
    chosen = image.for_
    silicon = {
        "dev_ids": [hex_text(dev_id, 3) for dev_id in chosen.dev_ids],
        "revisions": list(chosen.revisions),
        "rom_versions": [hex_text(rom, 2) for rom in chosen.rom_versions],
    }
    return [
        {"address": hex_text(part.address, 8), "length": part.length, "sha256": part.sha256, "for": silicon}
        for part in image.segments
    ]


def _limitation(limitation: Limitation) -> Line:
    return {
        "id": limitation.id,
        "text": limitation.text,
        "source": list(limitation.source),
        "handled": limitation.handled,
    }


def hex_text(value: int | None, digits: int) -> str | None:
    return None if value is None else f"0x{value:0{digits}X}"


def text_of(version: Version | None) -> str | None:
    return None if version is None else str(version)
