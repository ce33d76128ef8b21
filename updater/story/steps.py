"""The stopwatch of one update: how long each step takes and how far it is, said as events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from updater.hands.usbio import Clock
from updater.heads.eta import Forecast, Kind
from updater.words.events import Asks, Emit, Noticed, Progressed, Step, StepDone, StepStarted

_STILL_MS = 1_000
"""Progress is said again when nothing was said for so long."""
_WORTH_SAYING_MS = 500
"""A shorter silence is not announced."""
_RECKON_EVERY_MS = 250
"""While blocks move, the remaining time is reckoned anew so often; between them it runs down by itself."""


class Steps:
    """Times the steps of one update and reports how far each is. Says what the events' law allows.

    `forecast`, once there is one, says how long it will still take.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock = emit, clock
        self._ms: dict[Step, float] = {}
        self._done: dict[Step, int] = {}
        self._now: Step | None = None
        self._last_said: Step | None = None
        self._last_said_ms = 0.0
        self._ends_ms = self._reckon_at_ms = 0.0
        self.forecast: Forecast | None = None

    @contextmanager
    def whole(self, step: Step, total: int | None = None) -> Iterator[None]:
        """A step done in one go."""
        self.open(step, total)
        with self.during(step):
            yield
        self.close(step)

    def open(self, step: Step, total: int | None = None) -> None:
        """Begin a step. Erase, write and verify are open together and take turns."""
        self._ms[step], self._done[step], self._last_said = 0.0, 0, step
        self._last_said_ms = self._clock.now_ms()
        self._emit(StepStarted(step, total))

    @contextmanager
    def during(
        self, step: Step, kind: Kind | None = None, size: int = 0, typical_ms: float | None = None
    ) -> Iterator[None]:
        """Time spent here, and bytes that move, belong to this step.

        `kind` and `size` say to the forecast what is done here, and `typical_ms` of an erase or a wait how
        long that usually takes: for so long no byte moves.
        """
        before, started, self._now = self._now, self._clock.now_ms(), step
        self._reckon_at_ms = 0.0
        quiet_ms = self._begins(kind, size, typical_ms)
        if self._last_said is not step or quiet_ms:  # it takes its turn: say so before the first byte moves
            self._say(0, quiet_ms)
        try:
            yield
            if self.forecast is not None and kind is not None:
                self.forecast.end(self._clock.now_ms())
        finally:
            self._ms[step] += self._clock.now_ms() - started
            self._now = before

    def _begins(self, kind: Kind | None, size: int, typical_ms: float | None) -> int:
        """Tell the forecast; returns how long it will be quiet, where that is worth saying."""
        if self.forecast is None or kind is None:
            return 0
        self.forecast.begin(kind, size, self._clock.now_ms(), typical_ms)
        quiet_ms = self.forecast.expected_ms(kind, typical_ms or 0.0)
        return round(quiet_ms) if quiet_ms >= _WORTH_SAYING_MS else 0

    def moved(self, count: int) -> None:
        """So many bytes more of the present step are done."""
        if self._now is not None:
            if self.forecast is not None:
                self.forecast.moved(count, self._clock.now_ms())
            self._say(count)

    def passed(self, count: int) -> None:
        """So many bytes more of the present step need not be moved: they are done too."""
        if count and self._now is not None:
            self._say(count)

    def beat(self) -> None:
        """Somebody waits: say how far it is, if nothing was said for a while."""
        if self._now is not None and self._clock.now_ms() - self._last_said_ms >= _STILL_MS:
            self._say(0)

    def _say(self, more: int, quiet_ms: int = 0) -> None:
        assert self._now is not None
        now_ms = self._clock.now_ms()
        self._done[self._now] += more
        self._last_said, self._last_said_ms = self._now, now_ms
        self._emit(Progressed(self._now, self._done[self._now], self._left(now_ms), quiet_ms))

    def _left(self, now_ms: float) -> int | None:
        """How long it will still take: blocks come every few milliseconds, and reckoning costs as much."""
        if self.forecast is None:
            return None
        if now_ms >= self._reckon_at_ms:
            self._ends_ms = self.forecast.remaining_ms(now_ms) + now_ms
            self._reckon_at_ms = now_ms + _RECKON_EVERY_MS
        return round(max(self._ends_ms - now_ms, 0.0))

    def close(self, step: Step) -> None:
        """The step's work is done."""
        self._emit(StepDone(step, round(self._ms[step])))

    def notice(self, text: str, asks: Asks | None = None) -> None:
        """Say something to the person, and what the person has to do."""
        self._emit(Noticed(text, asks))

    def has_begun(self, step: Step) -> bool:
        """Whether the step was opened."""
        return step in self._ms

    @property
    def times(self) -> tuple[tuple[Step, int], ...]:
        """Milliseconds by step, in order."""
        return tuple((step, round(ms)) for step, ms in self._ms.items())
