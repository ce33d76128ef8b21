"""The update site against attackers, bad networks and wrong clocks, through the real TUF client."""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from semver import Version
from tuf.api.metadata import Metadata, Root

from bundles.demo.make import DemoVendor
from bundles.site import BIN_BITS, Site
from tests.attacks.kit import catalogue_of
from tests.fat import knows_no_links
from tests.hands.web import LOGIN_PAGE, Page, Web, serve
from updater.hands.channel import UpdateSite, require_as_offered
from updater.heads.gate import verify_bundle
from updater.heads.vendor import Vendor, parse_vendor
from updater.words.errors import NetworkFailed, NoSuchRelease, NotTrusted, StorageFailed
from updater.words.events import Event, Progressed, Step, StepDone, StepStarted
from updater.words.facts import Channel

NOW = datetime.now(UTC)
COMMITTED = Path(__file__).parents[2] / "updater" / "demo"


@pytest.fixture
def start(vendor: Vendor, demo_vendor: DemoVendor, tmp_path: Path) -> Callable[[], UpdateSite]:
    """Each call is another start of the updater, with what the earlier ones kept."""
    return lambda: UpdateSite(vendor, demo_vendor.root, tmp_path / "state")


@pytest.fixture
def site(start: Callable[[], UpdateSite]) -> UpdateSite:
    return start()


@pytest.fixture
def own_copy(demo_vendor: DemoVendor, web: Web, tmp_path: Path) -> Path:
    """A copy of the site that this test may change, served instead of the shared one."""
    web.folder = tmp_path / "site"
    shutil.copytree(demo_vendor.site, web.folder)
    return web.folder


def silent(_event: Event) -> None:
    return


def test_the_channels_current_release_is_offered(site: UpdateSite) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    assert (offer.version, offer.security_counter) == (Version(1, 1, 0), 1)
    assert offer.target_path == "stable/demo-widget/current.fwb"


def test_an_older_version_is_found_by_its_number(site: UpdateSite) -> None:
    assert site.offer("demo-gadget", Channel.STABLE, Version(1, 0, 0)).version == Version(1, 0, 0)


def test_a_download_passes_the_gate_and_says_what_it_does(site: UpdateSite, demo_vendor: DemoVendor) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    said: list[Event] = []
    data = site.download(offer, said.append)
    assert data == demo_vendor.bundle("demo-widget-1.1.0")
    assert said[0] == StepStarted(Step.DOWNLOAD, len(data))
    assert said[-2] == Progressed(Step.DOWNLOAD, len(data))
    assert isinstance(said[-1], StepDone)
    bundle = verify_bundle(data, embedded_root=demo_vendor.root, known_roots=site.known_roots(), now=NOW)
    require_as_offered(offer, bundle.manifest)
    assert bundle.signed_by == ("release-1", "release-2")


def test_what_was_downloaded_is_not_downloaded_again(site: UpdateSite, web: Web) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    first = site.download(offer, silent)
    asked = len(web.asked)
    assert site.download(offer, silent) == first
    assert len(web.asked) == asked


@pytest.mark.parametrize(
    ("product", "channel", "version"),
    [
        ("demo-toaster", Channel.STABLE, None),
        ("demo-widget", Channel.BETA, None),
        ("demo-widget", Channel.STABLE, Version(9, 9, 9)),
    ],
)
def test_what_the_site_does_not_list_is_said_so_and_no_other_host_is_asked(
    site: UpdateSite, web: Web, product: str, channel: Channel, version: Version | None
) -> None:
    with pytest.raises(NoSuchRelease, match="Demo Instruments does not offer"):
        site.offer(product, channel, version)
    assert all(request.path.startswith("/metadata/") for request in web.asked)


def test_the_roots_that_were_met_are_kept_for_the_gate(site: UpdateSite, demo_vendor: DemoVendor) -> None:
    assert site.known_roots() == ()
    site.offer("demo-widget", Channel.STABLE, None)
    assert site.known_roots() == (demo_vendor.root,)


def next_root(demo_vendor: DemoVendor, *signers: str) -> bytes:
    """Root 2, which takes release-3's key away."""
    root = Metadata[Root].from_bytes(demo_vendor.root)
    root.signed.version = 2
    root.signed.revoke_key(demo_vendor.signer("release-3").public_key.keyid, "targets")
    root.signatures.clear()
    for name in signers:
        root.sign(demo_vendor.signer(name), append=True)
    return root.to_bytes()


def test_a_new_root_is_followed_and_kept(
    start: Callable[[], UpdateSite], own_copy: Path, demo_vendor: DemoVendor
) -> None:
    renewed = next_root(demo_vendor, "root-2", "root-3")
    (own_copy / "metadata/2.root.json").write_bytes(renewed)
    start().offer("demo-widget", Channel.STABLE, None)
    assert start().known_roots() == (demo_vendor.root, renewed)


@pytest.mark.parametrize("signers", [("root-1",), ("release-1", "release-2"), ("online",), ()])
def test_a_new_root_that_the_old_one_does_not_carry_is_refused(
    start: Callable[[], UpdateSite], own_copy: Path, demo_vendor: DemoVendor, signers: tuple[str, ...]
) -> None:
    (own_copy / "metadata/2.root.json").write_bytes(next_root(demo_vendor, *signers))
    with pytest.raises(NotTrusted):
        start().offer("demo-widget", Channel.STABLE, None)
    assert start().known_roots() == (demo_vendor.root,)


def test_an_expired_site_names_this_computers_date(
    site: UpdateSite, own_copy: Path, demo_vendor: DemoVendor
) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    Site(folder=own_copy, online=demo_vendor.signer("online"), now=NOW, until=past).publish()
    with pytest.raises(NotTrusted, match=f"This computer's date is {NOW:%Y}.*is that right"):
        site.offer("demo-widget", Channel.STABLE, None)


def test_a_site_put_back_to_an_older_state_is_refused(
    start: Callable[[], UpdateSite], own_copy: Path, demo_vendor: DemoVendor
) -> None:
    before = (own_copy / "metadata/timestamp.json").read_bytes()
    Site(folder=own_copy, online=demo_vendor.signer("online"), now=NOW).publish()
    start().offer("demo-widget", Channel.STABLE, None)
    (own_copy / "metadata/timestamp.json").write_bytes(before)
    with pytest.raises(NotTrusted, match="cannot be trusted"):
        start().offer("demo-widget", Channel.STABLE, None)


def test_a_new_release_is_seen_at_the_next_start(
    start: Callable[[], UpdateSite], own_copy: Path, demo_vendor: DemoVendor
) -> None:
    assert start().offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)
    publisher = Site(folder=own_copy, online=demo_vendor.signer("online"), now=NOW)
    publisher.set_current(Channel.STABLE, demo_vendor.bundle("demo-widget-1.0.0"))
    publisher.publish()
    assert start().offer("demo-widget", Channel.STABLE, None).version == Version(1, 0, 0)


@pytest.mark.parametrize("role", ["timestamp", "1.snapshot", "1.targets", "1.stable", "stable-bin"])
def test_any_altered_metadata_is_refused(site: UpdateSite, own_copy: Path, role: str) -> None:
    metadata = own_copy / "metadata"
    files = sorted(metadata.glob("*.stable-?.json")) if role == "stable-bin" else [metadata / f"{role}.json"]
    for file in files:
        file.write_bytes(file.read_bytes().replace(b'"2999-12-31', b'"2998-12-31'))
    with pytest.raises(NotTrusted, match=r"was signed by 0/|not what the update site announced"):
        site.offer("demo-widget", Channel.STABLE, None)


def test_metadata_signed_by_a_stranger_is_refused(
    vendor: Vendor, own_copy: Path, demo_vendor: DemoVendor, tmp_path: Path
) -> None:
    timestamp = json.loads((own_copy / "metadata/timestamp.json").read_bytes())
    timestamp["signatures"][0]["sig"] = "00" * 64
    (own_copy / "metadata/timestamp.json").write_text(json.dumps(timestamp))
    with pytest.raises(NotTrusted, match="timestamp was signed by 0/1 keys"):
        UpdateSite(vendor, demo_vendor.root, tmp_path / "state").offer("demo-widget", Channel.STABLE, None)


def bundle_path(sha256: str) -> str:
    return f"/targets/stable/demo-widget/{sha256}.current.fwb"


def test_a_swapped_bundle_is_refused_after_one_clean_second_try(
    site: UpdateSite, web: Web, demo_vendor: DemoVendor
) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    path = bundle_path(offer.sha256)
    good = demo_vendor.bundle("demo-widget-1.1.0")
    web.pages[path] = Page(b"X" + good[1:])
    with pytest.raises(NotTrusted, match="not what the update site announced"):
        site.download(offer, silent)
    assert [request.path for request in web.asked].count(path) == 2


def test_a_bundle_without_end_is_stopped_at_its_announced_length(site: UpdateSite, web: Web) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    web.pages[bundle_path(offer.sha256)] = Page(b"P" * 5_000_000)
    with pytest.raises(NotTrusted, match="sends more than it announced"):
        site.download(offer, silent)


def test_a_cut_download_ends_well(site: UpdateSite, web: Web, demo_vendor: DemoVendor) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    good = demo_vendor.bundle("demo-widget-1.1.0")
    web.pages[bundle_path(offer.sha256)] = Page(good, cuts=[3000])
    assert site.download(offer, silent) == good


def test_a_captive_portal_is_named_and_leaves_what_is_known_alone(site: UpdateSite, web: Web) -> None:
    web.everywhere = LOGIN_PAGE
    with pytest.raises(NetworkFailed, match="a login page or another web page answered") as caught:
        site.offer("demo-widget", Channel.STABLE, None)
    assert "log in to the network" in caught.value.advice
    web.everywhere = None
    assert site.offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)


def test_a_host_that_shows_a_web_page_for_a_missing_root_is_named(site: UpdateSite, web: Web) -> None:
    web.pages["/metadata/2.root.json"] = LOGIN_PAGE
    with pytest.raises(NetworkFailed, match=r"2\.root\.json"):
        site.offer("demo-widget", Channel.STABLE, None)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_is_no_update_site_is_a_network_failure(
    site: UpdateSite, web: Web, status: int
) -> None:
    web.everywhere = Page(b"no", status=status)
    with pytest.raises(NetworkFailed, match=f"HTTP {status}"):
        site.offer("demo-widget", Channel.STABLE, None)


def test_no_server_at_all_is_a_network_failure_with_the_way_out(
    vendor: Vendor, demo_vendor: DemoVendor, tmp_path: Path
) -> None:
    with serve() as gone:
        nowhere = msgspec.structs.replace(vendor, repository=gone.url)
    with pytest.raises(NetworkFailed) as caught:
        UpdateSite(nowhere, demo_vendor.root, tmp_path).offer("demo-widget", Channel.STABLE, None)
    assert "as a file" in caught.value.advice


def test_a_state_folder_that_cannot_be_used_is_said_so(
    vendor: Vendor, demo_vendor: DemoVendor, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    site = UpdateSite(vendor, demo_vendor.root, tmp_path / "file" / "state")
    with pytest.raises(StorageFailed, match=r"state folder|cannot be"):
        site.offer("demo-widget", Channel.STABLE, None)


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The state folder is on FAT, which knows neither kind of link."""
    knows_no_links(monkeypatch, tmp_path / "state")
    return tmp_path / "state"


def test_a_state_folder_on_a_stick_that_knows_no_links_will_do(
    start: Callable[[], UpdateSite], no_links: Path, demo_vendor: DemoVendor
) -> None:
    site = start()
    offer = site.offer("demo-widget", Channel.STABLE, None)
    assert site.download(offer, silent) == demo_vendor.bundle("demo-widget-1.1.0")
    assert site.known_roots() == (demo_vendor.root,)
    kept = {str(file.relative_to(no_links / "metadata")) for file in no_links.rglob("*.json")}
    assert {"timestamp.json", "snapshot.json", "targets.json", "root_history/1.root.json"} <= kept


def test_on_a_stick_too_an_older_state_of_the_site_is_refused(
    start: Callable[[], UpdateSite], no_links: Path, own_copy: Path, demo_vendor: DemoVendor
) -> None:
    before = (own_copy / "metadata/timestamp.json").read_bytes()
    Site(folder=own_copy, online=demo_vendor.signer("online"), now=NOW).publish()
    start().offer("demo-widget", Channel.STABLE, None)
    (own_copy / "metadata/timestamp.json").write_bytes(before)
    with pytest.raises(NotTrusted, match="cannot be trusted"):
        start().offer("demo-widget", Channel.STABLE, None)
    assert (no_links / "metadata/timestamp.json").read_bytes() != before


def test_what_is_borrowed_for_a_stick_is_given_back(
    start: Callable[[], UpdateSite], no_links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    borrowed = tmp_path / "temporary"
    borrowed.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(borrowed))
    site = start()
    site.offer("demo-widget", Channel.STABLE, None)
    assert len(list(borrowed.iterdir())) == 1
    del site
    gc.collect()
    assert list(borrowed.iterdir()) == []


def test_damaged_files_in_the_state_folder_are_fetched_again(
    start: Callable[[], UpdateSite], tmp_path: Path
) -> None:
    start().offer("demo-widget", Channel.STABLE, None)
    damaged = [file for file in (tmp_path / "state/metadata").rglob("*.json") if not file.is_symlink()]
    assert len(damaged) == 6
    for file in damaged:
        file.write_bytes(b"\0\0\0")
    assert start().offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)


@pytest.mark.parametrize("lie", [{"version": Version(3, 5, 0)}, {"security_counter": 7}, {"product": "x"}])
def test_a_site_that_announces_other_than_people_signed_is_refused(
    site: UpdateSite, demo_vendor: DemoVendor, lie: dict[str, object]
) -> None:
    offer = site.offer("demo-widget", Channel.STABLE, None)
    data = demo_vendor.bundle("demo-widget-1.1.0")
    manifest = verify_bundle(data, embedded_root=demo_vendor.root, now=NOW).manifest
    with pytest.raises(NotTrusted, match="but the signed bundle is demo-widget"):
        require_as_offered(dataclasses.replace(offer, **lie), manifest)  # type: ignore[arg-type] # each lie is of its field's kind


def test_a_first_look_at_a_full_size_site_stays_small(
    vendor: Vendor, demo_vendor: DemoVendor, web: Web, tmp_path: Path
) -> None:
    """256 bins a channel, as every product's site has them."""
    web.folder = tmp_path / "site"
    publisher = Site(folder=web.folder, online=demo_vendor.signer("online"), now=NOW)
    targets = (demo_vendor.site / "metadata/1.targets.json").read_bytes()
    publisher.create([demo_vendor.root], targets, bin_bits=BIN_BITS)
    publisher.set_current(Channel.STABLE, demo_vendor.bundle("demo-widget-1.1.0"))
    data = catalogue_of(demo_vendor)
    publisher.set_catalogue(data)
    publisher.publish(unrehearsed=True)
    site = UpdateSite(vendor, demo_vendor.root, tmp_path / "state")
    assert site.offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)
    assert len(web.asked) == 6
    assert site.catalogue() == data
    assert len(web.asked) == 8
    assert web.sent_bytes < 25_000
    web.asked.clear()
    again = UpdateSite(vendor, demo_vendor.root, tmp_path / "state")
    assert again.catalogue() == data
    assert again.offer("demo-widget", Channel.STABLE, None).version == Version(1, 1, 0)
    assert len(web.asked) == 2


def test_a_site_without_a_catalogue_has_none_and_that_is_no_error(site: UpdateSite) -> None:
    assert site.catalogue() is None


@pytest.fixture
def committed_web() -> Iterator[Web]:
    with serve(COMMITTED / "site") as running:
        yield running


@pytest.mark.parametrize("product", ["demo-widget", "demo-gadget"])
def test_the_demo_vendor_in_the_repository_is_whole(committed_web: Web, tmp_path: Path, product: str) -> None:
    vendor = parse_vendor((COMMITTED / "vendor.toml").read_text(encoding="utf-8"))
    vendor = msgspec.structs.replace(vendor, repository=committed_web.url)
    root = (COMMITTED / "root.json").read_bytes()
    site = UpdateSite(vendor, root, tmp_path)
    for version in (None, Version(1, 0, 0)):
        offer = site.offer(product, Channel.STABLE, version)
        bundle = verify_bundle(site.download(offer, silent), embedded_root=root, now=NOW)
        require_as_offered(offer, bundle.manifest)
        assert bundle.manifest.product == product


def test_the_demo_vendor_in_the_repository_is_small_never_expires_and_holds_no_key() -> None:
    files = [file for file in COMMITTED.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    site = [file for file in files if file.is_relative_to(COMMITTED / "site")]
    assert sum(file.stat().st_size for file in site) < 300_000
    assert not any(b"PRIVATE KEY" in file.read_bytes() for file in files)
    for file in (COMMITTED / "site/metadata").iterdir():
        assert json.loads(file.read_bytes())["signed"]["expires"] == "2999-12-31T00:00:00Z"
    assert tomllib.loads((COMMITTED / "vendor.toml").read_text(encoding="utf-8"))["kind"] == "demo"
