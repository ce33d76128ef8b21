"""What there is to see while the work goes on, and while it waits for a person's hands."""

from __future__ import annotations

from dataclasses import replace

from updater.doors.window import texts as t
from updater.doors.window.page import (
    Bar,
    Page,
    Tone,
    button,
    name_of,
    page_of,
    time_words,
)
from updater.doors.window.state import Action, State
from updater.doors.window.texts import say


def working(state: State) -> Page:
    return page_of(
        state,
        say(t.WORKING, name=name_of(state)),
        say(t.STOPPING) if state.stopping else say(t.WORKING_DO),
        tone=Tone.BUSY,
        bar=_bar(state),
    )


def _bar(state: State) -> Bar:
    progress = state.progress
    left = progress.left_ms
    return Bar(
        fraction=progress.fraction,
        step=say(t.STEPS[progress.step]) if progress.step else None,
        left=time_words(left, t.LEFT_SECONDS, t.LEFT_MINUTES) if left else None,
    )


def hands(state: State) -> Page:
    bar = Bar(fraction=None, step=None, left=None)
    if state.asks is not None and state.asks.what == "replug":
        return page_of(state, say(t.REPLUG), say(t.REPLUG_DO), tone=Tone.CARE, bar=bar)
    if state.asks is not None and state.asks.what == "driver":
        care = say(t.DRIVER_DO, support=state.seller.support)
        return page_of(state, say(t.DRIVER), care, tone=Tone.CARE, bar=bar)
    steps = state.asks.steps if state.asks else ""
    return page_of(state, say(t.HANDS), say(t.HANDS_WAITS), tone=Tone.CARE, steps=steps, bar=bar)


def stop_asked(drawn: Page) -> Page:
    return replace(
        drawn,
        headline=say(t.STOP_ASKED),
        sentences=(say(t.STOP_ASKED_CARE),),
        tone=Tone.CARE,
        buttons=(button(Action.STOP, t.STOP), button(Action.KEEP, t.KEEP_GOING, default=True)),
    )
