"""An image lies in the flash of its chips and can start there, or it is refused at the desk."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.demo.make import DemoVendor
from bundles.placement import as_elements, part_sectors, place
from tests.bundles.firmware_kit import FLASH, program
from updater.heads.manifest import ImageFor
from updater.heads.silicon import the_table
from updater.heads.vendor import Product, Vendor
from updater.words.errors import Usage
from updater.words.facts import Segment

F405 = ImageFor(dev_ids=(0x413,))
H743 = ImageFor(dev_ids=(0x450,))
BOTH = ImageFor(dev_ids=(0x413, 0x450))
KIB = 1024


def segments(*parts: tuple[int, bytes]) -> list[Segment]:
    return [Segment(address=address, data=data) for address, data in parts]


PROGRAM = (FLASH, program(KIB))


def test_a_program_at_the_start_of_flash_is_taken_as_it_is() -> None:
    given_ = segments(PROGRAM, (0x0810_0000, b"more"))
    assert place("main", H743, given_) == tuple(given_)


def test_an_image_may_fill_its_chips_flash_to_the_last_byte_and_not_one_more() -> None:
    """STM32F405: 1 MiB from 0x08000000 (RM0090 table 5)."""
    whole = segments((FLASH, program(1024 * KIB)))
    assert place("main", F405, whole) == tuple(whole)
    with pytest.raises(Usage, match=r"bytes at 0x08100000, which is not in flash; .* to 0x08100000"):
        place("main", F405, segments((FLASH, program(1024 * KIB + 1))))


def test_an_image_for_two_chips_must_lie_in_the_part_sectors_both() -> None:
    given_ = segments(PROGRAM, (0x0810_0000, b"more"))
    with pytest.raises(Usage, match=r"image main has bytes at 0x08100000.* the flash of STM32F405"):
        place("main", BOTH, given_)


@pytest.mark.parametrize(
    ("chosen", "address", "where"),
    [
        (F405, 0x1FFF_7800, "OTP Memory"),
        (F405, 0x1FFF_C000, "Option Bytes"),
        (H743, 0x5200_201C, "Option Bytes"),
        (F405, 0x1000_0000, "RAM"),
        (F405, 0x2000_0000, "RAM"),
        (H743, 0x2400_0000, "RAM"),
        (H743, 0x3800_0000, "RAM"),
        (F405, 0x1FFF_0000, "not in flash"),
        (H743, 0x9000_0000, "not in flash"),
        (H743, 0x07FF_FFFC, "not in flash"),
        (H743, 0x0000_0000, "not in flash"),
        (H743, 0xFFFF_FFF0, "not in flash"),
    ],
)
def test_bytes_for_other_memory_than_the_flash_are_refused_and_the_memory_is_named(
    chosen: ImageFor, address: int, where: str
) -> None:
    parts = sorted(segments(PROGRAM, (address, b"1234")), key=lambda part: part.address)
    with pytest.raises(Usage, match=rf"has bytes at 0x{address:08X}, which is (in )?{where}") as refused:
        place("main", chosen, parts)
    assert ("load address" in refused.value.advice) == (where == "RAM")


def test_a_chip_that_no_updater_knows_is_refused() -> None:
    with pytest.raises(Usage, match="image main: the silicon table does not know DEV_ID 0xFFF"):
        place("main", ImageFor(dev_ids=(0x450, 0xFFF)), segments(PROGRAM))


def test_a_chip_whose_flash_no_source_divides_is_refused() -> None:
    """No updater writes to it: the layout that its ROM shows may be another part's."""
    row = the_table().by_dev_id(0x450)
    assert row is not None
    with pytest.raises(Usage, match=r"no public source says how the flash of an STM32H74.* is divided"):
        part_sectors(msgspec.structs.replace(row, geometry=None), None)


def product(vendor: Vendor, **stated: Any) -> Product:
    return msgspec.structs.replace(vendor.products[0], **stated)


def test_the_flash_that_the_vendor_states_is_what_counts(demo_vendor: DemoVendor) -> None:
    """STM32H750: 128 KiB, though its ROM shows 2 MiB (DS12556; facts 4.4)."""
    small = product(demo_vendor.vendor, flash_kib=128)
    fits = segments((FLASH, program(128 * KIB)))
    assert place("main", H743, fits, small) == tuple(fits)
    more = segments((FLASH, program(128 * KIB + 4)))
    assert place("main", H743, more, product(demo_vendor.vendor)) == tuple(more)
    with pytest.raises(Usage, match=r"at 0x08020000, which is not in flash; .* to 0x08020000"):
        place("main", H743, more, small)


def test_bytes_between_the_banks_of_a_smaller_part_are_refused(demo_vendor: DemoVendor) -> None:
    """STM32H743xG: 1 MiB as two banks of 512 KiB, the second at 0x08100000 (OpenOCD stm32h7x.c)."""
    smaller = product(demo_vendor.vendor, flash_kib=1024)
    in_bank_2 = segments((FLASH, program(512 * KIB)), (0x0810_0000, b"more"))
    assert place("main", H743, in_bank_2, smaller) == tuple(in_bank_2)
    with pytest.raises(Usage, match="has bytes at 0x08080000, which is between its banks"):
        place("main", H743, segments((FLASH, program(512 * KIB + 4))), smaller)


def test_a_part_that_does_not_exist_is_refused(demo_vendor: DemoVendor) -> None:
    with pytest.raises(Usage, match="demo-widget has 100 KiB of flash in single bank mode"):
        place("main", H743, segments(PROGRAM), product(demo_vendor.vendor, flash_kib=100))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (program(KIB, sp=0x0800_1000), "SP 0x08001000 is not in RAM"),
        (program(KIB, sp=0x4000_0000), "SP 0x40000000 is not in RAM"),
        (program(KIB, sp=0x0FFF_FFFC), "SP 0x0FFFFFFC is not in RAM"),
        (program(KIB, sp=0), "SP 0x00000000 is not in RAM"),
        (program(KIB, sp=0xFFFF_FFFF), "SP 0xFFFFFFFF is not in RAM"),
        (program(KIB, sp=0x2000_8002), "SP 0x20008002 is not a multiple of 4"),
        (program(KIB, reset=0x0800_0100), "reset vector 0x08000100 is even"),
        (program(KIB, reset=0x0800_0401), "reset vector 0x08000401 is outside the image"),
        (program(KIB, reset=0x2000_0001), "reset vector 0x20000001 is outside the image"),
        (b"\xff" * KIB, "SP 0xFFFFFFFF is not in RAM"),
        (b"\x7fELF" + bytes(KIB), "is not in RAM"),
    ],
)
def test_a_vector_table_that_cannot_be_one_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(Usage, match=f"image main would not start on STM32H74.*{why}") as refused:
        place("main", H743, segments((FLASH, data)))
    assert refused.value.exit_status == 2


@pytest.mark.parametrize("address", [FLASH + 32, FLASH + 0x2_0000])
def test_an_image_that_does_not_begin_at_the_start_of_flash_is_refused(address: int) -> None:
    with pytest.raises(Usage, match="does not begin with a vector table at 0x08000000"):
        place("main", H743, segments((address, program(KIB, reset=address + 0x101))))


@pytest.mark.parametrize("sp", [0x1000_0000, 0x2002_0000, 0x2408_0000, 0x3004_8000, 0x3800_0400])
def test_a_stack_may_lie_in_any_ram(sp: int) -> None:
    (placed,) = place("main", H743, segments((FLASH, program(KIB, sp=sp))))
    assert placed.data[:4] == sp.to_bytes(4, "little")


def test_a_reset_vector_may_point_into_another_segment() -> None:
    parts = segments((FLASH, program(KIB, reset=0x0804_0001)), (0x0804_0000, b"\1" * 64))
    assert len(place("main", H743, parts)) == 2


def test_parts_with_a_gap_inside_one_program_unit_become_one() -> None:
    """An Intel HEX file has such gaps where sections are aligned; an H743 programs 32 bytes at once."""
    split = segments((FLASH, program(KIB + 4)), (FLASH + KIB + 8, b"\2" * 8))
    (joined,) = place("main", H743, split)
    assert joined.data == program(KIB + 4) + b"\xff" * 4 + b"\2" * 8
    assert place("main", F405, split) == tuple(split), "an F405 programs four bytes at once"


def test_parts_in_program_units_of_their_own_stay_apart() -> None:
    split = segments((FLASH, program(KIB + 4)), (FLASH + KIB + 32, b"\2" * 8))
    assert place("main", H743, split) == tuple(split)


def test_a_part_at_an_odd_address_is_refused() -> None:
    """The ROM takes multiples of 4 only (AN3156)."""
    with pytest.raises(Usage, match="starts at 0x08002002, which is not a multiple of 4"):
        place("main", F405, segments(PROGRAM, (FLASH + 0x2002, b"ab")))


SECOND_SECTOR = 0x0802_0000
"""The H743's sectors are 128 KiB; here one begins in both chips."""


@pytest.mark.parametrize(("chosen", "unit"), [(F405, 4), (H743, 32), (BOTH, 32)])
def test_the_elements_of_an_export_are_whole_program_units(chosen: ImageFor, unit: int) -> None:
    """F405: 4 bytes (AN2606 table 7); H743: the flash word of 256 bits (RM0433)."""
    given_ = segments((FLASH, b"abc"), (SECOND_SECTOR + 0x104, b"x" * 32))
    (first, second) = as_elements("main", chosen, given_)
    assert first.data == b"abc".ljust(unit, b"\xff")
    start = 0x104 // unit * unit
    assert second.address == SECOND_SECTOR + start
    assert second.data == (b"\xff" * (0x104 - start) + b"x" * 32).ljust(len(second.data), b"\xff")
    assert len(second.data) % unit == 0


@pytest.mark.parametrize(
    ("chosen", "address", "elements"),
    [
        (F405, FLASH + 0x3FFC, 1),
        (F405, FLASH + 0x4000, 2),
        (H743, FLASH + 0x4000, 1),
        (H743, FLASH + 0x1_FFFC, 1),
        (H743, FLASH + 0x2_0000, 2),
        (BOTH, FLASH + 0x4000, 1),
    ],
)
def test_two_elements_of_an_export_never_share_a_sector(
    chosen: ImageFor, address: int, elements: int
) -> None:
    """A tool that erases element by element would erase the first again. F405: 16 KiB, H743: 128 KiB."""
    made = as_elements("main", chosen, segments((FLASH, b"code"), (address, b"more")))
    assert len(made) == elements
    last = made[-1]
    assert last.data[address - last.address :][:4] == b"more"


def by_address(parts: tuple[Segment, ...]) -> dict[int, int]:
    return {part.address + at: byte for part in parts for at, byte in enumerate(part.data)}


@given(
    gaps=st.lists(st.integers(1, 0x3_0000), max_size=5),
    lengths=st.lists(st.integers(1, 100), min_size=6, max_size=6),
    chosen=st.sampled_from([F405, H743, BOTH]),
)
def test_no_byte_is_changed_or_lost_and_only_the_value_of_erased_flash_is_added(
    gaps: list[int], lengths: list[int], chosen: ImageFor
) -> None:
    at, parts = FLASH, []
    for gap, length in zip([0, *gaps], lengths, strict=False):
        parts.append(Segment(address=at + gap, data=bytes(range(1, length + 1))))
        at = parts[-1].end
    programmed = as_elements("main", chosen, parts)
    before, after = by_address(tuple(parts)), by_address(programmed)
    assert before.items() <= after.items()
    assert {after[place_] for place_ in after.keys() - before.keys()} <= {0xFF}
    for one, other in pairwise(programmed):
        assert one.end < other.address
