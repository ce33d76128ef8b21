"""The stopwatch of one update: how long each step takes and how far it is, said as events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from updater.events import Emit, Noticed, Progressed, Step, StepDone, StepStarted
from updater.usbio import Clock


class Steps:
    """Times the steps of one update and reports how far each is. Says what the events' law allows."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock = emit, clock
        self._ms: dict[Step, float] = {}
        self._done: dict[Step, int] = {}
        self._now: Step | None = None
        self._last_said: Step | None = None

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
        self._emit(StepStarted(step, total))

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """Time spent here, and bytes that move, belong to this step."""
        before, started, self._now = self._now, self._clock.now_ms(), step
        if self._last_said is not step:  # it takes its turn: say so before the first byte moves
            self._say(0)
        try:
            yield
        finally:
            self._ms[step] += self._clock.now_ms() - started
            self._now = before

    def moved(self, count: int) -> None:
        """So many bytes more of the present step are done."""
        if self._now is not None:
            self._say(count)

    def _say(self, more: int) -> None:
        assert self._now is not None
        self._done[self._now] += more
        self._last_said = self._now
        self._emit(Progressed(self._now, self._done[self._now]))

    def close(self, step: Step) -> None:
        """The step's work is done."""
        self._emit(StepDone(step, round(self._ms[step])))

    def notice(self, text: str) -> None:
        """Say something to the person."""
        self._emit(Noticed(text))

    def has_begun(self, step: Step) -> bool:
        """Whether the step was opened."""
        return step in self._ms

    @property
    def times(self) -> tuple[tuple[Step, int], ...]:
        """Milliseconds by step, in order."""
        return tuple((step, round(ms)) for step, ms in self._ms.items())
