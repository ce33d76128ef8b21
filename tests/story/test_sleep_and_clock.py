"""A computer that sleeps for an hour in the middle, and one that does not know what day it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from bundles.site import Site
from tests.desk import Desk, Said, program
from tests.heads.bundle_kit import make_root
from tests.story.test_two_products_on_one_port import CHIP, NEW, OLD
from updater.heads.dfu.words import TimedOut
from updater.lab.clock import VirtualClock
from updater.story import passage, ways
from updater.story.devices import application_facts
from updater.words.facts import DeviceFacts

HOUR_MS = 3_600_000.0
TODAY = datetime.now(UTC)
TEN_YEARS = timedelta(days=3_653)


class Sleeper:
    """The computer sleeps for an hour once, at the n-th moment in which any time passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moments, self.at = 0, 0
        real = VirtualClock.sleep_ms

        def sleep(clock: VirtualClock, ms: float) -> None:
            self.moments += 1
            if self.moments == self.at:
                real(clock, HOUR_MS)
            real(clock, ms)

        monkeypatch.setattr(VirtualClock, "sleep_ms", sleep)


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    return Sleeper(monkeypatch)


def test_an_update_goes_on_after_an_hour_of_sleep_in_any_of_its_steps(desk: Desk, sleeper: Sleeper) -> None:
    desk.has_small_chips()
    desk.sells(CHIP, flash_kib=64)
    update = desk.bundle(NEW)

    def one(at: int) -> Said:
        desk.plug_in_gizmo(CHIP, OLD, revision="V")
        sleeper.moments, sleeper.at = 0, at
        said = desk.install(update)
        assert (said.exit, said.last["result"]) == (0, "confirmed"), (at, said.out)
        assert desk.holds(NEW)
        desk.updater("lab", "remove", "board1")
        return said

    one(0)
    total, slept = sleeper.moments, set()
    for at in [*range(1, total - 4, total // 16), *range(total - 4, total + 1)]:
        times = {entry["step"]: entry["ms"] for entry in one(at).last["steps"]}
        slept |= {step for step, ms in times.items() if ms >= HOUR_MS}
    assert slept >= {"enter", "read", "erase", "write", "verify"}


def test_a_bootloader_that_arrived_while_the_computer_slept_has_to_prove_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody watched the port for an hour: another board may have been put there."""
    desk.has_small_chips()
    desk.sells(CHIP, flash_kib=64)
    desk.plug_in_gizmo(CHIP, OLD, revision="V")
    real = ways._watch

    def watch(bus: Any, *rest: Any) -> Any:
        bus.clock.sleep_ms(HOUR_MS)
        return real(bus, *rest)

    monkeypatch.setattr(ways, "_watch", watch)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["identity"]) == (0, "header"), said.out


def test_an_application_that_came_back_while_the_computer_slept_is_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was still starting when it was asked first; when the computer wakes the time is over."""
    desk.has_small_chips()
    desk.sells(CHIP, flash_kib=64)
    desk.plug_in_gizmo(CHIP, OLD, revision="V")
    asked, ask, sleep = [0], application_facts, VirtualClock.sleep_ms

    def busy_first(*who: Any) -> DeviceFacts:
        asked[0] += 1
        if asked[0] == 2:  # the first is before the update begins
            monkeypatch.setattr(VirtualClock, "sleep_ms", lambda clock, ms: sleep(clock, ms + HOUR_MS))
            raise TimedOut("the device did not answer in time")
        return ask(*who)

    monkeypatch.setattr(passage, "application_facts", busy_first)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"], asked[0]) == (0, "confirmed", 3), said.out


# ------------------------------------------------------------------------------------- what day it is


ClockIs = Callable[[timedelta], None]


@pytest.fixture
def clock_is(monkeypatch: pytest.MonkeyPatch) -> ClockIs:
    """This computer's date is wrong by so much, for the updater and for TUF's client."""

    def wrong(by: timedelta) -> None:
        class Wrong(datetime):
            @classmethod
            def now(cls, *_zone: Any) -> datetime:  # type: ignore[override] # a plain datetime will do
                return TODAY + by

        monkeypatch.setattr("updater.hands.host.datetime", Wrong)
        monkeypatch.setattr("updater.hands.channel.datetime", Wrong)
        module = SimpleNamespace(datetime=Wrong, timezone=timezone)
        monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime", module)

    return wrong


@pytest.fixture
def dated_site(desk: Desk) -> Desk:
    """A desk whose vendor's site expires in some days, as every real one does."""
    vendor, web = desk.published.vendor, desk.published.web
    web.folder = desk.state.parent / "dated-site"
    shutil.copytree(vendor.site, web.folder)
    Site(folder=web.folder, online=vendor.signer("online"), now=TODAY).publish()
    desk.plug_in()
    return desk


def refused_for_the_date(desk: Desk, said: Said) -> bool:
    """Exit 5 and the device as it was."""
    as_it_was = desk.holds("demo-widget-1.0.0") and desk.board()["state"] == "application"
    return as_it_was and (said.exit, said.last["error"], said.last["device_is"]) == (
        5,
        "NotTrusted",
        "untouched",
    )


@pytest.mark.parametrize("what", ["link", "newest"])
def test_online_a_clock_ten_years_behind_is_said_and_nothing_is_installed(
    dated_site: Desk, clock_is: ClockIs, what: str
) -> None:
    """Nothing looks expired to it: what the site says may be years old."""
    clock_is(-TEN_YEARS)
    said = dated_site.install(*([dated_site.published.link("demo-widget")] if what == "link" else []))
    assert refused_for_the_date(dated_site, said), said.out
    assert f"This computer's date is {TODAY - TEN_YEARS:%Y-%m-%d}" in said.last["message"]
    assert said.last["advice"] == "Correct this computer's date, and run the command again."


def test_online_a_clock_ten_years_ahead_is_said_and_nothing_is_installed(
    dated_site: Desk, clock_is: ClockIs
) -> None:
    clock_is(TEN_YEARS)
    said = dated_site.install(dated_site.published.link("demo-widget"))
    assert refused_for_the_date(dated_site, said), said.out
    assert "has expired" in said.last["message"]
    assert f"This computer's date is {TODAY + TEN_YEARS:%Y-%m-%d}; is that right?" in said.last["message"]
    assert said.last["advice"].startswith("Correct a wrong date.")


def test_once_the_date_is_right_again_the_same_command_installs(dated_site: Desk, clock_is: ClockIs) -> None:
    link = dated_site.published.link("demo-widget")
    for wrong in (TEN_YEARS, -TEN_YEARS):
        clock_is(wrong)
        assert dated_site.install(link).exit == 5
    clock_is(timedelta())
    assert dated_site.install(link).exit == 0


def test_a_file_is_installed_with_a_clock_ten_years_behind_and_a_note(desk: Desk, clock_is: ClockIs) -> None:
    """A file needs no freshness: who signed it is the same on any day."""
    desk.plug_in()
    clock_is(-TEN_YEARS)
    said = desk.updater("install", str(desk.published.bundle_path("demo-widget-1.1.0")), "--yes")
    assert said.exit == 0
    assert "The computer's clock is probably wrong." in " ".join(said.err.split())
    assert desk.holds("demo-widget-1.1.0")


@pytest.mark.parametrize(("typed", "status"), [("gizmo", 0), ("yes", 12)])
def test_a_file_whose_trust_has_run_out_by_this_clock_needs_the_product_typed(
    desk: Desk, clock_is: ClockIs, monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    """Ten years ahead, or a file that old: from here the two look alike, and a person decides."""
    monkeypatch.setattr("tests.desk._own_root", lambda: make_root(expires=TODAY + timedelta(days=365)))
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", program("1.0.0"))
    clock_is(TEN_YEARS + timedelta(days=3_653))
    said = desk.updater("install", desk.bundle(program("1.1.0")), "--yes", stdin=f"{typed}\n")
    assert said.exit == status, said.err
    assert "has expired by this computer's date" in " ".join(said.err.split())
    assert "Please check the computer's clock." in " ".join(said.err.split())
    assert desk.holds(program("1.1.0" if status == 0 else "1.0.0"))
