"""Which release the site has for one device: the asked one, or where its channel's plan leads it now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from semver import Version

from updater.hands.channel import Offer
from updater.heads.announced import step_before, version_for
from updater.heads.policy import check_withdrawn
from updater.story.job import Hands, Request
from updater.words.errors import NoSuchRelease, StorageFailed
from updater.words.facts import DeviceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ForDevice:
    """What one device is offered; `newest` is what the channel leads to in the end."""

    offer: Offer
    newest: Version

    @property
    def note(self) -> str | None:
        """A sentence for the person when this is only a step on the way."""
        if self.offer.version == self.newest:
            return None
        return (
            f"Version {self.offer.version} has to be installed first. Run the same command again afterwards "
            f"to go on to version {self.newest}."
        )


def offer_for(hands: Hands, request: Request, product: str, facts: DeviceFacts) -> ForDevice | None:
    """What the site has for this device; None when the current release is not offered to it yet.

    A version that was asked for by name is not held back, but everything else is checked. The versions that
    the site has withdrawn are remembered, for files that are opened without a network.

    Raises `NoSuchRelease`, `Refused` (withdrawn), `NetworkFailed`, `NotTrusted` or `StorageFailed`.
    """
    current = _current(hands, request, product)
    withdrawn = current.announced.withdrawn if current else ()
    with suppress(StorageFailed):  # a memory, no more
        hands.store.keep_withdrawn(product, request.channel, [str(version) for version in withdrawn])
    if request.version is not None:
        offer = hands.site.offer(product, request.channel, request.version)
        refuse_withdrawn(offer, withdrawn, request)
        return ForDevice(offer=offer, newest=offer.version)
    assert current is not None
    wanted = version_for(current.announced, facts)
    if wanted is None:
        return None
    offer = newest = current
    if wanted != current.version:
        offer = newest = hands.site.offer(product, request.channel, wanted)
    while (step := step_before(offer.announced, facts)) is not None:  # each is lower than the one before
        offer = hands.site.offer(product, request.channel, step)
    refuse_withdrawn(offer, withdrawn, request)
    return ForDevice(offer=offer, newest=newest.version)


def refuse_withdrawn(offer: Offer, withdrawn: Sequence[Version], request: Request) -> None:
    """By what the channel's current entry says, or the release's own. Raises `Refused`."""
    check_withdrawn(offer.version, (*withdrawn, *offer.announced.withdrawn), request.opened_from)


def held_back(product: str) -> NoSuchRelease:
    """What a person is told whose device is not among the first."""
    return NoSuchRelease(
        f"the newest release for {product} is handed out step by step, and it is not this device's turn yet",
        advice="There is nothing to do. Try again in a few days, or ask the vendor for a link to it.",
    )


def _current(hands: Hands, request: Request, product: str) -> Offer | None:
    """The channel's current release; without one, a version that is asked for by name may still exist."""
    try:
        return hands.site.offer(product, request.channel, None)
    except NoSuchRelease:
        if request.version is None:
            raise
        return None
