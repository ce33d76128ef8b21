"""The 44 and 64 bytes in which a product says who it is (docs/integration.md)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from updater.words.facts import ApplicationIdentity, ProductHeader

# Typed from the table in docs/integration.md.
HEADER = bytes.fromhex(
    "46574944"  # FWID
    "0100 2c00"  # schema 1, 44 bytes
    "64656d6f2d7769646765740000000000"  # demo-widget
    "4100000000000000"  # A
    "0100 0200 0300 0000"  # 1.2.3
    "07000000"  # security counter
)
IDENTITY = HEADER + bytes.fromhex("000102030405060708090a0b5064032091000000")


def test_a_header_is_read_as_the_table_says() -> None:
    header = ProductHeader.parse(HEADER)
    assert header == ProductHeader(
        product="demo-widget", hardware="A", version=Version(1, 2, 3), security_counter=7
    )
    assert header.pack() == HEADER


def test_an_identity_is_read_as_the_table_says() -> None:
    said = ApplicationIdentity.parse(IDENTITY)
    assert said is not None
    assert said.uid == bytes(range(12))
    assert said.idcode == 0x20036450
    assert said.rom_version == 0x91
    assert said.pack() == IDENTITY


def test_a_rom_version_of_zero_is_not_known() -> None:
    said = ApplicationIdentity.parse(IDENTITY[:60] + bytes(4))
    assert said is not None
    assert said.rom_version is None


def test_erased_flash_is_no_header() -> None:
    assert ProductHeader.parse(b"\xff" * 44) is None
    assert ProductHeader.parse(b"") is None
    assert ApplicationIdentity.parse(IDENTITY[:50]) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_a_header_that_packs_to_itself_or_none(data: bytes) -> None:
    header = ProductHeader.parse(data)
    assert header is None or header.pack() == data[:44]


@given(st.integers(0, 43), st.integers(1, 255))
def test_a_header_with_one_wrong_byte_never_breaks(at: int, flip: int) -> None:
    spoilt = bytearray(HEADER)
    spoilt[at] ^= flip
    header = ProductHeader.parse(bytes(spoilt))
    assert header is None or header.pack() == bytes(spoilt)
