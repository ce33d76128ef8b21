"""The window as a fold: what it knows, and what happens, give what it knows then and what is to be done.

Pure. The law that tests hold: an update begins only from a question that a person has answered for exactly
this offer (`State.agreed`), or goes on by itself only with the very same one; while the device is at work
nothing else can be started; and an answer to an earlier job changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from updater.doors.window.state import (
    AT_WORK,
    NEWEST,
    Action,
    CannotLook,
    Entered,
    Failed,
    FileChosen,
    Finished,
    Happening,
    Leave,
    Line,
    LinkArrived,
    Looked,
    NothingNew,
    Offered,
    Order,
    Perform,
    Picked,
    Prepare,
    Pressed,
    Progress,
    ReportSaved,
    ReportWanted,
    SaveReport,
    Scene,
    Second,
    Seen,
    State,
    Stop,
    Told,
    Wanted,
    WantedKind,
)
from updater.doors.window.texts import REPORT_FAILED, REPORT_SAVED, say
from updater.words.events import Event, Noticed, Progressed, Step, StepDone, StepStarted

LINES_KEPT = 500
RESUMES_BY_ITSELF = 3
"""After so many cuts with the device still there, a person has to say that it should go on."""
ALMOST = 0.99
"""What the bar shows at most before the work is really done."""

After = tuple[State, tuple[Order, ...]]

_BUSY = frozenset({*AT_WORK, Scene.UNPLUGGED, Scene.STOPPED})
"""While a device is unfinished nothing else is begun, whatever a link asks for."""
_STAYS_PUT = frozenset({Scene.OTHER, Scene.DONE, Scene.STOPPED, *AT_WORK})
"""Scenes that a device's coming and going does not end."""


def fold(state: State, happening: Happening) -> After:
    """What the window knows after this, and what it wants done."""
    match happening:
        case Looked():
            return _looked(replace(state, advice=happening.advice), happening.seen)
        case CannotLook():
            lost = state.scene in (Scene.LOOKING, Scene.NOTHING)
            return (_to(state, Scene.FAILED, failure=happening.failure) if lost else state), ()
        case Offered() | NothingNew() | Told() | Finished() | Failed() if happening.job != state.job:
            return state, ()
        case Offered() | NothingNew() | Finished() | Failed():
            return _answered(state, happening)
        case Told():
            return _told(state, happening.event), ()
        case Line():
            return replace(state, lines=(*state.lines, happening.text)[-LINES_KEPT:]), ()
        case Pressed():
            return _pressed(state, happening.action)
        case _:
            return _small(state, happening)


def _small(state: State, happening: Happening) -> After:
    match happening:
        case Picked() if any(happening.key == key for key in _keys(state)):
            return replace(state, picked=happening.key), ()
        case Entered():
            return replace(state, entered=happening.text), ()
        case FileChosen() if state.scene not in _BUSY:
            return _wants(state, Wanted(WantedKind.FILE, happening.file))
        case LinkArrived() if state.scene not in _BUSY:
            return _wants(state, Wanted(WantedKind.LINK, happening.tokens))
        case ReportWanted():
            return state, (SaveReport(happening.file),)
        case ReportSaved():
            file, support = happening.file, state.seller.support
            said = say(REPORT_SAVED, file=file, support=support) if file else say(REPORT_FAILED)
            return replace(state, report=said), ()
        case Second():
            return _later(state), ()
    return state, ()


def _to(state: State, scene: Scene, **changes: Any) -> State:
    """Another scene, which begins with an empty field and no question open."""
    fresh: dict[str, Any] = {
        "waited_s": 0,
        "entered": "",
        "report": None,
        "asks": None,
        "asks_to_stop": False,
        "stopping": False,
        "resuming": False,
    }
    return replace(state, scene=scene, **(fresh | changes))


# ------------------------------------------------------------------------------------ devices come and go


def _looked(state: State, seen: tuple[Seen, ...]) -> After:
    before, state = state, replace(state, seen=seen)
    if state.scene is Scene.UNPLUGGED:
        return _back_or_away(state)
    if state.scene is Scene.NOT_CONFIRMED:
        return _came_back(state), ()
    if state.scene in _STAYS_PUT:
        return state, ()
    ours = _device(state)
    if state.scene is Scene.FAILED and (state.port is None or ours is not None):
        return _opens_now(state, ours)
    if state.scene not in (Scene.LOOKING, Scene.NOTHING, Scene.SEVERAL):
        if ours is not None and ours == _device(before):
            return state, ()
        return _consider(_forget_device(state))
    return _consider(state)


def _opens_now(state: State, ours: Seen | None) -> After:
    """A device that could not be opened goes on by itself once it can, also in the middle of the work."""
    was_closed = state.failure is not None and state.failure.problem is not None
    if ours is None or ours.problem is not None or not was_closed:
        return state, ()
    if state.agreed is not None and not ours.candidates:
        return _prepare(_to(state, Scene.CHECKING, resuming=True))
    return _consider(_to(state, Scene.LOOKING))


def _consider(state: State) -> After:
    """What to do with what is connected."""
    usable = [one for one in state.seen if not one.is_stranger]
    if state.port not in [one.port for one in usable]:
        state = _forget_device(state)
    if not usable:
        return (state if state.scene is Scene.NOTHING else _to(state, Scene.NOTHING)), ()
    if state.port is None and len(usable) > 1:
        picked = state.picked if state.picked in [one.port for one in usable] else None
        return _to(state, Scene.SEVERAL, picked=picked), ()
    state = replace(state, port=state.port or usable[0].port)
    one = next(device for device in usable if device.port == state.port)
    if one.candidates and state.as_product is None:
        only = one.candidates[0].key if len(one.candidates) == 1 else None
        return _to(state, Scene.PICK, picked=only), ()
    return _prepare(_to(state, Scene.CHECKING))


def _prepare(state: State) -> After:
    state = replace(state, job=state.job + 1, progress=Progress(), failure=None)
    order = Prepare(
        job=state.job,
        wanted=state.wanted,
        port=state.port,
        as_product=state.as_product,
        again=state.again,
    )
    return state, (order,)


def _back_or_away(state: State) -> After:
    """The device that was lost in the middle: it goes on as soon as it is back on its port."""
    if _device(state) is None:
        return replace(state, resumes=0, resuming=False), ()
    if state.resuming or state.resumes >= RESUMES_BY_ITSELF:
        return state, ()
    return _resume(state)


def _resume(state: State) -> After:
    one = _device(state)
    if one is not None and one.candidates and state.as_product is None:
        return _consider(state)
    scene = Scene.UNPLUGGED if one is not None else Scene.NOTHING
    return _prepare(_to(state, scene, resuming=True, resumes=state.resumes + 1))


def _came_back(state: State) -> State:
    one = _device(state)
    runs = one is not None and not one.in_update_mode
    if runs and one is not None and state.offer is not None and one.version == state.offer.new:
        return _to(state, Scene.DONE, exit_status=0)
    return state


def _device(state: State) -> Seen | None:
    """The device that is worked on, where it is connected."""
    return next((one for one in state.seen if one.port == state.port), None)


def _forget_device(state: State) -> State:
    picked = state.picked if state.scene is Scene.SEVERAL else None
    return replace(state, port=None, picked=picked, as_product=None, offer=None, agreed=None, again=False)


# ------------------------------------------------------------------------------------- the worker's answers


def _answered(state: State, answer: Offered | NothingNew | Finished | Failed) -> After:
    waits_for_one = state.scene in (Scene.CHECKING, *AT_WORK) or state.resuming
    if isinstance(answer, Failed):
        return _failed(state, answer) if waits_for_one or state.job == 0 else (state, ())
    if isinstance(answer, Finished):
        if state.scene not in AT_WORK:
            return state, ()
        scene = Scene.DONE if answer.confirmed else Scene.NOT_CONFIRMED
        ended = _to(state, scene, version=answer.version, exit_status=0 if answer.confirmed else 10)
        return replace(ended, resumes=0, progress=Progress(fraction=1.0)), ()
    if not waits_for_one or state.scene in AT_WORK:
        return state, ()
    if isinstance(answer, NothingNew):
        scene = Scene.DONE if state.resuming else Scene.UP_TO_DATE
        return _to(state, scene, version=answer.version, exit_status=0), ()
    offer = answer.offer
    if state.resuming and offer.key == state.agreed and offer.is_proven | (state.as_product is not None):
        return _work(replace(state, offer=offer))
    scene = Scene.LINKED if state.wanted.kind is WantedKind.LINK else Scene.OFFERED
    return _to(state, scene, offer=offer, agreed=None), ()


def _failed(state: State, answer: Failed) -> After:
    failure = answer.failure
    ended = replace(state, failure=failure, exit_status=failure.exit_status)
    if failure.kind == "NotFinished":
        scene = Scene.STOPPED if state.stopping else Scene.UNPLUGGED
        return _to(ended, scene, resumes=state.resumes), ()
    if failure.kind == "NoDevice" and state.job:
        if state.resuming:
            return _to(ended, Scene.UNPLUGGED), ()
        return _to(_forget_device(ended), Scene.NOTHING), ()
    if failure.kind == "UnknownDevice" and state.scene in AT_WORK:
        return _to(ended, Scene.LOOKING), ()  # it came into its update mode as a stranger: ask who it is
    return _to(ended, Scene.FAILED), ()


def _work(state: State) -> After:
    assert state.offer is not None
    progress = Progress(fraction=0.0, left_ms=state.offer.estimate_ms)
    state = _to(state, Scene.WORKING, agreed=state.offer.key, progress=progress, failure=None)
    return state, (Perform(state.job),)


# ---------------------------------------------------------------------------------------- while it works


def _told(state: State, event: Event) -> State:
    if state.scene not in (Scene.CHECKING, *AT_WORK):
        return state
    if isinstance(event, Noticed):
        if event.asks is not None and state.scene in AT_WORK:
            return replace(state, scene=Scene.HANDS, asks=event.asks, waited_s=0)
        return _hands_off(state)
    if isinstance(event, StepDone) or (isinstance(event, StepStarted) and event.step is not Step.CONFIRM):
        state = _hands_off(state)
    if isinstance(event, StepDone):
        return state
    if state.scene is Scene.CHECKING:
        return replace(state, progress=_downloaded(state.progress, event))
    left_ms = event.remaining_ms if isinstance(event, Progressed) else state.progress.left_ms
    return replace(state, progress=_nearer(state, event.step, left_ms))


def _hands_off(state: State) -> State:
    return replace(state, scene=Scene.WORKING, asks=None) if state.scene is Scene.HANDS else state


def _downloaded(before: Progress, event: StepStarted | Progressed) -> Progress:
    if isinstance(event, StepStarted):
        return Progress(step=event.step, total=event.total, fraction=0.0 if event.total else None)
    total = before.total
    return replace(before, fraction=min(event.done / total, 1.0) if total else None)


def _nearer(state: State, step: Step | None, left_ms: int | None) -> Progress:
    """The bar moves with the time that is still needed, and never back."""
    before, whole_ms = state.progress, state.offer.estimate_ms if state.offer else 0
    fraction = before.fraction or 0.0
    if left_ms is not None and whole_ms > 0:
        fraction = max(fraction, min(1 - left_ms / whole_ms, ALMOST))
    return Progress(step=step, fraction=fraction, left_ms=left_ms)


def _later(state: State) -> State:
    state = replace(state, waited_s=state.waited_s + 1)
    if state.scene is Scene.WORKING and state.progress.left_ms is not None:
        left_ms = max(state.progress.left_ms - 1000, 0)
        return replace(state, progress=_nearer(state, state.progress.step, left_ms))
    return state


# ----------------------------------------------------------------------------------------- what a person does


def _keys(state: State) -> list[str]:
    if state.scene is Scene.SEVERAL:
        return [one.port for one in state.seen if not one.is_stranger]
    one = _device(state)
    return [candidate.key for candidate in one.candidates] if one and state.scene is Scene.PICK else []


def _wants(state: State, wanted: Wanted) -> After:
    return _consider(_to(replace(state, wanted=wanted, offer=None, agreed=None), Scene.LOOKING))


def _pressed(state: State, action: Action) -> After:
    if state.scene in AT_WORK:
        return _pressed_at_work(state, action)
    if action in (Action.CLOSE, Action.CANCEL):
        stop: tuple[Order, ...] = (Stop(state.job),) if state.scene is Scene.CHECKING else ()
        cancelled = state.scene in (Scene.OFFERED, Scene.LINKED, Scene.TYPED, Scene.CHECKING)
        return replace(state, exit_status=12 if cancelled else state.exit_status), (*stop, Leave())
    match action, state.scene:
        case Action.UPDATE, Scene.OFFERED | Scene.LINKED:
            return _agreed(state)
        case Action.TYPED, Scene.TYPED:
            return _typed(state)
        case Action.BACK, Scene.TYPED:
            linked = state.wanted.kind is WantedKind.LINK
            return _to(state, Scene.LINKED if linked else Scene.OFFERED, agreed=None), ()
        case Action.CHOOSE, Scene.SEVERAL if state.picked is not None:
            return _consider(replace(state, port=state.picked, picked=None))
        case Action.CHOOSE, Scene.PICK if state.picked is not None:
            return _consider(replace(state, as_product=state.picked))
        case Action.FINISH, Scene.UNPLUGGED | Scene.STOPPED if not state.resuming:
            return _resume(state)
        case _:
            return _pressed_elsewhere(state, action)


def _pressed_elsewhere(state: State, action: Action) -> After:
    match action, state.scene:
        case Action.AGAIN, Scene.FAILED:
            return _consider(_to(state, Scene.LOOKING))
        case Action.REINSTALL, Scene.UP_TO_DATE:
            return _consider(_to(replace(state, again=True), Scene.LOOKING))
        case Action.ANOTHER, Scene.DONE | Scene.UP_TO_DATE | Scene.NOT_CONFIRMED | Scene.FAILED:
            return _wants(_forget_device(state), NEWEST)
        case Action.OTHER, Scene.NOTHING | Scene.UP_TO_DATE | Scene.OFFERED | Scene.FAILED:
            return _to(state, Scene.OTHER), ()
        case Action.ENTER, Scene.OTHER if state.entered.strip():
            return _wants(state, Wanted(WantedKind.ENTERED, state.entered.strip()))
        case Action.BACK, Scene.OTHER:
            return _consider(_to(state, Scene.LOOKING))
    return state, ()


def _pressed_at_work(state: State, action: Action) -> After:
    """While the device is at work a person can only ask to stop, and then say yes or no."""
    if action in (Action.CLOSE, Action.CANCEL) and not state.stopping:
        return replace(state, asks_to_stop=True), ()
    if action is Action.KEEP:
        return replace(state, asks_to_stop=False), ()
    if action is Action.STOP and state.asks_to_stop:
        return replace(state, asks_to_stop=False, stopping=True), (Stop(state.job),)
    return state, ()


def _agreed(state: State) -> After:
    assert state.offer is not None
    if state.offer.confirmations:
        return _to(state, Scene.TYPED, typing=0), ()
    return _work(state)


def _typed(state: State) -> After:
    assert state.offer is not None
    wanted = state.offer.confirmations
    if state.entered.strip() != wanted[state.typing].text:
        return state, ()
    if state.typing + 1 < len(wanted):
        return _to(state, Scene.TYPED, typing=state.typing + 1), ()
    return _work(state)
