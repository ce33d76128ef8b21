"""Attacks on what this computer remembers, and on files that change under our hands (rows 45 to 48, 58)."""

from __future__ import annotations

from pathlib import Path

import pytest
from semver import Version

from tests.attacks.kit import announce, next_root, own_site, publish, signed_again
from tests.desk import Desk, at_the_question
from updater.heads.container import read_container

COUNTER = 5


@pytest.fixture
def seen(desk: Desk, tmp_path: Path) -> Path:
    """This computer has seen a bundle with counter 5; its proof lies in the state folder."""
    file = tmp_path / "fixed.fwb"
    fixed = signed_again(
        desk.published.vendor, "demo-widget-1.1.0", version=Version(1, 2, 0), security_counter=COUNTER
    )
    file.write_bytes(fixed)
    assert desk.updater("verify", str(file)).exit == 0
    (proof,) = desk.state.rglob(f"evidence/demo-widget-{COUNTER}.dsse")
    desk.plug_in()
    return proof


def tries(desk: Desk) -> int:
    """The older release, counter 1, from a file."""
    return desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")), "--dry-run").exit


def test_a_counter_that_was_seen_closes_the_way_back(desk: Desk, seen: Path) -> None:
    assert seen.is_file()
    assert tries(desk) == 6


def test_a_floor_that_came_with_the_program_needs_no_memory(desk: Desk) -> None:
    desk.plug_in()
    desk.change_vendor(lambda text: text.replace("number = 1", "number = 1\nsecurity_floor = 2", 1))
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
    assert said.exit == 6
    assert "its security counter is 1, 2 is needed" in said.last["message"]


def test_the_devices_own_word_raises_the_floor(desk: Desk, tmp_path: Path) -> None:
    vendor = desk.published.vendor
    (tmp_path / "old.fwb").write_bytes(signed_again(vendor, "demo-widget-1.1.0", security_counter=0))
    desk.plug_in()
    said = desk.install(str(tmp_path / "old.fwb"))
    assert said.exit == 6
    assert "its security counter is 0, 1 is needed" in said.last["message"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, "truncated", "resigned"])
def test_a_proof_that_was_tampered_with_proves_nothing(desk: Desk, seen: Path, content: bytes | str) -> None:
    """Also one that a single key signed again: nobody can set the floor so high that nothing fits."""
    good = seen.read_bytes()
    if content == "resigned":
        lie = signed_again(
            desk.published.vendor, "demo-widget-1.1.0", by=("release-1",), security_counter=2**32 - 1
        )
        content = read_container(lie)["manifest.dsse"]
    seen.write_bytes(good[:-9] if isinstance(content, str) else content)
    assert tries(desk) == 0


def test_without_the_proof_the_memory_is_gone_and_nothing_else(desk: Desk, seen: Path) -> None:
    """A limit that is documented: who can delete files of this account can also make it forget."""
    seen.unlink()
    assert tries(desk) == 0


def test_a_proof_of_another_product_does_not_count(desk: Desk, seen: Path) -> None:
    gadget = signed_again(desk.published.vendor, "demo-gadget-1.1.0", security_counter=COUNTER)
    seen.write_bytes(read_container(gadget)["manifest.dsse"])
    assert tries(desk) == 0


def test_a_floor_set_with_a_key_that_was_taken_away_drops_again(
    desk: Desk, seen: Path, tmp_path: Path
) -> None:
    vendor = desk.published.vendor
    assert tries(desk) == 6
    root_2 = next_root(vendor, without="release-1")
    by, roots = ("release-2", "release-3"), (vendor.root, root_2)
    renewed = tmp_path / "renewed.fwb"
    renewed.write_bytes(signed_again(vendor, "demo-widget-1.1.0", by=by, roots=roots))
    assert desk.install(str(renewed), "--dry-run").exit == 0


def test_an_older_version_is_refused_from_the_site_even_if_the_online_key_says_so(
    desk: Desk, tmp_path: Path
) -> None:
    desk.plug_in(runs="1.1.0")
    with own_site(desk.published, tmp_path) as site:
        vendor = desk.published.vendor
        publish(vendor, site, vendor.bundle("demo-widget-1.0.0"))
        for what in ((), (desk.published.link("demo-widget"),), ("1.0.0",)):
            said = desk.install(*what)
            assert said.exit == 6
            assert "older than version 1.1.0" in said.last["message"]
        announce(vendor, site, "stable/demo-widget/current.fwb", rollout={"percent": 0, "salt": "x"},
                 previous="1.0.0")  # fmt: skip
        assert desk.install().exit == 6
    assert desk.holds("demo-widget-1.1.0")


@pytest.mark.parametrize("other", [b"rubbish", "demo-widget-1.0.0"])
def test_a_file_that_is_replaced_during_the_question_changes_nothing(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bytes | str
) -> None:
    desk.plug_in()
    vendor = desk.published.vendor
    file = tmp_path / "update.fwb"
    file.write_bytes(vendor.bundle("demo-widget-1.1.0"))
    instead = other if isinstance(other, bytes) else vendor.bundle(other)
    at_the_question(monkeypatch, lambda: file.write_bytes(instead))
    said = desk.updater("install", str(file))
    assert said.exit == 0, said.err
    assert file.read_bytes() != vendor.bundle("demo-widget-1.1.0"), "it was replaced"
    assert desk.holds("demo-widget-1.1.0")
