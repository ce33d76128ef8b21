"""What there is to see in the end, or in the middle when the cable was pulled."""

from __future__ import annotations

from updater.doors.window import texts as t
from updater.doors.window.page import (
    CLOSE,
    CLOSE_FIRST,
    OTHER,
    REPORT,
    Bar,
    Button,
    Page,
    Tone,
    aside,
    button,
    name_of,
    page_of,
)
from updater.doors.window.state import Action, State
from updater.doors.window.texts import say
from updater.heads.vendor import RecoveryKind
from updater.words.errors import DeviceIs

STEPS_AFTER_S = 8


def done(state: State) -> Page:
    return page_of(
        state,
        say(t.DONE, name=name_of(state), version=state.version or ""),
        say(t.DONE_DO),
        tone=Tone.GOOD,
        buttons=(aside(Action.ANOTHER, t.ANOTHER), CLOSE_FIRST),
    )


def not_confirmed(state: State) -> Page:
    return page_of(
        state,
        say(t.NOT_CONFIRMED),
        say(t.NOT_CONFIRMED_DO, support=state.seller.support),
        tone=Tone.CARE,
        buttons=(REPORT, CLOSE_FIRST),
    )


def unplugged(state: State) -> Page:
    finish = button(Action.FINISH, t.FINISH, default=True)
    if state.resuming:
        bar = Bar(fraction=state.progress.fraction, step=None, left=None)
        return page_of(state, say(t.RESUMING), tone=Tone.BUSY, bar=bar, buttons=(CLOSE,))
    if any(one.port == state.port for one in state.seen):
        sentence = say(t.UNPLUGGED_HERE)
        buttons = (REPORT, CLOSE, finish)
        return page_of(state, say(t.FAILURES["NotFinished"][0]), sentence, tone=Tone.CARE, buttons=buttons)
    offer = state.offer
    stays = offer is not None and offer.recovery in (RecoveryKind.RESIDENT_LOADER, RecoveryKind.NONE)
    late = state.waited_s >= STEPS_AFTER_S and offer is not None and offer.recovery_steps
    return page_of(
        state,
        say(t.UNPLUGGED_LEAVE if stays else t.UNPLUGGED),
        say(t.UNPLUGGED_LEAVE_DO if stays else t.UNPLUGGED_DO),
        *([say(t.UNPLUGGED_STEPS, steps=offer.recovery_steps)] if late and offer else []),
        tone=Tone.CARE,
        bar=Bar(fraction=None, step=None, left=None),
        buttons=(REPORT, CLOSE),
    )


def stopped(state: State) -> Page:
    finish = button(Action.FINISH, t.FINISH, default=True)
    return page_of(state, say(t.STOPPED), say(t.STOPPED_DO), tone=Tone.CARE, buttons=(CLOSE, finish))


def failed(state: State) -> Page:
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
    return page_of(
        state,
        say(headline),
        *sentences,
        tone=Tone.PLAIN if calm else Tone.BAD,
        small=small,
        buttons=_after_failure(failure.kind),
    )


def _after_failure(kind: str) -> tuple[Button, ...]:
    again = button(Action.AGAIN, t.TRY_AGAIN, default=True)
    if kind == "Usage":
        return (OTHER, CLOSE_FIRST)
    if kind == "Cancelled":
        return (CLOSE, again)
    if kind in ("NetworkFailed", "TlsFailed", "NotTrusted", "NoSuchRelease", "Refused", "WrongDevice"):
        return (OTHER, REPORT, CLOSE, again)
    return (REPORT, CLOSE, again)
