"""Several devices at once: a lane is one port's work, in a thread of its own.

A lane says nothing itself. What happens in it is heard by the one who waits for all of them, in his own
thread, so that there is one mouth. What stops one lane is its outcome and leaves the others alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from updater.hands.ctrlc import undisturbed
from updater.heads.otp.report import OtpIssue, OtpReceipt
from updater.heads.report import Receipt
from updater.story.devices import look_around, no_device
from updater.story.job import Hands, Prepared, Request
from updater.story.supply import Supply
from updater.story.update import as_told, perform, prepare_one, unfailing
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
        self._hands, self._job, self._heard = replace(hands, bus=hands.bus.beside()), job, heard
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
        with self._hands.bus.clock.together():
            self._has_begun.set()
            try:
                self.receipt = self._job(self, self._hands)
                self._ended()
            except UpdaterError as error:
                self._ended(error)
            except KeyboardInterrupt:
                self._ended(_stopped())
            except BaseException as error:  # without an outcome it would be waited for without end
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

    Ctrl-C stops every lane as it would stop a single update. What else is raised here is raised at the end.
    """
    lanes = Lanes(hands, hear, note)
    with hands.bus.clock.together():
        try:
            with undisturbed():
                for one in ready.values():
                    lanes.begin(one.connected.facts, _performing(one))
        except KeyboardInterrupt:
            if not lanes.ports_at_work:
                raise
            lanes.stop()
        finally:
            lanes.wait()


def _performing(prepared: Prepared) -> Job:
    return lambda lane, hands: perform(hands, prepared, lane.emit)


class Lanes:
    """The lanes at work: what is heard of them is told to `hear`, and how each ends to `note`.

    They end with this process, so whoever began one does not go before `wait` has returned. One who listens
    and fails is not told more; `note` is told of every lane, whatever it raises.
    """

    def __init__(self, hands: Hands, hear: Hear, note: Callable[[Outcome], None]) -> None:
        self._hands, self._hear, self._note = hands, unfailing(hear), note
        self._heard: SimpleQueue[tuple[str, Event]] = SimpleQueue()
        self._at_work: dict[str, Lane] = {}

    @property
    def ports_at_work(self) -> tuple[str, ...]:
        """Where a lane is at work, or has ended and was not noted yet."""
        return tuple(self._at_work)

    def begin(self, device: DeviceFacts, job: Job) -> None:
        """Begin the work on this device's port."""
        with undisturbed():  # a lane that is not on the list would be left alone
            self._at_work[device.port] = Lane(self._hands, device, job, self._heard)

    def look(self) -> None:
        """Tell what was heard since, and note the lanes that have ended: all of them, whatever is raised."""
        done = [(port, lane.outcome) for port, lane in self._at_work.items() if lane.outcome is not None]
        with ExitStack() as noted:
            for port, outcome in reversed(done):
                noted.callback(self._noted, port, outcome)
            self._tell()

    def _noted(self, port: str, outcome: Outcome) -> None:
        with undisturbed():
            try:
                self._note(outcome)
            finally:
                del self._at_work[port]

    def _tell(self) -> None:
        while True:
            try:
                port, event = self._heard.get_nowait()
            except Empty:
                return
            if port in self._at_work:  # of a lane that was noted nothing more is said
                self._hear(port, event)

    def stop(self) -> None:
        """Stop every lane at work, as Ctrl-C would."""
        for lane in self._at_work.values():
            lane.stop()

    def wait(self) -> None:
        """Until no lane is at work. Ctrl-C stops them; what else is raised is raised when all have ended."""
        failure: Exception | None = None
        while self._at_work:
            try:
                self._hands.bus.clock.sleep_ms(_LOOK_EVERY_MS)
                self.look()
            except KeyboardInterrupt:
                with suppress(KeyboardInterrupt), undisturbed():  # pressed twice is once
                    self.stop()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure
