"""Whether a genuine bundle may be installed on this device. Pure: values in, a verdict or a refusal out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from semver import Version

from updater.heads.manifest import Bundle, Manifest
from updater.heads.vendor import Product, RecoveryKind
from updater.words.errors import Refused, UnknownDevice, WrongDevice
from updater.words.facts import Channel, DeviceFacts

CLOCK_BEHIND_DAYS = 1
CLOCK_AHEAD_DAYS = 3653
"""Ten years: an update may well be installed years after it was made, but a root is renewed each year."""


class OpenedFrom(StrEnum):
    """How the bundle came: by a link, as a file that a person chose, or from the update site by itself."""

    LINK = "link"
    FILE = "file"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedConfirmation:
    """The person must type `text` exactly, because of `because`. `--yes` does not answer it."""

    text: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The bundle may be installed, after these confirmations; or there is nothing to do."""

    nothing_to_do: bool = False
    confirmations: tuple[TypedConfirmation, ...] = ()
    warnings: tuple[str, ...] = ()


def floor_of(
    product: str, *, built_in: int = 0, evidence: Iterable[Manifest] = (), reported: int | None = None
) -> int:
    """The lowest security counter that may be installed on a device of this product.

    `built_in` comes with the updater, `evidence` are manifests of envelopes kept from earlier that still
    verify (`gate.verify_evidence`), `reported` is what the device says. Each can only raise it.
    """
    seen = (manifest.security_counter for manifest in evidence if manifest.product == product)
    return max(built_in, reported or 0, *seen, 0)


def judge(
    bundle: Bundle,
    *,
    product: Product,
    facts: DeviceFacts,
    floor: int,
    opened_from: OpenedFrom,
    channel: str | None,
    again: bool,
    withdrawn: Collection[Version] = (),
) -> Verdict:
    """Judge a verified bundle for one device.

    `product` is what the device is, by proof or by a person's word; `channel` is the one that was asked,
    None for a file; `again` installs the version that is there already; `withdrawn` are versions of which the
    site once said that nobody shall install them. Raises `WrongDevice`,
    `UnknownDevice` (its hardware revision must be said) or `Refused`.
    """
    manifest = bundle.manifest
    _check_device(manifest, product, facts)
    _check_floor(manifest, floor)
    _check_channel(manifest, channel)
    if facts.version is not None and facts.version == manifest.version and not again:
        return Verdict(nothing_to_do=True)
    _check_recovery(manifest, product)
    _check_precursor(manifest, facts)
    confirmations = (
        *_older_version(manifest, facts, opened_from),
        *_expired_root(bundle, opened_from),
    )
    warning = check_withdrawn(manifest.version, withdrawn, opened_from)
    return Verdict(confirmations=confirmations, warnings=(warning,) if warning else ())


def judge_layout(
    bundle: Bundle,
    *,
    product: Product,
    facts: DeviceFacts,
    floor: int,
    opened_from: OpenedFrom,
    channel: str | None,
    withdrawn: Collection[Version] = (),
) -> Verdict:
    """Judge a verified bundle for its OTP layout: the same rules, but for those about the firmware.

    Which version the device runs says nothing about what may be burnt. Raises as `judge` does.
    """
    manifest = bundle.manifest
    _check_device(manifest, product, facts)
    _check_floor(manifest, floor)
    _check_channel(manifest, channel)
    warning = check_withdrawn(manifest.version, withdrawn, opened_from)
    return Verdict(confirmations=_expired_root(bundle, opened_from), warnings=(warning,) if warning else ())


def check_withdrawn(version: Version, withdrawn: Collection[Version], opened_from: OpenedFrom) -> str | None:
    """A withdrawn version is refused from a link and from the site, and warned of from a file.

    A file is a person's own choice, and the list is only the site's word. Raises `Refused`.
    """
    if version not in withdrawn:
        return None
    if opened_from is not OpenedFrom.FILE:
        raise Refused(
            f"the vendor has withdrawn version {version}",
            advice="Leave the device as it is, and ask the vendor which version to install.",
        )
    return f"The vendor has withdrawn version {version}. Ask the vendor before you install it."


def check_clock(now: datetime, created: date) -> str | None:
    """A sentence for the person when this computer's date cannot be right, else None.

    `now` is UTC, `created` the date in a verified manifest. A wrong date never makes a bundle genuine or
    not; it explains why trust information looks expired, or does not.
    """
    today = now.date()
    if (created - today).days > CLOCK_BEHIND_DAYS:
        return (
            f"This computer's date is {today.isoformat()}, but the update was made on "
            f"{created.isoformat()}. The computer's clock is probably wrong."
        )
    if (today - created).days > CLOCK_AHEAD_DAYS:
        return (
            f"This computer's date is {today.isoformat()}, more than ten years after the update was made "
            f"({created.isoformat()}). Please check the computer's clock."
        )
    return None


def _check_device(manifest: Manifest, product: Product, facts: DeviceFacts) -> None:
    for known in (product.id, facts.product):
        if known is not None and known != manifest.product:
            raise WrongDevice(f"this update is for {manifest.product}, but the device is {known}")
    listed = ", ".join(manifest.hardware)
    if facts.hardware is not None:
        if facts.hardware not in manifest.hardware:
            raise WrongDevice(
                f"this update is for hardware {listed}, but the device has hardware {facts.hardware}"
            )
    elif not set(product.hardware) & set(manifest.hardware):
        raise WrongDevice(
            f"this update is for hardware {listed}, but {product.id} exists as {', '.join(product.hardware)}"
        )
    elif not set(product.hardware) <= set(manifest.hardware):
        raise UnknownDevice(
            f"this update is for hardware {listed} only, and the device does not say which hardware it has",
            advice=f"Read the hardware revision on its label and add --as {product.id}:HARDWARE.",
        )


def _check_floor(manifest: Manifest, floor: int) -> None:
    if manifest.security_counter < floor:
        raise Refused(
            f"version {manifest.version} is from before a security fix and cannot be installed any more "
            f"(its security counter is {manifest.security_counter}, {floor} is needed)",
            advice="Install a newer version.",
        )


def _check_channel(manifest: Manifest, channel: str | None) -> None:
    if Channel.ENGINEERING in manifest.channels:
        raise Refused("this is an engineering build, which this updater does not install")
    if channel is not None and channel not in manifest.channels:
        raise Refused(
            f"version {manifest.version} was not released for the {channel} channel, only for "
            f"{', '.join(manifest.channels)}",
            advice="Please tell the vendor: the update site offers something it should not.",
        )


def _check_recovery(manifest: Manifest, product: Product) -> None:
    if product.recovery.kind is RecoveryKind.NONE and not manifest.accept_no_recovery:
        raise Refused(
            f"{product.title} has no way back when an update is cut off, and this update does not accept it",
            advice="Ask the vendor: the product's recovery must be stated, or accepted in the signed update.",
        )


def _check_precursor(manifest: Manifest, facts: DeviceFacts) -> None:
    first = manifest.from_min_version
    if first is not None and facts.version is not None and facts.version < first:
        raise Refused(
            f"the device has version {facts.version}; version {manifest.version} can only be installed "
            f"on {first} or newer",
            advice=f"Install version {first} first, then this one.",
        )


def _older_version(
    manifest: Manifest, facts: DeviceFacts, opened_from: OpenedFrom
) -> tuple[TypedConfirmation, ...]:
    if facts.version is None or manifest.version >= facts.version:
        return ()
    older = f"version {manifest.version} is older than version {facts.version} on the device"
    if opened_from is not OpenedFrom.FILE:
        raise Refused(
            older,
            advice="There is nothing to do. To go back on purpose, ask the vendor for the update as a file.",
        )
    return (TypedConfirmation(text=str(manifest.version), because=older),)


def _expired_root(bundle: Bundle, opened_from: OpenedFrom) -> tuple[TypedConfirmation, ...]:
    if not bundle.root_expired:
        return ()
    expired = (
        "the newest trust information that this updater knows has expired by this computer's date, "
        "so it cannot know of keys that were withdrawn since"
    )
    if opened_from is not OpenedFrom.FILE:
        raise Refused(
            expired,
            advice="Check this computer's date, go online and try again, or get a newer updater.",
        )
    return (TypedConfirmation(text=bundle.manifest.product, because=expired),)
