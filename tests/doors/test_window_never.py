"""Whatever happens to the window, in any order: what must never be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doors.window_kit import (
    CUT,
    GADGET,
    LINK,
    NEW,
    OFFER,
    OFFERED,
    OLDER,
    SILENT,
    STRANGER,
    WIDGET,
    WORKING,
    after,
    failure,
    orders,
)
from updater.doors.window.fold import fold
from updater.doors.window.scenes import page
from updater.doors.window.state import (
    AT_WORK,
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
    Scene,
    Second,
    State,
    Told,
)
from updater.words.errors import DeviceIs, every_error
from updater.words.events import Asks, Noticed, Progressed, Step, StepDone, StepStarted

STEPS = st.sampled_from(list(Step))
JOBS = st.integers(0, 4)
FAILURES = st.builds(
    failure,
    st.sampled_from([one.__name__ for one in every_error()]),
    device_is=st.sampled_from(list(DeviceIs)),
)
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    st.builds(
        Looked,
        st.lists(
            st.sampled_from([WIDGET, GADGET, SILENT, STRANGER]), unique_by=lambda one: one.port, max_size=3
        ).map(tuple),
    ),
    st.builds(Offered, JOBS, st.sampled_from([OFFER, OLDER, replace(OFFER, is_proven=False)])),
    st.builds(NothingNew, JOBS, st.just("Demo Widget"), st.just("1.1.0")),
    st.builds(Told, JOBS, st.builds(Progressed, STEPS, st.integers(0, 9), st.none() | st.integers(0, 9_000))),
    st.builds(Told, JOBS, st.builds(StepStarted, STEPS, st.none() | st.integers(1, 9))),
    st.builds(Told, JOBS, st.builds(StepDone, STEPS, st.just(1))),
    st.builds(Told, JOBS, st.builds(Noticed, st.just("n"), st.sampled_from([None, Asks("replug")]))),
    st.builds(Finished, JOBS, st.booleans(), st.just("Demo Widget"), st.just("1.1.0")),
    st.builds(Failed, JOBS, FAILURES),
    st.builds(CannotLook, FAILURES),
    st.builds(Pressed, st.sampled_from(list(Action))),
    st.builds(Picked, st.sampled_from(["1-1", "1-2", "demo-widget:A"])),
    st.builds(Entered, st.sampled_from(["", "0.9.0", "1-1"])),
    st.just(FileChosen("x.fwb")),
    st.just(Line("a line")),
    st.just(LinkArrived(LINK.text)),
    st.just(Second()),
)
LIVES = st.lists(HAPPENINGS, max_size=40)
STARTS = st.sampled_from([NEW, replace(NEW, wanted=LINK), OFFERED, WORKING, CUT])


def steps(start: State, life: Sequence[Happening]) -> list[tuple[State, Happening, State, tuple[Order, ...]]]:
    found, state = [], start
    for happening in life:
        new, ordered = fold(state, happening)
        found.append((state, happening, new, ordered))
        state = new
    return found


@settings(max_examples=100)
@given(STARTS, LIVES)
def test_work_begins_only_from_a_question_answered_for_this_offer_or_goes_on_with_the_same(
    start: State, life: list[Happening]
) -> None:
    for before, happening, new, ordered in steps(start, life):
        if any(isinstance(order, Perform) for order in ordered):
            answered = before.scene in (Scene.OFFERED, Scene.LINKED, Scene.TYPED) and isinstance(
                happening, Pressed
            )
            resumed = before.resuming and isinstance(happening, Offered)
            assert answered or resumed
            assert new.offer is not None
            assert new.agreed == new.offer.key
            assert ordered == (Perform(new.job),)
            if resumed:
                assert before.agreed == new.offer.key
            if new.offer.confirmations and not resumed:
                assert before.entered == new.offer.confirmations[-1].text


@settings(max_examples=100)
@given(STARTS, LIVES)
def test_while_it_works_nothing_is_armed_but_the_answer_to_stopping_and_only_an_end_leads_out(
    start: State, life: list[Happening]
) -> None:
    for before, happening, new, ordered in steps(start, life):
        if new.scene in AT_WORK:
            armed = {button.action for button in page(new).buttons if button.is_armed}
            assert armed == ({Action.STOP, Action.KEEP} if new.asks_to_stop else set())
        if before.scene in AT_WORK:
            assert not any(isinstance(order, Leave | Perform | Prepare) for order in ordered)
            assert new.scene in AT_WORK or isinstance(happening, Finished | Failed)


@settings(max_examples=100)
@given(STARTS, LIVES)
def test_every_state_can_be_drawn_with_one_default_at_most_and_one_way_to_close(
    start: State, life: list[Happening]
) -> None:
    for _before, _happening, new, _ordered in steps(start, life):
        drawn = page(new)
        assert sum(button.is_default for button in drawn.buttons) <= 1
        assert len({button.action for button in drawn.buttons}) == len(drawn.buttons)
        if new.scene is Scene.LINKED:
            assert not next(one for one in drawn.buttons if one.action is Action.UPDATE).is_default
        if new.scene not in AT_WORK:
            assert Leave() in orders(new, Pressed(Action.CLOSE))


@given(STARTS, LIVES)
def test_an_answer_to_another_job_changes_nothing(start: State, life: list[Happening]) -> None:
    state = after(*life, start=start)
    for late in (Offered(99, OFFER), Finished(99, True, "x", "1.0.0"), Failed(99, failure("Bug"))):
        assert fold(state, late) == (state, ())
