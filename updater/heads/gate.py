"""The only door to the flasher: bytes in, a verified bundle out.

The order is the security (`docs/trust.md`): container, roots, signatures, and only then the payload
is parsed and the images are compared with it. The same door for a download, a file and a stick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from updater.heads.catalogue import Catalogue, parse_catalogue, version_in
from updater.heads.container import ENVELOPE, LAYOUT, contents_of, images_of, open_container, roots_of
from updater.heads.manifest import Bundle, Manifest, parse_manifest
from updater.heads.trust import CATALOGUE_TYPE, Root, RootChain, verify_envelope, walk_roots
from updater.words.errors import NotTrusted, UpdaterError

__all__ = [
    "Bundle",
    "Catalogue",
    "Root",
    "RootChain",
    "catalogue_version_in",
    "verify_bundle",
    "verify_catalogue",
    "verify_evidence",
    "walk_roots",
]


def verify_bundle(
    data: bytes, *, embedded_root: bytes, known_roots: Sequence[bytes] = (), now: datetime
) -> Bundle:
    """Verify a bundle file's bytes.

    `known_roots` are those kept from earlier, from any source; they are believed only as far as the
    embedded root leads to them. `now` (UTC) decides nothing but `Bundle.root_expired`.

    Raises `NotTrusted`, or `Refused` when the bundle is genuine but needs a newer updater.
    """
    container = open_container(data)
    members = container.members
    chain = walk_roots(embedded_root, (*known_roots, *roots_of(members)))
    envelope = bytes(members[ENVELOPE])
    signed = verify_envelope(chain.root, envelope)
    manifest = parse_manifest(signed.payload)
    container.check_images()  # the images' bytes are looked at last, in one go
    _compare(manifest, contents_of(members))
    return Bundle(
        manifest=manifest,
        files=MappingProxyType(images_of(members)),
        manifest_sha256=hashlib.sha256(signed.payload).hexdigest(),
        signed_by=signed.signed_by,
        threshold=signed.threshold,
        root_version=chain.version,
        root_expired=chain.expired(now),
        envelope=envelope,
        root_chain=chain.versions,
        layout=bytes(members[LAYOUT]) if manifest.otp else None,
    )


def verify_evidence(envelope: bytes, root: Root) -> Manifest | None:
    """The manifest in an envelope kept from earlier, or None when it proves nothing (any more)."""
    try:
        return parse_manifest(verify_envelope(root, envelope).payload)
    except UpdaterError:
        return None


def verify_catalogue(
    envelope: bytes, *, embedded_root: bytes, known_roots: Sequence[bytes] = (), chips: Collection[str]
) -> Catalogue:
    """The catalogue in a signed envelope, whether it was just fetched or lay in the state folder.

    The same keys and threshold as for a bundle, and a payload type of its own. It brings no roots: those that
    are known count. `chips` are the ids of the silicon table's rows. Raises `NotTrusted` or `Refused`.
    """
    root = walk_roots(embedded_root, known_roots).root
    return parse_catalogue(verify_envelope(root, envelope, CATALOGUE_TYPE).payload, chips=chips)


def catalogue_version_in(envelope: bytes, *, embedded_root: bytes, known_roots: Sequence[bytes]) -> int:
    """Of which version a kept catalogue is, also where only a newer updater knows its words.

    0 where it proves nothing (any more).
    """
    try:
        root = walk_roots(embedded_root, known_roots).root
        return version_in(verify_envelope(root, envelope, CATALOGUE_TYPE).payload)
    except UpdaterError:
        return 0


def _compare(manifest: Manifest, files: Mapping[str, memoryview]) -> None:
    """Every byte of the images and of the OTP layout is one that was signed for; nothing else is there."""
    if missing := sorted(manifest.files - files.keys()):
        raise NotTrusted(f"the manifest speaks of {missing[0]}, which is not in the file")
    if extra := sorted(files.keys() - manifest.files):
        raise NotTrusted(f"the file contains {extra[0]}, of which the manifest does not speak")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    signed = [(part.file, part.length, part.sha256) for image in manifest.images for part in image.segments]
    if manifest.otp is not None:
        signed.append((LAYOUT, manifest.otp.length, manifest.otp.sha256))
    for name, length, digest in signed:
        if len(files[name]) != length or digests[name] != digest:
            raise NotTrusted(f"{name} is not what was signed: its length or SHA-256 differs")
