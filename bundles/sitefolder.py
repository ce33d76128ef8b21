"""The folder of a site: which files are its newest, what they list, and how a new one is written.

`bundles.site` says when. Whatever exists is never rewritten, except timestamp.json and the pages.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Signer
from semver import Version
from tuf.api.metadata import (
    Metadata,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from updater.hands.store import try_lock
from updater.heads.catalogue import TARGET_PATH
from updater.heads.trust import Root, walk_roots
from updater.words.errors import NotTrusted, StorageFailed, Usage
from updater.words.facts import Channel

from . import announce, expiry
from .announce import CURRENT, path_of
from .files import read_file, write_file
from .record import SUFFIX
from .root import CHANNELS, load_targets, programs_in, require_signed

LOCK = ".lock"
LOCK_PATIENCE_S = 60.0
"""How long a command waits for another one that is at work on the same site."""
_Online = TypeVar("_Online", Targets, Snapshot, Timestamp)
_ROLE_FILE = re.compile(r"([1-9]\d*)\.([a-z0-9-]+)\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One line of a channel: where a version is, and what the channel says of it."""

    channel: Channel
    product: str
    version: Version
    is_current: bool
    length: int = 0
    sha256: str = ""
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFolder:
    """A site in `folder`, worked on at `now` (UTC) with the key that says what is current (None: to read).

    `until` gives every role this expiry instead of the usual short ones: for the demo vendor only.
    """

    folder: Path
    now: datetime
    online: Signer | None = None
    until: datetime | None = None
    patience_s: float = LOCK_PATIENCE_S

    @property
    def _key(self) -> Signer:
        if self.online is None:
            raise Usage("this needs the online key", advice="Name it with --key.")
        return self.online

    def _published(self) -> dict[str, int]:
        """The version of each role that clients see now."""
        path = self.folder / "metadata/timestamp.json"
        if not path.exists():
            return {}
        try:
            timestamp = Metadata[Timestamp].from_bytes(read_file(path)).signed
            shown = self.folder / f"metadata/{timestamp.snapshot_meta.version}.snapshot.json"
            snapshot = Metadata[Snapshot].from_bytes(read_file(shown)).signed
        except DeserializationError as error:
            raise NotTrusted(
                f"{path} or its snapshot is not TUF metadata", advice="Put back what was published last."
            ) from error
        return {name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()}

    def _news(self) -> Iterator[tuple[Channel, TargetFile]]:
        """The entries that clients do not see yet, or see otherwise."""
        seen = self._published()
        for name, version in self._newest().items():
            channel = name.split("-")[0]
            if channel not in CHANNELS or version == seen.get(name):
                continue
            before: Mapping[str, TargetFile] = {}
            if name in seen:
                before = load_targets(
                    read_file(self.folder / f"metadata/{seen[name]}.{name}.json")
                ).signed.targets
            for path, target in self._targets(name).targets.items():
                if target != before.get(path):
                    yield Channel(channel), target

    def expiring(self, *, online: bool = False) -> list[str]:
        """What people must sign again soon, one sentence each; with `online` also what a server must."""
        newest = self._newest()
        wanted = newest if online else {name: newest[name] for name in newest if name in ("root", "targets")}
        return expiry.sentences(self.folder, wanted, self.now, online=online)

    def dates(self) -> list[str]:
        """When each role expires, the soonest first."""
        return expiry.table(self.folder, self._newest())

    def releases(self) -> Iterator[Release]:
        """Every release that lies here, published or about to be."""
        for channel in CHANNELS:
            listed: dict[str, TargetFile] = {}
            for role in self._bins(channel).get_roles():
                listed |= self._targets(role).targets
            listed.pop(TARGET_PATH, None)
            for path, target in sorted(listed.items()):
                _, product, name = path.split("/")
                said = announce.said_of(target)
                if name != f"{CURRENT}.fwb":
                    current = announce.said_of(listed.get(path_of(channel, product, CURRENT)))
                    yield Release(
                        channel=channel,
                        product=product,
                        version=Version.parse(said["version"]),
                        is_current=current.get("version") == said["version"],
                        length=target.length,
                        sha256=target.hashes["sha256"],
                        withdrawn=said["version"] in said.get("withdrawn", ()),
                    )

    def signed_programs(self) -> dict[str, TargetFile]:
        """The vendor's updaters that release people have signed for in targets.json, by name.

        Raises NotTrusted where targets.json lacks their signatures.
        """
        targets = load_targets(read_file(self._path("targets")))
        require_signed(self._root(), "targets", targets)
        return programs_in(targets.signed)

    def write_file(self, path: str, data: bytes) -> None:
        """Write what is no part of the metadata: a page, or a program to download."""
        self._write(path, data)

    def bundle(self, release: Release) -> bytes:
        """The bundle of a release that is listed here."""
        entry = self._listed(release.channel, release.product, release.version)
        return read_file(self.folder / "targets" / entry.get_prefixed_paths()[0])

    def catalogue(self) -> bytes | None:
        """The catalogue of products that is listed here, or None."""
        role = self._bins(Channel.STABLE).get_role_for_target(TARGET_PATH)
        entry = self._targets(role).targets.get(TARGET_PATH)
        return read_file(self.folder / "targets" / entry.get_prefixed_paths()[0]) if entry else None

    def changed(self) -> set[tuple[Channel, str]]:
        """The channels and products of which clients do not see yet what lies here."""
        return {(channel, target.path.split("/")[1]) for channel, target in self._news()}

    def _entry(self, channel: Channel, product: str, version: Version | str) -> TargetFile | None:
        path = path_of(channel, product, version)
        return self._targets(self._bins(channel).get_role_for_target(path)).targets.get(path)

    def _listed(self, channel: Channel, product: str, version: Version | str) -> TargetFile:
        entry = self._entry(channel, product, version)
        if entry is None:
            raise Usage(f"{channel} does not list {product} {version}", advice="Check product and version.")
        return entry

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process away; wait for one that is at work. Raises StorageFailed."""
        if not (self.folder / "metadata").is_dir():
            raise Usage(f"{self.folder} is no update site", advice="Begin one with `bundles site new`.")
        try:
            lock = (self.folder / LOCK).open("wb")
        except OSError as error:
            raise StorageFailed(f"{self.folder} cannot be locked: {error.strerror or error}") from error
        with lock:
            until = time.monotonic() + self.patience_s
            while not try_lock(lock.fileno()):
                if time.monotonic() > until:
                    raise StorageFailed(
                        f"another `bundles` is at work on {self.folder}",
                        advice="Wait until it is done, and run the command again.",
                    )
                time.sleep(0.1)
            yield

    def _root(self) -> Root:
        roots = self._roots()
        return walk_roots(roots[0], roots[1:]).root

    def _roots(self) -> list[bytes]:
        numbers = range(1, self._newest().get("root", 0) + 1)
        roots = [read_file(self.folder / f"metadata/{number}.root.json") for number in numbers]
        if not roots:
            raise Usage(f"{self.folder} is no update site", advice="Begin one with `bundles site new`.")
        return roots

    def _bins(self, channel: Channel) -> SuccinctRoles:
        delegations = self._targets(channel).delegations
        if delegations is None or delegations.succinct_roles is None:
            raise NotTrusted(f"{channel}.json does not lead to bins", advice="Begin the site again.")
        return delegations.succinct_roles

    def _targets(self, role: str) -> Targets:
        return load_targets(read_file(self._path(role))).signed

    def _path(self, role: str) -> Path:
        newest = self._newest()
        if role not in newest:
            raise Usage(f"{self.folder} has no {role}.json", advice="Begin the site with `bundles site new`.")
        return self.folder / f"metadata/{newest[role]}.{role}.json"

    def _newest(self) -> dict[str, int]:
        """The highest version of each role that lies here; the timestamp has none in its name."""
        newest: dict[str, int] = {}
        try:
            names = os.listdir(self.folder / "metadata")
        except OSError:
            return newest
        for name in names:
            if match := _ROLE_FILE.fullmatch(name):
                newest[match[2]] = max(newest.get(match[2], 0), int(match[1]))
        return newest

    def _timestamp_version(self) -> int:
        path = self.folder / "metadata/timestamp.json"
        if not path.exists():
            return 0
        try:
            return Metadata[Timestamp].from_bytes(read_file(path)).signed.version
        except DeserializationError as error:
            raise NotTrusted(
                f"{path} is not TUF timestamp metadata",
                advice="Put back the one that was published last: clients take no lower version.",
            ) from error

    def _put(self, role: str, signed: _Online, life: timedelta) -> None:
        self._write(f"metadata/{signed.version}.{role}.json", self._signed(signed, life))

    def _signed(self, signed: _Online, life: timedelta) -> bytes:
        signed.expires = self.until or (self.now + life).replace(microsecond=0)
        metadata = Metadata(signed)
        metadata.sign(self._key)
        return metadata.to_bytes()

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{path.parent} cannot be made: {error.strerror or error}") from error
        write_file(path, data)


def record_name(product: str, version: str) -> str:
    """Where the record of a release's rehearsal lies."""
    return f"rehearsals/{product}-{version}{SUFFIX}"
