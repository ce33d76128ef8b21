"""Who may say that a bundle is genuine: the chain of TUF roots and the DSSE envelope.

Nothing is verified by own code: the step from one root to the next, thresholds and key types are
python-tuf's (`Root.get_root_verification_result`, `get_verification_result`), the envelope and its
pre-authentication encoding are securesystemslib's. Sources: TUF specification 1.0.34, section 5.3;
DSSE 1.0.2, protocol.md and envelope.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecuresystemslibError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from updater.words.errors import NotTrusted

__all__ = [
    "CATALOGUE_TYPE",
    "ENVELOPE_LIMIT_BYTES",
    "NAME_FIELD",
    "PAYLOAD_TYPE",
    "Envelope",
    "Root",
    "RootChain",
    "VerifiedPayload",
    "format_envelope",
    "parse_envelope",
    "verify_envelope",
    "walk_roots",
]

PAYLOAD_TYPE = "application/vnd.stm32-field-updater.manifest.v1+json"
CATALOGUE_TYPE = "application/vnd.stm32-field-updater.catalogue.v1+json"
_SAID = {PAYLOAD_TYPE: "update", CATALOGUE_TYPE: "catalogue"}
RELEASE_ROLE = "targets"
NAME_FIELD = "x-name"
"""The field of a key in root metadata that names whose it is."""

ROOT_STEP_LIMIT = 64
SIGNATURE_LIMIT = 16
KEYID_LIMIT_CHARS = 128
ENVELOPE_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RootChain:
    """The newest root that the embedded one leads to, and the way there.

    `versions` are the bytes of every root from the embedded to the newest, for keeping.
    """

    root: Root
    versions: tuple[bytes, ...]

    @property
    def version(self) -> int:
        return int(self.root.version)

    @property
    def expires(self) -> datetime:
        return self.root.expires

    def expired(self, now: datetime) -> bool:
        return bool(self.root.is_expired(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPayload:
    """Bytes that a threshold of release keys has signed, and whose keys those were."""

    payload: bytes
    signed_by: tuple[str, ...]
    threshold: int


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


def walk_roots(embedded: bytes, candidates: Iterable[bytes]) -> RootChain:
    """Step from the embedded root to the newest one that the candidates lead to.

    A candidate is taken when it is the next version and a threshold of the keys of the root before
    it and of its own keys signed it. Everything else in `candidates` (forged, damaged, out of order,
    behind a gap) is passed over; the first good one of several wins. At most `ROOT_STEP_LIMIT` steps.

    Raises `NotTrusted` when the embedded root itself is not a root signed by its own keys.
    """
    current = _read_root(embedded)
    if current is None or not _follows(current, None):
        raise NotTrusted(
            "the trust information inside this updater is damaged",
            advice="Get the updater again from the vendor.",
        )
    by_version: dict[int, list[tuple[bytes, Metadata[Root]]]] = {}
    for data in dict.fromkeys(candidates):  # a bundle brings what is known already
        if data != embedded and (candidate := _read_root(data)) is not None:
            by_version.setdefault(candidate.signed.version, []).append((data, candidate))
    versions = [embedded]
    for _ in range(ROOT_STEP_LIMIT):
        rivals = by_version.get(current.signed.version + 1, [])
        step = next((rival for rival in rivals if _follows(rival[1], current.signed)), None)
        if step is None:
            break
        data, current = step
        versions.append(data)
    return RootChain(root=current.signed, versions=tuple(versions))


def verify_envelope(root: Root, envelope: bytes, payload_type: str = PAYLOAD_TYPE) -> VerifiedPayload:
    """The payload of a DSSE envelope that a threshold of the root's release keys has signed.

    Only of this `payload_type`, which is inside the signature: what was signed as one is not read as another.
    Signatures by other keys and wrong signatures do not count and do no harm.

    Raises `NotTrusted` otherwise; the message says how many signatures counted.
    """
    parsed, said = parse_envelope(envelope), _SAID[payload_type]
    if parsed.payload_type != payload_type:
        raise NotTrusted(f"the signed content is of another kind: {parsed.payload_type[:80]!r}")
    try:
        result = root.get_verification_result(RELEASE_ROLE, parsed.pae(), parsed.signatures)
    except (SecuresystemslibError, RepositoryError, ValueError) as error:
        raise NotTrusted(f"the signatures of this {said} cannot be checked") from error
    if not result.verified:
        raise NotTrusted(
            f"the {said} carries {len(result.signed)} of the {result.threshold} release signatures "
            f"that it needs (by the keys of root {root.version})"
        )
    names = sorted(_name_of(keyid, key.unrecognized_fields) for keyid, key in result.signed.items())
    return VerifiedPayload(payload=parsed.payload, signed_by=tuple(names), threshold=result.threshold)


def parse_envelope(data: bytes) -> Envelope:
    """Read an envelope without believing it. Only the spelling of `format_envelope` is accepted.

    Raises `NotTrusted`.
    """
    if len(data) > ENVELOPE_LIMIT_BYTES:
        raise NotTrusted(f"the signed envelope is larger than {ENVELOPE_LIMIT_BYTES} bytes")
    try:
        strict = msgspec.json.decode(data, type=_Envelope)
        if len(strict.signatures) > SIGNATURE_LIMIT:
            raise NotTrusted(f"the signed envelope has more than {SIGNATURE_LIMIT} signatures")
        if any(len(signature.keyid) > KEYID_LIMIT_CHARS for signature in strict.signatures):
            raise NotTrusted(f"a key id in the signed envelope is longer than {KEYID_LIMIT_CHARS} characters")
        envelope = Envelope.from_dict(msgspec.to_builtins(strict))
    except (msgspec.MsgspecError, SecuresystemslibError, ValueError, RecursionError) as error:
        raise NotTrusted(f"the signed envelope cannot be read: {error}") from error
    if not data.isascii() or format_envelope(envelope) != data:
        raise NotTrusted("the signed envelope is not in its canonical form")
    return envelope


def format_envelope(envelope: Envelope) -> bytes:
    """The only spelling of an envelope: sorted keys, no spaces, padded base64."""
    content: dict[str, Any] = envelope.to_dict()
    return msgspec.json.encode(content, order="sorted")


def _read_root(data: bytes) -> Metadata[Root] | None:
    """Root metadata, or None when these bytes are not any."""
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(data)
    except RepositoryError:  # python-tuf wraps every failure of its own in DeserializationError
        return None
    return metadata if isinstance(metadata.signed, Root) else None


def _follows(metadata: Metadata[Root], previous: Root | None) -> bool:
    """Whether a threshold of the previous root's keys (if any) and of its own keys signed this root."""
    new, signatures = metadata.signed, metadata.signatures
    try:
        if previous is None:  # python-tuf would ask the same keys twice
            return bool(new.get_verification_result(Root.type, metadata.signed_bytes, signatures).verified)
        return bool(new.get_root_verification_result(previous, metadata.signed_bytes, signatures).verified)
    except (RepositoryError, SecuresystemslibError, ValueError):
        return False


def _name_of(keyid: str, fields: dict[str, Any]) -> str:
    name = fields.get(NAME_FIELD)
    return name if isinstance(name, str) and name else keyid[:8]
