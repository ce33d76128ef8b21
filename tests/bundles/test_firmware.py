"""Firmware files become segments, or are refused in words; none is half read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles.firmware import merge, read_firmware
from tests.bundles.firmware_kit import dfuse, dfuse_target, elf32, intel_hex, intel_hex_record
from updater.words.errors import Usage
from updater.words.facts import Segment

TWO_REGIONS = intel_hex((0x08000000, b"\x01\x02\x03\x04"), (0x08100010, b"\x05\x06"))


def read(folder: Path, name: str, data: bytes | str, address: int | None = None) -> list[Segment]:
    file = folder / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_firmware(file, address)


def test_a_bin_file_lies_at_its_address(tmp_path: Path) -> None:
    assert read(tmp_path, "fw.bin", b"code", 0x08000000) == [Segment(address=0x08000000, data=b"code")]


def test_an_intel_hex_file_of_several_regions_becomes_its_segments(tmp_path: Path) -> None:
    assert read(tmp_path, "fw.hex", TWO_REGIONS) == [
        Segment(address=0x08000000, data=b"\x01\x02\x03\x04"),
        Segment(address=0x08100010, data=b"\x05\x06"),
    ]


@pytest.mark.parametrize("kind", [3, 5])
def test_a_start_address_in_a_hex_file_is_not_flashed(tmp_path: Path, kind: int) -> None:
    """Records 03 (CS:IP) and 05 (EIP) tell a debugger where to start."""
    text = intel_hex_record(kind, 0, b"\x08\x00\x04\x2d") + TWO_REGIONS
    assert read(tmp_path, "fw.hex", text) == read(tmp_path, "plain.hex", TWO_REGIONS)


def test_a_hex_file_with_windows_line_ends_is_the_same(tmp_path: Path) -> None:
    windows = TWO_REGIONS.replace("\n", "\r\n")
    assert read(tmp_path, "fw.hex", windows) == read(tmp_path, "plain.hex", TWO_REGIONS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(":0400000001020304F3\n:00000001FF\n", "checksum", id="wrong checksum"),
        pytest.param(":0500000001020304F1\n:00000001FF\n", "length", id="wrong length"),
        pytest.param(":04000006010203\n:00000001FF\n", "length|record", id="record cut off"),
        pytest.param(intel_hex_record(6, 0, b"\x01") + ":00000001FF\n", "type", id="unknown type"),
        pytest.param("S00600004844521B\n:00000001FF\n", "record", id="an S-record file"),
        pytest.param("hello\n", "end-of-file", id="no hex file at all"),
        pytest.param("", "end-of-file", id="empty"),
        pytest.param(TWO_REGIONS.removesuffix(":00000001FF\n"), "is cut off", id="without its end"),
        pytest.param(TWO_REGIONS + TWO_REGIONS, "two files in one", id="two files in one"),
        pytest.param(TWO_REGIONS + "\n" + intel_hex_record(0, 0, b"x"), "two files", id="data after the end"),
        pytest.param(
            intel_hex((0x08000000, b"abcd"), (0x08000003, b"e")), "overlap at address 0x8000003", id="overlap"
        ),
        pytest.param("\u20ac" + TWO_REGIONS, "ascii", id="not ASCII"),
    ],
)
def test_a_hex_file_with_a_fault_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Usage, match=rf"fw\.hex cannot be read.*({why})"):
        read(tmp_path, "fw.hex", text)


def test_an_elf_file_is_taken_by_physical_address_and_only_what_it_contains(tmp_path: Path) -> None:
    """The second segment is initialised data: it runs in RAM but lies in flash; its 64 zero bytes do not."""
    data = elf32((0x08000000, 0x08000000, b"code"), (0x20000000, 0x08000100, b"data"))
    assert read(tmp_path, "fw.elf", data) == [
        Segment(address=0x08000000, data=b"code"),
        Segment(address=0x08000100, data=b"data"),
    ]


def test_a_segment_of_zeros_only_needs_no_flash(tmp_path: Path) -> None:
    data = elf32((0x08000000, 0x08000000, b"code"), (0x20000000, 0x20000000, b""))
    assert read(tmp_path, "fw.elf", data) == [Segment(address=0x08000000, data=b"code")]


GOOD_ELF = elf32((0x08000000, 0x08000000, b"code" * 8))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(elf32((0, 0, b"x"), machine=62), "not for a 32-bit .* ARM", id="x86-64"),
        pytest.param(elf32((0, 0, b"x"), machine=243), "not for a 32-bit .* ARM", id="RISC-V"),
        pytest.param(GOOD_ELF[:4] + b"\x02" + GOOD_ELF[5:] + bytes(64), "ARM", id="64 bits"),
        pytest.param(GOOD_ELF[:5] + b"\x02" + GOOD_ELF[6:], "ARM", id="big-endian"),
        pytest.param(elf32((0, 0, b"x"), kind=1), "not a linked program", id="an object file"),
        pytest.param(elf32((0, 0, b"x"), kind=3), "not a linked program", id="position-independent"),
        pytest.param(GOOD_ELF[:-1], "is cut off", id="a byte short"),
        pytest.param(GOOD_ELF[:60], "", id="cut in its program headers"),
        pytest.param(GOOD_ELF[:20], "", id="cut in its header"),
        pytest.param(b"\x7fELF", "", id="the mark alone"),
        pytest.param(b"MZ" + bytes(200), "", id="another format"),
        pytest.param(
            elf32((0x08000000, 0x08000000, b"x" * 90), offsets=[0]), "ELF header itself", id="header in flash"
        ),
    ],
)
def test_an_elf_file_with_a_fault_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(Usage, match=rf"fw\.elf cannot be read: .*{why}"):
        read(tmp_path, "fw.elf", data)


@pytest.mark.parametrize(
    ("name", "address", "why"),
    [
        ("fw.bin", None, "needs an address"),
        ("fw.hex", 0x08000000, "its own addresses"),
        ("fw.elf", 0x08000000, "its own addresses"),
        ("fw.dfu", 0x08000000, "its own addresses"),
        ("fw.s19", None, "only .bin, .hex, .elf and .dfu"),
        ("fw", 0x08000000, "only .bin, .hex, .elf and .dfu"),
    ],
)
def test_an_input_that_cannot_be_placed_is_refused(
    tmp_path: Path, name: str, address: int | None, why: str
) -> None:
    with pytest.raises(Usage, match=why):
        read(tmp_path, name, b"x", address)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Usage, match=r"nothing\.hex does not exist"):
        read_firmware(tmp_path / "nothing.hex")


def test_segments_are_sorted_and_neighbours_joined() -> None:
    parts = [
        Segment(address=0x08000010, data=b"c"),
        Segment(address=0x08000004, data=b"b" * 4),
        Segment(address=0x08000000, data=b"a" * 4),
        Segment(address=0x08000020, data=b""),
    ]
    assert merge([("fw.hex", part) for part in parts]) == (
        Segment(address=0x08000000, data=b"aaaabbbb"),
        Segment(address=0x08000010, data=b"c"),
    )


def test_two_inputs_for_one_address_are_refused_and_named() -> None:
    parts = [
        ("loader.bin", Segment(address=0x08000000, data=b"aaaa")),
        ("main.hex", Segment(address=0x08000003, data=b"b")),
    ]
    with pytest.raises(Usage, match=r"loader\.bin and main\.hex both fill the bytes from 0x08000003"):
        merge(parts)


def test_a_file_that_fills_an_address_twice_is_refused(tmp_path: Path) -> None:
    data = dfuse(dfuse_target((0x08000000, b"aaaa"), (0x08000002, b"bb")))
    parts = [("fw.dfu", part) for part in read(tmp_path, "fw.dfu", data)]
    with pytest.raises(Usage, match=r"fw\.dfu fills the bytes from 0x08000002 twice"):
        merge(parts)


GOOD = {
    ".hex": TWO_REGIONS.encode(),
    ".elf": elf32((0x08000000, 0x08000000, b"code"), (0x20000000, 0x08000100, b"data")),
    ".dfu": dfuse(dfuse_target((0x08000000, b"first"), (0x08100000, b"second"))),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    suffix=st.sampled_from(sorted(GOOD)),
    changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4),
    length=st.integers(0, 700),
)
def test_a_file_with_any_damage_is_read_or_refused_and_nothing_else(
    tmp_path: Path, suffix: str, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(GOOD[suffix][:length])
    for at, value in changes:
        if at < len(data):
            data[at] = value
    try:
        parts = read(tmp_path, f"fw{suffix}", bytes(data))
    except Usage:
        return
    assert all(part.data for part in parts)
