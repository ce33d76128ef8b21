"""Flashing: a plan is carried out on an open bootloader, in the safe order (docs/safe-order.md).

Every sector is erased, proved erased, written and read back before the next one is touched; the sector
with the vector table comes first and its first granule last of all. So at any moment the device either
runs what it ran, or cannot start at all, or is complete: never half old and half new. Sector by sector
rather than in phases, because then some sector always holds what the journal recorded, and the device
can be known again after a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NoReturn, Protocol

from updater.hands.usbio import Wire
from updater.heads.dfu.scripts import (
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    leave,
    leave_from_the_start,
    mass_erase,
    read,
    set_device_feature,
    write,
)
from updater.heads.dfu.words import DeviceRefused, Stalled, StatusCode, WireError
from updater.heads.eta import LOOK_BYTES, Kind
from updater.heads.placing import ERASED
from updater.heads.plan import MassErase, Plan, SectorPlan, is_blank
from updater.story.steps import Steps
from updater.words.errors import DeviceIs, NotFinished, Protected
from updater.words.events import Step
from updater.words.facts import Sector, Segment

_UNREADABLE = 15
"""bState, outside the standard, of ST's library after an UPLOAD of memory that it must not read."""

Contents = Mapping[int, bytes]
"""What sectors hold, by their address: from their start, and as far as it was read."""

Possible = Mapping[int, tuple[bytes, ...]]
"""The same, with several contents where a cut may leave either."""


class Remember(Protocol):
    """Told of sectors whose content is known, and whether an erase may have begun."""

    def __call__(self, contents: Possible, *, touched: bool) -> None: ...


class Flasher:
    """Carries one plan out over one wire. `touched` says whether an erase may have begun."""

    def __init__(self, wire: Wire, steps: Steps, remember: Remember) -> None:
        self._wire, self._steps, self._remember = wire, steps, remember
        self._wire.on_bytes = steps.moved
        self._before: dict[int, bytes] = {}
        self.touched = False

    def look(self, plan: Plan, *, through: Collection[int] = ()) -> Contents:
        """Read the sectors the plan is about, from their start. Nothing is changed, nothing recorded.

        A sector is read no further than it takes to know what will be done to it, but at least its first
        4 KiB and through the addresses in `through` that lie in it.

        Raises `Protected` when the ROM does not let us read.
        """
        sectors = plan.erased_sectors
        with self._steps.whole(Step.READ, sum(sector.size for sector in sectors)):
            self._wire.run(go_to_idle(plan.pace.may_stick))
            self._before = {sector.address: self._look_at(sector, plan, through) for sector in sectors}
        return self._before

    def _look_at(self, sector: Sector, plan: Plan, through: Collection[int]) -> bytes:
        ends = [at - sector.address for at in through if sector.address < at <= sector.end]
        enough = _Enough(plan, sector, max([LOOK_BYTES, *ends]))
        with self._steps.during(Step.READ, Kind.READ, sector.size):
            content = self._read(sector.address, sector.size, plan, enough)
        if self._steps.forecast is not None:
            self._steps.forecast.looked(sector.size, differs=enough.differs)
        self._steps.passed(sector.size - len(content))
        return content

    def flash(self, plan: Plan) -> None:
        """Erase, prove, write, read back; sector by sector, and the commit granule last.

        The first sector is proved blank from end to end; the others where they had held something, and where
        nothing will be written. Every byte of a touched sector has been read once more in the end.

        What `look` saw is recorded first, so that the device can be known again.

        Raises `StorageFailed` when the record cannot be kept (nothing was erased), `Protected` when the
        first erase had no effect, `NotFinished` when a later check fails, and lets wire errors through.
        """
        sizes: Mapping[Step, int] = {
            Step.ERASE: plan.erase_bytes,
            Step.WRITE: plan.write_bytes,
            Step.VERIFY: plan.write_bytes,
        }
        self._remember({address: (content,) for address, content in self._before.items()}, touched=False)
        for step, total in sizes.items():
            self._steps.open(step, total)
        self._speed_up(plan)
        if plan.mass_erase:
            self._erase_all(plan, plan.mass_erase)
        for number, step_plan in enumerate(plan.sectors):
            if not plan.mass_erase:
                self._erase(step_plan, plan, is_first=number == 0)
            self._write(step_plan.body, plan)
            self._remember(
                {step_plan.sector.address: (step_plan.content_with(*step_plan.body),)}, touched=True
            )
        first = plan.sectors[0]
        before, after = first.content_with(*first.body), first.content_with(*first.body, plan.granule)
        self._remember({first.sector.address: (before, after)}, touched=True)
        self._write((plan.granule,), plan)
        for step in sizes:
            self._steps.close(step)

    def leave(self, plan: Plan) -> None:
        """Start what is in flash. It is complete and verified: whether it runs is seen by its coming back.

        Where this ROM cannot start it, nothing is sent: a person has to unplug the device.
        """
        with self._steps.whole(Step.LEAVE), suppress(WireError):
            if plan.replug_because is None:
                self._start(plan)

    def start_again(self, plan: Plan) -> None:
        """Start the old program, of which nothing was erased; whether it runs is seen by its coming back.

        A read-protected ROM may refuse to move its address pointer, which then stands where it always
        begins: at the vector table (AN3156).
        """
        with suppress(WireError):
            try:
                self._start(plan)
            except DeviceRefused as error:
                self._wire.run(go_to_idle(plan.pace.may_stick))
                if error.code == StatusCode.errVENDOR:  # so the pointer was never moved
                    self._wire.run(leave_from_the_start())
                else:
                    self._wire.run(leave(plan.starts_at, plan.pace.polling))

    def _start(self, plan: Plan) -> None:
        self._wire.run(go_to_idle(plan.pace.may_stick))
        self._wire.run(leave(plan.starts_at, plan.pace.polling))

    def _speed_up(self, plan: Plan) -> None:
        """Tell the ROM the supply voltage, where the vendor states it; a refusal costs nothing but time."""
        if plan.feature:
            script = set_device_feature(plan.feature.address, plan.feature.value, plan.pace)
            if not self._wire.run(script):
                self._steps.notice("This bootloader cannot be sped up. The update goes on.")

    def _erase_all(self, plan: Plan, mass: MassErase) -> None:
        """Erase the whole flash at once, and prove every sector of it erased.

        The sector with the vector table goes first and by itself, as in every plan: a mass erase that is cut
        or stopped by a protection must not leave the old vectors over half of the old program.
        """
        first, steps = plan.sectors[0], {step.sector: step for step in plan.sectors}
        self._erase(first, plan, is_first=True)
        typical_ms = sum(plan.typical.erase(sector.size) for sector in mass.sectors)
        with self._steps.during(Step.ERASE, Kind.ERASE, typical_ms=typical_ms):
            self._wire.run(mass_erase(mass.max_ms, plan.pace.polling))
        blank = {first.sector.address: first.content_with()}
        for sector in mass.sectors:
            if sector == first.sector:
                continue
            seen, step = self._telling(sector, plan), steps.get(sector)
            places = step.to_prove(seen) if step else ((sector.address, seen),)
            blank[sector.address] = self._prove_erased(sector, places, plan, is_first=False)
        self._remember({address: (content,) for address, content in blank.items()}, touched=True)

    def _erase(self, step: SectorPlan, plan: Plan, *, is_first: bool) -> None:
        if step.found_blank:
            return
        sector, stuck_ms = step.sector, step.stuck_wait_ms
        self.touched = True
        if stuck_ms is not None:
            with self._steps.during(Step.ERASE, Kind.WAIT, typical_ms=stuck_ms):
                self._wire.run(erase_with_stuck_busy(sector.address, stuck_ms))
        else:
            with self._steps.during(Step.ERASE, Kind.ERASE, typical_ms=plan.typical.erase(sector.size)):
                self._wire.run(erase(sector.address, step.erase_max_ms, plan.pace.polling))
        whole = ((sector.address, sector.size),)
        places = whole if is_first else step.to_prove(self._telling(sector, plan))
        self._prove_erased(sector, places, plan, is_first=is_first)

    def _telling(self, sector: Sector, plan: Plan) -> int:
        """So many bytes from a sector's start on tell whether it was erased: those up to the first block
        that had held something."""
        before, block = self._before[sector.address], plan.pace.transfer_size
        blanks = len(before) - len(before.lstrip(bytes([ERASED])))
        return min((blanks % len(before) // block + 1) * block, len(before))

    def _prove_erased(
        self, sector: Sector, places: tuple[tuple[int, int], ...], plan: Plan, *, is_first: bool
    ) -> bytes:
        """Read these places (address, length) of an erased sector: all must be blank. Returns the first."""
        read = []
        for address, length in places:
            with self._steps.during(Step.ERASE, Kind.READ, length):
                read.append(self._read(address, length, plan))
        with self._steps.during(Step.ERASE):
            self._steps.passed(sector.size - sum(map(len, read)))
        if not all(map(is_blank, read)):
            before = self._before[sector.address][: len(read[0])]
            unchanged = read[0][: len(before)] == before
            self._refuse_unerased(sector, unchanged=unchanged, first=is_first)
        return read[0]

    def _refuse_unerased(self, sector: Sector, *, unchanged: bool, first: bool) -> NoReturn:
        """The ROM said OK and did nothing: that is how write protection shows itself (AN3156)."""
        where = f"the sector at 0x{sector.address:08X}"
        if not unchanged:
            raise NotFinished(f"{where} is not blank after it was erased", device_is=DeviceIs.IN_BOOTLOADER)
        if first:
            self.touched = False
            raise Protected(
                f"{where} was not erased although the device said so: it is write-protected",
                device_is=DeviceIs.IN_BOOTLOADER,
            )
        raise NotFinished(
            f"{where} is write-protected, which showed only when the update had begun",
            advice="Leave the device as it is and ask the vendor: the protection is not removed over USB.",
            device_is=DeviceIs.IN_BOOTLOADER,
        )

    def _write(self, parts: tuple[Segment, ...], plan: Plan) -> None:
        for part in parts:
            size = len(part.data)
            with self._steps.during(Step.WRITE, Kind.WRITE, size):
                self._wire.run(write(part.address, part.data, plan.pace))
            with self._steps.during(Step.VERIFY, Kind.READ, size):
                back = self._wire.run(read(part.address, size, plan.pace))
            if back != part.data:
                at = next(n for n, (a, b) in enumerate(zip(back, part.data, strict=True)) if a != b)
                raise NotFinished(
                    f"the device did not store the update correctly (at 0x{part.address + at:08X})",
                    device_is=DeviceIs.IN_BOOTLOADER,
                )

    def _read(
        self, address: int, length: int, plan: Plan, enough: Callable[[bytes], bool] = lambda _block: False
    ) -> bytes:
        """Upload from an idle device, and say it plainly where it may not be read."""
        try:
            return self._wire.run(read(address, length, plan.pace, enough))
        except DeviceRefused as error:
            self._refuse_protected(error.code == StatusCode.errVENDOR, error)
            raise
        except Stalled as error:
            status = self._wire.run(get_status())
            is_closed = status.code == StatusCode.errVENDOR or status.state == _UNREADABLE
            self._refuse_protected(is_closed, error)
            raise

    def _refuse_protected(self, is_closed: bool, error: WireError) -> None:
        """errVENDOR is how ROMs answer while read-out protection is on (AN3156)."""
        if is_closed and not self.touched:
            raise Protected(
                "the device does not let its memory be read: read-out protection is on",
                device_is=DeviceIs.IN_BOOTLOADER,
            ) from error


class _Enough:
    """Told the blocks of one sector as they are read: is it clear by now that it will be erased?

    It is when something in it is not blank, and something is not what it should be; and that it will not
    be when all of the image in it was there. What lies in a mass erase without being written is erased
    whatever it holds.
    """

    def __init__(self, plan: Plan, sector: Sector, at_least: int) -> None:
        self._plan, self._at, self._until = plan, sector.address, sector.address + at_least
        self._holds_something = False
        step = next((step for step in plan.sectors if step.sector == sector), None)
        self.differs = step is None
        self._image_ends = max([part.end for part in step.body], default=sector.end) if step else sector.end

    def __call__(self, block: bytes) -> bool:
        self._holds_something = self._holds_something or not is_blank(block)
        self.differs = self.differs or self._plan.differs_at(self._at, block)
        self._at += len(block)
        is_clear = self._holds_something if self.differs else self._at >= self._image_ends
        return is_clear and self._at >= self._until
