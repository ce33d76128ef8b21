"""`updater write` in words: the plan before the questions, and what was done. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from updater.heads.memoryreport import WriteReceipt
from updater.heads.plan import Plan
from updater.heads.planwords import describe_work
from updater.words.facts import Segment


def describe_write(plan: Plan, parts: Sequence[Segment], overwritten: Sequence[tuple[int, int]]) -> list[str]:
    """The plan in words. `overwritten`: address and length of kept data that will be gone."""
    hardware = f", hardware {plan.hardware}" if plan.hardware else ""
    places = ", ".join(f"{len(part.data):,} bytes at 0x{part.address:08X}" for part in parts)
    lines = [
        f"{plan.title}{hardware}: {plan.image}, which nobody has signed",
        f"bytes:    {places}",
        *describe_work(plan),
    ]
    lines += [
        f"KEPT:     {length:,} bytes at 0x{address:08X} in which this product keeps its own data are erased"
        for address, length in overwritten
    ]
    if plan.granule.address != plan.starts_at:
        lines.append(
            "note:     the program that is there stays; cut off, it may start and find half of the new bytes"
        )
    return lines


def write_receipt_words(receipt: WriteReceipt) -> list[str]:
    """What was done, for a person."""
    name = receipt.device.name
    if receipt.result == "dry-run":
        return ["This was a dry run; nothing was changed."]
    first = f"Done. {name} holds {receipt.file}, and its application runs."
    if receipt.result == "written-not-confirmed":
        first = f"{name} holds {receipt.file}, but its application did not come back as expected."
    sectors = f"{receipt.erased_sectors} sector{'s' if receipt.erased_sectors != 1 else ''}"
    written = "nothing: the device already held every byte"
    if receipt.wrote_bytes:
        written = f"{receipt.wrote_bytes:,} bytes, {sectors} erased; every byte read back and compared"
    return [
        first,
        f"  written      {written}",
        "  signed by    nobody",
        f"  took         {sum(ms for _, ms in receipt.steps) / 1000:.1f} s ({receipt.clock} time), "
        f"{receipt.control_transfers:,} control transfers",
    ]
