"""Attacks on what is current: a site whose server, or whose online key, is in wrong hands (rows 17 to 27)."""

from __future__ import annotations

import json
import ntpath
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from semver import Version
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, TargetFile
from tuf.ngclient import updater as ngclient

from tests.attacks.kit import Forge, announce, next_root, own_site, point, publish, signed_again
from tests.desk import Published
from tests.hands.web import Page
from updater.hands.channel import UpdateSite, require_as_offered
from updater.heads.gate import verify_bundle
from updater.words.errors import NetworkFailed, NoSuchRelease, NotTrusted
from updater.words.facts import Channel

NOW = datetime.now(UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
CURRENT = "stable/demo-widget/current.fwb"
Start = Callable[[], UpdateSite]


@pytest.fixture
def site(published: Published, tmp_path: Path) -> Iterator[Path]:
    with own_site(published, tmp_path) as folder:
        yield folder


@pytest.fixture
def forge(published: Published, site: Path) -> Forge:
    return Forge(published.vendor, site)


@pytest.fixture
def start(published: Published, site: Path, tmp_path: Path) -> Start:
    """Each call is another start of the updater, with what the earlier ones kept."""
    vendor = msgspec.structs.replace(published.vendor.vendor, repository=published.web.url)
    return lambda: UpdateSite(vendor, published.vendor.root, tmp_path / "state")


def looks(start: Start) -> Version:
    return start().offer("demo-widget", Channel.STABLE, None).version


def refusal(start: Start) -> str:
    """Why the site is not trusted; nothing where it is."""
    try:
        looks(start)
    except NotTrusted as error:
        return error.message
    return ""


def kept(tmp_path: Path, role: str) -> Any:
    return json.loads((tmp_path / f"state/metadata/{role}.json").read_bytes())["signed"]["version"]


# -- 17: the cache --------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["forged", "garbage", "signed by one"])
def test_a_poisoned_root_in_the_cache_is_passed_over(
    start: Start, published: Published, tmp_path: Path, poison: str
) -> None:
    history = tmp_path / "state/metadata/root_history"
    history.mkdir(parents=True)
    by = {"forged": ("release-1", "release-2"), "signed by one": ("root-1",), "garbage": ()}[poison]
    bad = next_root(published.vendor, without="release-1", signed_by=by)
    (history / "2.root.json").write_bytes(b"\0" if poison == "garbage" else bad)
    assert looks(start) == Version(1, 1, 0)
    data = published.vendor.bundle("demo-widget-1.1.0")
    roots = start().known_roots()
    assert (
        verify_bundle(data, embedded_root=published.vendor.root, known_roots=roots, now=NOW).root_version == 1
    )


def test_a_file_without_end_in_the_cache_is_not_read(start: Start, tmp_path: Path) -> None:
    history = tmp_path / "state/metadata/root_history"
    history.mkdir(parents=True)
    with (history / "9.root.json").open("wb") as file:
        file.truncate(600_000)
    assert start().known_roots() == ()


# -- 18 to 22: freshness and consistency ----------------------------------------------------------------


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "stable", "stable-0"])
@pytest.mark.parametrize("by", [(), ("root-1",)])
def test_a_role_that_nobody_or_somebody_else_signed_is_refused(
    start: Start, forge: Forge, role: str, by: tuple[str, ...]
) -> None:
    roles = ["stable-0", "stable-1"] if role == "stable-0" else [role]
    for one in roles:
        version = forge.put(one, lambda _signed: None, by=by)
    if role == "snapshot":
        forge.point_timestamp_at(version)
    elif role != "timestamp":
        forge.publish()
    assert f"{role} was signed by 0/" in refusal(start)


def test_a_snapshot_put_back_is_refused_and_the_newer_one_kept(
    start: Start, forge: Forge, tmp_path: Path
) -> None:
    forge.publish()
    looks(start)
    newer = kept(tmp_path, "snapshot")
    forge.point_timestamp_at(newer - 1)
    assert refusal(start).endswith("New snapshot version must be >= 2, got version 1")
    assert kept(tmp_path, "snapshot") == newer == 2


@pytest.mark.parametrize("role", ["targets", "stable", "stable-0"])
def test_one_role_put_back_by_a_newer_snapshot_is_refused(start: Start, forge: Forge, role: str) -> None:
    forge.put(role, lambda _signed: None, by=("release-1", "release-2") if role == "targets" else ("online",))
    forge.publish()
    looks(start)
    version = forge.put("snapshot", lambda signed: setattr(signed.meta[f"{role}.json"], "version", 1))
    forge.point_timestamp_at(version)
    assert f"Expected {role}.json version 1, got " in refusal(start)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp", "stable"])
def test_what_has_expired_is_refused_and_the_computers_date_is_named(
    start: Start, forge: Forge, role: str
) -> None:
    by = {"root": ("root-1", "root-2"), "targets": ("release-1", "release-2")}.get(role, ("online",))
    version = forge.put(role, lambda signed: setattr(signed, "expires", PAST), by=by)
    if role == "snapshot":
        forge.point_timestamp_at(version)
    elif role in ("targets", "stable"):
        forge.publish()
    said = refusal(start)
    assert f"{role}" in said
    assert "is expired" in said
    assert f"This computer's date is {NOW:%Y}" in said


def test_a_role_that_is_not_the_one_the_snapshot_names_is_refused(start: Start, forge: Forge) -> None:
    """Mix and match: version 1 is served under the name of version 2."""
    forge.put("targets", lambda _signed: None, by=("release-1", "release-2"))
    forge.publish()
    (forge.folder / "2.targets.json").write_bytes((forge.folder / "1.targets.json").read_bytes())
    assert refusal(start).endswith("Expected targets v2, got v1.")


def test_a_snapshot_that_is_not_the_one_the_timestamp_hashed_is_refused(start: Start, forge: Forge) -> None:
    def name_another(signed: Any) -> None:
        signed.snapshot_meta = MetaFile(version=1, hashes={"sha256": "0" * 64})

    forge.put("timestamp", name_another)
    assert "not what the update site announced" in refusal(start)


def test_a_role_that_vanishes_from_the_snapshot_is_refused(start: Start, forge: Forge) -> None:
    looks(start)
    version = forge.put("snapshot", lambda signed: signed.meta.pop("beta.json"))
    forge.point_timestamp_at(version)
    assert refusal(start).endswith("New snapshot is missing info for 'beta.json'")


# -- 23 to 26: keys --------------------------------------------------------------------------------------


def test_versions_run_up_with_a_stolen_key_are_forgotten_when_the_key_is_replaced(
    start: Start, forge: Forge, published: Published, tmp_path: Path
) -> None:
    far = 2**31 - 1
    forge.put("timestamp", lambda signed: setattr(signed, "version", far))
    looks(start)
    assert kept(tmp_path, "timestamp") == far
    stolen, fresh = (published.vendor.signer(name).public_key for name in ("online", "release-3"))

    def replace_key(signed: Any) -> None:
        for role in ("timestamp", "snapshot"):
            signed.revoke_key(stolen.keyid, role)
            signed.add_key(fresh, role)

    forge.put("root", replace_key, by=("root-1", "root-2"))
    snapshot = forge.read("snapshot")
    forge.write("snapshot", snapshot, by=("release-3",))
    timestamp = forge.read("timestamp")
    timestamp.signed.version = 1
    timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
    forge.write("timestamp", timestamp, by=("release-3",))
    assert looks(start) == Version(1, 1, 0)
    assert kept(tmp_path, "timestamp") == 1


def test_a_channel_cannot_speak_for_another(start: Start, forge: Forge, published: Published) -> None:
    data = published.vendor.bundle("demo-widget-1.1.0")
    path = "stable/demo-widget/9.9.9.fwb"
    for role in ("beta-0", "beta-1"):
        forge.put(role, lambda signed: signed.targets.update({path: TargetFile.from_data(path, data)}))
    forge.publish()
    with pytest.raises(NoSuchRelease, match=r"does not offer version 9\.9\.9 of 'demo-widget' in stable"):
        start().offer("demo-widget", Channel.STABLE, Version(9, 9, 9))


def test_on_windows_too_upper_case_is_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """GHSA-qp9x-wp8f-qgjj: before tuf 7.0.1 patterns were matched with the file system's idea of case."""
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)
    role = DelegatedRole("stable", [], 1, True, ["stable/*/*"])
    assert role.is_delegated_path("stable/demo-widget/current.fwb")
    assert not role.is_delegated_path("STABLE/demo-widget/current.fwb")


def test_a_role_that_two_channels_name_is_verified_for_each(
    start: Start, forge: Forge, published: Published
) -> None:
    """A diamond: what was verified with one parent's keys is not believed for another parent."""
    other = published.vendor.signer("release-3").public_key
    online = published.vendor.signer("online").public_key
    for channel, key in (("stable", online), ("beta", other)):
        shared = DelegatedRole("shared", [key.keyid], 1, True, ["*/*/*"])

        def lead_to(signed: Any, key: Any = key, shared: DelegatedRole = shared) -> None:
            signed.delegations = Delegations({key.keyid: key}, {"shared": shared})

        forge.put(channel, lead_to)
    data = published.vendor.bundle("demo-widget-1.1.0")
    common = forge.read("beta-0")
    common.signed.targets.clear()
    for path in (CURRENT, CURRENT.replace("stable", "beta")):
        target = TargetFile.from_data(path, data)
        target.unrecognized_fields["custom"] = {"version": "1.1.0", "security_counter": 1}
        common.signed.targets[path] = target
    forge.write("shared", common, by=("online",))
    forge.publish()
    one_start = start()
    assert one_start.offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)
    with pytest.raises(NotTrusted, match="shared was signed by 0/1 keys"):
        one_start.offer("demo-widget", Channel.BETA, None)


def test_two_signatures_where_three_of_five_are_needed_are_refused(
    start: Start, forge: Forge, published: Published
) -> None:
    def ask_for_three(signed: Any) -> None:
        for name in ("root-1", "root-2", "root-3", "release-1"):
            signed.add_key(published.vendor.signer(name).public_key, "timestamp")
        signed.roles["timestamp"].threshold = 3

    forge.put("root", ask_for_three, by=("root-1", "root-2"))
    forge.put("timestamp", lambda _signed: None, by=("online", "root-1"))
    assert refusal(start).endswith("timestamp was signed by 2/3 keys")
    forge.put("timestamp", lambda _signed: None, by=("online", "root-1", "release-1"))
    assert looks(start) == Version(1, 1, 0)


def test_a_key_that_a_role_lists_twice_is_refused(
    start: Start, forge: Forge, published: Published, tmp_path: Path
) -> None:
    signer_of, root = published.vendor.signer, Metadata[Root].from_bytes(published.vendor.root)
    root.signed.version = 2
    root.signed.roles["targets"].keyids *= 2
    root.signatures.clear()
    for name in ("root-1", "root-2"):
        root.sign(signer_of(name), append=True)
    (forge.folder / "2.root.json").write_bytes(root.to_bytes())
    assert refusal(start).endswith("Failed to deserialize JSON"), "python-tuf reads no such role"
    assert not (tmp_path / "state/metadata/root_history/2.root.json").exists()


# -- 27, 34: what the server sends ----------------------------------------------------------------------


@pytest.mark.parametrize(("file", "size"), [("timestamp.json", 17_000), ("2.root.json", 600_000)])
def test_metadata_without_end_is_stopped_at_its_limit(
    start: Start, published: Published, file: str, size: int
) -> None:
    published.web.pages[f"/metadata/{file}"] = Page(b"{" * size)
    assert "sends more than it announced" in refusal(start)


@pytest.mark.parametrize("file", ["2.root.json", "timestamp.json"])
def test_an_empty_answer_is_refused(start: Start, published: Published, file: str) -> None:
    published.web.pages[f"/metadata/{file}"] = Page(b"")
    assert refusal(start).endswith("Failed to deserialize JSON")
    del published.web.pages[f"/metadata/{file}"]
    assert looks(start) == Version(1, 1, 0), "the empty file was not kept"


@pytest.mark.parametrize("status", [403, 404])
def test_no_next_root_is_the_end_of_the_chain(start: Start, published: Published, status: int) -> None:
    published.web.pages["/metadata/2.root.json"] = Page(b"no", status=status)
    assert looks(start) == Version(1, 1, 0)


def test_a_server_that_fails_over_the_next_root_is_a_network_failure(
    start: Start, published: Published
) -> None:
    published.web.pages["/metadata/2.root.json"] = Page(b"oops", status=500)
    with pytest.raises(NetworkFailed, match="HTTP 500"):
        looks(start)


# -- 49, 50, 59: the online key, and the disk between download and gate ---------------------------------


def offered(start: Start, published: Published) -> None:
    """What an update does with an offer: download, gate, compare."""
    site = start()
    offer = site.offer("demo-widget", Channel.STABLE, None)
    data = site.download(offer, lambda _event: None)
    bundle = verify_bundle(data, embedded_root=published.vendor.root, known_roots=site.known_roots(), now=NOW)
    require_as_offered(offer, bundle.manifest)


def test_the_online_key_cannot_move_a_beta_bundle_to_stable(
    start: Start, site: Path, published: Published
) -> None:
    beta = signed_again(published.vendor, "demo-widget-1.1.0", channels=(Channel.BETA,))
    point(published.vendor, site, CURRENT, beta)
    with pytest.raises(NotTrusted, match="not signed for the channel stable"):
        offered(start, published)


def test_the_online_key_cannot_release_what_people_did_not_sign(
    start: Start, site: Path, published: Published
) -> None:
    point(
        published.vendor, site, CURRENT, signed_again(published.vendor, "demo-widget-1.1.0", by=("online",))
    )
    with pytest.raises(NotTrusted, match="carries 0 of the 2"):
        offered(start, published)


@pytest.mark.parametrize(
    "lie", [{"version": "3.5.0"}, {"security_counter": 9}, {"from_min_version": "1.0.0"}]
)
def test_the_online_key_cannot_say_other_than_people_signed(
    start: Start, site: Path, published: Published, lie: dict[str, Any]
) -> None:
    announce(published.vendor, site, CURRENT, **lie)
    with pytest.raises(NotTrusted, match="the update site"):
        offered(start, published)


def test_the_online_key_may_choose_among_what_people_signed(
    start: Start, site: Path, published: Published
) -> None:
    publish(published.vendor, site, published.vendor.bundle("demo-widget-1.0.0"))
    offered(start, published)
    assert looks(start) == Version(1, 0, 0)


def test_a_download_that_is_swapped_on_the_disk_is_refused(
    start: Start, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ngclient.Updater.download_target

    def swapped(client: Any, target: Any, path: str, *more: Any) -> str:
        written = real(client, target, path, *more)
        Path(path).write_bytes(published.vendor.bundle("demo-widget-1.0.0"))
        return written

    monkeypatch.setattr(ngclient.Updater, "download_target", swapped)
    with pytest.raises(NotTrusted, match="not what the update site announced"):
        offered(start, published)
