"""What there is to see of a state: headline, sentences, rows, buttons. Pure; `view` draws it, and only it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from updater.doors.window import texts as t
from updater.doors.window.state import AT_WORK, Action, Doubt, Offer, Scene, Seen, State, WantedKind
from updater.doors.window.texts import Text, say, verbatim
from updater.heads.vendor import RecoveryKind
from updater.words.errors import DeviceIs

ADVICE_AFTER_S = 4
"""A device that is being plugged in needs a moment; nobody needs advice before."""
STEPS_AFTER_S = 8
KB, MB = 1000, 1000 * 1000
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


def page(state: State) -> Page:
    """Draw up the page for this state."""
    drawn = _PAGES[state.scene](state)
    title = say(t.TITLE_DEMO if state.seller.is_demo else t.TITLE, vendor=state.seller.name)
    small = (*drawn.small, *([state.report] if state.report else []))
    if state.asks_to_stop and state.scene in AT_WORK:
        drawn = _stop_asked(drawn)
    return replace(
        drawn,
        title=say(t.TITLE_WITH, headline=drawn.headline, title=title),
        small=small,
        lines=state.lines,
    )


def _page(state: State, headline: Text, *sentences: Text, **more: Any) -> Page:
    return Page(scene=state.scene, title=headline, headline=headline, sentences=sentences, **more)


def _button(action: Action, text: str, *, primary: bool = False, default: bool = False) -> Button:
    return Button(action=action, text=say(text), is_primary=primary or default, is_default=default)


_CLOSE = _button(Action.CLOSE, t.CLOSE)
_CLOSE_FIRST = _button(Action.CLOSE, t.CLOSE, default=True)
_OPEN_FILE = _button(Action.OPEN_FILE, t.OPEN_FILE)


def _aside(action: Action, text: str) -> Button:
    return Button(action=action, text=say(text), is_aside=True)


_OTHER = _aside(Action.OTHER, t.OTHER_BUTTON)
_REPORT = _aside(Action.REPORT, t.REPORT)


# -------------------------------------------------------------------------------------------- before the work


def _looking(state: State) -> Page:
    return _page(
        state, say(t.LOOKING), tone=Tone.BUSY, bar=Bar(fraction=None, step=None, left=None), buttons=(_CLOSE,)
    )


def _nothing(state: State) -> Page:
    sentences = [say(t.NOTHING_DO, vendor=state.seller.name)]
    if state.wanted.kind is WantedKind.LINK:
        id = state.wanted.text.partition("/")[0]
        sentences.append(say(t.NOTHING_LINK, product=dict(state.seller.products).get(id, id)))
    if state.wanted.kind is WantedKind.FILE:
        sentences.append(say(t.NOTHING_FILE, file=_short(state.wanted.text)))
    if state.seen:
        sentences.append(say(t.STRANGER_HERE))
    return _page(
        state,
        say(t.NOTHING),
        *sentences,
        tips=state.advice if state.waited_s >= ADVICE_AFTER_S else (),
        buttons=(_OTHER, _CLOSE_FIRST),
    )


def _short(path: str) -> str:
    """A file's name without its folder, on any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _several(state: State) -> Page:
    choices = tuple(_device_choice(one) for one in state.seen if not one.is_stranger)
    chosen = any(one.key == state.picked for one in choices)
    go = Button(action=Action.CHOOSE, text=say(t.CONTINUE), is_primary=True, is_default=True, is_armed=chosen)
    return _page(
        state,
        say(t.SEVERAL),
        say(t.SEVERAL_DO),
        choices=choices,
        picked=state.picked,
        buttons=(_CLOSE, go),
    )


def _device_choice(one: Seen) -> Choice:
    silent = t.DEVICE_SILENT if one.in_update_mode else t.DEVICE_UNKNOWN
    facts = [say(t.DEVICE_VERSION, version=one.version)] if one.version else []
    if one.serial and not one.in_update_mode:
        facts.append(say(t.DEVICE_SERIAL, serial=one.serial))
    facts.append(say(t.DEVICE_PORT, port=one.port))
    below = facts[0]
    for fact in facts[1:]:
        below = say(t.JOINED, first=below, second=fact)
    return Choice(key=one.port, text=verbatim(one.title) if one.title else say(silent), below=below)


def _pick(state: State) -> Page:
    one = next((device for device in state.seen if device.port == state.port), None)
    choices = tuple(
        Choice(
            key=candidate.key,
            text=verbatim(candidate.title),
            below=say(t.PICK_LABEL, product=candidate.key.partition(":")[0], hardware=candidate.hardware),
        )
        for candidate in (one.candidates if one else ())
    )
    armed = any(choice.key == state.picked for choice in choices)
    this = Button(
        action=Action.CHOOSE, text=say(t.THIS_IS_IT), is_primary=True, is_default=True, is_armed=armed
    )
    return _page(
        state,
        say(t.PICK),
        say(t.PICK_DO),
        say(t.PICK_CARE),
        tone=Tone.CARE,
        choices=choices,
        picked=state.picked,
        buttons=(_CLOSE, this),
    )


def _other(state: State) -> Page:
    go = Button(
        action=Action.ENTER,
        text=say(t.CONTINUE),
        is_primary=True,
        is_default=True,
        is_armed=bool(state.entered.strip()),
    )
    buttons = (_button(Action.BACK, t.BACK), _OPEN_FILE, go)
    return _page(state, say(t.OTHER), say(t.OTHER_DO), entry=say(t.OTHER_ENTRY), buttons=buttons)


def _checking(state: State) -> Page:
    name = _name(state)
    step = say(t.STEPS[state.progress.step]) if state.progress.step else None
    return _page(
        state,
        say(t.CHECKING, name=name) if name else say(t.CHECKING_ANY),
        tone=Tone.BUSY,
        bar=Bar(fraction=state.progress.fraction, step=step, left=None),
        buttons=(_button(Action.CANCEL, t.CANCEL),),
    )


def _name(state: State) -> str:
    if state.offer is not None:
        return state.offer.title
    one = next((device for device in state.seen if device.port == state.port), None)
    if one is not None and state.as_product is not None:
        return next((c.title for c in one.candidates if c.key == state.as_product), "")
    return (one.title if one else None) or ""


def _up_to_date(state: State) -> Page:
    return _page(
        state,
        say(t.UP_TO_DATE, name=_name(state)),
        say(t.UP_TO_DATE_SAYS, version=state.version or ""),
        tone=Tone.GOOD,
        buttons=(_OTHER, _aside(Action.REINSTALL, t.REINSTALL), _CLOSE_FIRST),
    )


def _offered(state: State) -> Page:
    offer = _of(state)
    headline = t.OFFERED_REPAIR if offer.in_update_mode else t.OFFERED
    update = _button(Action.UPDATE, t.UPDATE_NOW, default=True)
    return _page(
        state,
        say(t.OFFERED_OLDER if offer.is_older else headline, name=offer.title),
        say(t.OFFERED_DO),
        *_warnings(state, offer),
        tone=Tone.CARE if offer.is_older else Tone.PLAIN,
        rows=tuple(_rows(offer)),
        notes=offer.notes,
        small=(_if_cut(offer),),
        buttons=(_OTHER, _button(Action.CLOSE, t.NOT_NOW), update),
    )


def _linked(state: State) -> Page:
    offer = _of(state)
    return _page(
        state,
        say(t.LINKED, name=offer.title),
        say(t.LINKED_CARE, vendor=state.seller.name),
        *_warnings(state, offer),
        tone=Tone.CARE,
        rows=tuple(_rows(offer)),
        notes=offer.notes,
        small=(_if_cut(offer),),
        buttons=(
            _button(Action.UPDATE, t.UPDATE_NOW),
            _button(Action.CANCEL, t.CANCEL, default=True),
        ),
    )


def _warnings(state: State, offer: Offer) -> Iterator[Text]:
    if not offer.is_proven and state.as_product:
        yield say(t.TOLD_BY_YOU, product=offer.title)
    if offer.erases_all:
        yield say(t.ALL_ERASED)
    if offer.asks_to_replug:
        yield say(t.REPLUG_AT_END)


def _rows(offer: Offer) -> Iterator[tuple[Text, Text]]:
    yield say(t.ROW_INSTALLED), verbatim(offer.old) if offer.old else say(t.VERSION_UNKNOWN)
    yield say(t.ROW_NEW), verbatim(offer.new)
    if offer.size is not None:
        yield say(t.ROW_SIZE), _size(offer.size)
    yield say(t.ROW_TIME), _time(offer.estimate_ms, t.ABOUT_SECONDS, t.ABOUT_MINUTES)


def _size(size: int) -> Text:
    if size >= MB:
        return say(t.SIZE_MB, amount=f"{size / MB:.1f}")
    return say(t.SIZE_KB, amount=max(1, round(size / KB)))


def _time(ms: int, seconds: str, minutes: str) -> Text:
    if ms < SHORT_MS:
        return say(seconds, count=max(2, round(ms / 1000)))
    return say(minutes, count=round(ms / 60_000))


def _if_cut(offer: Offer) -> Text:
    if offer.recovery is RecoveryKind.NONE:
        return say(t.NO_WAY_BACK)
    if offer.recovery_steps:
        return say(t.IF_CUT_STEPS, steps=offer.recovery_steps)
    return say(t.IF_CUT)


def _typed(state: State) -> Page:
    offer = _of(state)
    wanted = offer.confirmations[state.typing]
    if wanted.doubt is Doubt.OLDER:
        headline, care = say(t.TYPED_OLDER), say(t.TYPED_OLDER_CARE, new=offer.new, old=offer.old or "?")
    else:
        headline = say(t.TYPED_EXPIRED)
        care = say(t.TYPED_EXPIRED_CARE, vendor=state.seller.name)
    go = Button(
        action=Action.TYPED,
        text=say(t.UPDATE_NOW),
        is_primary=True,
        is_default=True,
        is_armed=state.entered.strip() == wanted.text,
    )
    return _page(
        state,
        headline,
        care,
        tone=Tone.CARE,
        entry=say(t.TYPED_ENTRY, text=wanted.text),
        buttons=(_button(Action.BACK, t.BACK), go),
    )


def _of(state: State) -> Offer:
    assert state.offer is not None
    return state.offer


# -------------------------------------------------------------------------------------------- during the work


def _working(state: State) -> Page:
    return _page(
        state,
        say(t.WORKING, name=_name(state)),
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
        left=_time(left, t.LEFT_SECONDS, t.LEFT_MINUTES) if left else None,
    )


def _hands(state: State) -> Page:
    bar = Bar(fraction=None, step=None, left=None)
    if state.asks is not None and state.asks.what == "replug":
        return _page(state, say(t.REPLUG), say(t.REPLUG_DO), tone=Tone.CARE, bar=bar)
    if state.asks is not None and state.asks.what == "driver":
        care = say(t.DRIVER_DO, support=state.seller.support)
        return _page(state, say(t.DRIVER), care, tone=Tone.CARE, bar=bar)
    steps = state.asks.steps if state.asks else ""
    return _page(state, say(t.HANDS), say(t.HANDS_WAITS), tone=Tone.CARE, steps=steps, bar=bar)


def _stop_asked(drawn: Page) -> Page:
    return replace(
        drawn,
        headline=say(t.STOP_ASKED),
        sentences=(say(t.STOP_ASKED_CARE),),
        tone=Tone.CARE,
        buttons=(_button(Action.STOP, t.STOP), _button(Action.KEEP, t.KEEP_GOING, default=True)),
    )


# --------------------------------------------------------------------------------------------- after the work


def _done(state: State) -> Page:
    return _page(
        state,
        say(t.DONE, name=_name(state), version=state.version or ""),
        say(t.DONE_DO),
        tone=Tone.GOOD,
        buttons=(_aside(Action.ANOTHER, t.ANOTHER), _CLOSE_FIRST),
    )


def _not_confirmed(state: State) -> Page:
    return _page(
        state,
        say(t.NOT_CONFIRMED),
        say(t.NOT_CONFIRMED_DO, support=state.seller.support),
        tone=Tone.CARE,
        buttons=(_REPORT, _CLOSE_FIRST),
    )


def _unplugged(state: State) -> Page:
    finish = _button(Action.FINISH, t.FINISH, default=True)
    if state.resuming:
        bar = Bar(fraction=state.progress.fraction, step=None, left=None)
        return _page(state, say(t.RESUMING), tone=Tone.BUSY, bar=bar, buttons=(_CLOSE,))
    if any(one.port == state.port for one in state.seen):
        sentence = say(t.UNPLUGGED_HERE)
        buttons = (_REPORT, _CLOSE, finish)
        return _page(state, say(t.FAILURES["NotFinished"][0]), sentence, tone=Tone.CARE, buttons=buttons)
    offer = state.offer
    stays = offer is not None and offer.recovery in (RecoveryKind.RESIDENT_LOADER, RecoveryKind.NONE)
    late = state.waited_s >= STEPS_AFTER_S and offer is not None and offer.recovery_steps
    return _page(
        state,
        say(t.UNPLUGGED_LEAVE if stays else t.UNPLUGGED),
        say(t.UNPLUGGED_LEAVE_DO if stays else t.UNPLUGGED_DO),
        *([say(t.UNPLUGGED_STEPS, steps=offer.recovery_steps)] if late and offer else []),
        tone=Tone.CARE,
        bar=Bar(fraction=None, step=None, left=None),
        buttons=(_REPORT, _CLOSE),
    )


def _stopped(state: State) -> Page:
    finish = _button(Action.FINISH, t.FINISH, default=True)
    return _page(state, say(t.STOPPED), say(t.STOPPED_DO), tone=Tone.CARE, buttons=(_CLOSE, finish))


def _failed(state: State) -> Page:
    failure = state.failure
    assert failure is not None
    support = state.seller.support
    headline, advice = t.FAILURES.get(failure.kind, t.FAILURES["Bug"])
    advice = t.PROBLEMS.get(failure.problem or "", advice)
    sentences = [say(advice, support=support)]
    if failure.device_is is DeviceIs.RUNS_OLD:
        sentences.append(say(t.RUNS_OLD))
    elif failure.device_is is DeviceIs.IN_BOOTLOADER:
        sentences.append(say(t.IN_UPDATE_MODE))
    if failure.kind not in ("Bug", "Cancelled", "Usage") and "{support}" not in advice:
        sentences.append(say(t.FAILED_SUPPORT, support=support))
    calm = failure.kind == "Cancelled"
    small = (say(t.FAILED_MESSAGE, message=failure.message),) if failure.message and not calm else ()
    return _page(
        state,
        say(headline),
        *sentences,
        tone=Tone.PLAIN if calm else Tone.BAD,
        small=small,
        buttons=_after_failure(failure.kind),
    )


def _after_failure(kind: str) -> tuple[Button, ...]:
    again = _button(Action.AGAIN, t.TRY_AGAIN, default=True)
    if kind == "Usage":
        return (_OTHER, _CLOSE_FIRST)
    if kind == "Cancelled":
        return (_CLOSE, again)
    if kind in ("NetworkFailed", "TlsFailed", "NotTrusted", "NoSuchRelease", "Refused", "WrongDevice"):
        return (_OTHER, _REPORT, _CLOSE, again)
    return (_REPORT, _CLOSE, again)


_PAGES = {
    Scene.LOOKING: _looking,
    Scene.NOTHING: _nothing,
    Scene.SEVERAL: _several,
    Scene.PICK: _pick,
    Scene.OTHER: _other,
    Scene.CHECKING: _checking,
    Scene.UP_TO_DATE: _up_to_date,
    Scene.OFFERED: _offered,
    Scene.LINKED: _linked,
    Scene.TYPED: _typed,
    Scene.WORKING: _working,
    Scene.HANDS: _hands,
    Scene.UNPLUGGED: _unplugged,
    Scene.STOPPED: _stopped,
    Scene.DONE: _done,
    Scene.NOT_CONFIRMED: _not_confirmed,
    Scene.FAILED: _failed,
}
