"""Attacks on the catalogue of products: on the site, in the state folder, by one key (rows 70 to 75)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.kit import catalogue_of, next_root, own_site, show_catalogue, signed_again
from tests.desk import Desk
from updater.heads.container import read_container, write_container
from updater.words.facts import Channel

NEW = "New name"


@pytest.fixture
def site(desk: Desk, tmp_path: Path) -> Iterator[Path]:
    with own_site(desk.published, tmp_path) as folder:
        desk.plug_in()
        yield folder


@pytest.fixture
def kept(desk: Desk, site: Path) -> Path:
    """The catalogue that this computer has taken from the site."""
    show_catalogue(desk.published.vendor, site, catalogue_of(desk.published.vendor, 3, title=NEW))
    assert desk.updater("check").exit == 0
    assert NEW in desk.updater("devices").out
    (file,) = desk.state.glob("*/catalogue.dsse")
    return file


def refusal(desk: Desk, site: Path, data: bytes) -> str:
    """What is told of a catalogue that is not used; the device is updated as before."""
    show_catalogue(desk.published.vendor, site, data)
    said = desk.updater("check")
    assert said.exit == 0, said.err
    assert not list(desk.state.glob("*/catalogue.dsse"))
    assert "Demo Widget" in desk.updater("devices").out
    return " ".join(said.err.split())


@pytest.mark.parametrize("by", [("release-1", "online"), ("root-1", "root-2")])
def test_the_online_key_cannot_make_a_catalogue(desk: Desk, site: Path, by: tuple[str, ...]) -> None:
    forged = catalogue_of(desk.published.vendor, 9, by=by, title=NEW)
    assert "of the 2 release signatures" in refusal(desk, site, forged)


def test_what_was_signed_as_a_bundle_is_no_catalogue(desk: Desk, site: Path) -> None:
    manifest = read_container(desk.published.vendor.bundle("demo-widget-1.1.0"))["manifest.dsse"]
    assert "of another kind" in refusal(desk, site, manifest)


def test_what_was_signed_as_a_catalogue_is_no_bundle(desk: Desk, site: Path, tmp_path: Path) -> None:
    members = read_container(desk.published.vendor.bundle("demo-widget-1.1.0"))
    lie = write_container(members | {"manifest.dsse": catalogue_of(desk.published.vendor)})
    (tmp_path / "lie.fwb").write_bytes(lie)
    said = desk.install(str(tmp_path / "lie.fwb"))
    assert said.exit == 5
    assert "of another kind" in said.last["message"]


@pytest.mark.parametrize("data", [b"rubbish", b"x" * 262_145], ids=["rubbish", "long"])
def test_rubbish_in_the_catalogues_place_stops_nobody(desk: Desk, site: Path, data: bytes) -> None:
    assert "are not used" in refusal(desk, site, data)


def test_the_online_key_cannot_put_an_older_catalogue_back(desk: Desk, site: Path, kept: Path) -> None:
    show_catalogue(desk.published.vendor, site, catalogue_of(desk.published.vendor, 2, title="Older"))
    said = desk.updater("check")
    assert "it is version 2, and version 3 is known here already" in " ".join(said.err.split())
    assert NEW in desk.updater("devices").out


@pytest.mark.parametrize("content", [b"", "cut off", "forged", "by one", "a bundle's"])
def test_a_kept_catalogue_that_was_tampered_with_is_told_and_does_not_count(
    desk: Desk, site: Path, kept: Path, content: bytes | str
) -> None:
    vendor = desk.published.vendor
    kept.write_bytes(
        content
        if isinstance(content, bytes)
        else {
            "cut off": kept.read_bytes()[:-9],
            "forged": catalogue_of(vendor, 2**32 - 1, by=("root-1", "root-2"), title="Forged"),
            "by one": catalogue_of(vendor, 2**32 - 1, by=("release-1",), title="Forged"),
            "a bundle's": read_container(vendor.bundle("demo-widget-1.1.0"))["manifest.dsse"],
        }[content]
    )
    said = desk.updater("devices")
    assert said.exit == 0
    assert "Demo Widget" in said.out
    assert "that were kept are not used" in " ".join(said.err.split())
    assert desk.updater("check").exit == 0, "and the genuine one is taken from the site again"
    assert NEW in desk.updater("devices").out


def test_without_the_kept_one_the_memory_is_gone_and_nothing_else(desk: Desk, site: Path, kept: Path) -> None:
    kept.unlink()
    said = desk.updater("devices")
    assert "Demo Widget" in said.out
    assert said.err == ""


def test_a_catalogue_signed_with_a_key_that_was_taken_away_counts_no_more(
    desk: Desk, site: Path, kept: Path, tmp_path: Path
) -> None:
    vendor = desk.published.vendor
    root_2 = next_root(vendor, without="release-1")
    renewed = tmp_path / "renewed.fwb"
    by, roots = ("release-2", "release-3"), (vendor.root, root_2)
    renewed.write_bytes(signed_again(vendor, "demo-widget-1.1.0", by=by, roots=roots))
    assert desk.updater("verify", str(renewed)).exit == 0
    said = desk.updater("devices")
    assert "Demo Widget" in said.out
    assert "carries 1 of the 2 release signatures" in " ".join(said.err.split())


def test_a_floor_that_came_with_the_program_is_not_let_down_by_a_catalogue(desk: Desk, site: Path) -> None:
    vendor = desk.published.vendor
    desk.change_vendor(lambda text: text.replace("number = 1", "number = 1\nsecurity_floor = 2", 1))
    show_catalogue(vendor, site, catalogue_of(vendor, 3, title=NEW))
    said = desk.install()
    assert said.exit == 6
    assert "its security counter is 1, 2 is needed" in said.last["message"]


def test_a_catalogue_cannot_lead_printed_codes_elsewhere(desk: Desk, site: Path) -> None:
    """Also with enough signatures: two products change their numbers."""
    desk.change_vendor(
        lambda text: text.replace("number = 1", "number = 3").replace("number = 2", "number = 1")
    )
    said = refusal(desk, site, catalogue_of(desk.published.vendor, 9, title=NEW))
    assert "numbers demo-widget 1 instead of 3" in said


def test_beta_cannot_speak_of_the_catalogue(desk: Desk, site: Path) -> None:
    """Enough people signed it, but the channel that lists it has no say there."""
    vendor = desk.published.vendor
    show_catalogue(vendor, site, catalogue_of(vendor, title=NEW), by=Channel.BETA)
    assert desk.updater("check").exit == 0
    assert "Demo Widget" in desk.updater("devices").out
