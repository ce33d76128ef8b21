"""The signed catalogue: product descriptors that are newer than those which came with this updater. Pure.

A threshold of release keys signs it, as they sign bundles. It speaks of products and of nothing else, and it
is taken as a whole or not at all: half of it would be a description that nobody has signed.
`docs/decisions/0023-the-signed-catalogue.md` has the format, and what a catalogue cannot do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from updater import __version__
from updater.heads.manifest import (
    PAYLOAD_LIMIT_BYTES,
    canonical_json,
    refuse_what_is_for_a_newer_updater,
    strict_json,
    undisplayable,
)
from updater.heads.vendor import (
    ByHand,
    CatalogueVersion,
    InCatalogue,
    Product,
    ToolVersion,
    Vendor,
    wrong_with_products,
)
from updater.words.errors import NotTrusted, Refused
from updater.words.facts import RESERVED_PRODUCT, Channel

SCHEMA = 1
TARGET_PATH = f"{Channel.STABLE}/{RESERVED_PRODUCT}/current.dsse"
"""Where the update site lists it: for all channels, because a device's product does not depend on them."""

_ASK = "Please tell the vendor: the catalogue of products is wrong. Everything else works as before."


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people have signed. `version` only ever grows; `min_tool` knows every word of `products`."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    version: CatalogueVersion
    min_tool: ToolVersion
    products: Annotated[tuple[Product, ...], Meta(min_length=1, max_length=255)]


def parse_catalogue(payload: bytes, *, chips: Collection[str]) -> Catalogue:
    """Read a signed payload. `chips` are the ids of the silicon table's rows.

    Raises `NotTrusted` when it is not the one spelling of its JSON, `Refused` when it says something that
    this updater does not know, or must not believe.
    """
    value = strict_json(payload, limit=PAYLOAD_LIMIT_BYTES)
    if not isinstance(value, dict):
        raise NotTrusted("the signed description is not a catalogue")
    refuse_what_is_for_a_newer_updater(value, "the catalogue of products", "which knows its words")
    try:
        catalogue = msgspec.convert(value, Catalogue)
    except msgspec.ValidationError as error:
        raise _not_known(value, str(error)) from error
    if unknown := _unknown_chip(catalogue, chips):
        raise _not_known(value, unknown)
    if wrong := wrong_with_products(catalogue.products) or _undisplayable(catalogue):
        raise Refused(f"the catalogue of products breaks a rule: {wrong}", advice=_ASK)
    return catalogue


def version_in(payload: bytes) -> int:
    """The version of a signed payload, whatever else it says; schemas to come keep `version` where it is.

    Raises `NotTrusted` when it is not strict JSON, or has none.
    """
    value = strict_json(payload, limit=PAYLOAD_LIMIT_BYTES)
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is not int:
        raise NotTrusted("the signed description is not a catalogue")
    return version


def format_catalogue(version: int, min_tool: str, products: list[dict[str, Any]]) -> bytes:
    """The bytes that are signed. `products` are the tables of vendor.toml, key by key as they stand there:
    what the vendor left out is left out, so that an older updater is not asked for words it need not know.
    """
    value = {"schema": SCHEMA, "version": version, "min_tool": min_tool, "products": products}
    return canonical_json(value)


def require_newer(catalogue: Catalogue, known: int) -> None:
    """Versions only grow: an older catalogue is not gone back to. Raises `Refused`.

    `known` is the highest version that this updater came with or has seen.
    """
    if catalogue.version < known:
        raise Refused(
            f"it is version {catalogue.version}, and version {known} is known here already",
            advice="Please tell the vendor: the update site shows an old catalogue of products.",
        )


def with_catalogue(vendor: Vendor, catalogue: Catalogue) -> Vendor:
    """The vendor with the catalogue's products: in place of his own of the same id, new ones behind them.

    A product that the catalogue leaves out stays. What came with the updater is a floor: no security counter
    is let down, and no product's number goes to another. Raises `Refused`.
    """
    newer = {product.id: product for product in catalogue.products}
    products = []
    for own in vendor.products:
        product = newer.pop(own.id, own)
        if product.number != own.number:
            raise Refused(
                f"the catalogue of products numbers {own.id} {product.number} instead of {own.number}",
                advice=_ASK,
            )
        floor = max(own.security_floor, product.security_floor)
        products.append(msgspec.structs.replace(product, security_floor=floor))
    products += newer.values()
    if wrong := wrong_with_products(products):
        raise Refused(f"the catalogue of products does not fit this updater's own: {wrong}", advice=_ASK)
    head = InCatalogue(version=catalogue.version, min_tool=catalogue.min_tool)
    return msgspec.structs.replace(vendor, products=tuple(products), catalogue=head)


def _not_known(value: dict[str, Any], what: str) -> Refused:
    """Words that this updater does not know, though the catalogue says that it should."""
    min_tool = value.get("min_tool")
    says = f"updater {min_tool}" if isinstance(min_tool, str) else "an updater whose version it does not name"
    return Refused(
        f"the catalogue of products says what this updater {__version__} does not know: {what}. It says that "
        f"{says[:60]} knows it",
        advice="Get the newest updater from the vendor; everything else works as before.",
    )


def _unknown_chip(catalogue: Catalogue, chips: Collection[str]) -> str | None:
    for index, product in enumerate(catalogue.products):
        for chip in product.chips:
            if chip not in chips:
                return f"the chip {chip[:40]!r} - at `$.products[{index}].chips`"
    return None


def _undisplayable(catalogue: Catalogue) -> str | None:
    """Texts for people must look in a window like what they are."""
    for index, product in enumerate(catalogue.products):
        for where, text in _texts(product):
            if reason := undisplayable(text):
                return f"{reason} - at `$.products[{index}].{where}`"
    return None


def _texts(product: Product) -> Iterator[tuple[str, str]]:
    yield "title", product.title
    yield "recovery.steps", product.recovery.steps
    for way in product.ways:
        if isinstance(way, ByHand):
            yield "ways", way.steps
