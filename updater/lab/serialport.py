"""The serial ports of virtual boards, as the updater meets them: what a kernel's driver would send to them.

Use: give it to the updater's bus beside the lab's backend. A port is called after its board's port path.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.board import Board
from updater.lab.cdc import DTR, SET_CONTROL_LINE_STATE, SET_LINE_CODING, TO_INTERFACE
from updater.lab.clock import Clock
from updater.lab.face import SERIAL_CONTROL
from updater.words.errors import UsbFailed

RTS = 0x02
POLL_MS = 5.0
TIMEOUT_MS = 2_000
MOST_BYTES = 4096


class LabSerialPorts:
    """All serial ports of a lab. What is open or how a port is called is not kept between commands."""

    def __init__(self, boards: Sequence[Board], clock: Clock) -> None:
        self._boards, self._clock = tuple(boards), clock

    def find(self, port: str, usb: str, serial_number: str | None) -> str | None:  # noqa: ARG002 - the port says all
        """The serial port of the board at this port path, while its firmware has one."""
        board = self._board(port)
        face = board.face if board else None
        return f"lab:{port}" if face is not None and face.has_serial else None

    @contextmanager
    def open(self, name: str, baud: int) -> Iterator[LabLine]:
        """Raises `UsbFailed` when there is no such port any more."""
        board = self._board(name.removeprefix("lab:"))
        if board is None or board.face is None or not board.face.has_serial:
            raise UsbFailed(f"there is no serial port {name}")
        line = LabLine(board, self._clock)
        with suppress(Stalled, TimedOut, Vanished):
            line.begin(baud)
        try:
            yield line
        finally:
            with suppress(Stalled, TimedOut, Vanished):
                line.drop()

    def _board(self, port: str) -> Board | None:
        return next((one for one in self._boards if one.port == port), None)


class LabLine:
    """One open serial port. Every call raises `Vanished` when the board is not what it was any more."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board, self._clock, self._address = board, clock, board.address

    def begin(self, baud: int) -> None:
        """What a driver does when the port is opened: speed, then DTR and RTS."""
        self._control(SET_LINE_CODING, 0, struct.pack("<IBBB", baud, 0, 0, 8))
        self._control(SET_CONTROL_LINE_STATE, DTR | RTS, b"")

    def drop(self) -> None:
        """DTR and RTS go."""
        self._control(SET_CONTROL_LINE_STATE, 0, b"")

    def send(self, data: bytes) -> None:
        """Bytes to the firmware."""
        self._board.send_bytes(self._address, data)

    def receive(self, within_ms: float) -> bytes:
        """What has come, as soon as anything has; empty when nothing came in time."""
        deadline = self._clock.now_ms() + within_ms
        while True:
            said = self._board.take_bytes(self._address, MOST_BYTES)
            if said or self._clock.now_ms() >= deadline:
                return said
            self._clock.sleep_ms(POLL_MS)

    def _control(self, request: int, value: int, data: bytes) -> None:
        self._board.control(self._address, TO_INTERFACE, request, value, SERIAL_CONTROL, data, TIMEOUT_MS)
