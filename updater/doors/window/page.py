"""What a page of the window is made of, and the words and buttons that several pages share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from updater.doors.window import texts as t
from updater.doors.window.state import Action, Scene, State
from updater.doors.window.texts import Text, say

SHORT_MS = 120_000


class Tone(StrEnum):
    """How a page feels: it colours the mark beside the headline."""

    PLAIN = "plain"
    BUSY = "busy"
    GOOD = "good"
    CARE = "care"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """`is_default`: the Enter key presses it; at most one of a page is. `is_aside`: it leads elsewhere and
    is drawn as a link.
    """

    action: Action
    text: Text
    is_aside: bool = False
    is_primary: bool = False
    is_default: bool = False
    is_armed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A line of a list."""

    key: str
    text: Text
    below: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`fraction` None: it is not known how far it is."""

    fraction: float | None
    step: Text | None
    left: Text | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the window shows."""

    scene: Scene
    title: Text
    headline: Text
    tone: Tone = Tone.PLAIN
    sentences: tuple[Text, ...] = ()
    rows: tuple[tuple[Text, Text], ...] = ()
    notes: str = ""
    choices: tuple[Choice, ...] = ()
    picked: str | None = None
    entry: Text | None = None
    bar: Bar | None = None
    steps: str = ""
    tips: tuple[Text, ...] = ()
    small: tuple[Text, ...] = ()
    buttons: tuple[Button, ...] = ()
    lines: tuple[str, ...] = ()


def page_of(state: State, headline: Text, *sentences: Text, **more: Any) -> Page:
    return Page(scene=state.scene, title=headline, headline=headline, sentences=sentences, **more)


def button(action: Action, text: str, *, primary: bool = False, default: bool = False) -> Button:
    return Button(action=action, text=say(text), is_primary=primary or default, is_default=default)


CLOSE = button(Action.CLOSE, t.CLOSE)
CLOSE_FIRST = button(Action.CLOSE, t.CLOSE, default=True)
OPEN_FILE = button(Action.OPEN_FILE, t.OPEN_FILE)


def aside(action: Action, text: str) -> Button:
    return Button(action=action, text=say(text), is_aside=True)


OTHER = aside(Action.OTHER, t.OTHER_BUTTON)
REPORT = aside(Action.REPORT, t.REPORT)


def name_of(state: State) -> str:
    if state.offer is not None:
        return state.offer.title
    one = next((device for device in state.seen if device.port == state.port), None)
    if one is not None and state.as_product is not None:
        return next((c.title for c in one.candidates if c.key == state.as_product), "")
    return (one.title if one else None) or ""


def time_words(ms: int, seconds: str, minutes: str) -> Text:
    if ms < SHORT_MS:
        return say(seconds, count=max(2, round(ms / 1000)))
    return say(minutes, count=round(ms / 60_000))
