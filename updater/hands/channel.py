"""What the vendor's site offers, and its bytes: the TUF client.

`tuf.ngclient` does the checking: who may say what is current, that it is fresh, that nothing went back,
and that a download is what was named. What comes out is still only a file: it goes through the gate like
one from a stick. Foreign exceptions end here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from semver import Version
from tuf.api.exceptions import (
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, TargetFile
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from updater.hands.fetch import CertificateRefused, FileChanged, LoginPage, ProxyFailed, SiteFetcher
from updater.heads.announced import Announced, parse_announced
from updater.heads.catalogue import TARGET_PATH
from updater.heads.doctor import Site
from updater.heads.manifest import Manifest
from updater.heads.trust import ENVELOPE_LIMIT_BYTES
from updater.heads.vendor import Vendor
from updater.words.errors import NetworkFailed, NoSuchRelease, NotTrusted, StorageFailed, TlsFailed
from updater.words.events import Emit, Progressed, Step, StepDone, StepStarted
from updater.words.facts import Channel

BUNDLE_LIMIT_BYTES = 64 * 1024 * 1024
ROOT_STEP_LIMIT = 64

_FROM_FILE = "Ask the vendor for the update as a file and open that; it needs no internet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release that the site lists. Advice until the gate has seen the bundle: see `require_as_offered`."""

    product: str
    channel: Channel
    version: Version
    security_counter: int
    length: int
    sha256: str
    target_path: str
    announced: Announced


class UpdateSite:
    """The vendor's site, seen through the metadata kept in `folder`.

    One process at a time may use a folder; the state folder's lock sees to that. One object sees one
    state of the site: make a new one to look again. `fetcher` replaces the network in tests.

    Every method raises NetworkFailed, NotTrusted or StorageFailed; the device is untouched then.
    """

    def __init__(
        self, vendor: Vendor, embedded_root: bytes, folder: Path, *, fetcher: SiteFetcher | None = None
    ) -> None:
        self._vendor = vendor
        self._embedded_root = embedded_root
        self._folder = folder
        self._fetcher = fetcher
        self._client: Updater | None = None
        self._borrowed: Path | None = None

    def offer(self, product: str, channel: Channel, version: Version | None) -> Offer:
        """The channel's release of this version, or its current one for None.

        Raises NoSuchRelease when the site lists none.
        """
        path = f"{channel}/{product}/{version or 'current'}.fwb"
        with _in_our_words(), self._refreshed() as client:
            target = client.get_targetinfo(path)
        if target is None:
            which = f"version {version} of" if version else "a release of"
            raise NoSuchRelease(f"{self._vendor.name} does not offer {which} {product!r} in {channel}")
        return _offer(target, product, channel, version)

    def look(self) -> None:
        """See what the site's present state is; every other method does so by itself."""
        with _in_our_words(), self._refreshed():
            pass

    def catalogue(self) -> bytes | None:
        """The catalogue of products that the site lists, exactly the bytes that its metadata names.

        None where it lists none. Not yet through the gate.
        """
        with _in_our_words(), self._refreshed() as client:
            target = client.get_targetinfo(TARGET_PATH)
            if target is None:
                return None
            if target.length > ENVELOPE_LIMIT_BYTES or "sha256" not in target.hashes:
                raise NotTrusted(f"the update site's entry {target.path} is not one of a catalogue")
            return self._download(client, target, "catalogue.dsse")

    def download(self, offer: Offer, emit: Emit) -> bytes:
        """The bytes of an offer, exactly those that the site's metadata names. Not yet through the gate."""
        began = time.monotonic()
        emit(StepStarted(Step.DOWNLOAD, offer.length))
        with _in_our_words(), self._refreshed() as client:
            target = client.get_targetinfo(offer.target_path)
            if target is None or target.hashes.get("sha256") != offer.sha256:
                raise NotTrusted("the update site does not list this release any more")
            fetcher = self._site_fetcher()
            fetcher.progress = lambda done: emit(Progressed(Step.DOWNLOAD, min(done, offer.length)))
            try:
                data = self._download(client, target, "bundle.fwb")
            finally:
                fetcher.progress = lambda _done: None
        emit(StepDone(Step.DOWNLOAD, round((time.monotonic() - began) * 1000)))
        return data

    def known_roots(self) -> tuple[bytes, ...]:
        """Every root that this folder has met, by number, for the gate. Reads the folder only."""
        folder = self._folder / "metadata" / "root_history"
        with _in_our_words():
            files = [
                path
                for path in folder.glob("*.root.json")
                if path.name.split(".")[0].isdecimal()
                and path.stat().st_size <= UpdaterConfig.root_max_length
            ]
            newest = sorted(files, key=lambda path: int(path.name.split(".")[0]))[-ROOT_STEP_LIMIT:]
            return tuple(path.read_bytes() for path in newest)

    def keep_roots(self, chain: Sequence[bytes]) -> None:
        """Keep roots that a bundle brought where tuf's client keeps its own, so that each side knows both.

        They were verified, and will be again by whoever reads them: a file there is a candidate.
        """
        folder = self._folder / "metadata" / "root_history"
        with _in_our_words():
            for root in chain:
                _write_changed(folder / f"{Metadata[Root].from_bytes(root).signed.version}.root.json", root)

    def _download(self, client: Updater, target: TargetFile, name: str) -> bytes:
        """Download, with one clean second try; then read the file again and compare, it lay on a disk."""
        file = self._folder / "downloads" / name
        kept = client.find_cached_target(target, str(file))
        if kept is None:
            try:
                client.download_target(target, str(file))
            except (LengthOrHashMismatchError, FileChanged):  # replaced on the server, or a broken proxy
                client.download_target(target, str(file))
        data = file.read_bytes()
        target.verify_length_and_hashes(data)
        return data

    def _site_fetcher(self) -> SiteFetcher:
        if self._fetcher is None:
            plain = self._vendor.repository.startswith("http:")
            # parse_vendor has decided whether this vendor may use http; here it must be loopback as well
            self._fetcher = SiteFetcher(self._vendor.repository, loopback_http=plain)
        return self._fetcher

    @contextmanager
    def _refreshed(self) -> Iterator[Updater]:
        """tuf's client, which has looked at the site once. What it learns is in our folder when this ends."""
        try:
            if self._client is None:
                for name in ("metadata", "downloads"):
                    (self._folder / name).mkdir(parents=True, exist_ok=True)
                client = self._new_client()
                client.refresh()
                self._client = client
            yield self._client
        except BaseException:
            with suppress(OSError):  # why it failed is what the person must know
                self._bring_back()
            raise
        self._bring_back()

    def _new_client(self) -> Updater:
        """A client in our folder, or where that cannot hold links in one that is seeded from it.

        tuf's client makes a link and cannot do without; FAT, which is what most USB sticks have, knows
        none. If our folder has another fault, bringing back shows it.
        """
        ours = self._folder / "metadata"
        try:
            return self._client_in(ours)
        except OSError:
            if self._borrowed is None:
                self._borrowed = Path(tempfile.mkdtemp(prefix="updater-"))  # for this account alone
                weakref.finalize(self, shutil.rmtree, self._borrowed, ignore_errors=True)
            _copy_changed(ours, self._borrowed)
            return self._client_in(self._borrowed)

    def _client_in(self, folder: Path) -> Updater:
        return Updater(
            metadata_dir=str(folder),
            metadata_base_url=f"{self._vendor.repository}metadata/",
            target_base_url=f"{self._vendor.repository}targets/",
            fetcher=self._site_fetcher(),
            config=UpdaterConfig(max_root_rotations=ROOT_STEP_LIMIT),
            bootstrap=self._embedded_root,
        )

    def _bring_back(self) -> None:
        """Our folder remembers what was seen, or an older state of the site would be believed next time."""
        if self._borrowed is not None:
            _copy_changed(self._borrowed, self._folder / "metadata")


def _copy_changed(source: Path, target: Path) -> None:
    """The metadata files of one folder into another, each whole or not at all; links are left out."""
    for file in source.rglob("*.json"):
        if not file.is_symlink():
            _write_changed(target / file.relative_to(source), file.read_bytes())


def _write_changed(path: Path, data: bytes) -> None:
    """A file, whole or not at all; untouched if it has these bytes already."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def ask_site(vendor: Vendor, fetcher: SiteFetcher | None = None) -> tuple[Site, str, datetime | None]:
    """Whether the update site answers, why not in words, and what it says the time is. Never raises.

    Asks once for the one file that every TUF site has; nothing of it is read or believed.
    """
    mine = fetcher or SiteFetcher(vendor.repository, loopback_http=vendor.repository.startswith("http:"))
    try:
        date = mine.server_date(f"{vendor.repository}metadata/timestamp.json")
    except LoginPage as error:
        return Site.LOGIN_PAGE, str(error), None
    except CertificateRefused as error:
        return Site.CERTIFICATE, str(error), None
    except ProxyFailed as error:
        return Site.PROXY, str(error), None
    except DownloadError as error:
        return Site.NO_ANSWER, str(error), None
    finally:
        mine.close()
    return Site.ANSWERS, "", _parsed_date(date)


def _parsed_date(text: str | None) -> datetime | None:
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(text or "").astimezone(UTC)
    return None


def require_as_offered(offer: Offer, manifest: Manifest) -> None:
    """The Uptane cross-check: what the server said must be what people have signed. Raises NotTrusted."""
    said = (offer.product, str(offer.version), offer.security_counter)
    signed = (manifest.product, str(manifest.version), manifest.security_counter)
    if said != signed:
        raise NotTrusted(
            f"the update site announced {said[0]} {said[1]} (counter {said[2]}), but the signed bundle is "
            f"{signed[0]} {signed[1]} (counter {signed[2]})",
            advice="Tell the vendor: the update site does not say what was signed.",
        )
    first = offer.announced.from_min_version
    if first is not None and first != manifest.from_min_version:
        raise NotTrusted(
            f"the update site says that {manifest.version} needs {first} before it, but what was signed says "
            f"{manifest.from_min_version or 'that it needs nothing'}",
            advice="Tell the vendor: the update site does not say what was signed.",
        )
    if offer.channel not in manifest.channels:
        raise NotTrusted(
            f"{manifest.product} {manifest.version} was not signed for the channel {offer.channel}",
            advice="Tell the vendor: the update site does not say what was signed.",
        )


def _offer(target: TargetFile, product: str, channel: Channel, version: Version | None) -> Offer:
    announced = parse_announced(target.custom, target.path)
    if version is not None and announced.version != version:
        raise NotTrusted(f"the update site lists version {announced.version} under {target.path}")
    if target.length > BUNDLE_LIMIT_BYTES or "sha256" not in target.hashes:
        raise NotTrusted(f"the update site's entry {target.path} is not one of a bundle")
    return Offer(
        product=product,
        channel=channel,
        version=announced.version,
        security_counter=announced.security_counter,
        length=target.length,
        sha256=target.hashes["sha256"],
        target_path=target.path,
        announced=announced,
    )


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Translate what tuf and the operating system raise."""
    try:
        yield
    except ExpiredMetadataError as error:
        raise NotTrusted(
            f"the update site's information has expired ({error}). This computer's date is "
            f"{datetime.now(UTC):%Y-%m-%d}; is that right?",
            advice="Correct a wrong date. If it is right, ask the vendor for the update as a file.",
        ) from error
    except DownloadLengthMismatchError as error:
        raise NotTrusted("the update site sends more than it announced", advice=_FROM_FILE) from error
    except LoginPage as error:
        raise NetworkFailed(
            str(error), advice="Open a web page in the browser, log in to the network, and try again."
        ) from error
    except CertificateRefused as error:
        raise TlsFailed(str(error), advice=f"{error.advice} {_FROM_FILE}") from error
    except DownloadError as error:
        raise NetworkFailed(str(error), advice=f"Check the internet connection. {_FROM_FILE}") from error
    except LengthOrHashMismatchError as error:
        raise NotTrusted("the download is not what the update site announced", advice=_FROM_FILE) from error
    except RepositoryError as error:
        raise NotTrusted(f"the update site cannot be trusted: {error}", advice=_FROM_FILE) from error
    except OSError as error:
        raise StorageFailed(
            f"the folder for update information cannot be used: {error.strerror or error}"
        ) from error
