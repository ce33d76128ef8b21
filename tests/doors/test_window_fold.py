"""The window as a fold, without a display: what leads where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doors.window_kit import (
    CUT,
    GADGET,
    LINK,
    MAY_BE,
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
from updater.doors.window.before import ADVICE_AFTER_S
from updater.doors.window.fold import RESUMES_BY_ITSELF, fold
from updater.doors.window.page import Tone
from updater.doors.window.scenes import page
from updater.doors.window.state import (
    Action,
    CannotLook,
    Confirmation,
    Doubt,
    Entered,
    Failed,
    FileChosen,
    Finished,
    Leave,
    LinkArrived,
    Looked,
    NothingNew,
    Offer,
    Offered,
    Perform,
    Picked,
    Prepare,
    Pressed,
    ReportSaved,
    ReportWanted,
    SaveReport,
    Scene,
    Second,
    Stop,
    Told,
    Wanted,
    WantedKind,
)
from updater.doors.window.texts import say
from updater.words.errors import DeviceIs, every_error
from updater.words.events import Asks, Noticed, Progressed, Step, StepDone, StepStarted

# ------------------------------------------------------------ before the question


def test_with_nothing_connected_it_says_so_and_advice_comes_by_itself_after_a_few_seconds() -> None:
    state = after(Looked((), (say("Try another cable."),)))
    assert state.scene is Scene.NOTHING
    assert page(state).tips == ()
    waited = after(*[Second()] * ADVICE_AFTER_S, start=state)
    assert page(waited).tips == (say("Try another cable."),)


def test_a_device_that_is_not_ours_is_no_device_but_is_mentioned() -> None:
    state = after(Looked((STRANGER,)))
    assert state.scene is Scene.NOTHING
    assert len(page(state).sentences) == len(page(after(Looked(()))).sentences) + 1


def test_one_device_is_checked_at_once() -> None:
    state, ordered = fold(NEW, Looked((WIDGET,)))
    assert state.scene is Scene.CHECKING
    assert ordered == (Prepare(job=1, wanted=Wanted(), port="1-1"),)


def test_of_several_none_is_chosen_until_a_person_does() -> None:
    state = after(Looked((WIDGET, GADGET)))
    assert (state.scene, state.picked) == (Scene.SEVERAL, None)
    assert orders(state, Pressed(Action.CHOOSE)) == ()
    chosen = after(Picked("1-2"), start=state)
    assert orders(chosen, Pressed(Action.CHOOSE)) == (Prepare(job=1, wanted=Wanted(), port="1-2"),)


def test_what_was_unplugged_cannot_be_chosen() -> None:
    state = after(Looked((WIDGET, GADGET)), Picked("9-9"))
    assert state.picked is None


def test_a_device_that_cannot_say_what_it_is_gets_no_product_preselected_when_two_fit() -> None:
    state = after(Looked((SILENT,)))
    assert (state.scene, state.picked) == (Scene.PICK, None)
    (button,) = [one for one in page(state).buttons if one.action is Action.CHOOSE]
    assert not button.is_armed
    assert orders(state, Pressed(Action.CHOOSE)) == ()


def test_the_only_product_that_fits_is_preselected_but_a_person_still_has_to_say_yes() -> None:
    only = replace(SILENT, candidates=MAY_BE[:1])
    state, ordered = fold(NEW, Looked((only,)))
    assert (state.scene, state.picked, ordered) == (Scene.PICK, "demo-widget:A", ())


def test_the_product_that_a_person_picked_is_what_as_says_on_the_command_line() -> None:
    state = after(Looked((SILENT,)), Picked("demo-widget:B"))
    expected = Prepare(job=1, wanted=Wanted(), port="1-1", as_product="demo-widget:B")
    assert orders(state, Pressed(Action.CHOOSE)) == (expected,)


def test_the_download_moves_the_bar() -> None:
    state = after(Looked((WIDGET,)), Told(1, StepStarted(Step.DOWNLOAD, 1000)))
    assert page(state).bar is not None
    state = after(Told(1, Progressed(Step.DOWNLOAD, 250)), start=state)
    assert state.progress.fraction == 0.25


def test_with_nothing_new_there_is_nothing_to_do() -> None:
    state = after(Looked((WIDGET,)), NothingNew(1, "Demo Widget", "1.0.0"))
    assert (state.scene, state.exit_status) == (Scene.UP_TO_DATE, 0)
    assert orders(state, Pressed(Action.REINSTALL)) == (
        Prepare(job=2, wanted=Wanted(), port="1-1", again=True),
    )


def test_an_offer_shows_version_size_time_and_notes_and_enter_installs_it() -> None:
    drawn = page(OFFERED)
    values = {name.id: value for name, value in drawn.rows}
    assert values["Installed"].values == (("text", "1.0.0"),)
    assert values["Update to"].values == (("text", "1.1.0"),)
    assert values["Size"] == say("{amount} KB", amount=12)
    assert values["Takes"] == say("about {count} seconds", count=7)
    assert drawn.notes == "Answers faster."
    assert [one.action for one in drawn.buttons if one.is_default] == [Action.UPDATE]


def test_the_question_names_the_way_back() -> None:
    assert any(("steps", "Hold the button.") in text.values for text in page(OFFERED).small)


def test_a_link_asks_and_enter_means_no() -> None:
    state = after(Looked((WIDGET,)), Offered(1, OFFER), start=replace(NEW, wanted=LINK))
    drawn = page(state)
    assert state.scene is Scene.LINKED
    assert [one.action for one in drawn.buttons if one.is_default] == [Action.CANCEL]
    assert [one.action for one in drawn.buttons if one.is_primary] == [Action.CANCEL]
    left, ordered = fold(state, Pressed(Action.CANCEL))
    assert (left.exit_status, ordered) == (12, (Leave(),))


def test_a_link_that_is_none_is_told_before_anything_is_looked_for() -> None:
    bad = after(Failed(0, failure("Usage", exit_status=2)), start=replace(NEW, wanted=LINK))
    assert (bad.scene, bad.exit_status) == (Scene.FAILED, 2)
    assert after(Looked((WIDGET,)), start=bad).scene is Scene.FAILED


def test_a_link_that_is_handed_over_is_asked_about_and_begins_nothing() -> None:
    state, ordered = fold(OFFERED, LinkArrived(LINK.text))
    assert (state.agreed, state.wanted) == (None, LINK)
    assert ordered == (Prepare(job=2, wanted=LINK, port="1-1"),)
    assert after(Offered(2, OFFER), start=state).scene is Scene.LINKED


def test_a_link_that_is_handed_over_while_a_device_is_unfinished_changes_nothing() -> None:
    for busy in (WORKING, CUT):
        assert fold(busy, LinkArrived(LINK.text)) == (busy, ())


def test_a_file_that_was_opened_is_looked_into_when_its_device_is_there() -> None:
    state = after(Looked(()), FileChosen("/tmp/x.fwb"))
    assert state.scene is Scene.NOTHING
    wanted = Wanted(WantedKind.FILE, "/tmp/x.fwb")
    assert orders(state, Looked((WIDGET,))) == (Prepare(job=1, wanted=wanted, port="1-1"),)


def test_a_code_can_be_typed_or_pasted() -> None:
    state = after(Pressed(Action.OTHER), Entered(" 6BGD-1 "), start=OFFERED)
    assert state.scene is Scene.OTHER
    wanted = Wanted(WantedKind.ENTERED, "6BGD-1")
    assert orders(state, Pressed(Action.ENTER)) == (Prepare(job=2, wanted=wanted, port="1-1"),)


def test_a_device_that_is_unplugged_takes_its_offer_with_it() -> None:
    state = after(Looked(()), start=OFFERED)
    assert (state.scene, state.offer) == (Scene.NOTHING, None)


def test_another_device_that_is_plugged_in_meanwhile_disturbs_nobody() -> None:
    assert after(Looked((WIDGET, GADGET)), start=OFFERED).scene is Scene.OFFERED


# ------------------------------------------------------------ typed confirmations


def test_an_older_version_must_be_typed() -> None:
    state = after(Looked((WIDGET,)), Offered(1, OLDER), Pressed(Action.UPDATE))
    assert state.scene is Scene.TYPED
    for wrong in ("", "1.1.0", "0.9", "yes"):
        assert orders(after(Entered(wrong), start=state), Pressed(Action.TYPED)) == ()
    assert orders(after(Entered("0.9.0"), start=state), Pressed(Action.TYPED)) == (Perform(1),)


def test_each_of_two_confirmations_is_asked_for() -> None:
    both = replace(OLDER, confirmations=(*OLDER.confirmations, Confirmation(text="w", doubt=Doubt.EXPIRED)))
    state = after(
        Looked((WIDGET,)), Offered(1, both), Pressed(Action.UPDATE), Entered("0.9.0"), Pressed(Action.TYPED)
    )
    assert (state.scene, state.typing, state.entered) == (Scene.TYPED, 1, "")
    assert orders(after(Entered("w"), start=state), Pressed(Action.TYPED)) == (Perform(1),)


# ------------------------------------------------------------ at work


def test_update_now_begins_the_work() -> None:
    state, ordered = fold(OFFERED, Pressed(Action.UPDATE))
    assert (state.scene, ordered) == (Scene.WORKING, (Perform(1),))


def test_the_bar_follows_the_time_that_is_left_and_never_goes_back() -> None:
    state, seen = WORKING, [0.0]
    for left_ms in (7_000, 3_500, 5_000, 700, 0):
        state = after(Told(1, Progressed(Step.WRITE, 1, left_ms)), start=state)
        seen.append(state.progress.fraction or 0.0)
    assert seen == sorted(seen)
    assert seen[-1] < 1
    assert seen[2] == 0.5


def test_a_second_without_a_word_is_a_second_less() -> None:
    state = after(Told(1, Progressed(Step.ERASE, 0, 4_000)), Second(), start=WORKING)
    assert state.progress.left_ms == 3_000


def test_closing_asks_and_enter_keeps_updating() -> None:
    asked, ordered = fold(WORKING, Pressed(Action.CLOSE))
    assert (asked.asks_to_stop, ordered) == (True, ())
    assert [one.action for one in page(asked).buttons if one.is_default] == [Action.KEEP]
    assert after(Pressed(Action.KEEP), start=asked) == WORKING


def test_a_stop_is_ordered_once_and_its_end_waits_for_a_person() -> None:
    asked = after(Pressed(Action.CLOSE), start=WORKING)
    stopping, ordered = fold(asked, Pressed(Action.STOP))
    assert ordered == (Stop(1),)
    assert orders(stopping, Pressed(Action.STOP)) == ()
    stopped = after(Failed(1, failure("NotFinished", exit_status=9)), start=stopping)
    assert stopped.scene is Scene.STOPPED
    assert orders(stopped, Looked((WIDGET,))) == ()
    assert isinstance(orders(stopped, Pressed(Action.FINISH))[0], Prepare)


def test_nobody_can_stop_without_being_asked_first() -> None:
    assert fold(WORKING, Pressed(Action.STOP)) == (WORKING, ())


def test_hands_are_asked_for_with_the_products_own_steps_until_the_step_is_done() -> None:
    asks = Asks("update-mode", "Press with a paper clip.")
    state = after(
        Told(1, StepStarted(Step.ENTER)),
        Told(1, Noticed("...", asks)),
        Told(1, Progressed(Step.ENTER, 0)),
        start=WORKING,
    )
    assert (state.scene, page(state).steps) == (Scene.HANDS, "Press with a paper clip.")
    assert after(Told(1, StepDone(Step.ENTER, 5)), start=state).scene is Scene.WORKING


def test_a_replug_is_asked_for_while_it_is_waited_for() -> None:
    state = after(Told(1, Noticed("...", Asks("replug"))), Told(1, StepStarted(Step.CONFIRM)), start=WORKING)
    assert state.scene is Scene.HANDS
    assert after(Finished(1, True, "Demo Widget", "1.1.0"), start=state).scene is Scene.DONE


def test_a_driver_that_is_missing_in_the_middle_is_waited_for() -> None:
    state = after(Told(1, StepStarted(Step.ENTER)), Told(1, Noticed("...", Asks("driver"))), start=WORKING)
    assert page(state).headline == say("Windows has no driver for the device yet")
    assert after(Told(1, StepDone(Step.ENTER, 5)), start=state).scene is Scene.WORKING


def test_a_stranger_that_arrives_by_hand_is_asked_about() -> None:
    state = after(Failed(1, failure("UnknownDevice")), Looked((SILENT,)), start=WORKING)
    assert state.scene is Scene.PICK


# ------------------------------------------------------------ and then


def test_done_says_the_version_and_closes_on_enter() -> None:
    state = after(Finished(1, True, "Demo Widget", "1.1.0"), start=WORKING)
    drawn = page(state)
    assert (state.scene, state.exit_status, drawn.tone) == (Scene.DONE, 0, Tone.GOOD)
    assert ("version", "1.1.0") in drawn.headline.values
    assert orders(state, Pressed(Action.CLOSE)) == (Leave(),)


def test_written_but_not_confirmed_becomes_done_when_the_device_comes_back_with_the_version() -> None:
    state = after(Finished(1, False, "Demo Widget", "1.1.0"), start=WORKING)
    assert (state.scene, state.exit_status) == (Scene.NOT_CONFIRMED, 10)
    in_rom = replace(WIDGET, version="1.1.0", in_update_mode=True)
    assert after(Looked((in_rom,)), start=state).scene is Scene.NOT_CONFIRMED
    assert after(Looked((WIDGET,)), start=state).scene is Scene.NOT_CONFIRMED
    back = after(Looked((replace(WIDGET, version="1.1.0"),)), start=state)
    assert (back.scene, back.exit_status) == (Scene.DONE, 0)


def test_a_device_that_was_unplugged_goes_on_by_itself_when_it_is_back() -> None:
    assert (CUT.scene, CUT.exit_status) == (Scene.UNPLUGGED, 9)
    back, ordered = fold(CUT, Looked((replace(SILENT, candidates=()),)))
    assert ordered == (Prepare(job=2, wanted=Wanted(), port="1-1"),)
    state, ordered = fold(back, Offered(2, replace(OFFER, old=None, in_update_mode=True)))
    assert (state.scene, ordered) == (Scene.WORKING, (Perform(2),))


@pytest.mark.parametrize(
    "other",
    [
        replace(OFFER, key=("1-1", "demo-widget", "A", "1.2.0", "other")),
        replace(OFFER, is_proven=False),
    ],
    ids=["another update", "nothing proves that it is the same device"],
)
def test_what_comes_back_otherwise_is_asked_about_again(other: Offer) -> None:
    back = after(Looked((WIDGET,)), start=CUT)
    state, ordered = fold(back, Offered(2, other))
    assert (state.scene, ordered) == (Scene.OFFERED, ())


def test_a_device_on_another_port_is_another_device() -> None:
    assert fold(CUT, Looked((replace(WIDGET, port="1-7"),)))[1] == ()


def test_after_some_cuts_in_a_row_a_person_has_to_say_that_it_should_go_on() -> None:
    state, tries = CUT, 0
    for job in range(2, 20):
        state, ordered = fold(state, Looked((WIDGET,)))
        if not ordered:
            break
        tries += 1
        state = after(Offered(job, OFFER), Failed(job, failure("NotFinished")), start=state)
    assert tries == RESUMES_BY_ITSELF
    assert [one.action for one in page(state).buttons if one.is_default] == [Action.FINISH]
    assert isinstance(orders(state, Pressed(Action.FINISH))[0], Prepare)
    unplugged_again = after(Looked(()), start=state)
    assert isinstance(orders(unplugged_again, Looked((WIDGET,)))[0], Prepare)


def test_an_update_that_turns_out_to_be_finished_is_done() -> None:
    back = after(Looked((WIDGET,)), start=CUT)
    assert after(NothingNew(2, "Demo Widget", "1.1.0"), start=back).scene is Scene.DONE


@pytest.mark.parametrize("kind", [one.__name__ for one in every_error()])
def test_every_error_has_a_page_with_something_to_do(kind: str) -> None:
    state = after(Looked((WIDGET,)), Failed(1, failure(kind, message="exactly this", exit_status=7)))
    drawn = page(state)
    assert drawn.sentences
    assert any(one.is_armed and one.is_default for one in drawn.buttons) or state.scene is Scene.UNPLUGGED


def test_a_failure_says_how_the_device_is() -> None:
    failed = failure("UsbFailed", device_is=DeviceIs.RUNS_OLD)
    said = page(after(Failed(1, failed), start=WORKING)).sentences
    assert say("The device was not changed. It works as before.") in said


def test_a_driver_that_is_missing_gets_its_own_advice() -> None:
    failed = failure("CannotOpen", problem="no-driver")
    first = page(after(Looked((WIDGET,)), Failed(1, failed))).sentences[0]
    assert first.id.startswith("Windows needs a driver")


CLOSED = replace(WIDGET, title=None, problem="no-driver")
NO_DRIVER = failure("CannotOpen", problem="no-driver")


def test_a_device_goes_on_by_itself_when_its_driver_has_come() -> None:
    state = after(Looked((CLOSED,)), Failed(1, NO_DRIVER))
    assert fold(state, Looked((CLOSED,))) == (state, ())
    assert orders(state, Looked((WIDGET,))) == (Prepare(job=2, wanted=Wanted(), port="1-1"),)


def test_a_driver_that_comes_in_the_middle_of_the_work_needs_no_second_question() -> None:
    state = after(Failed(1, NO_DRIVER), Looked((CLOSED,)), start=WORKING)
    assert state.scene is Scene.FAILED
    opened = after(Looked((replace(SILENT, candidates=()),)), start=state)
    assert fold(opened, Offered(2, OFFER))[1] == (Perform(2),)
    assert fold(opened, Offered(2, replace(OFFER, is_proven=False)))[1] == ()


def test_trying_again_after_a_failure_prepares_again() -> None:
    state = after(Looked((WIDGET,)), Failed(1, failure("NetworkFailed")))
    assert orders(state, Pressed(Action.AGAIN)) == (Prepare(job=2, wanted=Wanted(), port="1-1"),)


def test_a_computer_that_cannot_be_asked_for_its_devices_is_told_and_tried_again() -> None:
    state = after(CannotLook(failure("StorageFailed")))
    assert state.scene is Scene.FAILED
    assert after(Pressed(Action.AGAIN), start=state).scene is Scene.NOTHING
    assert after(CannotLook(failure("StorageFailed")), start=WORKING) == WORKING


def test_a_report_is_written_and_said() -> None:
    state = after(Looked((WIDGET,)), Failed(1, failure("Bug")))
    assert orders(state, ReportWanted("r.txt")) == (SaveReport("r.txt"),)
    assert ("file", "r.txt") in page(after(ReportSaved("r.txt"), start=state)).small[-1].values
    assert page(after(ReportSaved(None), start=state)).small[-1].id.startswith("The report cannot")
