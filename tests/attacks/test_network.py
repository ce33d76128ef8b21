"""Attacks from the network: TLS in wrong hands, redirects, and proxies (rows 30 to 32)."""

from __future__ import annotations

import datetime
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tuf.api.exceptions import DownloadError

from tests.desk import Published
from tests.hands.web import Page, Web, serve
from updater.hands.channel import UpdateSite
from updater.hands.fetch import CertificateRefused, LoginPage, SiteFetcher
from updater.words.errors import TlsFailed
from updater.words.facts import Channel

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Secure:
    """A server behind TLS, and a client's trust in exactly its certificate."""

    web: Web
    certificate: Path

    @property
    def port(self) -> int:
        return int(self.web.server.server_port)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Callable[..., Secure]]:
    """Start a server whose certificate is for this name, and valid from and until so many days from now."""
    with ExitStack() as running:

        def start(name: str = "localhost", *, since: int = -1, until: int = 1) -> Secure:
            web = running.enter_context(serve())
            folder = tmp_path / f"tls-{web.server.server_port}"
            folder.mkdir()
            _make_certificate(folder, name, since * DAY, until * DAY)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
            return Secure(web, folder / "cert.pem")

        yield start


def _make_certificate(folder: Path, name: str, since: datetime.timedelta, until: datetime.timedelta) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def refused(server: Secure, trust: ssl.SSLContext | None, host: str = "localhost") -> CertificateRefused:
    url = f"https://{host}:{server.port}/"
    server.web.pages["/file"] = Page(b"{}")
    with pytest.raises(CertificateRefused) as error:
        list(SiteFetcher(url, context=trust).fetch(url + "file"))
    assert server.web.asked == [], "nothing was said before the certificate was accepted"
    return error.value


def test_a_certificate_for_another_name_is_refused(secure: Callable[..., Secure]) -> None:
    server = secure("update.example")
    error = refused(server, server.trust)
    assert "certificate of localhost" in str(error)
    assert "Another computer answered" in error.advice


def test_a_certificate_that_has_expired_is_refused_and_the_date_is_named(
    secure: Callable[..., Secure],
) -> None:
    server = secure(since=-3, until=-1)
    error = refused(server, server.trust)
    assert "expired" in str(error)
    assert "Check this computer's date" in error.advice


def test_a_certificate_that_is_not_valid_yet_is_refused_and_the_date_is_named(
    secure: Callable[..., Secure],
) -> None:
    server = secure(since=1, until=3)
    assert "not valid yet" in refused(server, server.trust).advice


def test_a_filter_that_this_computer_does_not_know_is_refused(secure: Callable[..., Secure]) -> None:
    """What a proxy that looks into connections shows: the right name, by an unknown issuer."""
    error = refused(secure(), None)
    assert "does not accept the certificate of localhost" in str(error)
    assert "looks into encrypted connections" in " ".join(error.advice.split())


def test_a_server_that_does_not_speak_tls_is_refused() -> None:
    with serve() as plain:
        url = f"https://localhost:{plain.server.server_port}/"
        with pytest.raises(DownloadError, match="secure"):
            list(SiteFetcher(url).fetch(url + "file"))


def test_an_update_over_a_connection_that_is_not_secure_ends_with_its_own_error_and_a_way_out(
    secure: Callable[..., Secure], published: Published, tmp_path: Path
) -> None:
    repository = f"https://localhost:{secure().port}/"
    vendor = msgspec.structs.replace(published.vendor.vendor, repository=repository)
    with pytest.raises(TlsFailed) as error:
        UpdateSite(vendor, published.vendor.root, tmp_path).offer("demo-widget", Channel.STABLE, None)
    assert error.value.exit_status == 7
    assert "as a file" in error.value.advice


# -- redirects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "http://127.0.0.1:1/", "file:///etc/hostname", "//evil.example/", "ftp://x/"],
)
def test_nobody_is_followed_anywhere(elsewhere: str) -> None:
    with serve() as web:
        web.pages["/file"] = Page(b"{}", status=302, headers={"Location": elsewhere})
        with pytest.raises(LoginPage, match="sends us elsewhere"):
            list(SiteFetcher(web.url, loopback_http=True).fetch(web.url + "file"))
        assert [request.path for request in web.asked] == ["/file"]


def test_the_body_of_a_redirect_is_not_unpacked() -> None:
    """CVE-2026-21441 was a bomb of this kind in urllib3."""
    bomb = gzip.compress(bytes(10_000_000))
    headers = {"Location": "/other", "Content-Encoding": "gzip"}
    with serve() as web:
        web.pages["/file"] = Page(bomb, status=301, headers=headers)
        with pytest.raises(LoginPage, match="sends us elsewhere"):
            list(SiteFetcher(web.url, loopback_http=True).fetch(web.url + "file"))


# -- proxies --------------------------------------------------------------------------------------------


class Proxy:
    """An HTTP proxy that only knows CONNECT, and leads every name to one port of this computer."""

    def __init__(self, to_port: int) -> None:
        self.asked: list[str] = []
        self._to_port = to_port
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._lead, args=(connection,), daemon=True).start()

    def _lead(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += near.recv(1)
            self.asked.append(head.decode("ascii"))
            with socket.create_connection(("127.0.0.1", self._to_port)) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pour, args=(far, near), daemon=True)
                back.start()
                _pour(near, far)
                back.join(5)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def behind_a_proxy(
    secure: Callable[..., Secure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Secure, Proxy]]]:
    """A server with a certificate for this name, which only the company's proxy can reach."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    proxies: list[Proxy] = []

    def start(name: str) -> tuple[Secure, Proxy]:
        server = secure(name)
        proxies.append(Proxy(server.port))
        monkeypatch.setenv("HTTPS_PROXY", proxies[0].url)
        return server, proxies[0]

    yield start
    for proxy in proxies:
        proxy.close()


def test_a_companys_proxy_is_used_and_tls_goes_through_it_to_the_site(
    behind_a_proxy: Callable[[str], tuple[Secure, Proxy]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = behind_a_proxy("update.example")
    (tmp_path / ".netrc").write_text("machine update.example login anyone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.web.pages["/file"] = Page(b"{}")
    fetcher = SiteFetcher("https://update.example/", context=server.trust)
    assert list(fetcher.fetch("https://update.example/file")) == [b"{}"]
    assert proxy.asked[0].startswith("CONNECT update.example:443 HTTP/1.")
    assert "authorization" not in proxy.asked[0].lower()
    assert "Authorization" not in server.web.asked[0].headers


def test_a_proxy_that_shows_a_certificate_of_its_own_is_refused(
    behind_a_proxy: Callable[[str], tuple[Secure, Proxy]],
    secure: Callable[..., Secure],
) -> None:
    server, _ = behind_a_proxy("update.example")
    genuine = secure("update.example")
    with pytest.raises(CertificateRefused, match=r"certificate of update\.example"):
        list(
            SiteFetcher("https://update.example/", context=genuine.trust).fetch("https://update.example/file")
        )
    assert server.web.asked == []


def test_what_the_environment_excepts_from_the_proxy_is_asked_directly(
    behind_a_proxy: Callable[[str], tuple[Secure, Proxy]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = behind_a_proxy("update.invalid")
    monkeypatch.setenv("NO_PROXY", "update.invalid")
    with pytest.raises(DownloadError, match=r"update\.invalid cannot be reached"):
        list(
            SiteFetcher("https://update.invalid/", context=server.trust).fetch("https://update.invalid/file")
        )
    assert proxy.asked == []


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(DownloadError, match="the proxy of this network"):
        list(SiteFetcher("https://update.example/").fetch("https://update.example/file"))
