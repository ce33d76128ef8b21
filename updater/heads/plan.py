"""The plan: what will be done to one device, decided before anything is touched.

`make_plan` is pure: device, bundle, product and silicon in, a frozen `Plan` or a refusal out. The plan
prints itself, is compared whole in tests, and is all that the hands are given.

The safe order (docs/safe-order.md) is laid down here: the sector with the vector table comes first,
its first granule (initial SP and reset vector) is held back and written last of all, so that no mixture
of old and new can ever start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from semver import Version

from updater.heads.choosing import choose_image
from updater.heads.dfu.scripts import Pace
from updater.heads.eta import UNKNOWN, Load, Typical, total_ms
from updater.heads.geometry import RealFlash, flash_of
from updater.heads.manifest import Bundle
from updater.heads.placing import ERASED, check_flash, check_keep, overlaps, padded, split
from updater.heads.silicon import Behaviour, Chip
from updater.heads.vectors import wrong_with_vectors
from updater.heads.vendor import Product, Recovery, RecoveryKind, Way
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import DeviceFacts, IdentityFrom, Mode, Sector, Segment

_LARGEST_UNIT_WITHOUT_ECC = 4
"""In bytes. What was programmed with 0xFF reads blank too, and flash with ECC, whose program units are
larger, takes one write after an erase (RM0433). An F7 has no ECC, but units of 8: there the erase stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorPlan:
    """One sector to erase and what goes into it. `body` leaves the commit granule out.

    `found_blank`: it was read and holds nothing, so it is written without being erased.
    """

    sector: Sector
    erase_max_ms: int
    stuck_wait_ms: int | None
    body: tuple[Segment, ...]
    found_blank: bool = False

    def differs_from(self, content: bytes, granule: Segment) -> bool:
        """Whether the sector's present content has another byte than the image, anywhere in it.

        Of a sector that was not read to its end, what is missing counts as different.
        """
        parts = (*self.body, granule) if granule.address == self.sector.address else self.body
        return any(
            content[part.address - self.sector.address :][: len(part.data)] != part.data for part in parts
        )

    def to_prove(self, seen: int) -> tuple[tuple[int, int], ...]:
        """Where an erase of this sector is proved: addresses and lengths, in order.

        The first `seen` bytes, in which something had been before, and all that will not be written. What
        is written is read back after that: so every byte of the sector is known in the end.
        """
        places = [[self.sector.address, self.sector.address + seen]]
        at = places[0][1]
        for start, end in (*((part.address, part.end) for part in self.body), (self.sector.end,) * 2):
            if at < start and at == places[-1][1]:
                places[-1][1] = start
            elif at < start:
                places.append([at, start])
            at = max(at, end)
        return tuple((start, end - start) for start, end in places)

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
    start the new application, and a person has to unplug the device. `blank_is_erased`: whether flash that
    reads blank can be written as it is. `starts_at`: where the vector table of the application is.
    """

    product: str
    title: str
    hardware: str | None
    from_version: Version | None
    to_version: Version | None
    identity: IdentityFrom
    chip: str
    image: str
    image_because: str
    sectors: tuple[SectorPlan, ...]
    granule: Segment
    starts_at: int
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
    blank_is_erased: bool = False
    typical: Typical = field(default=UNKNOWN, compare=False, repr=False)

    @property
    def loads(self) -> tuple[Load, ...]:
        """The work, sector by sector in their order, for saying how long it takes; the granule last."""
        if not self.sectors:
            return ()
        steps = {step.sector.address: step for step in self.sectors}
        sectors = self.mass_erase.sectors if self.mass_erase else [step.sector for step in self.sectors]
        loads = [self._load(sector, steps.get(sector.address)) for sector in sectors]
        last = [Load(size=0, erase_ms=0, proof=0, write=len(self.granule.data))]
        if self.mass_erase:
            whole = sum(self.typical.erase(sector.size) for sector in sectors)
            last.append(Load(size=0, erase_ms=whole, proof=0, write=0))
        return (*loads, *last)

    def _load(self, sector: Sector, step: SectorPlan | None) -> Load:
        """What is done to one sector that is erased, or written, or both."""
        write = sum(len(part.data) for part in step.body) if step else 0
        if sector == self.sectors[0].sector:
            proof = sector.size
        else:
            proof = min(sector.size, self.pace.transfer_size + (sector.size - write if step else 0))
        if step and step.found_blank:
            return Load(size=sector.size, erase_ms=0, proof=0, write=write)
        if step and step.stuck_wait_ms is not None:
            return Load(size=sector.size, erase_ms=step.stuck_wait_ms, waits=True, proof=proof, write=write)
        by_itself = not self.mass_erase or sector == self.sectors[0].sector
        erase_ms = self.typical.erase(sector.size) if by_itself else 0
        return Load(size=sector.size, erase_ms=erase_ms, proof=proof, write=write)

    @property
    def erased_sectors(self) -> tuple[Sector, ...]:
        """The sectors that will be erased, in that order."""
        if self.mass_erase:
            return self.mass_erase.sectors
        return tuple(step.sector for step in self.sectors if not step.found_blank)

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

    def differs_at(self, address: int, held: bytes) -> bool:
        """Whether any of these bytes, which the flash holds from `address` on, is not what it should be."""
        for part in self.parts:
            start, end = max(part.address, address), min(part.end, address + len(held))
            if start < end and (
                part.data[start - part.address : end - part.address] != held[start - address : end - address]
            ):
                return True
        return False

    def narrowed(self, contents: Mapping[int, bytes], *, trust_blank: bool = False) -> Plan:
        """The same plan without the sectors that already hold what they should.

        `contents` are the sectors' present bytes by address. The sector with the vector table stays first
        if any other is to be written, even when it did not change; if none differs, nothing is erased.
        `trust_blank`: no erase of this device is known to have been cut, so that a sector which reads blank
        was erased to its end; where `blank_is_erased` it is not erased again, unless it is the first.
        """
        first, *others = self.sectors
        changed = [s for s in others if s.differs_from(contents[s.sector.address], self.granule)]
        if not changed and not first.differs_from(contents[first.sector.address], self.granule):
            return replace(self, sectors=(), lost_bytes=0, estimate_ms=0, mass_erase=None)
        if self.mass_erase and any(s.sector.address >= self.mass_erase.bank2_at for s in changed):
            return self
        if trust_blank and self.blank_is_erased:
            changed = [replace(s, found_blank=_holds_nothing(s, contents)) for s in changed]
        return replace(self, mass_erase=None)._with_sectors((first, *changed))

    def _with_sectors(self, sectors: tuple[SectorPlan, ...]) -> Plan:
        plan = replace(self, sectors=sectors)
        erased = [step for step in sectors if self.mass_erase or not step.found_blank]
        parts = [part for step in erased for part in step.body]
        lost = plan.erase_bytes - sum(len(part.data) for part in parts) - len(self.granule.data)
        return replace(plan, lost_bytes=lost, estimate_ms=total_ms(self.typical, plan.loads))


def is_blank(content: bytes) -> bool:
    """Whether these bytes are those of erased flash."""
    return content.count(ERASED) == len(content)


def _holds_nothing(step: SectorPlan, contents: Mapping[int, bytes]) -> bool:
    """Whether the whole sector was read, and every byte of it is blank."""
    content = contents[step.sector.address]
    return len(content) == step.sector.size and is_blank(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """What goes into the flash. `is_piece`: it need not be a whole program with its vector table."""

    segments: tuple[Segment, ...]
    name: str
    because: str
    to_version: Version | None
    is_piece: bool = False


def make_plan(facts: DeviceFacts, bundle: Bundle, product: Product, behaviour: Behaviour) -> Plan:
    """Decide what to do, or refuse.

    Raises `WrongDevice` (no image for this silicon, or one that does not fit its flash) and `Refused`
    (a keep region in the way, a way to recover that this chip has not, flash that is not known well
    enough). Nothing has been touched then.
    """
    manifest, chip = bundle.manifest, behaviour.chip
    if chip.id not in product.chips:
        raise WrongDevice(f"this device's chip is a {chip.title}, but {product.title} is not made with one")
    image, because = choose_image(manifest.images, facts, behaviour)
    cargo = Cargo(
        segments=bundle.segments(image), name=image.name, because=because, to_version=manifest.version
    )
    return plan_cargo(facts, cargo, product, behaviour)


def plan_cargo(
    facts: DeviceFacts, cargo: Cargo, product: Product, behaviour: Behaviour, *, over_kept: bool = False
) -> Plan:
    """The plan for these bytes. `over_kept`: also where the product keeps data. Raises as `make_plan`."""
    chip = behaviour.chip
    recovery = _recovery(product, behaviour)
    segments = [padded(part, behaviour.unit_bytes) for part in cargo.segments]
    flash = flash_of(chip, facts, product, needed_end=max(part.end for part in segments))
    check_flash(segments, flash)
    touched = [s for s in flash.sectors if any(overlaps(s, part.address, part.end) for part in segments)]
    is_program = not cargo.is_piece or flash.sectors[0] in touched
    wrong = wrong_with_vectors(segments, flash_start=flash.start, granule_bytes=chip.granule_bytes)
    if is_program and wrong:
        raise WrongDevice(wrong)
    keep = () if over_kept else tuple((region.address, region.length) for region in product.keep)
    check_keep(touched, keep)
    granule, body = split(segments, chip.granule_bytes)
    plan = Plan(
        product=product.id,
        title=product.title,
        hardware=facts.hardware,
        from_version=facts.version,
        to_version=cargo.to_version,
        identity=facts.identity,
        chip=chip.id,
        image=cargo.name,
        image_because=cargo.because,
        sectors=(),
        granule=granule,
        starts_at=flash.start,
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
        replug_because=_replug(granule if is_program else None, behaviour),
        typical=typical_of(chip, fast=_feature(behaviour, product) is not None),
        blank_is_erased=chip.program_unit_bytes.value <= _LARGEST_UNIT_WITHOUT_ECC,
    )
    if plan.mass_erase and not is_program:
        raise Refused(
            "these bytes need the whole flash to be erased, and the program in it would be lost",
            advice="Nothing was changed. Write a whole program together with them.",
        )
    return plan._with_sectors(tuple(_sector_plan(sector, body, behaviour) for sector in touched))


def typical_of(chip: Chip, *, fast: bool) -> Typical:
    """The row's usual times. `fast`: the ROM is told the supply voltage."""
    lab, kib = chip.lab, 1024
    program_us = lab.program_us_fast if fast and lab.program_us_fast else lab.program_us
    erase_ms = lab.erase_ms_fast if fast and lab.erase_ms_fast else lab.erase_ms
    upload_us = lab.upload_us_per_kib.value
    return Typical(
        erase_ms={int(size): ms for size, ms in erase_ms.value.items()},
        program_ms_per_kib=kib / chip.program_unit_bytes.value * program_us.value / 1000,
        upload_ms_per_kib=upload_us / 1000 if upload_us else None,
        block=chip.transfer_size.value,
        ready_ms=chip.usb_ready_ms.value,
    )


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


def _replug(granule: Segment | None, behaviour: Behaviour) -> str | None:
    """Why this ROM cannot start this image, in words; None when it can, or when it is no image."""
    if behaviour.replug_to_start:
        return "this bootloader cannot start the new program"
    if granule is None:
        return None
    near, ends = behaviour.replug_if_stack_within, behaviour.chip.stack_ends
    stack = int.from_bytes(granule.data[:4], "little")
    if near and ends and any(end - near <= stack <= end for end in ends.value):
        return "this bootloader cannot start a program whose stack begins at the very end of a memory"
    return None


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
