"""Flashing: a plan is carried out on an open bootloader, in the safe order (docs/safe-order.md).

Every sector is erased, proved blank, written and read back before the next one is touched; the sector
with the vector table comes first and its first granule last of all. So at any moment the device either
runs what it ran, or cannot start at all, or is complete: never half old and half new. Sector by sector
rather than in phases, because then some sector always holds what the journal recorded, and the device
can be known again after a cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn, Protocol

from updater.dfu.scripts import (
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
from updater.dfu.words import DeviceRefused, Stalled, StatusCode, WireError
from updater.errors import DeviceIs, NotFinished, Protected
from updater.events import Step
from updater.facts import Sector, Segment
from updater.plan import Plan, SectorPlan, is_blank
from updater.steps import Steps
from updater.usbio import Wire

_UNREADABLE = 15
"""bState, outside the standard, of ST's library after an UPLOAD of memory that it must not read."""

Contents = Mapping[int, bytes]
"""What sectors hold, by their address."""

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

    def look(self, plan: Plan) -> Contents:
        """Read the sectors the plan is about: bytes by address. Nothing is changed, nothing recorded.

        Raises `Protected` when the ROM does not let us read.
        """
        sectors = plan.erased_sectors
        with self._steps.whole(Step.READ, sum(sector.size for sector in sectors)):
            self._wire.run(go_to_idle(plan.pace.may_stick))
            self._before = {sector.address: self._read(sector, plan) for sector in sectors}
        return self._before

    def flash(self, plan: Plan) -> None:
        """Erase, prove, write, read back; sector by sector, and the commit granule last.

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
            self._erase_all(plan, plan.mass_erase.max_ms)
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
                    self._wire.run(leave(plan.granule.address, plan.pace.polling))

    def _start(self, plan: Plan) -> None:
        self._wire.run(go_to_idle(plan.pace.may_stick))
        self._wire.run(leave(plan.granule.address, plan.pace.polling))

    def _speed_up(self, plan: Plan) -> None:
        """Tell the ROM the supply voltage, where the vendor states it; a refusal costs nothing but time."""
        if plan.feature:
            script = set_device_feature(plan.feature.address, plan.feature.value, plan.pace)
            if not self._wire.run(script):
                self._steps.notice("This bootloader cannot be sped up. The update goes on.")

    def _erase_all(self, plan: Plan, max_ms: int) -> None:
        """Erase the whole flash at once, and prove every sector of it blank.

        The sector with the vector table goes first and by itself, as in every plan: a mass erase that is cut
        or stopped by a protection must not leave the old vectors over half of the old program.
        """
        first = plan.sectors[0]
        self._erase(first, plan, is_first=True)
        with self._steps.during(Step.ERASE):
            self._wire.run(mass_erase(max_ms, plan.pace.polling))
            after = {
                sector.address: self._read(sector, plan)
                for sector in plan.erased_sectors
                if sector != first.sector
            }
        for sector in plan.erased_sectors:
            content = after.get(sector.address)
            if content is not None and not is_blank(content):
                unchanged = content == self._before.get(sector.address)
                self._refuse_unerased(sector, unchanged=unchanged, first=False)
        blank = {first.sector.address: first.content_with()}
        self._remember({address: (content,) for address, content in (blank | after).items()}, touched=True)

    def _erase(self, step: SectorPlan, plan: Plan, *, is_first: bool) -> None:
        sector = step.sector
        self.touched = True
        with self._steps.during(Step.ERASE):
            if step.stuck_wait_ms is not None:
                self._wire.run(erase_with_stuck_busy(sector.address, step.stuck_wait_ms))
            else:
                script = erase(sector.address, step.erase_max_ms, plan.pace.polling)
                self._wire.run(script)
            content = self._read(sector, plan)
        if not is_blank(content):
            self._refuse_unerased(
                sector, unchanged=content == self._before.get(sector.address), first=is_first
            )

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
            with self._steps.during(Step.WRITE):
                self._wire.run(write(part.address, part.data, plan.pace))
            with self._steps.during(Step.VERIFY):
                self._wire.run(go_to_idle(plan.pace.may_stick))
                back = self._wire.run(read(part.address, len(part.data), plan.pace))
            if back != part.data:
                at = next(n for n, (a, b) in enumerate(zip(back, part.data, strict=True)) if a != b)
                raise NotFinished(
                    f"the device did not store the update correctly (at 0x{part.address + at:08X})",
                    device_is=DeviceIs.IN_BOOTLOADER,
                )

    def _read(self, sector: Sector, plan: Plan) -> bytes:
        self._wire.run(go_to_idle(plan.pace.may_stick))
        try:
            return self._wire.run(read(sector.address, sector.size, plan.pace))
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
