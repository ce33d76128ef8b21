"""The DFU protocol as scripts: generators that yield requests and receive answers.

A script knows the rules of DFU 1.1 and AN3156 and nothing of USB. `drive` runs one over anything that
performs requests: a real device, a virtual one, or a table in a test. Errors of the wire are thrown into
the script where it waits, so that a script may expect one.

Rules that hold everywhere (AN3156, DFU 1.1 appendix A.2):
* a download is only stored; the work happens on the next GETSTATUS, which answers dfuDNBUSY;
* block 0 is a command, data starts at block 2, at pointer + (block - 2) x wTransferSize;
  what that is for a short block is disputed, so only the last block of a run is ever short;
* CLRSTATUS is legal in dfuERROR only, ABORT in the idle states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from updater.heads.dfu.words import (
    FIRST_BLOCK,
    TRANSFER_TIMEOUT_MS,
    Answer,
    Command,
    DeviceRefused,
    In,
    Out,
    ProtocolError,
    Request,
    Script,
    Select,
    Sleep,
    Stalled,
    State,
    Status,
    T,
    TimedOut,
    WireError,
    Wish,
)

LONGEST_OPERATION_MS = 35_000
"""A mass erase takes up to 32 s; dfu-util and OpenOCD allow 35 and 33 s."""

IDLE_DEADLINE_MS = 45_000
"""Longer than any single operation that an earlier, interrupted session may have left running."""

READ_BLOCK_MS = 500
"""For the ceiling of a whole read: the slowest observed UPLOAD takes 31 ms per KiB (G0B0)."""

DOZE_MS = 2_000
"""So much of the time between two answers counts: a PC that slept in between is not a slow device."""

COMMAND_MAX_MS = 2_000
"""A set-address is timed like the programming of one word; ROMs report up to 100 ms."""

_BUSY = {State.dfuDNLOAD_SYNC, State.dfuDNBUSY}
_ON_THE_WAY = _BUSY | {State.dfuMANIFEST_SYNC, State.dfuMANIFEST}
_LONGEST_NAP_MS = 1_000
_STALL_NAP_MS = 10
_MAX_PUSHES = 8
"""How often a device is pushed towards dfuIDLE; none is known to need more than two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How to wait for a stored download.

    `at_once`: ask again without waiting bwPollTimeout, where the silicon table says it is harmless.
    `stalls`: how many GETSTATUS in a row this ROM may STALL while it works; asked again after a pause.
    """

    at_once: bool = False
    stalls: int = 0


AS_TOLD = Polling()
"""Wait bwPollTimeout, and take a STALL for what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to move bytes with one device.

    `write_max_ms`: the ceiling for one block. `may_stick`: this ROM can stay dfuDNBUSY for ever after
    an erase.
    """

    transfer_size: int
    write_max_ms: int
    polling: Polling = AS_TOLD
    may_stick: bool = False


def drive(script: Script[T], perform: Callable[[Wish], Answer]) -> T:
    """Run a script to its end and return its value. Wire errors are offered to the script first."""
    try:
        wish = next(script)
        while True:
            try:
                answer = perform(wish)
            except WireError as error:
                wish = script.throw(error)
            else:
                wish = script.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value


def get_status(timeout_ms: int = TRANSFER_TIMEOUT_MS) -> Script[Status]:
    """GETSTATUS. Raises `ProtocolError` for anything but six bytes."""
    return Status.parse((yield In(Request.GETSTATUS, 0, 6, timeout_ms)))


def select(alternate: int) -> Script[None]:
    """SET_INTERFACE: choose the memory that this alternate setting stands for."""
    yield Select(alternate)


def go_to_idle(may_stick: bool = False) -> Script[None]:
    """Bring a device from any state to dfuIDLE, with legal requests only.

    CLRSTATUS outside dfuERROR is stalled by some ROMs and makes others fail, so it is never sent on
    suspicion: only where the silicon table knows a ROM that can be stuck (see `erase_with_stuck_busy`;
    another tool may have left it so), and only after the longest operation there is; an hour in which the
    PC slept is none. Raises `TimedOut` after `IDLE_DEADLINE_MS` or when it goes round in circles, and
    `ProtocolError` for an application and for a bootloader that only a USB reset can bring back.
    """
    last: float | None = None
    waited_ms = 0.0
    pushes = 0
    while True:
        status = yield from get_status()
        waited_ms += min(status.at_ms - last, DOZE_MS) if last is not None else 0
        last = status.at_ms
        if status.state == State.dfuIDLE:
            return
        if waited_ms > IDLE_DEADLINE_MS or pushes == _MAX_PUSHES:
            raise TimedOut(f"the bootloader did not become idle ({status})")
        if status.state in (State.appIDLE, State.appDETACH):
            raise ProtocolError("the device runs its application, not its bootloader")
        if status.state == State.dfuMANIFEST_WAIT_RESET:
            raise ProtocolError("the bootloader waits to be reset")
        is_stuck = may_stick and waited_ms >= LONGEST_OPERATION_MS
        if status.state in _ON_THE_WAY and not (is_stuck and status.state == State.dfuDNBUSY):
            yield Sleep(_nap(status))
            continue
        pushes += 1
        if status.state in (State.dfuDNLOAD_IDLE, State.dfuUPLOAD_IDLE):
            yield Out(Request.ABORT)
        else:
            # dfuERROR, the stuck dfuDNBUSY, or a state outside the standard: ST's library answers 15
            # after an unreadable UPLOAD and leaves it by CLRSTATUS only.
            yield Out(Request.CLRSTATUS)


def settle(since_ms: float, max_ms: int, polling: Polling = AS_TOLD) -> Script[Status]:
    """Poll until a stored download is done.

    Returns the status in dfuDNLOAD-IDLE. Raises `DeviceRefused` in dfuERROR, `TimedOut` when `max_ms`
    after `since_ms` the device is still busy, `ProtocolError` for any other state. The ceiling is ours:
    bwPollTimeout is a hint that ROMs get wrong in both directions. It is judged by a poll that began
    behind it, because some ROMs work first and then answer dfuDNBUSY, and because PCs doze off. For the
    same reason a GETSTATUS may itself take as long as the work.
    """
    nap = 1
    is_late = False
    while True:
        status = yield from _patient_status(polling.stalls, max(TRANSFER_TIMEOUT_MS, max_ms))
        if status.state == State.dfuDNLOAD_IDLE:
            return status
        if status.state == State.dfuERROR:
            raise DeviceRefused(f"the bootloader reported an error ({status})", status.code)
        if status.state not in _BUSY:
            raise ProtocolError(f"the bootloader answered {status} where dfuDNBUSY was due")
        if is_late:
            raise TimedOut(f"the bootloader was still busy after {max_ms / 1000:g} s")
        is_late = status.at_ms - since_ms > max_ms
        if not polling.at_once:
            yield Sleep(_nap(status))
        elif nap > 1:
            yield Sleep(nap)
        nap = min(nap * 2, 64)


def _patient_status(stalls: int, timeout_ms: int) -> Script[Status]:
    """GETSTATUS from a ROM that may STALL it so many times in a row while it works."""
    for _ in range(stalls):
        try:
            return (yield from get_status(timeout_ms))
        except Stalled:
            yield Sleep(_STALL_NAP_MS)
    return (yield from get_status(timeout_ms))


def _nap(status: Status) -> int:
    return min(max(status.poll_ms, 1), _LONGEST_NAP_MS)


def set_address(address: int, polling: Polling = AS_TOLD) -> Script[None]:
    """Set the address pointer; ends in dfuDNLOAD-IDLE. Raises `DeviceRefused` for memory it does not know."""
    sent = yield Out(Request.DNLOAD, 0, bytes([Command.SET_ADDRESS]) + address.to_bytes(4, "little"))
    yield from settle(sent.at_ms, COMMAND_MAX_MS, polling)


def erase(address: int, max_ms: int, polling: Polling = AS_TOLD) -> Script[None]:
    """Erase the sector that holds `address`; ends in dfuDNLOAD-IDLE. OK is no proof: read it back."""
    sent = yield Out(Request.DNLOAD, 0, bytes([Command.ERASE]) + address.to_bytes(4, "little"))
    yield from settle(sent.at_ms, max_ms, polling)


def mass_erase(max_ms: int, polling: Polling = AS_TOLD) -> Script[None]:
    """Erase the whole flash; ends in dfuDNLOAD-IDLE. What bwPollTimeout says of it is far too short."""
    sent = yield Out(Request.DNLOAD, 0, bytes([Command.ERASE]))
    yield from settle(sent.at_ms, max_ms, polling)


def erase_with_stuck_busy(address: int, wait_ms: int) -> Script[None]:
    """Erase a sector on a ROM that returns from the erase too early and stays dfuDNBUSY for ever.

    The erase goes on in hardware, and another flash command before its end hangs the chip; so wait the
    longest erase the datasheet allows, and only then leave dfuDNBUSY by the CLRSTATUS pair: the first puts
    the ROM into dfuERROR, the second into dfuIDLE (USB trace in ST:234209; AN2606 table 136). A ROM without
    the fault has ended in dfuDNLOAD-IDLE by then, and nothing is sent. The address pointer does not
    survive. Raises `DeviceRefused` in dfuERROR, `ProtocolError` for any other state where dfuDNBUSY was
    due, and when the pair does not end in dfuIDLE.
    """
    yield Out(Request.DNLOAD, 0, bytes([Command.ERASE]) + address.to_bytes(4, "little"))
    yield from get_status()  # starts the erase
    yield Sleep(wait_ms)
    status = yield from get_status()
    if status.state == State.dfuDNLOAD_IDLE:
        return
    if status.state == State.dfuERROR:
        raise DeviceRefused(f"the bootloader answered {status}", status.code)
    if status.state != State.dfuDNBUSY:
        raise ProtocolError(f"the bootloader answered {status} where dfuDNBUSY was due")
    yield Out(Request.CLRSTATUS)
    status = yield from get_status()
    if status.state == State.dfuERROR:
        yield Out(Request.CLRSTATUS)
        status = yield from get_status()
    if status.state != State.dfuIDLE:
        raise ProtocolError(f"the stuck erase did not clear: {status}")


def write(address: int, data: bytes, pace: Pace) -> Script[None]:
    """Download `data` from `address` on as blocks 2, 3, … behind one address pointer.

    Three control transfers a block: DNLOAD, GETSTATUS (starts the work), GETSTATUS (its result).
    Ends in dfuDNLOAD-IDLE.
    """
    yield from set_address(address, pace.polling)
    for block, chunk in enumerate(_chunks(data, pace.transfer_size), FIRST_BLOCK):
        sent = yield Out(Request.DNLOAD, block, chunk)
        yield from settle(sent.at_ms, pace.write_max_ms, pace.polling)


def set_device_feature(address: int, value: int, pace: Pace) -> Script[bool]:
    """Tell the ROM the supply voltage (AN2606, Device Feature); it programs wider words then.

    From any state. True when it was accepted; a ROM that refuses is idle again and as slow as before.
    The three other bytes of the word stay 0xFF.
    """
    yield from go_to_idle(pace.may_stick)
    try:
        yield from write(address, bytes([value, 0xFF, 0xFF, 0xFF]), pace)
    except (Stalled, DeviceRefused):
        yield from go_to_idle(pace.may_stick)
        return False
    return True


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(
    address: int, length: int, pace: Pace, is_enough: Callable[[bytes], bool] = lambda _block: False
) -> Script[bytes]:
    """Upload `length` bytes from `address` on, or until a block `is_enough`; ends in dfuIDLE.

    From dfuIDLE or dfuDNLOAD-IDLE; `is_enough` is told of each block in its turn. UPLOAD is legal from
    dfuIDLE only, and set-address ends in dfuDNLOAD-IDLE: hence the first ABORT. Raises `ProtocolError` when
    the device sends less than it was asked for.
    """
    yield from set_address(address, pace.polling)
    began = yield Out(Request.ABORT)
    at_ms, spent_ms = began.at_ms, 0.0
    data = bytearray()
    for block, at in enumerate(range(0, length, pace.transfer_size), FIRST_BLOCK):
        wanted = min(pace.transfer_size, length - at)
        answer = yield In(Request.UPLOAD, block, wanted)
        if len(answer.data) != wanted:
            raise ProtocolError(f"UPLOAD gave {len(answer.data)} of {wanted} bytes at 0x{address + at:08X}")
        took_ms, at_ms = answer.at_ms - at_ms, answer.at_ms
        spent_ms += min(took_ms, DOZE_MS)
        if spent_ms > READ_BLOCK_MS * (10 + length // pace.transfer_size):
            raise TimedOut("the bootloader is too slow to be read")
        data += answer.data
        if is_enough(answer.data):
            break
    yield Out(Request.ABORT)
    return bytes(data)


def read_if_allowed(address: int, length: int, pace: Pace) -> Script[bytes | None]:
    """Like `read`, from any state, but a refusal is an answer: None, and the device is idle again."""
    yield from go_to_idle(pace.may_stick)
    try:
        return (yield from read(address, length, pace))
    except (Stalled, DeviceRefused):
        yield from go_to_idle(pace.may_stick)
        return None


def leave(address: int, polling: Polling = AS_TOLD) -> Script[None]:
    """Start the program whose vector table is at `address` (AN3156, Leave DFU mode).

    From the zero-length download on errors say nothing: many ROMs are gone before they answer. Whether
    the application runs is seen by its coming back, not here.
    """
    yield from set_address(address, polling)
    yield from leave_from_the_start()


def leave_from_the_start() -> Script[None]:
    """Leave without setting the address pointer, which begins at the vector table (AN3156)."""
    try:
        yield Out(Request.DNLOAD, 0)
        yield from get_status()
    except WireError:
        return


def detach(timeout_ms: int) -> Script[None]:
    """Ask a running application to become its bootloader (DFU 1.1 section 5.1).

    A device may be gone before it acknowledges. Raises `Stalled` when it refuses.
    """
    try:
        yield Out(Request.DETACH, timeout_ms)
    except Stalled:
        raise
    except WireError:
        return
