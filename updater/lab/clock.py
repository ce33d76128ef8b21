"""Time for virtual devices: invented (tests, demo, rehearsals) or the machine's (measuring, USB/IP).

Both count milliseconds as the device feels them, from an arbitrary start.
"""

from __future__ import annotations

import math
import time
from typing import ClassVar, Literal, Protocol

from updater.errors import Usage


class Clock(Protocol):
    """What a board needs of time. `kind` is the receipt's word for it."""

    kind: ClassVar[Literal["virtual", "real"]]

    def now_ms(self) -> float:
        """Milliseconds since an arbitrary moment; never goes back."""
        ...

    def sleep_ms(self, ms: float) -> None:
        """Let `ms` milliseconds of the device's time pass."""
        ...


class VirtualClock:
    """Time that passes only when somebody sleeps: a 20-second erase takes no time at all."""

    kind: ClassVar[Literal["virtual", "real"]] = "virtual"

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        return self._now_ms

    def sleep_ms(self, ms: float) -> None:
        if ms > 0:
            self._now_ms += ms


class RealClock:
    """The machine's own clock, `factor` times as fast: with 10, a second of the device takes 100 ms.

    The operating system wakes a sleeper a little late. What one sleep took too long the next ones take
    less, so that thousands of one-millisecond transfers last as long as the device's model says.
    Raises Usage for a factor with which no time would pass, or all of it.
    """

    kind: ClassVar[Literal["virtual", "real"]] = "real"

    def __init__(self, factor: float = 1.0) -> None:
        if not 0 < factor < math.inf:
            raise Usage(f"a clock cannot run {factor:g} times as fast", advice="Name a factor above 0.")
        self._factor = factor
        self._overslept_s = 0.0

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0 * self._factor

    def sleep_ms(self, ms: float) -> None:
        wanted_s = ms / 1000.0 / self._factor - self._overslept_s
        if wanted_s <= 0:
            self._overslept_s = -wanted_s
            return
        started_s = time.perf_counter()
        time.sleep(wanted_s)
        self._overslept_s = time.perf_counter() - started_s - wanted_s
