"""The signed catalogue: what it may say, what it cannot do, and that nothing else passes for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.heads.bundle_kit import (
    BOTH,
    make_bundle,
    make_envelope,
    make_manifest,
    make_root,
    open_bundle,
    raw_manifest,
    root_1,
)
from updater.heads.catalogue import format_catalogue, parse_catalogue, require_newer, with_catalogue
from updater.heads.gate import Catalogue, catalogue_version_in, verify_catalogue
from updater.heads.manifest import canonical_json, format_manifest, parse_manifest
from updater.heads.trust import CATALOGUE_TYPE
from updater.heads.vendor import Vendor, parse_vendor
from updater.words.errors import NotTrusted, Refused, UpdaterError, Usage

CHIPS = frozenset({"stm32h743", "stm32f405"})
PUMP: dict[str, Any] = {
    "id": "pump",
    "number": 1,
    "title": "Pump",
    "usb": ["1209:0001"],
    "chips": ["stm32h743"],
    "hardware": ["A"],
    "ways": [{"kind": "dfu-detach"}],
    "recovery": {"kind": "boot-button", "steps": "Hold BOOT while you plug it in."},
    "security_floor": 2,
}
VALVE = PUMP | {"id": "valve", "number": 2, "title": "Ventil für Öl", "usb": ["1209:0002"]}
VENDOR = """
schema = 1
kind = "product"
name = "Acme Pumps"
support = "support@acme.example"
repository = "https://update.acme.example/"
[link]
scheme = "acme-fw"
[[product]]
id = "pump"
number = 1
title = "Pump"
usb = ["1209:0001"]
chips = ["stm32h743"]
hardware = ["A"]
security_floor = 3
"""
GOLDEN = Path(__file__).parent / "golden"


def payload(*products: dict[str, Any], version: int = 7, min_tool: str = "0.1.0") -> bytes:
    return format_catalogue(version, min_tool, list(products or (PUMP, VALVE)))


def envelope(data: bytes | None = None, by: tuple[str, ...] = BOTH, kind: str = CATALOGUE_TYPE) -> bytes:
    return make_envelope(payload() if data is None else data, by, payload_type=kind)


def opened(data: bytes, *known: bytes) -> Catalogue:
    return verify_catalogue(data, embedded_root=root_1(), known_roots=known, chips=CHIPS)


def parsed(data: bytes) -> Catalogue:
    return parse_catalogue(data, chips=CHIPS)


def vendor(text: str = VENDOR) -> Vendor:
    return parse_vendor(text)


# -- the gate ------------------------------------------------------------------------------------------


def test_a_catalogue_that_two_people_signed_comes_through() -> None:
    catalogue = opened(envelope())
    assert (catalogue.version, [one.id for one in catalogue.products]) == (7, ["pump", "valve"])
    assert catalogue.products[1].title == "Ventil für Öl"


@pytest.mark.parametrize(
    "by", [(), ("release-1",), ("online",), ("release-1", "online"), ("root-1", "root-2")]
)
def test_it_needs_the_threshold_of_release_keys(by: tuple[str, ...]) -> None:
    with pytest.raises(NotTrusted, match=r"the catalogue carries [01] of the 2 release signatures"):
        opened(envelope(by=by))


def test_a_catalogue_signed_with_a_revoked_key_counts_no_more() -> None:
    without = make_root(2, release_keys=("release-2", "release-3"))
    assert opened(envelope()).version == 7
    with pytest.raises(NotTrusted, match="carries 1 of the 2"):
        opened(envelope(), without)


def test_a_signed_manifest_is_no_catalogue_and_a_signed_catalogue_no_manifest() -> None:
    """The payload type is inside the signature: what was signed as one is never read as the other."""
    with pytest.raises(NotTrusted, match="of another kind"):
        opened(make_envelope(format_manifest(make_manifest())))
    with pytest.raises(NotTrusted, match="of another kind"):
        open_bundle(make_bundle(envelope=envelope()))


def test_another_type_pasted_over_the_signed_one_breaks_the_signatures() -> None:
    pasted = json.loads(make_envelope(payload()))
    pasted["payloadType"] = CATALOGUE_TYPE
    with pytest.raises(NotTrusted, match="carries 0 of the 2"):
        opened(canonical_json(pasted))


def test_a_catalogue_of_the_first_schema_still_verifies() -> None:
    """The file was made once, with keys that were thrown away; it is never made again."""
    read = verify_catalogue(
        (GOLDEN / "catalogue-1.dsse").read_bytes(),
        embedded_root=(GOLDEN / "catalogue-root.json").read_bytes(),
        chips={"stm32h743", "stm32f405"},
    )
    assert (read.schema, read.version, read.min_tool) == (1, 3, "0.1.0")
    assert [(one.id, one.number, len(one.ways)) for one in read.products] == [
        ("golden-pump", 1, 5),
        ("tiny", 2, 0),
    ]


# -- the words -----------------------------------------------------------------------------------------


def test_a_catalogue_for_newer_updaters_says_for_which() -> None:
    with pytest.raises(Refused, match=r"needs updater 99\.0\.0 or newer; this is updater"):
        parsed(payload(PUMP | {"smell": "none"}, min_tool="99.0.0"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"smell": "none"}, "smell"),
        ({"ways": [{"kind": "telepathy"}]}, "telepathy"),
        ({"ways": [{"kind": "dfu-detach", "twice": True}]}, "twice"),
        ({"chips": ["stm32n6"]}, "stm32n6"),
        ({"recovery": {"kind": "prayer"}}, "prayer"),
        ({"otp_record": {"address": 1, "kind": "wide"}}, "kind"),
        ({"number": 256}, "255"),
    ],
)
def test_words_that_are_not_known_refuse_the_whole_and_name_the_updater_that_knows_them(
    change: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused) as error:
        parsed(payload(VALVE, PUMP | change))
    assert says in error.value.message
    assert "It says that updater 0.1.0 knows it" in error.value.message
    assert "Get the newest updater" in error.value.advice


@pytest.mark.parametrize("schema", [2, 9])
def test_a_schema_to_come_is_for_a_newer_updater(schema: int) -> None:
    value = json.loads(payload()) | {"schema": schema}
    with pytest.raises(Refused, match="needs"):
        parsed(canonical_json(value))


@pytest.mark.parametrize(
    "more", [{"kind": "product"}, {"repository": "https://evil.example/"}, {"root": {}}, {"chip": []},
             {"engineering": {"write": True}}, {"link": {"scheme": "evil"}}, {"quirk": []}],
)  # fmt: skip
def test_it_speaks_of_products_and_of_nothing_else(more: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=f"unknown field `{min(more)}`"):
        parsed(canonical_json(json.loads(payload()) | more))


@pytest.mark.parametrize(
    ("products", "says"),
    [
        ([PUMP, PUMP | {"number": 9}], "'pump' is another product's already"),
        ([PUMP, VALVE | {"number": 1}], "1 is another product's already"),
        ([PUMP | {"id": "catalogue"}], "'catalogue' is a reserved word"),
        ([PUMP | {"recovery": {"kind": "boot-button"}}], "say in words what the person does"),
        ([PUMP | {"title": "Pump\u202e"}], r"U\+202E is not allowed"),
        ([PUMP | {"ways": [{"kind": "by-hand", "steps": "a\u001b[2J"}]}], r"U\+001B is not allowed"),
    ],
)
def test_a_rule_between_products_refuses_the_whole(products: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(Refused, match=says):
        parsed(payload(*products))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"schema": 1}', payload() + b" ", b"\xff"])
def test_anything_but_the_one_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(UpdaterError):
        parsed(data)
    with pytest.raises(NotTrusted):
        opened(data)


@given(st.integers(0, len(payload()) * 8 - 1))
def test_no_flipped_bit_of_a_signed_catalogue_comes_through(bit: int) -> None:
    good = bytearray(payload())
    good[bit // 8] ^= 1 << bit % 8
    signed = json.loads(envelope())
    signed["payload"] = json.loads(envelope(bytes(good)))["payload"]
    with pytest.raises(NotTrusted):
        opened(canonical_json(signed))


def test_the_version_of_a_kept_one_counts_also_where_its_words_are_not_known() -> None:
    newer = envelope(payload(PUMP | {"smell": 1}, version=9, min_tool="99.0.0"))
    how: dict[str, Any] = {"embedded_root": root_1(), "known_roots": ()}
    assert catalogue_version_in(newer, **how) == 9
    for nothing in (
        b"",
        newer[:-1],
        envelope(by=("release-1",)),
        envelope(b"[]"),
        envelope(b'{"version":true}'),
    ):
        assert catalogue_version_in(nothing, **how) == 0


def test_what_is_called_like_the_catalogue_is_no_product_of_a_bundle_either() -> None:
    with pytest.raises(NotTrusted, match="'catalogue' is a reserved word and no product"):
        parse_manifest(canonical_json(raw_manifest(product="catalogue")))


@pytest.mark.parametrize(
    "table",
    ["version = 0", "version = 1", 'version = 1\nmin_tool = "1.0"', 'version = 1\nmin_tool = "1.0.0"\nx = 1'],
)
def test_a_vendor_who_says_which_catalogue_his_products_are_says_it_rightly(table: str) -> None:
    with pytest.raises(Usage, match=r"\$\.catalogue"):
        parse_vendor(f"{VENDOR}\n[catalogue]\n{table}\n")
    assert parse_vendor(VENDOR).catalogue_version == 0
    right = f'{VENDOR}\n[catalogue]\nversion = 5\nmin_tool = "0.1.0"\n'
    assert parse_vendor(right).catalogue_version == 5


# -- the products that count ---------------------------------------------------------------------------


def test_its_products_take_the_place_of_those_of_the_same_id_and_new_ones_come_behind() -> None:
    merged = with_catalogue(vendor(), parsed(payload(VALVE, PUMP | {"title": "Pump 2"})))
    assert [(one.id, one.title) for one in merged.products] == [
        ("pump", "Pump 2"),
        ("valve", "Ventil für Öl"),
    ]
    assert merged.catalogue_version == 7


def test_a_product_that_it_leaves_out_stays() -> None:
    merged = with_catalogue(vendor(), parsed(payload(VALVE)))
    assert [one.id for one in merged.products] == ["pump", "valve"]


def test_nothing_but_products_changes() -> None:
    before, merged = vendor(), with_catalogue(vendor(), parsed(payload()))
    same = msgspec.structs.replace(merged, products=before.products, catalogue=before.catalogue)
    assert same == before


@pytest.mark.parametrize(("own", "said", "counts"), [(3, 2, 3), (3, 0, 3), (3, 5, 5)])
def test_a_security_floor_is_never_let_down(own: int, said: int, counts: int) -> None:
    text = VENDOR.replace("security_floor = 3", f"security_floor = {own}")
    merged = with_catalogue(vendor(text), parsed(payload(PUMP | {"security_floor": said})))
    assert merged.products[0].security_floor == counts


@pytest.mark.parametrize(
    "products",
    [[PUMP | {"number": 5}], [VALVE | {"number": 1}], [PUMP | {"number": 2}, VALVE | {"number": 1}]],
)
def test_a_number_never_goes_to_another_product(products: list[dict[str, Any]]) -> None:
    """Codes that were printed would select something else."""
    with pytest.raises(Refused, match=r"number|is another product's already"):
        with_catalogue(vendor(), parsed(payload(*products)))


def test_an_older_catalogue_is_refused_in_words() -> None:
    for known in (0, 6, 7):
        require_newer(parsed(payload(version=7)), known)
    with pytest.raises(Refused, match="it is version 7, and version 8 is known here already"):
        require_newer(parsed(payload(version=7)), 8)
