"""Virtual boards over USB/IP 1.1.1, in real time: what the kernel's vhci-hcd and `usbip attach` speak.

Source: Linux Documentation/usb/usbip_protocol.rst. BUSID is `1-K` for board K, counted from 1. There is EP0,
and the three endpoints of firmware with a serial port; a read from there is answered when there is something
to say. When a board changes its identity the connection closes: for the kernel the device was unplugged. A
bus reset is none of the protocol's commands, so firmware that waits for one never sees it.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.attach import attach_to_port, detach_port, vhci_ports
from updater.lab.board import Board
from updater.lab.face import SERIAL_HEARS, SERIAL_NOTIFIES, SERIAL_SAYS, Face
from updater.lab.usbip import (
    BUSID_BYTES,
    NOT_AVAILABLE,
    OK,
    OP_COMMON,
    REP_DEVLIST,
    REP_IMPORT,
    REQ_DEVLIST,
    REQ_IMPORT,
    USB_DEVICE,
    VERSION,
    receive,
)

CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
DIRECTION_IN = 1
EPIPE, ECONNRESET = 32, 104  # Linux's numbers, whatever machine serves
SPEED_FULL = 2  # enum usb_device_speed
BUS = 1
LONGEST_TRANSFER_MS = 40_000
"""Longer than any host waits; a transfer that takes longer is never answered."""
MAX_TRANSFER_BYTES = 65_535  # wLength is 16 bits
POLL_S = 0.02
RETRY_S = 1.0

_SUBMIT = struct.Struct(">5IIiiii8s")
_HEADER_BYTES = _SUBMIT.size
_UNLINK = struct.Struct(">5II24x")
_RET_SUBMIT = struct.Struct(">5Iiiiii8x")
_RET_UNLINK = struct.Struct(">5Ii24x")
_SETUP = struct.Struct("<BBHHH")


class _Transfer(NamedTuple):
    """One CMD_SUBMIT."""

    seqnum: int
    endpoint: int
    incoming: bool
    setup: bytes
    data: bytes
    length: int

    @property
    def address(self) -> int:
        """bEndpointAddress."""
        return self.endpoint | (0x80 if self.incoming else 0)


class UsbIpServer:
    """Serves the boards on loopback from its own threads until `close`. `port` 0 takes any free one."""

    def __init__(self, boards: Sequence[Board], *, port: int = 3240) -> None:
        self.boards = tuple(boards)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._lent: dict[int, socket.socket] = {}  # which board is imported by which client
        self._vhci_ports = vhci_ports([board.port for board in self.boards])
        threading.Thread(target=self._accept, name="usbip", daemon=True).start()

    def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = tuple(self._connections)
        for connection in connections:
            _hang_up(connection)

    def is_lent(self, number: int) -> bool:
        """Whether a client has imported board `number`."""
        with self._lock:
            return number in self._lent

    def keep_attached(self) -> None:
        """Plug each board into its vhci port, and again after every change of identity, until `close`."""
        for number in range(1, len(self.boards) + 1):
            threading.Thread(target=self._attach, args=(number,), name=f"vhci-{number}", daemon=True).start()

    def detach_all(self) -> None:
        """Unplug what `keep_attached` plugged in."""
        for port in self._vhci_ports:
            with contextlib.suppress(OSError, ValueError):
                detach_port(port)

    def _attach(self, number: int) -> None:
        board, vhci_port = self.boards[number - 1], self._vhci_ports[number - 1]
        while not self._closing.wait(POLL_S):
            if self.is_lent(number) or not board.is_present:
                continue
            try:
                attach_to_port("127.0.0.1", self.port, _busid(number), vhci_port)
            except (OSError, ValueError) as error:  # ValueError: the controller has no such port
                print(f"board {board.name} cannot be attached: {error}", file=sys.stderr, flush=True)
                self._closing.wait(RETRY_S)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """One client: a list of devices, or one imported device until it goes or the client does."""
        try:
            number = self._greet(connection)
            if number is not None:
                _Session(connection, self.boards[number - 1], partial(self._dismiss, connection)).run()
        except (OSError, struct.error):
            pass  # the client hung up or does not speak USB/IP
        finally:
            self._dismiss(connection)

    def _dismiss(self, connection: socket.socket) -> None:
        """Take the board back, then hang up: a client that sees the end may import again at once."""
        with self._lock:
            self._connections.discard(connection)
            self._lent = {number: client for number, client in self._lent.items() if client is not connection}
        _hang_up(connection)

    def _greet(self, connection: socket.socket) -> int | None:
        """Answer the first request; the number of the board that was imported with it, if any."""
        version, code, _status = OP_COMMON.unpack(receive(connection, OP_COMMON.size))
        if version != VERSION:
            return None
        if code == REQ_DEVLIST:
            connection.sendall(self._device_list())
            return None
        if code != REQ_IMPORT:
            return None
        busid = receive(connection, BUSID_BYTES).rstrip(b"\0").decode("ascii", "replace")
        number = self._lend(busid, connection)
        face = self.boards[number - 1].face if number else None
        if number is None or face is None:
            connection.sendall(OP_COMMON.pack(VERSION, REP_IMPORT, NOT_AVAILABLE))
            return None
        connection.sendall(OP_COMMON.pack(VERSION, REP_IMPORT, OK) + _device(number, face))
        return number

    def _lend(self, busid: str, client: socket.socket) -> int | None:
        """Reserve the board of this BUSID; None when there is none, it is lent, or it is not on the bus."""
        with self._lock:
            for number, board in enumerate(self.boards, 1):
                if busid == _busid(number) and number not in self._lent and board.is_present:
                    self._lent[number] = client
                    return number
        return None

    def _device_list(self) -> bytes:
        present = [
            _device(number, face) + b"".join(bytes((*one, 0)) for one in face.interfaces)
            for number, board in enumerate(self.boards, 1)
            if (face := board.face) is not None
        ]
        return OP_COMMON.pack(VERSION, REP_DEVLIST, OK) + struct.pack(">I", len(present)) + b"".join(present)


class _Session:
    """One imported device. A reader takes orders, a worker does the transfers, so an UNLINK never waits."""

    def __init__(self, connection: socket.socket, board: Board, end: Callable[[], None]) -> None:
        self._connection = connection
        self._end = end  # gives the board back and hangs up
        self._board = board
        self._address = board.address
        self._lock = threading.Lock()  # over sending, and over which transfers are open
        self._open: set[int] = set()
        self._orders: queue.SimpleQueue[_Transfer | None] = queue.SimpleQueue()
        self._listening: list[_Transfer] = []  # reads of the serial port that have nothing to answer yet

    def run(self) -> None:
        worker = threading.Thread(target=self._work, daemon=True)
        worker.start()
        try:
            while True:
                self._order(receive(self._connection, _HEADER_BYTES))
        finally:
            self._orders.put(None)

    def _order(self, header: bytes) -> None:
        command = int.from_bytes(header[:4], "big")
        if command == CMD_UNLINK:
            *_basic, victim = _UNLINK.unpack(header)
            self._unlink(int.from_bytes(header[4:8], "big"), victim)
            return
        if command != CMD_SUBMIT:
            raise OSError(f"unknown USB/IP command {command}")
        _, seqnum, _devid, direction, endpoint, _flags, length, *_rest, setup = _SUBMIT.unpack(header)
        if not 0 <= length <= MAX_TRANSFER_BYTES:
            raise OSError(f"a transfer of {length} bytes")
        incoming = direction == DIRECTION_IN
        data = b"" if incoming else receive(self._connection, length)
        with self._lock:
            self._open.add(seqnum)
        self._orders.put(_Transfer(seqnum, endpoint, incoming, setup, data, length))

    def _unlink(self, seqnum: int, victim: int) -> None:
        """-ECONNRESET where the transfer was still open; it is never answered then."""
        with self._lock:
            status = -ECONNRESET if victim in self._open else 0
            self._open.discard(victim)
            self._connection.sendall(_RET_UNLINK.pack(RET_UNLINK, seqnum, 0, 0, 0, status))

    def _work(self) -> None:
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    transfer = self._orders.get(timeout=POLL_S)
                    if transfer is None:
                        break
                    self._do(transfer)
                if not self._board.is_present or self._board.address != self._address:
                    break
                self._answer_listeners()
        except OSError:
            pass  # the client is gone
        finally:
            self._end()

    def _do(self, transfer: _Transfer) -> None:
        """Raises OSError when the client or the device is gone."""
        with self._lock:
            if transfer.seqnum not in self._open:
                return  # unlinked before the device heard of it
        try:
            if transfer.endpoint == 0:
                self._reply(transfer, self._control(transfer))
            elif transfer.address == SERIAL_HEARS:
                self._board.send_bytes(self._address, transfer.data)
                self._reply(transfer)
            elif transfer.address == SERIAL_SAYS:
                self._listening.append(transfer)
            elif transfer.address != SERIAL_NOTIFIES:  # there is never anything to notify
                raise Stalled("no such endpoint")
        except Stalled:
            self._reply(transfer, status=-EPIPE)
        except TimedOut:
            return
        except Vanished as error:
            raise OSError(str(error)) from error

    def _control(self, transfer: _Transfer) -> bytes:
        request_type, request, value, index, length = _SETUP.unpack(transfer.setup)
        data = length if request_type & 0x80 else transfer.data
        return self._board.control(
            self._address, request_type, request, value, index, data, LONGEST_TRANSFER_MS
        )

    def _answer_listeners(self) -> None:
        """Give what the serial port has to say to the reads that wait for it, in their order."""
        with self._lock:
            self._listening = [one for one in self._listening if one.seqnum in self._open]
        while self._listening:
            try:
                said = self._board.take_bytes(self._address, self._listening[0].length)
            except Vanished as error:
                raise OSError(str(error)) from error
            if not said:
                return
            self._reply(self._listening.pop(0), said)

    def _reply(self, transfer: _Transfer, answer: bytes = b"", *, status: int = 0) -> None:
        actual = len(answer) if transfer.incoming else len(transfer.data)
        if status:
            actual = 0
        reply = _RET_SUBMIT.pack(RET_SUBMIT, transfer.seqnum, 0, 0, 0, status, actual, 0, 0, 0) + answer
        with self._lock:
            if transfer.seqnum in self._open:
                self._open.discard(transfer.seqnum)
                self._connection.sendall(reply)


def _device(number: int, face: Face) -> bytes:
    """struct usbip_usb_device, 312 bytes."""
    busid = _busid(number).encode("ascii")
    return USB_DEVICE.pack(
        b"/sys/devices/virtual/lab/" + busid, busid, BUS, number, SPEED_FULL,
        face.vendor_id, face.product_id, face.bcd_device, 0, 0, 0, 1, 1, len(face.interfaces),
    )  # fmt: skip


def _busid(number: int) -> str:
    return f"{BUS}-{number}"


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
