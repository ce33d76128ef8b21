"""vendor.toml: every key known, every mistake named with its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.vendor import (
    ByHand,
    DfuDetach,
    Engineering,
    Exchange,
    Keep,
    Kind,
    OtpRecord,
    RecoveryKind,
    SerialSend,
    Touch1200,
    Vendor,
    VendorRequest,
    Way,
    parse_vendor,
)
from updater.words.errors import Usage

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


def test_an_otp_record_has_an_address() -> None:
    text = with_("header = {", "otp_record = {address = 0x1FFF7800}\nheader = {")
    assert parse_vendor(text).products[0].otp_record == OtpRecord(address=0x1FFF_7800)
    assert parse_vendor(GOOD).products[0].otp_record is None


def test_unsigned_files_are_written_only_where_the_vendor_says_so() -> None:
    assert parse_vendor(GOOD).engineering is None
    assert parse_vendor(GOOD + "\n[engineering]\nwrite = true\n").engineering == Engineering(write=True)
    with pytest.raises(Usage, match=r"\$\.engineering"):
        parse_vendor(GOOD + "\n[engineering]\nwrites = true\n")


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
        ("header = {", "otp_record = {at = 1}\nheader = {", "$.product[0].otp_record"),
        ("header = {", "otp_record = {}\nheader = {", "$.product[0].otp_record"),
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


def with_ways(*ways: str) -> str:
    return with_('[{kind = "dfu-detach"}]', f"[{', '.join(ways)}]")


def way(text: str) -> Way:
    (found,) = parse_vendor(with_ways(text)).products[0].ways
    return found


def test_every_way_is_read_and_keeps_its_place() -> None:
    text = with_ways(
        '{kind = "touch-1200", within_ms = 3000}',
        '{kind = "vendor-request", bmRequestType = 0x41, bRequest = 0x42, wValue = 1, wIndex = 2, '
        'data = "dead BE ef"}',
        '{kind = "serial-send", baud = 9600, '
        'steps = [{send = "#\\r\\n", expect = "> ", pause_ms = 100}, {send_hex = "00 FF"}]}',
        '{kind = "by-hand", steps = "Press it.", within_ms = 60000}',
        '{kind = "dfu-detach"}',
    )
    steps = (Exchange(send="#\r\n", expect="> ", pause_ms=100), Exchange(send_hex="00 FF"))
    assert parse_vendor(text).products[0].ways == (
        Touch1200(within_ms=3000),
        VendorRequest(bmRequestType=0x41, bRequest=0x42, wValue=1, wIndex=2, data="dead BE ef"),
        SerialSend(baud=9600, steps=steps),
        ByHand(steps="Press it.", within_ms=60_000),
        DfuDetach(),
    )


def test_what_a_way_leaves_out_is_the_usual() -> None:
    request = way('{kind = "vendor-request", bRequest = 1}')
    assert isinstance(request, VendorRequest)
    assert (request.bmRequestType, request.wValue, request.wIndex, request.payload) == (0x40, 0, 0, b"")
    assert request.within_ms == 5_000
    serial = way('{kind = "serial-send", steps = [{send = "R"}]}')
    assert isinstance(serial, SerialSend)
    assert (serial.baud, serial.steps[0].pause_ms, serial.steps[0].expected) == (115_200, 0, b"")
    hands = way('{kind = "by-hand", steps = "Press it."}')
    assert hands.within_ms == 180_000


def test_text_and_hex_are_both_bytes() -> None:
    found = way('{kind = "serial-send", steps = [{send_hex = "244D3c 01", expect = "ok é"}, {send = "é"}]}')
    assert isinstance(found, SerialSend)
    first, second = found.steps
    assert (first.sent, first.expected, second.sent) == (b"$M<\x01", b"ok \xc3\xa9", b"\xc3\xa9")
    request = way('{kind = "vendor-request", bRequest = 1, data = "DE ad"}')
    assert isinstance(request, VendorRequest)
    assert request.payload == b"\xde\xad"


@pytest.mark.parametrize(
    "wrong",
    [
        '{kind = "dfu-detach", steps = "x"}',
        '{kind = "dfu-detach", within_ms = 60001}',
        '{kind = "touch-1200", baud = 1200}',
        '{kind = "vendor-request"}',
        '{kind = "vendor-request", bRequest = 256}',
        '{kind = "vendor-request", bRequest = 1, bmRequestType = 0xC0}',  # from the device
        '{kind = "vendor-request", bRequest = 9, bmRequestType = 0x00}',  # SET_CONFIGURATION is no wish
        '{kind = "vendor-request", bRequest = 1, bmRequestType = 0x21}',  # nor is a DFU download
        '{kind = "vendor-request", bRequest = 1, data = "abc"}',
        '{kind = "vendor-request", bRequest = 1, data = ""}',
        '{kind = "vendor-request", bRequest = 1, wLength = 2}',
        '{kind = "serial-send"}',
        '{kind = "serial-send", steps = []}',
        '{kind = "serial-send", steps = [{expect = "x"}]}',
        '{kind = "serial-send", steps = [{send = "x", send_hex = "00"}]}',
        '{kind = "serial-send", steps = [{send = "x", expect = "x", expect_hex = "00"}]}',
        '{kind = "serial-send", steps = [{send = ""}]}',
        '{kind = "serial-send", steps = [{send = "x", pause = 1}]}',
        '{kind = "serial-send", steps = [{send = "x"}], baud = 0}',
        '{kind = "by-hand"}',
        '{kind = "by-hand", steps = " "}',
        '{kind = "by-hand", steps = "x", within_ms = 600001}',
        '{kind = "by-hand", steps = "x", baud = 9600}',
        "{bRequest = 1}",
    ],
)
def test_a_way_that_makes_no_sense_is_refused_with_its_place(wrong: str) -> None:
    assert "$.product[0].ways[0]" in refused(with_ways(wrong))


INTEGRATION = Path(__file__).parents[2] / "docs" / "integration.md"


def test_the_ways_that_the_guide_shows_are_read() -> None:
    """MSP v1: `$M<`, length 1, command 68, payload 1, and the XOR of the last three."""
    guide = INTEGRATION.read_text("utf-8")
    rows = re.findall(r"^    (\{ kind = \"serial-send\".*\})$", guide, re.MULTILINE)
    betaflight, inav = (way(row) for row in rows)
    assert isinstance(betaflight, SerialSend)
    assert isinstance(inav, SerialSend)
    assert betaflight.steps[0].sent == inav.steps[0].sent == b"$M<" + bytes([1, 68, 1, 1 ^ 68 ^ 1])
    assert betaflight.steps[0].expected == b"$M>" + bytes([1, 68, 1, 1 ^ 68 ^ 1])
    assert inav.steps[0].expected == b"$M>" + bytes([0, 68, 0 ^ 68])
    (shown,) = re.findall(r"^    ways = \[\n.*?^    \]$", guide, re.MULTILINE | re.DOTALL)
    kinds = [row["kind"] for row in tomllib.loads(shown)["ways"]]
    assert kinds == ["dfu-detach", "vendor-request", "touch-1200", "serial-send", "by-hand"]
    assert len(parse_vendor(with_('ways = [{kind = "dfu-detach"}]', shown)).products[0].ways) == 5


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
