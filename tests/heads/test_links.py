"""Links, landing pages and short codes: three tokens and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from updater.heads.links import (
    Link,
    check_shape,
    format_code,
    format_link,
    format_page,
    is_code,
    parse_code,
    parse_link,
    parse_page,
    parse_tokens,
)
from updater.words.errors import Usage
from updater.words.facts import Channel

SCHEME = "acme-fw"
SITE = "https://update.acme.example/"
NEWEST = Link(product="demo-widget", channel=Channel.STABLE, version=None)
BETA = Link(product="demo-widget", channel=Channel.BETA, version=Version(3, 4, 1))
PRODUCTS = {1: "demo-widget", 2: "demo-gadget", 255: "last"}

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32 (crockford.com/base32.html): no I, L, O, U."""

versions = st.builds(Version, *[st.integers(0, 65535)] * 3)
links = st.builds(
    Link,
    product=st.sampled_from(sorted(PRODUCTS.values())),
    channel=st.sampled_from([Channel.STABLE, Channel.BETA]),
    version=st.none() | versions,
)


def number_of(link: Link) -> int:
    return next(number for number, product in PRODUCTS.items() if product == link.product)


# -- links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("acme-fw://v1/demo-widget/stable/latest", NEWEST),
        ("acme-fw://v1/demo-widget/stable/latest/", NEWEST),
        ("acme-fw://v1/demo-widget/beta/3.4.1", BETA),
    ],
)
def test_a_link_selects_product_channel_and_version(text: str, link: Link) -> None:
    assert parse_link(text, SCHEME) == link


def test_a_link_is_written_like_this() -> None:
    assert format_link(BETA, SCHEME) == "acme-fw://v1/demo-widget/beta/3.4.1"
    assert format_link(NEWEST, SCHEME) == "acme-fw://v1/demo-widget/stable/latest"


GOOD = "acme-fw://v1/demo-widget/stable/3.4.1"


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(GOOD + '" --yes "', id="quote break-out"),
        pytest.param(GOOD + "\\", id="trailing backslash"),
        pytest.param(GOOD + " --yes", id="option"),
        pytest.param("--yes", id="nothing but an option"),
        pytest.param("acme-fw://evil.example/v1/demo-widget/stable/3.4.1", id="host"),
        pytest.param("acme-fw://me:pw@v1/demo-widget/stable/3.4.1", id="user-info"),
        pytest.param("acme-fw://v1:80/demo-widget/stable/3.4.1", id="port"),
        pytest.param("acme-fw://v1/../stable/3.4.1", id="dots"),
        pytest.param("acme-fw://v1/demo-widget/../stable/3.4.1", id="dots inside"),
        pytest.param(GOOD + "?channel=beta", id="query"),
        pytest.param(GOOD + "#x", id="fragment"),
        pytest.param(GOOD + "\n", id="newline"),
        pytest.param(GOOD + "\0", id="NUL"),
        pytest.param(GOOD + "//", id="two slashes at the end"),
        pytest.param(" " + GOOD, id="space before"),
        pytest.param("acme-fw://v1/demo-widget/stable/３.4.1", id="full-width digit"),
        pytest.param("acme-fw://v1/demo-widget/stable/٣.4.1", id="Arabic digit"),
        pytest.param("ACME-FW://v1/demo-widget/stable/3.4.1", id="upper-case scheme"),
        pytest.param("acme-fw://v1/Demo-Widget/stable/3.4.1", id="upper-case product"),
        pytest.param("acme-fw://v1/demo-widget/stable/99999999999.0.0", id="huge number"),
        pytest.param("acme-fw://v1/demo-widget/stable/65536.0.0", id="number above 65535"),
        pytest.param("acme-fw://v1/demo-widget/stable/03.4.1", id="leading zero"),
        pytest.param("acme-fw://v1/demo-widget/stable/3.4", id="two numbers"),
        pytest.param("acme-fw://v1/demo-widget/stable/3.4.1-rc1", id="pre-release"),
        pytest.param("acme-fw://v1/demo-widget/engineering/3.4.1", id="engineering channel"),
        pytest.param("acme-fw://v1/-demo/stable/3.4.1", id="product that looks like an option"),
        pytest.param("acme-fw://v1/" + "a" * 33 + "/stable/3.4.1", id="long product"),
        pytest.param("acme-fw://v1/catalogue/stable/latest", id="what is no product"),
        pytest.param("acme-fw://v1/demo%2Dwidget/stable/3.4.1", id="percent"),
        pytest.param("acme-fw://v2/demo-widget/stable/3.4.1", id="other grammar version"),
        pytest.param("acme-fw:v1/demo-widget/stable/3.4.1", id="no slashes"),
        pytest.param("other-fw://v1/demo-widget/stable/3.4.1", id="another vendor's"),
        pytest.param("\\\\server\\share\\bundle.fwb", id="UNC path"),
        pytest.param("\\\\.\\PhysicalDrive0", id="device path"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param(GOOD + "/" * 100, id="long"),
        pytest.param("", id="empty"),
    ],
)
def test_a_hostile_link_is_refused_without_being_repeated_whole(hostile: str) -> None:
    with pytest.raises(Usage) as error:
        parse_link(hostile, SCHEME)
    assert error.value.message.isprintable()
    assert len(error.value.message) < 1000


def test_a_link_may_have_120_characters_and_not_more() -> None:
    rest = "://v1/demo-widget/stable/latest"
    longest = "a" * (120 - len(rest))
    assert parse_link(longest + rest, longest) == NEWEST
    with pytest.raises(Usage):
        parse_link("a" + longest + rest, "a" + longest)


def test_the_scheme_is_compared_as_text_and_not_as_a_pattern() -> None:
    with pytest.raises(Usage):
        parse_link("acmeXfw://v1/demo-widget/stable/latest", "acme.fw")


@given(link=links)
def test_a_link_is_read_as_it_was_written(link: Link) -> None:
    assert parse_link(format_link(link, SCHEME), SCHEME) == link
    assert parse_page(format_page(link, SITE), SITE) == link


@given(
    st.text(max_size=60)
    | st.text(max_size=40).map("acme-fw://v1/".__add__)
    | st.text("adl0123.-/:?#%v", max_size=30).map("acme-fw://v1/demo-widget/stable/".__add__)
    | st.tuples(links, st.integers(0, 60), st.characters()).map(
        lambda t: format_link(t[0], SCHEME)[: t[1]] + t[2] + format_link(t[0], SCHEME)[t[1] :]
    )
)
def test_only_a_text_that_would_be_written_again_is_a_link(text: str) -> None:
    try:
        link = parse_link(text, SCHEME)
    except Usage:
        return
    assert text.removesuffix("/") == format_link(link, SCHEME)


@pytest.mark.parametrize(
    "link",
    [
        Link(product="Demo", channel=Channel.STABLE, version=None),
        Link(product="demo", channel=Channel.ENGINEERING, version=None),
        Link(product="demo", channel=Channel.STABLE, version=Version(1, 0, 0, "rc1")),
        Link(product="demo", channel=Channel.STABLE, version=Version(100000, 0, 0)),
    ],
)
def test_what_no_link_can_carry_is_not_written(link: Link) -> None:
    with pytest.raises(Usage):
        format_link(link, SCHEME)
    with pytest.raises(Usage):
        format_page(link, SITE)
    with pytest.raises(Usage):
        format_code(link, 1)


# -- landing pages ------------------------------------------------------------------------------------


def test_a_landing_page_is_written_like_this() -> None:
    assert format_page(BETA, SITE) == "https://update.acme.example/u/demo-widget/beta/3.4.1/"
    assert (
        format_page(NEWEST, "http://127.0.0.1:8000") == "http://127.0.0.1:8000/u/demo-widget/stable/latest/"
    )


def test_a_mail_program_may_lose_the_last_slash() -> None:
    assert parse_page("https://update.acme.example/u/demo-widget/beta/3.4.1", SITE) == BETA


@pytest.mark.parametrize(
    "text",
    [
        "http://update.acme.example/u/demo-widget/beta/3.4.1/",
        "https://update.acme.example.evil.example/u/demo-widget/beta/3.4.1/",
        "https://evil.example/https://update.acme.example/u/demo-widget/beta/3.4.1/",
        "https://update.acme.example@evil.example/u/demo-widget/beta/3.4.1/",
        "https://update.acme.example:444/u/demo-widget/beta/3.4.1/",
        "https://update.acme.example/demo-widget/beta/3.4.1/",
        "https://update.acme.example/u/demo-widget/beta/3.4.1/index.html",
        "https://update.acme.example/u/demo-widget/beta/3.4.1/?x",
        "https://update.acme.example/u//demo-widget/beta/3.4.1/",
        "https://update.acme.example/u/demo-widget/beta/65536.4.1/",
        "HTTPS://update.acme.example/u/demo-widget/beta/3.4.1/",
    ],
)
def test_the_address_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        parse_page(text, SITE)


# -- short codes --------------------------------------------------------------------------------------

VECTORS: list[tuple[int, Link, str]] = [
    # number 00000001, stable 0, latest 1: 00000 00101 is "05", the number 5; 5 mod 1021 = 5 is "05"
    (1, NEWEST, "0505"),
    # 00000001 1 0, 3, 4, 1 as 00000011 00000100 00000001, one 0 to fill:
    # 00000 00110 00000 01100 00010 00000 00010 is "060C202". With 32^2 = 3, 32^3 = 96, 32^5 = 288 modulo
    # 1021 it is 6*288 + 12*96 + 2*3 + 2 = 2888 = 846 modulo 1021, and 846 = 26*32 + 14 is "TE".
    (1, BETA, "060C-202T-E"),
    # 00000010 0 0, 0.0.0 as 24 zeros, one 0 to fill: 00000 01000 and 25 zeros is "0800000".
    # 8*32^5 = 8*288 = 2304 = 262 modulo 1021, and 262 = 8*32 + 6 is "86".
    (2, Link(product="demo-gadget", channel=Channel.STABLE, version=Version(0, 0, 0)), "0800-0008-6"),
    # 11111111 1 1: 11111 11111 is "ZZ", 1023; 1023 mod 1021 = 2 is "02"
    (255, Link(product="last", channel=Channel.BETA, version=None), "ZZ02"),
    # 00000001 0 0; 128 = 10000001 00000000; 0; 0: 10 + 16 + 8 + 8 = 42 bits, three 0 to fill:
    # 00000 00100 10000 00100 and 25 zeros is "04G400000". With 32^5 = 288, 32^6 = 27, 32^7 = 864 modulo 1021
    # it is 4*864 + 16*27 + 4*288 = 5040 = 956 modulo 1021, and 956 = 29*32 + 28 is "XW".
    (1, Link(product="demo-widget", channel=Channel.STABLE, version=Version(128, 0, 0)), "04G4-0000-0XW"),
]


@pytest.mark.parametrize(("number", "link", "code"), VECTORS)
def test_a_short_code_is_the_one_worked_out_by_hand(number: int, link: Link, code: str) -> None:
    assert format_code(link, number) == code
    assert parse_code(code, PRODUCTS) == link


@pytest.mark.parametrize(
    "typed", ["060c-202t-e", "O6OC 2O2T E", "o60c202te", "060C202TE", " 060C - 202T - E "]
)
def test_people_may_type_a_code_in_their_own_way(typed: str) -> None:
    assert parse_code(typed, PRODUCTS) == BETA


@pytest.mark.parametrize("typed", ["1111", "Il1i", "LLLL", "llII"])
def test_i_and_l_are_read_as_one(typed: str) -> None:
    """00001000 0 1 is "11", the number 33, and 33 is "11" again."""
    eighth = Link(product="eighth", channel=Channel.STABLE, version=None)
    assert format_code(eighth, 8) == "1111"
    assert parse_code(typed, {8: "eighth"}) == eighth


@pytest.mark.parametrize(
    "typed",
    ["", "-", "05", "0506", "050", "05050", "0505-0505", "U505", "05０5", "060C-202T-ſ", "ı505", "0" * 500],
)
def test_a_wrong_code_is_mistyped_and_never_a_guess(typed: str) -> None:
    with pytest.raises(Usage, match="mistyped"):
        parse_code(typed, PRODUCTS)


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("0101", id="00000000 0 1: product number 0"),
        pytest.param("04GJ000000AM", id="version 65536.0.0 for product 1"),
    ],
)
def test_a_code_with_good_check_characters_but_impossible_content_is_mistyped(typed: str) -> None:
    with pytest.raises(Usage, match="mistyped"):
        parse_code(typed, {0: "zero", **PRODUCTS})


def test_a_right_code_for_an_unknown_product_says_so() -> None:
    with pytest.raises(Usage, match="does not know"):
        parse_code("060C-202T-E", {2: "demo-gadget"})


@pytest.mark.parametrize("number", [0, 256, -1])
def test_a_product_number_has_eight_bits_and_is_not_zero(number: int) -> None:
    with pytest.raises(Usage, match="from 1 to 255"):
        format_code(NEWEST, number)


@given(link=links)
def test_a_code_is_read_as_it_was_written(link: Link) -> None:
    assert parse_code(format_code(link, number_of(link)), PRODUCTS) == link


@given(link=links, data=st.data())
def test_every_single_wrong_character_is_found(link: Link, data: Any) -> None:
    code = format_code(link, number_of(link)).replace("-", "")
    at = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET.replace(code[at], "")))
    with pytest.raises(Usage, match="mistyped"):
        parse_code(code[:at] + wrong + code[at + 1 :], PRODUCTS)


@given(link=links, data=st.data())
def test_every_swap_of_two_neighbours_is_found(link: Link, data: Any) -> None:
    code = format_code(link, number_of(link)).replace("-", "")
    at = data.draw(st.integers(0, len(code) - 2))
    swapped = code[:at] + code[at + 1] + code[at] + code[at + 2 :]
    if swapped != code:
        with pytest.raises(Usage, match="mistyped"):
            parse_code(swapped, PRODUCTS)


@given(st.text(ALPHABET, max_size=20) | st.text(max_size=20))
def test_a_text_is_a_code_only_if_it_would_be_written_again(text: str) -> None:
    everything = {number: f"p{number}" for number in range(1, 256)}
    try:
        link = parse_code(text, everything)
    except Usage:
        return
    typed = text.upper().translate(str.maketrans("OIL", "011", "- "))
    assert format_code(link, int(link.product[1:])).replace("-", "") == typed


# -- before and beside the vendor ---------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["acme-fw", "x1", "demo-update"])
def test_a_link_of_any_vendor_has_the_shape_of_one(scheme: str) -> None:
    text = f"{scheme}://v1/demo-widget/stable/3.4.1"
    check_shape(text)
    assert format_link(parse_link(text, scheme), scheme) == text


@pytest.mark.parametrize("text", ["x", "1a", "a" * 33, "a_b", "a.b", "-a", "a%b"])
def test_the_scheme_itself_has_a_shape(text: str) -> None:
    with pytest.raises(Usage):
        check_shape(f"{text}://v1/demo-widget/stable/3.4.1")


@given(
    st.text(max_size=130)
    | st.text(max_size=40).map("acme-fw://v1/".__add__)
    | st.tuples(links, st.integers(0, 60), st.text(max_size=3)).map(
        lambda t: format_link(t[0], SCHEME)[: t[1]] + t[2] + format_link(t[0], SCHEME)[t[1] :]
    )
)
def test_what_has_not_the_shape_is_no_link_and_what_has_it_holds_nothing_dangerous(text: str) -> None:
    try:
        check_shape(text)
    except Usage:
        with pytest.raises(Usage):
            parse_link(text, SCHEME)
        return
    assert len(text) <= 120
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-./:")
    assert text.count(":") == 1


@given(link=links)
def test_tokens_are_read_as_they_were_written(link: Link) -> None:
    assert parse_tokens(link.tokens) == link


@pytest.mark.parametrize(
    "text",
    ["", "demo-widget/stable/latest/", "/demo-widget/stable/latest", "demo-widget/stable", "--yes",
     "demo-widget/stable/latest\n", "../x/stable/latest", GOOD, "/etc/passwd", "demo-widget/stable/01.0.0"],
)  # fmt: skip
def test_tokens_are_nothing_else(text: str) -> None:
    with pytest.raises(Usage):
        parse_tokens(text)


@given(text=st.text(max_size=30) | st.text(ALPHABET + "-", max_size=14))
def test_a_text_is_a_code_exactly_when_it_can_be_read_as_one(text: str) -> None:
    try:
        parse_code(text, dict.fromkeys(range(1, 256), "any"))
    except Usage:
        assert not is_code(text)
    else:
        assert is_code(text)


@given(link=links)
def test_link_page_and_code_carry_the_same(link: Link) -> None:
    page = parse_page(format_page(link, SITE), SITE)
    assert page == parse_link(format_link(link, SCHEME), SCHEME)
    assert page == parse_code(format_code(link, number_of(link)), PRODUCTS)


# -- the page for people ------------------------------------------------------------------------------


def rows_of_the_page(pattern: str) -> list[tuple[str, str]]:
    text = (Path(__file__).parents[2] / "docs" / "links.md").read_text("utf-8")
    return re.findall(rf"^\| `({pattern})` \| (.+) \|$", text, re.MULTILINE)


def test_the_examples_of_links_in_the_documentation_are_true() -> None:
    rows = [row for row in rows_of_the_page(r"[A-Za-z-]+:.+") if not row[1].startswith("a click")]
    rows = [(text, words) for text, words in rows if not text.startswith("https")]
    assert len(rows) == 14
    for text, words in rows:
        if words == "refused":
            with pytest.raises(Usage):
                parse_link(text, "demo-update")
        else:
            assert parse_link(text, "demo-update").tokens.split("/") == words.split()


def test_the_examples_of_codes_in_the_documentation_are_the_vectors() -> None:
    rows = [row for row in rows_of_the_page(r"[0-9A-Z-]+") if row[1][0].isdigit()]
    assert len(rows) == len(VECTORS)
    for code, words in rows:
        number, channel, version = words.split()
        link = parse_code(code, {int(number): "any"})
        assert link.tokens == f"any/{channel}/{version}"
        assert format_code(link, int(number)) == code
