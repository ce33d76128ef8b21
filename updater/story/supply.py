"""Where the bundle comes from: a file or the vendor's site, and always through the gate.

One `Supply` serves one run. However many devices are updated, each release is downloaded and verified once;
which release a device gets, and whether it may go onto it, is decided for each device by itself.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import date, datetime

from updater.hands.channel import Offer, UpdateSite, require_as_offered
from updater.hands.store import Store
from updater.heads.gate import verify_bundle, verify_evidence, walk_roots
from updater.heads.manifest import Bundle
from updater.heads.policy import Verdict, check_clock, floor_of, judge, judge_layout
from updater.heads.vendor import Product
from updater.story.job import Hands, Request
from updater.story.offers import held_back, offer_for
from updater.story.steps import Steps
from updater.words.errors import NotTrusted, StorageFailed
from updater.words.events import Emit, Noticed, Step
from updater.words.facts import Channel, DeviceFacts, Mode


class Supply:
    """The bundles of one request, by product."""

    def __init__(self, hands: Hands, request: Request) -> None:
        self._hands, self._request = hands, request
        self._came: dict[str, Bundle] = {}  # by where it is on the site; the empty text for a file
        self._once = threading.Lock()

    def bundle(self, product: str, facts: DeviceFacts, emit: Emit) -> Bundle:
        """The bundle, genuine, for this device. After a failure the next one who asks tries again.

        Raises `NetworkFailed`, `NoSuchRelease`, `NotTrusted`, `Refused` or `StorageFailed`.
        """
        with self._once:
            if self._request.data is not None:
                return self._through_the_gate("", self._request.data, None, emit)
            found = offer_for(self._hands, self._request, product, facts)
            if found is None:
                raise held_back(product)
            if found.note:
                emit(Noticed(found.note))
            place = found.offer.target_path
            data = b"" if place in self._came else self._hands.site.download(found.offer, emit)
            return self._through_the_gate(place, data, found.offer, emit)

    def file(self, emit: Emit) -> Bundle:
        """The bundle file that the request brought. Raises `NotTrusted` or `Refused`."""
        assert self._request.data is not None
        with self._once:
            return self._through_the_gate("", self._request.data, None, emit)

    def _through_the_gate(self, place: str, data: bytes, offer: Offer | None, emit: Emit) -> Bundle:
        if place not in self._came:
            self._came[place] = _verified(self._hands, data, offer, emit)
        return self._came[place]


def _verified(hands: Hands, data: bytes, offer: Offer | None, emit: Emit) -> Bundle:
    steps = Steps(emit, hands.bus.clock)
    with steps.whole(Step.CHECK):
        bundle = verify_bundle(
            data,
            embedded_root=hands.home.embedded_root,
            known_roots=hands.site.known_roots(),
            now=hands.now,
        )
        if offer is not None:
            require_as_offered(offer, bundle.manifest)
        _check_clock(hands.now, bundle.manifest.created, emit, online=offer is not None)
    remember(hands.site, hands.store, bundle)
    return bundle


def remember(site: UpdateSite, store: Store, bundle: Bundle) -> None:
    """Keep what a genuine bundle proves, wherever it came from: newer roots, and that its counter exists.

    So a file from a stick takes keys and old firmware out of use as the site would. An engineering build
    proves no counter: no release that customers can install need have reached it. Losing a memory stops
    nobody here; before a device is written to, `perform` insists on it.
    """
    manifest = bundle.manifest
    with suppress(StorageFailed):
        site.keep_roots(bundle.root_chain)
        if Channel.ENGINEERING not in manifest.channels:
            store.keep_evidence(manifest.product, manifest.security_counter, bundle.envelope)


def _check_clock(now: datetime, created: date, emit: Emit, *, online: bool) -> None:
    """With a clock that is years behind nothing online ever looks expired: then there is no freshness."""
    doubt = check_clock(now, created)
    if doubt is None:
        return
    if online and now.date() < created:
        raise NotTrusted(doubt, advice="Correct this computer's date, and run the command again.")
    emit(Noticed(doubt))


def judged(hands: Hands, request: Request, facts: DeviceFacts, product: Product, bundle: Bundle) -> Verdict:
    """Whether this bundle may go onto this device, by the rules and by all that was ever seen of them.

    Raises `Refused` or `WrongDevice`.
    """
    return judge(
        bundle,
        product=product,
        facts=facts,
        floor=_floor(hands, facts, product, bundle),
        opened_from=request.opened_from,
        channel=request.channel if request.data is None else None,
        # a device in its ROM does not run what it holds: the plan finds out that nothing differs
        again=request.again or facts.mode is Mode.ROM,
        withdrawn=hands.store.withdrawn(product.id),
    )


def judged_layout(
    hands: Hands, request: Request, facts: DeviceFacts, product: Product, bundle: Bundle
) -> Verdict:
    """Whether values may be burnt by this bundle's layout. Raises `Refused` or `WrongDevice`."""
    return judge_layout(
        bundle,
        product=product,
        facts=facts,
        floor=_floor(hands, facts, product, bundle),
        opened_from=request.opened_from,
        channel=request.channel if request.data is None else None,
        withdrawn=hands.store.withdrawn(product.id),
    )


def _floor(hands: Hands, facts: DeviceFacts, product: Product, bundle: Bundle) -> int:
    """The lowest security counter, by all that was ever seen."""
    newest_root = walk_roots(hands.home.embedded_root, bundle.root_chain).root
    seen = (verify_evidence(kept, newest_root) for kept in hands.store.evidence(product.id))
    return floor_of(
        product.id,
        built_in=product.security_floor,
        evidence=[manifest for manifest in seen if manifest is not None],
        reported=facts.security_counter,
    )
