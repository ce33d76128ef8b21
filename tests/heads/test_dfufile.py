"""DfuSe files: what UM0391 says byte by byte is what is written, and is all that is read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles.firmware_kit import dfuse, dfuse_target, jamcrc, sealed
from updater.heads.dfufile import format_dfuse, parse_dfuse
from updater.words.facts import Segment

FIRST = Segment(address=0x08000000, data=b"first")
SECOND = Segment(address=0x08100000, data=b"second")
BOTH = dfuse(dfuse_target((0x08000000, b"first"), (0x08100000, b"second")))


def test_the_crc_of_the_dfu_suffix_is_the_known_one() -> None:
    """The catalogue's check value of CRC-32/JAMCRC over "123456789"."""
    assert jamcrc(b"123456789") == 0x340BC6D9


def test_a_dfuse_file_becomes_its_elements() -> None:
    assert parse_dfuse(BOTH) == [FIRST, SECOND]


def test_a_file_of_several_targets_for_the_flash_is_read_in_order() -> None:
    """ST's DFU file manager makes a target of every image it is given."""
    data = dfuse(dfuse_target((0x08000000, b"first")), dfuse_target((0x08100000, b"second")))
    assert parse_dfuse(data) == [FIRST, SECOND]


@pytest.mark.parametrize("alternate", [1, 2, 255])
def test_a_target_for_other_memory_than_the_flash_is_refused(alternate: int) -> None:
    data = dfuse(dfuse_target((0x08000000, b"x")), dfuse_target((0x1FFFC000, b"x"), alternate=alternate))
    with pytest.raises(ValueError, match=f"target 2 of 2 is for alternate setting {alternate}, which is not"):
        parse_dfuse(data)


def test_a_file_with_one_flipped_bit_anywhere_is_refused() -> None:
    flipped = (BOTH[:at] + bytes([BOTH[at] ^ 1]) + BOTH[at + 1 :] for at in range(len(BOTH)))
    assert all("CRC is wrong" in said or "DFU suffix" in said for said in map(refusal, flipped))


def test_a_file_that_is_cut_off_anywhere_is_refused() -> None:
    shorter = (BOTH[:length] for length in range(len(BOTH)))
    assert all("too short" in said or "cut off" in said for said in map(refusal, shorter))


def refusal(data: bytes) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_dfuse(data)
    return str(caught.value)


PREFIX = struct.Struct("<5sBIB")
TARGET = dfuse_target((0x08000000, b"first"))


LENGTH = 11 + len(TARGET)


def with_prefix(mark: bytes, version: int, size: int, targets: int, body: bytes = TARGET) -> bytes:
    """Sealed with a right CRC, so that only the prefix or the body can be what is refused."""
    return sealed(PREFIX.pack(mark, version, size, targets) + body)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(with_prefix(b"DfuSE", 1, LENGTH, 1), "prefix", id="another mark"),
        pytest.param(with_prefix(b"DfuSe", 2, LENGTH, 1), "prefix", id="another version"),
        pytest.param(with_prefix(b"DfuSe", 1, LENGTH - 1, 1), "wrong size", id="size too small"),
        pytest.param(with_prefix(b"DfuSe", 1, LENGTH + 16, 1), "wrong size", id="size with suffix"),
        pytest.param(with_prefix(b"DfuSe", 1, 11, 0, b""), "no target", id="no target"),
        pytest.param(with_prefix(b"DfuSe", 1, LENGTH, 2), "target 2 of 2 is missing", id="one less"),
        pytest.param(with_prefix(b"DfuSe", 1, LENGTH, 0), "no target", id="one more"),
        pytest.param(with_prefix(b"DfuSe", 1, LENGTH + 2, 1, TARGET + b"xy"), "follow its last", id="rest"),
        pytest.param(
            with_prefix(b"DfuSe", 1, LENGTH, 1, b"tARGET" + TARGET[6:]),
            "is not one",
            id="no target",
        ),
    ],
)
def test_a_file_whose_parts_do_not_add_up_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_dfuse(data)


@pytest.mark.parametrize(
    ("size", "count", "length", "why"),
    [
        (14, 1, 5, "longer than the file"),
        (12, 1, 5, "longer than the target"),
        (13, 2, 5, "fewer elements"),
        (13, 1, 4, "more bytes than its elements"),
        (13, 1, 6, "longer than the target"),
        (13, 0, 5, "more bytes than its elements"),
        (13, 1, 0xFFFF_FFFF, "longer than the target"),
        (13, 0xFFFF_FFFF, 5, "fewer elements"),
    ],
)
def test_a_target_whose_elements_do_not_add_up_is_refused(
    size: int, count: int, length: int, why: str
) -> None:
    head = struct.pack("<6sBI255sII", b"Target", 0, 0, b"", size, count)
    data = dfuse(head + struct.pack("<II", 0x08000000, length) + b"first")
    with pytest.raises(ValueError, match=why):
        parse_dfuse(data)


@pytest.mark.parametrize(
    ("address", "fits"), [(0xFFFF_FFFB, True), (0xFFFF_FFFC, False), (0xFFFF_FFFF, False)]
)
def test_an_element_ends_at_the_last_address_at_the_latest(address: int, fits: bool) -> None:
    """Found by the fuzzer: five bytes at 0xFFFFFFFC would end where no address is."""
    head = struct.pack("<6sBI255sII", b"Target", 0, 0, b"", 13, 1)
    data = dfuse(head + struct.pack("<II", address, 5) + b"first")
    if fits:
        assert parse_dfuse(data) == [Segment(address=address, data=b"first")]
    else:
        with pytest.raises(ValueError, match="beyond the last 32-bit address"):
            parse_dfuse(data)


def test_a_plain_dfu_file_is_refused_because_it_has_no_addresses() -> None:
    with pytest.raises(ValueError, match=r"plain DFU file \(bcdDFU 0x0100\)"):
        parse_dfuse(sealed(b"\x00" * 400, bcd_dfu=0x0100))


def test_the_written_file_is_byte_for_byte_that_of_the_standard() -> None:
    written = format_dfuse([FIRST, SECOND], name="acme-x1 1.2.3 main", bcd_device=0x2200)
    target = dfuse_target((0x08000000, b"first"), (0x08100000, b"second"), name=b"acme-x1 1.2.3 main")
    assert written == dfuse(target, bcd_device=0x2200)


def test_the_written_file_has_the_standards_fields_at_their_places() -> None:
    """UM0391, typed: prefix 0..10, target prefix 11..284, element 285.., suffix in the last 16 bytes."""
    written = format_dfuse([FIRST], name="x")
    assert written[:11] == b"DfuSe\x01" + (298).to_bytes(4, "little") + b"\x01"
    assert written[11:17] == b"Target"
    assert written[17:22] == b"\x00\x01\x00\x00\x00", "alternate setting 0, named"
    assert written[22:277] == b"x".ljust(255, b"\0")
    assert written[277:285] == b"\x0d\x00\x00\x00\x01\x00\x00\x00", "13 bytes, one element"
    assert written[285:298] == b"\x00\x00\x00\x08\x05\x00\x00\x00first"
    assert written[298:310] == b"\x00\x00\x11\xdf\x83\x04\x1a\x01UFD\x10"
    assert len(written) == 314


def test_a_long_name_is_cut_and_stays_a_c_string() -> None:
    written = format_dfuse([FIRST], name="n" * 400)
    assert written[22:277] == b"n" * 254 + b"\0"
    assert parse_dfuse(written) == [FIRST]


SEGMENTS = st.lists(
    st.builds(Segment, address=st.integers(0, 2**32 - 40), data=st.binary(max_size=40)), max_size=6
)
"""None ends beyond the last address."""


@given(
    segments=SEGMENTS, name=st.text(st.characters(codec="ascii"), max_size=300), bcd=st.integers(0, 0xFFFF)
)
def test_what_is_written_is_read_back(segments: list[Segment], name: str, bcd: int) -> None:
    written = format_dfuse(segments, name=name, bcd_device=bcd)
    assert parse_dfuse(written) == segments
    assert int.from_bytes(written[-4:], "little") == jamcrc(written[:-4])
