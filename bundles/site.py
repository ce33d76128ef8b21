"""The published site: a TUF repository of static files, in a folder that any web server can show.

    metadata/   N.root.json, N.targets.json, N.stable.json, N.stable-00.json …, N.snapshot.json,
                timestamp.json
    targets/    CHANNEL/PRODUCT/SHA256.current.fwb and SHA256.VERSION.fwb (the same bytes, twice addressable)
    files/      PRODUCT-VERSION.fwb for e-mail and sticks
    u/          PRODUCT/CHANNEL/VERSION/index.html, the pages that update links point to

Each channel delegates to hash bins, so that no client downloads the list of all releases. Whatever
exists is never rewritten, except timestamp.json and the pages: changes are new files, and they are
invisible until the snapshot and, last, the timestamp name them. A crash in between changes nothing.
TUF specification 1.0.34, sections 4.4 to 4.6 and 6.2; TAP 15 for the bins.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Signer
from semver import Version
from tuf.api.metadata import (
    Delegations,
    Metadata,
    MetaFile,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from updater.heads.gate import verify_bundle
from updater.heads.manifest import Manifest
from updater.heads.trust import walk_roots
from updater.words.errors import NotTrusted, Refused, StorageFailed, Usage
from updater.words.facts import Channel

from .files import read_file, write_file
from .root import CHANNELS, load_targets, require_signed

BIN_BITS = 8
CHANNEL_LIFE = timedelta(days=90)
SNAPSHOT_LIFE = timedelta(days=30)
TIMESTAMP_LIFE = timedelta(days=14)
_ALARM_BEFORE = timedelta(days=60)
_RENEW_BEFORE = CHANNEL_LIFE / 2
_Online = TypeVar("_Online", Targets, Snapshot, Timestamp)
_ROLE_FILE = re.compile(r"([1-9]\d*)\.([a-z0-9-]+)\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One line of a channel: where a version is, and what the channel says of it."""

    channel: Channel
    product: str
    version: Version
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site in `folder`, worked on at `now` (UTC) with the key that says what is current.

    `until` gives every role this expiry instead of the usual short ones: for the demo vendor only.
    """

    folder: Path
    online: Signer
    now: datetime
    until: datetime | None = None

    def create(self, roots: Sequence[bytes], targets: bytes, *, bin_bits: int = BIN_BITS) -> None:
        """Begin a site: the roots from the first on, the signed targets.json, and empty channels."""
        if (self.folder / "metadata").exists():
            raise Usage(f"{self.folder} holds a site already", advice="Choose a new folder.")
        self._check_trust(roots, targets)
        for number, root in enumerate(roots, start=1):
            self._write(f"metadata/{number}.root.json", root)
        self._write(f"metadata/{load_targets(targets).signed.version}.targets.json", targets)
        for channel in CHANNELS:
            bins = SuccinctRoles([self.online.public_key.keyid], 1, bin_bits, channel)
            delegations = Delegations({self.online.public_key.keyid: self.online.public_key}, None, bins)
            self._put(channel, Targets(version=1, delegations=delegations), CHANNEL_LIFE)
            for name in bins.get_roles():
                self._put(name, Targets(version=1), CHANNEL_LIFE)

    def set_current(self, channel: Channel, data: bytes) -> Manifest:
        """Make this bundle the channel's current release of its product, and addressable by version.

        Nobody sees it before `publish`. Raises NotTrusted for a bundle that too few people signed, and
        Refused for one that its signers did not make for this channel, or another one of this version.
        """
        self._check()
        roots = self._roots()
        try:
            bundle = verify_bundle(data, embedded_root=roots[0], known_roots=roots[1:], now=self.now)
        except NotTrusted as error:
            raise NotTrusted(
                error.message, advice="Only what customers would accept is published."
            ) from error
        manifest = bundle.manifest
        if channel not in CHANNELS or channel not in manifest.channels:
            raise Refused(
                f"its signers did not release {manifest.product} {manifest.version} for {channel}",
                advice="Build and sign it with this channel in its recipe.",
            )
        self._refuse_other_content(channel, manifest, bundle.manifest_sha256, roots)
        digest = hashlib.sha256(data).hexdigest()
        folder = f"{channel}/{manifest.product}"
        self._write(f"files/{manifest.product}-{manifest.version}.fwb", data)
        changed: dict[str, Targets] = {}
        for name in ("current", str(manifest.version)):
            self._write(f"targets/{folder}/{digest}.{name}.fwb", data)
            target = TargetFile.from_data(f"{folder}/{name}.fwb", data, ["sha256"])
            target.unrecognized_fields["custom"] = {
                "version": str(manifest.version),
                "security_counter": manifest.security_counter,
            }
            role = self._bins(channel).get_role_for_target(target.path)
            bin_ = changed.setdefault(role, self._targets(role))
            bin_.targets[target.path] = target
        for role, bin_ in changed.items():
            bin_.version += 1
            self._put(role, bin_, CHANNEL_LIFE)
        return manifest

    def publish(self) -> None:
        """Sign a new snapshot of all that lies here, and then the timestamp that makes it visible."""
        self._check()
        shown = self._timestamp_version()  # may refuse, so it comes before the first file is written
        self._renew()
        newest = self._newest()
        names = (name for name in newest if name not in ("root", "snapshot"))
        meta = {f"{name}.json": MetaFile(newest[name]) for name in names}
        version = newest.get("snapshot", 0) + 1
        self._put("snapshot", Snapshot(version=version, meta=meta), SNAPSHOT_LIFE)
        timestamp = Timestamp(version=shown + 1, snapshot_meta=MetaFile(version))
        self._write("metadata/timestamp.json", self._signed(timestamp, TIMESTAMP_LIFE))

    def expiring(self) -> list[str]:
        """What people must sign again soon, one sentence each: no server can."""
        newest = {
            "root": walk_roots(self._roots()[0], self._roots()[1:]).root,
            "targets": self._targets("targets"),
        }
        return [
            f"{role}.json expires on {signed.expires:%Y-%m-%d}: renew it before, or customers get no updates."
            for role, signed in newest.items()
            if signed.expires - self.now < _ALARM_BEFORE
        ]

    def releases(self) -> Iterator[Release]:
        """Every release that lies here, published or about to be."""
        for channel in CHANNELS:
            paths: dict[str, str] = {}
            for role in self._bins(channel).get_roles():
                for path, target in self._targets(role).targets.items():
                    paths[path] = target.custom["version"]
            for path, version in sorted(paths.items()):
                _, product, name = path.split("/")
                if name != "current.fwb":
                    is_current = paths[f"{channel}/{product}/current.fwb"] == version
                    yield Release(
                        channel=channel,
                        product=product,
                        version=Version.parse(version),
                        is_current=is_current,
                    )

    def write_page(self, path: str, html: str) -> None:
        """Write a page below `u/`."""
        self._write(f"u/{path}/index.html", html.encode())

    def _refuse_other_content(
        self, channel: Channel, manifest: Manifest, manifest_sha256: str, roots: Sequence[bytes]
    ) -> None:
        """A version number means one thing for ever; only more signatures may be added to it."""
        path = f"{channel}/{manifest.product}/{manifest.version}.fwb"
        known = self._targets(self._bins(channel).get_role_for_target(path)).targets.get(path)
        if known is None:
            return
        data = read_file(self.folder / "targets" / known.get_prefixed_paths()[0])
        before = verify_bundle(data, embedded_root=roots[0], known_roots=roots[1:], now=self.now)
        if before.manifest_sha256 != manifest_sha256:
            raise Refused(
                f"{manifest.product} {manifest.version} is published already, with other content",
                advice="Give the changed firmware a new version number.",
            )

    def _renew(self) -> None:
        """Sign again what would expire soon, so that daily publishing keeps a quiet channel alive."""
        for name in list(self._newest()):
            if name.split("-")[0] in CHANNELS:
                role = self._targets(name)
                if role.expires - self.now < _RENEW_BEFORE:
                    role.version += 1
                    self._put(name, role, CHANNEL_LIFE)

    def _check(self) -> None:
        self._check_trust(self._roots(), read_file(self._path("targets")))

    def _check_trust(self, roots: Sequence[bytes], targets_json: bytes) -> None:
        """What a client will check, and that the key at hand is the one which the root names."""
        chain = walk_roots(roots[0], roots[1:])
        if len(chain.versions) != len(roots):
            raise NotTrusted("the site's roots are not an unbroken chain", advice="Sign the newest root.")
        root = chain.root
        targets = load_targets(targets_json)
        require_signed(root, "targets", targets)
        for role, signed in (("root", root), ("targets", targets.signed)):
            if signed.is_expired(self.now):
                raise Refused(f"{role}.json expired on {signed.expires:%Y-%m-%d}", advice="Renew it first.")
        keyid = self.online.public_key.keyid
        if any(keyid not in root.roles[role].keyids for role in ("snapshot", "timestamp")):
            raise Refused("this key is not the online key of the site's root", advice="Use the online key.")

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
        metadata.sign(self.online)
        return metadata.to_bytes()

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{path.parent} cannot be made: {error.strerror or error}") from error
        write_file(path, data)
