"""Several devices at once: a lane is one port's work, in a thread of its own.

A lane says nothing itself. What happens in it is heard by the one who waits for all of them, in his own
thread, so that there is one mouth. What stops one lane is its outcome and leaves the others alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from updater.heads.otp.report import OtpIssue, OtpReceipt
from updater.heads.report import Receipt
from updater.story.devices import look_around, no_device
from updater.story.job import Hands, Prepared, Request
from updater.story.supply import Supply
from updater.story.update import as_told, perform, prepare_one
from updater.words.errors import (
    Bug,
    Cancelled,
    DeviceIs,
    NetworkFailed,
    NotTrusted,
    StorageFailed,
    TlsFailed,
    UpdaterError,
    Usage,
)
from updater.words.events import Event
from updater.words.facts import DeviceFacts, Mode

Hear = Callable[[str, Event], None]
"""Told of an event and of the port where it happened."""
Job = Callable[["Lane", Hands], Receipt]
"""What is done in a lane: it speaks through `lane.emit`, may say better which device it is, and what is done
already."""

GRAVEST_FIRST = (70, 9, 10, 8, 11, 4, 5, 6, 7, 3, 13, 12, 0)
"""Of several exit statuses the first of these decides."""
_LOOK_EVERY_MS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one lane ended: with a receipt, or with an error that says how its device is now.

    Both: the firmware is done, and what was to be burnt behind it is not. `otp` says what was burnt, `issue`
    which values are the board's, on the books, whether they are burnt or not.
    """

    port: str
    device: DeviceFacts
    receipt: Receipt | None = None
    error: UpdaterError | None = None
    otp: OtpReceipt | None = None
    issue: OtpIssue | None = None

    @property
    def exit_status(self) -> int:
        """What a command for this device alone would have ended with."""
        if self.error is not None:
            return self.error.exit_status
        return gravest(one.exit_status for one in (self.receipt, self.otp) if one is not None)


def gravest(statuses: Iterable[int]) -> int:
    """The exit status of a command for several devices."""
    return min(statuses, key=GRAVEST_FIRST.index, default=0)


class Lane:
    """The work on one port. It begins at once; `outcome` is None while it goes on."""

    def __init__(
        self, hands: Hands, device: DeviceFacts, job: Job, heard: SimpleQueue[tuple[str, Event]]
    ) -> None:
        self.device = device
        self.receipt: Receipt | None = None
        self.otp: OtpReceipt | None = None
        self.issue: OtpIssue | None = None
        self.outcome: Outcome | None = None
        self._hands, self._job, self._heard = hands, job, heard
        self._stopped, self._has_begun = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name=f"lane {device.port}", daemon=True).start()
        self._has_begun.wait()

    def stop(self) -> None:
        """As Ctrl-C would, at the next moment at which the lane says something."""
        self._stopped.set()

    def emit(self, event: Event) -> None:
        """Say what happens here. Raises `KeyboardInterrupt` once this lane was stopped."""
        if self._stopped.is_set():
            self._stopped.clear()  # once: what is put right on the way out is not stopped again
            raise KeyboardInterrupt
        self._heard.put((self.device.port, event))

    def _work(self) -> None:
        hands = replace(self._hands, bus=self._hands.bus.beside())
        with hands.bus.clock.together():
            self._has_begun.set()
            try:
                self.receipt = self._job(self, hands)
                self._ended()
            except UpdaterError as error:
                self._ended(error)
            except KeyboardInterrupt:
                self._ended(_stopped())
            except Exception as error:
                self._ended(Bug(f"{type(error).__name__}: {error}", device_is=DeviceIs.UNKNOWN))

    def _ended(self, error: UpdaterError | None = None) -> None:
        self.outcome = Outcome(
            port=self.device.port,
            device=self.device,
            receipt=self.receipt,
            error=error,
            otp=self.otp,
            issue=self.issue,
        )


def _stopped() -> Cancelled:
    return Cancelled(
        "the command was stopped",
        advice="Look at the device with `updater devices`, and run the same command again.",
        device_is=DeviceIs.UNKNOWN,
    )


def prepare_every(hands: Hands, request: Request, hear: Hear) -> dict[str, Prepared | Outcome]:
    """What would be done with each device, by port; an outcome is a device that cannot be updated.

    Raises `NoDevice`, and what is not one device's fault: `Usage`, `NetworkFailed`, `TlsFailed`,
    `NotTrusted`, `StorageFailed`.
    """
    vendor, journals = hands.home.vendor, hands.store.journals()
    found = look_around(hands.bus, vendor, hands.silicon, journals)
    found = tuple(one for one in found if one.facts.mode is not Mode.OTHER or one.facts.refused)
    if not found:
        raise no_device(vendor, journals)
    supply = Supply(hands, request)
    every: dict[str, Prepared | Outcome] = {}
    for one in found:
        port = one.facts.port

        def emit(event: Event, port: str = port) -> None:
            hear(port, event)

        try:
            every[port] = prepare_one(hands, request, as_told(hands, request, one), supply, emit)
        except (Usage, NetworkFailed, TlsFailed, NotTrusted, StorageFailed):
            raise
        except UpdaterError as error:
            every[port] = Outcome(port=port, device=one.facts, error=error)
    return every


def perform_every(
    hands: Hands, ready: Mapping[str, Prepared], hear: Hear, note: Callable[[Outcome], None]
) -> None:
    """Carry all plans out side by side; each outcome is noted when its lane has ended.

    Ctrl-C stops every lane as it would stop a single update. `note` must not raise.
    """
    heard: SimpleQueue[tuple[str, Event]] = SimpleQueue()
    with hands.bus.clock.together():
        lanes = {
            port: Lane(hands, one.connected.facts, _performing(one), heard) for port, one in ready.items()
        }
        while lanes:
            try:
                hands.bus.clock.sleep_ms(_LOOK_EVERY_MS)
                done = ended(lanes)
                tell(heard, hear)
                for outcome in done.values():
                    note(outcome)
            except KeyboardInterrupt:
                for lane in lanes.values():
                    lane.stop()


def _performing(prepared: Prepared) -> Job:
    return lambda lane, hands: perform(hands, prepared, lane.emit)


def ended(lanes: dict[str, Lane]) -> dict[str, Outcome]:
    """Take out the lanes that have ended; returns their outcomes."""
    done = {port: lane.outcome for port, lane in lanes.items() if lane.outcome is not None}
    for port in done:
        del lanes[port]
    return done


def tell(heard: SimpleQueue[tuple[str, Event]], hear: Hear) -> None:
    """Say what was heard since."""
    while True:
        try:
            port, event = heard.get_nowait()
        except Empty:
            return
        hear(port, event)
