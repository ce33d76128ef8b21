"""Windows: the bootloader's driver is looked for before a device is sent there, and else waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.desk import Desk
from updater.hands.usbio import ROM_USB, Attached, cannot_open
from updater.heads.drivers import Driver, NoDriversNeeded
from updater.lab.backend import LabBackend
from updater.lab.clock import VirtualClock
from updater.story import passage
from updater.story.passage import when_it_has_a_driver
from updater.story.ways import Arrival
from updater.words.errors import CannotOpen
from updater.words.events import Asks
from updater.words.facts import DeviceFacts, Mode

OPENS_IN_A_MINUTE = 300
"""The bootloader is tried five times a second."""


def windows_has(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    """What Windows' records say of the STM32 bootloader."""
    monkeypatch.setattr(NoDriversNeeded, "of", lambda _self, usb: driver if usb == ROM_USB else Driver.READY)


def closed_for(monkeypatch: pytest.MonkeyPatch, opens: float) -> None:
    """libusb's "not supported" for the first so many times that the bootloader is opened. It learns which
    driver a device has when it lists it, so one that was listed before stays closed.
    """
    real, listed, left = LabBackend.open_device, LabBackend.enumerate_devices, [opens]
    has_driver: list[Any] = []

    def enumerate_devices(self: LabBackend) -> Any:
        for dev in listed(self):
            if left[0] <= 0:
                has_driver.append(dev)
            yield dev

    def open_device(self: LabBackend, dev: Any) -> Any:
        knows = any(dev is one for one in has_driver)
        if self.get_device_descriptor(dev).idVendor == 0x0483 and not knows:
            left[0] -= 1
            raise NotImplementedError("Operation not supported or unimplemented on this platform")
        return real(self, dev)

    monkeypatch.setattr(LabBackend, "enumerate_devices", enumerate_devices)
    monkeypatch.setattr(LabBackend, "open_device", open_device)


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (Driver.NEVER_SEEN, "Windows has no driver yet for the STM32 bootloader"),
        (Driver.MISSING, "Windows has no driver yet for the STM32 bootloader"),
        (Driver.OLD_ST, "Windows has another driver for the STM32 bootloader"),
    ],
)
def test_without_the_bootloaders_driver_the_application_is_not_sent_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, driver: Driver, message: str
) -> None:
    desk.plug_in()
    before = desk.flash()
    windows_has(monkeypatch, driver)

    said = desk.install(desk.published.link("demo-widget"))

    assert (said.exit, said.last["error"], said.last["device_is"]) == (8, "CannotOpen", "untouched")
    assert message in said.last["message"]
    assert "`updater doctor` says how" in said.last["advice"]
    assert "plan" not in [line["type"] for line in said.lines]
    assert desk.flash() == before
    with desk.hands() as hands:
        assert hands.store.journals() == ()


def test_otp_memory_is_not_read_either(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in("demo-gadget")
    windows_has(monkeypatch, Driver.NEVER_SEEN)

    said = desk.updater("otp", "show", "--json")

    assert (said.exit, said.last["error"]) == (8, "CannotOpen")


def test_with_the_driver_the_update_goes_through(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in()
    windows_has(monkeypatch, Driver.READY)

    assert desk.install(desk.published.link("demo-widget")).exit == 0


def test_a_device_that_is_in_its_bootloader_shows_by_itself_whether_it_opens(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in(in_rom=True)
    windows_has(monkeypatch, Driver.NEVER_SEEN)

    assert desk.install(desk.published.link("demo-widget")).exit == 0


def test_an_update_goes_on_by_itself_once_the_driver_is_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    closed_for(monkeypatch, OPENS_IN_A_MINUTE)

    said = desk.install(desk.published.link("demo-widget"))

    assert (said.exit, said.last["result"]) == (0, "confirmed")
    assert said.err.count("Windows has no driver for the bootloader") == 1
    assert "Nothing was changed." in said.err
    assert desk.holds("demo-widget-1.1.0")


def test_windows_gets_a_moment_before_anything_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in()
    closed_for(monkeypatch, 10)

    said = desk.install(desk.published.link("demo-widget"))

    assert said.exit == 0
    assert "no driver" not in said.err


def test_so_it_gets_before_otp_memory_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in("demo-gadget")
    closed_for(monkeypatch, 10)

    said = desk.updater("otp", "show", "--json")

    assert said.exit == 0, said.err


def test_when_no_driver_comes_nothing_was_changed_and_the_way_back_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    before = desk.flash()
    closed_for(monkeypatch, float("inf"))

    said = desk.install(desk.published.link("demo-widget"))

    assert (said.exit, said.last["error"], said.last["device_is"]) == (8, "CannotOpen", "in-bootloader")
    assert "nothing was changed" in said.last["message"]
    assert "Unplug the device and plug it in again to get the old program back." in said.last["advice"]
    assert desk.flash() == before


HERE = Attached("1-4", ROM_USB, 7, None)


class Waiting:
    """A bus on which a bootloader is seen like this, one look after the other."""

    def __init__(self, *seen: Attached | None) -> None:
        self.clock, self._seen = VirtualClock(), list(seen)

    def on_wait(self) -> None:
        """Nobody listens."""

    def wait_for(self, _port: str, _wanted: object, _within_ms: float) -> Attached | None:
        return self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]


@pytest.mark.parametrize(
    ("seen", "is_stranger"),
    [
        ([HERE], False),
        ([HERE, None, HERE], True),
        ([replace(HERE, address=8)], True),
    ],
)
def test_whoever_left_the_bus_while_its_driver_was_waited_for_is_a_stranger(
    seen: list[Attached | None], is_stranger: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have plugged in another board meanwhile."""
    closed = [3]

    def opened(_attached: Attached) -> None:
        if closed[0]:
            closed[0] -= 1
            raise cannot_open("no-driver")

    monkeypatch.setattr(passage, "read_shown", opened)
    asked: list[Arrival] = []

    came, _ = when_it_has_a_driver(Waiting(*seen), Arrival(HERE), _unheard, _closed_once(asked))  # type: ignore[arg-type] # as much of a bus as is asked

    assert [one.stranger is not None for one in asked] == [False, is_stranger]
    assert came.attached == seen[-1]


def test_other_troubles_are_not_waited_for() -> None:
    def ask(_arrival: Arrival) -> DeviceFacts:
        raise cannot_open("busy")

    bus = Waiting(HERE)
    with pytest.raises(CannotOpen):
        when_it_has_a_driver(bus, Arrival(HERE), _unheard, ask)  # type: ignore[arg-type] # as above

    assert bus.clock.now_ms() == 0


def _unheard(_text: str, _asks: Asks | None = None) -> None:
    """Nobody listens."""


def _closed_once(asked: list[Arrival]) -> Callable[[Arrival], DeviceFacts]:
    def ask(arrival: Arrival) -> DeviceFacts:
        asked.append(arrival)
        if len(asked) == 1:
            raise cannot_open("no-driver")
        return DeviceFacts(name="it", port="1-4", usb=ROM_USB, mode=Mode.ROM)

    return ask
