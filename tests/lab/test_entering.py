"""By what the firmware of a virtual board can be sent into its ROM, and what it makes of it instead."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.bench import F405, WIDGET, board_of, firmware
from updater.heads.dfu.words import Stalled, Vanished
from updater.lab.application import LabProduct
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.record import BoardState, FaultKind
from updater.lab.serialport import LabSerialPorts
from updater.lab.shelf import add_board, open_lab

MSP_REBOOT, MSP_ANSWER = bytes.fromhex("244d3c01440144"), bytes.fromhex("244d3e01440144")
REQUEST = bytes.fromhex("40 42 3412 0700 0200 dead")
ALL = replace(
    WIDGET,
    enters=("dfu-detach", "vendor-request", "touch-1200", "serial-send"),
    setup=REQUEST,
    dialogue=((b"#", b"> "), (MSP_REBOOT, MSP_ANSWER)),
)


def board(product: LabProduct = ALL) -> Board:
    made = board_of(F405)
    made._record = replace(made._record, product=product)
    made.replug()
    made.clock.sleep_ms(100)
    return made


def detach(board: Board) -> None:
    board.control(board.address, 0x21, 0, 1000, 0, b"", 1000)


def request(board: Board, data: bytes = b"\xde\xad", value: int = 0x1234) -> None:
    board.control(board.address, 0x40, 0x42, value, 7, data, 1000)


def touch(board: Board, baud: int = 1200) -> None:
    at = board.address
    board.control(at, 0x21, 0x22, 3, 1, b"", 1000)  # DTR and RTS
    board.control(at, 0x21, 0x20, 0, 1, struct.pack("<IBBB", baud, 0, 0, 8), 1000)
    board.control(at, 0x21, 0x22, 0, 1, b"", 1000)


def talk(board: Board) -> bytes:
    at = board.address
    board.send_bytes(at, b"noise#")
    board.send_bytes(at, MSP_REBOOT[:3])
    board.send_bytes(at, MSP_REBOOT[3:])
    return board.take_bytes(at, 100)


def test_all_ways_lead_into_the_rom() -> None:
    for way in (detach, request, touch, talk):
        one = board()
        way(one)
        one.clock.sleep_ms(50)
        assert not one.is_present, way
        assert one.state is BoardState.ROM, way


def test_a_dialogue_is_answered_before_the_firmware_goes() -> None:
    one = board()
    assert talk(one) == b"> " + MSP_ANSWER
    assert one.is_present
    one.clock.sleep_ms(50)
    with pytest.raises(Vanished):
        one.send_bytes(one.address, b"#")


def test_a_dialogue_begins_anew_when_the_port_was_closed() -> None:
    one = board()
    one.send_bytes(one.address, b"#")
    touch(one, baud=9600)
    one.send_bytes(one.address, MSP_REBOOT)
    one.clock.sleep_ms(50)
    assert one.state is BoardState.APPLICATION


def test_what_is_not_the_wish_is_none() -> None:
    one = board()
    touch(one, baud=1201)
    with pytest.raises(Stalled):
        request(one, data=b"\xde\xae")
    with pytest.raises(Stalled):
        request(one, value=0x1235)
    assert one.is_present
    assert one.state is BoardState.APPLICATION


def test_firmware_heeds_only_its_own_ways_and_shows_no_more() -> None:
    one = board(replace(ALL, enters=("touch-1200",)))
    for way in (detach, request):
        with pytest.raises(Stalled):
            way(one)
    assert talk(one) == b""
    assert one.is_present
    assert one.face is not None
    assert one.face.function is None
    plain = board(replace(ALL, enters=("vendor-request",)))
    assert plain.face is not None
    assert not plain.face.has_serial
    with pytest.raises(Stalled):
        touch(plain)
    with pytest.raises(Stalled):
        plain.send_bytes(plain.address, b"#")


def test_without_bit_will_detach_it_is_the_bus_reset_that_counts() -> None:
    one = board(replace(ALL, enters=("dfu-detach-and-reset",)))
    assert one.face is not None
    assert one.face.function is not None
    assert one.face.function.attributes == 0x01
    one.bus_reset()
    assert one.is_present
    detach(one)
    assert one.is_present
    one.bus_reset()
    assert one.state is BoardState.ROM


def test_a_serial_port_is_described_as_cdc_acm() -> None:
    """CDC 1.2 section 5.2.3, PSTN 1.2 section 5.3: two interfaces, three endpoints, a union."""
    face = board(replace(ALL, enters=("touch-1200",))).face
    assert face is not None
    assert face.configuration_descriptor() == bytes.fromhex(
        "0902 4c00 03 01 00 c0 32"
        "0904 00 00 00 ff 00 00 00"
        "0904 01 00 01 02 02 00 00"
        "0524 00 1001"
        "0524 01 00 02"
        "0424 02 02"
        "0524 06 01 02"
        "0705 81 03 0800 10"
        "0904 02 00 02 0a 00 00 00"
        "0705 02 02 4000 00"
        "0705 83 02 4000 00"
    )


def test_the_line_coding_is_kept() -> None:
    one = board()
    coding = struct.pack("<IBBB", 57_600, 0, 0, 8)
    one.control(one.address, 0x21, 0x20, 0, 1, coding, 1000)
    assert one.control(one.address, 0xA1, 0x21, 0, 1, 7, 1000) == coding


# ------------------------------------------------------------------------------------------------- the faults


def test_a_refusal_is_a_stall_and_comes_once() -> None:
    for way in (detach, request):
        one = board()
        one.set_fault(FaultKind.REFUSE_ENTER)
        with pytest.raises(Stalled):
            way(one)
        assert one.fault is None
        way(one)
        assert one.state is BoardState.ROM


def test_a_refusal_on_the_serial_port_is_another_answer() -> None:
    one = board()
    one.set_fault(FaultKind.REFUSE_ENTER)
    one.send_bytes(one.address, b"#")
    assert one.take_bytes(one.address, 100) == b"refused\r\n"
    assert one.fault is None
    assert one.is_present


def test_busy_firmware_goes_on_and_the_next_wish_is_heard() -> None:
    one = board()
    one.set_fault(FaultKind.BUSY_ENTER)
    touch(one)
    one.clock.sleep_ms(60_000)
    assert one.is_present
    touch(one)
    assert one.state is BoardState.ROM


def test_late_firmware_enters_by_itself_at_its_time() -> None:
    one = board()
    one.set_fault(FaultKind.LATE_ENTER, 5_000)
    detach(one)
    one.clock.sleep_ms(4_990)
    assert one.is_present
    one.clock.sleep_ms(10)
    assert not one.is_present
    assert one.state is BoardState.ROM


def test_firmware_that_starts_itself_again_has_a_new_address() -> None:
    one = board()
    before = one.address
    one.set_fault(FaultKind.REBOOT_INTO_ITSELF)
    request(one)
    assert not one.is_present
    one.clock.sleep_ms(100)
    assert one.is_present
    assert one.state is BoardState.APPLICATION
    assert one.address != before
    assert one.fault is None


# ------------------------------------------------------------------------------------------ between commands


def test_what_firmware_heeds_is_on_the_shelf(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405, product=ALL, segments=firmware())
    with open_lab(tmp_path, VirtualClock()) as lab:
        assert lab.boards[0].record().product == ALL


def test_firmware_that_enters_after_the_command_has_ended_is_in_its_rom_at_the_next(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405, product=ALL, segments=firmware())
    with open_lab(tmp_path, VirtualClock()) as lab:
        lab.boards[0].set_fault(FaultKind.LATE_ENTER, 60_000)
        detach(lab.boards[0])
        assert lab.boards[0].state is BoardState.APPLICATION
    with open_lab(tmp_path, VirtualClock()) as lab:
        assert lab.boards[0].state is BoardState.ROM


def test_a_board_of_an_older_lab_heeds_detach(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405, product=WIDGET, segments=firmware())
    file = tmp_path / "board1" / "board.toml"
    kept = [
        line
        for line in file.read_text("utf-8").splitlines()
        if not line.startswith(("enters", "setup", "dialogue"))
    ]
    file.write_text("\n".join(kept), "utf-8")
    with open_lab(tmp_path, VirtualClock()) as lab:
        assert lab.boards[0].record().product == WIDGET


# ---------------------------------------------------------------------------------- without a kernel's driver


def test_the_labs_serial_port_does_what_a_driver_does() -> None:
    one = board()
    ports = LabSerialPorts([one], one.clock)
    assert ports.find("1-2", "1209:0001", None) is None
    name = ports.find("1-1", "1209:0001", None)
    assert name is not None
    with ports.open(name, 9600) as line:
        line.send(b"#")
        assert line.receive(1_000) == b"> "
        before = one.clock.now_ms()
        assert line.receive(1_000) == b""
        assert one.clock.now_ms() - before >= 1_000
    with ports.open(name, 1200) as line:
        line.drop()
        with pytest.raises(Vanished):
            line.send(b"#")
    assert one.state is BoardState.ROM
    assert ports.find("1-1", "1209:0001", None) is None
