"""Wires for scripts: a tape of typed requests and answers, and devices that answer for ever.

A line of a tape is one wish and its answer. Requests are typed as they go over the wire: the setup packet
(bmRequestType bRequest wValue wIndex wLength, little-endian) and, after "|", the data stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from updater.heads.dfu.scripts import Pace, Polling, drive
from updater.heads.dfu.words import Answer, In, Out, Script, Select, Sleep, Stalled, WireError, Wish

Line = tuple[str, str | WireError]

GETSTATUS = "A1 03 00 00 00 00 06 00"
CLRSTATUS = "21 04 00 00 00 00 00 00"
ABORT = "21 06 00 00 00 00 00 00"
IDLE = "00 00 00 00 02 00"
BUSY_1_MS = "00 01 00 00 04 00"
BUSY_100_MS = "00 64 00 00 04 00"
BUSY_1000_MS = "00 E8 03 00 04 00"
DNLOAD_IDLE = "00 00 00 00 05 00"
UPLOAD_IDLE = "00 00 00 00 09 00"
ERR_UNKNOWN = "0E 00 00 00 0A 00"
ERR_TARGET = "01 00 00 00 0A 00"
ERR_VENDOR = "0B 00 00 00 0A 00"
STALL = Stalled("STALL")

TOO_OFTEN = 100_000
"""So many transfers are a loop without an end."""

SMALL = Pace(transfer_size=4, write_max_ms=100)
EARLY = Pace(transfer_size=4, write_max_ms=100, polling=Polling(at_once=True))


def hexed(data: bytes) -> str:
    return data.hex(" ").upper()


def on_the_wire(wish: Wish) -> str:
    """The wish as the tape spells it."""
    match wish:
        case Sleep():
            return f"sleep {wish.ms}"
        case Select():
            return f"01 0B {hexed(wish.alternate.to_bytes(2, 'little'))} 00 00 00 00"
        case Out():
            setup = bytes([0x21, wish.request]) + wish.value.to_bytes(2, "little") + b"\0\0"
            setup += len(wish.data).to_bytes(2, "little")
            return hexed(setup) + (" | " + hexed(wish.data) if wish.data else "")
        case In():
            setup = bytes([0xA1, wish.request]) + wish.value.to_bytes(2, "little") + b"\0\0"
            return hexed(setup + wish.length.to_bytes(2, "little"))


class Tape:
    """Answers as typed, in the order typed, and nothing else. A transfer takes `cost_ms`."""

    def __init__(self, *lines: Line, cost_ms: float = 0.0) -> None:
        self.lines = list(lines)
        self.now_ms = 1_000_000.0
        self.cost_ms = cost_ms

    def play(self, script: Script[Any]) -> Any:
        """What the script returns, which must ask for all of this and for nothing else."""
        value = drive(script, self.perform)
        assert not self.lines, f"the script left out {self.lines}"
        return value

    def fits(self, script: Script[Any]) -> bool:
        """Whether the script asks for all of this, in this order, and for nothing else."""
        drive(script, self.perform)
        return not self.lines

    def perform(self, wish: Wish) -> Answer:
        assert self.lines, f"nothing was expected any more, but: {on_the_wire(wish)}"
        expected, answer = self.lines.pop(0)
        assert on_the_wire(wish) == expected
        self.now_ms += wish.ms if isinstance(wish, Sleep) else self.cost_ms
        if isinstance(answer, WireError):
            raise answer
        return Answer(bytes.fromhex(answer), self.now_ms)


class Endless:
    """Answers every GETSTATUS alike, or by turns, for ever; counts what it was asked.

    Behind `ends_after_ms` it is dfuDNLOAD-IDLE.
    """

    def __init__(self, *statuses: str, cost_ms: float = 0.0, ends_after_ms: float = float("inf")) -> None:
        self.statuses = [bytes.fromhex(status) for status in statuses]
        self.now_ms = 0.0
        self.cost_ms = cost_ms
        self.asked = 0
        self.ends_after_ms = ends_after_ms

    def perform(self, wish: Wish) -> Answer:
        if isinstance(wish, Sleep):
            self.now_ms += wish.ms
            return Answer(b"", self.now_ms)
        self.now_ms += self.cost_ms
        if isinstance(wish, In):
            self.asked += 1
            assert self.asked < TOO_OFTEN
            if self.now_ms > self.ends_after_ms:
                return Answer(bytes.fromhex(DNLOAD_IDLE), self.now_ms)
            return Answer(self.statuses[(self.asked - 1) % len(self.statuses)], self.now_ms)
        return Answer(b"", self.now_ms)


# ------------------------------------------------------------------------------------------ a device of whims

polls = st.sampled_from([0, 1, 5, 100, 1000, 0xFFFFFF]) | st.integers(0, 0xFFFFFF)
states = st.sampled_from([2, 3, 4, 4, 4, 5, 6, 7, 9, 10, 15]) | st.integers(0, 255)
codes = st.just(0) | st.integers(0, 255)


def as_status(code: int, poll_ms: int, state: int) -> bytes:
    return bytes([code]) + poll_ms.to_bytes(3, "little") + bytes([state, 0])


answers: st.SearchStrategy[bytes | None] = st.builds(as_status, codes, polls, states) | st.sampled_from(
    [None, b"", b"\0" * 5]
)


class Whimsical:
    """A wire on which anything may come; None is a STALL."""

    def __init__(self, answers: Sequence[bytes | None], cost_ms: float) -> None:
        self.answers, self.cost_ms = answers, cost_ms
        self.now_ms, self.transfers = 0.0, 0

    def perform(self, wish: Wish) -> Answer:
        if isinstance(wish, Sleep):
            assert wish.ms > 0
            self.now_ms += wish.ms
            return Answer(b"", self.now_ms)
        self.now_ms += self.cost_ms
        self.transfers += 1
        assert self.transfers < TOO_OFTEN
        answer = self.answers[self.transfers % len(self.answers)]
        if answer is None:
            raise Stalled("on a whim")
        if isinstance(wish, In):
            whole = wish.length != 6 and len(answer) == 6
            return Answer(bytes(wish.length) if whole else answer, self.now_ms)
        return Answer(b"", self.now_ms)
