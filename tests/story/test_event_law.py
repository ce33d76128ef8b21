"""What the story says while it works keeps the law written in updater/words/events.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from tests.desk import Desk
from updater.doors.console import request_for
from updater.story.update import perform, prepare
from updater.words.events import Event, Progressed, Step, StepDone, StepStarted

TOGETHER = {Step.ERASE, Step.WRITE, Step.VERIFY}


def check_law(events: Sequence[Event], *, but: Collection[Step] = ()) -> None:
    """The law, for a whole update that has all steps but these."""
    totals: dict[Step, int | None] = {}
    done: dict[Step, int] = {}
    closed: list[Step] = []
    for event in events:
        is_open = set(totals) - set(closed)
        if isinstance(event, StepStarted):
            assert event.step not in totals, "each step once"
            assert is_open <= TOGETHER
            assert not is_open or event.step in TOGETHER
            totals[event.step], done[event.step] = event.total, 0
        elif isinstance(event, Progressed):
            assert event.step in is_open
            assert event.done >= done[event.step]
            total = totals[event.step]
            assert total is None or event.done <= total
            done[event.step] = event.done
        elif isinstance(event, StepDone):
            assert event.step in is_open
            assert totals[event.step] in (None, done[event.step])
            assert event.ms >= 0
            closed.append(event.step)
    assert closed == [step for step in Step if step not in but], "all of them, in the order of Step"


@pytest.mark.parametrize("product", ["demo-widget", "demo-gadget"])
def test_a_whole_update_keeps_the_law_of_events(desk: Desk, product: str) -> None:
    desk.plug_in(product)
    events: list[Event] = []
    with desk.hands() as hands:
        request = request_for(desk.published.link(product), hands.home.vendor)
        prepared = prepare(hands, request, events.append)
        receipt = perform(hands, prepared, events.append)
    assert receipt.result == "confirmed"
    check_law(events)
    assert [step for step, _ in receipt.steps] == list(Step)


def test_a_listener_that_fails_cannot_stop_the_work(desk: Desk) -> None:
    desk.plug_in()
    heard: list[Event] = []

    def leaves(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Progressed) and event.step is Step.WRITE:
            raise BrokenPipeError

    with desk.hands() as hands:
        request = request_for(desk.published.link("demo-widget"), hands.home.vendor)
        prepared = prepare(hands, request, heard.append)
        assert perform(hands, prepared, leaves).result == "confirmed"
    assert desk.holds("demo-widget-1.1.0")
    assert isinstance(heard[-1], Progressed)
