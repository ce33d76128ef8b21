"""A change of root: who is trusted from now on, drafted from who is trusted today.

Root N+1 needs the signatures of a threshold of root N and of its own (TUF specification 1.0.34, 5.3.4), so
that nobody can take over alone and nobody is left behind.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Metadata, Role, Root

from updater.words.errors import NotTrusted, Refused, Usage

from .keys import name_of
from .root import check_root, require_signed, sign

ROLES = {"root": "root", "targets": "release", "snapshot": "online", "timestamp": "online"}
"""TUF's roles, and what people call their keys."""


def next_root(
    old: Root,
    expires: datetime,
    *,
    keys: Mapping[str, Sequence[Key]] | None = None,
    thresholds: Mapping[str, int] | None = None,
) -> Metadata[Root]:
    """The unsigned next root: for the roles in `keys` these keys instead, for the others as before.

    A role is "root", "release" or "online". `check_change` says what the change is, and refuses bad ones.
    """
    new = copy.deepcopy(old)
    new.version += 1
    new.expires = expires
    for role, called in ROLES.items():
        threshold = (thresholds or {}).get(called) or old.roles[role].threshold
        wanted = (keys or {}).get(called)
        if wanted is None:
            new.roles[role].threshold = threshold
            continue
        new.roles[role] = Role([], threshold)
        for key in wanted:
            new.keys[key.keyid] = key
            if key.keyid not in new.roles[role].keyids:
                new.roles[role].keyids.append(key.keyid)
    used = {keyid for role in new.roles.values() for keyid in role.keyids}
    new.keys = {keyid: key for keyid, key in new.keys.items() if keyid in used}
    return Metadata(new)


def without(old: Root, name: str) -> dict[str, list[Key]]:
    """The keys of the roles that a lost or stolen key had, without it. Raises Usage, Refused.

    The online key has no second one: it is replaced, with `root rotate`.
    """
    left: dict[str, list[Key]] = {}
    for role, called in ROLES.items():
        names = {keyid: name_of(old.keys[keyid]) for keyid in old.roles[role].keyids}
        if name not in (*names.values(), *names):
            continue
        if called == "online":
            raise Refused(
                f"{name} is the online key, and without one nothing can be published",
                advice="Replace it: `bundles root rotate --online-key NEW.pub.pem`.",
            )
        left[called] = [old.keys[keyid] for keyid, said in names.items() if name not in (said, keyid)]
        if len(left[called]) < old.roles[role].threshold:
            raise Refused(
                f"{old.roles[role].threshold} {called} signatures are needed, and without {name} there are "
                f"{len(left[called])} keys",
                advice=f"Replace it: `bundles root rotate` with a new list of --{called}-key.",
            )
    if not left:
        raise Usage(f"this root has no key {name!r}", advice="`bundles root check` names its keys.")
    return left


def change_in_words(old: Root, new: Root) -> list[str]:
    """What changes, one sentence a line."""
    words = [f"This is root {new.version}, after root {old.version}."]
    if new.expires != old.expires:
        words.append(f"It is valid until {new.expires:%Y-%m-%d} instead of {old.expires:%Y-%m-%d}.")
    changed: list[tuple[str, str]] = []
    for role, called in ROLES.items():
        before, after = old.roles[role], new.roles[role]
        if role == "timestamp" and changed and changed[-1][0] == "online":
            continue
        gone = [name_of(old.keys[keyid]) for keyid in before.keyids if keyid not in after.keyids]
        come = [name_of(new.keys[keyid]) for keyid in after.keyids if keyid not in before.keyids]
        said = [f"{name} is no {called} key any more" for name in gone]
        said += [f"{name} becomes {called} key" for name in come]
        if before.threshold != after.threshold:
            said.append(f"{after.threshold} {called} signatures are needed instead of {before.threshold}")
        changed += [(called, sentence) for sentence in said]
    words += [f"CHANGE: {sentence}." for _, sentence in changed]
    return words if changed else [*words, "The keys and thresholds stay as they are."]


def check_change(draft: Metadata[Root], previous: Metadata[Root], now: datetime) -> list[str]:
    """The change and then the whole new root in words. Raises Refused for what no root may say."""
    old, new = previous.signed, draft.signed
    if new.version != old.version + 1:
        raise Refused(
            f"root {new.version} cannot follow root {old.version}: every updater goes one step at a time",
            advice=f"Name root {new.version - 1} with --previous, or draft the root anew.",
        )
    by_old = old.get_verification_result("root", draft.signed_bytes, draft.signatures)
    signed = ", ".join(name_of(key) for key in by_old.signed.values()) or "nobody"
    missing = f"; {by_old.missing} more needed" if by_old.missing else "; that is enough"
    words = [*change_in_words(old, new), *check_root(draft, now)]
    return [*words, f"Of the keys of root {old.version}: signed by {signed}{missing}."]


def sign_change(draft: Metadata[Root], previous: Metadata[Root], signer: Signer) -> str:
    """Sign the next root with a root key of the old or of the new one, and say whose it is."""
    keyid = signer.public_key.keyid
    holder = draft.signed if keyid in draft.signed.roles["root"].keyids else previous.signed
    return sign(draft, holder, "root", signer)


def require_change_signed(draft: Metadata[Root], previous: Metadata[Root]) -> None:
    """Refuse a root that lacks signatures of the old keys or of the new ones."""
    try:
        require_signed(previous.signed, "root", draft)
    except NotTrusted as error:
        raise NotTrusted(
            f"root {draft.signed.version} lacks signatures of root {previous.signed.version}: no updater in "
            "the field would follow it",
            advice="Let root people of the old root sign first.",
        ) from error
    require_signed(draft.signed, "root", draft)
