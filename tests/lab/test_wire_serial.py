"""The endpoints of a serial port over USB/IP: what the kernel's cdc_acm does with them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab.bench import F405, WIDGET, board_of
from tests.lab.test_wire import Client
from updater.lab.clock import RealClock
from updater.lab.record import FaultKind
from updater.lab.wire import UsbIpServer

TALKS = replace(WIDGET, enters=("serial-send", "touch-1200"), dialogue=((b"#", b"> "), (b"boot", b"ok")))
NOTIFIES, HEARS, SAYS = 1, 2, 3


@pytest.fixture
def server() -> Iterator[UsbIpServer]:
    board = board_of(F405, clock=RealClock(20.0))
    board._record = replace(board._record, product=TALKS)
    board.replug()
    board.clock.sleep_ms(200)
    made = UsbIpServer((board,), port=0)
    yield made
    made.close()


@pytest.fixture
def kernel(server: UsbIpServer) -> Iterator[Client]:
    made = Client(server.port)
    assert len(made.attach(b"1-1")) == 320
    yield made
    made.socket.close()


def submit(kernel: Client, endpoint: int, data: bytes | int) -> int:
    """USBIP_CMD_SUBMIT to another endpoint than EP0: the setup packet is empty."""
    kernel.seqnum += 1
    incoming = isinstance(data, int)
    length = data if isinstance(data, int) else len(data)
    head = struct.pack(">5I", 1, kernel.seqnum, 0x00010001, int(incoming), endpoint)
    kernel.socket.sendall(
        head + struct.pack(">Iiiii8x", 0, length, 0, 0, 0) + (b"" if incoming else bytes(data))
    )
    return kernel.seqnum


def test_a_device_with_a_serial_port_has_three_interfaces(server: UsbIpServer) -> None:
    client = Client(server.port)
    client.socket.sendall(b"\x01\x11\x80\x05" + bytes(4))
    assert client.read(12)[8:] == bytes([0, 0, 0, 1])
    device = client.read(312 + 3 * 4)
    assert device[311] == 3
    assert device[312:] == bytes.fromhex("ff000000 02020000 0a000000")
    client.socket.close()


def test_a_read_waits_until_there_is_something_to_say(kernel: Client) -> None:
    read = submit(kernel, SAYS, 64)
    wrote = submit(kernel, HEARS, b"#")
    assert kernel.answer(wrote, incoming=False) == (0, b"")
    assert kernel.answer(read, incoming=True) == (0, b"> ")


def test_an_answer_fills_the_reads_in_their_order_and_no_more_than_asked(kernel: Client) -> None:
    reads = [submit(kernel, SAYS, 1) for _ in range(3)]
    kernel.answer(submit(kernel, HEARS, b"#"), incoming=False)
    assert [kernel.answer(read, incoming=True) for read in reads[:2]] == [(0, b">"), (0, b" ")]


def test_a_waiting_read_can_be_taken_back(kernel: Client) -> None:
    """cdc_acm does so when the port is closed."""
    for endpoint in (SAYS, NOTIFIES):
        read = submit(kernel, endpoint, 64)
        kernel.socket.sendall(struct.pack(">6I24x", 2, 99, 0x00010001, 0, 0, read))
        command, number, *_zero, status = struct.unpack(">5Ii", kernel.read(48)[:24])
        assert (command, number, status) == (4, 99, -104)


def test_the_last_answer_comes_before_the_device_goes(kernel: Client) -> None:
    reads = [submit(kernel, SAYS, 64) for _ in range(2)]
    kernel.answer(submit(kernel, HEARS, b"#"), incoming=False)
    assert kernel.answer(reads[0], incoming=True) == (0, b"> ")
    wrote = submit(kernel, HEARS, b"boot")
    assert kernel.answer(wrote, incoming=False) == (0, b"")
    assert kernel.answer(reads[1], incoming=True) == (0, b"ok")
    with pytest.raises(EOFError):
        kernel.read(1)


def test_a_device_that_goes_by_itself_is_gone_for_a_kernel_that_asks_nothing(
    server: UsbIpServer, kernel: Client
) -> None:
    server.boards[0].set_fault(FaultKind.LATE_ENTER, 2_000)
    coding = struct.pack("<IBBB", 1200, 0, 0, 8)
    assert kernel.control(0x21, 0x22, 3, 1, b"") == (0, b"")
    assert kernel.control(0x21, 0x20, 0, 1, coding) == (0, b"")
    assert kernel.control(0x21, 0x22, 0, 1, b"") == (0, b"")
    with pytest.raises(EOFError):
        kernel.read(1)


@pytest.mark.parametrize("data", [b"x", 8], ids=["out", "in"])
def test_an_endpoint_that_does_not_exist_is_a_stall(kernel: Client, data: bytes | int) -> None:
    assert kernel.answer(submit(kernel, 5, data), incoming=False) == (-32, b"")
