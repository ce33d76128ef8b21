"""Each script against a scripted wire: every request byte by byte, and an end to every wait.

A line of a tape is one wish and its answer. Requests are typed as they go over the wire: the setup packet
(bmRequestType bRequest wValue wIndex wLength, little-endian) and, after "|", the data stage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.dfu.scripts import (
    Pace,
    Polling,
    detach,
    drive,
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    leave,
    read,
    read_if_allowed,
    select,
    set_address,
    settle,
    write,
)
from updater.dfu.words import (
    Answer,
    DeviceRefused,
    In,
    Out,
    ProtocolError,
    Script,
    Select,
    Sleep,
    Stalled,
    TimedOut,
    Vanished,
    WireError,
    Wish,
)

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
        value = drive(script, self.perform)
        assert not self.lines, f"the script left out {self.lines}"
        return value

    def perform(self, wish: Wish) -> Answer:
        assert self.lines, f"nothing was expected any more, but: {on_the_wire(wish)}"
        expected, answer = self.lines.pop(0)
        assert on_the_wire(wish) == expected
        self.now_ms += wish.ms if isinstance(wish, Sleep) else self.cost_ms
        if isinstance(answer, WireError):
            raise answer
        return Answer(bytes.fromhex(answer), self.now_ms)


class Endless:
    """Answers every GETSTATUS alike, or by turns, for ever; counts what it was asked."""

    def __init__(self, *statuses: str, cost_ms: float = 0.0) -> None:
        self.statuses = [bytes.fromhex(status) for status in statuses]
        self.now_ms = 0.0
        self.cost_ms = cost_ms
        self.asked = 0

    def perform(self, wish: Wish) -> Answer:
        if isinstance(wish, Sleep):
            self.now_ms += wish.ms
            return Answer(b"", self.now_ms)
        self.now_ms += self.cost_ms
        if isinstance(wish, In):
            self.asked += 1
            assert self.asked < TOO_OFTEN
            return Answer(self.statuses[(self.asked - 1) % len(self.statuses)], self.now_ms)
        return Answer(b"", self.now_ms)


# ------------------------------------------------------------------------------------------ single requests


def test_get_status_asks_for_six_bytes() -> None:
    assert Tape((GETSTATUS, BUSY_1000_MS)).play(get_status()) == (0, 1000, 4, 1_000_000.0)


def test_a_status_of_five_bytes_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="5 bytes instead of 6"):
        Tape((GETSTATUS, "00 00 00 00 02")).play(get_status())


def test_every_transfer_may_take_as_long_as_the_longest_erase() -> None:
    asked: list[Wish] = []

    def perform(wish: Wish) -> Answer:
        asked.append(wish)
        return Answer(bytes.fromhex(DNLOAD_IDLE), 0.0)

    drive(erase(0x0800_0000, 4000), perform)
    assert [wish.timeout_ms for wish in asked if isinstance(wish, Out | In)] == [35_000, 35_000]


def test_select_is_set_interface() -> None:
    Tape(("01 0B 02 00 00 00 00 00", "")).play(select(2))


def test_detach_carries_its_timeout_and_does_not_mind_that_the_device_is_gone() -> None:
    Tape(("21 00 E8 03 00 00 00 00", "")).play(detach(1000))
    Tape(("21 00 E8 03 00 00 00 00", Vanished("gone"))).play(detach(1000))


def test_a_wire_error_that_the_script_does_not_expect_comes_out_of_it() -> None:
    with pytest.raises(Vanished):
        Tape((GETSTATUS, Vanished("gone"))).play(get_status())


# ---------------------------------------------------------------------------------------------- set-address


def test_set_address_is_21_and_the_address_in_little_endian() -> None:
    Tape(
        ("21 01 00 00 00 00 05 00 | 21 78 56 34 12", ""),
        (GETSTATUS, BUSY_100_MS),
        ("sleep 100", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(set_address(0x1234_5678))


def test_where_polling_at_once_is_known_to_be_harmless_nothing_is_slept() -> None:
    Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(set_address(0x0800_0000, Polling(at_once=True)))


def test_a_memory_that_the_rom_does_not_know_is_refused_with_its_code() -> None:
    tape = Tape(
        ("21 01 00 00 00 00 05 00 | 21 E7 F1 1F 00", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, ERR_TARGET),
    )
    with pytest.raises(DeviceRefused, match="dfuERROR, errTARGET") as refused:
        tape.play(set_address(0x001F_F1E7))
    assert refused.value.code == 1


def test_err_vendor_is_read_out_protection() -> None:
    tape = Tape(("21 01 00 00 00 00 05 00 | 21 00 C0 FF 1F", ""), (GETSTATUS, ERR_VENDOR))
    with pytest.raises(DeviceRefused) as refused:
        tape.play(set_address(0x1FFF_C000))
    assert refused.value.code == 11


# --------------------------------------------------------------------------------------------------- settle


def test_settle_waits_as_long_as_it_is_told_each_time() -> None:
    Tape(
        (GETSTATUS, "00 64 00 00 04 00"),
        ("sleep 100", ""),
        (GETSTATUS, "00 05 00 00 03 00"),
        ("sleep 5", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(settle(1_000_000.0, 1000, Polling(at_once=False)))


def test_settle_never_sleeps_more_than_a_second_however_absurd_the_poll_time() -> None:
    Tape(
        (GETSTATUS, "00 FF FF FF 04 00"),
        ("sleep 1000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(settle(1_000_000.0, 4000, Polling(at_once=False)))


def test_polling_at_once_slows_down_up_to_64_ms() -> None:
    naps = [2, 4, 8, 16, 32, 64, 64, 64]
    lines: list[Line] = [(GETSTATUS, BUSY_1000_MS), (GETSTATUS, BUSY_1000_MS)]
    for nap in naps:
        lines += [(f"sleep {nap}", ""), (GETSTATUS, BUSY_1000_MS)]
    lines[-1] = (GETSTATUS, DNLOAD_IDLE)
    Tape(*lines).play(settle(1_000_000.0, 4000, Polling(at_once=True)))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    "busy", ["00 00 00 00 04 00", BUSY_1000_MS, "00 FF FF FF 04 00", "00 00 00 00 03 00"]
)
@pytest.mark.parametrize("cost_ms", [0.0, 1.0])
def test_a_device_that_is_busy_for_ever_is_given_up_after_the_ceiling(
    busy: str, cost_ms: float, at_once: bool
) -> None:
    wire = Endless(busy, cost_ms=cost_ms)
    with pytest.raises(TimedOut, match=r"^the bootloader was still busy after 4 s$"):
        drive(settle(0.0, 4000, Polling(at_once=at_once)), wire.perform)
    assert 4000 < wire.now_ms <= 6010
    assert wire.asked <= 4010


def test_a_rom_that_works_first_and_answers_then_is_asked_once_more_behind_the_ceiling() -> None:
    """It keeps GETSTATUS waiting until the erase is done, says dfuDNBUSY, and is done."""
    wire = Endless(BUSY_1000_MS, DNLOAD_IDLE, cost_ms=4500)
    drive(erase(0x0800_0000, 4000, Polling(at_once=True)), wire.perform)
    assert wire.asked == 2


def test_a_pc_that_dozes_for_a_second_in_a_write_does_not_break_the_update_off() -> None:
    tape = Tape(
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
        cost_ms=1000,
    )
    tape.play(settle(1_000_000.0, 100, Polling(at_once=False)))


def test_settle_gives_a_dfu_error_with_its_code_at_once() -> None:
    with pytest.raises(DeviceRefused, match="errUNKNOWN") as refused:
        Tape((GETSTATUS, ERR_UNKNOWN)).play(settle(0.0, 4000, Polling(at_once=False)))
    assert refused.value.code == 14


@pytest.mark.parametrize("state", [0, 1, 2, 6, 7, 8, 9, 11, 15, 255])
def test_settle_accepts_no_other_state(state: int) -> None:
    with pytest.raises(ProtocolError, match="where dfuDNBUSY was due"):
        Tape((GETSTATUS, f"00 00 00 00 {state:02X} 00")).play(settle(0.0, 4000, Polling(at_once=False)))


def test_a_stalled_poll_is_a_stall() -> None:
    with pytest.raises(Stalled):
        Tape((GETSTATUS, STALL)).play(settle(0.0, 4000, Polling(at_once=False)))


# ----------------------------------------------------------------------------------------------- go_to_idle


@pytest.mark.parametrize(
    ("state", "between"),
    [
        ("02", []),
        ("03", [("sleep 1", "")]),
        ("04", [("sleep 1", "")]),
        ("05", [(ABORT, "")]),
        ("06", [("sleep 1", "")]),
        ("07", [("sleep 1", "")]),
        ("09", [(ABORT, "")]),
        ("0A", [(CLRSTATUS, "")]),
        ("0F", [(CLRSTATUS, "")]),
    ],
)
def test_from_every_state_the_lawful_request_leads_to_idle(state: str, between: list[Line]) -> None:
    lines: list[Line] = [(GETSTATUS, f"00 00 00 00 {state} 00"), *between, (GETSTATUS, IDLE)]
    Tape(*(lines if between else lines[:1])).play(go_to_idle())


@pytest.mark.parametrize(
    ("state", "words"),
    [("00", "runs its application"), ("01", "runs its application"), ("08", "to be reset")],
)
def test_from_the_other_states_no_request_leads_to_idle_and_none_is_sent(state: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Tape((GETSTATUS, f"00 00 00 00 {state} 00")).play(go_to_idle())


def test_state_15_of_sts_library_needs_the_pair() -> None:
    Tape(
        (GETSTATUS, "00 00 00 00 0F 00"),
        (CLRSTATUS, ""),
        (GETSTATUS, ERR_UNKNOWN),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).play(go_to_idle())


def test_an_operation_of_an_earlier_session_is_waited_for_but_not_for_ever() -> None:
    wire = Endless(BUSY_1000_MS)
    with pytest.raises(TimedOut, match=r"did not become idle \(dfuDNBUSY, OK\)"):
        drive(go_to_idle(), wire.perform)
    assert 45_000 < wire.now_ms <= 46_000


@pytest.mark.parametrize(
    "statuses", [(ERR_UNKNOWN,), (DNLOAD_IDLE,), (UPLOAD_IDLE, ERR_UNKNOWN), ("00 00 00 00 0F 00",)]
)
def test_a_device_that_cannot_be_pushed_to_idle_is_given_up_after_a_few_pushes(
    statuses: tuple[str, ...],
) -> None:
    wire = Endless(*statuses)
    with pytest.raises(TimedOut):
        drive(go_to_idle(), wire.perform)
    assert wire.asked == 9


# ---------------------------------------------------------------------------------------------------- erase


def test_erase_is_41_and_an_address_of_the_sector() -> None:
    Tape(
        ("21 01 00 00 00 00 05 00 | 41 00 00 0E 08", ""),
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 1000", ""),
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 1000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(erase(0x080E_0000, 4000))


def test_an_erase_that_fails_is_refused_with_its_code() -> None:
    with pytest.raises(DeviceRefused, match="errERASE"):
        Tape(
            ("21 01 00 00 00 00 05 00 | 41 00 00 00 08", ""),
            (GETSTATUS, BUSY_1_MS),
            ("sleep 1", ""),
            (GETSTATUS, "04 00 00 00 0A 00"),
        ).play(erase(0x0800_0000, 4000))


def test_an_erase_that_never_ends_is_given_up_after_its_own_ceiling() -> None:
    wire = Endless("00 00 00 00 04 00")
    with pytest.raises(TimedOut, match=r"after 2\.5 s"):
        drive(erase(0x0800_0000, 2500), wire.perform)
    assert wire.now_ms <= 3502


ERASE_BANK_2: Line = ("21 01 00 00 00 00 05 00 | 41 00 00 10 08", "")


def test_the_stuck_erase_is_left_as_in_the_usb_trace() -> None:
    """ST:234209: dfuDNBUSY, the wait, CLRSTATUS -> (14, 10), CLRSTATUS -> (0, 2)."""
    Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, BUSY_1000_MS),
        (CLRSTATUS, ""),
        (GETSTATUS, ERR_UNKNOWN),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).play(erase_with_stuck_busy(0x0810_0000, 4000))


def test_a_rom_without_the_fault_is_sent_no_clrstatus() -> None:
    Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(erase_with_stuck_busy(0x0810_0000, 4000))


def test_a_rom_that_is_idle_after_the_first_clrstatus_is_not_sent_another() -> None:
    Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, BUSY_1000_MS),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).play(erase_with_stuck_busy(0x0810_0000, 4000))


def test_a_stuck_erase_that_the_pair_does_not_clear_is_an_error() -> None:
    with pytest.raises(ProtocolError, match=r"did not clear: dfuERROR, errUNKNOWN"):
        Tape(
            ERASE_BANK_2,
            (GETSTATUS, BUSY_1000_MS),
            ("sleep 4000", ""),
            (GETSTATUS, BUSY_1000_MS),
            (CLRSTATUS, ""),
            (GETSTATUS, ERR_UNKNOWN),
            (CLRSTATUS, ""),
            (GETSTATUS, ERR_UNKNOWN),
        ).play(erase_with_stuck_busy(0x0810_0000, 4000))


def test_an_erase_that_was_refused_is_not_taken_for_a_stuck_one() -> None:
    with pytest.raises(DeviceRefused, match="errTARGET"):
        Tape(
            ERASE_BANK_2,
            (GETSTATUS, BUSY_1_MS),
            ("sleep 4000", ""),
            (GETSTATUS, ERR_TARGET),
        ).play(erase_with_stuck_busy(0x0810_0000, 4000))


@pytest.mark.parametrize("state", [0, 1, 2, 3, 6, 7, 8, 9, 15])
def test_after_the_wait_nothing_but_busy_or_done_is_accepted(state: int) -> None:
    with pytest.raises(ProtocolError, match="where dfuDNBUSY was due"):
        Tape(
            ERASE_BANK_2,
            (GETSTATUS, BUSY_1000_MS),
            ("sleep 4000", ""),
            (GETSTATUS, f"00 00 00 00 {state:02X} 00"),
        ).play(erase_with_stuck_busy(0x0810_0000, 4000))


# ---------------------------------------------------------------------------------------------------- write


def test_blocks_are_written_from_2_on_and_only_the_last_is_short() -> None:
    Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 40 00 08", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 02 00 00 00 04 00 | 00 01 02 03", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 03 00 00 00 04 00 | 04 05 06 07", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 04 00 00 00 02 00 | 08 09", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(write(0x0800_4000, bytes(range(10)), SMALL))


def test_a_block_costs_three_transfers_and_no_sleep_where_polling_at_once_is_harmless() -> None:
    Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 02 00 00 00 04 00 | AA BB CC DD", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
    ).play(write(0x0800_0000, bytes.fromhex("AABBCCDD"), EARLY))


def test_block_numbers_go_on_above_255() -> None:
    blocks: list[int] = []

    def perform(wish: Wish) -> Answer:
        if isinstance(wish, Out) and wish.value:
            blocks.append(wish.value)
        return Answer(bytes.fromhex(DNLOAD_IDLE), 0.0)

    drive(write(0x0800_0000, bytes(4 * 300), SMALL), perform)
    assert blocks == list(range(2, 302))


def test_a_write_stops_at_the_first_block_that_fails() -> None:
    tape = Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 02 00 00 00 04 00 | 00 00 00 00", ""),
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, "06 00 00 00 0A 00"),
    )
    with pytest.raises(DeviceRefused, match="errPROG"):
        tape.play(write(0x0800_0000, bytes(12), EARLY))


def test_a_block_has_the_ceiling_of_the_pace() -> None:
    wire = Endless(DNLOAD_IDLE, "00 00 00 00 04 00", "00 00 00 00 04 00")
    wire.statuses += [bytes.fromhex("000000000400")] * 1000
    with pytest.raises(TimedOut, match=r"after 0\.1 s"):
        drive(write(0x0800_0000, bytes(4), SMALL), wire.perform)
    assert 100 < wire.now_ms < 110


# ----------------------------------------------------------------------------------------------------- read


def test_an_upload_follows_an_abort_and_ends_with_one() -> None:
    data = Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_1_MS),
        ("sleep 1", ""),
        (GETSTATUS, DNLOAD_IDLE),
        (ABORT, ""),
        ("A1 02 02 00 00 00 04 00", "00 01 02 03"),
        ("A1 02 03 00 00 00 04 00", "04 05 06 07"),
        ("A1 02 04 00 00 00 02 00", "08 09"),
        (ABORT, ""),
    ).play(read(0x0800_0000, 10, SMALL))
    assert data == bytes(range(10))


def test_an_upload_that_gives_less_than_asked_is_a_protocol_error_with_its_address() -> None:
    tape = Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, DNLOAD_IDLE),
        (ABORT, ""),
        ("A1 02 02 00 00 00 04 00", "00 01 02 03"),
        ("A1 02 03 00 00 00 04 00", "04 05"),
    )
    with pytest.raises(ProtocolError, match="UPLOAD gave 2 of 4 bytes at 0x08000004"):
        tape.play(read(0x0800_0000, 8, SMALL))


def test_a_memory_that_may_be_read_is_read_from_any_state() -> None:
    data = Tape(
        (GETSTATUS, UPLOAD_IDLE),
        (ABORT, ""),
        (GETSTATUS, IDLE),
        ("21 01 00 00 00 00 05 00 | 21 FC E7 F1 1F", ""),
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, DNLOAD_IDLE),
        (ABORT, ""),
        ("A1 02 02 00 00 00 04 00", "FF FF 91 FF"),
        (ABORT, ""),
    ).play(read_if_allowed(0x1FF1_E7FC, 4, EARLY))
    assert data == b"\xff\xff\x91\xff"


def test_an_upload_that_is_stalled_is_no_answer_and_the_device_is_idle_again() -> None:
    data = Tape(
        (GETSTATUS, IDLE),
        ("21 01 00 00 00 00 05 00 | 21 FC E7 F1 1F", ""),
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, DNLOAD_IDLE),
        (ABORT, ""),
        ("A1 02 02 00 00 00 04 00", STALL),
        (GETSTATUS, ERR_VENDOR),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).play(read_if_allowed(0x1FF1_E7FC, 4, EARLY))
    assert data is None


def test_an_address_that_is_refused_is_no_answer_and_the_device_is_idle_again() -> None:
    data = Tape(
        (GETSTATUS, IDLE),
        ("21 01 00 00 00 00 05 00 | 21 FC E7 F1 1F", ""),
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, ERR_TARGET),
        (GETSTATUS, ERR_TARGET),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).play(read_if_allowed(0x1FF1_E7FC, 4, EARLY))
    assert data is None


# ---------------------------------------------------------------------------------------------------- leave

LEAVE: tuple[Line, ...] = (
    ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
    (GETSTATUS, BUSY_1_MS),
    ("sleep 1", ""),
    (GETSTATUS, DNLOAD_IDLE),
)


def test_leave_sets_the_vector_table_and_downloads_nothing() -> None:
    Tape(*LEAVE, ("21 01 00 00 00 00 00 00", ""), (GETSTATUS, "00 01 00 00 07 00")).play(leave(0x0800_0000))


@pytest.mark.parametrize("error", [STALL, Vanished("gone"), TimedOut("late")])
def test_a_device_that_is_gone_before_it_answers_has_left(error: WireError) -> None:
    Tape(*LEAVE, ("21 01 00 00 00 00 00 00", error)).play(leave(0x0800_0000))
    Tape(*LEAVE, ("21 01 00 00 00 00 00 00", ""), (GETSTATUS, error)).play(leave(0x0800_0000))


def test_what_goes_wrong_before_the_jump_is_not_hidden() -> None:
    with pytest.raises(Vanished):
        Tape((LEAVE[0][0], Vanished("gone"))).play(leave(0x0800_0000))


# ----------------------------------------------------------------------------------- no wait without an end

DATA = bytes(range(16))
SCRIPTS: dict[str, Callable[[], Script[Any]]] = {
    "get_status": get_status,
    "select": lambda: select(1),
    "go_to_idle": go_to_idle,
    "set_address": lambda: set_address(0x0800_0000),
    "set_address at once": lambda: set_address(0x0800_0000, Polling(at_once=True)),
    "erase": lambda: erase(0x0800_0000, 4000),
    "erase at once": lambda: erase(0x0800_0000, 4000, Polling(at_once=True)),
    "erase_with_stuck_busy": lambda: erase_with_stuck_busy(0x0810_0000, 4000),
    "write": lambda: write(0x0800_0000, DATA, SMALL),
    "write at once": lambda: write(0x0800_0000, DATA, EARLY),
    "read": lambda: read(0x0800_0000, 16, SMALL),
    "read_if_allowed": lambda: read_if_allowed(0x0800_0000, 16, SMALL),
    "leave": lambda: leave(0x0800_0000),
    "detach": lambda: detach(1000),
}

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


@pytest.mark.parametrize("name", SCRIPTS)
@given(answers=st.lists(answers, min_size=1, max_size=12), cost_ms=st.sampled_from([0.0, 1.0, 50.0]))
def test_every_script_ends_whatever_the_device_answers(
    name: str, answers: list[bytes | None], cost_ms: float
) -> None:
    wire = Whimsical(answers, cost_ms)
    with suppress(WireError):
        drive(SCRIPTS[name](), wire.perform)
    assert wire.now_ms <= 100_000
