"""A change of root: said in words, refused where it must be, and followed by updaters in the field."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from bundles import ceremony, root
from bundles.demo.make import DemoVendor
from bundles.release import build, read_draft, sign, with_roots
from bundles.site import Site
from tests.bundles.conftest import NOW
from tests.bundles.test_rehearse import RECIPES, recipe
from tests.bundles.test_root import SIGNERS, draft, public
from updater.heads.gate import verify_bundle
from updater.words.errors import NotTrusted, Refused, StorageFailed, Usage
from updater.words.facts import Channel

LATER = NOW + timedelta(days=700)


def named(name: str) -> CryptoSigner:
    made = CryptoSigner.generate_ecdsa()
    made.public_key.unrecognized_fields["x-name"] = name
    return made


def first() -> Any:
    return draft(
        release_keys=public("release-1", "release-2", "root-3"), root_keys=public("root-1", "root-2")
    )


def sign_both(new: Any, old: Any, *names: str) -> Any:
    for name in names:
        ceremony.sign_change(new, old, SIGNERS[name])
    return new


def test_a_revoked_key_is_named_and_nothing_else_changes() -> None:
    old = first()
    new = ceremony.next_root(old.signed, LATER, keys=ceremony.without(old.signed, "root-3"))
    assert ceremony.change_in_words(old.signed, new.signed) == [
        "This is root 2, after root 1.",
        f"It is valid until {LATER:%Y-%m-%d} instead of 2028-01-22.",
        "CHANGE: root-3 is no release key any more.",
    ]
    assert SIGNERS["root-3"].public_key.keyid not in new.signed.keys


def test_a_renewal_says_that_no_key_changes() -> None:
    old = first()
    new = ceremony.next_root(old.signed, LATER)
    assert ceremony.change_in_words(old.signed, new.signed)[-1] == "The keys and thresholds stay as they are."
    assert new.signed.keys == old.signed.keys


def test_a_rotation_names_who_goes_who_comes_and_how_many_must_sign() -> None:
    old = draft()
    new = ceremony.next_root(
        old.signed,
        LATER,
        keys={
            "root": [*public("root-1", "root-2"), named("dora").public_key],
            "online": [named("ci").public_key],
        },
        thresholds={"root": 3},
    )
    assert ceremony.change_in_words(old.signed, new.signed)[2:] == [
        "CHANGE: root-3 is no root key any more.",
        "CHANGE: dora becomes root key.",
        "CHANGE: 3 root signatures are needed instead of 2.",
        "CHANGE: online is no online key any more.",
        "CHANGE: ci becomes online key.",
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"thresholds": {"release": 1}}, "one stolen key decide alone"),
        ({"thresholds": {"root": 4}}, "4 signatures are needed"),
        ({"keys": {"release": public("release-1", "online")}}, "online key"),
    ],
)
def test_a_bad_change_is_refused_before_anybody_signs(changes: Any, why: str) -> None:
    old = draft()
    with pytest.raises(Refused, match=why):
        ceremony.check_change(ceremony.next_root(old.signed, LATER, **changes), old, NOW)


def test_an_expiry_in_the_past_is_refused() -> None:
    old = draft()
    with pytest.raises(Refused, match="expired on"):
        ceremony.check_change(ceremony.next_root(old.signed, NOW - timedelta(days=1)), old, NOW)


def test_a_root_that_skips_a_version_is_refused() -> None:
    old = draft()
    new = ceremony.next_root(old.signed, LATER)
    new.signed.version += 1
    with pytest.raises(Refused, match="root 3 cannot follow root 1"):
        ceremony.check_change(new, old, NOW)


def test_the_new_root_needs_the_old_people_and_the_new_ones() -> None:
    old = draft()
    dora, eve = named("dora"), named("eve")
    new = ceremony.next_root(
        old.signed, LATER, keys={"root": [*public("root-1"), dora.public_key, eve.public_key]}
    )
    ceremony.sign_change(new, old, dora)
    ceremony.sign_change(new, old, eve)
    assert (
        ceremony.check_change(new, old, NOW)[-1] == "Of the keys of root 1: signed by nobody; 2 more needed."
    )
    with pytest.raises(NotTrusted, match="lacks signatures of root 1"):
        ceremony.require_change_signed(new, old)
    sign_both(new, old, "root-1", "root-2")
    ceremony.require_change_signed(new, old)
    with pytest.raises(Refused, match="not one of the root keys"):
        ceremony.sign_change(new, old, SIGNERS["release-1"])


def test_without_too_many_keys_or_an_unknown_one_nothing_is_drafted() -> None:
    old = draft().signed
    with pytest.raises(Refused, match="2 release signatures are needed, and without release-1 there are 1"):
        ceremony.without(old, "release-1")
    with pytest.raises(Refused, match="without one nothing can be published"):
        ceremony.without(old, "online")
    with pytest.raises(Usage, match="no key 'nobody'"):
        ceremony.without(old, "nobody")


def rotated(demo: DemoVendor, **how: Any) -> bytes:
    """The demo vendor's root 2, signed by two of its root people."""
    old = root.load_root(demo.root)
    new = ceremony.next_root(old.signed, NOW + timedelta(days=700), **how)
    for name in ("root-1", "root-2"):
        ceremony.sign_change(new, old, demo.signer(name))
    ceremony.require_change_signed(new, old)
    return root.dump(new)


def targets_under(new_root: bytes, demo: DemoVendor, online: Any) -> bytes:
    trusted = root.load_root(new_root).signed
    new = root.new_targets(trusted, online, NOW + timedelta(days=300), version=2)
    for name in ("release-2", "release-3"):
        root.sign(new, trusted, "targets", demo.signer(name))
    return root.dump(new)


def test_a_lost_online_key_is_replaced_and_updaters_go_on(
    site: Site, demo_vendor: DemoVendor, look: Any
) -> None:
    """What a client had seen before the change is no obstacle to it."""
    assert look(site) == "1.1.0"
    ci = named("ci")
    second = rotated(demo_vendor, keys={"online": [ci.public_key]})
    today = datetime.now(UTC)  # the client looks at the clock
    recovered = Site(folder=site.folder, online=ci, now=today)
    assert recovered.trust([second], targets_under(second, demo_vendor, ci.public_key)) == []
    assert look(site) == "1.1.0"
    with pytest.raises(Refused, match="not the online key"):
        site.refresh()
    recovered.refresh()
    assert look(site) == "1.1.0"


@pytest.mark.parametrize(
    ("at", "refused"),
    [("2.targets.json", False), ("2.stable.json", False), ("2.root.json", False), ("timestamp.json", True)],
)
def test_a_recovery_that_is_cut_off_is_finished_by_the_same_command(
    at: str, refused: bool, site: Site, demo_vendor: DemoVendor, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only between the new root and the new timestamp does an updater refuse the site."""
    ci, replace = named("ci"), os.replace
    second = rotated(demo_vendor, keys={"online": [ci.public_key]})
    targets = targets_under(second, demo_vendor, ci.public_key)
    recovered = Site(folder=site.folder, online=ci, now=datetime.now(UTC))

    def cutting(source: Path, target: Path) -> None:
        if target.name == at:
            raise OSError("the power went")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cutting)
        with pytest.raises(StorageFailed):
            recovered.trust([second], targets)
    if refused:
        with pytest.raises(NotTrusted):
            look(site)
    else:
        assert look(site) == "1.1.0"
    recovered.trust([second], targets)
    assert look(site) == "1.1.0"


def test_a_revoked_release_key_leaves_bundles_that_others_must_sign(
    site: Site, demo_vendor: DemoVendor
) -> None:
    old = root.load_root(demo_vendor.root).signed
    second = rotated(demo_vendor, keys=ceremony.without(old, "release-1"))
    online = next(iter(old.keys[keyid] for keyid in old.roles["snapshot"].keyids))
    short = site.trust([second], targets_under(second, demo_vendor, online))
    assert "stable demo-widget 1.1.0" in short, "release-1 had signed them all"
    bundle = with_roots(demo_vendor.bundle("demo-widget-1.1.0"), [demo_vendor.root, second])
    bundle = sign(bundle, demo_vendor.signer("release-3"))
    site.set_current(Channel.STABLE, bundle)
    opened = verify_bundle(bundle, embedded_root=demo_vendor.root, now=NOW)
    assert (opened.root_version, opened.signed_by) == (2, ("release-2", "release-3"))


def test_a_stranger_root_is_not_taken_over(site: Site, demo_vendor: DemoVendor) -> None:
    before = {path: path.read_bytes() for path in site.folder.rglob("*.json")}
    stranger = root.dump(draft())
    with pytest.raises(NotTrusted, match="not an unbroken chain"):
        site.trust([stranger], (site.folder / "metadata/1.targets.json").read_bytes())
    assert {path: path.read_bytes() for path in site.folder.rglob("*.json")} == before


def test_roots_that_do_not_continue_a_bundles_own_are_not_put_into_it(demo_vendor: DemoVendor) -> None:
    bundle = build(recipe(), RECIPES, [demo_vendor.root])
    with pytest.raises(NotTrusted, match="do not continue"):
        with_roots(bundle, [root.dump(draft())])
    assert read_draft(with_roots(bundle, [demo_vendor.root])) == read_draft(bundle)


def test_folders_without_a_site_are_named(tmp_path: Path, demo_vendor: DemoVendor) -> None:
    with pytest.raises(Usage, match="is no update site"):
        Site(folder=tmp_path, online=demo_vendor.signer("online"), now=NOW).trust([], b"")
