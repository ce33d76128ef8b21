"""A layout and values become bytes, and bytes become values again; a layout that is unclear is refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.heads.test_otp import F405, F746, G474, blank, row
from updater.heads.otp.fields import Crc, Text
from updater.heads.otp.layout import (
    Given,
    Layout,
    check_fits,
    decode,
    parse_layout,
    patches_for,
    values_for,
)
from updater.heads.otp.plan import Patch, otp_area
from updater.words.errors import Refused, Usage

HEAD = 'schema = 1\nproduct = "demo-widget"\n'
GOLDEN = (
    HEAD
    + """
lock = [0]
[[field]]
name = "format"
type = "u8"
offset = 0
constant = 1
[[field]]
name = "batch"
type = "u16"
endian = "big"
offset = 0x01
asked = true
[[field]]
name = "filler"
type = "bytes"
length = 1
offset = 3
constant = "ff"
[[field]]
name = "serial"
type = "u32"
offset = 4
csv = "Serial"
[[field]]
name = "model"
type = "text"
length = 8
offset = 8
csv = "Model"
[[field]]
name = "check"
type = "crc"
algorithm = "crc-32"
over = { offset = 0, length = 16 }
offset = 16
[[field]]
name = "mac"
type = "mac"
offset = 0x20
csv = "MAC"
[[field]]
name = "made"
type = "date"
offset = 0x26
asked = true
[[field]]
name = "id"
type = "uuid"
offset = 0x30
csv = "UUID"
[[field]]
name = "chip"
type = "bytes"
length = 12
offset = 0x40
uid = true
[[field]]
name = "number"
type = "u64"
offset = 0x50
counter = 1000
"""
)
ROW = {
    "Serial": "305419896",
    "Model": "DW-1",
    "MAC": "02-00-5E-10-00-01",
    "UUID": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
}
UID = bytes.fromhex("310033000d51363532383935")
GIVEN = Given(asked={"batch": "0x0102", "made": "2026-11-30"}, row=ROW, count=7, uid=UID)


def layout(*fields: str, head: str = HEAD) -> Layout:
    """A layout of these fields, each written as `key = value` lines."""
    return parse_layout((head + "".join(f"[[field]]\n{field}\n" for field in fields)).encode())


def one(type_: str, value: str, **keys: object) -> bytes:
    """The bytes of one value in a field of this type."""
    more = "".join(f"{key} = {value!r}\n" for key, value in keys.items())
    made = layout(f'name = "x"\noffset = 0\ntype = "{type_}"\nasked = true\n{more}')
    (patch,) = patches_for(made, values_for(made, Given(asked={"x": value})))
    return patch.data


# ------------------------------------------------------------------------------------------- typed by hand


def test_a_whole_board_byte_for_byte() -> None:
    """0x12345678 little endian, 0x0102 big endian; CRC-32 of the 16 bytes before it."""
    made = parse_layout(GOLDEN.encode())
    patches = patches_for(made, values_for(made, GIVEN))
    assert patches == (
        Patch(0x00, b"\x01"),
        Patch(0x01, b"\x01\x02"),
        Patch(0x03, b"\xff"),
        Patch(0x04, b"\x78\x56\x34\x12"),
        Patch(0x08, b"DW-1\0\0\0\0"),
        Patch(0x10, bytes.fromhex("0f7d1d1a")),
        Patch(0x20, b"\x02\x00\x5e\x10\x00\x01"),
        Patch(0x26, b"\x20\x26\x11\x30"),
        Patch(0x30, bytes.fromhex("6ba7b8109dad11d180b400c04fd430c8")),
        Patch(0x40, UID),
        Patch(0x50, b"\xef\x03\0\0\0\0\0\0"),
    )


def test_a_whole_board_read_back() -> None:
    made = parse_layout(GOLDEN.encode())
    values = values_for(made, GIVEN)
    read = decode(made, blank(F746, *patches_for(made, values)).data)
    assert {one.field.name: one.value for one in read if not isinstance(one.field, Crc)} == values
    assert values == {
        "format": "1",
        "batch": "258",
        "filler": "ff",
        "serial": "305419896",
        "model": "DW-1",
        "mac": "02:00:5e:10:00:01",
        "made": "2026-11-30",
        "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "chip": "310033000d51363532383935",
        "number": "1007",
    }
    assert not any(one.is_wrong for one in read)


@pytest.mark.parametrize(
    ("algorithm", "check"),
    [
        ("crc-32", "cbf43926"),
        ("crc-32-mpeg-2", "0376e6e7"),
        ("crc-16-ibm-3740", "29b1"),
        ("crc-16-xmodem", "31c3"),
    ],
)
def test_a_checksum_over_123456789_is_the_check_value_of_the_catalogue(algorithm: str, check: str) -> None:
    """The values are those of the RevEng catalogue of parametrised CRC algorithms."""
    text = 'name = "t"\ntype = "text"\noffset = 0\nlength = 9\nconstant = "123456789"'
    crc = f'name = "c"\ntype = "crc"\noffset = 9\nendian = "big"\nalgorithm = "{algorithm}"\n'
    made = layout(text, crc + "over = { offset = 0, length = 9 }")
    assert patches_for(made, values_for(made, Given(asked={})))[1] == Patch(9, bytes.fromhex(check))


@pytest.mark.parametrize(
    ("type_", "keys", "value", "data"),
    [
        ("u16", {}, "0xABCD", b"\xcd\xab"),
        ("u32", {"endian": "big"}, "1", b"\0\0\0\1"),
        ("u64", {}, "18446744073709551614", b"\xfe" + b"\xff" * 7),
        ("text", {"length": 4, "padding": 0xFF}, "ab", b"ab\xff\xff"),
        ("text", {"length": 4, "padding": 0x20}, "ab", b"ab  "),
        ("date", {"form": "text"}, "2026-02-28", b"20260228"),
    ],
)
def test_a_value_has_these_bytes(type_: str, keys: Mapping[str, object], value: str, data: bytes) -> None:
    assert one(type_, value, **keys) == data


@pytest.mark.parametrize(
    ("type_", "keys", "value", "why"),
    [
        ("u8", {}, "256", "x: 256 does not fit into 8 bits"),
        ("u32", {}, "-1", "'-1' is not a whole number"),
        ("u32", {}, "", "'' is not a whole number"),
        ("u32", {}, "1.0", "is not a whole number"),
        ("text", {"length": 2}, "abc", "'abc' has 3 characters, and 2 fit"),
        ("text", {"length": 4}, "ü", "is not all printable ASCII"),
        ("text", {"length": 4, "padding": 0x20}, "a ", "ends with a blank"),
        ("text", {"length": 4}, "", "it is empty"),
        ("mac", {}, "01:00:5e:10:00:01", "is a group address"),
        ("mac", {}, "02005e100001", "is not a MAC address like"),
        ("uuid", {}, "6ba7b8109dad11d180b400c04fd430c8", "is not a UUID like"),
        ("date", {}, "2026-02-29", "is not a day like 2026-11-30"),
        ("date", {}, "20261130", "is not a day like 2026-11-30"),
        ("bytes", {"length": 2}, "00", "has 1 bytes, and 2 are needed"),
        ("bytes", {"length": 2}, "0x00", "is not pairs of hex digits"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    type_: str, keys: Mapping[str, object], value: str, why: str
) -> None:
    with pytest.raises(Usage) as caught:
        one(type_, value, **keys)
    assert why in caught.value.message


# ---------------------------------------------------------------------------------------- layouts refused

U32 = 'name = "a"\ntype = "u32"\noffset = 0\nasked = true'


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ((U32, U32.replace('"a"', '"b"').replace("= 0", "= 3")), "a and b overlap at offset 0x3"),
        ((U32, U32.replace("= 0", "= 8")), "two fields are called 'a'"),
        ((U32 + "\ncolour = 1",), "unknown field `colour`"),
        ((U32.replace("u32", "u24"),), "Invalid value 'u24'"),
        ((U32 + "\nconstant = 1",), "a needs exactly one of constant, counter, csv, asked and uid"),
        ((U32.replace("asked", "uid"),), "uid needs type bytes with a length of 12"),
        ((U32.replace("asked = true", "constant = 4294967296"),), "does not fit into 32 bits"),
        (
            ('name = "t"\ntype = "text"\noffset = 0\nlength = 4\ncounter = 1',),
            "counter needs one of the types",
        ),
        ((U32.replace("= 0", "= -1"),), "Expected `int` >= 0"),
        (
            (
                U32,
                'name = "c"\ntype = "crc"\noffset = 8\nalgorithm = "crc-32"\nover = {offset = 0, length = 5}',
            ),
            "c covers offset 0x4, which belongs to no field before it",
        ),
        (
            (
                U32,
                'name = "c"\ntype = "crc"\noffset = 4\nalgorithm = "crc-32"\nover = {offset = 0, length = 5}',
            ),
            "c covers offset 0x4, which belongs to no field before it",
        ),
        (
            (
                U32,
                'name = "c"\ntype = "crc"\noffset = 8\nalgorithm = "crc-7"\nover = {offset = 0, length = 4}',
            ),
            "Invalid enum value 'crc-7'",
        ),
    ],
)
def test_a_layout_that_is_unclear_is_refused(fields: tuple[str, ...], why: str) -> None:
    with pytest.raises(Usage) as caught:
        layout(*fields)
    assert caught.value.message.startswith("the layout is wrong: ")
    assert why in caught.value.message


def test_a_layout_without_a_schema_or_with_another_one_is_refused() -> None:
    for head in ('product = "demo-widget"\n', HEAD.replace("1", "2"), "not toml", "\xff"):
        with pytest.raises(Usage, match="the layout is wrong"):
            layout(U32, head=head)


def test_a_field_outside_the_memory_is_refused() -> None:
    made = layout(U32.replace("= 0", "= 0x1FD"))
    check_fits(made, otp_area(row(F746)))
    with pytest.raises(Refused, match="a at offsets 0x1FD to 0x200, but this chip has 512 bytes"):
        check_fits(made, otp_area(row(F405)))


@pytest.mark.parametrize(
    ("chip", "why"), [(F746, "this chip has blocks 0 to 15"), (G474, "has no lock bytes")]
)
def test_a_block_to_lock_that_the_chip_has_not_is_refused(chip: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check_fits(layout(U32, head=HEAD + "lock = [16]\n"), otp_area(row(chip)))


@pytest.mark.parametrize(
    ("field", "given", "why"),
    [
        (U32, Given(asked={}), "the value of a is missing"),
        (U32, Given(asked={"a": "1", "b": "2"}), "the layout asks for no b"),
        (U32.replace("asked = true", 'csv = "S"'), Given(asked={"a": "1"}), "the layout asks for no a"),
        (
            U32.replace("asked = true", 'csv = "S"'),
            Given(asked={}),
            "a comes from a table, and none was given",
        ),
        (U32.replace("asked = true", 'csv = "S"'), Given(asked={}, row={"s": "1"}), "has no column 'S'"),
        (
            'name = "a"\ntype = "bytes"\nlength = 12\noffset = 0\nuid = true',
            Given(asked={}),
            "the device's unique ID, which it did not say",
        ),
    ],
)
def test_a_value_that_is_missing_or_unknown_is_refused(field: str, given: Given, why: str) -> None:
    with pytest.raises(Usage, match=why):
        values_for(layout(field), given)


# --------------------------------------------------------------------------------- any layout, any values


def _hex(low: int, high: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=low, max_size=high).map(bytes.hex)


@st.composite
def boards(draw: st.DrawFn) -> tuple[Layout, Given]:
    """Fields of every type with gaps between them, a checksum over some of them, and values that fit."""
    at, parts, asked = 0, [], {}
    for index in range(draw(st.integers(1, 5))):
        at += draw(st.integers(0, 9))
        kind = draw(st.sampled_from(("u8", "u16", "u32", "u64", "text", "uuid", "mac", "date", "bytes")))
        length, keys = (
            {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "uuid": 16, "mac": 6, "date": 4}.get(kind, 9),
            "",
        )
        if kind[0] == "u" and kind != "uuid":
            value = str(draw(st.integers(0, 256**length - 1)))
            keys = f'endian = "{draw(st.sampled_from(("little", "big")))}"'
        elif kind == "text":
            padding = draw(st.sampled_from((0x00, 0x20, 0xFF)))
            keys = f"length = 9\npadding = {padding}"
            letters = st.text("abcXYZ019- _", min_size=1, max_size=9)
            value = draw(letters.filter(lambda text: not text.endswith(" ")))
        elif kind == "bytes":
            keys, value = "length = 9", draw(_hex(9, 9))
        elif kind == "uuid":
            value = str(draw(st.uuids()))
        elif kind == "mac":
            value = "02:" + bytes.fromhex(draw(_hex(5, 5))).hex(":")
        else:
            value = draw(st.dates()).isoformat()
        parts.append(f'name = "f{index}"\ntype = "{kind}"\noffset = {at}\nasked = true\n{keys}')
        asked[f"f{index}"] = value
        start, at = at, at + length
        if draw(st.booleans()):
            over = f"over = {{ offset = {start}, length = {length} }}"
            parts.append(f'name = "c{index}"\ntype = "crc"\noffset = {at}\nalgorithm = "crc-32"\n{over}')
            at += 4
    return layout(*parts), Given(asked=asked)


@given(boards())
def test_what_is_outside_the_fields_stays_blank_and_reading_back_gives_the_values(
    board: tuple[Layout, Given],
) -> None:
    made, given_ = board
    values = values_for(made, given_)
    data = blank(F746, *patches_for(made, values)).data
    inside = {at for field in made.fields for at in range(field.offset, field.end)}
    assert all(byte == 0xFF for at, byte in enumerate(data) if at not in inside)
    read = decode(made, data)
    assert {one.field.name: one.value for one in read if one.field.name in values} == values == given_.asked
    assert not any(one.is_wrong for one in read)


@given(boards(), st.binary(min_size=1024, max_size=1024))
def test_any_bytes_are_decoded_to_values_that_have_these_bytes_or_to_none(
    board: tuple[Layout, Given], data: bytes
) -> None:
    for read in decode(board[0], data):
        assert read.data == data[read.field.offset : read.field.end]
        if read.value is not None and not isinstance(read.field, Crc | Text):
            assert read.field.encode(read.value) == read.data
