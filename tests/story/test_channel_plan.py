"""Which release a device gets from its channel, through the real client and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from semver import Version

from tests.attacks.kit import announce, next_root, own_site, publish, signed_again
from tests.desk import Desk
from updater.words.facts import Channel

CURRENT = "stable/demo-widget/current.fwb"
NOBODY = {"percent": 0, "salt": "1.1.0"}


@pytest.fixture
def site(desk: Desk, tmp_path: Path) -> Iterator[Path]:
    with own_site(desk.published, tmp_path) as folder:
        yield folder


@pytest.fixture
def widget(desk: Desk, site: Path) -> Desk:
    """A widget that runs 1.0.0; the channel's current release is 1.1.0."""
    desk.plug_in()
    return desk


def says(desk: Desk, site: Path, path: str = CURRENT, **said: object) -> None:
    announce(desk.published.vendor, site, path, **said)


def test_a_device_outside_of_the_rollout_is_offered_the_previous_release(widget: Desk, site: Path) -> None:
    says(widget, site, rollout=NOBODY, previous="1.0.0")
    assert widget.updater("check", "--json").last["offered"] is None
    said = widget.install()
    assert (said.exit, said.last["result"]) == (0, "nothing-to-do")
    assert said.last["to_version"] == "1.0.0"


def test_without_a_previous_release_it_is_told_that_its_turn_comes(widget: Desk, site: Path) -> None:
    says(widget, site, rollout=NOBODY)
    assert "not this device's turn yet" in widget.updater("check").out
    said = widget.install()
    assert said.exit == 6
    assert "step by step" in said.last["message"]
    assert not widget.holds("demo-widget-1.1.0")


def test_everybody_is_offered_a_release_at_100_percent(widget: Desk, site: Path) -> None:
    says(widget, site, rollout={"percent": 100, "salt": "1.1.0"}, previous="1.0.0")
    assert widget.install().last["result"] == "confirmed"


def test_a_link_to_a_version_does_not_wait(widget: Desk, site: Path) -> None:
    says(widget, site, rollout=NOBODY, previous="1.0.0")
    assert widget.install(widget.published.link("demo-widget", "1.1.0")).last["result"] == "confirmed"


def test_a_device_in_its_bootloader_is_not_kept_waiting(widget: Desk, site: Path) -> None:
    says(widget, site, rollout=NOBODY, previous="1.0.0")
    widget.fault("cut-after", 60)
    assert widget.install(widget.published.link("demo-widget", "1.1.0")).exit == 9
    said = widget.install("--as", "demo-widget:A")
    assert said.exit == 0, said.out
    assert said.last["to_version"] == "1.1.0"


def test_a_withdrawn_release_is_refused_from_the_site_and_from_links(widget: Desk, site: Path) -> None:
    says(widget, site, withdrawn=["1.1.0"])
    for what in ((), (widget.published.link("demo-widget", "1.1.0"),), ("1.1.0",)):
        said = widget.install(*what)
        assert said.exit == 6
        assert said.last["message"] == "the vendor has withdrawn version 1.1.0"
    assert not widget.holds("demo-widget-1.1.0")


def test_a_withdrawn_release_in_a_file_is_warned_of_where_the_list_was_seen(widget: Desk, site: Path) -> None:
    file = str(widget.published.bundle_path("demo-widget-1.1.0"))
    warning = "The vendor has withdrawn version 1.1.0."
    assert warning not in widget.updater("install", file, "--dry-run").err
    says(widget, site, withdrawn=["1.1.0"])
    widget.install()
    assert warning in widget.updater("install", file, "--dry-run").err
    says(widget, site, withdrawn=[])
    widget.updater("check")
    assert warning not in widget.updater("install", file, "--dry-run").err


@pytest.mark.parametrize("content", [b"", b"{}", b'["1.1"]', b"\xff", b'[{"a":1}]'])
def test_a_list_that_was_tampered_with_stops_nobody(widget: Desk, site: Path, content: bytes) -> None:
    says(widget, site, withdrawn=["9.9.9"])
    widget.updater("check")
    (kept,) = widget.state.rglob("withdrawn/*.json")
    kept.write_bytes(content)
    file = str(widget.published.bundle_path("demo-widget-1.1.0"))
    assert widget.updater("install", file, "--dry-run").exit == 0


def test_a_release_that_needs_another_first_leads_there(widget: Desk, site: Path) -> None:
    vendor = widget.published.vendor
    publish(
        vendor,
        site,
        signed_again(
            vendor, "demo-widget-1.1.0", version=Version(1, 2, 0), from_min_version=Version(1, 1, 0)
        ),
    )
    says(widget, site, from_min_version="1.1.0", step="1.1.0")
    assert widget.updater("check", "--json").last["offered"] == "1.1.0"
    said = widget.updater("install", "--yes")
    assert said.exit == 0, said.err
    assert "Version 1.1.0 has to be installed first" in said.err
    assert "to go on to version 1.2.0" in said.err
    assert widget.holds("demo-widget-1.1.0")
    assert widget.updater("check", "--json").last["offered"] == "1.2.0"


def test_a_precursor_that_was_not_signed_is_a_lie(widget: Desk, site: Path) -> None:
    says(widget, site, from_min_version="0.9.0")
    said = widget.install()
    assert said.exit == 5
    assert "needs 0.9.0 before it" in said.last["message"]


def test_a_release_that_needs_a_newer_updater_says_which(widget: Desk, site: Path) -> None:
    vendor = widget.published.vendor
    needy = signed_again(vendor, "demo-widget-1.1.0", version=Version(1, 2, 0), min_tool=Version(99, 0, 0))
    (site.parent / "needy.fwb").write_bytes(needy)
    said = widget.install(str(site.parent / "needy.fwb"))
    assert said.exit == 6
    assert "needs updater 99.0.0 or newer" in said.last["message"]


# -- what is remembered, wherever it came from ---------------------------------------------------------


def test_a_file_from_a_stick_takes_a_key_out_of_use_as_the_site_would(desk: Desk, tmp_path: Path) -> None:
    """The bundle that brings root 2 is only looked at; the old one is not trusted afterwards."""
    vendor = desk.published.vendor
    root_2 = next_root(vendor, without="release-1")
    file = tmp_path / "new.fwb"
    by = ("release-2", "release-3")
    file.write_bytes(signed_again(vendor, "demo-widget-1.1.0", by=by, roots=(vendor.root, root_2)))
    old = str(desk.published.bundle_path("demo-widget-1.1.0"))
    assert desk.updater("verify", old).exit == 0
    assert desk.updater("verify", str(file)).exit == 0
    (kept,) = desk.state.rglob("root_history/2.root.json")
    assert kept.read_bytes() == root_2
    said = desk.updater("verify", old)
    assert said.exit == 5
    assert "carries 1 of the 2" in said.err


def test_a_newer_counter_that_was_only_looked_at_closes_the_way_back(desk: Desk, tmp_path: Path) -> None:
    vendor = desk.published.vendor
    file = tmp_path / "fixed.fwb"
    file.write_bytes(signed_again(vendor, "demo-widget-1.1.0", version=Version(1, 2, 0), security_counter=7))
    desk.plug_in()
    assert desk.updater("verify", str(file)).exit == 0
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
    assert said.exit == 6
    assert "its security counter is 1, 7 is needed" in said.last["message"]


def test_an_engineering_build_that_was_looked_at_closes_nothing(desk: Desk, tmp_path: Path) -> None:
    vendor = desk.published.vendor
    file = tmp_path / "engineering.fwb"
    file.write_bytes(
        signed_again(vendor, "demo-widget-1.1.0", channels=(Channel.ENGINEERING,), security_counter=7)
    )
    desk.plug_in()
    assert desk.updater("verify", str(file)).exit == 0
    assert desk.install(str(desk.published.bundle_path("demo-widget-1.1.0"))).exit == 0
