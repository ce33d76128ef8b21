"""The serial hand: the right port of the right device, and errors a person can solve."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import serial

from updater.hands.serialio import NoSerialPorts, RealSerialPorts, port_of
from updater.hands.usbio import Bus
from updater.heads.dfu.words import Vanished
from updater.words.errors import CannotOpen, UsbFailed

USB = "1209:0001"


@dataclass(frozen=True)
class Info:
    """What pyserial says of one port."""

    device: str
    location: str | None = None
    serial_number: str | None = "A1"
    vid: int | None = 0x1209
    pid: int | None = 0x0001


def linux(port: str, *infos: Info) -> str | None:
    return port_of(infos, port, USB, "A1")


def windows(port: str, *infos: Info, serial_number: str | None = "A1") -> str | None:
    return port_of(infos, port, USB, serial_number, windows=True)


# ------------------------------------------------------------------------------------------------ which port


def test_the_port_path_decides_and_not_the_name_or_the_serial_number() -> None:
    first, second = Info("/dev/ttyACM1", "1-2:1.1"), Info("/dev/ttyACM0", "1-2.3:1.1")
    assert linux("1-2", first, second) == "/dev/ttyACM1"
    assert linux("1-2.3", first, second) == "/dev/ttyACM0"
    assert linux("1-2.1", first, second) is None


def test_a_port_of_another_device_in_that_place_does_not_count() -> None:
    assert (
        linux("1-2", Info("/dev/ttyACM0", "1-2", pid=2), Info("/dev/ttyS0", None, None, None, None)) is None
    )


def test_of_several_ports_of_one_device_it_is_the_first() -> None:
    assert linux("1-2", Info("/dev/ttyACM0", "1-2:1.3"), Info("/dev/ttyACM1", "1-2:1.1")) == "/dev/ttyACM1"


def test_on_windows_the_bus_number_says_nothing_and_the_serial_number_agrees() -> None:
    assert windows("2-1.4", Info("COM7", "1-1.4:x.1", "a1")) == "COM7"
    assert windows("2-1.4", Info("COM7", None, "A1")) == "COM7"
    assert windows("2-1.4", Info("COM7", "1-1.4:x.1", None)) == "COM7"


def test_on_windows_one_contradiction_is_enough() -> None:
    assert windows("2-1.4", Info("COM7", "1-1.4:x.1", "B2")) is None
    assert windows("2-1.4", Info("COM7", "1-1.3:x.1", "A1")) is None
    assert windows("2-1.4", Info("COM7", None, None)) is None
    assert windows("2-1.4", Info("COM7", None, "A1"), serial_number=None) is None


def test_on_windows_two_devices_that_fit_are_one_too_many() -> None:
    assert windows("2-1.4", Info("COM7", "1-1.4:x.1"), Info("COM8", "3-1.4:x.1")) is None
    assert windows("2-1.4", Info("COM7", "1-1.4:x.1"), Info("COM8", "1-1.4:x.3")) == "COM7"


# --------------------------------------------------------------------------------------------- an open port


pty_only = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are the stand-in here")


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The other end of a serial line, and the name of ours."""
    theirs, ours = os.openpty()
    name = os.ttyname(ours)
    yield theirs, name
    for one in (theirs, ours):
        try:
            os.close(one)
        except OSError:
            assert one == theirs, "only a test hangs up, and on its own end"


@pty_only
def test_bytes_go_and_come(line: tuple[int, str]) -> None:
    theirs, name = line
    with RealSerialPorts().open(name, 115_200) as port:
        port.send(b"$M<\x01D\x01D")
        assert os.read(theirs, 100) == b"$M<\x01D\x01D"
        os.write(theirs, b"$M>\x01")
        assert port.receive(1_000) == b"$M>\x01"
        assert port.receive(10) == b""


@pty_only
def test_a_port_that_another_program_uses_is_busy(line: tuple[int, str]) -> None:
    _theirs, name = line
    with (
        RealSerialPorts().open(name, 1_200),
        pytest.raises(CannotOpen, match="another program is using") as raised,
        RealSerialPorts().open(name, 1_200),
    ):
        pytest.fail("it was opened twice")
    assert raised.value.problem == "busy"


@pty_only
def test_a_line_that_was_cut_has_vanished_and_closing_it_is_no_error(line: tuple[int, str]) -> None:
    theirs, name = line
    with RealSerialPorts().open(name, 1_200) as port:
        os.close(theirs)
        with pytest.raises(Vanished):
            port.receive(1_000)


def test_a_port_that_is_not_there_is_no_riddle_of_permissions() -> None:
    with (
        pytest.raises(UsbFailed, match="cannot be opened"),
        RealSerialPorts().open("/dev/no-such-port", 1_200),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (serial.SerialException(errno.EACCES, "could not open port"), "no-permission"),
        (serial.SerialException(errno.EBUSY, "could not open port"), "busy"),
        (serial.SerialException("could not open port 'COM7': PermissionError(13, ...)"), "busy"),
    ],
)
def test_what_keeps_a_port_closed_has_a_word_and_advice(
    monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    def refuse(*_what: Any, **_how: Any) -> None:
        raise error

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(CannotOpen) as raised, RealSerialPorts().open("COM7", 1_200):
        pytest.fail("it was opened")
    assert raised.value.problem == problem
    assert "COM7" in raised.value.message
    assert raised.value.advice.endswith(".")


def test_a_bus_of_virtual_devices_never_reaches_a_real_serial_port() -> None:
    ports = Bus(backend=object()).serial
    assert isinstance(ports, NoSerialPorts)
    with pytest.raises(UsbFailed):
        ports.open("/dev/ttyACM0", 1_200)
