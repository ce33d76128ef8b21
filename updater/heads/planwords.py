"""The plan in words, as a person reads it before the one question."""

from __future__ import annotations

from collections.abc import Sequence

from updater.heads.plan import Plan, SectorPlan
from updater.heads.vendor import Recovery, RecoveryKind
from updater.words.facts import IdentityFrom


def describe(plan: Plan) -> list[str]:
    """The plan in words, one line each, as the person reads it before the one question."""
    was = str(plan.from_version) if plan.from_version else "unknown"
    hardware = f", hardware {plan.hardware}" if plan.hardware else ""
    return [
        f"{plan.title}{hardware}: version {was} -> {plan.to_version}",
        f"image:    {plan.image} ({plan.image_because})",
        *describe_work(plan),
    ]


def describe_work(plan: Plan) -> list[str]:
    """What will be done and what it costs, whatever it is that is written."""
    lines = [
        f"erase:    {_erase_words(plan)}",
        f"write:    {plan.write_bytes:,} bytes; every byte is read back and compared",
        f"time:     about {max(1, round(plan.estimate_ms / 1000))} s",
    ]
    if plan.lost_bytes:
        lines.append(f"lost:     {plan.lost_bytes:,} bytes: whatever else is in these sectors is erased too")
    lines += [f"kept:     {length:,} bytes at 0x{address:08X}" for address, length in plan.keep]
    if plan.feature:
        volts = plan.feature.supply_mv / 1000
        lines.append(f"speed:    the chip is told of its supply of {volts:g} V, and writes faster then")
    if plan.replug_because:
        lines.append(f"at end:   unplug the device and plug it in again: {plan.replug_because}")
    if plan.identity in (IdentityFrom.PERSON, IdentityFrom.NONE):
        lines.append("identity: not proven; you said which product this is")
    told = if_not_known(plan)
    return [*lines, *_recovery_words(plan.recovery), *([f"          {told}"] if told else [])]


def if_not_known(plan: Plan) -> str | None:
    """What to add after a cut that leaves no other sector to know the device by; None where some stay."""
    something_stays = len(plan.sectors) != 1 and plan.mass_erase is None
    was_told = plan.identity in (IdentityFrom.PERSON, IdentityFrom.NONE)
    if something_stays or was_told or plan.recovery.kind is RecoveryKind.NONE:
        return None
    hardware = f":{plan.hardware}" if plan.hardware else ""
    return f"If the updater does not know the device then, add --as {plan.product}{hardware} to the command."


def _erase_words(plan: Plan) -> str:
    if plan.mass_erase and plan.sectors:
        return f"the WHOLE flash, {plan.erase_bytes // 1024:,} KiB: {plan.mass_erase.because}"
    return _sectors_words([step for step in plan.sectors if not step.found_blank])


def _sectors_words(steps: Sequence[SectorPlan]) -> str:
    places = ", ".join(f"{s.sector.size // 1024} KiB at 0x{s.sector.address:08X}" for s in steps)
    return f"{len(steps)} sector{'s' if len(steps) != 1 else ''}: {places}" if steps else "nothing"


def _recovery_words(recovery: Recovery) -> list[str]:
    if recovery.kind is RecoveryKind.EMPTY_CHECK:
        words = ["if cut:   unplug the device, plug it in again, and run the same command"]
        if recovery.steps:  # a vector table that is half erased is neither empty nor a program
            words.append(f"          If the device is not found then: {recovery.steps}")
        return words
    if recovery.kind is RecoveryKind.RESIDENT_LOADER:
        return ["if cut:   the device starts its own loader; run the same command"]
    if recovery.kind is RecoveryKind.NONE:
        return ["if cut:   this device cannot be recovered by you. Do not unplug it."]
    return [
        "if cut:   bring the device into its bootloader, then run the same command:",
        f"          {recovery.steps}",
    ]
