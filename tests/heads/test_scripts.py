"""Each script against a scripted wire, request by request: commands, writing, reading, leaving."""

from __future__ import annotations

import pytest

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
)
from updater.heads.dfu.scripts import (
    Polling,
    detach,
    drive,
    erase,
    get_status,
    leave,
    read,
    read_if_allowed,
    select,
    set_address,
    set_device_feature,
    write,
)
from updater.heads.dfu.words import (
    Answer,
    DeviceRefused,
    In,
    Out,
    ProtocolError,
    TimedOut,
    Vanished,
    WireError,
    Wish,
)

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
    assert Tape(("01 0B 02 00 00 00 00 00", "")).fits(select(2))


def test_detach_carries_its_timeout_and_does_not_mind_that_the_device_is_gone() -> None:
    assert Tape(("21 00 E8 03 00 00 00 00", "")).fits(detach(1000))
    assert Tape(("21 00 E8 03 00 00 00 00", Vanished("gone"))).fits(detach(1000))


def test_a_wire_error_that_the_script_does_not_expect_comes_out_of_it() -> None:
    with pytest.raises(Vanished):
        Tape((GETSTATUS, Vanished("gone"))).play(get_status())


# ---------------------------------------------------------------------------------------------- set-address


def test_set_address_is_21_and_the_address_in_little_endian() -> None:
    assert Tape(
        ("21 01 00 00 00 00 05 00 | 21 78 56 34 12", ""),
        (GETSTATUS, BUSY_100_MS),
        ("sleep 100", ""),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(set_address(0x1234_5678))


def test_where_polling_at_once_is_known_to_be_harmless_nothing_is_slept() -> None:
    assert Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(set_address(0x0800_0000, Polling(at_once=True)))


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


# ---------------------------------------------------------------------------------------------------- write


def test_blocks_are_written_from_2_on_and_only_the_last_is_short() -> None:
    assert Tape(
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
    ).fits(write(0x0800_4000, bytes(range(10)), SMALL))


def test_a_block_costs_three_transfers_and_no_sleep_where_polling_at_once_is_harmless() -> None:
    assert Tape(
        ("21 01 00 00 00 00 05 00 | 21 00 00 00 08", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
        ("21 01 02 00 00 00 04 00 | AA BB CC DD", ""),
        (GETSTATUS, BUSY_100_MS),
        (GETSTATUS, DNLOAD_IDLE),
    ).fits(write(0x0800_0000, bytes.fromhex("AABBCCDD"), EARLY))


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
    assert Tape(*LEAVE, ("21 01 00 00 00 00 00 00", ""), (GETSTATUS, "00 01 00 00 07 00")).fits(
        leave(0x0800_0000)
    )


@pytest.mark.parametrize("error", [STALL, Vanished("gone"), TimedOut("late")])
def test_a_device_that_is_gone_before_it_answers_has_left(error: WireError) -> None:
    assert Tape(*LEAVE, ("21 01 00 00 00 00 00 00", error)).fits(leave(0x0800_0000))
    assert Tape(*LEAVE, ("21 01 00 00 00 00 00 00", ""), (GETSTATUS, error)).fits(leave(0x0800_0000))


def test_what_goes_wrong_before_the_jump_is_not_hidden() -> None:
    with pytest.raises(Vanished):
        Tape((LEAVE[0][0], Vanished("gone"))).play(leave(0x0800_0000))


# ------------------------------------------------------------------------------------------- device feature

FEATURE: tuple[Line, ...] = (
    (GETSTATUS, IDLE),
    ("21 01 00 00 00 00 05 00 | 21 00 00 FF FF", ""),
    (GETSTATUS, BUSY_1_MS),
    (GETSTATUS, DNLOAD_IDLE),
    ("21 01 02 00 00 00 04 00 | 03 FF FF FF", ""),
)
"""AN2606, Device Feature: byte 0 at 0xFFFF0000 says the supply voltage, the other three stay 0xFF."""


def test_the_supply_voltage_is_one_word_of_which_three_bytes_stay_as_they_are() -> None:
    tape = Tape(*FEATURE, (GETSTATUS, BUSY_1_MS), (GETSTATUS, DNLOAD_IDLE))
    assert tape.play(set_device_feature(0xFFFF_0000, 3, EARLY)) is True


@pytest.mark.parametrize(
    ("state", "push"), [("05", ABORT), ("09", ABORT), ("0A", CLRSTATUS)], ids=["5", "9", "10"]
)
def test_it_is_told_from_any_state(state: str, push: str) -> None:
    tape = Tape(
        (GETSTATUS, f"00 00 00 00 {state} 00"),
        (push, ""),
        *FEATURE,
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, DNLOAD_IDLE),
    )
    assert tape.play(set_device_feature(0xFFFF_0000, 3, EARLY)) is True


@pytest.mark.parametrize("answer", [ERR_TARGET, ERR_VENDOR])
def test_a_rom_that_does_not_know_that_address_is_idle_again_and_as_slow_as_before(answer: str) -> None:
    tape = Tape(
        *FEATURE[:3],
        (GETSTATUS, answer),
        (GETSTATUS, answer),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    )
    assert tape.play(set_device_feature(0xFFFF_0000, 3, EARLY)) is False


def test_a_rom_that_refuses_the_word_is_idle_again() -> None:
    tape = Tape(
        *FEATURE,
        (GETSTATUS, BUSY_1_MS),
        (GETSTATUS, ERR_VENDOR),
        (GETSTATUS, ERR_VENDOR),
        (CLRSTATUS, ""),
        (GETSTATUS, IDLE),
    )
    assert tape.play(set_device_feature(0xFFFF_0000, 3, EARLY)) is False


def test_a_rom_that_stalls_the_word_is_idle_again() -> None:
    tape = Tape(
        *FEATURE[:-1], (FEATURE[-1][0], STALL), (GETSTATUS, ERR_UNKNOWN), (CLRSTATUS, ""), (GETSTATUS, IDLE)
    )
    assert tape.play(set_device_feature(0xFFFF_0000, 3, EARLY)) is False


def test_a_device_that_is_gone_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(Vanished):
        Tape(*FEATURE[:-1], (FEATURE[-1][0], Vanished("gone"))).play(
            set_device_feature(0xFFFF_0000, 3, EARLY)
        )
