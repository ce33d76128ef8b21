"""Files from one update site over HTTPS, for `tuf.ngclient`.

What the stock fetchers leave open is closed here: one origin and no redirects, no compression, a
floor under the average rate, a cut connection is resumed, no secrets from ~/.netrc, and no trust from
the environment. TLS asks the operating system's certificate store (truststore); it guards privacy and
is never the trust anchor. Whether the bytes are right is decided by TUF's signatures, not here.
"""

from __future__ import annotations

import ipaddress
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import requests
import truststore
from requests.adapters import HTTPAdapter
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface
from urllib3.exceptions import HTTPError

from updater import __version__

CONNECT_TIMEOUT_S = 15
READ_TIMEOUT_S = 20
HEADERS_DEADLINE_S = 60
"""The timeouts above are for a single gap; a server that sends a byte now and then never has one."""
RECONNECTS = 5
BLOCK_BYTES = 64 * 1024
RATE_FLOOR_BYTES_PER_S = 1024
RATE_GRACE_S = 15.0


class LoginPage(DownloadError):
    """A web page came where an update file should be: a captive portal, or a host that is no update site."""


class CertificateRefused(DownloadError):
    """TLS: who answered could not prove to be the update site. `advice` says what a person can do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class ProxyFailed(DownloadError):
    """The proxy that this computer is set to use does not let us through."""


class FileChanged(DownloadError):
    """The server replaced the file while it was being downloaded. Starting again helps."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cut download goes on: bytes already handed out, and the validator of the file they are of."""

    got_bytes: int = 0
    etag: str | None = None
    modified: str | None = None

    @property
    def if_range(self) -> str | None:
        """RFC 9110 section 13.1.5: only a strong entity tag or a date may stand in If-Range."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class SiteFetcher(FetcherInterface):
    """Reads files of one origin (scheme, host and port of `base_url`) and of no other.

    `loopback_http` allows plain http to this very computer, for the demo vendor and tests.
    `progress` is called with the number of bytes of the current file, whenever some arrive.
    `now_s` is a monotonic clock in seconds, `pause_s` waits that many; `context` replaces the operating
    system's certificate store: all three for tests.

    Every failure is a `tuf.api.exceptions.DownloadError` whose text is for people; a missing file is
    `DownloadHTTPError` with its status, as ngclient expects it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        loopback_http: bool = False,
        now_s: Callable[[], float] = time.monotonic,
        pause_s: Callable[[float], None] = time.sleep,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = _origin(urlsplit(base_url))
        _check_scheme(base_url, loopback_http=loopback_http)
        self._now_s = now_s
        self._pause_s = pause_s
        self._session = _session(self._origin, context)
        self.progress: Callable[[int], None] = _nobody_listens

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def server_date(self, url: str) -> str | None:
        """Ask for a file, and answer only the server's date (RFC 9110 section 6.6.1), where it says one.

        Raises what a download does. Whoever sits between us and the server can say any date.
        """
        with self._open(url, _Place()) as response:
            date: str | None = response.headers.get("Date")
            return date

    def _fetch(self, url: str) -> Iterator[bytes]:
        if _origin(urlsplit(url)) != self._origin:
            raise DownloadError(f"{url} is not on the update server {self._origin[1]}")
        began_s = self._now_s()
        try:
            response = self._open(url, _Place())
        except _Cut as cut:  # the server may have closed a kept-alive connection meanwhile
            if isinstance(cut.__cause__, requests.exceptions.Timeout):
                raise
            response = self._open(url, _Place())
        return self._blocks(url, response, began_s)

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        return self._session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
        )

    def _open(self, url: str, place: _Place) -> requests.Response:
        """Ask for a file, or for its rest. Answers a response whose body has not been read."""
        headers = {}
        if place.got_bytes and place.if_range is not None:
            headers = {"Range": f"bytes={place.got_bytes}-", "If-Range": place.if_range}
        try:
            response = _within(HEADERS_DEADLINE_S, lambda: self._get(url, headers))
        except requests.exceptions.SSLError as error:
            raise _certificate_refused(self._origin[1], error) from error
        except requests.exceptions.ProxyError as error:
            raise ProxyFailed(f"the proxy of this network does not lead to {self._origin[1]}") from error
        except requests.exceptions.Timeout as error:
            raise _Cut(f"{self._origin[1]} does not answer") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _Cut(f"{self._origin[1]} cannot be reached") from error
        try:
            _check_answer(url, response, resumed=bool(headers))
        except DownloadError:
            response.close()
            raise
        return response

    def _blocks(self, url: str, response: requests.Response, began_s: float) -> Iterator[bytes]:
        """The whole file, over as many connections as it takes, up to a limit."""
        place = _Place(etag=response.headers.get("ETag"), modified=response.headers.get("Last-Modified"))
        wire_bytes = skip_bytes = 0
        reconnects = RECONNECTS
        while True:
            try:
                with response:
                    for block in _body(response):
                        wire_bytes += len(block)
                        self._check_rate(wire_bytes, self._now_s() - began_s)
                        fresh = block[skip_bytes:]
                        skip_bytes -= len(block) - len(fresh)
                        if fresh:
                            if place.got_bytes == 0 and fresh.lstrip()[:1] == b"<":
                                raise LoginPage(_login_words(url))
                            place = replace(place, got_bytes=place.got_bytes + len(fresh))
                            self.progress(place.got_bytes)
                            yield fresh
                return
            except _Cut as cut:
                self._check_rate(wire_bytes, self._now_s() - began_s)
                response, skip_bytes, reconnects = self._reopen(url, place, cut, reconnects)

    def _reopen(
        self, url: str, place: _Place, cut: _Cut, reconnects: int
    ) -> tuple[requests.Response, int, int]:
        """A new connection, how many of its first bytes are already known, and the reconnects left."""
        while reconnects:
            self._pause_s(2.0 ** (RECONNECTS - reconnects) - 1)  # 0, 1, 3, 7, 15: a network that comes back
            reconnects -= 1
            try:
                response = self._open(url, place)
            except _Cut as again:
                cut = again
                continue
            if response.headers.get("ETag") != place.etag:
                response.close()
                raise FileChanged(f"{url} was replaced on the server during the download")
            if response.status_code == requests.codes.partial:
                _check_resumes_at(url, response, place.got_bytes)
                return response, 0, reconnects
            return response, place.got_bytes, reconnects
        raise DownloadError(f"the download of {url} broke {RECONNECTS + 1} times; last: {cut}") from cut

    def _check_rate(self, got_bytes: int, elapsed_s: float) -> None:
        """Refuse a drip-feed: the gap timeout alone accepts one byte every 19 seconds for ever."""
        if got_bytes < (elapsed_s - RATE_GRACE_S) * RATE_FLOOR_BYTES_PER_S:
            raise SlowRetrievalError(
                f"{self._origin[1]} sends too slowly: {got_bytes} bytes in {elapsed_s:.0f} seconds"
            )


class _Cut(DownloadError):
    """The connection broke or was never made; another one may do better."""


class _SystemTrust(HTTPAdapter):
    """HTTPS with the given context, and with no certificate file beside it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 # its signature
        """Requests would add certifi's list here; the context alone decides."""
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = None
        conn.ca_cert_dir = None


def _within(deadline_s: float, ask: Callable[[], requests.Response]) -> requests.Response:
    """The answer, or `requests.Timeout`. An answer that comes too late is let go by its own thread."""
    done: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put(ask())
        except Exception as error:
            done.put(error)

    threading.Thread(target=work, name="update site", daemon=True).start()
    try:
        answer = done.get(timeout=deadline_s)
    except queue.Empty as error:
        raise requests.exceptions.Timeout("no whole answer in time") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _session(origin: tuple[str, str, int | None], context: ssl.SSLContext | None) -> requests.Session:
    scheme, host, _ = origin
    session = requests.Session()
    session.trust_env = False  # no ~/.netrc, no REQUESTS_CA_BUNDLE
    session.auth = _no_credentials
    session.headers.clear()
    session.headers.update({"User-Agent": f"updater/{__version__}", "Accept-Encoding": "identity"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    if scheme == "https":
        session.mount("https://", _SystemTrust(context or truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    else:
        session.mount("http://", HTTPAdapter())
    if not _is_loopback(host) and not proxy_bypass(host):
        session.proxies.update(getproxies())
    return session


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _nobody_listens(_got_bytes: int) -> None:
    return


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    if parts.username is not None or parts.password is not None:
        raise DownloadError("an update server's address carries no user name")
    return parts.scheme, parts.hostname or "", parts.port


def _check_scheme(base_url: str, *, loopback_http: bool) -> None:
    scheme, host, _ = _origin(urlsplit(base_url))
    if scheme == "https" and host:
        return
    if scheme == "http" and loopback_http and _is_loopback(host):
        return
    raise DownloadError(f"{base_url} is not an https address")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_answer(url: str, response: requests.Response, *, resumed: bool) -> None:
    """Only a plain 200, or 206 to a request for the rest, carries a file."""
    status = response.status_code
    if 300 <= status < 400:
        raise LoginPage(f"{url} sends us elsewhere (HTTP {status}); {_LOGIN}")
    if status != requests.codes.ok and not (resumed and status == requests.codes.partial):
        raise DownloadHTTPError(f"the update server answered HTTP {status} for {url}", status)
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise DownloadError(f"the update server compressed {url} ({encoding!r}) although we asked it not to")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise LoginPage(_login_words(url))


_LOGIN = "this often is the login page of a hotel, company or guest network"


def _login_words(url: str) -> str:
    return f"a login page or another web page answered instead of the update server for {url}; {_LOGIN}"


_CERTIFICATE_ADVICE = {
    9: "Check this computer's date: by it, the certificate is not valid yet.",
    10: "Check this computer's date. If it is right, the vendor has to renew the certificate.",
    62: "Another computer answered in its place. Log in to this network in the browser, or use another one.",
}
"""By OpenSSL's verification error (X509_V_ERR_*, openssl-verification-options(1) and x509_vfy.h)."""
_UNKNOWN_ISSUER_ADVICE = (
    "Check this computer's date. A company's network or a virus scanner that looks into encrypted "
    "connections does this too: ask its administrators to let this address through, or use another network."
)


def _certificate_refused(host: str, error: Exception) -> CertificateRefused:
    """What the operating system or OpenSSL said, and what can be done. Nobody is offered to go on anyway."""
    found = next((one for one in _causes(error) if isinstance(one, ssl.SSLCertVerificationError)), None)
    if found is None:
        return CertificateRefused(
            f"no secure connection to {host} can be made ({error})", _UNKNOWN_ISSUER_ADVICE
        )
    why = getattr(found, "verify_message", "") or str(found)  # without a message on Windows, says truststore
    advice = _CERTIFICATE_ADVICE.get(getattr(found, "verify_code", 0), _UNKNOWN_ISSUER_ADVICE)
    return CertificateRefused(f"this computer does not accept the certificate of {host}: {why}", advice)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made from; requests and urllib3 wrap by argument, `reason` and context."""
    seen: list[object] = [error]
    while seen:
        one = seen.pop()
        if isinstance(one, BaseException):
            yield one
            inner = (*one.args, getattr(one, "reason", None), one.__cause__)
            seen += [more for more in inner if isinstance(more, BaseException) and more is not one]


def _check_resumes_at(url: str, response: requests.Response, got_bytes: int) -> None:
    if not response.headers.get("Content-Range", "").startswith(f"bytes {got_bytes}-"):
        response.close()
        raise DownloadError(f"the update server answered with another part of {url} than asked for")


def _body(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives, undecoded. `read1`, because `read(n)` waits until n bytes are there."""
    try:
        while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
            yield block
    except (HTTPError, OSError) as error:
        raise _Cut("the connection was cut") from error
