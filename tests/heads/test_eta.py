"""The forecast of one update: typical times first, measured ones as soon as there are some."""

from __future__ import annotations

import pytest

from updater.heads.eta import LOOK_BYTES, Forecast, Kind, Load, Typical, left_in_words

KIB = 1024
TYPICAL = Typical(
    erase_ms={16 * KIB: 400, 128 * KIB: 2_000},
    program_ms_per_kib=16.0,
    upload_ms_per_kib=None,
    block=2 * KIB,
    ready_ms=270,
)
READ_16 = 5 + 8 + 16
"""Five transfers around eight blocks, and a ms for each KiB."""
READ_4 = 5 + 2 + 4
WRITE_16 = 3 + 3 * 8 + 16 + 16 * 16
START_MS = 260


def load(size: int = 16 * KIB, **changes: float) -> Load:
    values = {"erase_ms": TYPICAL.erase(size), "proof": size, "write": size} | changes
    return Load(size=size, **values)  # type: ignore[arg-type]  # ms may be broken, sizes are whole here


ONE = 400 + READ_16 + WRITE_16 + READ_16
"""Erase, prove, write, read back 16 KiB."""


def decided(*loads: Load) -> Forecast:
    forecast = Forecast(TYPICAL, loads, enters=False)
    forecast.decided(loads)
    return forecast


def test_before_anything_was_measured_the_rows_times_are_summed() -> None:
    forecast = Forecast(TYPICAL, [load(), load()], enters=True)
    assert forecast.remaining_ms(0) == 270 + 2 * READ_4 + 2 * ONE + START_MS
    forecast.entered()
    assert forecast.remaining_ms(270) == 2 * READ_4 + 2 * ONE + START_MS


def test_nothing_to_do_leaves_the_start_of_the_application() -> None:
    assert decided().remaining_ms(0) == START_MS


def test_an_erase_counts_down_while_it_lasts_and_never_below_its_end() -> None:
    forecast = decided(load())
    forecast.begin(Kind.ERASE, 0, 1_000, 400)
    assert forecast.remaining_ms(1_000) == START_MS + ONE
    assert forecast.remaining_ms(1_300) == START_MS + ONE - 300
    assert forecast.remaining_ms(9_000) == START_MS + ONE - 400


def test_an_erase_that_took_twice_as_long_is_expected_again() -> None:
    forecast = decided(load(), load())
    forecast.begin(Kind.ERASE, 0, 0, 400)
    forecast.end(800)
    assert forecast.remaining_ms(800) == START_MS + 2 * (ONE - 400) + 800


def test_a_larger_erase_is_not_quite_taken_for_as_slow_as_a_small_one() -> None:
    """A poll that comes late makes a small one look slow."""
    forecast = decided(load(), load(128 * KIB))
    forecast.begin(Kind.ERASE, 0, 0, 400)
    forecast.end(800)
    assert 2_000 < forecast.expected_ms(Kind.ERASE, 2_000) < 4_000
    assert forecast.expected_ms(Kind.ERASE, 400) == 800


def test_a_wait_is_what_it_is_however_slow_the_device() -> None:
    forecast = decided(load(erase_ms=4_000, waits=True), load())
    forecast.begin(Kind.ERASE, 0, 0, 400)
    forecast.end(1_200)
    forecast.begin(Kind.WAIT, 0, 1_200, 4_000)
    before = forecast.remaining_ms(1_200)
    forecast.end(5_200)
    assert before - forecast.remaining_ms(5_200) == 4_000


def test_blocks_that_take_twice_as_long_double_what_is_left_of_the_writing() -> None:
    forecast = decided(load(erase_ms=0, proof=0), load(erase_ms=0, proof=0))
    forecast.begin(Kind.WRITE, 16 * KIB, 0)
    for block in range(8):
        forecast.moved(2 * KIB, block * 2 * WRITE_16 / 8)
    forecast.end(2 * WRITE_16)
    reads = 2 * READ_16
    assert forecast.remaining_ms(2 * WRITE_16) == pytest.approx(START_MS + reads + 2 * WRITE_16, rel=0.05)


def test_while_it_is_compared_what_is_unread_is_taken_to_be_like_the_rest() -> None:
    forecast = Forecast(TYPICAL, [load() for _ in range(4)], enters=False)
    forecast.looked(16 * KIB, differs=False)
    forecast.looked(16 * KIB, differs=False)
    assert forecast.remaining_ms(0) == 2 * READ_16 + START_MS, "nothing differs so far: only looks are left"
    forecast.looked(16 * KIB, differs=True)
    third = (1 / 3) * (ONE + READ_4) + (2 / 3) * READ_16
    assert forecast.remaining_ms(0) == pytest.approx(ONE + third + START_MS)


def test_a_look_that_was_enough_early_says_how_fast_reading_is() -> None:
    forecast = Forecast(TYPICAL, [load(), load()], enters=False)
    forecast.begin(Kind.READ, 16 * KIB, 0)
    for block in range(LOOK_BYTES // (2 * KIB)):
        forecast.moved(2 * KIB, (block + 1) * 50.0)
    forecast.end(110)  # ten times as long
    assert forecast.expected_ms(Kind.READ, 100) == pytest.approx(100 * (110 + 20) / (11 + 20))


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "about 1 s left"),
        (1_400, "about 1 s left"),
        (119_400, "about 119 s left"),
        (170_000, "about 3 minutes left"),
    ],
)
def test_the_remaining_time_is_said_in_words(ms: int, words: str) -> None:
    assert left_in_words(ms) == words
