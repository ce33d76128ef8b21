"""What is said to other programs of memory that is read, or written unsigned: JSON lines (`docs/json.md`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from updater.heads.dfufile import DfuFile
from updater.heads.memory import Difference, Memory
from updater.heads.plan import Plan
from updater.heads.report import Line, Result, cost_of, device_line, hex_text, plan_line
from updater.heads.silicon import Option
from updater.words.events import Step
from updater.words.facts import DeviceFacts, IdentityFrom, Segment


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


def write_plan_line(
    plan: Plan, digest: str, parts: Sequence[Segment], overwritten: Sequence[tuple[int, int]]
) -> Line:
    """What `updater write` would do: the plan of an update, of a file without a version or a signature."""
    return {
        **plan_line(plan),
        "type": "write-plan",
        "sha256": digest,
        "parts": [_part(part) for part in parts],
        "overwrites": [
            {"address": hex_text(address, 8), "length": length} for address, length in overwritten
        ],
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
        **cost_of(receipt.control_transfers, receipt.steps, receipt.clock),
    }


def _part(part: Segment) -> Line:
    digest = hashlib.sha256(part.data).hexdigest()
    return {"address": hex_text(part.address, 8), "length": len(part.data), "sha256": digest}


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
        "value": hex_text(option.value, (option.bits + 3) // 4),
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
            "address": hex_text(difference.address, 8),
            "device": hex_text(difference.device, 2),
            "file": hex_text(difference.file, 2),
        }
        if difference
        else None,
    }


def dfu_line(file: DfuFile) -> Line:
    """What is in a DFU file. `targets` is null for a plain one."""
    return {
        "type": "dfu-file",
        "vendor_id": hex_text(file.vendor_id, 4),
        "product_id": hex_text(file.product_id, 4),
        "bcd_device": hex_text(file.bcd_device, 4),
        "bcd_dfu": hex_text(file.bcd_dfu, 4),
        "crc": hex_text(file.crc, 8),
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
