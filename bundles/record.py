"""The record of a rehearsal, signed off by the one who ran it: `NAME.rehearsal` beside `NAME.fwb`.

It is bound to the manifest's SHA-256, which does not depend on who has signed the bundle; so a release can
be rehearsed before people sign it. Signed with the online key or a release key; DSSE, like a bundle, with a
payload type of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from securesystemslib.signer import Key, Signer

from updater import __version__
from updater.heads.trust import Envelope, Root, format_envelope, parse_envelope
from updater.words.errors import NotTrusted, Refused

from .keys import name_of
from .rehearse import OnPart
from .release import Draft

PAYLOAD_TYPE = "application/vnd.stm32-field-updater.rehearsal.v1+json"
SUFFIX = ".rehearsal"
_ROLES = ("targets", "snapshot")
"""Of the root: the release keys and the online key."""
_WHOSE = "Rehearse with the online key or a release key."


class RehearsedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of silicon: what was tried on it, in words, and how many updates that took."""

    chip: str
    revision: str | None
    rom_version: int | None
    image: str
    trials: tuple[str, ...]
    commands: int


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was rehearsed, when, and with which version of these tools (and so of the silicon table)."""

    schema: Literal[1] = 1
    product: str
    version: str
    manifest_sha256: str
    tool: str
    made: datetime
    silicon: Annotated[tuple[RehearsedPart, ...], Meta(min_length=1)]


def record_of(draft: Draft, rehearsed: Sequence[OnPart], now: datetime) -> Record:
    """The record of a rehearsal. Raises Refused when something went wrong in it."""
    wrong = [sentence for one in rehearsed for sentence in one.wrong]
    if wrong:
        raise Refused(
            f"the rehearsal failed in {len(wrong)} places; the first: {wrong[0]}",
            advice="Do not publish this release: a customer's device would meet the same.",
        )
    return Record(
        product=draft.manifest.product,
        version=str(draft.manifest.version),
        manifest_sha256=draft.manifest_sha256,
        tool=__version__,
        made=now.replace(microsecond=0),
        silicon=tuple(
            RehearsedPart(
                chip=one.part.chip.id,
                revision=one.part.revision,
                rom_version=one.part.rom_version,
                image=one.image,
                trials=tuple(one.trials),
                commands=one.commands,
            )
            for one in rehearsed
        ),
    )


def sign_off(record: Record, signer: Signer) -> bytes:
    """The signed record."""
    envelope = Envelope(msgspec.json.encode(record), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return format_envelope(envelope)


def check_signer(root: Root, signer: Signer) -> None:
    """Before hours of trials: whether a record that this key signs will count. Raises NotTrusted."""
    if not any(signer.public_key.keyid in root.roles[role].keyids for role in _ROLES):
        raise NotTrusted("this key may not sign off a rehearsal", advice=_WHOSE)


def check_record(data: bytes, root: Root, manifest_sha256: str) -> tuple[Record, str]:
    """The record, and who signed it off. Raises NotTrusted, or Refused for one of another release."""
    envelope = parse_envelope(data)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise NotTrusted("this is no record of a rehearsal", advice="Name what `bundles rehearse` wrote.")
    signed: dict[str, Key] = {}
    for role in _ROLES:
        signed |= root.get_verification_result(role, envelope.pae(), envelope.signatures).signed
    if not signed:
        raise NotTrusted(
            "the record of the rehearsal is signed by nobody who may sign it off",
            advice=_WHOSE,
        )
    try:
        record = msgspec.json.decode(envelope.payload, type=Record)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotTrusted(
            f"the record of the rehearsal breaks a rule: {error}", advice="Rehearse again."
        ) from error
    if record.manifest_sha256 != manifest_sha256:
        raise Refused(
            f"the record is of another {record.product} {record.version}",
            advice="Rehearse this bundle with `bundles rehearse`.",
        )
    return record, min(name_of(key) for key in signed.values())


def record_file(bundle: Path) -> Path:
    """Where the record of a bundle file lies."""
    return bundle.with_suffix(SUFFIX)
