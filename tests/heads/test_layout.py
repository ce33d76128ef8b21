"""Memory-layout strings: every one that was seen in the wild, and all that may come instead."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.dfu.layout import MAX_SECTORS, parse_layout
from updater.heads.dfu.words import ProtocolError
from updater.words.facts import Region

KIB = 1024

Zones = list[tuple[int, list[tuple[int, int, str]]]]
"""(address, [(count, bytes each, "rew" flags)])"""

IN_THE_WILD: list[tuple[str, str, str, Zones]] = [
    (
        "F401/F411",
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 16 * KIB, "rew"), (1, 64 * KIB, "rew"), (3, 128 * KIB, "rew")])],
    ),
    ("F4 OB", "@Option Bytes  /0x1FFFC000/01*016 e", "Option Bytes", [(0x1FFF_C000, [(1, 16, "rw")])]),
    (
        "F4 OTP",
        "@OTP Memory /0x1FFF7800/01*512 e,01*016 e",
        "OTP Memory",
        [(0x1FFF_7800, [(1, 512, "rw"), (1, 16, "rw")])],
    ),
    (
        "F4 feature",
        "@Device Feature/0xFFFF0000/01*004 e",
        "Device Feature",
        [(0xFFFF_0000, [(1, 4, "rw")])],
    ),
    (
        "F405/407",
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 16 * KIB, "rew"), (1, 64 * KIB, "rew"), (7, 128 * KIB, "rew")])],
    ),
    (
        "F413",
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,011*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 16 * KIB, "rew"), (1, 64 * KIB, "rew"), (11, 128 * KIB, "rew")])],
    ),
    (
        "F42x 2 MB",
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg,04*016Kg,01*064Kg,07*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 16 * KIB, "rew"), (1, 64 * KIB, "rew"), (7, 128 * KIB, "rew")] * 2)],
    ),
    (
        "F42x OB",
        "@Option Bytes  /0x1FFFC000/01*016 e/0x1FFEC000/01*016 e",
        "Option Bytes",
        [(0x1FFF_C000, [(1, 16, "rw")]), (0x1FFE_C000, [(1, 16, "rw")])],
    ),
    (
        "F722",
        "@Internal Flash  /0x08000000/04*016Kg,01*64Kg,03*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 16 * KIB, "rew"), (1, 64 * KIB, "rew"), (3, 128 * KIB, "rew")])],
    ),
    ("F722 OB", "@Option Bytes  /0x1FFF0000/01*048 e", "Option Bytes", [(0x1FFF_0000, [(1, 48, "rw")])]),
    ("F722 OTP", "@OTP Memory /0x1FF07800/01*528e", "OTP Memory", [(0x1FF0_7800, [(1, 528, "rw")])]),
    (
        "F74x",
        "@Internal Flash  /0x08000000/04*032Kg,01*128Kg,03*256Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 32 * KIB, "rew"), (1, 128 * KIB, "rew"), (3, 256 * KIB, "rew")])],
    ),
    (
        "F76x by MBOOT",
        "@Internal Flash  /0x08000000/04*032Kg,01*128Kg,07*256Kg",
        "Internal Flash",
        [(0x0800_0000, [(4, 32 * KIB, "rew"), (1, 128 * KIB, "rew"), (7, 256 * KIB, "rew")])],
    ),
    (
        "F303, 256 K",
        "@Internal Flash  /0x08000000/128*0002Kg",
        "Internal Flash",
        [(0x0800_0000, [(128, 2 * KIB, "rew")])],
    ),
    (
        "F303, 128 K",
        "@Internal Flash  /0x08000000/064*0002Kg",
        "Internal Flash",
        [(0x0800_0000, [(64, 2 * KIB, "rew")])],
    ),
    (
        "F105/107",
        "@Internal Flash  /0x08000000/128*002Kg",
        "Internal Flash",
        [(0x0800_0000, [(128, 2 * KIB, "rew")])],
    ),
    (
        "L4",
        "@Internal Flash  /0x08000000/0256*0002Kg",
        "Internal Flash",
        [(0x0800_0000, [(256, 2 * KIB, "rew")])],
    ),
    ("L4 OB", "@Option Bytes  /0x1FFF7800/01*040 e", "Option Bytes", [(0x1FFF_7800, [(1, 40, "rw")])]),
    ("L4 OTP", "@OTP Memory /0x1FFF7000/01*0001Ke", "OTP Memory", [(0x1FFF_7000, [(1, KIB, "rw")])]),
    (
        "U5, 1 MB",
        "@Internal Flash   /0x08000000/128*08Kg",
        "Internal Flash",
        [(0x0800_0000, [(128, 8 * KIB, "rew")])],
    ),
    (
        "U585, 2 MB; H7A3",
        "@Internal Flash   /0x08000000/256*08Kg",
        "Internal Flash",
        [(0x0800_0000, [(256, 8 * KIB, "rew")])],
    ),
    ("U5 OB", "@Option Bytes   /0x40022040/01*64 e", "Option Bytes", [(0x4002_2040, [(1, 64, "rw")])]),
    ("U5 OTP", "@OTP Memory   /0x0BFA0000/01*512 e", "OTP Memory", [(0x0BFA_0000, [(1, 512, "rw")])]),
    (
        "G474; G0B1 on all three",
        "@Internal Flash   /0x08000000/256*02Kg",
        "Internal Flash",
        [(0x0800_0000, [(256, 2 * KIB, "rew")])],
    ),
    (
        "G474 OB",
        "@Option Bytes   /0x1FFF7800/01*048 e/0x1FFFF800/01*048 e",
        "Option Bytes",
        [(0x1FFF_7800, [(1, 48, "rw")]), (0x1FFF_F800, [(1, 48, "rw")])],
    ),
    ("G474 OTP", "@OTP Memory   /0x1FFF7000/01*1024 e", "OTP Memory", [(0x1FFF_7000, [(1, 1024, "rw")])]),
    (
        "G431; G0B1, 128 K",
        "@Internal Flash   /0x08000000/64*02Kg",
        "Internal Flash",
        [(0x0800_0000, [(64, 2 * KIB, "rew")])],
    ),
    (
        "H74x",
        "@Internal Flash   /0x08000000/16*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(16, 128 * KIB, "rew")])],
    ),
    ("H74x OB", "@Option Bytes   /0x5200201C/01*128 e", "Option Bytes", [(0x5200_201C, [(1, 128, "rw")])]),
    (
        "H72x",
        "@Internal Flash   /0x08000000/8*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(8, 128 * KIB, "rew")])],
    ),
    ("H72x OB", "@Option Bytes   /0x5200201C/01*88 e", "Option Bytes", [(0x5200_201C, [(1, 88, "rw")])]),
    ("H7A3 OTP", "@OTP Memory   /0x08FFF000/01*1024 e", "OTP Memory", [(0x08FF_F000, [(1, 1024, "rw")])]),
    ("H7A3 OB", "@Option Bytes   /0x5200201C/01*297 e", "Option Bytes", [(0x5200_201C, [(1, 297, "rw")])]),
    (
        "H7A3 V9.0 OTP",
        "@OTP Memory   /0x1FF7000/01*1024 e",
        "OTP Memory",
        [(0x01FF_7000, [(1, 1024, "rw")])],
    ),
    (
        "H7A3 V9.0 OB",
        "@Option Bytes   /0x1FF8000/01*048 e",
        "Option Bytes",
        [(0x01FF_8000, [(1, 48, "rw")])],
    ),
    (
        "C5",
        "@Internal Flash   /0x08000000/64*08Kg",
        "Internal Flash",
        [(0x0800_0000, [(64, 8 * KIB, "rew")])],
    ),
    (
        "F40x V3.0 OB",
        "@Option Bytes  /0x1FFFC000/01*016 g",
        "Option Bytes",
        [(0x1FFF_C000, [(1, 16, "rew")])],
    ),
    (
        "F40x V3.0 feature",
        "@Device Feature/0xFFFF0000/01*004 g",
        "Device Feature",
        [(0xFFFF_0000, [(1, 4, "rw")])],
    ),
    (
        "AT32F437",
        "@Internal Flash   /0x08000000/08*04Ka,1000*04Kg",
        "Internal Flash",
        [(0x0800_0000, [(8, 4 * KIB, "r"), (1000, 4 * KIB, "rew")])],
    ),
    (
        "AT32F437 OB",
        "@Option byte   /0x1FFFC000/01*4096 g",
        "Option byte",
        [(0x1FFF_C000, [(1, 4096, "rew")])],
    ),
    (
        "AT32 OB, small",
        "@Option byte   /0x1FFFC000/01*512 g",
        "Option byte",
        [(0x1FFF_C000, [(1, 512, "rew")])],
    ),
    (
        "GD32VF103",
        "@Internal Flash  /0x08000000/512*002Kg",
        "Internal Flash",
        [(0x0800_0000, [(512, 2 * KIB, "rew")])],
    ),
    ("GD32 OB", "@Option Bytes  /0x1FFFF800/01*016 g", "Option Bytes", [(0x1FFF_F800, [(1, 16, "rew")])]),
    (
        "Daisy",
        "@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg/0x90400000/60*64Kg",
        "Flash",
        [
            (0x9000_0000, [(64, 4 * KIB, "rew")]),
            (0x9004_0000, [(60, 64 * KIB, "rew")]),
            (0x9040_0000, [(60, 64 * KIB, "rew")]),
        ],
    ),
    (
        "SPRacing EXST",
        "@External Flash /0x90000000/998*128Kg,1*128Kg,4*128Kg,21*128Ka",
        "External Flash",
        [
            (
                0x9000_0000,
                [(998, 128 * KIB, "rew"), (1, 128 * KIB, "rew"), (4, 128 * KIB, "rew"), (21, 128 * KIB, "r")],
            )
        ],
    ),
    (
        "SPRacing EXST, early",
        "@External Flash /0x90000000/1001*128Kg,3*128Kg,20*128Ka",
        "External Flash",
        [(0x9000_0000, [(1001, 128 * KIB, "rew"), (3, 128 * KIB, "rew"), (20, 128 * KIB, "r")])],
    ),
    (
        "MBOOT on H750",
        "@Internal Flash  /0x08000000/01*128Kg",
        "Internal Flash",
        [(0x0800_0000, [(1, 128 * KIB, "rew")])],
    ),
    (
        "WCH CH58x",
        "@Internal Flash   /0x00000000/16*004Ka,096*04Kg",
        "Internal Flash",
        [(0, [(16, 4 * KIB, "r"), (96, 4 * KIB, "rew")])],
    ),
    (
        "OWSENSORBL",
        "@Internal Flash   /0x08000000/01*128Ka,04*128Kg,11*128Ka",
        "Internal Flash",
        [(0x0800_0000, [(1, 128 * KIB, "r"), (4, 128 * KIB, "rew"), (11, 128 * KIB, "r")])],
    ),
    (
        "1d50:607f",
        "@Internal Flash   /0x08000000/20*001Ka,108*001Kg",
        "Internal Flash",
        [(0x0800_0000, [(20, KIB, "r"), (108, KIB, "rew")])],
    ),
]


def as_tuples(region: Region) -> list[tuple[int, int, str]]:
    return [(s.address, s.size, flags(s.readable, s.erasable, s.writable)) for s in region.sectors]


def flags(*bits: bool) -> str:
    return "".join(letter for letter, bit in zip("rew", bits, strict=True) if bit)


def spelled_out(zones: Zones) -> list[tuple[int, int, str]]:
    sectors = []
    for address, runs in zones:
        for count, size, kind in runs:
            sectors += [(address + n * size, size, kind) for n in range(count)]
            address += count * size
    return sectors


@pytest.mark.parametrize(
    ("text", "name", "zones"), [row[1:] for row in IN_THE_WILD], ids=[r[0] for r in IN_THE_WILD]
)
def test_a_string_from_the_wild_gives_its_sectors(text: str, name: str, zones: Zones) -> None:
    region = parse_layout(text, 3)
    assert (region.name, region.alternate, region.address) == (name, 3, zones[0][0])
    assert as_tuples(region) == spelled_out(zones)


def test_the_sectors_of_an_f405_in_full() -> None:
    region = parse_layout("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg", 0)
    assert [(hex(s.address), s.size) for s in region.sectors] == [
        ("0x8000000", 16384),
        ("0x8004000", 16384),
        ("0x8008000", 16384),
        ("0x800c000", 16384),
        ("0x8010000", 65536),
        ("0x8020000", 131072),
        ("0x8040000", 131072),
        ("0x8060000", 131072),
        ("0x8080000", 131072),
        ("0x80a0000", 131072),
        ("0x80c0000", 131072),
        ("0x80e0000", 131072),
    ]
    assert region.sectors[-1].end == 0x0810_0000


@pytest.mark.parametrize(
    ("letter", "kind"),
    [("a", "r"), ("b", "e"), ("c", "re"), ("d", "w"), ("e", "rw"), ("f", "ew"), ("g", "rew")],
)
def test_the_type_letter_says_what_may_be_done(letter: str, kind: str) -> None:
    assert as_tuples(parse_layout(f"@X/0x0/1*1B{letter}", 0)) == [(0, 1, kind)]


@pytest.mark.parametrize(
    ("run", "size"), [("1*3 g", 3), ("1*3Bg", 3), ("1*3g", 3), ("1*3Kg", 3072), ("1*3Mg", 3_145_728)]
)
def test_the_multiplier_is_blank_b_k_m_or_nothing(run: str, size: int) -> None:
    assert as_tuples(parse_layout(f"@X/0x0/{run}", 0)) == [(0, size, "rew")]


@pytest.mark.parametrize(
    "text",
    [
        "@Internal Flash/0x08000000/16*128Kg   ",
        "@Internal   Flash   /0x08000000 /16*128Kg",
        "@ Internal Flash /0x08000000/8*128Kg, 8*128Kg ",
        "@Internal Flash/0x8000000/0000000000000016*00000000000000128Kg",
        "@Internal Flash/0x08000000/16*128Kg",
    ],
)
def test_blanks_and_leading_zeros_change_nothing(text: str) -> None:
    assert parse_layout(text, 0) == parse_layout("@Internal Flash   /0x08000000/16*128Kg", 0)


def test_a_count_may_be_65535() -> None:
    region = parse_layout("@X/0x08000000/65535*1Kg", 0)
    assert len(region.sectors) == 65_535
    assert region.sectors[-1].address == 0x0800_0000 + 65_534 * 1024


@pytest.mark.parametrize("name", ["Device Feature", "Device  Feature ", "DEVICE FEATURE"])
def test_the_device_feature_can_never_be_erased_whatever_its_rom_says(name: str) -> None:
    assert as_tuples(parse_layout(f"@{name}/0xFFFF0000/01*004 g", 3)) == [(0xFFFF_0000, 4, "rw")]


def test_memory_may_end_at_the_end_of_32_bits() -> None:
    assert parse_layout("@X/0xFFFFFFFC/1*4 e", 0).sectors[0].end == 1 << 32


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("Internal Flash/0x08000000/16*128Kg", "does not start with '@'"),
        ("sdcard_rootfs", "'sdcard_rootfs' does not start with '@'"),
        ("@", "no pairs of address and sectors"),
        ("@Internal Flash", "no pairs of address and sectors"),
        ("@Internal Flash/0x08000000", "no pairs of address and sectors"),
        ("@Internal Flash/0x08000000/", "the malformed part ''"),
        ("@Internal Flash/0x08000000/16*128Kg/", "no pairs of address and sectors"),
        ("@Internal Flash/0x08000000/16*128Kg/0x09000000", "no pairs of address and sectors"),
        ("@X/08000000/16*128Kg", "the malformed address '08000000'"),
        ("@X/0x/16*128Kg", "the malformed address '0x'"),
        ("@X/0x080000000/16*128Kg", "the malformed address '0x080000000'"),
        ("@X/0x0800000G/16*128Kg", "the malformed address '0x0800000G'"),
        ("@X/0x0/16*128K", "the malformed part '16*128K'"),
        ("@X/0x0/16*128Kh", "the malformed part '16*128Kh'"),
        ("@X/0x0/16*128KG", "the malformed part '16*128KG'"),
        ("@X/0x0/16*128Gg", "the malformed part '16*128Gg'"),
        ("@X/0x0/16*128Kgg", "the malformed part '16*128Kgg'"),
        ("@X/0x0/16128Kg", "the malformed part '16128Kg'"),
        ("@X/0x0/-1*128Kg", "the malformed part '-1*128Kg'"),
        ("@X/0x0/1*128Kg,", "the malformed part ''"),
        ("@X/0x0/1*128Kg,2*", "the malformed part '2*'"),
        ("@X/0x0/٤*128Kg", "the malformed part '٤*128Kg'"),
        ("@X/0x0/4\n*128Kg", "the malformed part '4\\n*128Kg'"),
        ("@X/0x0/00*128Kg", "the empty part '00*128Kg'"),
        ("@X/0x0/1*000Kg", "the empty part '1*000Kg'"),
        ("@X/0x0/65537*1 g", "more memory than there can be: '65537*1 g'"),
        ("@X/0x0/65536*1 g,1*1 g", "more memory than there can be: '1*1 g'"),
        ("@X/0x0/65536*1 g/0x20000/1*1 g", "more memory than there can be: '1*1 g'"),
        ("@X/0x0/99999999*99999999Mg", "more memory than there can be"),
        ("@X/0xFFFFFFFF/1*2 g", "more memory than there can be: '1*2 g'"),
    ],
)
def test_a_malformed_string_is_refused_and_the_bad_part_is_named(text: str, named: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(named)):
        parse_layout(text, 0)


def test_numbers_of_absurd_length_are_refused() -> None:
    with pytest.raises(ProtocolError, match="malformed part"):
        parse_layout(f"@X/0x0/{'9' * 5000}*1 g", 0)


likely = st.text(alphabet=" @/0x189*,KMBaeg", max_size=60)


@given(st.one_of(st.text(max_size=80), likely, likely.map(lambda rest: "@X/0x0800" + rest)))
def test_any_text_gives_a_region_or_a_protocol_error(text: str) -> None:
    try:
        region = parse_layout(text, 0)
    except ProtocolError:
        return
    assert 1 <= len(region.sectors) <= MAX_SECTORS
    assert all(sector.size > 0 and 0 <= sector.address < sector.end <= 1 << 32 for sector in region.sectors)


@pytest.mark.parametrize(
    "text",
    [
        "@X/0x0/" + "0" * 100_000,
        "@X/0x0/" + " " * 100_000 + "1*1",
        "@X" + "/" * 100_001,
        "@X/0x0/" + "1*1 g," * 70_000,
    ],
    ids=["zeros", "blanks", "slashes", "runs"],
)
def test_a_hostile_string_costs_little(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ProtocolError):
        parse_layout(text, 0)
    assert time.process_time() - started < 1.0


MULTIPLIERS = {"": 1, " ": 1, "B": 1, "K": 1024, "M": 1024 * 1024}
runs = st.tuples(
    st.integers(1, 40), st.integers(1, 1024), st.sampled_from(sorted(MULTIPLIERS)), st.sampled_from("abcdefg")
)
zones = st.lists(
    st.tuples(st.integers(0, 0x4000_0000), st.lists(runs, min_size=1, max_size=3)), min_size=1, max_size=3
)
KINDS = {"a": "r", "b": "e", "c": "re", "d": "w", "e": "rw", "f": "ew", "g": "rew"}


@given(zones, st.integers(0, 3))
def test_a_well_formed_string_says_what_it_was_made_of(
    made: list[tuple[int, list[tuple[int, int, str, str]]]], padding: int
) -> None:
    total = sum(count * size * MULTIPLIERS[letter] for _, parts in made for count, size, letter, _ in parts)
    text = "@Some Memory" + " " * padding
    for address, parts in made:
        text += f"/0x{address:08X}/" + ",".join(
            f"{n:0{padding + 1}}*{size:03}{m}{t}" for n, size, m, t in parts
        )
    meant: Zones = [
        (at, [(n, size * MULTIPLIERS[m], KINDS[t]) for n, size, m, t in parts]) for at, parts in made
    ]
    if total > 0x8000_0000:
        return  # may reach beyond 32 bits, which another test is about
    region = parse_layout(text, 1)
    assert as_tuples(region) == spelled_out(meant)
    if len(made) == 1:
        assert all(before.end == after.address for before, after in pairwise(region.sectors))
