"""What there is to see of a state: headline, sentences, rows, buttons. Pure; `view` draws it, and only it."""

from __future__ import annotations

from dataclasses import replace

from updater.doors.window import after, before, during
from updater.doors.window import texts as t
from updater.doors.window.page import Page
from updater.doors.window.state import AT_WORK, Scene, State
from updater.doors.window.texts import say

_PAGES = {
    Scene.LOOKING: before.looking,
    Scene.NOTHING: before.nothing,
    Scene.SEVERAL: before.several,
    Scene.PICK: before.pick,
    Scene.OTHER: before.other,
    Scene.CHECKING: before.checking,
    Scene.UP_TO_DATE: before.up_to_date,
    Scene.OFFERED: before.offered,
    Scene.LINKED: before.linked,
    Scene.TYPED: before.typed,
    Scene.WORKING: during.working,
    Scene.HANDS: during.hands,
    Scene.UNPLUGGED: after.unplugged,
    Scene.STOPPED: after.stopped,
    Scene.DONE: after.done,
    Scene.NOT_CONFIRMED: after.not_confirmed,
    Scene.FAILED: after.failed,
}


def page(state: State) -> Page:
    """Draw up the page for this state."""
    drawn = _PAGES[state.scene](state)
    title = say(t.TITLE_DEMO if state.seller.is_demo else t.TITLE, vendor=state.seller.name)
    small = (*drawn.small, *([state.report] if state.report else []))
    if state.asks_to_stop and state.scene in AT_WORK:
        drawn = during.stop_asked(drawn)
    return replace(
        drawn,
        title=say(t.TITLE_WITH, headline=drawn.headline, title=title),
        small=small,
        lines=state.lines,
    )
