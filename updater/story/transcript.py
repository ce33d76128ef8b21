"""The transcript of one update: the last transfers, kept when it fails, in the form of a recording.

No bytes of the memory are in it but short answers (up to `VERBATIM_BYTES`): of blocks only a digest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from updater import __version__
from updater.heads.dfu.words import Functional, In, Out, Select, Stalled, TimedOut, WireError
from updater.heads.listener import Transfer
from updater.heads.recording import (
    Device,
    Failure,
    Part,
    Recording,
    RequestName,
    Step,
    format_recording,
    told,
)
from updater.story.job import Errand, Hands
from updater.words.errors import StorageFailed, UpdaterError
from updater.words.facts import Shown

MOST_STEPS = 4_096
"""How many transfers are kept: the last ones, where the trouble is."""


@dataclass(slots=True)
class _Script:
    """One script that was run; its steps are with the others, by its number."""

    name: str
    usb: str
    at_ms: float
    failed: str | None = None


class Transcript:
    """Listens to a bus and remembers the last `most` transfers (see `listener.Listener`)."""

    def __init__(self, most: int = MOST_STEPS) -> None:
        self._steps: deque[tuple[int, Step]] = deque(maxlen=most)
        self._scripts: list[_Script] = []
        self._devices: list[Device] = []
        self._heard = 0
        self._since_ms = 0.0
        self._quiet_since_ms = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no device was opened."""
        return not self._steps

    def opened(self, usb: str, port: str, shown: Shown, functional: Functional | None) -> None:
        """A device as it shows itself; the same one only once."""
        device = Device(
            usb=usb,
            bcd_device=shown.bcd_device,
            product=shown.product_string,
            serial=shown.serial,
            alternates=shown.alternates,
            transfer_size=functional.transfer_size if functional else None,
            note=f"on port {port}",
        )
        if device not in self._devices:
            self._devices.append(device)

    def begins(self, usb: str, script: str, at_ms: float) -> None:
        """What follows belongs to this script."""
        if not self._scripts:
            self._since_ms = at_ms
        self._quiet_since_ms = at_ms
        self._scripts.append(_Script(script, usb, at_ms - self._since_ms))

    def transferred(self, transfer: Transfer) -> None:
        """One transfer."""
        wish, answer, error, began_ms, ended_ms = transfer
        came_short = isinstance(wish, In) and len(answer) != wish.length
        step = Step(
            request=cast(RequestName, "SET_INTERFACE" if isinstance(wish, Select) else wish.request.name),
            value=wish.alternate if isinstance(wish, Select) else wish.value,
            data=told(wish.data) if isinstance(wish, Out) and wish.data else None,
            answer=told(answer) if isinstance(wish, In) and error is None else None,
            length=wish.length if isinstance(wish, In) and came_short else None,
            error=_failure(error) if error else None,
            after_ms=round(began_ms - self._quiet_since_ms, 3) or None,
            ms=round(ended_ms - began_ms, 3),
        )
        self._quiet_since_ms = ended_ms
        self._heard += 1
        self._steps.append((len(self._scripts) - 1, step))

    def failed(self, error: WireError) -> None:
        """The script ended with this error."""
        self._scripts[-1].failed = f"{type(error).__name__}: {error}"

    def recording(self, *, title: str, source: str, failed: str | None) -> Recording:
        """All that is remembered."""
        steps: dict[int, list[Step]] = {}
        for number, step in self._steps:
            steps.setdefault(number, []).append(step)
        parts = (
            Part(name=one.name, usb=one.usb, at_ms=round(one.at_ms, 3), failed=one.failed, steps=tuple(here))
            for one, here in ((self._scripts[number], here) for number, here in steps.items())
        )
        return Recording(
            title=title,
            source=source,
            host=f"updater {__version__}",
            failed=failed,
            dropped=self._heard - len(self._steps),
            device=tuple(self._devices),
            part=tuple(parts),
        )

    def keep(self, hands: Hands, prepared: Errand, failed: str) -> None:
        """Write it to the state folder. A disk that is full is not worth a second error."""
        if self.is_empty:
            return
        facts = prepared.connected.facts
        recording = self.recording(
            title=f"{prepared.product.id} to {prepared.goal} on port {facts.port}",
            source=f"update of {hands.now:%Y-%m-%d %H:%M:%S} UTC, {hands.clock} clock",
            failed=failed,
        )
        name = f"{hands.now:%Y%m%d-%H%M%S-%f}-{prepared.product.id}-on-{facts.port}"
        with suppress(StorageFailed):
            hands.store.keep_transcript(name, format_recording(recording))


def _failure(error: WireError) -> Failure:
    if isinstance(error, Stalled):
        return "stalled"
    return "timed-out" if isinstance(error, TimedOut) else "vanished"


@contextmanager
def kept_if_it_fails(hands: Hands, prepared: Errand) -> Iterator[Transcript]:
    """Listen while an update is carried out, and keep what was heard when it fails."""
    transcript = Transcript()
    hands.bus.listener = transcript
    try:
        yield transcript
    except UpdaterError as error:
        transcript.keep(hands, prepared, f"{type(error).__name__}: {error.message}")
        raise
    finally:
        hands.bus.listener = None
