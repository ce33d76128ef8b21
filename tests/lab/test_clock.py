"""Time: invented, or the machine's."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from updater.lab.clock import RealClock, VirtualClock
from updater.words.errors import Usage


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


def test_threads_that_live_together_share_one_time_and_it_passes_when_all_sleep() -> None:
    clock, order = VirtualClock(), []
    with clock.together():
        begun = threading.Barrier(3)

        def live(name: str, *naps: float) -> None:
            with clock.together():
                begun.wait()
                for nap in naps:
                    clock.sleep_ms(nap)
                    order.append((clock.now_ms(), name))

        lanes = [
            threading.Thread(target=live, args=("a", 10, 30)),
            threading.Thread(target=live, args=("b", 25)),
        ]
        for lane in lanes:
            lane.start()
        begun.wait()
        while any(lane.is_alive() for lane in lanes):
            clock.sleep_ms(1)
    assert order == [(10, "a"), (25, "b"), (40, "a")]


def test_one_that_is_awake_holds_the_time_for_all() -> None:
    clock, slept = VirtualClock(), threading.Event()

    def sleep() -> None:
        with clock.together():
            clock.sleep_ms(5)
            slept.set()

    with clock.together():
        threading.Thread(target=sleep, daemon=True).start()
        assert not slept.wait(0.05)
        assert clock.now_ms() == 0
    assert slept.wait(5), "who leaves holds nobody up"
    assert clock.now_ms() == 5


@given(st.lists(st.lists(st.integers(1, 20), max_size=6), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_lanes_take_as_long_as_the_longest_of_them(lanes: list[list[int]]) -> None:
    clock = VirtualClock()
    begun = threading.Barrier(len(lanes))

    def live(naps: list[int]) -> None:
        with clock.together():
            begun.wait()
            for nap in naps:
                clock.sleep_ms(nap)

    threads = [threading.Thread(target=live, args=(naps,)) for naps in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert clock.now_ms() == max(sum(naps) for naps in lanes)
