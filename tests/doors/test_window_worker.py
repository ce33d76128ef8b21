"""The one who works for the window, on virtual devices: what it tells, and that it does what it is told."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from zipfile import is_zipfile

import pytest

from tests.attacks.kit import catalogue_of, own_site, show_catalogue, without_gadget
from tests.desk import Desk
from tests.hands.web import Page
from updater.doors.cli import run
from updater.doors.window import NoWindow, open_window
from updater.doors.window.state import (
    NEWEST,
    CannotLook,
    Failed,
    Finished,
    Happening,
    Line,
    Looked,
    NothingNew,
    Offered,
    Perform,
    Prepare,
    ReportSaved,
    SaveReport,
    Seen,
    Stop,
    Told,
    Wanted,
    WantedKind,
)
from updater.doors.window.texts import ADVICE_NEW_PRODUCT, say
from updater.doors.window.worker import ALONE, BLIND, Worker
from updater.heads.links import Link, format_code
from updater.heads.report import Receipt
from updater.story.job import Hands
from updater.words.errors import StorageFailed
from updater.words.events import Progressed, Step
from updater.words.facts import Channel


class Bench:
    """A worker without a thread, and all that it has told."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.told = desk, list[Happening]()
        self.on: Callable[[Happening], None] = lambda _: None
        desk.lab.mkdir(exist_ok=True)
        self.fell = list[BaseException]()
        self.worker = Worker(desk.hands, self._tell, self.fell.append)
        self.jobs = 0

    def _tell(self, happening: Happening) -> None:
        self.told.append(happening)
        self.on(happening)

    def prepare(self, wanted: Wanted = NEWEST, **more: Any) -> Happening:
        self.jobs += 1
        order: dict[str, Any] = {"job": self.jobs, "wanted": wanted, "port": "1-1", **more}
        self.worker.obey(Prepare(**order))
        return self.told[-1]

    def perform(self) -> Happening:
        self.worker.obey(Perform(self.jobs))
        return self.told[-1]

    @property
    def lines(self) -> str:
        return "\n".join(one.text for one in self.told if isinstance(one, Line))


@pytest.fixture
def bench(desk: Desk) -> Bench:
    return Bench(desk)


def failed(happening: Happening) -> str:
    assert isinstance(happening, Failed), happening
    return happening.failure.kind


def seen(happening: Happening) -> tuple[Seen, ...]:
    assert isinstance(happening, Looked), happening
    return happening.seen


def test_it_tells_who_is_connected_once_and_again_when_that_changes(bench: Bench) -> None:
    bench.worker.look()
    bench.worker.look()
    assert [type(one) for one in bench.told] == [Looked]
    assert seen(bench.told[0]) == ()
    bench.desk.plug_in()
    bench.worker.look()
    bench.worker.look()
    assert len(bench.told) == 2
    (one,) = seen(bench.told[1])
    assert (one.port, one.title, one.version, one.candidates) == ("1-1", "Demo Widget", "1.0.0", ())


def test_a_stranger_in_its_bootloader_may_be_what_its_silicon_fits_in_each_hardware(bench: Bench) -> None:
    bench.desk.change_vendor(lambda toml: toml.replace('hardware = ["A"]', 'hardware = ["A", "B"]', 1))
    bench.desk.plug_in(runs=None)
    bench.worker.look()
    (stranger,) = seen(bench.told[-1])
    assert [one.key for one in stranger.candidates] == ["demo-widget:A", "demo-widget:B"]


def test_an_offer_is_what_the_plan_and_the_signed_manifest_say(bench: Bench) -> None:
    bench.desk.plug_in()
    offered = bench.prepare()
    assert isinstance(offered, Offered)
    offer = offered.offer
    assert (offer.title, offer.old, offer.new) == ("Demo Widget", "1.0.0", "1.1.0")
    assert offer.notes == "Answers faster after power-on."
    assert offer.size == bench.desk.published.bundle_path("demo-widget-1.1.0").stat().st_size
    assert offer.recovery_steps.startswith("Unplug the widget.")
    assert "The plan:" in bench.lines
    assert not bench.desk.holds("demo-widget-1.1.0")


def test_a_whole_update_ends_confirmed_with_a_receipt_and_the_command_lines_own_lines(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.prepare()
    assert bench.perform() == Finished(1, True, "Demo Widget", "1.1.0")
    assert bench.desk.holds("demo-widget-1.1.0")
    assert "Done. Demo Widget runs version 1.1.0." in bench.lines
    assert "The receipt was kept as" in bench.lines
    assert list(bench.desk.state.rglob("*demo-widget-1.1.0*.json"))


def test_the_folders_are_free_between_two_orders(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.worker.look()
    bench.prepare()
    assert bench.desk.updater("devices").exit == 0
    assert isinstance(bench.perform(), Finished)


def test_a_device_with_the_newest_version_has_nothing_to_do(bench: Bench) -> None:
    bench.desk.plug_in(runs="1.1.0")
    assert bench.prepare() == NothingNew(1, "Demo Widget", "1.1.0")


def test_a_device_that_is_newer_than_what_is_offered_is_up_to_date_and_no_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.desk.plug_in(runs="1.1.0")
    from semver import Version

    from updater.hands.channel import UpdateSite

    real = UpdateSite.offer
    old = Version(1, 0, 0)
    monkeypatch.setattr(
        UpdateSite, "offer", lambda site, product, channel, _: real(site, product, channel, old)
    )
    assert bench.prepare() == NothingNew(1, "Demo Widget", "1.1.0")


def test_a_file_may_be_older_and_then_asks_to_be_typed(bench: Bench) -> None:
    bench.desk.plug_in(runs="1.1.0")
    file = str(bench.desk.published.bundle_path("demo-widget-1.0.0"))
    offered = bench.prepare(Wanted(WantedKind.FILE, file))
    assert isinstance(offered, Offered)
    assert [(one.text, str(one.doubt)) for one in offered.offer.confirmations] == [("1.0.0", "older")]
    assert offered.offer.is_older


def test_a_link_is_what_it_selects_and_nothing_else(bench: Bench) -> None:
    bench.desk.plug_in()
    file = str(bench.desk.published.bundle_path("demo-widget-1.0.0"))
    for text in (file, "1.0.0", "http://127.0.0.1/", "demo-widget/stable/latest/", "../x/latest"):
        assert failed(bench.prepare(Wanted(WantedKind.LINK, text))) == "Usage"
    assert failed(bench.prepare(Wanted(WantedKind.LINK, "demo-gadget/stable/latest"))) == "WrongDevice"
    assert isinstance(bench.prepare(Wanted(WantedKind.LINK, "demo-widget/stable/latest")), Offered)


def test_a_site_that_does_not_answer_is_a_failure_with_its_exact_words_in_the_details(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.desk.published.web.everywhere = Page(b"", status=503)
    assert failed(bench.prepare()) == "NetworkFailed"
    assert "Error: The update server answered HTTP 503" in bench.lines


def test_the_demo_never_asks_about_a_real_device(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.worker._open_hands = lambda: bench.desk.hands(virtual=False)
    assert failed(bench.prepare()) == "Refused"


def test_a_search_can_be_stopped(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.worker.order(Stop(1))
    assert failed(bench.prepare()) == "Cancelled"


def test_a_stop_in_the_middle_is_what_ctrl_c_is_and_the_same_order_finishes_it(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.prepare()

    def stop_once_it_writes(happening: Happening) -> None:
        event = happening.event if isinstance(happening, Told) else None
        if isinstance(event, Progressed) and event.step is Step.WRITE:
            bench.worker.order(Stop(1))

    bench.on = stop_once_it_writes
    assert failed(bench.perform()) == "NotFinished"
    bench.worker.look()
    offered = bench.prepare()
    assert isinstance(offered, Offered)
    assert offered.offer.is_proven
    assert isinstance(bench.perform(), Finished)
    assert bench.desk.holds("demo-widget-1.1.0")


def test_a_cut_is_not_finished_and_after_it_everybody_is_looked_at_again(bench: Bench) -> None:
    bench.desk.plug_in()
    bench.worker.look()
    bench.prepare()
    bench.desk.fault("cut-after", 100)
    assert failed(bench.perform()) == "NotFinished"
    bench.worker.look()
    looked = bench.told[-1]
    assert isinstance(looked, Looked)
    assert looked.seen[0].in_update_mode


def test_what_nobody_foresaw_is_a_bug_whose_trace_is_in_a_file_and_in_no_window(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.desk.plug_in()
    bench.worker.look()
    bench.prepare()

    def faulty(*_: object) -> Receipt:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr("updater.doors.window.worker.perform", faulty)
    assert failed(bench.perform()) == "Bug"
    assert "Traceback" not in bench.lines
    (file,) = (bench.desk.state / "crashes").iterdir()
    assert str(file) in bench.lines
    assert "Traceback" in file.read_text("utf-8")


def test_a_mistake_while_looking_ends_the_thread_and_is_handed_to_the_window(bench: Bench) -> None:
    bench.worker._open_hands = None  # type: ignore[assignment] # the mistake
    bench.worker.start()
    assert bench.worker.wait(30)
    assert [type(one) for one in bench.fell] == [TypeError]


def test_a_report_is_saved_or_it_is_said_that_it_is_not(bench: Bench, tmp_path: Path) -> None:
    bench.desk.plug_in()
    bench.worker.obey(SaveReport(str(tmp_path / "report.txt")))
    assert bench.told[-1] == ReportSaved(str(tmp_path / "report.txt"))
    assert "demo-widget" in (tmp_path / "report.txt").read_text("utf-8")
    bench.worker.obey(SaveReport(str(tmp_path / "report.zip")))
    assert is_zipfile(tmp_path / "report.zip")
    bench.worker.obey(SaveReport(str(tmp_path / "no" / "such" / "report.txt")))
    assert bench.told[-1] == ReportSaved(None)


def test_another_updater_in_the_same_folder_is_waited_for(bench: Bench) -> None:
    bench.desk.plug_in()
    busy = [True, True]

    @contextmanager
    def opened() -> Iterator[Hands]:
        if busy:
            busy.pop()
            raise StorageFailed("another updater is at work with the same state folder")
        with bench.desk.hands() as hands:
            yield hands

    bench.worker._open_hands = opened
    assert isinstance(bench.prepare(), Offered)


def test_a_computer_that_cannot_be_asked_is_told_after_some_looks(bench: Bench) -> None:
    def closed() -> NoReturn:
        raise StorageFailed("another updater is at work")

    bench.worker._open_hands = closed
    for _ in range(BLIND + 2):
        bench.worker.look()
    assert [type(one) for one in bench.told] == [CannotLook]


def test_a_pasted_link_and_a_typed_code_are_read_like_on_the_command_line(bench: Bench) -> None:
    bench.desk.plug_in()
    link = f' "{bench.desk.published.link("demo-widget")}" '
    assert isinstance(bench.prepare(Wanted(WantedKind.ENTERED, link)), Offered)
    assert failed(bench.prepare(Wanted(WantedKind.ENTERED, "9999-9999"))) == "Usage"


def test_where_there_is_no_display_there_is_no_window(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoWindow):
        open_window(argparse.Namespace(state=None), lambda _: bench.desk.hands(), NEWEST)
    assert run([]) == 2
    assert "no window can be opened" in capsys.readouterr().err
    assert run(["--link", "no-link"]) == 2


# -- products that are newer than the program ------------------------------------------------------------


@pytest.fixture
def old(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """The window of an updater from before the gadget was made; the site has a catalogue with it."""
    bench.desk.change_vendor(without_gadget)
    bench.desk.plug_in("demo-gadget")
    vendor = bench.desk.published.vendor
    with own_site(bench.desk.published, tmp_path) as site:
        show_catalogue(vendor, site, catalogue_of(vendor))
        yield bench


def test_who_waits_alone_for_a_while_is_shown_a_product_that_is_new(old: Bench) -> None:
    asked = len(old.desk.published.web.asked)
    for _ in range(ALONE - 1):
        old.worker.look()
    assert len(old.desk.published.web.asked) == asked
    old.worker.look()
    old.worker.look()
    (one,) = seen(old.told[-1])
    assert (one.title, one.version) == ("Demo Gadget", "1.0.0")
    assert isinstance(old.prepare(), Offered)
    assert old.perform() == Finished(1, True, "Demo Gadget", "1.1.0")


def test_the_site_is_asked_for_new_products_once_and_its_silence_is_nothing(old: Bench) -> None:
    old.desk.published.web.folder = None
    old.desk.published.web.asked.clear()
    for _ in range(3 * ALONE):
        old.worker.look()
    assert len(old.desk.published.web.asked) <= 2
    assert [type(one) for one in old.told] == [Looked]


def test_whose_site_speaks_of_what_only_a_newer_program_knows_is_told_to_ask_for_that(
    old: Bench, tmp_path: Path
) -> None:
    vendor = old.desk.published.vendor
    assert old.desk.published.web.folder
    show_catalogue(vendor, old.desk.published.web.folder, catalogue_of(vendor, 2, min_tool="99.0.0"))
    for _ in range(ALONE + 1):
        old.worker.look()
    assert "needs updater 99.0.0 or newer" in old.lines
    last = old.told[-1]
    assert isinstance(last, Looked)
    assert say(ADVICE_NEW_PRODUCT, vendor="Demo Instruments") in last.advice


def test_a_typed_code_of_a_new_product_is_understood(old: Bench) -> None:
    code = format_code(Link(product="demo-gadget", channel=Channel.STABLE, version=None), 2)
    assert isinstance(old.prepare(Wanted(WantedKind.ENTERED, code)), Offered)
