"""Keys, roots and bundles made in memory. Signed with securesystemslib and python-tuf, not with our code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, Key
from semver import Version
from tuf.api.metadata import Metadata, Role, Root

from updater.heads.container import write_container
from updater.heads.gate import verify_bundle
from updater.heads.manifest import (
    Bundle,
    Image,
    ImageFor,
    Manifest,
    ManifestSegment,
    canonical_json,
    format_manifest,
)
from updater.heads.trust import PAYLOAD_TYPE
from updater.words.facts import Channel

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
EXPIRES = datetime(2028, 1, 1, tzinfo=UTC)
ROOT_KEYS = ("root-1", "root-2", "root-3")
RELEASE_KEYS = ("release-1", "release-2", "release-3")
BOTH = ("release-1", "release-2")

PROGRAM = bytes(range(256)) * 4
PROGRAM_V = bytes(reversed(range(256))) * 4


@cache
def signer(name: str) -> CryptoSigner:
    """A key by name, made once. "release-2" has ECDSA, as hardware tokens do; the others Ed25519."""
    made = CryptoSigner.generate_ecdsa() if name == "release-2" else CryptoSigner.generate_ed25519()
    made.public_key.unrecognized_fields["x-name"] = name
    return made


def make_root(
    version: int = 1,
    *,
    root_keys: Sequence[str] = ROOT_KEYS,
    release_keys: Sequence[str] = RELEASE_KEYS,
    threshold: int = 2,
    signed_by: Sequence[str] = ("root-1", "root-2"),
    expires: datetime = EXPIRES,
    odd_keys: Mapping[str, Key] | None = None,
) -> bytes:
    """Root metadata. `odd_keys` join the release role as they are."""
    roles = {"root": root_keys, "targets": release_keys, "snapshot": ("online",), "timestamp": ("online",)}
    keys: dict[str, Key] = {
        signer(name).public_key.keyid: signer(name).public_key for names in roles.values() for name in names
    }
    members = {role: [signer(name).public_key.keyid for name in names] for role, names in roles.items()}
    for keyid, key in (odd_keys or {}).items():
        keys[keyid] = key
        members["targets"].append(keyid)
    thresholds = {"root": 2, "targets": threshold}
    root = Root(
        version=version,
        expires=expires,
        keys=keys,
        roles={role: Role(keyids, thresholds.get(role, 1)) for role, keyids in members.items()},
    )
    metadata = Metadata(root)
    for name in signed_by:
        metadata.sign(signer(name), append=True)
    return metadata.to_bytes()


@cache
def root_1() -> bytes:
    return make_root()


def make_image(
    name: str = "main",
    data: bytes = PROGRAM,
    *,
    address: int = 0x0800_0000,
    dev_ids: tuple[int, ...] = (0x450,),
    revisions: tuple[str, ...] = (),
    rom_versions: tuple[int, ...] = (),
) -> Image:
    segment = ManifestSegment(
        address=address,
        length=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        file=f"images/{name}.bin",
    )
    chosen = ImageFor(dev_ids=dev_ids, revisions=revisions, rom_versions=rom_versions)
    return Image(name=name, for_=chosen, segments=(segment,))


def make_manifest(**changes: Any) -> Manifest:
    manifest = Manifest(
        schema=1,
        product="demo-widget",
        hardware=("A", "B"),
        version=Version(1, 1, 0),
        security_counter=3,
        channels=(Channel.STABLE, Channel.BETA),
        created=date(2026, 5, 1),
        min_tool=Version(0, 1, 0),
        from_min_version=None,
        accept_no_recovery=False,
        notes="Fixes the pump.",
        images=(make_image(),),
    )
    return msgspec.structs.replace(manifest, **changes)


def raw_manifest(**changes: Any) -> dict[str, Any]:
    """A good manifest as plain JSON values, with fields replaced; for rules the types would not let pass."""
    value: dict[str, Any] = msgspec.json.decode(format_manifest(make_manifest()))
    return value | changes


def make_envelope(
    payload: bytes, signed_by: Sequence[str] = BOTH, *, payload_type: str = PAYLOAD_TYPE
) -> bytes:
    envelope = Envelope(payload, payload_type, {})
    for name in signed_by:
        envelope.sign(signer(name))
    return canonical_json(envelope.to_dict())


def make_members(
    manifest: Manifest | None = None,
    *,
    payload: bytes | None = None,
    envelope: bytes | None = None,
    signed_by: Sequence[str] = BOTH,
    roots: Mapping[int, bytes] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The members of a bundle, good unless told otherwise."""
    payload = format_manifest(manifest or make_manifest()) if payload is None else payload
    return {
        "manifest.dsse": make_envelope(payload, signed_by) if envelope is None else envelope,
        **{f"root/{n}.root.json": root for n, root in ({1: root_1()} if roots is None else roots).items()},
        **({"images/main.bin": PROGRAM} if files is None else files),
    }


def make_bundle(manifest: Manifest | None = None, **how: Any) -> bytes:
    return write_container(make_members(manifest, **how))


def open_bundle(data: bytes, *, known_roots: Sequence[bytes] = (), now: datetime = NOW) -> Bundle:
    """Through the real gate, with the kit's root 1 embedded."""
    return verify_bundle(data, embedded_root=root_1(), known_roots=known_roots, now=now)


def verified(**changes: Any) -> Bundle:
    """A verified bundle with these fields of the manifest changed."""
    return open_bundle(make_bundle(make_manifest(**changes)))
