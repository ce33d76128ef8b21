"""`bundles site-check` finds what would hurt updaters, and has nothing to say about a good host."""

from __future__ import annotations

import dataclasses
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.pages import offer_programs
from bundles.root import program
from bundles.site import Site
from bundles.sitecheck import Checked, SiteCheck
from tests.attacks.kit import catalogue_of
from tests.bundles.test_pages import sign_for
from tests.hands.web import Page, Web, serve
from updater.hands.host import Home
from updater.words.errors import NetworkFailed, Usage

NO_CACHE = {"Cache-Control": "no-cache", "Content-Type": "application/json"}


@pytest.fixture
def web(site: Site) -> Iterator[Web]:
    """The demo site, on a host that does all right; only TLS is missing on loopback."""
    dataclasses.replace(site, now=datetime.now(UTC)).refresh()
    with serve(site.folder) as running:
        timestamp = (site.folder / "metadata/timestamp.json").read_bytes()
        running.pages["/metadata/timestamp.json"] = Page(timestamp, headers=dict(NO_CACHE))
        yield running


def check(web: Web, demo: DemoVendor | None = None, *, now: datetime | None = None) -> Checked:
    home = Home(demo.vendor, demo.root) if demo else None
    return SiteCheck(web.url, now or datetime.now(UTC)).run(home)


def found(checked: Checked) -> list[str]:
    """Without the one finding that loopback always has."""
    return [one.what for one in checked.findings if "without TLS" not in one.what]


def test_a_good_host_has_no_findings_and_an_updater_finds_its_releases(
    web: Web, demo_vendor: DemoVendor
) -> None:
    checked = check(web, demo_vendor)
    assert found(checked) == []
    assert "byte ranges: as they must be" in checked.seen
    assert "demo-widget: an updater finds 1.1.0" in checked.seen


def test_an_updater_takes_the_catalogue_that_the_host_shows(
    web: Web, site: Site, demo_vendor: DemoVendor
) -> None:
    today = dataclasses.replace(site, now=datetime.now(UTC))
    today.set_catalogue(catalogue_of(demo_vendor, 4))
    today.publish()
    del web.pages["/metadata/timestamp.json"]
    assert "catalogue 4: an updater takes it" in check(web, demo_vendor).seen
    (file,) = site.folder.glob("targets/stable/catalogue/*.current.dsse")
    file.unlink()
    assert any("an updater does not take the catalogue" in one for one in found(check(web, demo_vendor)))


def test_a_timestamp_that_caches_may_keep_is_found(web: Web) -> None:
    page = web.pages["/metadata/timestamp.json"]
    page.headers["Cache-Control"] = "public, max-age=86400"
    page.headers["Age"] = "7200"
    assert found(check(web)) == [
        "timestamp.json may be cached (Cache-Control: public, max-age=86400)",
        "timestamp.json comes from a cache that has kept it for 7200 seconds",
    ]


def test_a_page_instead_of_404_is_found(web: Web) -> None:
    web.pages["/metadata/999999999.root.json"] = Page(b"<html>Oops", headers={"Content-Type": "text/html"})
    assert found(check(web)) == ["a file that does not exist answers HTTP 200"]


def test_a_404_that_caches_may_keep_is_found(web: Web) -> None:
    """A CDN that remembers for a day that there is no next root keeps the new one from everybody."""
    web.pages["/metadata/999999999.root.json"] = Page(
        b"gone", status=404, headers={"Cache-Control": "public, max-age=86400"}
    )
    assert found(check(web)) == ["that a file is missing may be remembered for 86400 seconds"]


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (Page(status=301, headers={"Location": "https://cdn.invalid/"}), "redirects to https://cdn.invalid/"),
        (Page(b"x", headers={"Content-Encoding": "gzip"}), "Content-Encoding 'gzip'"),
        (Page(b"x", headers={"Content-Type": "text/html"}), "comes as a web page"),
        (Page(b"gone", status=500), "answers HTTP 500"),
        (Page(b"{}", headers=dict(NO_CACHE)), "is not TUF metadata"),
    ],
)
def test_a_file_that_is_served_otherwise_is_found(web: Web, page: Page, what: str) -> None:
    web.pages["/metadata/timestamp.json"] = page
    findings = [one for one in check(web).findings if what in one.what]
    assert len(findings) == 1
    assert findings[0].advice.endswith(".")


def test_a_host_without_ranges_or_entity_tags_is_found(web: Web, site: Site) -> None:
    for path in (site.folder / "targets").rglob("*.fwb"):
        name = f"/{path.relative_to(site.folder).as_posix()}"
        web.pages[name] = Page(path.read_bytes(), etag=None, ranges=False)
    whats = found(check(web))
    assert whats[0].endswith("comes without a strong ETag")
    assert "half of it was asked for and HTTP 200 came" in whats[1]


def test_the_updaters_on_the_host_are_those_that_people_have_signed_for(
    web: Web, site: Site, demo_vendor: DemoVendor
) -> None:
    sign_for(
        dataclasses.replace(site, now=datetime.now(UTC)), demo_vendor, program("Updater.exe", b"MZ ours")
    )
    (offered,) = offer_programs(site, [("Updater.exe", b"MZ ours")])
    timestamp = (site.folder / "metadata/timestamp.json").read_bytes()
    web.pages["/metadata/timestamp.json"] = Page(timestamp, headers=dict(NO_CACHE))
    good = check(web, demo_vendor)
    assert found(good) == []
    assert "Updater.exe: the program that targets.json lists" in good.seen
    web.pages[f"/{offered.path}"] = Page(b"MZ theirs")
    (what,) = found(check(web))
    assert what.startswith("Updater.exe on this host is not a program that targets.json lists")
    web.pages["/updater/index.json"] = Page(b"[{}]")
    assert found(check(web)) == ["updater/index.json is not a list of programs"]


def test_a_clock_that_is_off_is_found(web: Web) -> None:
    whats = found(check(web, now=datetime.now(UTC) + timedelta(hours=1)))
    assert any(what.startswith("the host's clock and this computer's differ by") for what in whats)


def test_what_expires_is_found_and_what_has_expired(web: Web) -> None:
    soon = found(check(web, now=datetime.now(UTC) + timedelta(days=11)))
    assert any(what.startswith("timestamp.json expires on") for what in soon)
    late = found(check(web, now=datetime.now(UTC) + timedelta(days=31)))
    assert any(what.startswith("timestamp.json expired on") for what in late)
    assert any(what.startswith("snapshot.json expired on") for what in late)


def test_nobody_there_and_no_address_are_errors_with_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Usage, match="no web address"):
        SiteCheck("ftp://updates.invalid/", datetime.now(UTC))
    assert main(["site-check", "http://127.0.0.1:9/"]) == NetworkFailed.exit_status
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9/ does not answer: " in said
    assert "HTTPConnectionPool" not in said, "no library's own words"


def test_findings_have_a_status_of_their_own(
    web: Web, demo_vendor: DemoVendor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["site-check", web.url, "--vendor", str(demo_vendor.folder / "vendor")]) == 21
    said = capsys.readouterr().out
    assert "FOUND: the site is served without TLS\n    Serve it by https" in said


@contextmanager
def _over_tls(web: Web, folder: Path, days: int) -> Iterator[ssl.SSLContext]:
    """The same host, with a certificate for so many days, and a context that trusts it."""
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-days", str(days)]
    command = ["openssl", "req", "-x509", *made, *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    web.server.socket = server.wrap_socket(web.server.socket, server_side=True)
    client = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    yield client


@pytest.mark.parametrize(("days", "findings"), [(90, []), (7, ["the certificate expires on"])])
def test_a_certificate_that_nobody_renews_is_found(
    site: Site, tmp_path: Path, days: int, findings: list[str]
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    dataclasses.replace(site, now=datetime.now(UTC)).refresh()
    web = Web(site.folder)
    timestamp = (site.folder / "metadata/timestamp.json").read_bytes()
    web.pages["/metadata/timestamp.json"] = Page(timestamp, headers=dict(NO_CACHE))
    with _over_tls(web, tmp_path, days) as context:
        thread = threading.Thread(
            target=web.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        try:
            url = web.url.replace("http:", "https:")
            checked = SiteCheck(url, datetime.now(UTC), context=context).run()
            with pytest.raises(NetworkFailed, match="certificate"):
                SiteCheck(url, datetime.now(UTC)).run()
        finally:
            web.server.shutdown()
            web.server.server_close()
            thread.join()
    assert [one.what[:26] for one in checked.findings] == findings
    assert any(one.startswith("TLS: TLSv1.3, certificate until") for one in checked.seen)
