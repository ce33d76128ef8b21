"""A recording as the other end of the wire: it answers what the device answered, when it answered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from updater.heads.dfu.scripts import drive
from updater.heads.dfu.words import Answer, Out, Script, Select, Sleep, Stalled, T, TimedOut, Vanished, Wish
from updater.heads.recording import Digest, Recording, Step, parse_recording

RECORDINGS = Path(__file__).parent / "recordings"
_ERRORS = {"stalled": Stalled, "timed-out": TimedOut, "vanished": Vanished}


def recording(name: str) -> Recording:
    return parse_recording((RECORDINGS / f"{name}.toml").read_text("utf-8"))


def every_recording() -> list[str]:
    return sorted(path.stem for path in RECORDINGS.glob("*.toml"))


class Replay:
    """Performs a script's wishes on the steps of a recording.

    The script must send what the recorded host sent, step by step. With `foreign` a host of another mind
    was recorded: what it sent or asked beyond our script is passed over, and the device's answers come in
    their order. With `for_ever` the last answer is given again and again. Time is the recorded device's
    and our own script's. A byte that no source prints is 0.
    """

    def __init__(self, steps: Sequence[Step], *, foreign: bool = False, for_ever: bool = False) -> None:
        self._left = list(steps)
        self._foreign, self._last = foreign, steps[-1] if for_ever else None
        self.now_ms = 0.0
        self.sent: list[Wish] = []

    @property
    def is_over(self) -> bool:
        """Whether every recorded step was taken."""
        return not self._left

    def run(self, script: Script[T]) -> T:
        return drive(script, self.perform)

    def perform(self, wish: Wish) -> Answer:
        if isinstance(wish, Sleep):
            self.now_ms += wish.ms
            return Answer(b"", self.now_ms)
        self.sent.append(wish)
        step = self._next(wish)
        self.now_ms += step.ms or 0
        if step.error is not None:
            raise _ERRORS[step.error](f"{step.request}: {step.error}")
        return Answer(_bytes(step.answer), self.now_ms)

    def _next(self, wish: Wish) -> Step:
        while self._left:
            step = self._left.pop(0)
            if _is(step, wish):
                return step
            assert self._foreign, f"{step} was recorded where {wish} is sent now"
        if self._last is not None and _is(self._last, wish):
            return self._last
        assert self._foreign, f"the recording ends before {wish}"
        assert isinstance(wish, Out), f"no answer to {wish} was recorded"
        return Step(request="ABORT")


def _is(step: Step, wish: Wish) -> bool:
    if isinstance(wish, Select):
        return (step.request, step.value) == ("SET_INTERFACE", wish.alternate)
    assert not isinstance(wish, Sleep)
    if (step.request, step.value) != (wish.request.name, wish.value):
        return False
    if isinstance(wish, Out):
        return step.data is None or _tells(step.data, wish.data)
    if step.length is not None:
        return step.length == wish.length
    return step.answer is None or len(_bytes(step.answer)) == wish.length


def _tells(told: str | Digest, data: bytes) -> bool:
    if isinstance(told, str):
        return _bytes(told) == data
    return told.bytes == len(data) and told.sha256 in (None, hashlib.sha256(data).hexdigest()[:8])


def _bytes(told: str | Digest | None) -> bytes:
    if isinstance(told, Digest):
        return bytes(told.bytes)
    return bytes.fromhex((told or "").replace("??", "00"))
