"""A station: a bench at which boards come and go, and each that is plugged in gets a lane of its own.

Every board passes its own checks before anything is erased. One that was served is left alone until it is
taken out: until its port is empty, or another device is there.
"""

from __future__ import annotations

from dataclasses import replace
from queue import SimpleQueue

from updater.hands.host import today
from updater.hands.usbio import ROM_USB, Attached
from updater.heads.report import Receipt
from updater.story.devices import Connected, application_ids, look_at, parse_as
from updater.story.job import Hands, Request
from updater.story.lanes import Hear, Job, Lane, Outcome, ended, tell
from updater.story.production import Production
from updater.story.supply import Supply
from updater.story.update import as_told, perform, prepare_one
from updater.words.errors import NoDevice, Refused
from updater.words.events import Event
from updater.words.facts import DeviceFacts, Mode

LOOK_EVERY_MS = 200
_OPENS_WITHIN_MS = 5_000
"""udev and Windows take a moment before they hand over a device that has just been plugged in."""
_ASK_AGAIN_MS = 250


class Station:
    """Boards that come and go. `look` starts what came and returns how the lanes ended that did.

    `production` is what each board gets beside its firmware. Raises `Usage` for a product that there is not.
    """

    def __init__(
        self, hands: Hands, request: Request, hear: Hear, production: Production | None = None
    ) -> None:
        self._hands, self._request, self._hear, self._production = hands, request, hear, production
        if request.as_product is not None:
            parse_as(request.as_product, hands.home.vendor)
        self._supply = Supply(hands, request)
        self._heard: SimpleQueue[tuple[str, Event]] = SimpleQueue()
        self._lanes: dict[str, Lane] = {}
        self._served: dict[str, int] = {}
        self._wanted = {*application_ids(hands.home.vendor), ROM_USB}

    @property
    def ports_at_work(self) -> tuple[str, ...]:
        """Where a lane is at work."""
        return tuple(self._lanes)

    def look(self, *, takes: int | None) -> list[Outcome]:
        """Start a lane for each board that came, at most `takes`; return the outcomes of those that ended.

        Raises `UsbFailed` when this computer's USB cannot be asked.
        """
        outcomes = list(ended(self._lanes).values())
        tell(self._heard, self._hear)
        here = {one.port: one for one in self._hands.bus.attached(self._wanted)}
        for outcome in outcomes:
            if outcome.port in here:
                self._served[outcome.port] = here[outcome.port].address
        self._served = {
            port: address
            for port, address in self._served.items()
            if port in here and here[port].address == address
        }
        came = [one for port, one in here.items() if port not in self._lanes and port not in self._served]
        for one in came[:takes]:
            self._lanes[one.port] = Lane(self._hands, _just_seen(one), self._serving(one), self._heard)
        return outcomes

    def stop(self) -> None:
        """Stop every lane at work, as Ctrl-C would."""
        for lane in self._lanes.values():
            lane.stop()

    def _serving(self, attached: Attached) -> Job:
        def serve(lane: Lane, hands: Hands) -> Receipt:
            hands = replace(hands, now=today())
            one = as_told(hands, self._request, _opened(hands, attached))
            lane.device = one.facts
            prepared = prepare_one(hands, self._request, one, self._supply, lane.emit)
            if prepared.verdict.confirmations:
                raise Refused(
                    f"this one needs a word from a person: {prepared.verdict.confirmations[0].because}",
                    advice=f"Update it by itself: `updater install --device {attached.port}`.",
                )
            if self._production is not None:
                return self._production.make(hands, lane, prepared)
            return perform(hands, prepared, lane.emit)

        return serve


def _just_seen(one: Attached) -> DeviceFacts:
    return DeviceFacts(name=f"device on port {one.port}", port=one.port, usb=one.usb, mode=Mode.OTHER)


def _opened(hands: Hands, attached: Attached) -> Connected:
    """What this device is, as soon as it can be asked. Raises `NoDevice` when it went away."""
    clock = hands.bus.clock
    deadline = clock.now_ms() + _OPENS_WITHIN_MS
    while True:
        one = look_at(hands.bus, attached, hands.home.vendor, hands.silicon, hands.store.journals())
        if one is None:
            raise NoDevice(
                f"the device on port {attached.port} went away again",
                advice="Plug it in again: the station begins by itself.",
            )
        if one.facts.problem is None or clock.now_ms() >= deadline:
            return one
        clock.sleep_ms(_ASK_AGAIN_MS)
