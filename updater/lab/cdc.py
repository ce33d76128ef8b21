"""The serial port of a virtual board's firmware: USB CDC, abstract control model.

What it is told there is either a touch (DTR goes away while the line is set to 1200 baud) or a dialogue:
it hears certain bytes, answers, and hears the next. Sources: CDC 1.2 chapter 5, PSTN 1.2 chapter 6.
"""

from __future__ import annotations

import struct

from updater.heads.dfu.words import Stalled

SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE, SEND_BREAK = 0x20, 0x21, 0x22, 0x23
TO_INTERFACE, FROM_INTERFACE = 0x21, 0xA1
DTR = 0x01
TOUCH_BAUD = 1200
MOST_HEARD_BYTES = 4096
REFUSAL = b"refused\r\n"

_LINE_CODING = struct.Struct("<IBBB")

Dialogue = tuple[tuple[bytes, bytes], ...]
"""What is heard, and what is answered to it, in this order."""


class SerialPort:
    """One run of the firmware's serial port. `wants_rom` becomes true when it was asked to enter the ROM."""

    def __init__(self, dialogue: Dialogue, *, heeds_touch: bool) -> None:
        self._dialogue, self._heeds_touch = dialogue, heeds_touch
        self._line_coding = _LINE_CODING.pack(115_200, 0, 0, 8)
        self._has_dtr = False
        self._heard = b""
        self._step = 0
        self._answers = bytearray()
        self.refuses = False
        self.has_refused = False
        self.wants_rom = False

    def control(self, bmRequestType: int, bRequest: int, wValue: int, data_or_length: bytes | int) -> bytes:
        """A class request to the communication interface. Raises `Stalled` for what it does not know."""
        if (bmRequestType, bRequest) == (FROM_INTERFACE, GET_LINE_CODING):
            return self._line_coding
        if bmRequestType == TO_INTERFACE and isinstance(data_or_length, bytes):
            if bRequest == SET_LINE_CODING and len(data_or_length) == _LINE_CODING.size:
                self._line_coding = data_or_length
                return b""
            if bRequest == SET_CONTROL_LINE_STATE:
                self._set_dtr(bool(wValue & DTR))
                return b""
            if bRequest == SEND_BREAK:
                return b""
        raise Stalled(f"request {bRequest} (bmRequestType 0x{bmRequestType:02X}) to the serial port")

    def _set_dtr(self, dtr: bool) -> None:
        was_touched = self._has_dtr and not dtr and self._baud == TOUCH_BAUD
        self._has_dtr = dtr
        if not dtr:
            self._heard, self._step = b"", 0
        if was_touched and self._heeds_touch:
            self._asked()

    @property
    def _baud(self) -> int:
        baud: int = _LINE_CODING.unpack(self._line_coding)[0]
        return baud

    def hear(self, data: bytes) -> None:
        """Bytes from the host."""
        self._heard = (self._heard + data)[-MOST_HEARD_BYTES:]
        while self._step < len(self._dialogue):
            awaited, answer = self._dialogue[self._step]
            _before, found, after = self._heard.partition(awaited)
            if not found:
                return
            self._heard = after
            if self.refuses:
                self.has_refused = True
                self._answers += REFUSAL
                return
            self._answers += answer
            self._step += 1
            if self._step == len(self._dialogue):
                self._asked()

    def say(self, most: int) -> bytes:
        """Bytes for the host; empty when there are none."""
        said = bytes(self._answers[:most])
        del self._answers[:most]
        return said

    @property
    def is_talking(self) -> bool:
        """Whether it has something left to say."""
        return bool(self._answers)

    def _asked(self) -> None:
        if self.refuses:  # a touch cannot be answered: it is only not heeded
            self.has_refused = True
        else:
            self.wants_rom = True
