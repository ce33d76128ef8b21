"""OTP: which bytes to burn, decided from what the device holds. Bytes that are burnt stay so for ever.

Only blank bytes (0xFF) are ever written, and a byte that holds the wanted value already is skipped: so a
write that was cut off can be repeated. A bootloader takes whole program units (AN2606 table 7), so a unit
may hold bytes that nobody asked for. These are sent as 0xFF, whatever they hold: programming turns ones into
zeros and never back (RM0090 and RM0385; OpenOCD stm32f2x.c), so 0xFF changes nothing, and that stays true
should the device have been read wrongly. Their present value would change nothing either, but only if it
was read rightly. Where a unit is written once and for all (ECC), it has to be blank as a whole.

Lock bytes lie behind the data and are never part of a write: STM32CubeProgrammer, told to write one lock
byte of an F767, burnt its three neighbours too (ST:352825).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby, pairwise

from updater.heads.dfu.scripts import Pace
from updater.heads.silicon import Behaviour, Chip, OtpArea
from updater.heads.vendor import Product
from updater.words.errors import Refused, Usage, WrongDevice
from updater.words.facts import DeviceFacts, IdentityFrom, Region, Segment

BLANK = 0xFF
_OPEN, _LOCKED = 0xFF, 0x00
_PATCH = re.compile(r"(0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,9}):((?:[0-9A-Fa-f]{2})+)")


class Lock(StrEnum):
    """What a block's lock byte says: 0xFF open, 0x00 locked, anything else unclear (RM0090, OTP).

    `none`: the chip has no lock bytes.
    """

    OPEN = "open"
    LOCKED = "locked"
    UNCLEAR = "unclear"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that somebody wants in the OTP memory, `offset` bytes behind the start of its data."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class OtpContents:
    """What was read of a device: the data bytes and the lock bytes."""

    data: bytes
    locks: bytes

    def lock(self, block: int) -> Lock:
        """Whether this block can still be written."""
        if not self.locks:
            return Lock.NONE
        return {_OPEN: Lock.OPEN, _LOCKED: Lock.LOCKED}.get(self.locks[block], Lock.UNCLEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpPlan:
    """What will be burnt, as a value. `runs` are whole program units at their addresses; empty: nothing.

    `changes` are the bytes that will be another afterwards. `spent` are bytes that nobody asked for and
    that can never be written after this.
    """

    product: str
    title: str
    hardware: str | None
    identity: IdentityFrom
    chip: str
    chip_title: str
    area: OtpArea
    before: OtpContents
    patches: tuple[Patch, ...]
    changes: tuple[Patch, ...]
    runs: tuple[Segment, ...]
    spent: tuple[tuple[int, int], ...]
    pace: Pace

    @property
    def after(self) -> OtpContents:
        """What the memory will hold: what it holds now, and the patches."""
        data = bytearray(self.before.data)
        for patch in self.patches:
            data[patch.offset : patch.end] = patch.data
        return replace(self.before, data=bytes(data))

    @property
    def changed_bytes(self) -> int:
        """How many bytes will hold something new."""
        return sum(len(change.data) for change in self.changes)

    @property
    def write_bytes(self) -> int:
        """How many bytes will be sent, the filling of program units included."""
        return sum(len(run.data) for run in self.runs)

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks that will hold something new."""
        size = self.area.block_bytes
        return tuple(
            sorted({at // size for change in self.changes for at in range(change.offset, change.end)})
        )


def parse_patches(texts: Iterable[str]) -> tuple[Patch, ...]:
    """`OFFSET:BYTES`, once or more: the offset decimal or 0x..., the bytes as hex digits. Raises `Usage`."""
    patches = []
    for text in texts:
        found = _PATCH.fullmatch(text)
        if found is None:
            raise Usage(
                f"{text!r} is not OFFSET:BYTES",
                advice="OFFSET counts from the start of the OTP data, decimal or 0x...; BYTES are pairs of "
                "hex digits without blanks. For example: --hex 0x20:0123456789ABCDEF",
            )
        offset = found[1]
        patches.append(Patch(int(offset, 16 if offset[:2].lower() == "0x" else 10), bytes.fromhex(found[2])))
    return tuple(patches)


def otp_area(chip: Chip) -> OtpArea:
    """Where this chip's OTP memory is.

    Raises `WrongDevice` for a chip that has none, and `Refused` where no source says whether it has one.
    """
    if chip.otp is not None:
        return chip.otp
    if chip.no_otp is not None:
        how = ", inferred" if chip.no_otp.standing == "inferred" else ""
        raise WrongDevice(
            f"{chip.title}: {chip.no_otp.value.rstrip('.')} ({chip.no_otp.source}{how})",
            advice="Nothing was changed. On this chip such values have to be kept in flash.",
        )
    raise Refused(
        f"no public source says how the OTP memory of a {chip.title} is reached over USB",
        advice="Nothing was changed. Ask the vendor for an updater that knows this chip better.",
    )


def alternate_of(area: OtpArea, regions: Iterable[Region]) -> int | None:
    """The alternate setting that holds the whole area; None where the bootloader names none for OTP.

    The area is then reached by its address alone: AN2606 section 4.4 has it so for ROMs that resolve
    addresses themselves. Raises `Refused` for a bootloader that puts its OTP memory elsewhere.
    """
    regions = tuple(regions)
    for region in regions:
        if _holds(region, area.at, area.end) and _holds(region, area.lock_at, area.lock_at + area.lock_bytes):
            return region.alternate
    for region in regions:
        if "otp" in region.name.lower().split():
            raise Refused(
                f"this bootloader shows its OTP memory at 0x{region.address:08X}, "
                f"but {area.source} has it at 0x{area.at:08X}",
                advice="Nothing was changed. Ask the vendor: the two contradict each other.",
            )
    return None


def _holds(region: Region, start: int, end: int) -> bool:
    overlaps = (min(end, sector.end) - max(start, sector.address) for sector in region.sectors)
    return sum(max(overlap, 0) for overlap in overlaps) == end - start


def check_patches(area: OtpArea, patches: Iterable[Patch]) -> None:
    """Raises `Refused` for bytes outside the data, lock bytes among them, and for bytes named twice."""
    ordered = sorted(patches, key=lambda patch: patch.offset)
    for patch in ordered:
        if patch.end > area.bytes:
            raise Refused(
                f"offsets 0x{patch.offset:X} to 0x{patch.end - 1:X} are not all among the {area.bytes:,} "
                "bytes of OTP data",
                advice="Offsets count from the start of the data; `updater otp show` shows it. Lock bytes "
                "are not written by this command.",
            )
    for first, second in pairwise(ordered):
        if second.offset < first.end:
            raise Refused(
                f"the byte at offset 0x{second.offset:X} is given twice",
                advice="Give every byte once, and run the command again.",
            )


def make_otp_plan(
    facts: DeviceFacts,
    product: Product,
    behaviour: Behaviour,
    patches: Sequence[Patch],
    before: OtpContents,
) -> OtpPlan:
    """Decide what to burn over what was read, or refuse. Nothing has been written then.

    Raises `WrongDevice` (a chip without OTP, or not the product's) and `Refused` (bytes outside the data,
    bytes given twice, a byte that holds something else, a locked block, a used unit, a chip that is only
    listed).
    """
    area = writable_area(product, behaviour.chip)
    check_patches(area, patches)
    wanted = _still_to_write(patches, before)
    _check_locks(wanted, area, before)
    size = behaviour.unit_bytes
    units = sorted({at // size * size for at in wanted})
    inside = {at for unit in units for at in range(unit, unit + size)}
    spent: set[int] = set()
    if is_written_once(area):
        _check_fresh(units, size, before)
        spent = inside - wanted.keys()
    changes = ((at, range(at, at + length)) for at, length in _ranges(wanted))
    return OtpPlan(
        product=product.id,
        title=product.title,
        hardware=facts.hardware,
        identity=facts.identity,
        chip=behaviour.chip.id,
        chip_title=behaviour.chip.title,
        area=area,
        before=before,
        patches=tuple(patches),
        changes=tuple(Patch(at, bytes(wanted[offset] for offset in offsets)) for at, offsets in changes),
        runs=tuple(_runs(inside, area, wanted)),
        spent=tuple(_ranges(spent)),
        pace=behaviour.pace,
    )


def writable_area(product: Product, chip: Chip) -> OtpArea:
    """The OTP memory of this product's chip, where anything may be written to it.

    Raises `WrongDevice` for a chip that is not the product's or has no OTP memory, and `Refused` for one
    that is only listed.
    """
    if chip.id not in product.chips:
        raise WrongDevice(f"this device's chip is a {chip.title}, but {product.title} is not made with one")
    return area_to_burn(chip)


def area_to_burn(chip: Chip) -> OtpArea:
    """The OTP memory of a chip, where anything may be written to it. Raises `WrongDevice` or `Refused`."""
    area = otp_area(chip)
    if chip.geometry is None:
        raise Refused(
            f"a {chip.title} is only listed: too little is known of it for anything to be written",
            advice="Nothing was changed. Tell the vendor: this chip is not supported yet.",
        )
    return area


def is_written_once(area: OtpArea) -> bool:
    """Whether a unit of this memory can be written a single time.

    Bits that fall one by one, with lock bytes, are how the manuals of the flash without ECC have it (RM0090,
    RM0385). Of the areas without lock bytes the rows' sources say that each unit is written once.
    """
    return not area.lock_bytes


def _still_to_write(patches: Iterable[Patch], before: OtpContents) -> dict[int, int]:
    """Wanted bytes by offset, without those that are there already. Raises `Refused`."""
    wanted = {}
    for patch in patches:
        for at, new in enumerate(patch.data, start=patch.offset):
            old = before.data[at]
            if old == new:
                continue
            if old != BLANK:
                raise Refused(
                    f"the byte at offset 0x{at:X} holds 0x{old:02X} and cannot become 0x{new:02X}: "
                    + ("a 0 never becomes a 1 again" if old & new != new else "only blank bytes are written"),
                    advice="Nothing was changed. `updater otp show` shows which bytes are still blank (FF).",
                )
            wanted[at] = new
    return wanted


def _check_locks(wanted: Iterable[int], area: OtpArea, before: OtpContents) -> None:
    for block in sorted({at // area.block_bytes for at in wanted}):
        lock = before.lock(block)
        if lock in (Lock.LOCKED, Lock.UNCLEAR):
            raise Refused(
                f"block {block} is locked: its lock byte is 0x{before.locks[block]:02X}, not 0xFF",
                advice="Nothing was changed. Choose another block; `updater otp show` shows which are open.",
            )


def _check_fresh(units: Iterable[int], size: int, before: OtpContents) -> None:
    for unit in units:
        content = before.data[unit : unit + size]
        if content.count(BLANK) != size:
            raise Refused(
                f"the {size} bytes at offset 0x{unit:X} were written before, and this chip writes such a "
                "unit a single time",
                advice=f"Nothing was changed. Choose bytes in a unit of {size} that is blank as a whole.",
            )


def _runs(units: Iterable[int], area: OtpArea, wanted: Mapping[int, int]) -> Iterator[Segment]:
    """These offsets, neighbours in one piece; 0xFF wherever no byte is to change."""
    for at, length in _ranges(units):
        data = bytes(wanted.get(offset, BLANK) for offset in range(at, at + length))
        yield Segment(address=area.at + at, data=data)


def _ranges(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Offsets as (first, how many) of each stretch without a gap."""
    for _, stretch in groupby(enumerate(sorted(offsets)), key=lambda pair: pair[1] - pair[0]):
        found = [offset for _, offset in stretch]
        yield found[0], len(found)
