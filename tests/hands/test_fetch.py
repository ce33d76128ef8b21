"""The fetcher against a real server that cuts, drips, lies and redirects."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError

from tests.hands.web import LOGIN_PAGE, Page, Web, serve
from updater.hands.fetch import RECONNECTS, CertificateRefused, FileChanged, LoginPage, SiteFetcher

BODY = bytes(range(256)) * 2000


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


@pytest.fixture
def fetcher(web: Web) -> Iterator[SiteFetcher]:
    made = SiteFetcher(web.url, loopback_http=True, pause_s=lambda _s: None)
    yield made
    made.close()


def get(fetcher: SiteFetcher, web: Web, path: str = "file") -> bytes:
    return b"".join(fetcher.fetch(web.url + path))


def test_a_file_arrives_whole_and_progress_counts_its_bytes(web: Web, fetcher: SiteFetcher) -> None:
    web.pages["/file"] = Page(BODY)
    seen: list[int] = []
    fetcher.progress = seen.append
    assert get(fetcher, web) == BODY
    assert seen[-1] == 512_000
    assert seen == sorted(seen)


def test_a_cut_download_goes_on_where_it_stopped(web: Web, fetcher: SiteFetcher) -> None:
    web.pages["/file"] = Page(BODY, cuts=[150_000, 100_000])
    assert get(fetcher, web) == BODY
    assert [request.headers.get("Range") for request in web.asked] == [
        None,
        "bytes=150000-",
        "bytes=250000-",
    ]
    assert [request.headers.get("If-Range") for request in web.asked] == [None, '"first"', '"first"']


def test_a_server_that_knows_no_ranges_is_read_again_and_the_known_part_skipped(
    web: Web, fetcher: SiteFetcher
) -> None:
    web.pages["/file"] = Page(BODY, cuts=[150_000], ranges=False)
    assert get(fetcher, web) == BODY


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_no_range_is_asked_for(
    web: Web, fetcher: SiteFetcher, etag: str | None
) -> None:
    web.pages["/file"] = Page(BODY, cuts=[150_000], etag=etag)
    assert get(fetcher, web) == BODY
    assert [request.headers.get("Range") for request in web.asked] == [None, None]


def test_a_file_that_changes_during_the_download_is_not_glued_together(
    web: Web, fetcher: SiteFetcher
) -> None:
    web.pages["/file"] = Page(BODY, cuts=[150_000])
    blocks = fetcher.fetch(web.url + "file")
    next(blocks)
    web.pages["/file"] = Page(BODY[::-1], etag='"second"')
    with pytest.raises(FileChanged, match="was replaced on the server"):
        list(blocks)


def test_another_part_than_asked_for_is_refused(web: Web, fetcher: SiteFetcher) -> None:
    web.pages["/file"] = Page(BODY, cuts=[150_000], headers={"Content-Range": "bytes 0-511999/512000"})
    with pytest.raises(DownloadError, match="another part"):
        get(fetcher, web)


def test_a_connection_that_always_breaks_is_given_up_after_longer_and_longer_pauses(web: Web) -> None:
    pauses: list[float] = []
    fetcher = SiteFetcher(web.url, loopback_http=True, pause_s=pauses.append)
    web.pages["/file"] = Page(BODY, cuts=[10] * 100)
    with pytest.raises(DownloadError, match=f"broke {RECONNECTS + 1} times"):
        get(fetcher, web)
    assert len(web.asked) == 1 + RECONNECTS
    assert pauses == [0, 1, 3, 7, 15]


@given(
    body=st.binary(min_size=2, max_size=3000).filter(lambda body: body.lstrip()[:1] != b"<"),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
    ranges=st.booleans(),
    etag=st.sampled_from([None, '"strong"', 'W/"weak"']),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_breaks_the_bytes_are_right_or_there_is_an_error(
    web: Web, fetcher: SiteFetcher, body: bytes, cuts: list[int], ranges: bool, etag: str | None
) -> None:
    web.pages["/file"] = Page(body, cuts=list(cuts), ranges=ranges, etag=etag)
    try:
        assert get(fetcher, web) == body
    except DownloadError:
        assert len(cuts) > RECONNECTS


def test_a_drip_feed_is_refused_by_its_average_rate(web: Web) -> None:
    clock = itertools.count(0.0, 100.0)
    fetcher = SiteFetcher(web.url, loopback_http=True, now_s=lambda: next(clock))
    web.pages["/file"] = Page(BODY[:1000])
    with pytest.raises(SlowRetrievalError, match="1000 bytes in 100 seconds"):
        get(fetcher, web)


def test_a_slow_start_is_forgiven_within_the_grace(web: Web) -> None:
    clock = itertools.count(0.0, 14.0)
    fetcher = SiteFetcher(web.url, loopback_http=True, now_s=lambda: next(clock))
    web.pages["/file"] = Page(BODY[:10])
    assert get(fetcher, web) == BODY[:10]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(web: Web, fetcher: SiteFetcher, status: int) -> None:
    web.pages["/file"] = Page(status=status, headers={"Location": web.url + "other"})
    web.pages["/other"] = Page(BODY)
    with pytest.raises(LoginPage, match=f"HTTP {status}"):
        get(fetcher, web)
    assert [request.path for request in web.asked] == ["/file"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
def test_a_compressed_answer_is_refused_before_it_is_read(
    web: Web, fetcher: SiteFetcher, encoding: str
) -> None:
    web.pages["/file"] = Page(b"\x1f\x8b", headers={"Content-Encoding": encoding})
    with pytest.raises(DownloadError, match="compressed"):
        get(fetcher, web)
    assert web.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_missing_file_keeps_its_status_for_tuf(web: Web, fetcher: SiteFetcher, status: int) -> None:
    web.pages["/file"] = Page(b"sorry", status=status)
    with pytest.raises(DownloadHTTPError) as caught:
        get(fetcher, web)
    assert caught.value.status_code == status


def test_a_login_page_for_everything_is_named_as_one(web: Web, fetcher: SiteFetcher) -> None:
    web.everywhere = LOGIN_PAGE
    with pytest.raises(LoginPage, match="a login page or another web page answered"):
        get(fetcher, web)


def test_a_login_page_that_calls_itself_json_is_seen_by_its_first_byte(
    web: Web, fetcher: SiteFetcher
) -> None:
    web.everywhere = Page(b"\n <html>", headers={"Content-Type": "application/json"})
    with pytest.raises(LoginPage, match="a login page or another web page answered"):
        get(fetcher, web)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/file",
        "https://127.0.0.1:{port}/file",
        "http://127.0.0.1:1/file",
        "http://127.0.0.1:{port}@example.com/file",
        "file:///etc/hostname",
    ],
)
def test_only_the_vendors_own_server_is_asked(web: Web, fetcher: SiteFetcher, url: str) -> None:
    with pytest.raises(DownloadError):
        list(fetcher.fetch(url.format(port=web.server.server_port)))
    assert web.asked == []


@pytest.mark.parametrize(
    "url", ["http://example.com/", "http://127.0.0.1:8000/", "ftp://127.0.0.1/", "https://u:p@example.com/"]
)
def test_plain_http_and_user_names_are_refused_from_the_start(url: str) -> None:
    with pytest.raises(DownloadError, match=r"not an https address|carries no user name"):
        SiteFetcher(url)


def test_loopback_http_opens_no_other_host() -> None:
    with pytest.raises(DownloadError, match="not an https address"):
        SiteFetcher("http://192.168.1.10/", loopback_http=True)


def test_no_secret_cookie_or_proxy_of_this_computer_is_used(
    web: Web, fetcher: SiteFetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anyone password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    web.pages["/file"] = Page(b"{}", headers={"Set-Cookie": "track=me"})
    assert get(fetcher, web) == b"{}"
    assert get(SiteFetcher(web.url, loopback_http=True), web) == b"{}"
    assert get(fetcher, web) == b"{}"
    for request in web.asked:
        assert "Authorization" not in request.headers
        assert "Cookie" not in request.headers


def test_a_server_that_is_not_there_is_named() -> None:
    with serve() as gone:
        url = gone.url
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached"):
        list(SiteFetcher(url, loopback_http=True).fetch(url + "file"))


@pytest.fixture
def secure_web(web: Web, tmp_path: Path) -> tuple[str, Path]:
    """The same server behind TLS with a certificate that only this test knows: address, certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    return f"https://localhost:{web.server.server_port}/", tmp_path / "cert.pem"


def test_a_certificate_unknown_to_this_computer_is_refused_whatever_the_environment_says(
    secure_web: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = secure_web
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(certificate))
    with pytest.raises(CertificateRefused, match="does not accept the certificate of localhost"):
        list(SiteFetcher(url).fetch(url + "file"))


def test_a_certificate_that_is_trusted_opens_the_way(web: Web, secure_web: tuple[str, Path]) -> None:
    url, certificate = secure_web
    web.pages["/file"] = Page(b"{}")
    context = ssl.create_default_context(cafile=str(certificate))
    assert list(SiteFetcher(url, context=context).fetch(url + "file")) == [b"{}"]


def test_a_second_file_comes_over_the_same_session(web: Web, fetcher: SiteFetcher) -> None:
    web.pages["/file"] = Page(BODY)
    assert get(fetcher, web) == BODY
    assert get(fetcher, web) == BODY


def test_a_server_that_drips_its_headers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time for the socket; the whole answer never does."""
    monkeypatch.setattr("updater.hands.fetch.HEADERS_DEADLINE_S", 0.3)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="does not answer"):
            list(SiteFetcher(url, loopback_http=True).fetch(url + "file"))
        stop.set()
        thread.join(5)
