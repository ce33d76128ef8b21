"""What a channel says of a release beside its length and hash: TUF's `custom` object, and its rules.

`updater.announced` reads it. To how many of a hundred devices a release is offered (`rollout`), what the
others get (`previous`), what must be installed first (`from_min_version`, `step`), and what nobody shall
install any more (`withdrawn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semver import Version
from tuf.api.metadata import TargetFile

from updater.heads.manifest import Manifest
from updater.words.errors import Refused, Usage
from updater.words.facts import Channel

WITHDRAWN_LIMIT = 256
CURRENT = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """How a release becomes current. `percent` of the devices are offered it, the others `previous`."""

    percent: int = 100
    step: Version | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise Usage(f"{self.percent} percent of the devices?", advice="Use 0 to 100.")


def path_of(channel: Channel, product: str, version: Version | str) -> str:
    """The TUF target path of a release."""
    return f"{channel}/{product}/{version}.fwb"


def said_of(target: TargetFile | None) -> dict[str, Any]:
    """The `custom` object of an entry; empty where there is none."""
    return dict(target.custom or {}) if target is not None else {}


def entries(
    manifest: Manifest, staging: Staging, current: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the channel says at the release's version, and at `current`, of which `current` is said now.

    Raises Refused for a version that was withdrawn and for a step that is no way to it.
    """
    version = str(manifest.version)
    withdrawn = list(current.get("withdrawn", ()))
    if version in withdrawn:
        raise Refused(
            f"{manifest.product} {version} was withdrawn", advice="Give the corrected firmware a new version."
        )
    said: dict[str, Any] = {"version": version, "security_counter": manifest.security_counter}
    if manifest.from_min_version is not None:
        said["from_min_version"] = str(manifest.from_min_version)
    if staging.step is not None:
        _check_step(manifest, staging.step)
        said["step"] = str(staging.step)
    now: dict[str, Any] = dict(said)
    if withdrawn:
        now["withdrawn"] = withdrawn
    if staging.percent < 100:
        now["rollout"] = {"percent": staging.percent, "salt": version}
        if previous := _previous(version, current):
            now["previous"] = previous
    return said, now


def withdraw(current: Mapping[str, Any], version: str) -> dict[str, Any]:
    """What is said of the current release when a version is withdrawn. Raises Refused: the list is full."""
    withdrawn = [*current.get("withdrawn", ()), version]
    if len(withdrawn) > WITHDRAWN_LIMIT:
        raise Refused(
            f"{WITHDRAWN_LIMIT} versions are withdrawn already, and updaters read no longer list",
            advice="Raise the security counter in the next release: it rules out all that is older.",
        )
    return {**current, "withdrawn": withdrawn}


def led_to(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The versions that an entry sends devices to; each must be listed itself."""
    return tuple(said[name] for name in ("previous", "step") if name in said)


def _previous(version: str, current: Mapping[str, Any]) -> str | None:
    """What devices that are not among the first keep: what was current; of the same release, as before."""
    if current.get("version") == version:
        return current.get("previous")
    if current.get("version") in current.get("withdrawn", ()):
        return None
    return current.get("version")


def _check_step(manifest: Manifest, step: Version) -> None:
    first = manifest.from_min_version
    if first is None:
        raise Refused(
            f"{manifest.product} {manifest.version} can be installed on every version, so it needs no step",
            advice="Leave --step out, or build it with from_min_version.",
        )
    if not first <= step < manifest.version:
        raise Refused(
            f"version {step} is no step to {manifest.version}, which is installed on {first} or newer",
            advice=f"Name a version from {first} on, and below {manifest.version}.",
        )
