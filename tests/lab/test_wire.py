"""USB/IP on a socket: bytes typed from Documentation/usb/usbip_protocol.rst."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.lab.bench import BUSY, DNLOAD_IDLE, F405, H743, board_of
from updater.lab.board import Board
from updater.lab.clock import RealClock
from updater.lab.record import BoardState
from updater.lab.wire import UsbIpServer

VERSION = b"\x01\x11"
FAST = 200.0  # so that the longest transfer, which nobody waits for, ends soon


def boards() -> tuple[Board, ...]:
    return board_of(H743, state=BoardState.ROM), board_of(F405)


@pytest.fixture
def server() -> Iterator[UsbIpServer]:
    made = UsbIpServer(boards(), port=0)
    yield made
    made.close()


class Client:
    """What vhci-hcd does with one imported device."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.seqnum = 0

    def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def attach(self, busid: bytes) -> bytes:
        """OP_REQ_IMPORT; the whole reply, 8 bytes when refused."""
        self.socket.sendall(VERSION + b"\x80\x03" + bytes(4) + busid.ljust(32, b"\0"))
        head = self.read(8)
        return head if head[4:] != bytes(4) else head + self.read(312)

    def submit(self, request_type: int, request: int, value: int, index: int, data: bytes | int) -> int:
        """USBIP_CMD_SUBMIT to EP0; its sequence number."""
        self.seqnum += 1
        incoming = isinstance(data, int)
        length = data if isinstance(data, int) else len(data)
        setup = struct.pack("<BBHHH", request_type, request, value, index, length)
        head = struct.pack(">5I", 1, self.seqnum, 0x00010001, int(incoming), 0)
        rest = struct.pack(">Iiiii", 0, length, 0, 0, 0) + setup
        self.socket.sendall(head + rest + (b"" if isinstance(data, int) else data))
        return self.seqnum

    def answer(self, seqnum: int, *, incoming: bool) -> tuple[int, bytes]:
        """USBIP_RET_SUBMIT: status and data."""
        command, number, *_zero, status, actual = struct.unpack(">5Iii", self.read(48)[:28])
        assert (command, number) == (3, seqnum)
        return status, self.read(actual) if incoming and actual else b""

    def control(
        self, request_type: int, request: int, value: int, index: int, data: bytes | int
    ) -> tuple[int, bytes]:
        seqnum = self.submit(request_type, request, value, index, data)
        return self.answer(seqnum, incoming=bool(request_type & 0x80))


@pytest.fixture
def client(server: UsbIpServer) -> Iterator[Client]:
    made = Client(server.port)
    yield made
    made.socket.close()


def test_the_list_names_every_board_with_its_interface(client: Client) -> None:
    client.socket.sendall(VERSION + b"\x80\x05" + bytes(4))
    assert client.read(12) == VERSION + b"\x00\x05" + bytes(4) + bytes([0, 0, 0, 2])
    rom, application = client.read(316), client.read(316)
    assert rom[256:288].rstrip(b"\0") == b"1-1"
    assert application[256:288].rstrip(b"\0") == b"1-2"
    # busnum, devnum, speed (2 is full), then idVendor, idProduct, bcdDevice
    assert rom[288:306] == bytes.fromhex("00000001 00000001 00000002 0483 df11 0200")
    assert rom[306:312] == bytes([0, 0, 0, 1, 1, 1])
    assert rom[312:] == bytes([0xFE, 0x01, 0x02, 0])
    assert application[300:304] == bytes.fromhex("12090001")
    assert application[312:] == bytes([0xFE, 0x01, 0x01, 0])


@pytest.mark.parametrize("busid", [b"1-3", b"2-1", b""])
def test_a_device_that_is_not_there_cannot_be_imported(client: Client, busid: bytes) -> None:
    assert client.attach(busid) == VERSION + b"\x00\x03" + bytes([0, 0, 0, 1])


def test_a_device_is_lent_to_one_client_only(server: UsbIpServer, client: Client) -> None:
    assert len(client.attach(b"1-1")) == 320
    second = Client(server.port)
    assert second.attach(b"1-1")[4:] == bytes([0, 0, 0, 1])
    second.socket.close()


def test_a_kernel_can_enumerate_a_rom(client: Client) -> None:
    client.attach(b"1-1")
    status, device = client.control(0x80, 6, 0x0100, 0, 18)
    assert (status, device) == (0, bytes.fromhex("1201 0002 000000 40 8304 11df 0002 01 02 03 01"))
    assert client.control(0x80, 6, 0x0200, 0, 9)[1][:5] == bytes([9, 2, 36, 0, 1])
    configuration = client.control(0x80, 6, 0x0200, 0, 36)[1]
    assert configuration == bytes.fromhex(
        "0902240001 01 00 c0 32"  # 36 bytes, 1 interface, self-powered, 100 mA
        "0904 00 00 00 fe 01 02 06"
        "0904 00 01 00 fe 01 02 07"
        "0921 0b ff00 0004 1a01"
    )
    assert client.control(0x80, 6, 0x0300, 0, 255) == (0, bytes([4, 3, 9, 4]))
    serial = "200364500000".encode("utf-16-le")
    assert client.control(0x80, 6, 0x0303, 0x0409, 255) == (0, bytes([26, 3]) + serial)
    assert client.control(0x00, 9, 1, 0, b"") == (0, b"")  # SET_CONFIGURATION
    assert client.control(0x80, 8, 0, 0, 1) == (0, bytes([1]))
    assert client.control(0x01, 11, 1, 0, b"") == (0, b"")  # SET_INTERFACE
    assert client.control(0x81, 10, 0, 0, 1) == (0, bytes([1]))
    assert client.control(0x80, 0, 0, 0, 2) == (0, bytes([1, 0]))  # GET_STATUS: self-powered


def test_a_stall_is_minus_32(client: Client) -> None:
    client.attach(b"1-1")
    assert client.control(0x80, 6, 0x0600, 0, 10) == (-32, b"")  # no device qualifier at full speed
    assert client.control(0x80, 6, 0x0309, 0x0409, 255) == (-32, b"")
    assert client.control(0x21, 4, 0, 0, b"") == (-32, b"")  # CLRSTATUS in dfuIDLE


def test_an_erase_works_over_the_wire(client: Client) -> None:
    client.attach(b"1-1")
    assert client.control(0x21, 1, 0, 0, bytes([0x41, 0, 0, 0, 8])) == (0, b"")
    assert client.control(0xA1, 3, 0, 0, 6)[1] == bytes([0, 0xE8, 0x03, 0, BUSY, 0])
    assert client.control(0xA1, 3, 0, 0, 6)[1] == bytes([0, 0, 0, 0, DNLOAD_IDLE, 0])


def test_after_detach_the_connection_closes_and_the_rom_can_be_imported(server: UsbIpServer) -> None:
    application = server.boards[1]
    client = Client(server.port)
    assert client.attach(b"1-2")[308:314] == b"\x12\x09\x00\x01\x01\x00"
    assert client.control(0x21, 0, 1000, 0, b"") == (0, b"")
    with pytest.raises(EOFError):
        client.read(1)
    assert not server.is_lent(2), "whoever sees the end may import at once"
    application.clock.sleep_ms(270)
    again = Client(server.port)
    assert again.attach(b"1-2")[308:314] == b"\x04\x83\xdf\x11\x22\x00"
    for one in (client, again):
        one.socket.close()


def test_a_blocked_transfer_can_be_unlinked_and_is_never_answered() -> None:
    board = board_of(H743, state=BoardState.ROM, clock=RealClock(FAST))
    server = UsbIpServer((board,), port=0)
    assert board.rom is not None
    board.rom.hung = True
    client = Client(server.port)
    client.attach(b"1-1")
    victim = client.submit(0xA1, 3, 0, 0, 6)
    client.socket.sendall(struct.pack(">6I24x", 2, 99, 0x00010001, 0, 0, victim))
    command, number, *_zero, status = struct.unpack(">5Ii", client.read(48)[:24])
    assert (command, number, status) == (4, 99, -104)
    client.socket.sendall(struct.pack(">6I24x", 2, 100, 0x00010001, 0, 0, victim))
    assert struct.unpack(">5Ii", client.read(48)[:24])[5] == 0
    client.socket.close()
    server.close()


@pytest.mark.parametrize(
    "greeting", [b"\x01\x06\x80\x05\0\0\0\0", b"\x01\x11\x12\x34\0\0\0\0", b"GET / HTTP"]
)
def test_a_client_that_does_not_speak_this_protocol_is_hung_up_on(client: Client, greeting: bytes) -> None:
    client.socket.sendall(greeting)
    with contextlib.suppress(ConnectionResetError):  # it closed before it had read everything
        assert client.socket.recv(1) == b""
