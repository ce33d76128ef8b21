"""Any ROM that the silicon table can describe, any plan, at most one trouble: the four promises.

Never a wrong byte reported as right, never an endless wait, never an erase outside the plan, and never a
mixture that could start.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.pair.job import ceiling_ms, flasher_on, plan_for
from tests.pair.kit import TableWire
from tests.pair.lawful import Lawful, Trouble, images, lawful_roms, prior_contents, troubles
from updater.heads.dfu.scripts import IDLE_DEADLINE_MS
from updater.heads.dfu.words import WireError
from updater.heads.plan import Plan
from updater.heads.silicon import Chip
from updater.heads.vendor import Keep
from updater.words.errors import Refused, UpdaterError
from updater.words.facts import Segment

SUPPLIES = st.sampled_from([None, 1_800, 3_300])


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rom=lawful_roms())
def test_no_lawful_rom_and_no_plan_break_the_promises(data: st.DataObject, rom: Lawful) -> None:
    assert broken_promises(data, rom) == []


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rom=lawful_roms(errs_in_bank_2=True))
def test_nor_do_roms_whose_flash_has_to_be_erased_all_at_once(data: st.DataObject, rom: Lawful) -> None:
    assert broken_promises(data, rom) == []


def broken_promises(data: st.DataObject, rom: Lawful) -> list[str]:
    """One job on this ROM, and which of the promises did not hold; they hold whatever happened."""
    image = data.draw(images(rom))
    plan = a_plan(data, rom, image)
    if plan is None:
        event("refused")
        return []
    before = data.draw(prior_contents(rom, image))
    trouble = data.draw(troubles(rom, image))
    wire = rom.wire(before)
    trouble.befall(wire)
    wire.latest_ms = ceiling_ms(plan) + IDLE_DEADLINE_MS
    done, final = carried_out(wire, plan)
    event(f"{trouble.kind}: {'done' if done else 'stopped'}{', all at once' if final.mass_erase else ''}")

    kept = {
        "only lawful requests": wire.rom.violations == [],
        "nothing outside the plan": untouched_outside(rom, final, before, wire),
    }
    if done:
        kept["whole"] = is_whole(rom, final, image, before, wire)
        kept["starts"] = starts(rom.chip, wire, final)
    else:
        kept["stopped for a reason"] = trouble.kind != "none"
        kept["no mixture can start"] = no_mixture_can_start(rom, final, image, before, wire, trouble)
    return [name for name, holds in kept.items() if not holds]


def a_plan(data: st.DataObject, rom: Lawful, image: Sequence[Segment]) -> Plan | None:
    """The plan for a product that states its part, its supply, and perhaps a region that it keeps."""
    kept = data.draw(st.none() | st.sampled_from(rom.sectors[1:])) if data.draw(st.booleans()) else None
    keep = (Keep(address=kept.address, length=kept.size),) if kept else ()
    supply = data.draw(SUPPLIES)
    try:
        return plan_for(
            rom.behaviour, image, bank_mode=rom.bank_mode, flash_kib=rom.kib, supply_mv=supply, keep=keep
        )
    except Refused:
        assert keep or rom.behaviour.no_mass_erase
        return None


def carried_out(wire: TableWire, plan: Plan) -> tuple[bool, Plan]:
    """Look, narrow, flash and leave, as the story does; whether it said that all is well."""
    flasher = flasher_on(wire, wire.clock)
    final = plan
    try:
        final = plan.narrowed(flasher.look(plan))
        if final.sectors:
            flasher.flash(final)
    except (UpdaterError, WireError):
        return False, final
    flasher.leave(final)
    return True, final


def untouched_outside(rom: Lawful, plan: Plan, before: bytes, wire: TableWire) -> bool:
    """Every sector that is not in the plan holds what it held."""
    planned = {sector.address for sector in plan.erased_sectors}
    return all(
        held(rom, before, sector.address, sector.size)
        == wire.rom.memory.flash.read(sector.address, sector.size)
        for sector in rom.sectors
        if not plan.sectors or sector.address not in planned
    )


def held(rom: Lawful, before: bytes, address: int, length: int) -> bytes:
    at = address - rom.sectors[0].address
    return before[at : at + length]


def wanted(rom: Lawful, plan: Plan, image: Sequence[Segment], before: bytes) -> bytes:
    """What the flash must hold in the end: blank where it was erased, the image, and else what it held."""
    base, contents = rom.sectors[0].address, bytearray(before)
    for sector in plan.erased_sectors:
        contents[sector.address - base : sector.end - base] = b"\xff" * sector.size
    for part in image:
        contents[part.address - base : part.end - base] = part.data
    return bytes(contents)


def is_whole(rom: Lawful, plan: Plan, image: Sequence[Segment], before: bytes, wire: TableWire) -> bool:
    return bytes(wire.rom.memory.flash.contents) == wanted(rom, plan, image, before)


def starts(chip: Chip, wire: TableWire, plan: Plan) -> bool:
    """The ROM was left for the vector table; or it stays, and the plan says why. A broken one must stay."""
    how, stack = wire.rom.behaves, int.from_bytes(plan.granule.data[:4], "little")
    near = how.go_needs_stack_below_ram_end_by
    ends = chip.stack_ends.value if chip.stack_ends else ()
    cannot = how.go_is_broken or any(end - near <= stack <= end for end in ends if near)
    stays = plan.replug_because is not None
    return wire.rom.left_to == (None if stays else plan.granule.address) and (stays or not cannot)


def no_mixture_can_start(
    rom: Lawful, plan: Plan, image: Sequence[Segment], before: bytes, wire: TableWire, trouble: Trouble
) -> bool:
    """The first granule is blank; or nothing was changed; or all is new but for what trouble did to it.

    A granule that a flipped bit has spoilt is no mixture: everything behind it is new and was read back.
    """
    flash, size = wire.rom.memory.flash, len(plan.granule.data)
    now = bytes(flash.contents)
    if now[:size] == b"\xff" * size or now == before:
        return True
    may_be_spoilt = trouble.kind == "flipped"
    assert may_be_spoilt or now[:size] == plan.granule.data
    return now[size:] == wanted(rom, plan, image, before)[size:]
