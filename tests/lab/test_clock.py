"""Time: invented, or the machine's."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from updater.errors import Usage
from updater.lab.clock import RealClock, VirtualClock


def test_virtual_time_passes_only_when_somebody_sleeps() -> None:
    clock = VirtualClock()
    clock.sleep_ms(20_000)
    clock.sleep_ms(-1)
    assert clock.now_ms() == 20_000


def test_what_one_sleep_took_too_long_the_next_ones_make_up_for_but_no_time_is_lost() -> None:
    clock = RealClock(10.0)
    began_ms, began_s = clock.now_ms(), time.monotonic()
    for _ in range(100):
        clock.sleep_ms(1.0)
    assert time.monotonic() - began_s >= 0.0099
    assert clock.now_ms() - began_ms >= 99.0


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30), st.floats(0.5, 50.0))
@settings(max_examples=25, deadline=None)
def test_who_sleeps_until_a_moment_never_wakes_before_it_on_this_clock(
    naps: list[float], factor: float
) -> None:
    """Else a virtual flash would still be busy for somebody who waited as long as it takes."""
    clock = RealClock(factor)
    for nap in naps:
        until_ms = clock.now_ms() + nap
        clock.sleep_ms(until_ms - clock.now_ms())
        assert clock.now_ms() >= until_ms - 0.0005


def test_one_thread_that_overslept_does_not_turn_back_the_time_of_another() -> None:
    clock = RealClock()
    last_ms = clock.now_ms()

    def sleep_often() -> None:
        for _ in range(50):
            clock.sleep_ms(0.2)

    sleepers = [threading.Thread(target=sleep_often) for _ in range(4)]
    for sleeper in sleepers:
        sleeper.start()
    while any(sleeper.is_alive() for sleeper in sleepers):
        assert clock.now_ms() >= last_ms
        last_ms = clock.now_ms()


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_that_stands_still_or_runs_backwards_is_a_usage_error(factor: float) -> None:
    with pytest.raises(Usage, match="times as fast"):
        RealClock(factor)
