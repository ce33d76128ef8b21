"""What an attacker or a careless vendor would do to the demo vendor: sign again, announce otherwise."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from securesystemslib.dsse import Envelope
from tuf.api.metadata import Metadata, MetaFile, Root, TargetFile, Targets

from bundles.demo.make import DemoVendor
from bundles.site import Site
from tests.desk import Published
from updater.heads.catalogue import TARGET_PATH, format_catalogue
from updater.heads.container import read_container, write_container
from updater.heads.manifest import Manifest, format_manifest, parse_manifest
from updater.heads.trust import CATALOGUE_TYPE, PAYLOAD_TYPE, format_envelope, parse_envelope
from updater.words.facts import Channel

BOTH = ("release-1", "release-2")


def manifest_of(bundle: bytes) -> Manifest:
    """The manifest in a bundle, believed as it is."""
    return parse_manifest(parse_envelope(read_container(bundle)["manifest.dsse"]).payload)


def signed_again(
    vendor: DemoVendor,
    release: str,
    *,
    by: Sequence[str] = BOTH,
    roots: Sequence[bytes] | None = None,
    **changes: Any,
) -> bytes:
    """A release of the demo vendor with other fields in its manifest, signed by these keys of his.

    `roots` replaces the chain that it brings.
    """
    members = read_container(vendor.bundle(release))
    changed = msgspec.structs.replace(manifest_of(vendor.bundle(release)), **changes)
    envelope = Envelope(format_manifest(changed), PAYLOAD_TYPE, {})
    for name in by:
        envelope.sign(vendor.signer(name))
    members["manifest.dsse"] = format_envelope(envelope)
    if roots is not None:
        members = {name: data for name, data in members.items() if not name.startswith("root/")}
        members |= {f"root/{number}.root.json": root for number, root in enumerate(roots, start=1)}
    return write_container(members)


def next_root(vendor: DemoVendor, *, without: str, signed_by: Sequence[str] = ("root-1", "root-2")) -> bytes:
    """Root 2, which takes one release key away."""
    root = Metadata[Root].from_bytes(vendor.root)
    root.signed.version = 2
    root.signed.revoke_key(vendor.signer(without).public_key.keyid, "targets")
    root.signatures.clear()
    for name in signed_by:
        root.sign(vendor.signer(name), append=True)
    return root.to_bytes()


@contextmanager
def own_site(published: Published, folder: Path) -> Iterator[Path]:
    """A copy of the vendor's site that may be changed, served instead of his own."""
    before = published.web.folder
    published.web.folder = folder / "own-site"
    shutil.copytree(published.vendor.site, published.web.folder)
    try:
        yield published.web.folder
    finally:
        published.web.folder = before


def publish(vendor: DemoVendor, site: Path, data: bytes, channel: Channel = Channel.STABLE) -> None:
    """Make a bundle current, as the vendor's own tool does."""
    publisher = Site(folder=site, online=vendor.signer("online"), now=datetime.now(UTC))
    publisher.set_current(channel, data)
    Forge(vendor, site).publish()


def announce(vendor: DemoVendor, site: Path, path: str, **said: Any) -> None:
    """Change what the channel says of one entry, with the online key alone."""
    for file, metadata in _bins(site):
        if path in metadata.signed.targets:
            target = metadata.signed.targets[path]
            target.unrecognized_fields["custom"] = target.custom | said
            _put(vendor, file, metadata)
    Forge(vendor, site).publish()


def point(vendor: DemoVendor, site: Path, path: str, data: bytes, **said: Any) -> None:
    """List any bytes at all under an entry that exists, with the online key alone."""
    for file, metadata in _bins(site):
        if path in metadata.signed.targets:
            target = TargetFile.from_data(path, data, ["sha256"])
            target.unrecognized_fields["custom"] = metadata.signed.targets[path].custom | said
            metadata.signed.targets[path] = target
            place = site / "targets" / target.get_prefixed_paths()[0]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            _put(vendor, file, metadata)
    Forge(vendor, site).publish()


def catalogue_of(
    vendor: DemoVendor, version: int = 1, *, by: Sequence[str] = BOTH, min_tool: str = "0.1.0", **changes: Any
) -> bytes:
    """A signed catalogue of the demo vendor's products; `changes` go into each of them."""
    text = (vendor.folder / "vendor" / "vendor.toml").read_text("utf-8")
    products = [one | changes for one in tomllib.loads(text)["product"]]
    envelope = Envelope(format_catalogue(version, min_tool, products), CATALOGUE_TYPE, {})
    for name in by:
        envelope.sign(vendor.signer(name))
    return format_envelope(envelope)


def without_gadget(text: str) -> str:
    """The vendor.toml of an updater from before the gadget was made."""
    return "[[product]]".join(text.split("[[product]]")[:2])


def show_catalogue(vendor: DemoVendor, site: Path, data: bytes, by: Channel = Channel.STABLE) -> None:
    """List any bytes at all as the catalogue of products, with the online key alone."""
    target = TargetFile.from_data(TARGET_PATH, data, ["sha256"])
    place = site / "targets" / target.get_prefixed_paths()[0]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    publisher = Site(folder=site, online=vendor.signer("online"), now=datetime.now(UTC))
    publisher._put_entries(by, [target])
    Forge(vendor, site).publish()


def _bins(site: Path) -> Iterator[tuple[Path, Metadata[Targets]]]:
    """The newest file of every bin of every channel."""
    newest: dict[str, tuple[int, Path]] = {}
    for file in (site / "metadata").glob("*.*-*.json"):
        number, role = file.name.split(".")[:2]
        newest[role] = max(newest.get(role, (0, file)), (int(number), file))
    for _, file in newest.values():
        yield file, Metadata[Targets].from_bytes(file.read_bytes())


def _put(vendor: DemoVendor, file: Path, metadata: Metadata[Targets]) -> None:
    metadata.signed.version += 1
    metadata.sign(vendor.signer("online"))
    role = file.name.split(".")[1]
    (file.parent / f"{metadata.signed.version}.{role}.json").write_bytes(metadata.to_bytes())


class Forge:
    """Signs the site's metadata with any of the vendor's keys, and writes what no publisher would."""

    def __init__(self, vendor: DemoVendor, site: Path) -> None:
        self.vendor, self.folder = vendor, site / "metadata"

    def read(self, role: str) -> Metadata[Any]:
        """The newest metadata of a role."""
        return Metadata[Any].from_bytes(self._newest(role).read_bytes())

    def put(self, role: str, change: Callable[[Any], None], *, by: Sequence[str] = ("online",)) -> int:
        """The next version of a role with this change, signed by these keys. Returns its number."""
        metadata = self.read(role)
        metadata.signed.version += 1
        change(metadata.signed)
        self.write(role, metadata, by=by)
        return int(metadata.signed.version)

    def write(self, role: str, metadata: Metadata[Any], *, by: Sequence[str]) -> None:
        """Write metadata under the version that it says it is."""
        metadata.signatures.clear()
        for name in by:
            metadata.sign(self.vendor.signer(name), append=True)
        name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        (self.folder / name).write_bytes(metadata.to_bytes())

    def publish(self) -> None:
        """Sign a snapshot of whatever lies here, and a timestamp that names it."""

        def name_all(signed: Any) -> None:
            for file in self.folder.glob("*.*.json"):
                role = file.name.split(".")[1]
                if role not in ("root", "snapshot"):
                    signed.meta[f"{role}.json"] = MetaFile(self._version(self._newest(role)))

        self.point_timestamp_at(self.put("snapshot", name_all))

    def point_timestamp_at(self, snapshot_version: int) -> None:
        """Sign a newer timestamp that names this snapshot."""
        named = MetaFile(snapshot_version)  # whoever has the key may leave length and hash out
        self.put("timestamp", lambda signed: setattr(signed, "snapshot_meta", named))

    def _newest(self, role: str) -> Path:
        if role == "timestamp":
            return self.folder / "timestamp.json"
        files = self.folder.glob(f"*.{role}.json")
        return max(files, key=self._version)

    def _version(self, file: Path) -> int:
        return int(file.name.split(".")[0])
