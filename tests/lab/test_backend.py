"""The boards through the real pyusb, as the updater meets them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import usb.core
import usb.util

from tests.lab.bench import F405, H743, WIDGET, firmware
from updater.lab.clock import VirtualClock
from updater.lab.shelf import Lab, add_board, open_lab


def device_at(lab: Lab, port: int) -> Any:
    found = usb.core.find(
        find_all=True, backend=lab.backend, custom_match=lambda d: d.port_numbers == (port,)
    )
    return next(iter(found), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add_board(tmp_path, chip=H743, in_rom=True, revision="V", rom_version=0x91)
    add_board(tmp_path, chip=F405, product=WIDGET, segments=firmware())
    return tmp_path


def test_a_rom_is_found_with_its_descriptors_and_strings(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        device = usb.core.find(backend=lab.backend, idVendor=0x0483, idProduct=0xDF11)
        assert (device.bus, device.port_numbers, device.bcdDevice) == (1, (1,), 0x0200)
        assert device.serial_number == "200364500000"
        assert device.product == "DFU in FS Mode"
        settings = list(device[0])
        names = [usb.util.get_string(device, setting.iInterface) for setting in settings]
        assert names == [
            "@Internal Flash   /0x08000000/16*128Kg",
            "@Option Bytes   /0x5200201C/01*128 e",
        ]
        triples = {(s.bInterfaceClass, s.bInterfaceSubClass, s.bInterfaceProtocol) for s in settings}
        assert triples == {(0xFE, 0x01, 0x02)}
        # ST's order: the functional descriptor follows the last alternate setting only.
        extra = [bytes(setting.extra_descriptors) for setting in settings]
        assert extra == [b"", bytes([9, 0x21, 0x0B, 0xFF, 0x00, 0x00, 0x04, 0x1A, 0x01])]


def test_an_application_answers_the_identity_request(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        device = usb.core.find(backend=lab.backend, idVendor=0x1209, idProduct=0x0001)
        assert device.port_numbers == (2,)
        assert device.ctrl_transfer(0xC0, 0x55, 1, 0, 64).tobytes()[:4] == b"FWID"


def test_an_alternate_setting_is_selected_and_one_that_does_not_exist_is_not(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        device = device_at(lab, 1)
        device.set_interface_altsetting(0, 1)
        assert device.ctrl_transfer(0x81, 10, 0, 0, 1).tobytes() == bytes([1])
        with pytest.raises(ValueError, match="No matching interface"):
            device.set_interface_altsetting(0, 2)


def test_a_stall_is_epipe(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab, pytest.raises(usb.core.USBError) as caught:
        device_at(lab, 1).ctrl_transfer(0x21, 4, 0, 0, b"")
    assert caught.value.errno == errno.EPIPE


def test_a_device_that_left_is_enodev_and_its_successor_has_another_address(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        application = device_at(lab, 2)
        application.ctrl_transfer(0x21, 0, 1000, 0, b"")
        with pytest.raises(usb.core.USBError) as caught:
            application.ctrl_transfer(0xC0, 0x55, 1, 0, 64)
        assert caught.value.errno == errno.ENODEV
        assert device_at(lab, 2) is None
        lab.clock.sleep_ms(270)
        rom = device_at(lab, 2)
        assert rom.idProduct == 0xDF11
        assert rom.address != application.address


def test_an_answer_that_comes_too_late_is_a_timeout(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        device = device_at(lab, 1)
        device.ctrl_transfer(0x21, 1, 0, 0, bytes([0x41, 0, 0, 0, 8]))
        with pytest.raises(usb.core.USBTimeoutError) as caught:
            device.ctrl_transfer(0xA1, 3, 0, 0, 6, timeout=500)
        assert caught.value.errno == errno.ETIMEDOUT
        assert device.ctrl_transfer(0xA1, 3, 0, 0, 6, timeout=500).tobytes()[4] == 5


def test_a_reset_keeps_the_device_and_its_address(folder: Path) -> None:
    with open_lab(folder, VirtualClock()) as lab:
        device = device_at(lab, 1)
        device.reset()
        assert device.ctrl_transfer(0xA1, 5, 0, 0, 1).tobytes() == bytes([2])
