"""Locking a block of OTP memory, for ever: decided from a layout and from what the device holds. Pure.

A lock byte shares its program unit with those of the neighbours. They are sent as 0xFF, which changes
nothing; STM32CubeProgrammer burnt three of them (ST:352825).
"""

from __future__ import annotations

from dataclasses import dataclass

from updater.heads.dfu.scripts import Pace
from updater.heads.otp.fields import Crc
from updater.heads.otp.layout import Decoded, Layout, check_fits, decode
from updater.heads.otp.plan import BLANK, Lock, OtpContents, area_to_burn, writable_area
from updater.heads.silicon import Behaviour, Chip, OtpArea
from updater.heads.vendor import Product
from updater.words.errors import Refused
from updater.words.facts import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPlan:
    """Which block will be locked. `run` is the program unit to send; None: it is locked already.

    `fields` are those of the layout that have bytes in this block; `blank_bytes` can never be written then.
    """

    product: str
    title: str
    chip: str
    chip_title: str
    area: OtpArea
    block: int
    before: OtpContents
    fields: tuple[Decoded, ...]
    blank_bytes: int
    run: Segment | None
    pace: Pace

    @property
    def after(self) -> OtpContents:
        """What the memory will hold."""
        locks = bytearray(self.before.locks)
        locks[self.block] = 0
        return OtpContents(self.before.data, bytes(locks))


def make_lock_plan(
    product: Product, behaviour: Behaviour, layout: Layout, block: int, before: OtpContents
) -> LockPlan:
    """Decide how to lock this block, or refuse. Nothing has been written then.

    Raises `WrongDevice` and `Refused`: lock bytes that no manual documents, a block that the layout does not
    name or that does not hold what it says, a lock byte that is neither 0xFF nor 0x00.
    """
    area = writable_area(product, behaviour.chip)
    check_block(layout, area, block)
    fields = _in_block(layout, area, block, before)
    lock = before.lock(block)
    if lock is Lock.UNCLEAR:
        raise Refused(
            f"the lock byte of block {block} is 0x{before.locks[block]:02X}, neither 0xFF nor 0x00",
            advice="Nothing was changed. Put the board aside and ask the vendor's support.",
        )
    if lock is Lock.OPEN:
        _check_holds(area, block, before, fields)
    start = block * area.block_bytes
    return LockPlan(
        product=product.id,
        title=product.title,
        chip=behaviour.chip.id,
        chip_title=behaviour.chip.title,
        area=area,
        block=block,
        before=before,
        fields=fields,
        blank_bytes=before.data.count(BLANK, start, start + area.block_bytes),
        run=_run(area, block, behaviour.unit_bytes) if lock is Lock.OPEN else None,
        pace=behaviour.pace,
    )


def check_layout(layout: Layout, chip: Chip) -> OtpArea:
    """Where this layout goes on this chip: what can be known before any board is there.

    Raises `WrongDevice` for a chip without OTP memory, and `Refused`: a memory that nothing is written to,
    fields outside it, blocks that cannot be locked or in which no field lies.
    """
    area = area_to_burn(chip)
    check_fits(layout, area)
    for block in layout.lock:
        check_block(layout, area, block)
        _run(area, block, chip.program_unit_bytes.value)
        start, end = block * area.block_bytes, (block + 1) * area.block_bytes
        if not any(field.offset < end and start < field.end for field in layout.fields):
            raise Refused(
                f"the layout has block {block} to lock, and no field of it lies there",
                advice="Correct the layout: a block is locked once its fields hold their values.",
            )
    return area


def check_block(layout: Layout, area: OtpArea, block: int) -> None:
    """What the layout and the table alone refuse. Raises `Refused`."""
    check_fits(layout, area)
    if not area.lock_bytes or area.standing != "documented":
        raise Refused(
            "no manual documents lock bytes of this chip's OTP memory",
            advice="Nothing was changed. On this chip no block can be locked with this program.",
        )
    if block not in layout.lock:
        named = ", ".join(str(one) for one in layout.lock) or "none"
        raise Refused(
            f"the layout does not say that block {block} is to be locked",
            advice=f"Nothing was changed. Blocks that it names (`lock`): {named}.",
        )


def _in_block(layout: Layout, area: OtpArea, block: int, before: OtpContents) -> tuple[Decoded, ...]:
    start, end = block * area.block_bytes, (block + 1) * area.block_bytes
    found = decode(layout, before.data)
    return tuple(one for one in found if one.field.offset < end and start < one.field.end)


def _check_holds(area: OtpArea, block: int, before: OtpContents, fields: tuple[Decoded, ...]) -> None:
    """Raises `Refused` unless each field holds a value, and nothing stands outside the fields."""
    if not fields:
        raise _not_so(block, "no field of the layout is in it")
    for one in fields:
        name, field = one.field.name, one.field
        if isinstance(field, Crc):
            if one.is_wrong:
                raise _not_so(block, f"{name} does not match the bytes that it covers")
        elif field.constant is not None:
            if one.data != field.encode(str(field.constant)):
                raise _not_so(block, f"{name} is not {field.constant}")
        elif one.is_blank:
            raise _not_so(block, f"{name} is blank")
        elif one.value is None:
            raise _not_so(block, f"{name} holds no value of its type")
    inside = {at for one in fields for at in range(one.field.offset, one.field.end)}
    for at in range(block * area.block_bytes, (block + 1) * area.block_bytes):
        if at not in inside and before.data[at] != BLANK:
            raise _not_so(block, f"offset 0x{at:X} belongs to no field and holds 0x{before.data[at]:02X}")


def _not_so(block: int, why: str) -> Refused:
    return Refused(
        f"block {block} does not hold what the layout says: {why}",
        advice="Nothing was changed. `updater otp show --layout FILE` shows the block; write what is missing "
        "first. A locked block can never be written again.",
    )


def _run(area: OtpArea, block: int, unit_bytes: int) -> Segment:
    at = block // unit_bytes * unit_bytes
    data = bytearray([BLANK]) * unit_bytes
    data[block - at] = 0
    if area.lock_at % unit_bytes or at + unit_bytes > area.lock_bytes:
        raise Refused(
            "this chip's lock bytes do not fill whole program units, so more than lock bytes would be sent",
            advice="Nothing was changed. No block can be locked with this program.",
        )
    return Segment(address=area.lock_at + at, data=bytes(data))
