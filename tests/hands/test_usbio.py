"""The USB hand through the real pyusb, over virtual boards."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import usb.core

from tests.desk import Desk
from tests.lab.bench import board_of
from updater.hands.usbio import ROM_USB, Attached, Bus, read_rom_facts, read_serial, read_shown
from updater.heads.dfu.scripts import get_status, go_to_idle, read_if_allowed
from updater.heads.dfu.words import Vanished
from updater.heads.silicon import the_table
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.record import BoardState
from updater.lab.shelf import Lab, add_board, open_lab
from updater.words.errors import CannotOpen, UsbFailed


@pytest.fixture
def in_rom(tmp_path: Path) -> Path:
    """A lab with two boards in their ROM."""
    add_board(tmp_path / "lab", chip="stm32h743", revision="V", rom_version=0x91, in_rom=True)
    add_board(tmp_path / "lab", chip="stm32f405", in_rom=True)
    return tmp_path / "lab"


def bus_of(lab: Lab) -> Bus:
    lab.clock.sleep_ms(1_000)  # both are on the bus by then
    return Bus(lab.backend, lab.clock)


def test_a_rom_shows_itself_by_its_descriptors_alone(in_rom: Path) -> None:
    with open_lab(in_rom, VirtualClock()) as lab:
        first, second = bus_of(lab).attached({ROM_USB})
        facts = read_rom_facts(first)
    assert facts is not None
    assert (facts.serial, facts.product_string, facts.bcd_device) == (
        "200364500000",
        "DFU in FS Mode",
        0x0200,
    )
    assert facts.transfer_size == 1024
    assert [region.name for region in facts.regions] == ["Internal Flash", "Option Bytes"]
    assert [len(region.sectors) for region in facts.regions] == [16, 1]
    assert second.port == "1-2"


# ----------------------------------------------------------------------------------- what bootloaders show


def attached(board: Board, usb: str = ROM_USB) -> Attached:
    """This board in its bootloader, as a real libusb would find it."""
    board.clock.sleep_ms(20_000)
    (found,) = Bus(LabBackend([board]), board.clock).attached({usb})
    return found


@pytest.mark.parametrize("chip", [row.id for row in the_table().chip])
def test_what_a_chip_of_every_row_shows_is_read_as_that_row(chip: str) -> None:
    row = the_table().by_id(chip)
    assert row is not None
    small = min(row.sizes_kib.value) if row.geometry else None
    board = board_of(chip, state=BoardState.ROM, flash=b"", flash_kib=small)
    facts = read_rom_facts(attached(board))
    assert facts is not None
    assert row in the_table().like(facts)
    assert [region.alternate for region in facts.regions] == list(range(len(row.alternates.value)))
    assert board.violations == ()


def test_three_alternates_of_one_name_are_three_regions() -> None:
    """G0B1: none of them is called anything else, and the first is the flash."""
    facts = read_rom_facts(attached(board_of("stm32g0b1", state=BoardState.ROM, flash=b"")))
    assert facts is not None
    assert [(region.name, region.alternate) for region in facts.regions] == [
        ("Internal Flash", 0),
        ("Internal Flash", 1),
        ("Internal Flash", 2),
    ]


def test_names_that_are_no_memory_layouts_are_shown_but_no_rom() -> None:
    """U-Boot on an STM32MP has the ROM's USB number and files behind its alternates."""
    board = board_of("stm32f405", state=BoardState.ROM, looks_like="u-boot-stm32mp")
    device = attached(board)
    assert read_rom_facts(device) is None
    shown = read_shown(device)
    assert (shown.first, len(shown.alternates)) == ("sdcard_fsbl1", 6)
    assert (shown.serial, shown.bcd_device) == ("002700333338511934383330", 0x0200)


@pytest.mark.parametrize("alike", [row.id for row in the_table().lookalike])
def test_a_look_alike_is_told_by_what_it_shows_over_usb(alike: str) -> None:
    row = next(row for row in the_table().lookalike if row.id == alike)
    board = board_of("stm32f405", state=BoardState.ROM, looks_like=alike)
    device = attached(board, row.usb)
    assert the_table().lookalike_of(device.usb, read_shown(device)) is row
    assert board.violations == ()


def test_no_functional_descriptor_is_ever_asked_for_by_itself(in_rom: Path) -> None:
    """Such a request hangs some ROMs; the lab writes it down as a violation."""
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        for attached in bus.attached({ROM_USB}):
            assert read_rom_facts(attached) is not None
            with bus.open_dfu(attached) as wire:
                wire.run(go_to_idle())
        assert [board.violations for board in lab.boards] == [(), ()]


def test_the_flash_is_selected_even_if_another_tool_left_the_option_bytes_selected(in_rom: Path) -> None:
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        first = bus.attached({ROM_USB})[0]
        first.device.set_interface_altsetting(0, 1)
        endpoint0 = lab.boards[0].endpoint0
        assert endpoint0 is not None
        assert endpoint0.alternate == 1
        with bus.open_dfu(first):
            assert endpoint0.alternate == 0


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (usb.core.USBError("Access denied", -3, errno.EACCES), "no-permission"),
        (usb.core.USBError("Resource busy", -6, errno.EBUSY), "busy"),
        (NotImplementedError("Operation not supported or unimplemented on this platform"), "no-driver"),
    ],
)
def test_what_keeps_a_device_closed_has_a_word_and_advice(
    in_rom: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    def refuse(*_what: Any) -> None:
        raise error

    monkeypatch.setattr(LabBackend, "claim_interface", refuse)
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        with pytest.raises(CannotOpen) as raised, bus.open_dfu(bus.attached({ROM_USB})[0]):
            pytest.fail("it was opened")
    assert raised.value.problem == problem
    assert raised.value.advice.endswith(".")


def test_devices_shows_a_closed_device_with_its_problem(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in(in_rom=True)

    def refuse(*_what: Any) -> None:
        raise usb.core.USBError("Access denied", -3, errno.EACCES)

    monkeypatch.setattr(LabBackend, "claim_interface", refuse)
    (line,) = desk.updater("devices", "--json").lines
    assert (line["mode"], line["problem"]) == ("rom", "no-permission")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (8, "CannotOpen")


def test_only_the_awaited_port_counts(in_rom: Path) -> None:
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        lab.boards[0].unplug()
        before = lab.clock.now_ms()
        assert bus.wait_for("1-1", {ROM_USB}, 3_000) is None
        assert 3_000 <= lab.clock.now_ms() - before < 3_200
        arrived = bus.wait_for("1-2", {ROM_USB}, 3_000)
        assert arrived is not None
        assert arrived.port == "1-2"


def test_a_device_that_is_pulled_out_is_a_wire_error_and_closing_it_is_none(in_rom: Path) -> None:
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        with bus.open_dfu(bus.attached({ROM_USB})[0]) as wire:
            lab.boards[0].unplug()
            with pytest.raises(Vanished):
                wire.run(get_status())


def test_transfers_and_bytes_are_counted(in_rom: Path) -> None:
    moved: list[int] = []
    chip = the_table().by_dev_id(0x450)
    assert chip is not None
    pace = the_table().behaviour(chip, rom_version=0x91, revision="V").pace
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        with bus.open_dfu(bus.attached({ROM_USB})[0]) as wire:
            wire.on_bytes = moved.append
            assert wire.control_transfers == 1, "the flash was selected"
            assert wire.run(read_if_allowed(0x08000000, 2048, pace)) == b"\xff" * 2048
            # GETSTATUS; set-address with two GETSTATUS; ABORT; two UPLOADs; ABORT
            assert wire.control_transfers == 1 + 1 + 3 + 1 + 2 + 1
    assert moved == [1024, 1024]


def test_a_bus_that_cannot_be_listed_is_said_so(monkeypatch: pytest.MonkeyPatch, in_rom: Path) -> None:
    def fail(_backend: LabBackend) -> Callable[[], None]:
        raise usb.core.USBError("Input/Output Error", -1, errno.EIO)

    monkeypatch.setattr(LabBackend, "enumerate_devices", fail)
    with open_lab(in_rom, VirtualClock()) as lab, pytest.raises(UsbFailed):
        bus_of(lab).attached({ROM_USB})


def test_a_device_that_was_asked_something_can_be_opened_again(in_rom: Path) -> None:
    """WinUSB opens a device once, so the lab does; a handle that is kept would shut ourselves out."""
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        first, second = bus.attached({ROM_USB})[0], bus.attached({ROM_USB})[0]
        assert read_shown(first).serial == read_serial(second)
        assert read_rom_facts(first) == read_rom_facts(second)
        with bus.open_dfu(first), pytest.raises(CannotOpen), bus.open_dfu(second):
            pytest.fail("it was opened twice")
        with bus.open_dfu(second) as wire:
            assert wire.functional is not None


def test_what_windows_denies_is_open_elsewhere(in_rom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with open_lab(in_rom, VirtualClock()) as lab:
        bus = bus_of(lab)
        first, second = bus.attached({ROM_USB})[0], bus.attached({ROM_USB})[0]
        with bus.open_dfu(first), pytest.raises(CannotOpen) as raised, bus.open_dfu(second):
            pytest.fail("it was opened twice")
    assert raised.value.problem == "busy"


def test_the_buses_of_several_lanes_list_the_devices_one_after_the_other(in_rom: Path) -> None:
    inside, most = [0], [0]

    class Slow(LabBackend):
        def enumerate_devices(self) -> Iterator[Any]:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1
            return super().enumerate_devices()

    with open_lab(in_rom, VirtualClock()) as lab:
        bus = Bus(Slow(lab.backend.boards), lab.clock)
        lanes = [threading.Thread(target=bus.beside().beside().attached, args=({ROM_USB},)) for _ in range(4)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    assert most == [1]
