"""Where a layout comes from: a release, through the gate and by the policy, or a file on a vendor's bench.

A layout of a release is read strictly, but only behind the gate. Nobody signs a file, so what is burnt by one
needs an updater whose vendor.toml allows it.
"""

from __future__ import annotations

from updater.heads.manifest import Bundle
from updater.heads.otp.layout import Layout, check_fits, parse_layout
from updater.heads.policy import Verdict
from updater.heads.vendor import Vendor
from updater.story.devices import behaviour_of
from updater.story.job import Hands, Request
from updater.story.provision import find
from updater.story.supply import Supply, judged_layout
from updater.story.visit import Subject
from updater.words.errors import Refused, Usage, WrongDevice
from updater.words.events import Emit


def check_local_layout(vendor: Vendor) -> None:
    """Raises `Refused` unless vendor.toml lets what nobody signed be written."""
    if vendor.engineering is None or not vendor.engineering.write:
        raise Refused(
            f"the updater of {vendor.name} takes no layout from a file",
            advice="A layout file is signed by nobody: take the layout of a release (--layout FILE.fwb, or "
            "--layout alone for the newest one). For a bench, the vendor can make an updater whose "
            "vendor.toml has [engineering] with write = true.",
        )


def find_for_layout(hands: Hands, request: Request, layout: Layout) -> Subject:
    """The device to look at. Raises what `provision.find` does; `WrongDevice`, `Refused` for the layout."""
    subject = find(hands, request)
    check_for(hands, subject, layout)
    return subject


def find_with_release(hands: Hands, request: Request, emit: Emit) -> tuple[Subject, Bundle, Layout]:
    """The device to look at, and the layout of the release that `request` names: a file, or the site's.

    Raises what `provision.find` and `Supply.bundle` do; `WrongDevice` and `Refused` for the layout.
    """
    subject = find(hands, request)
    if request.product not in (None, subject.product.id):
        raise WrongDevice(f"the link is for {request.product}, but the device is a {subject.product.title}")
    bundle = Supply(hands, request).bundle(subject.product.id, subject.connected.facts, emit)
    layout = layout_of(bundle)
    check_for(hands, subject, layout)
    return subject, bundle, layout


def verdict_on(hands: Hands, request: Request, subject: Subject, bundle: Bundle) -> Verdict:
    """Whether values may be burnt by this release's layout. Raises `Refused` or `WrongDevice`."""
    return judged_layout(hands, request, subject.connected.facts, subject.product, bundle)


def layout_of(bundle: Bundle) -> Layout:
    """The layout in a verified bundle. Raises `Refused`."""
    release = f"{bundle.manifest.product} {bundle.manifest.version}"
    if bundle.layout is None:
        raise Refused(
            f"{release} has no OTP layout",
            advice="Ask the vendor for a release that has one: it is named in the recipe (docs/otp.md).",
        )
    try:
        layout = parse_layout(bundle.layout)
    except Usage as error:
        raise Refused(
            f"the OTP layout of {release} is not one that this updater can read: {error.message}",
            advice="Nothing was changed. Get the newest updater from the vendor.",
        ) from error
    if layout.product != bundle.manifest.product:
        raise Refused(
            f"{release} carries an OTP layout for {layout.product}",
            advice="Nothing was changed. Tell the vendor.",
        )
    return layout


def check_for(hands: Hands, subject: Subject, layout: Layout) -> None:
    """Whether the layout is for this device and its chip. Raises `WrongDevice` or `Refused`."""
    if subject.product.id != layout.product:
        raise WrongDevice(
            f"the layout is for a {layout.product}, but the device is a {subject.product.title}",
            advice="Nothing was changed. Choose the layout of this product.",
        )
    chip = behaviour_of(hands.silicon, subject.connected.facts).chip
    if chip.otp is not None:
        check_fits(layout, chip.otp)
