"""`bundles site-check URL`: is the host that serves a site one that updaters in the field can live with?

What is asked is what an updater asks, with the same TLS rules. Every finding says what to change.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import truststore
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from updater.hands.channel import UpdateSite
from updater.hands.fetch import _causes as causes_of
from updater.hands.fetch import _session as updater_session  # the very session of an updater, not one like it
from updater.hands.host import Home
from updater.heads.catalogue import with_catalogue
from updater.heads.gate import verify_catalogue
from updater.heads.silicon import the_table
from updater.heads.trust import walk_roots
from updater.words.errors import NetworkFailed, NoSuchRelease, NotTrusted, UpdaterError, Usage
from updater.words.facts import Channel

from .expiry import ALARM_BEFORE, CHANNEL_LIFE, SNAPSHOT_LIFE, TIMESTAMP_LIFE
from .pages import INDEX, parse_index
from .root import programs_in, require_signed

FINDINGS_STATUS = 21
"""The exit status when something was found."""
TIMEOUT_S = 20.0
_CLOCK_SKEW = timedelta(minutes=5)
_TIMESTAMP_CACHE_S = 300
_CERTIFICATE_LEFT = timedelta(days=21)
_LATE = 4
_T = TypeVar("_T")
_MISSING = "metadata/999999999.root.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that will hurt an updater, and what to do about it."""

    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}\n    {self.advice}"


@dataclass(slots=True)
class Checked:
    """What was looked at, one line each, and what was found."""

    seen: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class SiteCheck:
    """One look at a live host. `root` is the vendor's own, for the last check: an updater's own client."""

    def __init__(self, url: str, now: datetime, *, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise Usage(f"{url} is no web address", advice="Give the repository address of vendor.toml.")
        self._url, self._now = url.rstrip("/") + "/", now
        self._origin = (parts.scheme, parts.hostname, parts.port)
        self._context = context
        self._session = updater_session(self._origin, context)
        self._embedded_root: bytes | None = None
        self._roots: list[bytes] = []
        self.checked = Checked()

    def run(self, home: Home | None = None) -> Checked:
        """Look at everything. Raises NetworkFailed when there is nobody to ask."""
        self._embedded_root = home.embedded_root if home is not None else None
        timestamp = self._ask("metadata/timestamp.json")
        self._tls()
        self._clock(timestamp)
        if self._plain(timestamp, "metadata/timestamp.json"):
            self._timestamp_cache(timestamp)
            self._metadata(timestamp.content)
        self._missing_file()
        if home is not None:
            self._as_an_updater(home)
        return self.checked

    # --------------------------------------------------------------------------------------- the single looks

    def _ask(self, path: str, **headers: str) -> requests.Response:
        try:
            return self._session.get(
                self._url + path, headers=headers, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.exceptions.SSLError as error:
            raise NetworkFailed(
                f"the certificate of {self._origin[1]} is not accepted: {error}",
                advice="Install a certificate that ordinary computers trust, with its whole chain.",
            ) from error
        except requests.RequestException as error:
            raise NetworkFailed(
                f"{self._url} does not answer: {_why(error)}",
                advice="Check the address and that the host runs.",
            ) from error

    def _find(self, what: str, advice: str) -> None:
        self.checked.findings.append(Finding(what, advice))

    def _plain(self, response: requests.Response, path: str) -> bool:
        """Whether this is a file as an updater takes it."""
        status = response.status_code
        if 300 <= status < 400:
            to = response.headers.get("Location", "elsewhere")
            self._find(
                f"{path} redirects to {to} (HTTP {status})",
                "Updaters follow no redirects: serve the files at this very address, or change vendor.toml.",
            )
        elif status != requests.codes.ok:
            self._find(f"{path} answers HTTP {status}", "Upload the whole site, `timestamp.json` last.")
        elif encoding := response.headers.get("Content-Encoding"):
            self._find(
                f"{path} comes with Content-Encoding {encoding!r}, which nobody asked for",
                "Switch compression off for this address: updaters refuse it.",
            )
        elif response.headers.get("Content-Type", "").lower().startswith("text/html"):
            self._find(
                f"{path} comes as a web page",
                "Give .json files the type application/json: updaters take a page for a login page.",
            )
        else:
            self.checked.seen.append(f"{path}: {len(response.content)} bytes, as it must be")
            return True
        return False

    def _timestamp_cache(self, response: requests.Response) -> None:
        longest = _kept_s(response)
        if longest is None or longest > _TIMESTAMP_CACHE_S:
            control = response.headers.get("Cache-Control", "not said").lower()
            self._find(
                f"timestamp.json may be cached (Cache-Control: {control})",
                "Send `Cache-Control: no-cache` with metadata/timestamp.json: nothing else changes.",
            )
        age = response.headers.get("Age", "0")
        if age.isdecimal() and int(age) > _TIMESTAMP_CACHE_S:
            self._find(
                f"timestamp.json comes from a cache that has kept it for {age} seconds",
                "Exclude metadata/timestamp.json from the cache of the CDN, or purge it at each upload.",
            )

    def _missing_file(self) -> None:
        response = self._ask(_MISSING)
        status = response.status_code
        if status in (403, 404):
            if (kept_s := _kept_s(response) or 0) > _TIMESTAMP_CACHE_S:
                self._find(
                    f"that a file is missing may be remembered for {kept_s} seconds",
                    "Let no cache keep the answer 404: a new root would stay unseen for as long.",
                )
                return
            self.checked.seen.append(f"a missing file: HTTP {status}, as it must be")
            return
        self._find(
            f"a file that does not exist answers HTTP {status}",
            "Answer 404: every updater asks for the next root, and takes anything else for a broken server.",
        )

    def _clock(self, response: requests.Response) -> None:
        said = response.headers.get("Date")
        try:
            off = abs(parsedate_to_datetime(said) - self._now) if said else None
        except (TypeError, ValueError):
            off = None
        if off is None:
            self._find("the host sends no readable Date", "Set the host's clock by NTP, and send Date.")
        elif off > _CLOCK_SKEW:
            self._find(
                f"the host's clock and this computer's differ by {off}",
                "Correct the one that is wrong: what a wrong clock signs expires too early or too late.",
            )
        else:
            self.checked.seen.append(f"clock: {off.seconds} seconds apart")

    def _tls(self) -> None:
        scheme, host, port = self._origin
        if scheme == "http":
            self._find(
                "the site is served without TLS", "Serve it by https: a product's updater takes nothing else."
            )
            return
        context = self._context or truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            with (
                socket.create_connection((host, port or 443), TIMEOUT_S) as raw,
                context.wrap_socket(raw, server_hostname=host) as tls,
            ):
                certificate, version = tls.getpeercert() or {}, tls.version()
        except OSError as error:
            raise NetworkFailed(f"no TLS connection to {host}: {error}") from error
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        self.checked.seen.append(f"TLS: {version}, certificate until {until:%Y-%m-%d}")
        if until - self._now < _CERTIFICATE_LEFT:
            self._find(
                f"the certificate expires on {until:%Y-%m-%d}",
                "Renew it, and look why that did not happen by itself.",
            )

    # ------------------------------------------------------------------------------------- the site's content

    def _metadata(self, timestamp_json: bytes) -> None:
        """From the timestamp to the first target, as an updater goes."""
        timestamp = self._read(Metadata[Timestamp].from_bytes, timestamp_json, "timestamp.json")
        if timestamp is None:
            return
        self._expiry("timestamp.json", timestamp.signed.expires, TIMESTAMP_LIFE)
        self._root()
        name = f"{timestamp.signed.snapshot_meta.version}.snapshot.json"
        snapshot = self._file(f"metadata/{name}", Metadata[Snapshot].from_bytes)
        if snapshot is None:
            return
        self._expiry("snapshot.json", snapshot.signed.expires, SNAPSHOT_LIFE)
        looked_at = None
        for role, meta in sorted(snapshot.signed.meta.items()):
            found = self._file(f"metadata/{meta.version}.{role}", Metadata[Targets].from_bytes, quiet=True)
            if found is None:
                continue
            self._expiry(role, found.signed.expires, None if role == "targets.json" else CHANNEL_LIFE)
            if role == "targets.json":
                self._programs(found)
            else:
                looked_at = looked_at or next(iter(found.signed.targets.values()), None)
        if looked_at is not None:
            self._ranges(f"targets/{looked_at.get_prefixed_paths()[0]}", looked_at.length)

    def _root(self) -> None:
        number, newest = 1, None
        while number < 1000:
            response = self._ask(f"metadata/{number}.root.json")
            if response.status_code != requests.codes.ok:
                break
            newest = self._read(Metadata[Root].from_bytes, response.content, f"{number}.root.json") or newest
            self._roots.append(response.content)
            number += 1
        if newest is None:
            self._find("metadata/1.root.json is missing", "Upload the whole site.")
        else:
            self._expiry(f"root.json ({number - 1})", newest.signed.expires, None)

    def _file(self, path: str, parse: Callable[[bytes], _T], *, quiet: bool = False) -> _T | None:
        response = self._ask(path)
        seen = len(self.checked.seen)
        if not self._plain(response, path):
            return None
        if quiet:
            del self.checked.seen[seen:]
        return self._read(parse, response.content, path)

    def _read(self, parse: Callable[[bytes], _T], data: bytes, path: str) -> _T | None:
        try:
            return parse(data)
        except DeserializationError:
            self._find(f"{path} is not TUF metadata", "Upload it again; nothing may be added to the files.")
            return None

    def _expiry(self, role: str, expires: datetime, life: timedelta | None) -> None:
        left = expires - self._now
        alarm = ALARM_BEFORE if life is None else life / _LATE
        if left <= timedelta():
            advice = "Sign it anew and upload: updaters refuse this site until then."
            self._find(f"{role} expired on {expires:%Y-%m-%d}", advice)
        elif left < alarm:
            who = "people have to sign it" if life is None else "run `bundles refresh` and upload, daily"
            self._find(f"{role} expires on {expires:%Y-%m-%d}", f"Renew it: {who}.")

    def _programs(self, targets: Metadata[Targets]) -> None:
        """The updaters that landing pages offer are those that people have signed for in targets.json.

        Whose signatures those are is known where the vendor's root is.
        """
        index = self._ask(INDEX)
        if index.status_code in (403, 404):
            return  # this site offers none
        try:
            offered = parse_index(index.content)
            if self._embedded_root is not None:
                require_signed(walk_roots(self._embedded_root, self._roots).root, "targets", targets)
        except NotTrusted as error:
            self._find(error.message, error.advice)
            return
        signed = {one.hashes.get("sha256") for one in programs_in(targets.signed).values()}
        for one in offered:
            digest = hashlib.sha256(self._ask(one.path).content).hexdigest()
            if digest == one.sha256 and digest in signed:
                self.checked.seen.append(f"{one.name}: the program that targets.json lists")
                continue
            self._find(
                f"{one.name} on this host is not a program that targets.json lists (SHA-256 {digest})",
                "Find out who put it there; give `bundles site programs` with the signed one, and upload.",
            )

    def _ranges(self, path: str, length: int) -> None:
        """A cut download goes on where it stopped, or customers with bad networks never finish."""
        whole = self._ask(path)
        if not self._plain(whole, path):
            return
        if len(whole.content) != length:
            self._find(f"{path} has {len(whole.content)} bytes, not {length}", "Upload it again.")
            return
        tag = whole.headers.get("ETag")
        if not tag or tag.startswith("W/"):
            self._find(
                f"{path} comes without a strong ETag",
                "Switch entity tags on, and compression off: it weakens them, and cut downloads need them.",
            )
        start = length // 2
        rest = self._ask(path, Range=f"bytes={start}-", **({"If-Range": tag} if tag else {}))
        if rest.status_code != requests.codes.partial or rest.content != whole.content[start:]:
            self._find(
                f"{path}: half of it was asked for and HTTP {rest.status_code} came",
                "Switch byte ranges on: without them a cut download begins again.",
            )
        else:
            self.checked.seen.append("byte ranges: as they must be")

    def _as_an_updater(self, home: Home) -> None:
        """The last word has the updater's own client, for each product of vendor.toml."""
        here = msgspec.structs.replace(home.vendor, repository=self._url)
        for product in here.products:
            with tempfile.TemporaryDirectory(prefix="site-check-") as folder:
                try:
                    site = UpdateSite(here, home.embedded_root, Path(folder))
                    offer = site.offer(product.id, Channel.STABLE, None)
                except NoSuchRelease:
                    self.checked.seen.append(f"{product.id}: no stable release")
                except UpdaterError as error:
                    self._find(f"an updater's check for {product.id} fails: {error.message}", error.advice)
                else:
                    self.checked.seen.append(f"{product.id}: an updater finds {offer.version}")
        self._catalogue_as_an_updater(home)

    def _catalogue_as_an_updater(self, home: Home) -> None:
        here = msgspec.structs.replace(home.vendor, repository=self._url)
        with tempfile.TemporaryDirectory(prefix="site-check-") as folder:
            site = UpdateSite(here, home.embedded_root, Path(folder))
            try:
                if (envelope := site.catalogue()) is None:
                    return
                roots, chips = site.known_roots(), the_table().chip_ids
                found = verify_catalogue(
                    envelope, embedded_root=home.embedded_root, known_roots=roots, chips=chips
                )
                with_catalogue(here, found)
            except UpdaterError as error:
                self._find(f"an updater does not take the catalogue: {error.message}", error.advice)
            else:
                self.checked.seen.append(f"catalogue {found.version}: an updater takes it")


def _why(error: requests.RequestException) -> str:
    """What the operating system said of it, if it did; else what the library says."""
    if isinstance(error, requests.Timeout):
        return f"nothing came within {TIMEOUT_S:.0f} seconds"
    said = (one.strerror for one in causes_of(error) if isinstance(one, OSError) and one.strerror)
    return next(said, str(error))


def _kept_s(response: requests.Response) -> int | None:
    """How long caches may keep an answer by its Cache-Control (RFC 9111, 5.2.2); None: it says nothing."""
    words = {word.strip() for word in response.headers.get("Cache-Control", "").lower().split(",")}
    if words & {"no-cache", "no-store"}:
        return 0
    ages = [word.partition("=")[2] for word in words if word.startswith(("max-age=", "s-maxage="))]
    return max((int(age) for age in ages if age.isdecimal()), default=None)


def lines(checked: Checked) -> Iterator[str]:
    """What was seen, then what was found."""
    yield from (f"ok: {one}" for one in checked.seen)
    yield from (f"FOUND: {one}" for one in checked.findings)
