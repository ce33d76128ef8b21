"""Time: invented, or the machine's."""

from __future__ import annotations

import time

import pytest

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


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_that_stands_still_or_runs_backwards_is_a_usage_error(factor: float) -> None:
    with pytest.raises(Usage, match="times as fast"):
        RealClock(factor)
