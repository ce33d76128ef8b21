"""The two metadata files that people sign: root (who is trusted) and targets (which channels there are).

Both are made as drafts, signed one person at a time, and checked in words before they are used.
TUF specification 1.0.34 sections 4.3 and 4.5; lifetimes and thresholds are this project's rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Role,
    Root,
    TargetFile,
    Targets,
)
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from updater.heads.trust import RootChain, walk_roots
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Channel

from .keys import name_of, same_key

CHANNELS = (Channel.STABLE, Channel.BETA)
DEMO_EXPIRES = datetime(2999, 12, 31, tzinfo=UTC)
_LONGEST = {"root": timedelta(days=731), "targets": timedelta(days=366)}
_LONGEST_WORDS = {"root": "24 months", "targets": "12 months"}
_LEAST_THRESHOLD = 2
_DAYS_PER_MONTH = 30.4375
PROGRAMS = "updater/"
"""Where targets.json lists the vendor's own updaters; no channel may speak for this path."""
_PROGRAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def new_root(
    *,
    root_keys: Sequence[Key],
    root_threshold: int,
    release_keys: Sequence[Key],
    release_threshold: int,
    online_key: Key,
    expires: datetime,
) -> Metadata[Root]:
    """The unsigned first root. The release keys are TUF's `targets` role: they sign every bundle."""
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for role, keys, threshold in (
        ("root", root_keys, root_threshold),
        ("targets", release_keys, release_threshold),
        ("snapshot", [online_key], 1),
        ("timestamp", [online_key], 1),
    ):
        for key in keys:
            root.add_key(key, role)
        root.roles[role].threshold = threshold
        _refuse_duplicates(role, keys)
    _refuse_shared(root)
    _refuse_thresholds(root)
    return Metadata(root)


def program(name: str, data: bytes) -> TargetFile:
    """An executable as targets.json lists it: people and no server say which is genuine. Raises Usage."""
    if not _PROGRAM_NAME.fullmatch(name):
        raise Usage(
            f"{name!r} is no name for a program to download",
            advice="Use letters, digits, '.', '_' and '-', as in Updater.exe.",
        )
    return TargetFile.from_data(PROGRAMS + name, data, ["sha256"])


def programs_in(targets: Targets) -> dict[str, TargetFile]:
    """The executables that targets.json lists, by name."""
    listed = targets.targets.items()
    return {path.removeprefix(PROGRAMS): one for path, one in listed if path.startswith(PROGRAMS)}


def new_targets(
    root: Root,
    online_key: Key,
    expires: datetime,
    *,
    version: int = 1,
    programs: Collection[TargetFile] = (),
) -> Metadata[Targets]:
    """An unsigned targets.json: each channel delegated to the online key, and the vendor's own programs."""
    if not any(same_key(online_key, root.keys[keyid]) for keyid in root.roles["snapshot"].keyids):
        raise Refused(
            f"the key {name_of(online_key)!r} is not the online key of this root",
            advice="Name the public key that `root new` got as --online-key.",
        )
    roles: dict[str, DelegatedRole] = {
        channel: DelegatedRole(
            channel, [online_key.keyid], threshold=1, terminating=True, paths=[f"{channel}/*/*"]
        )
        for channel in CHANNELS
    }
    delegations = Delegations({online_key.keyid: online_key}, roles)
    listed = {one.path: one for one in programs}
    return Metadata(Targets(version=version, expires=expires, targets=listed, delegations=delegations))


def sign(draft: Metadata[Root] | Metadata[Targets], root: Root, role: str, signer: Signer) -> str:
    """Append a signature to a draft, and say whose. Raises Refused for a key outside the role."""
    key = signer.public_key
    if key.keyid not in root.roles[role].keyids:
        raise Refused(
            f"this key is not one of the {role} keys of the root", advice="Sign with a key the root names."
        )
    if key.keyid in draft.signatures:
        raise Refused(
            f"{name_of(root.keys[key.keyid])} has signed this already", advice="Ask the next person."
        )
    draft.sign(signer, append=True)
    return name_of(root.keys[key.keyid])


def check_root(draft: Metadata[Root], now: datetime, *, until: datetime | None = None) -> list[str]:
    """What a root says, in words, one sentence a line. Raises Refused for what no root may say.

    `until` is the demo vendor's expiry and lifts the limit on the lifetime for this date only.
    """
    root = draft.signed
    _refuse_thresholds(root)
    _refuse_shared(root)
    words = [f"Root version {root.version}, valid until {root.expires:%Y-%m-%d}."]
    for role, task in (
        ("root", "may change this list"),
        ("targets", "sign releases"),
        ("snapshot", "says what is current"),
        ("timestamp", "says what is current"),
    ):
        keys = [root.keys[keyid] for keyid in root.roles[role].keyids]
        _refuse_duplicates(role, keys)
        names = ", ".join(name_of(key) for key in keys)
        words.append(f"{role}: {root.roles[role].threshold} of {len(keys)} ({names}) {task}.")
    check_expiry("root", root.expires, now, until=until)
    verdict = root.get_verification_result("root", draft.signed_bytes, draft.signatures)
    signed = ", ".join(name_of(key) for key in verdict.signed.values()) or "nobody"
    missing = f"; {verdict.missing} more needed" if verdict.missing else "; that is enough"
    words.append(f"Signed by {signed}{missing}.")
    return words


def describe_targets(targets: Targets) -> list[str]:
    """What targets.json says, in words, one sentence a line."""
    words = [f"Targets version {targets.version}, valid until {targets.expires:%Y-%m-%d}."]
    if targets.delegations is not None:
        for role in (targets.delegations.roles or {}).values():
            names = ", ".join(name_of(targets.delegations.keys[keyid]) for keyid in role.keyids)
            words.append(f"{role.name}: {names} may say which release is current.")
    for path, one in sorted(targets.targets.items()):
        digest = one.hashes.get("sha256", "not said")
        words.append(f"It lists {path} itself: {one.length} bytes, SHA-256 {digest}.")
    return words


def check_expiry(role: str, expires: datetime, now: datetime, *, until: datetime | None = None) -> None:
    """Refuse a date in the past, and one so far away that a stolen key would live too long."""
    if expires <= now:
        raise Refused(f"the {role} expired on {expires:%Y-%m-%d}", advice="Choose a date in the future.")
    if expires != until and expires - now > _LONGEST[role]:
        raise Refused(
            f"the {role} would be valid until {expires:%Y-%m-%d}, longer than {_LONGEST_WORDS[role]}",
            advice=f"Choose at most {_LONGEST_WORDS[role]}.",
        )


def expiry(text: str, now: datetime) -> datetime:
    """`YYYY-MM-DD`, or a number of months as in `20months`. Raises Usage."""
    months = re.fullmatch(r"(\d{1,3})months", text)
    if months:
        return now.replace(microsecond=0) + timedelta(days=round(int(months[1]) * _DAYS_PER_MONTH))
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Usage(f"{text!r} is no date", advice="Write 2030-01-31 or 20months.") from error


def load_root(data: bytes) -> Metadata[Root]:
    """Parse root metadata. Raises NotTrusted when the bytes are not that."""
    try:
        metadata = Metadata[Root].from_bytes(data)
    except DeserializationError as error:
        raise NotTrusted("this file is not TUF root metadata", advice="Name the root file.") from error
    _require_keys(metadata.signed.roles.values(), metadata.signed.keys)
    return metadata


def load_targets(data: bytes) -> Metadata[Targets]:
    """Parse targets metadata. Raises NotTrusted when the bytes are not that."""
    try:
        metadata = Metadata[Targets].from_bytes(data)
    except DeserializationError as error:
        raise NotTrusted("this file is not TUF targets metadata", advice="Name the targets file.") from error
    delegations = metadata.signed.delegations
    if delegations is not None:
        _require_keys((delegations.roles or {}).values(), delegations.keys)
    return metadata


def require_signed(delegator: Root, role: str, metadata: Metadata[Root] | Metadata[Targets]) -> None:
    """Refuse metadata that has not enough signatures."""
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError as error:
        raise NotTrusted(
            f"the {role} file, version {metadata.signed.version}, does not have enough signatures",
            advice="Let the missing people sign first.",
        ) from error


def chain_of(roots: Sequence[bytes]) -> RootChain:
    """`walk_roots` for those who make roots, and can have the first one signed. Raises NotTrusted."""
    first = load_root(roots[0])
    require_signed(first.signed, "root", first)
    return walk_roots(roots[0], roots[1:])


def dump(metadata: Metadata[Root] | Metadata[Targets]) -> bytes:
    """The bytes of a draft or finished file."""
    return metadata.to_bytes(JSONSerializer(compact=False))


def _require_keys(roles: Iterable[Role], keys: Mapping[str, Key]) -> None:
    """TUF lets a role name a key that is not in the file; nobody could say whose that is."""
    if any(keyid not in keys for role in roles for keyid in role.keyids):
        raise NotTrusted("this file names a key that it does not hold", advice="Make the draft again.")


def _refuse_thresholds(root: Root) -> None:
    for role in ("root", "targets"):
        threshold, keys = root.roles[role].threshold, len(root.roles[role].keyids)
        if threshold < _LEAST_THRESHOLD:
            raise Refused(
                f"{role}: a threshold of {threshold} lets one stolen key decide alone",
                advice=f"Use a threshold of {_LEAST_THRESHOLD} or more.",
            )
        if threshold > keys:
            raise Refused(
                f"{role}: {threshold} signatures are needed but there are {keys} keys", advice="Add keys."
            )


def _refuse_duplicates(role: str, keys: Sequence[Key]) -> None:
    """One key under two key IDs would count twice towards a threshold."""
    for place, key in enumerate(keys):
        for other in keys[place + 1 :]:
            if same_key(key, other):
                raise Refused(
                    f"{role}: {name_of(key)} and {name_of(other)} are the same key",
                    advice="Every person needs a key of his own.",
                )


def _refuse_shared(root: Root) -> None:
    """The online key lives on a server; it must not be able to change the root or make releases."""
    online = [root.keys[keyid] for role in ("snapshot", "timestamp") for keyid in root.roles[role].keyids]
    for role in ("root", "targets"):
        for keyid in root.roles[role].keyids:
            if any(same_key(root.keys[keyid], key) for key in online):
                raise Refused(
                    f"{name_of(root.keys[keyid])} is the online key and a {role} key at once",
                    advice="Make a key of its own for the server.",
                )
