"""What a channel says of a release beside its length and hash. Pure.

It is signed by the key on the server, not by people: advice that chooses among genuine bundles and can make
none installable. `docs/decisions/0021-what-a-channel-says.md` has the format.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from semver import Version

from updater.words.errors import NotTrusted
from updater.words.facts import DeviceFacts, Mode, parse_version

BUCKETS = 10_000
WITHDRAWN_LIMIT = 256
COUNTER_LIMIT = 0xFFFF_FFFF


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """To how many devices of a hundred a release is offered; another `salt` draws other ones."""

    percent: Annotated[int, Meta(ge=0, le=100)]
    salt: Annotated[str, Meta(min_length=1, max_length=64)]


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a channel. Fields that this updater does not know are for newer ones.

    `previous`: the version for devices to which this one is not offered yet. `step`: the version that a
    device older than `from_min_version` installs first. `withdrawn`: versions that nobody shall install.
    """

    version: Version
    security_counter: Annotated[int, Meta(ge=0, le=COUNTER_LIMIT)]
    rollout: Rollout | None = None
    previous: Version | None = None
    from_min_version: Version | None = None
    step: Version | None = None
    withdrawn: Annotated[tuple[Version, ...], Meta(max_length=WITHDRAWN_LIMIT)] = ()


def parse_announced(custom: Any, where: str) -> Announced:
    """Read the `custom` object of the TUF target `where`. Raises `NotTrusted`."""
    try:
        return msgspec.convert(custom, Announced, dec_hook=_version)
    except (msgspec.ValidationError, ValueError) as error:
        raise NotTrusted(f"the update site's entry {where} is wrong: {error}") from error


def bucket(salt: str, uid: bytes) -> int:
    """0 to 9999, the same for ever: SHA-256 of the salt (UTF-8) and the 12 bytes of the chip's UID."""
    return int.from_bytes(hashlib.sha256(salt.encode() + uid).digest(), "big") % BUCKETS


def is_among_the_first(rollout: Rollout | None, uid: bytes | None) -> bool:
    """Whether a device is offered the release already. One whose UID is not known waits for the last."""
    if rollout is None or rollout.percent == 100:
        return True
    return uid is not None and bucket(rollout.salt, uid) < rollout.percent * BUCKETS // 100


def version_for(current: Announced, facts: DeviceFacts) -> Version | None:
    """The version that the channel has for this device: the current one, `previous`, or None for now.

    Whoever has the current version already keeps it, and a device without its program is not kept waiting:
    what holds back an update must not hold back a rescue.
    """
    if facts.mode is not Mode.APPLICATION or is_among_the_first(current.rollout, facts.uid):
        return current.version
    if facts.version is not None and facts.version >= current.version:
        return current.version
    previous = current.previous
    if previous is None or (facts.version is not None and facts.version > previous):
        return None
    return previous


def step_before(release: Announced, facts: DeviceFacts) -> Version | None:
    """The version that this device has to install before the release, if any.

    Raises `NotTrusted` for a step that leads nowhere.
    """
    first, step = release.from_min_version, release.step
    if first is None or step is None or facts.version is None or facts.version >= first:
        return None
    if step >= release.version:
        raise NotTrusted(
            f"the update site says that {step} comes before {release.version}",
            advice="Tell the vendor: the update site's stepping stones are wrong.",
        )
    return step


def _version(kind: type[Any], value: Any) -> Any:
    if kind is Version and isinstance(value, str):
        return parse_version(value)
    raise ValueError(f"expected a version, got {type(value).__name__}")
