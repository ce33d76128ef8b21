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

from updater.dfu.words import (
    FIRST_BLOCK,
    TRANSFER_TIMEOUT_MS,
    Command,
    Request,
    Stalled,
    State,
    StatusCode,
    TimedOut,
)
from updater.facts import Sector
from updater.lab.clock import Clock
from updater.lab.flash import Memory
from updater.lab.symptoms import Behaves

OUT = 0x21
IN = 0xA1
VECTOR_TABLE = 0x08000000
"""Where the address pointer stands if nobody set it (AN3156)."""
READ_UNPROTECT = 0x92
COMMANDS = bytes([0x00, Command.SET_ADDRESS, Command.ERASE, READ_UNPROTECT])
"""The answer to UPLOAD of block 0, "Get" (AN3156)."""
WORD_BYTES = 4
_ROUNDING_MS = 0.001
"""Waiting until a moment, in floating point, may end a hair before it."""
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


class Work(NamedTuple):
    """What one stored DNLOAD costs and how it ends."""

    ms: float
    poll_ms: int
    result: StatusCode = StatusCode.OK
    sticks: bool = False


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

    `violations` are sentences about what no host may ever do. `flip_next_write`, `fail_next_status`,
    `stick_at` and `stay_on_leave` are the board's faults; each clears itself when it fires.
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
        self.memory = memory
        self.behaves = behaves
        self.transfer_size = transfer_size
        self.clock = clock
        self.dialect = dialect
        self.violations: list[str] = []
        self.left_to: int | None = None  # the vector table the ROM jumps to, once it has left
        self.flip_next_write = False
        self.fail_next_status = False
        self.stick_at: int | None = None
        self.stay_on_leave = False
        start = snapshot or FRESH
        self.state: int = start.state
        self.status: int = start.status
        self.pointer = start.pointer
        self.hung = start.hung
        self._stuck = start.stuck  # in dfuDNBUSY for ever
        self._was_stuck = False
        self._stuck_poll_ms = behaves.erase_poll_ms
        self._pending: tuple[int, bytes] | None = None
        self._result: StatusCode = StatusCode.OK
        self._misaligned = False
        self._deaf_until_ms = 0.0  # EP0 is not served before
        self._flash_busy_until_ms = 0.0
        self._power_off: Callable[[], None] | None = None
        self._answers: dict[int, Callable[[int, bytes | int], bytes]] = {
            Request.DNLOAD: self._dnload,
            Request.UPLOAD: self._upload,
            Request.GETSTATUS: self._getstatus,
            Request.CLRSTATUS: self._clrstatus,
            Request.GETSTATE: self._getstate,
            Request.ABORT: self._abort,
        }

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
        if self._power_off is not None and self.clock.now_ms() < max(
            self._flash_busy_until_ms, self._deaf_until_ms
        ):
            self._power_off()
        self._power_off = None

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
        if self.dialect is Dialect.ST_LIBRARY and request == Request.CLRSTATUS:
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
            self._was_stuck, self.pointer = False, VECTOR_TABLE
        return b""

    def _abort(self, _value: int, _data: bytes | int) -> bytes:
        self.state, self.status, self._pending = State.dfuIDLE, StatusCode.OK, None
        return b""

    def _dnload(self, block: int, data: bytes | int) -> bytes:
        assert not isinstance(data, int)
        if not data:
            self.state = State.dfuMANIFEST_SYNC
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
        if self._flash_busy_until_ms > self._deaf_until_ms:  # a read of a busy flash stalls the bus
            self._deaf_until_ms = self._flash_busy_until_ms
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
        else:
            self.state, self.left_to = State.dfuMANIFEST, self.pointer
        return _status(StatusCode.OK, 1, State.dfuMANIFEST)

    # ------------------------------------------------------------------------------------------- the work

    def _work(self) -> bytes:
        """Run the stored download; the answer is dfuDNBUSY whatever comes out of it (AN3156)."""
        assert self._pending is not None
        block, data = self._pending
        self._pending = None
        if block == 0:
            work = self._command(data)
        elif block < FIRST_BLOCK:
            work = Work(0, 0)
        else:
            work = self._write(self.pointer + (block - FIRST_BLOCK) * self.transfer_size, data)
        now = self.clock.now_ms()
        if work.sticks:
            self._stuck, self._stuck_poll_ms, self.state = True, work.poll_ms, State.dfuDNBUSY
            self._deaf_until_ms = now + min(self.behaves.first_answer_ms, work.ms)
            self._flash_busy_until_ms = now + work.ms
        else:
            if work.ms:
                self._deaf_until_ms = self._flash_busy_until_ms = now + work.ms
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

    def _command(self, data: bytes) -> Work:
        poll_ms, name, address = self.behaves.command_poll_ms, data[0], int.from_bytes(data[1:5], "little")
        if name == READ_UNPROTECT:
            self.violations.append("read unprotect (0x92)")
            return Work(0, poll_ms, StatusCode.errVENDOR)
        if name == Command.SET_ADDRESS and len(data) == 5:
            if not self.memory.is_known(address):
                return Work(0, poll_ms, StatusCode.errTARGET)
            self.pointer = address
            return Work(0, poll_ms)
        if name == Command.ERASE and len(data) in (1, 5):
            if self.memory.read_protected:
                return Work(0, poll_ms, StatusCode.errVENDOR)
            return self._mass_erase() if len(data) == 1 else self._erase(address)
        return Work(0, poll_ms, StatusCode.errSTALLEDPKT)

    def _erase(self, address: int) -> Work:
        sector = self.memory.flash.sector_at(address)
        if sector is None or not sector.erasable:
            return Work(0, self.behaves.erase_poll_ms, StatusCode.errTARGET)
        self._start_flash()
        before = self.memory.flash.erase(sector)
        self._power_off = lambda: self.memory.flash.spoil_erase(sector, before)
        return Work(
            self.behaves.erase_ms[sector.size],
            self.behaves.erase_poll_ms,
            sticks=self._sticks(sector),
        )

    def _mass_erase(self) -> Work:
        self._start_flash()
        flash = self.memory.flash
        before = [(sector, flash.erase(sector)) for sector in flash.region.sectors]

        def power_off() -> None:
            for sector, old in before:
                flash.spoil_erase(sector, old)

        self._power_off = power_off
        ms = sum(self.behaves.erase_ms[sector.size] for sector in flash.region.sectors)
        return Work(ms, self.behaves.erase_poll_ms)

    def _sticks(self, sector: Sector) -> bool:
        first = self.behaves.erase_sticks_from
        return self._sticks_by_fault(sector.address, sector.size) or (
            first is not None and sector.address >= first
        )

    def _sticks_by_fault(self, address: int, length: int) -> bool:
        if self.stick_at is None or not address <= self.stick_at < address + length:
            return False
        self.stick_at = None
        return True

    def _write(self, address: int, data: bytes) -> Work:
        poll_ms, memory = self.behaves.write_poll_ms, self.memory
        flash, length = memory.flash, len(data)
        if memory.is_option_byte(address):
            self.violations.append("a download to the option bytes")
            return Work(0, poll_ms, StatusCode.errVENDOR)
        in_flash = flash.base <= address and address + length <= flash.end
        if memory.read_protected and (in_flash or memory.is_otp(address, length)):
            return Work(0, poll_ms, StatusCode.errVENDOR)
        if not in_flash and not memory.is_otp(address, length):
            return Work(0, poll_ms, StatusCode.errTARGET)
        step = max(flash.unit_bytes, WORD_BYTES)
        if self._misaligned or address % step or length % step:
            self._misaligned = True  # AN3156: this and the following operations fail
            return Work(0, poll_ms, StatusCode.errPROG)
        self._start_flash()
        ms = length // flash.unit_bytes * self.behaves.program_us / 1000.0
        if in_flash:
            result = self._program(address, data)
        else:
            assert memory.otp is not None
            result = memory.otp.program(address, data)
        return Work(ms, poll_ms, result, sticks=in_flash and self._sticks_by_fault(address, length))

    def _program(self, address: int, data: bytes) -> StatusCode:
        flash = self.memory.flash
        before = flash.read(address, len(data))
        result = flash.program(address, data)
        if result == StatusCode.OK:
            self._power_off = lambda: flash.spoil_program(address, data, before)
            if self.flip_next_write:
                self.flip_next_write = False
                flash.flip(address)
        return result

    def _start_flash(self) -> None:
        """A flash operation begins. AN2606 table 136: before the hardware has ended the last, it can hang."""
        if self.clock.now_ms() < self._flash_busy_until_ms - _ROUNDING_MS:
            if self.behaves.command_before_done_hangs:
                self.hung = True
                self.violations.append("a flash operation before the last one had ended")
                raise TimedOut("the ROM hangs; only a power cycle helps")
            self.clock.sleep_ms(self._flash_busy_until_ms - self.clock.now_ms())
        self._power_off = None


def _status(code: int, poll_ms: int, state: int) -> bytes:
    """bStatus, bwPollTimeout (24 bits, little-endian), bState, iString (DFU 1.1 section 6.1.2)."""
    return bytes((code, poll_ms & 0xFF, poll_ms >> 8 & 0xFF, poll_ms >> 16, state, 0))
