"""Landing pages: true, safe, and readable on a phone; looked at in a real browser where there is one."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from semver import Version
from tuf.api.metadata import TargetFile

from bundles import root
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.pages import offer_programs, programs_of, write_pages
from bundles.site import Site
from tests.hands.web import serve
from tests.tools import find, need
from updater.words.errors import Refused, Usage
from updater.words.facts import Channel

PROGRAM = b"MZ" + bytes(1998)


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its texts by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def links(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.tags if tag == "a"]


def sign_for(site: Site, demo: DemoVendor, *programs: TargetFile, version: int = 2) -> None:
    """Two release people sign a targets.json that lists these programs, and the site shows it."""
    trusted, online = root.load_root(demo.root).signed, demo.signer("online").public_key
    expires = site.now + timedelta(days=300)
    made = root.new_targets(trusted, online, expires, version=version, programs=programs)
    for name in ("release-1", "release-2"):
        root.sign(made, trusted, "targets", demo.signer(name))
    site.trust([], root.dump(made))


@pytest.fixture
def page(site: Site, demo_vendor: DemoVendor) -> Path:
    """The page of the widget's latest release, with a program to download."""
    sign_for(site, demo_vendor, root.program("Updater.exe", PROGRAM))
    offer_programs(site, [("Updater.exe", PROGRAM)])
    write_pages(site, demo_vendor.vendor)
    return site.folder / "u/demo-widget/stable/latest/index.html"


def test_every_size_and_hash_on_the_page_is_that_of_the_file_it_leads_to(page: Path, site: Site) -> None:
    html = page.read_text("utf-8")
    stated = re.findall(r"<small>(\S+): ([\d,]+) bytes, SHA-256 ([0-9a-f]{64})</small>", html)
    leads = {href.rpartition("/")[2]: (page.parent / href).resolve() for href in Elements(html).links()}
    assert [name for name, _, _ in stated] == ["Updater.exe", "demo-widget-1.1.0.fwb"]
    for name, size, digest in stated:
        data = leads[name].read_bytes()
        assert (int(size.replace(",", "")), digest) == (len(data), hashlib.sha256(data).hexdigest())
        assert leads[name].is_relative_to(site.folder.resolve())


def test_the_page_allows_itself_its_own_style_and_nothing_else(page: Path) -> None:
    html = page.read_text("utf-8")
    (policy,) = (
        attrs["content"]
        for tag, attrs in Elements(html).tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*)</style>", html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'")
    assert not {tag for tag, _ in Elements(html).tags} & {"script", "img", "link", "iframe", "form"}
    assert not [attrs for _, attrs in Elements(html).tags if any(name.startswith("on") for name in attrs)]


def test_the_page_says_what_the_release_does(page: Path) -> None:
    assert "Answers faster after power-on." in "".join(Elements(page.read_text("utf-8")).texts)


def test_the_page_of_a_withdrawn_release_offers_nothing(site: Site, demo_vendor: DemoVendor) -> None:
    site.withdraw(Channel.STABLE, "demo-widget", Version(1, 1, 0), Version(1, 0, 0))
    write_pages(site, demo_vendor.vendor)
    html = (site.folder / "u/demo-widget/stable/1.1.0/index.html").read_text("utf-8")
    assert "This version was withdrawn" in html
    assert Elements(html).links() == ["../latest/"]
    latest = (site.folder / "u/demo-widget/stable/latest/index.html").read_text("utf-8")
    assert "<h1>Demo Widget 1.0.0</h1>" in latest


@pytest.mark.parametrize("signed", [b"", b"another one"])
def test_a_program_for_which_nobody_has_signed_is_not_offered(
    site: Site, demo_vendor: DemoVendor, signed: bytes
) -> None:
    """What is genuine say people, of the updater as of firmware; the key on the server cannot add one."""
    if signed:
        sign_for(site, demo_vendor, root.program("Updater.exe", signed))
    with pytest.raises(Refused, match=r"nobody has signed for Updater\.exe with the SHA-256"):
        offer_programs(site, [("Updater.exe", PROGRAM)])
    assert programs_of(site) == ()
    assert not (site.folder / "updater").exists()


def test_a_program_that_people_take_back_vanishes_from_the_pages(
    page: Path, site: Site, demo_vendor: DemoVendor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Updater.exe" in page.read_text("utf-8")
    sign_for(site, demo_vendor, version=3)
    secret = ["--passphrase-file", str(demo_vendor.keys / "passphrase.txt")]
    key = ["--key", str(demo_vendor.keys / "online.pem"), *secret]
    vendor = ["--vendor", str(demo_vendor.folder / "vendor"), "--all-pages"]
    assert main(["publish", "--site", str(site.folder), *vendor, *key, "--unrehearsed"]) == 0
    assert "no page offers Updater.exe" in capsys.readouterr().err
    assert "Updater.exe" not in page.read_text("utf-8")


def test_any_tuf_client_finds_the_program_that_people_have_signed_for(page: Path, site: Site) -> None:
    (one,) = programs_of(site)
    listed = site.signed_programs()["Updater.exe"]
    listed.verify_length_and_hashes((site.folder / "targets" / listed.get_prefixed_paths()[0]).read_bytes())
    assert (listed.path, listed.length, listed.hashes) == (
        "updater/Updater.exe",
        2000,
        {"sha256": one.sha256},
    )


def test_the_list_of_programs_goes_by_the_command_line(
    site: Site, demo_vendor: DemoVendor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drafted, kept by the next draft, taken back, refused under a name that could mislead."""
    exe, first, second = (tmp_path / name for name in ("Updater.exe", "t1.json", "t2.json"))
    exe.write_bytes(PROGRAM)
    public = ["--root", str(demo_vendor.folder / "vendor/root.json")]
    public += ["--online-key", str(demo_vendor.keys / "online.pub.pem"), "--expires", "12months"]
    new = ["targets", "new", *public]
    assert main([*new, "--program", str(exe), "-o", str(first)]) == 0
    digest = hashlib.sha256(PROGRAM).hexdigest()
    line = f"It lists updater/Updater.exe itself: 2000 bytes, SHA-256 {digest}."
    assert line in capsys.readouterr().out
    assert main([*new, "--previous", str(first), "-o", str(second)]) == 0
    assert line in capsys.readouterr().out
    secret = ["--passphrase-file", str(demo_vendor.keys / "passphrase.txt")]
    for name in ("release-1", "release-2"):
        by = ["--key", str(demo_vendor.keys / f"{name}.pem"), *secret, "--yes"]
        assert main(["targets", "sign", str(second), *public[:2], *by]) == 0
        assert line in capsys.readouterr().out, "who signs sees the hash"
    where = ["--site", str(site.folder)]
    online = ["--key", str(demo_vendor.keys / "online.pem"), *secret]
    assert main(["site", "trust", *where, "--targets", str(second), *online]) == 0
    assert main(["site", "programs", str(exe), *where]) == 0
    assert digest in capsys.readouterr().out
    exe.write_bytes(PROGRAM + b"!")
    assert main(["site", "programs", str(exe), *where]) == Refused.exit_status
    assert main([*new, "--previous", str(first), "--program", "-o", str(first)]) == 0
    assert "It lists" not in capsys.readouterr().out
    with pytest.raises(Usage, match="no name for a program"):
        root.program("../Updater.exe", PROGRAM)


def test_link_prints_the_three_ways_and_writes_a_page_for_any_host(
    demo_vendor: DemoVendor, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["link", "demo-widget", "--vendor", str(demo_vendor.folder / "vendor"), "--version", "1.1.0"]
    assert main(command) == 0
    link, page, code = capsys.readouterr().out.splitlines()
    assert link == "link: demo-update://v1/demo-widget/stable/1.1.0"
    assert page == "page: http://127.0.0.1:8000/u/demo-widget/stable/1.1.0/"
    assert code.startswith("code: ")
    assert main([*command, "--page", str(tmp_path / "p"), "--site", str(site.folder)]) == 0
    html = (tmp_path / "p/index.html").read_text("utf-8")
    assert "http://127.0.0.1:8000/files/demo-widget-1.1.0.fwb" in Elements(html).links()
    assert code.removeprefix("code: ") in html
    assert main([*command, "--page", str(tmp_path / "q")]) == 2
    assert main(["link", "nothing", "--vendor", str(demo_vendor.folder / "vendor")]) == 2


@pytest.mark.browser
@pytest.mark.parametrize(("name", "width", "height"), [("phone", 360, 740), ("desk", 1280, 900)])
def test_a_browser_shows_the_page_on_a_phone_and_on_a_desk(
    page: Path, site: Site, tmp_path: Path, name: str, width: int, height: int
) -> None:
    """Without JavaScript, without a complaint about the policy, and no wider than the screen."""
    need("chromium")
    with serve(site.folder) as web:
        web.pages["/u/demo-widget/stable/latest/"] = web.page("/u/demo-widget/stable/latest/index.html")
        picture = tmp_path / f"{name}.png"
        url = f"{web.url}u/demo-widget/stable/latest/"
        told = _chromium(f"--window-size={width},{height}", f"--screenshot={picture}", url)
        dom = _chromium("--dump-dom", url).stdout
        asked = {request.path for request in web.asked} - {"/favicon.ico"}
    assert picture.stat().st_size > 10_000
    assert "Content Security Policy" not in told.stderr
    assert "<h1>Demo Widget 1.1.0</h1>" in dom
    assert asked == {"/u/demo-widget/stable/latest/"}, "it loads nothing else"


@pytest.mark.browser
def test_the_style_is_taken_and_nothing_sticks_out_of_a_phone(page: Path, site: Site, tmp_path: Path) -> None:
    """Measured by a page around it: a frame of a phone's width in which the page may run no script."""
    need("chromium")
    measure = (
        "<iframe id=f src='latest/index.html' width=360 height=740></iframe><pre id=o></pre><script>"
        "f.onload=()=>{const d=f.contentDocument, b=d.body;"
        "o.textContent=[d.documentElement.scrollWidth<=360, getComputedStyle(b).maxWidth,"
        "parseFloat(getComputedStyle(b).fontSize)>=16].join(' ')}</script>"
    )
    (page.parent.parent / "measure.html").write_text(measure, "utf-8")
    with serve(site.folder) as web:
        dom = _chromium(
            "--virtual-time-budget=3000", "--dump-dom", f"{web.url}u/demo-widget/stable/measure.html"
        )
    found = re.search(r'<pre id="o">(.*?)</pre>', dom.stdout)
    assert found
    fits, most, readable = found[1].split(" ")
    assert (fits, readable) == ("true", "true")
    assert most.endswith("px"), "the style sheet was not blocked by its own policy"


def _chromium(*arguments: str) -> subprocess.CompletedProcess[str]:
    common = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")
    return subprocess.run(
        [str(find("chromium")), *common, *arguments], check=True, capture_output=True, text=True, timeout=50
    )
