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
from updater.geometry import RealFlash, flash_of
from updater.manifest import Bundle, Image, ImageFor
from updater.silicon import Behaviour
from updater.vectors import wrong_with_vectors
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
class MassErase:
    """The whole flash is erased at once: all these sectors, in at most `max_ms`, because of that.

    Only the second bank needs it; `bank2_at` is where that begins.
    """

    sectors: tuple[Sector, ...]
    bank2_at: int
    max_ms: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFeature:
    """What the ROM is told of the supply voltage before anything is programmed."""

    address: int
    value: int
    supply_mv: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will happen, as a value. Times in ms, sizes in bytes.

    `mass_erase` is None where each of `sectors` is erased by itself. `replug_because`: this ROM cannot
    start the new application, and a person has to unplug the device.
    """

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
    mass_erase: MassErase | None = None
    feature: DeviceFeature | None = None
    replug_because: str | None = None

    @property
    def erased_sectors(self) -> tuple[Sector, ...]:
        """The sectors that will be erased, in that order."""
        return self.mass_erase.sectors if self.mass_erase else tuple(step.sector for step in self.sectors)

    @property
    def erase_bytes(self) -> int:
        return sum(sector.size for sector in self.erased_sectors)

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
            return replace(self, sectors=(), lost_bytes=0, estimate_ms=0, mass_erase=None)
        if self.mass_erase and any(s.sector.address >= self.mass_erase.bank2_at for s in changed):
            return self
        return replace(self, mass_erase=None)._with_sectors((first, *changed))

    def _with_sectors(self, sectors: tuple[SectorPlan, ...]) -> Plan:
        parts = [part for step in sectors for part in step.body]
        plan = replace(self, sectors=sectors)
        lost = plan.erase_bytes - sum(len(part.data) for part in parts) - len(self.granule.data)
        estimate = sum(_estimate_ms(step, self.pace) for step in sectors)
        if self.mass_erase:
            estimate += self.mass_erase.max_ms // 2 - sum(step.erase_max_ms // 2 for step in sectors)
        return replace(plan, lost_bytes=lost, estimate_ms=max(estimate, 0))


def is_blank(content: bytes) -> bool:
    """Whether these bytes are those of erased flash."""
    return content.count(ERASED) == len(content)


def make_plan(facts: DeviceFacts, bundle: Bundle, product: Product, behaviour: Behaviour) -> Plan:
    """Decide what to do, or refuse.

    Raises `WrongDevice` (no image for this silicon, or one that does not fit its flash) and `Refused`
    (a keep region in the way, a way to recover that this chip has not, flash that is not known well
    enough). Nothing has been touched then.
    """
    manifest, chip = bundle.manifest, behaviour.chip
    if chip.id not in product.chips:
        raise WrongDevice(f"this device's chip is a {chip.title}, but {product.title} is not made with one")
    recovery = _recovery(product, behaviour)
    image, because = choose_image(manifest.images, facts, behaviour)
    segments = [_padded(part, behaviour.unit_bytes) for part in bundle.segments(image)]
    flash = flash_of(chip, facts, product, needed_end=max(part.end for part in segments))
    _check_flash(segments, flash)
    if wrong := wrong_with_vectors(segments, flash_start=flash.start, granule_bytes=chip.granule_bytes):
        raise WrongDevice(wrong)
    keep = tuple((region.address, region.length) for region in product.keep)
    touched = [s for s in flash.sectors if any(_overlaps(s, part.address, part.end) for part in segments)]
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
        mass_erase=_mass_erase(touched, flash, behaviour, product),
        feature=_feature(behaviour, product),
        replug_because=_replug(granule, behaviour),
    )
    return plan._with_sectors(tuple(_sector_plan(sector, body, behaviour) for sector in touched))


def choose_image(images: Iterable[Image], facts: DeviceFacts, behaviour: Behaviour) -> tuple[Image, str]:
    """The one image for this silicon, and why. A restriction on something unknown is not met.

    Raises `WrongDevice` when none fits.
    """
    images = tuple(images)
    dev_id = behaviour.chip.dev_id.value
    letter, rom = facts.revision, facts.rom_version
    fitting = [one for one in images if one.for_.fits(dev_id=dev_id, revision=letter, rom_version=rom)]
    if len(fitting) == 1:
        (image,) = fitting
        if len(images) == 1:
            return image, "the bundle has this one image"
        return image, f"of {len(images)} images it is the one for {_silicon_words(image.for_, facts)}"
    known = f"{behaviour.chip.title}, {_silicon_words(None, facts)}"
    if not fitting:
        raise WrongDevice(f"the bundle has no image for this device's chip ({known})")
    raise WrongDevice(f"the bundle has {len(fitting)} images for this device's chip ({known})")


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


def _mass_erase(
    touched: Iterable[Sector], flash: RealFlash, behaviour: Behaviour, product: Product
) -> MassErase | None:
    """Where this ROM erases the wrong sector in bank 2: all at once, if nothing is lost by that, or not.

    Raises `Refused`. Another address is never tried: that the fault could be undone so is an inference.
    """
    bank2, why = flash.bank2_at, behaviour.no_sector_erase_in_bank2
    if why is None or bank2 is None or all(sector.address < bank2 for sector in touched):
        return None
    if behaviour.no_mass_erase is not None or product.keep or _has_own_loader(product):
        raise Refused(
            "the update needs the second half of the flash, where this bootloader erases the wrong sectors; "
            "the whole flash cannot be erased instead, because the product keeps data or a loader of its own",
            advice="Nothing was changed. Ask the vendor: this device cannot be updated over USB in this way.",
        )
    max_ms = behaviour.chip.mass_erase_max_ms.value
    return MassErase(sectors=flash.sectors, bank2_at=bank2, max_ms=max_ms, because=why)


def _has_own_loader(product: Product) -> bool:
    return product.recovery.kind is RecoveryKind.RESIDENT_LOADER


def _feature(behaviour: Behaviour, product: Product) -> DeviceFeature | None:
    """Only where the vendor states the supply: a ROM that is told too much programs badly."""
    supply, stated = behaviour.chip.supply, product.supply_mv
    if supply is None or stated is None or not supply.from_mv <= stated <= supply.to_mv:
        return None
    return DeviceFeature(address=supply.feature_at, value=supply.value, supply_mv=stated)


def _replug(granule: Segment, behaviour: Behaviour) -> str | None:
    """Why this ROM cannot start this image, in words; None when it can."""
    if behaviour.replug_to_start:
        return "this bootloader cannot start the new program"
    near, ends = behaviour.replug_if_stack_within, behaviour.chip.stack_ends
    stack = int.from_bytes(granule.data[:4], "little")
    if near and ends and any(end - near <= stack <= end for end in ends.value):
        return "this bootloader cannot start a program whose stack begins at the very end of a memory"
    return None


def _check_flash(segments: Iterable[Segment], flash: RealFlash) -> None:
    end = 0
    for part in segments:
        if part.address < flash.start or part.end > flash.end:
            raise WrongDevice(
                f"the image has a part from 0x{part.address:08X} to 0x{part.end:08X}, "
                f"but this chip's flash is from 0x{flash.start:08X} to 0x{flash.end:08X}"
            )
        covered = sum(
            min(part.end, s.end) - max(part.address, s.address)
            for s in flash.sectors
            if _overlaps(s, part.address, part.end)
        )
        if covered != len(part.data):
            raise WrongDevice(f"the image's part at 0x{part.address:08X} lies in a gap between two banks")
        if part.address < end:
            raise WrongDevice(f"the image has two parts in one program unit at 0x{part.address:08X}")
        end = part.end


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
    return [*lines, *_recovery_words(plan.recovery)]


def _erase_words(plan: Plan) -> str:
    if plan.mass_erase and plan.sectors:
        return f"the WHOLE flash, {plan.erase_bytes // 1024:,} KiB: {plan.mass_erase.because}"
    return _sectors_words(plan.sectors)


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
