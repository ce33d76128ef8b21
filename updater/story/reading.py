"""Reading: an open bootloader's memory by UPLOAD. Nothing is ever written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from updater.hands.usbio import FLASH_ALTERNATE, Wire
from updater.heads.dfu.scripts import get_status, go_to_idle, read, read_if_allowed, select
from updater.heads.dfu.words import DeviceRefused, Stalled, StatusCode, WireError
from updater.heads.memory import Place, alternate_at
from updater.heads.silicon import Behaviour
from updater.story.burning import start_application
from updater.story.steps import Steps
from updater.words.errors import DeviceIs, Protected, Refused
from updater.words.events import Step
from updater.words.facts import DeviceFacts, Segment

_ALIGNED = 4
"""Addresses and lengths are multiples of it, or the ROM may fail (AN3156)."""


class Reader:
    """Reads places, each through the alternate setting that holds it. `touched` is never true."""

    touched = False

    def __init__(self, wire: Wire, steps: Steps, behaviour: Behaviour, facts: DeviceFacts) -> None:
        self._wire, self._steps = wire, steps
        self._chip, self._pace = behaviour.chip, behaviour.pace
        self._regions = facts.rom.regions if facts.rom else ()
        self._selected = FLASH_ALTERNATE
        self.alternate: int | None = None
        wire.on_bytes = steps.moved

    def select(self) -> None:
        """What is wanted is chosen place by place."""

    def read(self, places: Sequence[Place]) -> tuple[Segment, ...]:
        """The bytes of these places. Raises `Protected` and `Refused`, and lets wire errors through."""
        with self._steps.whole(Step.READ, sum(_around(place).length for place in places)):
            return tuple(self._read(place) for place in places)

    def leave(self) -> None:
        """Start the application; whether it runs is seen by its coming back."""
        start_application(self._wire, self._chip, self._pace, reselect=self._selected != FLASH_ALTERNATE)

    def _read(self, place: Place) -> Segment:
        self.alternate = alternate_at(place, self._regions)
        self._turn_to(FLASH_ALTERNATE if self.alternate is None else self.alternate)
        around = _around(place)
        data = self._upload(around)
        at = place.address - around.address
        return Segment(address=place.address, data=data[at : at + place.length])

    def _turn_to(self, alternate: int) -> None:
        self._wire.run(go_to_idle(self._pace.may_stick))
        if alternate != self._selected:
            self._wire.run(select(alternate))
            self._selected = alternate

    def _upload(self, place: Place) -> bytes:
        try:
            return self._wire.run(read(place.address, place.length, self._pace))
        except DeviceRefused as error:
            self._refuse(place, error.code, error)
        except Stalled as error:
            self._refuse(place, self._wire.run(get_status()).code, error)

    def _refuse(self, place: Place, code: int, error: WireError) -> NoReturn:
        if code == StatusCode.errVENDOR or not self._flash_is_readable():
            raise Protected(
                "the device does not let its memory be read: read-out protection is on",
                advice=HOW_ELSEWHERE,
                device_is=DeviceIs.IN_BOOTLOADER,
            ) from error
        raise Refused(
            f"this bootloader does not let 0x{place.address:08X} be read ({error})",
            advice="Nothing was changed. A debug probe can read it: STM32CubeProgrammer, OpenOCD.",
            device_is=DeviceIs.IN_BOOTLOADER,
        ) from error

    def _flash_is_readable(self) -> bool:
        """Not every ROM names the reason: where the flash cannot be read either, it is protection."""
        self._turn_to(FLASH_ALTERNATE)
        return self._wire.run(read_if_allowed(self._chip.flash.address, _ALIGNED, self._pace)) is not None


def _around(place: Place) -> Place:
    """The place grown to aligned addresses. Option bytes are taken as they are announced."""
    if place.whole:
        return place
    start, end = place.address - place.address % _ALIGNED, place.end + -place.end % _ALIGNED
    return Place(address=start, length=end - start)


HOW_ELSEWHERE = (
    "Nothing was changed. The protection can only be taken off together with everything in the flash, and "
    "this updater does not do that: what a chip looks like afterwards is not documented well enough. On the "
    "bench a debug probe and STM32CubeProgrammer do it (option byte RDP, level 0); ask the vendor first."
)
