"""The signed catalogue of products: made from vendor.toml, told in words, signed by release keys.

`updater.heads.catalogue` reads it, and has the last word here too. An unsigned one is an envelope without
signatures; signing adds one and changes nothing else, as with bundles.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec
from securesystemslib.signer import Signer

from updater.heads.catalogue import Catalogue, format_catalogue, parse_catalogue
from updater.heads.silicon import the_table
from updater.heads.trust import (
    CATALOGUE_TYPE,
    ENVELOPE_LIMIT_BYTES,
    Envelope,
    Root,
    format_envelope,
    parse_envelope,
)
from updater.heads.vendor import Product, Vendor
from updater.words.errors import NotTrusted, Refused, Usage

from .descriptor import check_otp_record
from .keys import name_of


def build(vendor_toml: str, vendor: Vendor) -> bytes:
    """The unsigned catalogue of this vendor.toml, which was read as `vendor`.

    The same products are the same bytes. Raises Usage: it says no version, or what no updater would take.
    """
    if vendor.catalogue is None:
        raise Usage(
            "vendor.toml does not say which catalogue its products are",
            advice='Add it: [catalogue], version = 1, min_tool = "0.1.0"; docs/release.md has the meaning.',
        )
    for product in vendor.products:
        check_otp_record(product)
    products = tomllib.loads(vendor_toml)["product"]
    payload = format_catalogue(vendor.catalogue.version, vendor.catalogue.min_tool, products)
    try:
        _parse(payload)  # the customer's own reader has the last word
    except (NotTrusted, Refused) as error:
        raise Usage(
            f"vendor.toml makes no catalogue: {error.message}", advice="Correct vendor.toml."
        ) from error
    envelope = format_envelope(Envelope(payload, CATALOGUE_TYPE, {}))
    if len(envelope) > ENVELOPE_LIMIT_BYTES:
        raise Usage("these are more products than a catalogue holds", advice="Shorten their descriptions.")
    return envelope


def read(data: bytes) -> Catalogue:
    """What a catalogue says, signed or not. Raises NotTrusted when it is none, Refused."""
    return _parse(_envelope(data).payload)


def sign(data: bytes, root: Root, signer: Signer) -> bytes:
    """The catalogue with one more signature.

    Raises Refused for a key that is no release key of the root, or that has signed already.
    """
    envelope, keyid = _envelope(data), signer.public_key.keyid
    if keyid not in root.roles["targets"].keyids:
        raise Refused(
            "this key is not one of the release keys in the root",
            advice="Sign with a key that the root names.",
        )
    if keyid in envelope.signatures:
        raise Refused(
            f"{name_of(root.keys[keyid])} has signed this catalogue already",
            advice="A second person has to sign.",
        )
    envelope.sign(signer)
    return format_envelope(envelope)


def payload_sha256(data: bytes) -> str:
    """SHA-256 of what is signed, whoever has signed it: two people compare this."""
    return hashlib.sha256(_envelope(data).payload).hexdigest()


def signature_words(data: bytes, root: Root) -> tuple[str, bool]:
    """Who has signed, in words; and whether that is enough."""
    envelope = _envelope(data)
    verdict = root.get_verification_result("targets", envelope.pae(), envelope.signatures)
    names = ", ".join(sorted(name_of(key) for key in verdict.signed.values())) or "nobody"
    words = f"signed by {names} ({len(verdict.signed)} of {verdict.threshold} needed signatures)"
    return words, bool(verdict.verified)


def describe(catalogue: Catalogue, previous: Catalogue | None) -> list[str]:
    """A catalogue in words: what changes against the one before, or without one all that it says."""
    words = [f"catalogue {catalogue.version}, needs updater {catalogue.min_tool} or newer"]
    before = {product.id: product for product in previous.products} if previous else {}
    after = {product.id: product for product in catalogue.products}
    for id, product in after.items():
        if id in before:
            words += _changes(before[id], product)
        else:
            words += [f"ADDED: {_named(product)}", *_rest(product)]
    words += [
        f"REMOVED: {_named(before[id])}. Updaters that came with it keep it."
        for id in before
        if id not in after
    ]
    return words if len(words) > 1 else [*words, "no product is changed"]


def check_change(catalogue: Catalogue, previous: Catalogue) -> None:
    """Refuse what updaters in the field would refuse, or what printed codes would stumble over.

    Raises Refused: a version that does not grow, a product number that goes to another product, a security
    floor that is let down.
    """
    if catalogue.version <= previous.version:
        raise Refused(
            f"catalogue {catalogue.version} does not follow catalogue {previous.version}",
            advice="Raise `version` under [catalogue] in vendor.toml.",
        )
    before = {product.id: product for product in previous.products}
    owners = {product.number: product.id for product in previous.products}
    for product in catalogue.products:
        old = before.get(product.id)
        if owners.get(product.number, product.id) != product.id or (old and old.number != product.number):
            raise Refused(
                f"the number {product.number} of {product.id} was another's, or its own was another one",
                advice="Numbers stand in printed codes: give each product its own for ever.",
            )
        if old and product.security_floor < old.security_floor:
            raise Refused(
                f"the security floor of {product.id} was {old.security_floor}, and would be "
                f"{product.security_floor}",
                advice="A floor is never let down; older firmware would be installed again.",
            )


def _parse(payload: bytes) -> Catalogue:
    return parse_catalogue(payload, chips=the_table().chip_ids)


def _envelope(data: bytes) -> Envelope:
    envelope = parse_envelope(data)
    if envelope.payload_type != CATALOGUE_TYPE:
        raise NotTrusted("this is no catalogue", advice="Name what `bundles catalogue new` wrote.")
    return envelope


def _named(product: Product) -> str:
    chips, hardware = ", ".join(product.chips), ", ".join(product.hardware)
    return f"{product.id} (number {product.number}), {product.title}: {chips}; hardware {hardware}"


def _rest(product: Product) -> Iterator[str]:
    """What `_named` leaves out, key by key; and not what says nothing."""
    for key, value in _plain(product).items():
        if key not in ("id", "number", "title", "chips", "hardware") and value not in (None, 0, []):
            yield f"  {key}: {_spelled(value)}"


def _changes(before: Product, after: Product) -> Iterator[str]:
    """Key by key, as vendor.toml would spell them; what could be lost by it comes last and loud."""
    was, now = _plain(before), _plain(after)
    for key in now:
        if was[key] != now[key]:
            yield f"CHANGED: {after.id}: {key} was {_spelled(was[key])}, is {_spelled(now[key])}"
    for keep in before.keep:
        if keep not in after.keep:
            yield f"NO LONGER KEPT: {after.id}: {keep.length} bytes at 0x{keep.address:08X}"


def _spelled(value: object) -> str:
    """One value, its addresses in hexadecimal: people compare this with vendor.toml."""
    said = json.dumps(value, ensure_ascii=False)  # within a string the quotes are escaped, so none is met
    return re.sub(r'(?<="address": )\d+', lambda found: f"0x{int(found[0]):08X}", said)


def _plain(product: Product) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(product)
    return plain
