"""The plan: what will be done to one device, decided before anything is touched.

`make_plan` is pure: device, bundle, product and silicon in, a frozen `Plan` or a refusal out. The plan
prints itself, is compared whole in tests, and is all that the hands are given.

The safe order (docs/safe-order.md) is laid down here: the sector with the vector table comes first,
its first granule (initial SP and reset vector) is held back and written last of all, so that no mixture
of old and new can ever start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from semver import Version

from updater.dfu.scripts import Pace
from updater.errors import Refused, WrongDevice
from updater.facts import DeviceFacts, IdentityFrom, Mode, Sector, Segment
from updater.manifest import Bundle, Image, ImageFor
from updater.silicon import Behaviour
from updater.vendor import Product, Recovery, RecoveryKind, Way

ERASED = 0xFF
_USB_MS_PER_KIB = 4
"""For the estimate only: three control transfers and the data of one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorPlan:
    """One sector to erase and what goes into it. `body` leaves the commit granule out."""

    sector: Sector
    erase_max_ms: int
    stuck_wait_ms: int | None
    body: tuple[Segment, ...]

    def differs_from(self, content: bytes, granule: Segment) -> bool:
        """Whether the sector's present content has another byte than the image, anywhere in it."""
        parts = (*self.body, granule) if granule.address == self.sector.address else self.body
        return any(
            content[part.address - self.sector.address :][: len(part.data)] != part.data for part in parts
        )

    def content_with(self, *parts: Segment) -> bytes:
        """The sector's bytes when these parts are written after an erase."""
        data = bytearray([ERASED]) * self.sector.size
        for part in parts:
            at = part.address - self.sector.address
            data[at : at + len(part.data)] = part.data
        return bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will happen, as a value. Times in ms, sizes in bytes."""

    product: str
    title: str
    hardware: str | None
    from_version: Version | None
    to_version: Version
    identity: IdentityFrom
    chip: str
    image: str
    image_because: str
    sectors: tuple[SectorPlan, ...]
    granule: Segment
    pace: Pace
    keep: tuple[tuple[int, int], ...]
    lost_bytes: int
    recovery: Recovery
    ways: tuple[Way, ...]
    reenumerate_within_ms: int
    back_within_ms: int
    estimate_ms: int

    @property
    def write_bytes(self) -> int:
        """Bytes to be written, the granule included."""
        return sum(len(part.data) for part in self.parts)

    @property
    def parts(self) -> tuple[Segment, ...]:
        """All that will be written, in that order: the granule last of all."""
        if not self.sectors:
            return ()
        return (*(part for step in self.sectors for part in step.body), self.granule)

    def narrowed(self, contents: Mapping[int, bytes]) -> Plan:
        """The same plan without the sectors that already hold what they should.

        `contents` are the sectors' present bytes by address. The sector with the vector table stays first
        if any other is to be written, even when it did not change; if none differs, nothing is erased.
        """
        first, *others = self.sectors
        changed = [s for s in others if s.differs_from(contents[s.sector.address], self.granule)]
        if not changed and not first.differs_from(contents[first.sector.address], self.granule):
            return replace(self, sectors=(), lost_bytes=0, estimate_ms=0)
        return self._with_sectors((first, *changed))

    def _with_sectors(self, sectors: tuple[SectorPlan, ...]) -> Plan:
        parts = [part for step in sectors for part in step.body]
        touched = sum(step.sector.size for step in sectors)
        lost = touched - sum(len(part.data) for part in parts) - len(self.granule.data)
        estimate = sum(_estimate_ms(step, self.pace) for step in sectors)
        return replace(self, sectors=sectors, lost_bytes=lost, estimate_ms=estimate)


def make_plan(facts: DeviceFacts, bundle: Bundle, product: Product, behaviour: Behaviour) -> Plan:
    """Decide what to do, or refuse.

    Raises `WrongDevice` (no image for this silicon, or one that does not fit its flash) and `Refused`
    (a keep region in the way, a way to recover that this chip has not). Nothing has been touched then.
    """
    manifest, chip = bundle.manifest, behaviour.chip
    if chip.id not in product.chips:
        raise WrongDevice(f"this device's chip is a {chip.title}, but {product.title} is not made with one")
    recovery = _recovery(product, behaviour)
    image, because = choose_image(manifest.images, facts, behaviour)
    flash = chip.flash.sectors
    segments = [_padded(part, chip.program_unit_bytes.value) for part in bundle.segments(image)]
    _check_flash(segments, flash)
    _check_vectors(segments, flash[0].address, chip.granule_bytes)
    keep = tuple((region.address, region.length) for region in product.keep)
    touched = [sector for sector in flash if any(_overlaps(sector, s.address, s.end) for s in segments)]
    _check_keep(touched, keep)
    granule, body = _split(segments, chip.granule_bytes)
    plan = Plan(
        product=product.id,
        title=product.title,
        hardware=facts.hardware,
        from_version=facts.version,
        to_version=manifest.version,
        identity=facts.identity,
        chip=chip.id,
        image=image.name,
        image_because=because,
        sectors=(),
        granule=granule,
        pace=behaviour.pace,
        keep=keep,
        lost_bytes=0,
        recovery=recovery,
        ways=product.ways if facts.mode is Mode.APPLICATION else (),
        reenumerate_within_ms=chip.reenumerate_within_ms.value,
        back_within_ms=product.back_within_ms,
        estimate_ms=0,
    )
    return plan._with_sectors(tuple(_sector_plan(sector, body, behaviour) for sector in touched))


def choose_image(images: Iterable[Image], facts: DeviceFacts, behaviour: Behaviour) -> tuple[Image, str]:
    """The one image for this silicon, and why. A restriction on something unknown is not met.

    Raises `WrongDevice` when none fits.
    """
    images = tuple(images)
    dev_id = behaviour.chip.dev_id.value
    fitting = [image for image in images if _is_for(image.for_, dev_id, facts)]
    if len(fitting) == 1:
        (image,) = fitting
        if len(images) == 1:
            return image, "the bundle has this one image"
        return image, f"of {len(images)} images it is the one for {_silicon_words(image.for_, facts)}"
    known = f"{behaviour.chip.title}, {_silicon_words(None, facts)}"
    if not fitting:
        raise WrongDevice(f"the bundle has no image for this device's chip ({known})")
    raise WrongDevice(f"the bundle has {len(fitting)} images for this device's chip ({known})")


def _is_for(wanted: ImageFor, dev_id: int, facts: DeviceFacts) -> bool:
    return (
        dev_id in wanted.dev_ids
        and (not wanted.revisions or facts.revision in wanted.revisions)
        and (not wanted.rom_versions or facts.rom_version in wanted.rom_versions)
    )


def _silicon_words(wanted: ImageFor | None, facts: DeviceFacts) -> str:
    parts = []
    if wanted is None or wanted.revisions:
        parts.append(f"revision {facts.revision}" if facts.revision else "revision unknown")
    if wanted is None or wanted.rom_versions:
        rom = facts.rom_version
        parts.append(f"ROM 0x{rom:02X}" if rom is not None else "ROM version unknown")
    return ", ".join(parts) or "this chip"


def _recovery(product: Product, behaviour: Behaviour) -> Recovery:
    """How a device comes back after a cut; the policy has refused those that cannot."""
    recovery = product.recovery
    if recovery.kind is RecoveryKind.EMPTY_CHECK and not behaviour.chip.empty_check.value:
        raise Refused(
            f"the vendor says that {product.title} recovers by itself (empty check), "
            f"but a {behaviour.chip.title} does not do that",
            advice="Tell the vendor: the product's description is wrong.",
        )
    return recovery


def _padded(part: Segment, unit: int) -> Segment:
    """The segment grown to whole program units with the value of erased flash."""
    before, after = part.address % unit, -part.end % unit
    data = bytes([ERASED]) * before + part.data + bytes([ERASED]) * after
    return Segment(address=part.address - before, data=data)


def _check_flash(segments: Iterable[Segment], flash: tuple[Sector, ...]) -> None:
    end = 0
    for part in segments:
        if part.address < flash[0].address or part.end > flash[-1].end:
            raise WrongDevice(
                f"the image has a part from 0x{part.address:08X} to 0x{part.end:08X}, "
                f"but this chip's flash is from 0x{flash[0].address:08X} to 0x{flash[-1].end:08X}"
            )
        if part.address < end:
            raise WrongDevice(f"the image has two parts in one program unit at 0x{part.address:08X}")
        end = part.end


def _check_vectors(segments: list[Segment], flash_start: int, granule: int) -> None:
    """The image must begin with a vector table that a Cortex-M can start from."""
    first = segments[0]
    if first.address != flash_start or len(first.data) < granule:
        raise WrongDevice(f"the image does not begin with a vector table at 0x{flash_start:08X}")
    sp, reset = (int.from_bytes(first.data[at : at + 4], "little") for at in (0, 4))
    inside = any(part.address <= reset & ~1 < part.end for part in segments)
    if not reset & 1 or not inside or sp % 4 or not 0x1000_0000 <= sp < 0x4000_0000:
        raise WrongDevice("the image's vector table does not point to a program inside the image")


def _check_keep(touched: Iterable[Sector], keep: tuple[tuple[int, int], ...]) -> None:
    for sector in touched:
        for address, length in keep:
            if _overlaps(sector, address, address + length):
                raise Refused(
                    f"the update would erase the sector at 0x{sector.address:08X}, "
                    "in which this product keeps its own data",
                    advice="Tell the vendor: this bundle contradicts the product's description.",
                )


def _overlaps(sector: Sector, start: int, end: int) -> bool:
    return sector.address < end and start < sector.end


def _split(segments: list[Segment], granule: int) -> tuple[Segment, list[Segment]]:
    """The commit granule, and the rest: body runs start behind it."""
    first, *others = segments
    head = Segment(address=first.address, data=first.data[:granule])
    rest = Segment(address=head.end, data=first.data[granule:])
    return head, [part for part in (rest, *others) if part.data]


def _sector_plan(sector: Sector, body: Iterable[Segment], behaviour: Behaviour) -> SectorPlan:
    runs = []
    for part in body:
        start, end = max(part.address, sector.address), min(part.end, sector.end)
        if start < end:
            runs.append(Segment(address=start, data=part.data[start - part.address : end - part.address]))
    stuck = behaviour.stuck_erase
    return SectorPlan(
        sector=sector,
        erase_max_ms=behaviour.chip.erase_max_ms.value,
        stuck_wait_ms=stuck.wait_ms if stuck and sector.address >= stuck.from_address else None,
        body=tuple(runs),
    )


def _estimate_ms(step: SectorPlan, pace: Pace) -> int:
    """A typical sector takes half the datasheet's maximum; three passes over USB: compare, write, check."""
    erase = step.stuck_wait_ms if step.stuck_wait_ms is not None else step.erase_max_ms // 2
    kib = -(-sum(len(part.data) for part in step.body) // 1024)
    whole = -(-step.sector.size // 1024)
    return erase + kib * (pace.write_max_ms // 10 + 2 * _USB_MS_PER_KIB) + 2 * whole * _USB_MS_PER_KIB


def describe(plan: Plan) -> list[str]:
    """The plan in words, one line each, as the person reads it before the one question."""
    was = str(plan.from_version) if plan.from_version else "unknown"
    hardware = f", hardware {plan.hardware}" if plan.hardware else ""
    lines = [
        f"{plan.title}{hardware}: version {was} -> {plan.to_version}",
        f"image:    {plan.image} ({plan.image_because})",
        f"erase:    {_sectors_words(plan.sectors)}",
        f"write:    {plan.write_bytes:,} bytes; every byte is read back and compared",
        f"time:     about {max(1, round(plan.estimate_ms / 1000))} s",
    ]
    if plan.lost_bytes:
        lines.append(f"lost:     {plan.lost_bytes:,} bytes: whatever else is in these sectors is erased too")
    lines += [f"kept:     {length:,} bytes at 0x{address:08X}" for address, length in plan.keep]
    if plan.identity in (IdentityFrom.PERSON, IdentityFrom.NONE):
        lines.append("identity: not proven; you said which product this is")
    return [*lines, *_recovery_words(plan.recovery)]


def _sectors_words(steps: tuple[SectorPlan, ...]) -> str:
    places = ", ".join(f"{s.sector.size // 1024} KiB at 0x{s.sector.address:08X}" for s in steps)
    return f"{len(steps)} sector{'s' if len(steps) != 1 else ''}: {places}" if steps else "nothing"


def _recovery_words(recovery: Recovery) -> list[str]:
    if recovery.kind is RecoveryKind.EMPTY_CHECK:
        return ["if cut:   unplug the device, plug it in again, and run the same command"]
    if recovery.kind is RecoveryKind.RESIDENT_LOADER:
        return ["if cut:   the device starts its own loader; run the same command"]
    if recovery.kind is RecoveryKind.NONE:
        return ["if cut:   this device cannot be recovered by you. Do not unplug it."]
    return [
        "if cut:   bring the device into its bootloader, then run the same command:",
        f"          {recovery.steps}",
    ]
