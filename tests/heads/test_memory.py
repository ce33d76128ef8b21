"""Which bytes are read, as what they are kept, how they look, and what option bytes mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles.firmware_kit import dfuse_target, sealed
from tests.heads.plan_kit import facts, widget
from tests.heads.silicon_kit import TEXTS
from updater.heads.dfufile import decode_dfu, format_dfuse
from updater.heads.memory import (
    Difference,
    Format,
    Kind,
    Memory,
    Wanted,
    compare,
    format_memory,
    format_of,
    parse_memory,
    places_of,
)
from updater.heads.memorywords import MOST_ROWS, dfu_words, hex_view
from updater.heads.silicon import Chip, decode_options, parse_silicon, the_table
from updater.words.errors import Refused, Usage
from updater.words.facts import Segment

TABLE = the_table()


def chip(name: str) -> Chip:
    row = TABLE.by_id(name)
    assert row is not None
    return row


def places(name: str, wanted: Wanted, **known: Any) -> list[tuple[int, int]]:
    found = places_of(wanted, chip(name), facts(chip=name, **known), widget(chips=(name,)))
    return [(place.address, place.length) for place in found]


# ------------------------------------------------------------------------------------------------- places


def test_a_flash_with_a_hole_between_its_banks_is_two_places() -> None:
    """An F767 of 1 MB in two banks has none; an H743 of 1 MB has its second bank at 0x08100000 (RM0433)."""
    assert places("stm32f405", Wanted(kind=Kind.FLASH), flash_kib=512) == [(0x08000000, 0x80000)]
    assert places("stm32h743", Wanted(kind=Kind.FLASH), flash_kib=2048) == [(0x08000000, 0x200000)]
    assert places("stm32h743", Wanted(kind=Kind.FLASH), flash_kib=1024) == [
        (0x08000000, 0x80000),
        (0x08100000, 0x80000),
    ]


def test_a_size_that_is_not_known_has_to_be_said() -> None:
    with pytest.raises(Refused, match="512 or 1,024 KiB"):
        places("stm32f405", Wanted(kind=Kind.FLASH))
    assert places("stm32f405", Wanted(kind=Kind.FLASH, length=16)) == [(0x08000000, 16)]


def test_lock_bytes_belong_to_the_otp_region() -> None:
    assert places("stm32f746", Wanted(kind=Kind.OTP)) == [(0x1FF0F000, 1040)]
    assert places("stm32l476", Wanted(kind=Kind.OTP)) == [(0x1FFF7000, 1024)]


@given(st.integers(0, 0xFFFF_FFFF), st.integers(1, 0x20_0000))
def test_any_range_is_cut_to_what_was_asked_for_or_refused(address: int, length: int) -> None:
    wanted = Wanted(kind=Kind.FLASH, address=address, length=length)
    inside = address >= 0x0800_0000 and address + length <= 0x0808_0000
    try:
        found = places("stm32f405", wanted, flash_kib=512)
    except Usage:
        assert not inside
    else:
        assert inside
        assert found == [(address, length)]


# ---------------------------------------------------------------------------------------------- comparing


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60), st.integers(0, 0xFFFF_0000))
def test_the_differences_are_counted_and_the_first_is_named(one: bytes, two: bytes, at: int) -> None:
    size = min(len(one), len(two))
    device, file = Segment(address=at, data=one[:size]), Segment(address=at, data=two[:size])
    wrong = [n for n in range(size) if one[n] != two[n]]
    expected = Difference(len(wrong), at + wrong[0], one[wrong[0]], two[wrong[0]]) if wrong else None
    assert compare([device], [file]) == expected


def test_what_was_not_read_cannot_be_compared() -> None:
    with pytest.raises(Usage, match="not all in this memory"):
        compare([Segment(address=8, data=b"abcd")], [Segment(address=6, data=b"abcd")])


# -------------------------------------------------------------------------------------------------- files


PARTS = st.builds(
    lambda at, gap, one, two: (
        Segment(address=at, data=one),
        Segment(address=at + len(one) + gap, data=two),
    ),
    st.integers(0, 0xFFFE_0000),
    st.integers(1, 0x1000),
    st.binary(min_size=1, max_size=300),
    st.binary(min_size=1, max_size=300),
)


@given(PARTS, st.sampled_from([Format.HEX, Format.DFU]))
def test_what_is_kept_in_a_file_is_read_from_it_again(parts: tuple[Segment, ...], how: Format) -> None:
    memory = Memory(kind=Kind.FLASH, parts=parts, alternate=0)
    assert parse_memory(format_memory(memory, how, name="x"), how, address=None) == parts


def test_a_raw_file_has_no_room_for_a_gap() -> None:
    parts = (Segment(address=0, data=b"a"), Segment(address=9, data=b"b"))
    with pytest.raises(Usage, match="gap"):
        format_memory(Memory(kind=Kind.FLASH, parts=parts, alternate=0), Format.BIN, name="x")


@pytest.mark.parametrize(
    ("name", "asked", "format"),
    [
        ("a.hex", None, Format.HEX),
        ("a.DFU", None, Format.DFU),
        ("a.bin", None, Format.BIN),
        ("a.raw", None, Format.BIN),
        ("bin", None, Format.BIN),
        ("a.hex", "dfu", Format.DFU),
    ],
)
def test_the_format_is_that_of_the_name_unless_it_is_said(
    name: str, asked: str | None, format: Format
) -> None:
    assert format_of(name, asked) is format


def test_a_file_that_says_a_byte_twice_is_refused() -> None:
    data = format_dfuse([Segment(address=0, data=b"ab"), Segment(address=1, data=b"c")], name="x")
    with pytest.raises(Usage, match="says twice what stands at 0x00000001"):
        parse_memory(data, Format.DFU, address=None)


# ----------------------------------------------------------------------------------------------- hex view


def test_lines_that_repeat_are_folded_and_the_last_one_stands() -> None:
    data = b"A" * 16 + b"\0" * 64 + b"end"
    assert hex_view([Segment(address=0x100, data=data)]) == [
        "0x00000100  " + " ".join(["41"] * 16) + "  AAAAAAAAAAAAAAAA",
        "0x00000110  " + " ".join(["00"] * 16) + "  ................",
        "*",
        "0x00000150  65 6E 64                                         end",
    ]


def test_a_long_view_ends_with_how_much_there_is_more() -> None:
    data = bytes(n // 16 & 0xFF for n in range(16 * 100))
    view = hex_view([Segment(address=0, data=data)])
    assert len(view) == MOST_ROWS + 1
    assert view[-1] == "... and 36 lines more; --output FILE takes all of it"


@given(st.binary(min_size=1, max_size=600))
def test_every_line_fits_a_terminal_and_steers_none(data: bytes) -> None:
    for line in hex_view([Segment(address=0xFFFF_0000, data=data)]):
        assert len(line) <= 79
        assert line.isascii()
        assert line.isprintable()


# ------------------------------------------------------------------------------------------- option bytes


def decoded(name: str, *words: tuple[int, int], base: int) -> dict[str, str | None]:
    """What these (offset, 32-bit word) mean at the chip's option bytes; all other bits are 1."""
    row = chip(name)
    assert row.option_bytes is not None
    assert row.option_bytes.at == base
    data = bytearray(b"\xff" * row.option_bytes.bytes)
    for at, word in words:
        data[at : at + 4] = word.to_bytes(4, "little")
    return {one.name: one.meaning for one in decode_options(TABLE.options, name, base, bytes(data))}


def test_an_f405_as_it_is_delivered() -> None:
    """RM0090: 0x1FFFC000 holds 0xAAFF, 0x1FFFC008 0xFFFF."""
    assert decoded("stm32f405", (0, 0x5500_AAFF), (8, 0x0000_FFFF), base=0x1FFFC000) == {
        "RDP": "level 0: not read-protected",
        "BOR_LEV": "brown-out reset is off",
        "WDG_SW": "the watchdog is started by firmware",
        "nWRP": "write-protected sectors: none",
    }


def test_an_f405_that_is_locked() -> None:
    """RDP 0x00, BOR level 3, hardware watchdog, sectors 0 and 11 protected."""
    assert decoded("stm32f405", (0, 0x00D3), (8, 0xF7FE), base=0x1FFFC000) == {
        "RDP": "level 1: read-protected",
        "BOR_LEV": "brown-out reset level 3, the highest",
        "WDG_SW": "the watchdog runs from reset on",
        "nWRP": "write-protected sectors: 0, 11",
    }


def test_an_f767_in_two_banks() -> None:
    """RM0410: nDBANK is bit 29 of FLASH_OPTCR, whose upper half stands at 0x1FFF0008."""
    words = decoded("stm32f767", (0, 0xAAFF), (8, 0xDFFF), (16, 0x0080), (24, 0x0040), base=0x1FFF0000)
    assert words["nDBANK"] == "the flash is in two banks"
    assert words["BOOT_ADD0"] == "starts at 0x00200000"
    assert words["BOOT_ADD1"] == "starts at 0x00100000"


def test_a_g474_as_it_is_delivered() -> None:
    """0xFFEFF8AA (RM0440); WRP1A from 0x7F to 0 protects nothing."""
    words = decoded("stm32g474", (0, 0xFFEF_F8AA), (0x18, 0xFF00_FFFF), base=0x1FFF7800)
    assert words["RDP"] == "level 0: not read-protected"
    assert words["BOR_LEV"] == "brown-out reset level 0, the lowest"
    assert words["nSWBOOT0"] == "the BOOT0 pin decides where it starts"
    assert words["BFB2"] == "starts from bank 1"
    assert words["DBANK"] == "the flash is in two banks"
    assert words["WRP1A"] == "protects nothing"


def test_an_f072_as_it_is_delivered_and_with_a_block_protected() -> None:
    """0x00FF55AA (RM0091); WRP1 at 0x1FFFF80A with bit 2 clear is block 10."""
    words = decoded("stm32f072", (0, 0x00FF_55AA), (8, 0x04FB_00FF), base=0x1FFFF800)
    assert words["RDP"] == "level 0: not read-protected"
    assert words["nBOOT1"] == "with BOOT0 high it starts its bootloader"
    assert words["WRP0"] == "write-protected blocks of 4 KiB: none"
    assert words["WRP1"] == "write-protected blocks of 4 KiB: 10"


def test_an_l072_protects_where_the_bit_is_one() -> None:
    """RM0367: 0x807000AA in FLASH_OPTR; the option bytes stand in halves with their complements."""
    words = decoded("stm32l072", (0, 0xFF55_00AA), (4, 0x7F8F_8070), (8, 0xFFFE_0001), base=0x1FF80000)
    assert words["BOR_LEV"] == "brown-out reset is off"
    assert words["nBOOT1"] == "with BOOT0 high it starts its bootloader"
    assert words["WRP (low)"] == "write-protected sectors of 4 KiB: 0"


def test_an_h743_by_its_registers() -> None:
    """RM0433: OPTSR_CUR at offset 0, WPSN_CUR1R at 0x1C, BOOT_CURR at 0x24."""
    words = decoded(
        "stm32h743", (0, 0x1BC6_AAF0), (0x1C, 0xFF), (0x24, 0x1FF0_0800), base=0x5200201C
    )  # fmt: skip
    assert words["RDP"] == "level 0: not read-protected"
    assert words["BOR_LEV"] == "brown-out reset is off"
    assert words["BOOT_ADD0"] == "starts at 0x08000000"
    assert words["BOOT_ADD1"] == "starts at 0x1FF00000"


def test_a_value_that_the_manual_does_not_list_is_not_given_a_meaning() -> None:
    words = decoded("stm32g474", (0, 0xFFEF_FFAA), base=0x1FFF7800)
    assert words["BOR_LEV"] is None


def test_options_that_were_not_read_are_not_told() -> None:
    assert [one.name for one in decode_options(TABLE.options, "stm32f405", 0x1FFFC000, b"\xff\xaa")] == [
        "RDP",
        "BOR_LEV",
        "WDG_SW",
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("at = 0x1FFFF800, bits = 8, values", "at = 0x1FFFE800, bits = 8, values", "does not lie in"),
        ('chips = ["stm32wb55"]', 'chips = ["stm32wb56"]', "unknown chips: stm32wb56"),
        ('protects = "sectors of bank 1"', "first = 1", "in one way what it means"),
    ],
)
def test_nonsense_in_the_rows_is_refused(old: str, new: str, why: str) -> None:
    assert old in TEXTS["options.toml"]
    texts = TEXTS | {"options.toml": TEXTS["options.toml"].replace(old, new, 1)}
    with pytest.raises(ValueError, match=why):
        parse_silicon(*texts.values())


# ---------------------------------------------------------------------------------------------- DFU files


def test_a_dfuse_file_is_shown_from_outside_to_inside() -> None:
    target = dfuse_target((0x08000000, b"first"), (0x08100000, b"x"), name=b"ST...")
    options = dfuse_target((0x1FFFC000, bytes(16)), alternate=1, name=b"\x1b[2J")
    whole = b"DfuSe\x01" + (11 + len(target + options)).to_bytes(4, "little") + b"\x02" + target + options
    data = sealed(whole, bcd_device=0x2200)
    words = dfu_words(decode_dfu(data))
    crc = int.from_bytes(data[-4:], "little")
    assert words == [
        "A DfuSe file (bcdDFU 0x011A) with 2 targets.",
        "for          0483:df11, release 2200",
        f"CRC          0x{crc:08X}, which is right",
        "target       alternate setting 0 (the flash): ST...",
        "  element    5 bytes at 0x08000000 to 0x08000004",
        "  element    1 byte at 0x08100000 to 0x08100000",
        "target       alternate setting 1 (not the flash): ?[2J",
        "  element    16 bytes at 0x1FFFC000 to 0x1FFFC00F",
    ]


def test_a_plain_dfu_file_has_no_addresses_and_is_shown_all_the_same() -> None:
    file = decode_dfu(sealed(b"firmware", bcd_dfu=0x0100))
    assert (file.targets, file.body_bytes) == (None, 8)
    assert dfu_words(file)[0] == "A plain DFU file (bcdDFU 0x0100): 8 bytes without addresses."
