"""`bundles catalogue`: made from vendor.toml, told in words, signed by two, shown by the site."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from bundles import catalogue
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.pages import write_pages
from bundles.site import Site
from tests.attacks.kit import catalogue_of, next_root
from tests.bundles.conftest import FolderFetcher
from updater.hands.channel import UpdateSite
from updater.heads.catalogue import TARGET_PATH
from updater.heads.container import read_container
from updater.heads.gate import verify_catalogue
from updater.heads.silicon import the_table
from updater.heads.vendor import parse_vendor
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Channel

HEAD = '\n[catalogue]\nversion = {}\nmin_tool = "0.1.0"\n'
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path,
    demo_vendor: DemoVendor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """One `bundles catalogue` command: its exit status, and what it said to whom."""
    monkeypatch.setenv("BUNDLES_PASSPHRASE", (demo_vendor.keys / "passphrase.txt").read_text().strip())

    def command(*arguments: str | Path, stdin: str = "y\n") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main(["catalogue", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture
def root(demo_vendor: DemoVendor) -> Path:
    return demo_vendor.folder / "vendor" / "root.json"


def described(
    folder: Path, demo_vendor: DemoVendor, version: int, change: Callable[[str], str] = str
) -> Path:
    """A vendor folder whose products are this catalogue."""
    folder.mkdir(exist_ok=True)
    text = (demo_vendor.folder / "vendor" / "vendor.toml").read_text("utf-8")
    (folder / "vendor.toml").write_text(change(text) + HEAD.format(version), "utf-8")
    return folder


def built(demo_vendor: DemoVendor, version: int = 1, change: Callable[[str], str] = str) -> bytes:
    text = (demo_vendor.folder / "vendor" / "vendor.toml").read_text("utf-8")
    text = change(text) + HEAD.format(version)
    return catalogue.build(text, parse_vendor(text))


def signed(demo_vendor: DemoVendor, data: bytes, *names: str) -> bytes:
    root = Metadata[Root].from_bytes(demo_vendor.root).signed
    for name in names or ("release-1", "release-2"):
        data = catalogue.sign(data, root, demo_vendor.signer(name))
    return data


@pytest.fixture
def site(demo_vendor: DemoVendor, tmp_path: Path) -> Site:
    """A copy of the demo site, worked on today: an updater looks at it."""
    shutil.copytree(demo_vendor.site, tmp_path / "site")
    return Site(folder=tmp_path / "site", online=demo_vendor.signer("online"), now=datetime.now(UTC))


# -- made and told -------------------------------------------------------------------------------------


def test_from_vendor_toml_to_what_an_updater_is_shown(
    run: Run, tmp_path: Path, demo_vendor: DemoVendor, root: Path, site: Site
) -> None:
    """The commands of docs/release.md."""
    file, keys = tmp_path / "catalogue.dsse", demo_vendor.keys
    folder = described(tmp_path / "v", demo_vendor, 1)
    status, out, _ = run("new", "--vendor", folder, "-o", file)
    assert (status, out.splitlines()[:3]) == (
        0,
        [
            "catalogue 1, needs updater 0.1.0 or newer",
            "ADDED: demo-widget (number 1), Demo Widget: stm32h743; hardware A",
            '  usb: ["1209:0001"]',
        ],
    )
    assert '  ways: [{"kind": "dfu-detach", "within_ms": 5000}]' in out.splitlines()
    assert run("check", file, "--root", root)[0] == NotTrusted.exit_status
    assert "1 of 2" in run("sign", file, "--root", root, "--key", keys / "release-1.pem")[1]
    assert "2 of 2" in run("sign", file, "--root", root, "--key", keys / "release-3.pem")[1]
    assert run("check", file, "--root", root)[0] == 0
    online = keys / "online.pem"
    status, out, _ = run("set", file, "--site", site.folder, "--key", online)
    assert (status, "version 1 after the next `bundles publish`" in out) == (0, True)
    site.publish()
    assert seen(site, demo_vendor, tmp_path) == 1
    assert (site.folder / "files/catalogue-1.dsse").read_bytes() == file.read_bytes()


def seen(site: Site, demo_vendor: DemoVendor, tmp_path: Path) -> int | None:
    """The version that an updater is shown and takes."""
    fetcher = FolderFetcher(site.folder, demo_vendor.vendor.repository)
    client = UpdateSite(demo_vendor.vendor, demo_vendor.root, tmp_path / "customer", fetcher=fetcher)  # type: ignore[arg-type] # as much of a network as is needed
    data = client.catalogue()
    if data is None:
        return None
    roots, chips = client.known_roots(), the_table().chip_ids
    return verify_catalogue(data, embedded_root=demo_vendor.root, known_roots=roots, chips=chips).version


def test_two_builds_are_the_same_bytes(demo_vendor: DemoVendor) -> None:
    assert built(demo_vendor) == built(demo_vendor, change=lambda text: f"# a remark\n{text}")


def test_what_the_vendor_left_out_is_left_out(demo_vendor: DemoVendor) -> None:
    """So that an updater which does not know a key is not asked for it before somebody uses it."""
    payload = catalogue._envelope(built(demo_vendor)).payload
    assert b"supply_mv" in payload
    assert b"otp_record" not in payload


def test_what_changes_is_said_before_somebody_signs(
    run: Run, tmp_path: Path, demo_vendor: DemoVendor, root: Path
) -> None:
    before, after = tmp_path / "1.dsse", tmp_path / "2.dsse"
    keeps = "keep = [{ address = 0x080E0000, length = 0x20000 }]"
    first = described(tmp_path / "v1", demo_vendor, 1, lambda text: text.replace("keep = []", keeps, 1))
    run("new", "--vendor", first, "-o", before)

    def change(text: str) -> str:
        widget, gadget = text.split("[[product]]")[1:]
        tool = gadget.replace("demo-gadget", "demo-tool").replace("number = 2", "number = 3")
        head = text.split("[[product]]")[0]
        return "[[product]]".join([head, widget.replace("supply_mv = 3300", "supply_mv = 3000"), tool])

    folder = described(tmp_path / "v2", demo_vendor, 2, change)
    status, _, err = run("new", "--vendor", folder, "-o", after)
    assert (status, "Name the published one with --previous" in err) == (Usage.exit_status, True)
    assert run("new", "--vendor", folder, "--previous", before, "-o", after)[0] == 0
    arguments = (after, "--previous", before, "--root", root, "--key", demo_vendor.keys / "release-1.pem")
    status, out, err = run("sign", *arguments, stdin="no\n")
    assert status == 12
    assert "Sign this catalogue?" in err
    assert "ADDED: demo-tool (number 3), Demo Gadget: stm32f405; hardware A" in out
    assert '  header: {"address": 0x08000400}' in out
    assert "CHANGED: demo-widget: supply_mv was 3300, is 3000" in out
    assert "REMOVED: demo-gadget (number 2), Demo Gadget: stm32f405; hardware A. Updaters that" in out
    assert "NO LONGER KEPT: demo-widget: 131072 bytes at 0x080E0000" in out
    assert catalogue.read(after.read_bytes()).version == 2
    assert "signed by nobody (0 of 2 needed signatures)" in out
    status, _, err = run("sign", *arguments, stdin="")
    assert (status, "[y/N] \n" in err) == (12, True), "where the input ended, the error has its own line"


@pytest.mark.parametrize(
    ("change", "version", "says"),
    [
        (str, 1, "catalogue 1 does not follow catalogue 1"),
        (lambda text: text.replace("number = 2", "number = 7"), 2, "the number 7 of demo-gadget"),
        (
            lambda text: text.replace("number = 1", "number = 9").replace("number = 2", "number = 1"),
            2,
            "the number 9 of demo-widget",
        ),
        (lambda text: text, 2, "the security floor of demo-widget was 4, and would be 0"),
    ],
)
def test_a_change_that_updaters_or_printed_codes_would_stumble_over_is_refused(
    demo_vendor: DemoVendor, change: Callable[[str], str], version: int, says: str
) -> None:
    floor = "security floor" in says
    old = (lambda text: text.replace("number = 1", "number = 1\nsecurity_floor = 4")) if floor else str
    before = catalogue.read(built(demo_vendor, change=old))
    with pytest.raises(Refused, match=says):
        catalogue.check_change(catalogue.read(built(demo_vendor, version, change)), before)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (HEAD.format(1), "", "does not say which catalogue"),
        ("stm32h743", "stm32n6", "the chip 'stm32n6'"),
        ('min_tool = "0.1.0"', 'min_tool = "99.0.0"', "needs updater 99.0.0"),
        ('title = "Demo Widget"', 'title = "Demo \\u202eWidget"', "U\\+202E is not allowed"),
        ("supply_mv = 3300\nkeep = []", "otp_record = { address = 1 }", "one-time-programmable"),
        ("hold the button", "hold the\\nbutton", "U\\+000A is not allowed"),
    ],
)
def test_what_no_updater_would_take_is_not_made(
    demo_vendor: DemoVendor, old: str, new: str, says: str
) -> None:
    text = (demo_vendor.folder / "vendor" / "vendor.toml").read_text("utf-8") + HEAD.format(1)
    assert old in text
    changed = text.replace(old, new, 1)
    with pytest.raises(Usage, match=says):
        catalogue.build(changed, parse_vendor(changed))


# -- signed --------------------------------------------------------------------------------------------


def test_a_key_that_is_no_release_key_does_not_sign_and_none_signs_twice(demo_vendor: DemoVendor) -> None:
    once = signed(demo_vendor, built(demo_vendor), "release-1")
    with pytest.raises(Refused, match="release-1 has signed this catalogue already"):
        signed(demo_vendor, once, "release-1")
    for name in ("online", "root-1"):
        with pytest.raises(Refused, match="not one of the release keys"):
            signed(demo_vendor, once, name)


def test_a_bundles_envelope_is_no_catalogue(demo_vendor: DemoVendor) -> None:
    manifest = read_container(demo_vendor.bundle("demo-widget-1.0.0"))["manifest.dsse"]
    with pytest.raises(NotTrusted, match="this is no catalogue"):
        signed(demo_vendor, manifest)


# -- on the site ---------------------------------------------------------------------------------------


def test_nobody_sees_it_before_it_is_published(site: Site, demo_vendor: DemoVendor, tmp_path: Path) -> None:
    site.set_catalogue(signed(demo_vendor, built(demo_vendor)))
    assert seen(site, demo_vendor, tmp_path) is None
    site.publish()
    assert seen(site, demo_vendor, tmp_path) == 1


def test_too_few_signatures_are_not_published(site: Site, demo_vendor: DemoVendor) -> None:
    with pytest.raises(NotTrusted, match="carries 1 of the 2"):
        site.set_catalogue(signed(demo_vendor, built(demo_vendor), "release-1"))
    assert site.catalogue() is None


def test_a_site_does_not_go_back_and_gives_no_version_twice(site: Site, demo_vendor: DemoVendor) -> None:
    second = signed(demo_vendor, built(demo_vendor, 2))
    site.set_catalogue(second)
    other = built(demo_vendor, 2, lambda text: text.replace("3300", "3000"))
    for wrong in (built(demo_vendor, 1), other):
        with pytest.raises(Refused, match="does not follow catalogue 2"):
            site.set_catalogue(signed(demo_vendor, wrong))
    more = signed(demo_vendor, second, "release-3")
    assert site.set_catalogue(more).version == 2
    assert site.catalogue() == more


def test_it_is_no_release_and_gets_no_page(site: Site, demo_vendor: DemoVendor, tmp_path: Path) -> None:
    before = list(site.releases())
    site.set_catalogue(signed(demo_vendor, built(demo_vendor)))
    assert list(site.releases()) == before
    assert site.changed() == {(Channel.STABLE, "catalogue")}
    assert write_pages(site, demo_vendor.vendor, site.changed()) == 0
    site.publish()
    site.refresh()
    assert seen(site, demo_vendor, tmp_path) == 1


def test_after_a_revocation_it_is_named_among_what_lacks_signatures(
    site: Site, demo_vendor: DemoVendor
) -> None:
    site.set_catalogue(signed(demo_vendor, built(demo_vendor)))
    site.publish()
    root_2 = next_root(demo_vendor, without="release-1")
    targets = (site.folder / "metadata/1.targets.json").read_bytes()
    metadata = Metadata.from_bytes(targets)
    metadata.signed.version = 2
    metadata.signatures.clear()
    for name in ("release-2", "release-3"):
        metadata.sign(demo_vendor.signer(name), append=True)
    assert "the catalogue of products" in site.trust([root_2], metadata.to_bytes())


def test_the_id_of_the_catalogue_is_no_product(demo_vendor: DemoVendor) -> None:
    text = (demo_vendor.folder / "vendor" / "vendor.toml").read_text("utf-8")
    with pytest.raises(Usage, match="'catalogue' is a reserved word and no product"):
        parse_vendor(text.replace("demo-widget", "catalogue"))
    assert TARGET_PATH == "stable/catalogue/current.dsse"


def test_a_catalogue_as_the_tool_makes_it_is_the_one_that_the_attacks_are_tried_with(
    demo_vendor: DemoVendor,
) -> None:
    assert catalogue.payload_sha256(built(demo_vendor)) == catalogue.payload_sha256(
        catalogue_of(demo_vendor, by=())
    )
