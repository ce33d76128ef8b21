"""Intel HEX: the examples of its specification, a second opinion by `intelhex`, and every damaged line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex

from updater.heads.hexfile import format_hex, parse_hex
from updater.words.facts import Segment

END = ":00000001FF\n"


def segments() -> st.SearchStrategy[list[Segment]]:
    """Sorted pieces that neither touch nor overlap, some across a border of 64 KiB."""
    piece = st.tuples(st.integers(1, 200), st.binary(min_size=1, max_size=70))
    return st.tuples(st.integers(0, 0x1FFF_FFFF), st.lists(piece, max_size=4)).map(lambda made: _laid(*made))


def _laid(at: int, pieces: list[tuple[int, bytes]]) -> list[Segment]:
    laid = []
    for gap, data in pieces:
        laid.append(Segment(address=at + gap, data=data))
        at = laid[-1].end
    return laid


def test_a_file_is_written_as_the_specification_has_it() -> None:
    """The sums are worked out by hand: minus the sum of the bytes, modulo 256."""
    text = format_hex([Segment(address=0x0800FFFE, data=b"\x01\x02\x03")])
    assert text == ":020000040800F2\n:02FFFE000102FE\n:020000040801F1\n:0100000003FC\n" + END


@given(segments())
def test_what_is_written_is_read_again(parts: list[Segment]) -> None:
    assert parse_hex(format_hex(parts).encode()) == parts


@given(segments())
def test_intelhex_reads_the_same_bytes(parts: list[Segment]) -> None:
    other = IntelHex()
    other.loadhex(io.StringIO(format_hex(parts)))
    read = [
        Segment(address=at, data=bytes(other.tobinarray(start=at, end=end - 1)))
        for at, end in other.segments()
    ]
    assert read == parts


def test_segment_addresses_and_start_records_are_understood() -> None:
    """Type 02 counts in 16 bytes; types 03 and 05 say nothing of memory."""
    text = ":020000021000EC\n:0100000041BE\n:04000003000038007F\n:04000005080001B539\n" + END
    text = text.replace(":04000003000038007F", ":0400000300003800C1")
    assert parse_hex(text.encode()) == [Segment(address=0x10000, data=b"A")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cut off"),
        (":0100000041BE\n", "cut off"),
        (END + ":0100000041BE\n", "two files"),
        (":0100000041BF\n" + END, "sum in line 1"),
        (":0200000041BD\n" + END, "line 1 is not"),
        ("0100000041BE\n" + END, "line 1 is not"),
        (":01 0000 0041BE\n" + END, "line 1 is not"),
        (":0100000041\n" + END, "line 1 is not"),
        (":0100000641B8\n" + END, "type 06"),
        (":0100000408F3\n" + END, "type 04"),
        (":0100000041BE\n:0100000042BD\n" + END, "two of its lines are about address 0x00000000"),
        (":02FFFF004142 7D\n".replace(" ", "") + END, "64 KiB"),
    ],
)
def test_a_damaged_file_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_hex(text.encode())
