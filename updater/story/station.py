"""A station: a bench at which boards come and go, and each that is plugged in gets a lane of its own.

Every board passes its own checks before anything is erased. One that was served is left alone until it is
taken out: until its port is empty, or another device is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from updater.hands.host import today
from updater.hands.usbio import ROM_USB, Attached
from updater.heads.report import Receipt
from updater.story.devices import Connected, application_ids, look_at, parse_as
from updater.story.job import Hands, Request
from updater.story.lanes import Hear, Job, Lane, Lanes, Outcome
from updater.story.production import Production
from updater.story.supply import Supply
from updater.story.update import as_told, perform, prepare_one
from updater.words.errors import NoDevice, Refused, UsbFailed
from updater.words.facts import DeviceFacts, Mode

LOOK_EVERY_MS = 200
_MOST_FAILED_LOOKS = 25
"""Five seconds: a hub that goes or comes can make one listing of the devices fail."""
_OPENS_WITHIN_MS = 5_000
"""udev and Windows take a moment before they hand over a device that has just been plugged in."""
_ASK_AGAIN_MS = 250


class Station:
    """Boards that come and go. `look` starts what came; each outcome is noted when its lane has ended.

    `production` is what each board gets beside its firmware. Whoever has looked does not go before `wait`
    has returned. Raises `Usage` for a product that there is not.
    """

    def __init__(
        self,
        hands: Hands,
        request: Request,
        hear: Hear,
        note: Callable[[Outcome], None],
        production: Production | None = None,
    ) -> None:
        self._hands, self._request, self._note, self._production = hands, request, note, production
        if request.as_product is not None:
            parse_as(request.as_product, hands.home.vendor)
        self._supply = Supply(hands, request)
        self._lanes = Lanes(hands, hear, self._noted)
        self._done: set[str] = set()
        self._served: dict[str, int] = {}
        self._failed_looks = 0
        self._wanted = {*application_ids(hands.home.vendor), ROM_USB}

    @property
    def ports_at_work(self) -> tuple[str, ...]:
        """Where a lane is at work."""
        return self._lanes.ports_at_work

    def look(self, *, takes: int | None) -> None:
        """Note the boards that are done, and start a lane for each that came, at most `takes`.

        Raises `UsbFailed` when this computer's USB cannot be asked, time after time, and no board is at work.
        """
        self._lanes.look()
        try:
            here = {one.port: one for one in self._hands.bus.attached(self._wanted)}
        except UsbFailed:
            self._failed_looks += 1
            if self._failed_looks < _MOST_FAILED_LOOKS or self.ports_at_work:
                return
            raise
        self._failed_looks = 0
        self._served |= {port: here[port].address for port in self._done if port in here}
        self._done.clear()
        self._served = {
            port: address
            for port, address in self._served.items()
            if port in here and here[port].address == address
        }
        busy = {*self.ports_at_work, *self._served}
        for one in [one for port, one in here.items() if port not in busy][:takes]:
            self._lanes.begin(_just_seen(one), self._serving(one))

    def _noted(self, outcome: Outcome) -> None:
        self._done.add(outcome.port)
        self._note(outcome)

    def stop(self) -> None:
        """Stop every lane at work, as Ctrl-C would."""
        self._lanes.stop()

    def wait(self) -> None:
        """Until no board is at work, and none is taken meanwhile. Ctrl-C stops them."""
        self._lanes.wait()

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
