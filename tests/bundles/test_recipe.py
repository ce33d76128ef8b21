"""Recipes and firmware files, with files put together byte by byte as their standards say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from bundles.recipe import Input, dfuse_segments, image_segments, merge, parse_recipe, read_segments
from updater.errors import Usage
from updater.facts import Segment

RECIPE = """
product = "acme-x1"
hardware = ["A", "B"]
version = "1.2.3"
security_counter = 4
channels = ["stable"]
created = 2026-05-01
min_tool = "0.1.0"
notes = "Fewer crashes."
header_address = 0x08000400

[[image]]
name = "x1"
for = { dev_ids = [0x450] }
inputs = [{ file = "fw.bin", address = 0x08000000 }]
"""
HEADER = (
    b"FWID" + b"\x01\x00" + b"\x2c\x00"
    + b"acme-x1".ljust(16, b"\0") + b"B".ljust(8, b"\0")
    + b"\x01\x00\x02\x00\x03\x00\x00\x00" + b"\x04\x00\x00\x00"
)  # fmt: skip
FIRMWARE = b"\x55" * 0x400 + HEADER


def intel_hex_record(kind: int, address: int, data: bytes) -> str:
    record = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return f":{record.hex().upper()}{-sum(record) & 0xFF:02X}\n"


def jamcrc(data: bytes) -> int:
    """CRC-32 without the final inversion, bit by bit: DFU 1.1 appendix B."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


def dfuse(*elements: tuple[int, bytes], targets: int = 1, alternate: int = 0) -> bytes:
    """UM0391: prefix 11 bytes, target prefix 274, elements, suffix 16."""
    body = b"".join(struct.pack("<II", address, len(data)) + data for address, data in elements)
    name = b"flash".ljust(255, b"\0")
    target = struct.pack("<6sBI255sII", b"Target", alternate, 1, name, len(body), len(elements)) + body
    prefix = struct.pack("<5sBIB", b"DfuSe", 1, 11 + len(target), targets)
    suffix = struct.pack("<HHHH3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    whole = prefix + target + suffix
    return whole + struct.pack("<I", jamcrc(whole))


def elf32(*loads: tuple[int, int, bytes]) -> bytes:
    """An ELF32 little-endian ARM executable of LOAD segments: virtual address, physical address, bytes."""
    at = 52 + 32 * len(loads)
    table, content = b"", b""
    for virtual, physical, data in loads:
        sizes = (len(data), len(data) + 64)
        table += struct.pack("<8I", 1, at + len(content), virtual, physical, *sizes, 5, 4)
        content += data
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0x08000000, 52, 0, 0, 52, 32, len(loads), 40, 0, 0)
    return ident + header + table + content


def test_a_recipe_is_read() -> None:
    recipe = parse_recipe(RECIPE.encode())
    assert (recipe.product, str(recipe.version), recipe.security_counter) == ("acme-x1", "1.2.3", 4)
    assert recipe.images[0].for_.dev_ids == (0x450,)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("security_counter = 4", "security_countr = 4", "security_countr"),
        ("security_counter = 4", "", "security_counter"),
        ("security_counter = 4", "security_counter = '4'", "security_counter"),
        ('version = "1.2.3"', 'version = "1.2"', "version"),
        ('channels = ["stable"]', 'channels = ["nightly"]', "channels"),
        ("dev_ids = [0x450]", "dev_ids = [0x450], rev = 1", "rev"),
        ("[[image]]", "[[image]", "breaks a rule"),
    ],
)
def test_a_recipe_with_a_slip_is_refused_and_the_key_is_named(old: str, new: str, where: str) -> None:
    with pytest.raises(Usage, match=where):
        parse_recipe(RECIPE.replace(old, new).encode())


def test_an_intel_hex_file_becomes_its_segments(tmp_path: Path) -> None:
    text = (
        intel_hex_record(4, 0, b"\x08\x00") + intel_hex_record(0, 0x0000, b"\x01\x02\x03\x04")
        + intel_hex_record(4, 0, b"\x08\x10") + intel_hex_record(0, 0x0010, b"\x05\x06")
        + intel_hex_record(5, 0, b"\x08\x00\x04\x2d") + ":00000001FF\n"
    )  # fmt: skip
    (tmp_path / "fw.hex").write_text(text)
    assert read_segments(Input(file="fw.hex"), tmp_path) == [
        Segment(address=0x08000000, data=b"\x01\x02\x03\x04"),
        Segment(address=0x08100010, data=b"\x05\x06"),
    ]


def test_a_damaged_hex_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fw.hex").write_text(":0400000001020304F3\n:00000001FF\n")
    with pytest.raises(Usage, match="cannot be read"):
        read_segments(Input(file="fw.hex"), tmp_path)


def test_an_elf_file_is_taken_by_physical_address_and_only_what_it_contains(tmp_path: Path) -> None:
    """The second segment is initialised data: it runs in RAM but lies in flash; its 64 zero bytes do not."""
    data = elf32((0x08000000, 0x08000000, b"code"), (0x20000000, 0x08000100, b"data"))
    (tmp_path / "fw.elf").write_bytes(data)
    assert read_segments(Input(file="fw.elf"), tmp_path) == [
        Segment(address=0x08000000, data=b"code"),
        Segment(address=0x08000100, data=b"data"),
    ]


def test_a_dfuse_file_becomes_its_elements() -> None:
    data = dfuse((0x08000000, b"first"), (0x08100000, b"second"))
    assert dfuse_segments(data) == [
        Segment(address=0x08000000, data=b"first"),
        Segment(address=0x08100000, data=b"second"),
    ]


def test_the_crc_of_the_dfu_suffix_is_the_known_one() -> None:
    """The catalogue's check value of CRC-32/JAMCRC over "123456789"."""
    assert jamcrc(b"123456789") == 0x340BC6D9


@pytest.mark.parametrize("at", [0, 6, 12, 290, 305, -1, -5, -8])
def test_a_dfuse_file_with_one_flipped_bit_is_refused(at: int) -> None:
    data = bytearray(dfuse((0x08000000, b"first"), (0x08100000, b"second")))
    data[at] ^= 1
    with pytest.raises(ValueError, match=r"CRC|suffix"):
        dfuse_segments(bytes(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (dfuse((0, b"x"), targets=2), "2 targets"),
        (dfuse((0, b"x"), alternate=1), "alternate setting 0"),
    ],
)
def test_a_dfuse_file_for_other_memory_than_the_flash_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        dfuse_segments(data)


@pytest.mark.parametrize("data", [b"", b"short", b"\0" * 400])
def test_a_file_that_only_has_the_name_of_a_dfu_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "fw.dfu").write_bytes(data)
    with pytest.raises(Usage, match="cannot be read"):
        read_segments(Input(file="fw.dfu"), tmp_path)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Input(file="fw.bin"), "needs an address"),
        (Input(file="fw.hex", address=0x08000000), "its own addresses"),
        (Input(file="fw.s19"), "only .bin, .hex, .elf and .dfu"),
    ],
)
def test_an_input_that_cannot_be_placed_is_refused(tmp_path: Path, entry: Input, why: str) -> None:
    (tmp_path / entry.file).write_bytes(b"x")
    with pytest.raises(Usage, match=why):
        read_segments(entry, tmp_path)


def test_segments_are_sorted_and_neighbours_joined() -> None:
    parts = [
        Segment(address=0x08000010, data=b"c"),
        Segment(address=0x08000004, data=b"b" * 4),
        Segment(address=0x08000000, data=b"a" * 4),
        Segment(address=0x08000020, data=b""),
    ]
    assert merge(parts) == (
        Segment(address=0x08000000, data=b"aaaabbbb"),
        Segment(address=0x08000010, data=b"c"),
    )


def test_two_inputs_for_one_address_are_refused() -> None:
    with pytest.raises(Usage, match="0x08000003"):
        merge([Segment(address=0x08000000, data=b"aaaa"), Segment(address=0x08000003, data=b"b")])


def test_the_header_in_the_firmware_must_be_the_recipes(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.encode())
    (tmp_path / "fw.bin").write_bytes(FIRMWARE)
    assert image_segments(recipe, recipe.images[0], tmp_path)[0].data == FIRMWARE


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"acme-x1", b"acme-x2", "says product acme-x2, the recipe says acme-x1"),
        (b"B\0", b"C\0", "says hardware C, the recipe says A, B"),
        (b"\x01\x00\x02\x00\x03\x00", b"\x01\x00\x02\x00\x04\x00", r"says version 1\.2\.4"),
        (b"\x04\x00\x00\x00", b"\x03\x00\x00\x00", "says security counter 3, the recipe says 4"),
        (b"FWID", b"\xff\xff\xff\xff", "no product header at 0x08000400"),
    ],
)
def test_the_wrong_firmware_file_is_noticed(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    recipe = parse_recipe(RECIPE.encode())
    (tmp_path / "fw.bin").write_bytes(FIRMWARE[:0x400] + HEADER.replace(old, new))
    with pytest.raises(Usage, match=why):
        image_segments(recipe, recipe.images[0], tmp_path)
