"""What there is to see before the work: who is connected, what is offered, and the one question."""

from __future__ import annotations

from collections.abc import Iterator

from updater.doors.window import texts as t
from updater.doors.window.page import (
    CLOSE,
    CLOSE_FIRST,
    OPEN_FILE,
    OTHER,
    Bar,
    Button,
    Choice,
    Page,
    Tone,
    aside,
    button,
    name_of,
    page_of,
    time_words,
)
from updater.doors.window.state import Action, Doubt, Offer, Seen, State, WantedKind
from updater.doors.window.texts import Text, say, verbatim
from updater.heads.vendor import RecoveryKind

ADVICE_AFTER_S = 4
"""A device that is being plugged in needs a moment; nobody needs advice before."""
KB, MB = 1000, 1000 * 1000


def looking(state: State) -> Page:
    return page_of(
        state, say(t.LOOKING), tone=Tone.BUSY, bar=Bar(fraction=None, step=None, left=None), buttons=(CLOSE,)
    )


def nothing(state: State) -> Page:
    sentences = [say(t.NOTHING_DO, vendor=state.seller.name)]
    if state.wanted.kind is WantedKind.LINK:
        id = state.wanted.text.partition("/")[0]
        sentences.append(say(t.NOTHING_LINK, product=dict(state.seller.products).get(id, id)))
    if state.wanted.kind is WantedKind.FILE:
        sentences.append(say(t.NOTHING_FILE, file=_short(state.wanted.text)))
    if state.seen:
        sentences.append(say(t.STRANGER_HERE))
    return page_of(
        state,
        say(t.NOTHING),
        *sentences,
        tips=state.advice if state.waited_s >= ADVICE_AFTER_S else (),
        buttons=(OTHER, CLOSE_FIRST),
    )


def _short(path: str) -> str:
    """A file's name without its folder, on any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def several(state: State) -> Page:
    choices = tuple(_device_choice(one) for one in state.seen if not one.is_stranger)
    chosen = any(one.key == state.picked for one in choices)
    go = Button(action=Action.CHOOSE, text=say(t.CONTINUE), is_primary=True, is_default=True, is_armed=chosen)
    return page_of(
        state,
        say(t.SEVERAL),
        say(t.SEVERAL_DO),
        choices=choices,
        picked=state.picked,
        buttons=(CLOSE, go),
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


def pick(state: State) -> Page:
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
    return page_of(
        state,
        say(t.PICK),
        say(t.PICK_DO),
        say(t.PICK_CARE),
        tone=Tone.CARE,
        choices=choices,
        picked=state.picked,
        buttons=(CLOSE, this),
    )


def other(state: State) -> Page:
    go = Button(
        action=Action.ENTER,
        text=say(t.CONTINUE),
        is_primary=True,
        is_default=True,
        is_armed=bool(state.entered.strip()),
    )
    buttons = (button(Action.BACK, t.BACK), OPEN_FILE, go)
    return page_of(state, say(t.OTHER), say(t.OTHER_DO), entry=say(t.OTHER_ENTRY), buttons=buttons)


def checking(state: State) -> Page:
    name = name_of(state)
    step = say(t.STEPS[state.progress.step]) if state.progress.step else None
    return page_of(
        state,
        say(t.CHECKING, name=name) if name else say(t.CHECKING_ANY),
        tone=Tone.BUSY,
        bar=Bar(fraction=state.progress.fraction, step=step, left=None),
        buttons=(button(Action.CANCEL, t.CANCEL),),
    )


def up_to_date(state: State) -> Page:
    return page_of(
        state,
        say(t.UP_TO_DATE, name=name_of(state)),
        say(t.UP_TO_DATE_SAYS, version=state.version or ""),
        tone=Tone.GOOD,
        buttons=(OTHER, aside(Action.REINSTALL, t.REINSTALL), CLOSE_FIRST),
    )


def offered(state: State) -> Page:
    offer = _of(state)
    headline = t.OFFERED_REPAIR if offer.in_update_mode else t.OFFERED
    update = button(Action.UPDATE, t.UPDATE_NOW, default=True)
    return page_of(
        state,
        say(t.OFFERED_OLDER if offer.is_older else headline, name=offer.title),
        say(t.OFFERED_DO),
        *_warnings(state, offer),
        tone=Tone.CARE if offer.is_older else Tone.PLAIN,
        rows=tuple(_rows(offer)),
        notes=offer.notes,
        small=(_if_cut(offer),),
        buttons=(OTHER, button(Action.CLOSE, t.NOT_NOW), update),
    )


def linked(state: State) -> Page:
    offer = _of(state)
    return page_of(
        state,
        say(t.LINKED, name=offer.title),
        say(t.LINKED_CARE, vendor=state.seller.name),
        *_warnings(state, offer),
        tone=Tone.CARE,
        rows=tuple(_rows(offer)),
        notes=offer.notes,
        small=(_if_cut(offer),),
        buttons=(
            button(Action.UPDATE, t.UPDATE_NOW),
            button(Action.CANCEL, t.CANCEL, default=True),
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
    yield say(t.ROW_TIME), time_words(offer.estimate_ms, t.ABOUT_SECONDS, t.ABOUT_MINUTES)


def _size(size: int) -> Text:
    if size >= MB:
        return say(t.SIZE_MB, amount=f"{size / MB:.1f}")
    return say(t.SIZE_KB, amount=max(1, round(size / KB)))


def _if_cut(offer: Offer) -> Text:
    if offer.recovery is RecoveryKind.NONE:
        return say(t.NO_WAY_BACK)
    if offer.recovery_steps:
        return say(t.IF_CUT_STEPS, steps=offer.recovery_steps)
    return say(t.IF_CUT)


def typed(state: State) -> Page:
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
    return page_of(
        state,
        headline,
        care,
        tone=Tone.CARE,
        entry=say(t.TYPED_ENTRY, text=wanted.text),
        buttons=(button(Action.BACK, t.BACK), go),
    )


def _of(state: State) -> Offer:
    assert state.offer is not None
    return state.offer
