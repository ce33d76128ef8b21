"""Time for virtual devices: invented (tests, demo, rehearsals) or the machine's (measuring, USB/IP).

Both count milliseconds as the device feels them, from an arbitrary start.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar, Literal, Protocol

from updater.words.errors import Usage


class Clock(Protocol):
    """What a board needs of time. `kind` is the receipt's word for it."""

    kind: ClassVar[Literal["virtual", "real"]]

    def now_ms(self) -> float:
        """Milliseconds since an arbitrary moment; never goes back."""
        ...

    def sleep_ms(self, ms: float) -> None:
        """Let `ms` milliseconds of the device's time pass."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """This thread is one of several that share this time."""
        ...


class VirtualClock:
    """Time that passes only when somebody sleeps: a 20-second erase takes no time at all.

    Threads that live `together` on it share one time: while one of them is awake it stands still, and when
    the last one goes to sleep it jumps to the next awakening.
    """

    kind: ClassVar[Literal["virtual", "real"]] = "virtual"

    def __init__(self) -> None:
        self._now_ms = 0.0
        self._together: set[threading.Thread] = set()
        self._until_ms: dict[threading.Thread, float] = {}  # who sleeps
        self._turn = threading.Condition()

    def now_ms(self) -> float:
        return self._now_ms

    def sleep_ms(self, ms: float) -> None:
        if ms > 0 and self._together:
            self._sleep_together(ms)
        elif ms > 0:
            self._now_ms += ms

    def _sleep_together(self, ms: float) -> None:
        me = threading.current_thread()
        with self._turn:
            until_ms = self._until_ms[me] = self._now_ms + ms
            while self._now_ms < until_ms:
                next_ms = min(self._until_ms.values())
                if self._together <= self._until_ms.keys() and next_ms > self._now_ms:
                    self._now_ms = next_ms
                    self._turn.notify_all()
                else:
                    self._turn.wait()
            del self._until_ms[me]

    @contextmanager
    def together(self) -> Iterator[None]:
        """No time passes while this thread is awake. It must not wait for another but by sleeping here."""
        me = threading.current_thread()
        with self._turn:
            self._together.add(me)
        try:
            yield
        finally:
            with self._turn:
                self._together.discard(me)
                self._turn.notify_all()


class RealClock:
    """The machine's own clock, `factor` times as fast: with 10, a second of the device takes 100 ms.

    The operating system wakes a sleeper a little late. This clock stands still for what a sleep took too
    long, and the next sleeps take that much less: a sleep is exactly as long as was asked for on this
    clock, and thousands of one-millisecond transfers last as long as the device's model says. The debt is
    each thread's own, for one thread's late waking must not turn back another's time.
    Raises Usage for a factor with which no time would pass, or all of it.
    """

    kind: ClassVar[Literal["virtual", "real"]] = "real"

    def __init__(self, factor: float = 1.0) -> None:
        if not 0 < factor < math.inf:
            raise Usage(f"a clock cannot run {factor:g} times as fast", advice="Name a factor above 0.")
        self._factor = factor
        self._debt = _Debt()

    def now_ms(self) -> float:
        return (time.monotonic() - self._debt.overslept_s) * 1000.0 * self._factor

    def sleep_ms(self, ms: float) -> None:
        wanted_s = max(ms, 0.0) / 1000.0 / self._factor
        paid_s = min(self._debt.overslept_s, wanted_s)
        self._debt.overslept_s -= paid_s
        if wanted_s > paid_s:
            started_s = time.monotonic()
            time.sleep(wanted_s - paid_s)
            self._debt.overslept_s += time.monotonic() - started_s - (wanted_s - paid_s)

    def together(self) -> AbstractContextManager[None]:
        """The machine's time passes for all alike."""
        return nullcontext()


class _Debt(threading.local):
    """Seconds that this thread has slept too long and not made up for yet."""

    overslept_s = 0.0
