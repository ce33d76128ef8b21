"""Products that are newer than the updater, learnt from a real server and worked with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.kit import catalogue_of, own_site, show_catalogue, without_gadget
from tests.desk import Desk, Said
from updater.doors.bench.console import Paper, install_every
from updater.doors.bench.face import lanes_face
from updater.doors.terminal import JsonFace
from updater.heads.links import Link, format_code
from updater.heads.policy import OpenedFrom
from updater.story.job import Request
from updater.words.errors import NoDevice
from updater.words.facts import Channel

GADGET = "demo-gadget"


@pytest.fixture
def site(desk: Desk, tmp_path: Path) -> Iterator[Path]:
    with own_site(desk.published, tmp_path) as folder:
        yield folder


@pytest.fixture
def old(desk: Desk) -> Desk:
    """A customer whose updater knows the widget only, and who has a gadget."""
    desk.change_vendor(without_gadget)
    desk.plug_in(GADGET)
    return desk


def shows(desk: Desk, site: Path, version: int = 1, **how: object) -> None:
    show_catalogue(desk.published.vendor, site, catalogue_of(desk.published.vendor, version, **how))  # type: ignore[arg-type] # passed on as they are


def test_an_old_updater_learns_a_new_product_and_updates_a_device_with_it(old: Desk, site: Path) -> None:
    assert old.updater("devices").exit == 3
    shows(old, site)
    said = old.install()
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.out
    assert said.last["product"] == GADGET
    assert old.holds("demo-gadget-1.1.0")


def test_what_was_learnt_is_known_without_the_site(old: Desk, site: Path) -> None:
    shows(old, site)
    assert old.updater("check", "--json").last["offered"] == "1.1.0"
    old.published.web.folder = None
    assert old.updater("devices", "--json").last["product"] == GADGET
    assert old.updater("link", GADGET).exit == 0
    assert "catalogue 1; 0 came with the program" in old.updater("report").out
    file = str(old.published.bundle_path("demo-gadget-1.1.0"))
    assert old.install(file).last["result"] == "confirmed"


def test_without_a_catalogue_all_is_as_before(old: Desk, site: Path) -> None:
    said = old.install()
    assert (said.exit, said.last["error"]) == (3, "NoDevice")
    assert said.err == ""


@pytest.mark.parametrize("form", ["link", "code", "page"])
def test_a_link_or_code_for_a_new_product_leads_to_it(old: Desk, site: Path, form: str) -> None:
    shows(old, site)
    link = Link(product=GADGET, channel=Channel.STABLE, version=None)
    what = {
        "link": old.published.link(GADGET),
        "code": format_code(link, 2),
        "page": f"{old.published.web.url}u/{link.tokens}/",
    }[form]
    assert old.install(what).last["result"] == "confirmed"


def test_a_device_in_its_bootloader_may_be_said_to_be_a_new_product(old: Desk, site: Path) -> None:
    old.replug(boot=True)
    assert old.install("--as", f"{GADGET}:A").exit == 2
    shows(old, site)
    assert old.install("--as", f"{GADGET}:A").exit == 0
    assert old.holds("demo-gadget-1.1.0")


def test_a_bench_learns_it_once_for_all_boards(old: Desk, site: Path) -> None:
    shows(old, site)
    said = old.install("--all")
    assert (said.exit, said.last["type"]) == (0, "tally"), said.out
    assert old.holds("demo-gadget-1.1.0")


def test_a_product_that_is_described_otherwise_is_worked_with_as_the_catalogue_says(
    desk: Desk, site: Path
) -> None:
    """The floor is a part of the description: what is below it is refused in the very run that learns it."""
    desk.plug_in()
    shows(desk, site, security_floor=2)
    said = desk.install()
    assert said.exit == 6
    assert "its security counter is 1, 2 is needed" in said.last["message"]


def test_a_file_is_installed_without_asking_the_site_for_anything(desk: Desk, site: Path) -> None:
    shows(desk, site)
    desk.plug_in()
    asked = len(desk.published.web.asked)
    assert desk.install(str(desk.published.bundle_path("demo-widget-1.1.0"))).exit == 0
    assert len(desk.published.web.asked) == asked


def test_a_catalogue_for_newer_updaters_is_told_and_the_known_product_goes_on(desk: Desk, site: Path) -> None:
    desk.plug_in()
    shows(desk, site, min_tool="99.0.0", smell="none")
    said = desk.install()
    assert (said.exit, said.last["result"]) == (0, "confirmed")
    assert "are not used: the catalogue of products needs updater 99.0.0 or newer" in said.err
    assert "Get the newest updater from the vendor" in said.err


def test_whoever_needs_it_is_told_which_updater_knows_it(old: Desk, site: Path) -> None:
    shows(old, site, min_tool="99.0.0")
    said = old.updater("install", "--yes")
    assert said.exit == 3
    assert "needs updater 99.0.0 or newer" in said.err


def test_a_newer_updater_is_not_led_back_by_what_an_older_one_kept(desk: Desk, site: Path) -> None:
    """The same state folder, after the vendor's newer program was installed."""
    shows(desk, site, version=4, title="Old name")
    desk.plug_in()
    desk.updater("check")
    assert "Old name" in desk.updater("devices").out
    desk.change_vendor(lambda text: text + '[catalogue]\nversion = 5\nmin_tool = "0.1.0"\n')
    assert "Demo Widget" in desk.updater("devices").out
    assert "version 5 is known here already" in desk.updater("check").err


def test_an_older_updater_beside_a_newer_one_does_not_lead_it_back(desk: Desk, site: Path) -> None:
    """What the newer one has kept is in words that this one does not know; its version counts."""
    vendor = desk.published.vendor
    desk.plug_in()
    shows(desk, site, version=3)
    desk.updater("check")
    (kept,) = desk.state.glob("*/catalogue.dsse")
    newer = catalogue_of(vendor, 9, min_tool="99.0.0", smell="none")
    kept.write_bytes(newer)
    assert "needs updater 99.0.0 or newer" in noticed(desk.updater("devices"))
    assert "it is version 3, and version 9 is known here already" in noticed(desk.updater("check"))
    assert kept.read_bytes() == newer


def noticed(said: Said) -> str:
    return " ".join(said.err.split())


def test_an_older_catalogue_than_the_one_that_was_seen_is_not_gone_back_to(desk: Desk, site: Path) -> None:
    desk.plug_in()
    shows(desk, site, version=7, title="Seven")
    desk.updater("check")
    shows(desk, site, version=6, title="Six")
    said = desk.updater("check")
    assert said.exit == 0
    assert "it is version 6, and version 7 is known here already" in noticed(said)
    assert "Seven" in desk.updater("devices").out


def test_the_hands_go_on_where_the_site_cannot_be_asked(old: Desk, site: Path) -> None:
    old.published.web.folder = None
    with old.hands() as hands:
        face = JsonFace()
        with pytest.raises(NoDevice, match="no device was found"):
            install_every(
                hands,
                face,
                lanes_face(face),
                Request(opened_from=OpenedFrom.CHANNEL),
                Paper(),
                yes=True,
                dry=False,
            )
