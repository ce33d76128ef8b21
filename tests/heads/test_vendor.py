"""vendor.toml: every key known, every mistake named with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import Usage
from updater.vendor import DfuDetach, Keep, Kind, RecoveryKind, Vendor, parse_vendor

GOOD = """
schema = 1
kind = "product"
name = "Acme Pumps"
support = "support@acme.example"
repository = "https://update.acme.example/"

[link]
scheme = "acme-fw"

[[product]]
id = "demo-widget"
number = 1
title = "Demo Widget"
usb = ["1209:0001"]
chips = ["STM32H743"]
hardware = ["A", "B"]
ways = [{kind = "dfu-detach"}]
header = {address = 0x08000400}
recovery = {kind = "boot-button", steps = "Hold BOOT while plugging in."}
back_within_ms = 5000
supply_mv = 3300
keep = [{address = 0x081E0000, length = 0x20000}]

[[product]]
id = "demo-gadget"
number = 2
title = "Demo Gadget"
usb = []
chips = ["STM32F405"]
hardware = ["A"]
"""


def with_(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


def refused(text: str, **how: bool) -> str:
    with pytest.raises(Usage) as error:
        parse_vendor(text, **how)
    return error.value.message


def test_every_key_is_read() -> None:
    vendor = parse_vendor(GOOD)
    assert (vendor.kind, vendor.name, vendor.link.scheme) == (Kind.PRODUCT, "Acme Pumps", "acme-fw")
    assert (vendor.support, vendor.repository) == ("support@acme.example", "https://update.acme.example/")
    widget = vendor.products[0]
    assert (widget.id, widget.number, widget.title) == ("demo-widget", 1, "Demo Widget")
    assert (widget.usb, widget.chips, widget.hardware) == (("1209:0001",), ("STM32H743",), ("A", "B"))
    assert widget.ways == (DfuDetach(),)
    assert widget.header is not None
    assert widget.header.address == 0x0800_0400
    assert (widget.recovery.kind, widget.recovery.steps) == ("boot-button", "Hold BOOT while plugging in.")
    assert (widget.back_within_ms, widget.supply_mv) == (5000, 3300)
    assert widget.keep == (Keep(address=0x081E_0000, length=0x2_0000),)
    assert widget.keep[0].end == 0x0820_0000


def test_what_is_left_out_is_the_careful_choice() -> None:
    gadget = parse_vendor(GOOD).products[1]
    assert gadget.recovery.kind is RecoveryKind.NONE
    assert (gadget.ways, gadget.header, gadget.supply_mv, gadget.keep) == ((), None, None, ())


def test_products_are_found_by_id_and_by_number() -> None:
    vendor = parse_vendor(GOOD)
    assert vendor.product("demo-gadget") is vendor.products[1]
    assert vendor.product("other") is None
    assert vendor.numbers == {1: "demo-widget", 2: "demo-gadget"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("schema = 1", "schema = 2", "$.schema"),
        ("schema = 1", "schema = true", "$.schema"),
        ('kind = "product"', 'kind = "production"', "$.kind"),
        ('name = "Acme Pumps"', 'name = ""', "$.name"),
        ('name = "Acme Pumps"', 'name = "Acme Pumps"\ncolour = "red"', "colour"),
        ('support = "support@acme.example"', "", "support"),
        ('scheme = "acme-fw"', 'scheme = "https"', "$.link.scheme"),
        ('scheme = "acme-fw"', 'scheme = "Acme FW"', "$.link.scheme"),
        ('scheme = "acme-fw"', 'scheme = "acme-fw"\nhost = "x"', "$.link"),
        ('id = "demo-widget"', 'id = "Demo Widget"', "$.product[0].id"),
        ('id = "demo-gadget"', 'id = "demo-widget"', "$.product[1].id"),
        ("number = 1", "number = 0", "$.product[0].number"),
        ("number = 1", "number = 256", "$.product[0].number"),
        ("number = 2", "number = 1", "$.product[1].number"),
        ('"1209:0001"', '"0x1209:0x0001"', "$.product[0].usb[0]"),
        ('"1209:0001"', '"120A:0001"', "$.product[0].usb[0]"),
        ('chips = ["STM32H743"]', "chips = []", "$.product[0].chips"),
        ('hardware = ["A", "B"]', "hardware = []", "$.product[0].hardware"),
        ('hardware = ["A", "B"]', 'hardware = ["too-long-for-a-header"]', "$.product[0].hardware[0]"),
        ('"dfu-detach"', '"magic-packet"', "$.product[0].ways[0]"),
        ('{kind = "dfu-detach"}', '{kind = "dfu-detach", baud = 1200}', "$.product[0].ways[0]"),
        ("{kind = ", "{sort = ", "$.product[0].ways[0]"),
        ("header = {address = 0x08000400}", 'header = {address = "x"}', "$.product[0].header.address"),
        ('kind = "boot-button"', 'kind = "hope"', "$.product[0].recovery.kind"),
        ("Hold BOOT while plugging in.", " ", "$.product[0].recovery.steps"),
        ("back_within_ms = 5000", "back_within_ms = 0", "$.product[0].back_within_ms"),
        ("back_within_ms = 5000", "back_within_ms = 5.5", "$.product[0].back_within_ms"),
        ("supply_mv = 3300", "supply_mv = 3", "$.product[0].supply_mv"),
        ("supply_mv = 3300", "supply_volts = 3", "$.product[0]"),
        ("length = 0x20000", "length = 0", "$.product[0].keep[0].length"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, place: str) -> None:
    assert place in refused(with_(old, new))


def test_a_file_that_is_not_toml_says_where() -> None:
    assert "line 2" in refused("schema = 1\nkind = product")


def test_a_vendor_without_products_is_refused() -> None:
    assert "$.product" in refused("product = []\n" + GOOD[: GOOD.index("[[product]]")])


@pytest.mark.parametrize(
    "address",
    [
        "https://update.acme.example",
        "https://update.acme.example/x",
        "https://user@update.acme.example/",
        "https://update.acme.example/?x/",
        "https://update.acme.example/\n",
        "ftp://update.acme.example/",
        "file:///srv/",
        "https:///",
        "update.acme.example/",
        "",
    ],
)
def test_a_repository_that_is_not_a_plain_address_is_refused(address: str) -> None:
    quoted = address.replace("\n", "\\n")
    assert "$.repository" in refused(with_("https://update.acme.example/", quoted))


def repository(address: str, kind: str = "product", **how: bool) -> Vendor:
    text = with_("https://update.acme.example/", address)
    return parse_vendor(text.replace('kind = "product"', f'kind = "{kind}"', 1), **how)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000/", "http://localhost/fw/", "http://[::1]:8000/"])
def test_plain_http_is_for_this_computer_and_for_demo_vendors_or_tests(address: str) -> None:
    assert repository(address, kind="demo").repository == address
    assert repository(address, allow_loopback_http=True).repository == address
    with pytest.raises(Usage, match="only https"):
        repository(address)


@pytest.mark.parametrize("address", ["http://update.acme.example/", "http://127.0.0.1.evil.example/"])
def test_plain_http_to_anywhere_else_is_always_refused(address: str) -> None:
    with pytest.raises(Usage, match="only https"):
        repository(address, kind="demo", allow_loopback_http=True)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with pytest.raises(Usage):
        parse_vendor(text)
