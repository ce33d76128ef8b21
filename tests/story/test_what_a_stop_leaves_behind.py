"""Whatever stops the updater, what it says of the device afterwards is true."""

from __future__ import annotations

import errno
import io
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import usb.core
import usb.util

from tests.desk import Desk, Said, at_the_question
from updater.doors.cli import run
from updater.heads.plan import Plan
from updater.lab.backend import LabBackend
from updater.lab.record import Power
from updater.story import deed
from updater.story.flashing import Flasher

TRUE_IN_ROM = {"in-bootloader", "unknown"}
"""What may be said of a device that is in its ROM."""


class _ReaderThatLeaves(io.StringIO):
    """A pipe whose other end is closed (`| head`) when the writing has begun."""

    def write(self, text: str) -> int:
        if '"step": "write"' in self.getvalue():
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


def interrupted_at(transfer: int, act: Callable[[], Said]) -> Said:
    """Ctrl-C at the n-th control transfer of a command."""
    numbers, real = count(1), LabBackend.ctrl_transfer

    def transfers(self: LabBackend, *what: Any) -> int:
        if next(numbers) == transfer:
            raise KeyboardInterrupt
        return real(self, *what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabBackend, "ctrl_transfer", transfers)
        return act()


def test_a_reader_that_leaves_does_not_make_half_an_update_a_success(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    link = desk.published.link("demo-widget")
    monkeypatch.setattr("sys.stdout", _ReaderThatLeaves())
    status = run(["--lab", str(desk.lab), "--state", str(desk.state), "install", link, "--yes", "--json"])
    monkeypatch.undo()
    assert status == 9 or desk.holds("demo-widget-1.1.0")


def test_ctrl_c_on_the_way_into_the_bootloader_says_where_the_device_is(desk: Desk) -> None:
    link = desk.published.link("demo-widget")
    for transfer in range(1, 12):
        desk.plug_in()
        said = interrupted_at(transfer, lambda: desk.install(link))
        assert said.exit == 12, transfer
        if desk.board()["state"] == "rom":
            assert said.last["device_is"] in TRUE_IN_ROM, transfer
        desk.updater("lab", "remove", "board1")


def test_ctrl_c_after_the_last_byte_does_not_say_that_nothing_was_changed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()

    def stopped(*_what: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("updater.story.update.await_application", stopped)
    said = desk.install(desk.published.link("demo-widget"))
    assert desk.holds("demo-widget-1.1.0")
    assert said.last.get("device_is") != "untouched"
    assert "Nothing was changed" not in said.out


def test_an_unfinished_device_is_not_started_when_the_second_try_is_stopped(desk: Desk) -> None:
    """It has no program to start: sent out of its ROM it is gone until the BOOT button is held."""
    link = desk.published.link("demo-widget")
    desk.plug_in()
    desk.fault("cut-after", 250)
    assert desk.install(link).exit == 9
    said = interrupted_at(150, lambda: desk.install(link))  # while it compares
    assert said.exit == 12
    assert said.last["device_is"] != "runs-old"
    assert desk.board()["state"] == "rom"


def test_a_write_protected_later_sector_is_named_and_not_promised_to_finish(desk: Desk) -> None:
    desk.plug_in()
    desk.lock(0x08100000)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (9, "NotFinished")
    assert "write-protected" in said.last["message"]
    assert "ask the vendor" in said.last["advice"]
    assert "it finishes the update" not in said.last["advice"]


def test_a_bootloader_that_cannot_be_opened_is_said_to_be_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows without a driver for the ROM: by then we have sent the device there."""
    desk.plug_in()
    real = LabBackend.claim_interface

    def claim(self: LabBackend, device: Any, interface: int) -> None:
        if device.board.rom is not None:
            raise usb.core.USBError("Access denied", -3, errno.EACCES)
        real(self, device, interface)

    monkeypatch.setattr(LabBackend, "claim_interface", claim)
    said = desk.install(desk.published.link("demo-widget"))
    assert desk.board()["state"] == "rom"
    assert said.exit == 8
    assert said.last["device_is"] in TRUE_IN_ROM


def test_a_bus_that_fails_to_list_its_devices_is_no_bug_of_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    calls, real = count(), LabBackend.enumerate_devices

    def devices(self: LabBackend) -> Iterator[Any]:
        if next(calls) > 3:
            raise usb.core.USBError("Input/Output Error", -1, errno.EIO)
        return real(self)

    monkeypatch.setattr(LabBackend, "enumerate_devices", devices)
    said = desk.install(desk.published.link("demo-widget"))
    assert said.exit == 8
    assert said.last["device_is"] != "untouched"


def test_ctrl_c_right_behind_the_work_does_not_say_that_nothing_was_changed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    real = deed.carry_out

    def stopped(*what: Any) -> None:
        real(*what)
        raise KeyboardInterrupt

    monkeypatch.setattr("updater.story.update.carry_out", stopped)
    said = desk.install(desk.published.link("demo-widget"))
    assert desk.holds("demo-widget-1.1.0")
    assert (said.exit, said.last["device_is"]) == (12, "unknown")
    assert "Nothing was changed" not in said.out


def test_a_driver_that_cannot_list_devices_is_no_bug_of_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()

    def unsupported(_self: LabBackend) -> Iterator[Any]:
        raise NotImplementedError("Operation not supported or unimplemented on this platform")

    monkeypatch.setattr(LabBackend, "enumerate_devices", unsupported)
    said = desk.updater("devices", "--json")
    assert (said.exit, said.last["error"]) == (8, "UsbFailed")


def test_a_bootloader_that_falls_silent_during_the_question_is_not_taken_for_another_device(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in(in_rom=True)

    def silent(*_which: Any) -> str:
        raise usb.core.USBError("Input/Output Error", -1, errno.EIO)

    at_the_question(monkeypatch, lambda: monkeypatch.setattr("usb.util.get_string", silent))
    said = desk.updater("install", desk.published.link("demo-widget"), "--json")
    assert (said.exit, said.last["error"]) == (8, "UsbFailed"), said.err


def test_an_application_that_falls_silent_during_the_question_is_no_bug_of_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()

    def silent(*_what: Any) -> int:
        raise usb.core.USBError("Input/Output Error", -1, errno.EIO)

    at_the_question(monkeypatch, lambda: monkeypatch.setattr(LabBackend, "ctrl_transfer", silent))
    said = desk.updater("install", desk.published.link("demo-widget"), "--json")
    assert (said.exit, said.last["error"]) == (8, "UsbFailed"), said.err
    assert desk.holds("demo-widget-1.0.0")


def test_runs_old_is_not_said_of_a_device_that_did_not_leave_its_bootloader(desk: Desk) -> None:
    desk.plug_in()
    desk.lock(reading=True)
    desk.fault("no-leave")
    said = desk.install(desk.published.link("demo-widget"))
    assert desk.board()["state"] == "rom"
    assert said.exit == 11
    assert said.last["device_is"] in TRUE_IN_ROM


def test_a_bus_that_fails_after_the_last_byte_does_not_say_that_nothing_was_erased(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    is_written, enumerate_devices, leave = [False], LabBackend.enumerate_devices, Flasher.leave

    def devices(self: LabBackend) -> Iterator[Any]:
        if is_written[0]:
            raise usb.core.USBError("Input/Output Error", -1, errno.EIO)
        return enumerate_devices(self)

    def left(self: Flasher, plan: Plan) -> None:
        leave(self, plan)
        is_written[0] = True

    monkeypatch.setattr(LabBackend, "enumerate_devices", devices)
    monkeypatch.setattr(Flasher, "leave", left)
    said = desk.install(desk.published.link("demo-widget"))
    assert desk.holds("demo-widget-1.1.0")
    assert (said.exit, said.last.get("result")) == (10, "written-not-confirmed"), said.out


def test_ctrl_c_twice_during_the_update_does_not_say_that_nothing_was_erased(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes while the device is being closed."""
    desk.plug_in()

    dispose = usb.util.dispose_resources

    def impatient(device: Any) -> None:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            raise KeyboardInterrupt
        dispose(device)

    with monkeypatch.context() as patch:
        patch.setattr("usb.util.dispose_resources", impatient)
        said = interrupted_at(300, lambda: desk.install(desk.published.link("demo-widget")))
    assert not desk.holds("demo-widget-1.0.0")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (9, "NotFinished", "unknown")
    assert "bootloader by hand" in said.last["advice"]


def test_a_bus_that_fails_while_the_old_program_starts_again_does_not_hide_why_it_was_stopped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    desk.lock(0x08000000)
    is_sent_back, enumerate_devices, start = [False], LabBackend.enumerate_devices, Flasher.start_again

    def devices(self: LabBackend) -> Iterator[Any]:
        if is_sent_back[0]:
            raise usb.core.USBError("Input/Output Error", -1, errno.EIO)
        return enumerate_devices(self)

    def sent_back(self: Flasher, plan: Plan) -> None:
        start(self, plan)
        is_sent_back[0] = True

    monkeypatch.setattr(LabBackend, "enumerate_devices", devices)
    monkeypatch.setattr(Flasher, "start_again", sent_back)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "unknown")


def test_a_device_that_runs_as_before_is_not_an_unfinished_update(desk: Desk) -> None:
    desk.plug_in()
    desk.lock(0x08000000)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["device_is"]) == (11, "runs-old")
    assert desk.updater("lab", "unplug", "board1").exit == 0
    said = desk.updater("devices", "--json")
    assert (said.exit, said.last["message"]) == (3, "no device was found")


def test_a_device_found_in_its_bootloader_and_unplugged_is_not_said_to_be_there(desk: Desk) -> None:
    desk.plug_in(in_rom=True, power=Power.BUS)
    desk.fault("cut-after", 60)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["device_is"]) == (8, "unknown")


def test_a_device_that_nothing_can_send_into_its_bootloader_runs_on(desk: Desk) -> None:
    desk.plug_in()
    desk.change_vendor(lambda text: re.sub(r"ways = \[.*\]", "ways = []", text))
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["device_is"]) == (8, "runs-old"), said.out
    assert desk.board()["state"] == "application"
