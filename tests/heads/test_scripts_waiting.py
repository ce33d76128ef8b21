"""How scripts wait: as told or at once, through stalls and lies, and never without an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.heads.wire_kit import (
    ABORT,
    BUSY_1_MS,
    BUSY_100_MS,
    BUSY_1000_MS,
    CLRSTATUS,
    DNLOAD_IDLE,
    EARLY,
    ERR_TARGET,
    ERR_UNKNOWN,
    ERR_VENDOR,
    GETSTATUS,
    IDLE,
    SMALL,
    STALL,
    UPLOAD_IDLE,
    Endless,
    Line,
    Tape,
    Whimsical,
    answers,
)
from updater.heads.dfu.scripts import (
    Polling,
    detach,
    drive,
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    leave,
    mass_erase,
    read,
    read_if_allowed,
    select,
    set_address,
    set_device_feature,
    settle,
    write,
)
from updater.heads.dfu.words import (
    Answer,
    DeviceRefused,
    In,
    ProtocolError,
    Script,
    Stalled,
    TimedOut,
    WireError,
    Wish,
)

# --------------------------------------------------------------------------------------------------- settle


def test_settle_waits_as_long_as_it_is_told_each_time() -> None:
    assert Tape(
        (GETSTATUS, "00 64 00 00 04 00"),
        ("sleep 100", ""),
        (GETSTATUS, "00 05 00 00 03 00"),
        ("sleep 5", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(settle(1_000_000.0, 1000, Polling(at_once=False)))


def test_settle_never_sleeps_more_than_a_second_however_absurd_the_poll_time() -> None:
    assert Tape(
        (GETSTATUS, "00 FF FF FF 04 00"),
        ("sleep 1000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(settle(1_000_000.0, 4000, Polling(at_once=False)))


def test_polling_at_once_slows_down_up_to_64_ms() -> None:
    naps = [2, 4, 8, 16, 32, 64, 64, 64]
    lines: list[Line] = [(GETSTATUS, BUSY_1000_MS), (GETSTATUS, BUSY_1000_MS)]
    for nap in naps:
        lines += [(f"sleep {nap}", ""), (GETSTATUS, BUSY_1000_MS)]
    lines[-1] = (GETSTATUS, DNLOAD_IDLE)
    assert Tape(*lines).fits(settle(1_000_000.0, 4000, Polling(at_once=True)))


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
    assert tape.fits(settle(1_000_000.0, 100, Polling(at_once=False)))


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


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_as_many_stalled_polls_in_a_row_as_a_row_allows_are_asked_again(allowed: int) -> None:
    """dfu-util does so for the L4, three times, with a pause."""
    stalled: list[Line] = [(GETSTATUS, STALL), ("sleep 10", "")] * allowed
    assert Tape(*stalled, (GETSTATUS, DNLOAD_IDLE)).fits(settle(1_000_000.0, 4000, Polling(stalls=allowed)))
    with pytest.raises(Stalled):
        Tape(*stalled, (GETSTATUS, STALL)).play(settle(1_000_000.0, 4000, Polling(stalls=allowed)))


def test_stalled_polls_are_counted_anew_behind_every_answer() -> None:
    """Two stalls, dfuDNBUSY, two stalls more: never three in a row."""
    two: list[Line] = [(GETSTATUS, STALL), ("sleep 10", "")] * 2
    assert Tape(*two, (GETSTATUS, BUSY_1_MS), ("sleep 1", ""), *two, (GETSTATUS, DNLOAD_IDLE)).fits(
        settle(1_000_000.0, 4000, Polling(stalls=2))
    )


@pytest.mark.parametrize("state", [15, 77, 255])
@pytest.mark.parametrize("polling", [Polling(), Polling(at_once=True), Polling(stalls=3)])
def test_a_state_that_no_standard_knows_ends_the_wait_at_once(state: int, polling: Polling) -> None:
    with pytest.raises(ProtocolError, match=f"State {state}"):
        Tape((GETSTATUS, f"00 00 00 00 {state:02X} 00")).play(settle(0.0, 4000, polling))


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
    assert Tape(*(lines if between else lines[:1])).fits(go_to_idle())


@pytest.mark.parametrize(
    ("state", "words"),
    [("00", "runs its application"), ("01", "runs its application"), ("08", "to be reset")],
)
def test_from_the_other_states_no_request_leads_to_idle_and_none_is_sent(state: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Tape((GETSTATUS, f"00 00 00 00 {state} 00")).play(go_to_idle())


def test_state_15_of_sts_library_needs_the_pair() -> None:
    assert Tape(
        (GETSTATUS, "00 00 00 00 0F 00"),
        (CLRSTATUS, ""),
        (GETSTATUS, ERR_UNKNOWN),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).fits(go_to_idle())


def test_an_operation_of_an_earlier_session_is_waited_for_but_not_for_ever() -> None:
    wire = Endless(BUSY_1000_MS)
    with pytest.raises(TimedOut, match=r"did not become idle \(dfuDNBUSY, OK\)"):
        drive(go_to_idle(), wire.perform)
    assert 45_000 < wire.now_ms <= 46_000


@pytest.mark.parametrize("may_stick", [False, True])
def test_an_hour_that_the_pc_slept_is_no_hour_in_which_the_device_was_busy(may_stick: bool) -> None:
    """Another tool's erase goes on where it was: it is neither given up nor taken for one that is stuck."""
    busy: list[Line] = [(GETSTATUS, BUSY_1000_MS), ("sleep 1000", "")] * 3
    assert Tape(*busy, (GETSTATUS, IDLE), cost_ms=HOUR_MS).fits(go_to_idle(may_stick))


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
    assert Tape(
        ("21 01 00 00 00 00 05 00 | 41 00 00 0E 08", ""),
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 1000", ""),
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 1000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(erase(0x080E_0000, 4000))


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


# ----------------------------------------------------------------------------------------------- mass erase


def test_mass_erase_is_41_alone() -> None:
    assert Tape(
        ("21 01 00 00 00 00 01 00 | 41", ""),
        (GETSTATUS, BUSY_100_MS),
        ("sleep 100", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(mass_erase(32_000))


@pytest.mark.parametrize(
    ("polling", "asked"), [(Polling(), 320), (Polling(at_once=True), 510)], ids=["as told", "at once"]
)
def test_a_mass_erase_that_reports_100_ms_and_takes_32_s_is_waited_for(polling: Polling, asked: int) -> None:
    """dfu-util dfuse.c: the F405 lies about it."""
    wire = Endless(BUSY_100_MS, ends_after_ms=32_000, cost_ms=1.0)
    drive(mass_erase(32_000, polling), wire.perform)
    assert 32_000 <= wire.now_ms < 32_200
    assert wire.asked <= asked


@pytest.mark.parametrize("busy", ["00 00 00 00 04 00", BUSY_1_MS, BUSY_1000_MS, "00 FF FF FF 04 00"])
@pytest.mark.parametrize("polling", [Polling(), Polling(at_once=True), Polling(stalls=3)])
def test_a_mass_erase_that_never_ends_is_given_up_behind_its_own_ceiling(busy: str, polling: Polling) -> None:
    wire = Endless(busy, cost_ms=1.0)
    with pytest.raises(TimedOut, match=r"^the bootloader was still busy after 32 s$"):
        drive(mass_erase(32_000, polling), wire.perform)
    assert 32_000 < wire.now_ms <= 34_010


def test_a_getstatus_that_keeps_the_host_waiting_may_take_as_long_as_the_erase() -> None:
    """Some ROMs hold the answer back until the flash is done; 35 s are enough for a sector, not for all."""
    asked: list[Wish] = []

    def perform(wish: Wish) -> Answer:
        asked.append(wish)
        return Answer(bytes.fromhex(DNLOAD_IDLE), 0.0)

    drive(mass_erase(64_000), perform)
    drive(erase(0x0800_0000, 4000), perform)
    assert [wish.timeout_ms for wish in asked if isinstance(wish, In)] == [64_000, 35_000]


def test_a_mass_erase_that_fails_is_refused_with_its_code() -> None:
    with pytest.raises(DeviceRefused) as refused:
        Tape(
            ("21 01 00 00 00 00 01 00 | 41", ""),
            (GETSTATUS, BUSY_1_MS),
            ("sleep 1", ""),
            (GETSTATUS, ERR_VENDOR),
        ).play(mass_erase(32_000))
    assert refused.value.code == 11


# ---------------------------------------------------------------------------------------- the stuck erase

ERASE_BANK_2: Line = ("21 01 00 00 00 00 05 00 | 41 00 00 10 08", "")


def test_the_stuck_erase_is_left_as_in_the_usb_trace() -> None:
    """ST:234209: dfuDNBUSY, the wait, CLRSTATUS -> (14, 10), CLRSTATUS -> (0, 2)."""
    assert Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, BUSY_1000_MS),
        (CLRSTATUS, ""),
        (GETSTATUS, ERR_UNKNOWN),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).fits(erase_with_stuck_busy(0x0810_0000, 4000))


def test_a_rom_without_the_fault_is_sent_no_clrstatus() -> None:
    assert Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(erase_with_stuck_busy(0x0810_0000, 4000))


def test_a_rom_that_is_idle_after_the_first_clrstatus_is_not_sent_another() -> None:
    assert Tape(
        ERASE_BANK_2,
        (GETSTATUS, BUSY_1000_MS),
        ("sleep 4000", ""),
        (GETSTATUS, BUSY_1000_MS),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    ).fits(erase_with_stuck_busy(0x0810_0000, 4000))


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


class Reading:
    """A device whose n-th block of an UPLOAD takes as long as the list says; every block is zeros."""

    def __init__(self, *block_ms: float) -> None:
        self.block_ms, self.now_ms = list(block_ms), 0.0

    def perform(self, wish: Wish) -> Answer:
        if isinstance(wish, In) and wish.length == 6:
            return Answer(bytes.fromhex(DNLOAD_IDLE), self.now_ms)
        if isinstance(wish, In):
            self.now_ms += self.block_ms.pop(0)
            return Answer(bytes(wish.length), self.now_ms)
        return Answer(b"", self.now_ms)


HOUR_MS = 3_600_000.0


@pytest.mark.parametrize("slept", range(4))
@pytest.mark.parametrize("ms", [20_000.0, HOUR_MS])
def test_a_computer_that_sleeps_while_it_reads_goes_on_reading(slept: int, ms: float) -> None:
    blocks = [5.0] * 4
    blocks[slept] = ms
    assert drive(read(0x0800_0000, 16, SMALL), Reading(*blocks).perform) == bytes(16)


def test_a_device_that_is_slow_at_every_block_is_given_up() -> None:
    """40 blocks may take 500 x (10 + 40) ms; after 25 s the next one of 1 s is one too many."""
    device = Reading(*[1_000.0] * 40)
    with pytest.raises(TimedOut, match="too slow to be read"):
        drive(read(0x0800_0000, 160, SMALL), device.perform)
    assert device.now_ms == 26_000


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
    "erase through stalls": lambda: erase(0x0800_0000, 4000, Polling(stalls=3)),
    "mass_erase": lambda: mass_erase(32_000),
    "mass_erase at once": lambda: mass_erase(32_000, Polling(at_once=True)),
    "set_device_feature": lambda: set_device_feature(0xFFFF_0000, 3, SMALL),
    "erase_with_stuck_busy": lambda: erase_with_stuck_busy(0x0810_0000, 4000),
    "write": lambda: write(0x0800_0000, DATA, SMALL),
    "write at once": lambda: write(0x0800_0000, DATA, EARLY),
    "read": lambda: read(0x0800_0000, 16, SMALL),
    "read_if_allowed": lambda: read_if_allowed(0x0800_0000, 16, SMALL),
    "leave": lambda: leave(0x0800_0000),
    "detach": lambda: detach(1000),
}


@pytest.mark.parametrize("name", SCRIPTS)
@settings(deadline=None, max_examples=30)
@given(answers=st.lists(answers, min_size=1, max_size=12), cost_ms=st.sampled_from([0.0, 1.0, 50.0]))
def test_every_script_ends_whatever_the_device_answers(
    name: str, answers: list[bytes | None], cost_ms: float
) -> None:
    wire = Whimsical(answers, cost_ms)
    with suppress(WireError):
        drive(SCRIPTS[name](), wire.perform)
    assert wire.now_ms <= 100_000
