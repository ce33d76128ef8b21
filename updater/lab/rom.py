"""The virtual ROM: a table that answers.

It knows requests, states, memory and time, but neither USB descriptors nor boards. Sources: USB DFU 1.1
section 6.1 and appendix A, ST AN3156; where ST's ROM and the standard differ, ST's trace decides, and
`Dialect` says which reading of the rest is played.

Work happens on GETSTATUS. A ROM that answers `after-work` keeps that GETSTATUS waiting until the flash is
done and then says dfuDNBUSY; one that answers `before-work` says so at once and does not hear the next
transfer until it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from updater.heads.dfu.words import (
    FIRST_BLOCK,
    TRANSFER_TIMEOUT_MS,
    Command,
    Request,
    Stalled,
    State,
    StatusCode,
    TimedOut,
    Vanished,
)
from updater.lab.clock import Clock
from updater.lab.flash import Memory
from updater.lab.symptoms import Behaves, Leaves
from updater.lab.work import READ_UNPROTECT, VECTOR_TABLE, Workbench

OUT = 0x21
IN = 0xA1
COMMANDS = bytes([0x00, Command.SET_ADDRESS, Command.ERASE, READ_UNPROTECT])
"""The answer to UPLOAD of block 0, "Get" (AN3156)."""
FOREIGN_STATE = 15
"""bState of ST's library after an unreadable UPLOAD: outside the standard."""


class Dialect(StrEnum):
    """What happens where DFU 1.1 or AN3156 allow nothing.

    `standard`: STALL, and the state becomes dfuERROR. `st-library`: as ST's published DFU class does it,
    STALL without a change of state.
    """

    STANDARD = "standard"
    ST_LIBRARY = "st-library"


_DIRECTION: dict[int, int] = {
    Request.DETACH: OUT,
    Request.DNLOAD: OUT,
    Request.UPLOAD: IN,
    Request.GETSTATUS: IN,
    Request.CLRSTATUS: OUT,
    Request.GETSTATE: IN,
    Request.ABORT: OUT,
}

# DFU 1.1 appendix A, plus ST: GETSTATUS and GETSTATE are answered everywhere, also in dfuDNBUSY.
_EVERYWHERE = frozenset(range(FOREIGN_STATE + 1))
_LEGAL: dict[int, frozenset[int]] = {
    Request.DETACH: frozenset(),
    Request.DNLOAD: frozenset({State.dfuIDLE, State.dfuDNLOAD_IDLE}),
    Request.UPLOAD: frozenset({State.dfuIDLE, State.dfuUPLOAD_IDLE}),
    Request.GETSTATUS: _EVERYWHERE,
    Request.CLRSTATUS: frozenset({State.dfuERROR}),
    Request.GETSTATE: _EVERYWHERE,
    Request.ABORT: frozenset(
        {
            State.dfuIDLE,
            State.dfuDNLOAD_SYNC,
            State.dfuDNLOAD_IDLE,
            State.dfuMANIFEST_SYNC,
            State.dfuUPLOAD_IDLE,
        }
    ),
}


class Snapshot(NamedTuple):
    """What a ROM remembers from one command to the next while its power stays on."""

    state: int = State.dfuIDLE
    status: int = StatusCode.OK
    pointer: int = VECTOR_TABLE
    stuck: bool = False
    hung: bool = False


FRESH = Snapshot()


class Rom:
    """One ROM bootloader over one chip's memories.

    `violations` are sentences about what no host may ever do. `fail_next_status`, `stay_on_leave` and
    those of the workbench are the board's faults; each clears itself when it fires.
    """

    def __init__(
        self,
        *,
        memory: Memory,
        behaves: Behaves,
        transfer_size: int,
        clock: Clock,
        dialect: Dialect = Dialect.STANDARD,
        snapshot: Snapshot | None = None,
    ) -> None:
        start = snapshot or FRESH
        self.memory = memory
        self.behaves = behaves
        self.transfer_size = transfer_size
        self.clock = clock
        self.dialect = dialect
        self.bench = Workbench(memory, behaves, transfer_size, clock, pointer=start.pointer, hung=start.hung)
        self.left_to: int | None = None  # the vector table the ROM jumps to, once it has left
        self.fail_next_status = False
        self.stay_on_leave = False
        self.state: int = start.state
        self.status: int = start.status
        self._stuck = start.stuck  # in dfuDNBUSY for ever
        self._was_stuck = False
        self._stuck_poll_ms = behaves.erase_poll_ms
        self._pending: tuple[int, bytes] | None = None
        self._result: StatusCode = StatusCode.OK
        self._deaf_until_ms = 0.0  # EP0 is not served before
        self._stalls_left = 0
        self._answers: dict[int, Callable[[int, bytes | int], bytes]] = {
            Request.DNLOAD: self._dnload,
            Request.UPLOAD: self._upload,
            Request.GETSTATUS: self._getstatus,
            Request.CLRSTATUS: self._clrstatus,
            Request.GETSTATE: self._getstate,
            Request.ABORT: self._abort,
        }

    @property
    def violations(self) -> list[str]:
        return self.bench.violations

    @property
    def pointer(self) -> int:
        """The address pointer."""
        return self.bench.pointer

    @pointer.setter
    def pointer(self, address: int) -> None:
        self.bench.pointer = address

    @property
    def hung(self) -> bool:
        """Whether only a power cycle helps."""
        return self.bench.hung

    @hung.setter
    def hung(self, is_hung: bool) -> None:
        self.bench.hung = is_hung

    # ------------------------------------------------------------------------------------ the wire's side

    def control(
        self,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data_or_length: bytes | int,
        timeout_ms: float = TRANSFER_TIMEOUT_MS,
    ) -> bytes:
        """One class request: bytes out, or the length to read. Returns the data stage of an IN transfer.

        Blocks on the clock as the silicon does. Raises `Stalled`, and `TimedOut` after `timeout_ms`.
        """
        if self._stalls_left and bRequest == Request.GETSTATUS and self.clock.now_ms() < self._deaf_until_ms:
            self._stalls_left -= 1
            raise Stalled("GETSTATUS while the flash is busy")
        waited = self.wait(timeout_ms)
        try:
            answer = self.receive(bmRequestType, bRequest, wValue, wIndex, data_or_length)
        except TimedOut:
            self.clock.sleep_ms(timeout_ms - waited)
            raise
        if self.behaves.answers_after_work or self._stuck:
            self.wait(timeout_ms - waited)
        return answer

    def receive(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bytes:
        """The same without letting time pass: what the ROM does when it hears the request."""
        if self.hung:
            raise TimedOut("the ROM hangs; only a power cycle helps")
        if _DIRECTION.get(bRequest) != bmRequestType or wIndex != 0:
            return self._refuse(bRequest)
        if self._stuck:
            return self._receive_stuck(bRequest, wValue, data_or_length)
        if self.state not in _LEGAL[bRequest]:
            return self._out_of_place(bRequest)
        return self._answers[bRequest](wValue, data_or_length)

    def power_off(self) -> None:
        """The supply fails now: what the flash was doing stays half done."""
        self.bench.power_off(at_least_until_ms=self._deaf_until_ms)

    def break_down(self, code: StatusCode) -> None:
        """A STALL out of the blue: in the standard's dialect dfuERROR with this code."""
        if self.dialect is Dialect.STANDARD and not self._stuck:
            self._fail(code)

    def snapshot(self) -> Snapshot:
        """What to give the next `Rom` that continues this one. Running work counts as done."""
        state = self.state
        if state == State.dfuDNLOAD_SYNC:  # the data of a stored download is not kept
            state = State.dfuDNLOAD_IDLE
        elif state == State.dfuDNBUSY and not self._stuck:
            state = State.dfuDNLOAD_IDLE if self._result == StatusCode.OK else State.dfuERROR
        return Snapshot(int(state), int(self.status), self.pointer, self._stuck, self.hung)

    def wait(self, timeout_ms: float) -> float:
        """Let time pass until EP0 is served; returns how long that was."""
        wait_ms = self._deaf_until_ms - self.clock.now_ms()
        if wait_ms <= 0:
            return 0.0
        if wait_ms > timeout_ms:
            self.clock.sleep_ms(timeout_ms)
            raise TimedOut(f"no answer within {timeout_ms:g} ms")
        self.clock.sleep_ms(wait_ms)
        return wait_ms

    # --------------------------------------------------------------------------------- what is not allowed

    def _refuse(self, request: int) -> bytes:
        """STALL; in the standard's dialect the state becomes dfuERROR too (DFU 1.1 section 6.1.2)."""
        self.break_down(StatusCode.errSTALLEDPKT)
        raise Stalled(f"request {request} is not allowed in state {self.state}")

    def _out_of_place(self, request: int) -> bytes:
        stalls = self.behaves.clrstatus_outside_error_stalls
        if self.dialect is Dialect.ST_LIBRARY and request == Request.CLRSTATUS and not stalls:
            self._fail(StatusCode.errUNKNOWN)
            return b""
        if self.dialect is Dialect.ST_LIBRARY and request == Request.ABORT:
            return b""
        return self._refuse(request)

    def _receive_stuck(self, request: int, value: int, data: bytes | int) -> bytes:
        """In the wedge of ST:234209 only the status is answered, and CLRSTATUS makes (14, dfuERROR)."""
        if request == Request.GETSTATUS:
            assert isinstance(data, int)
            return _status(StatusCode.OK, self._stuck_poll_ms, State.dfuDNBUSY)[:data]
        if request == Request.GETSTATE:
            return self._getstate(value, data)
        if request == Request.CLRSTATUS:
            self._stuck, self._was_stuck = False, True
            self._fail(StatusCode.errUNKNOWN)
            return b""
        raise Stalled(f"request {request} while the ROM is stuck in dfuDNBUSY")

    def _fail(self, code: StatusCode) -> None:
        self.state, self.status = State.dfuERROR, code
        self._pending = None

    # ---------------------------------------------------------------------------------------- the requests

    def _getstate(self, _value: int, length: bytes | int) -> bytes:
        assert isinstance(length, int)
        return bytes((self.state,))[:length]

    def _clrstatus(self, _value: int, _data: bytes | int) -> bytes:
        self.state, self.status = State.dfuIDLE, StatusCode.OK
        if self._was_stuck:  # no source says that the pointer survives
            self._was_stuck, self.bench.pointer = False, VECTOR_TABLE
        return b""

    def _abort(self, _value: int, _data: bytes | int) -> bytes:
        self.state, self.status, self._pending = State.dfuIDLE, StatusCode.OK, None
        return b""

    def _dnload(self, block: int, data: bytes | int) -> bytes:
        assert not isinstance(data, int)
        if not data:
            self.state = State.dfuMANIFEST_SYNC
            if self.behaves.leaves is Leaves.ON_ZERO_DOWNLOAD and not self.stay_on_leave:
                self.left_to = self.pointer
            return b""
        if len(data) > self.transfer_size:
            if self.dialect is Dialect.STANDARD:
                return self._refuse(Request.DNLOAD)
            data = data[: self.transfer_size]
        if block == FIRST_BLOCK - 1:
            self.violations.append("a download to the reserved block 1")
            if self.dialect is Dialect.STANDARD:
                return self._refuse(Request.DNLOAD)
        self._pending = block, bytes(data)
        self.state = State.dfuDNLOAD_SYNC
        return b""

    def _upload(self, block: int, length: bytes | int) -> bytes:
        assert isinstance(length, int)
        if length > self.transfer_size:
            if self.dialect is Dialect.STANDARD:
                return self._refuse(Request.UPLOAD)
            length = self.transfer_size
        if length == 0:
            self.state = State.dfuIDLE
            return b""
        if block == 0:
            answer = COMMANDS[:length]
            ended = length > 3 if self.dialect is Dialect.ST_LIBRARY else length > len(COMMANDS)
            self.state = State.dfuIDLE if ended else State.dfuUPLOAD_IDLE
            return answer
        if block < FIRST_BLOCK:
            return self._unreadable(StatusCode.errSTALLEDPKT)
        if self.memory.read_protected:
            return self._unreadable(StatusCode.errVENDOR)
        data = self.memory.read(self.pointer + (block - FIRST_BLOCK) * self.transfer_size, length)
        if data is None:
            return self._unreadable(StatusCode.errTARGET)
        if self.bench.busy_until_ms > self._deaf_until_ms:  # a read of a busy flash stalls the bus
            self._deaf_until_ms = self.bench.busy_until_ms
            self.clock.sleep_ms(self._deaf_until_ms - self.clock.now_ms())
        self.state = State.dfuUPLOAD_IDLE
        return data

    def _unreadable(self, code: StatusCode) -> bytes:
        if self.dialect is Dialect.STANDARD:
            self._fail(code)
        else:
            self.state = FOREIGN_STATE
        raise Stalled("this memory cannot be read")

    def _getstatus(self, _value: int, length: bytes | int) -> bytes:
        assert isinstance(length, int)
        if self.fail_next_status:
            self.fail_next_status = False
            self._fail(StatusCode.errUNKNOWN)
        state = self.state
        if state == State.dfuDNLOAD_SYNC:
            if self._pending is not None:
                return self._work()[:length]
            state = self.state = State.dfuDNLOAD_IDLE
        elif state == State.dfuDNBUSY:
            self.status = self._result
            state = State.dfuDNLOAD_IDLE if self._result == StatusCode.OK else State.dfuERROR
            self.state = state
        elif state == State.dfuMANIFEST_SYNC:
            return self._leave()[:length]
        return _status(self.status, 0, state)[:length]

    def _leave(self) -> bytes:
        if self.stay_on_leave:
            self.stay_on_leave, self.state = False, State.dfuIDLE
            return _status(StatusCode.OK, 1, State.dfuMANIFEST)
        self.state, self.left_to = State.dfuMANIFEST, self.pointer
        match self.behaves.leaves:
            case Leaves.DROPS:
                raise Vanished("the ROM is gone before it has answered")
            case Leaves.STALLS:
                raise Stalled("GETSTATUS after the zero-length download")
            case Leaves.STATUS_ERROR:
                return _status(StatusCode.errUNKNOWN, 0, State.dfuERROR)
        return _status(StatusCode.OK, 1, State.dfuMANIFEST)

    # ------------------------------------------------------------------------------------------- the work

    def _work(self) -> bytes:
        """Run the stored download; the answer is dfuDNBUSY whatever comes out of it (AN3156)."""
        assert self._pending is not None
        block, data = self._pending
        self._pending = None
        work = self.bench.run(block, data)
        now = self.clock.now_ms()
        if work.sticks:
            self._stuck, self._stuck_poll_ms, self.state = True, work.poll_ms, State.dfuDNBUSY
            self._deaf_until_ms = now + min(self.behaves.first_answer_ms, work.ms)
        else:
            if work.ms:
                self._deaf_until_ms = now + work.ms
                self._stalls_left = self.behaves.stalled_polls
            self._end(work.result, documented=block == 0 and data[0] == Command.SET_ADDRESS)
        return _status(StatusCode.OK, work.poll_ms, State.dfuDNBUSY)

    def _end(self, result: StatusCode, *, documented: bool) -> None:
        """ST's library has its result when GETSTATUS is over; the standard's state is dfuDNBUSY till then.

        That library knows only errVENDOR for a failed erase or write; AN3156 names errTARGET for a pointer.
        """
        if self.dialect is Dialect.STANDARD:
            self._result, self.state = result, State.dfuDNBUSY
        elif result == StatusCode.OK:
            self.state = State.dfuDNLOAD_SYNC
        else:
            self._fail(result if documented else StatusCode.errVENDOR)


def _status(code: int, poll_ms: int, state: int) -> bytes:
    """bStatus, bwPollTimeout (24 bits, little-endian), bState, iString (DFU 1.1 section 6.1.2)."""
    return bytes((code, poll_ms & 0xFF, poll_ms >> 8 & 0xFF, poll_ms >> 16, state, 0))
