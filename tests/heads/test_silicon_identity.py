"""What a chip is told by, typed from AN2606 table 226 and from OpenOCD's tables of revisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.heads.silicon_kit import TABLE, new_rom, old_rom, row
from updater.words.facts import RomFacts

# DEV_ID: bootloader IDs that AN2606 prints, and where the ID stands in system memory.
ROM_IDS: dict[int, tuple[set[int], int | None]] = {
    0x450: ({0xD2, 0xD3, 0x90, 0x91, 0x92}, 0x1FF1E7FE),
    0x483: ({0x91, 0x92, 0x93}, 0x1FF1E7FE),
    0x480: ({0x90, 0x91, 0x92}, 0x1FF13FFE),
    0x484: ({0xE5}, 0x0BF9FAFE),
    0x474: ({0xE2}, 0x0BF8FFFE),
    0x413: ({0x31, 0x90, 0x91}, 0x1FFF77DE),
    0x419: ({0x70, 0x91}, 0x1FFF76DE),
    0x423: ({0xD1}, 0x1FFF76DE),
    0x433: ({0xD1}, 0x1FFF76DE),
    0x431: ({0xD0}, 0x1FFF76DE),
    0x441: ({0x90, 0x91}, 0x1FFF76DE),
    0x463: ({0x90}, 0x1FFF76DE),
    0x421: ({0x90}, 0x1FFF76DE),
    0x434: ({0x90}, 0x1FFF76DE),
    0x452: ({0x90}, 0x1FF0EDBE),
    0x449: ({0x70, 0x90}, 0x1FF0EDBE),
    0x451: ({0x93}, 0x1FF0EDBE),
    0x422: ({0x41}, 0x1FFFF796),
    0x446: ({0x40}, 0x1FFFF796),
    0x448: ({0xA1}, 0x1FFFF6A6),
    0x415: ({0xA3, 0x92}, 0x1FFF6FFE),
    0x435: ({0x91}, 0x1FFF6FFE),
    0x462: ({0x92}, 0x1FFF6FFE),
    0x461: ({0x93}, 0x1FFF6FFE),
    0x470: ({0x95}, 0x1FFF6FFE),
    0x471: ({0x90}, 0x1FFF6FFE),
    0x472: ({0x92}, 0x0BF97FFE),
    0x467: ({0x92}, 0x1FFF9FFE),
    0x468: ({0xD3, 0xD4}, 0x1FFF6FFE),
    0x469: ({0xD3, 0xD4, 0xD5}, 0x1FFF6FFE),
    0x479: ({0xD2}, 0x1FFF6FFE),
    0x455: ({0x91}, 0x0BF99EFE),
    0x482: ({0x92, 0x93}, 0x0BF99EFE),
    0x481: ({0x92}, 0x0BF99EFE),
    0x476: ({0x90}, 0x0BF99EFE),
    0x495: ({0xD5}, 0x1FFF6FFE),
    0x493: ({0xD1}, 0x1FFF67FE),
    0x44E: ({0x101}, 0x0BF885FE),
    0x44F: ({0x100}, 0x0BF885FE),
    0x45A: ({0x100}, 0x0BF885FE),
    0x489: ({0xD0}, None),
}

F4_REVISIONS = {0x1000: "A", 0x1001: "Z", 0x1003: "Y", 0x1007: "1", 0x2001: "3"}
F401_REVISIONS = {0x1000: "A", 0x1001: "Z", 0x2000: "B", 0x3000: "C"}
AN_A = {0x1000: "A"}
A_AND_Z = {0x1000: "A", 0x1001: "Z"}
G4_REVISIONS = {0x1000: "A", 0x2000: "B", 0x2001: "Z"}
REVISIONS = {
    0x450: {0x1000: "A", 0x1001: "Z", 0x1003: "Y", 0x2001: "X", 0x2003: "V"},
    0x483: A_AND_Z,
    0x480: AN_A,
    0x485: {0x1000: "A", 0x2000: "B"},
    0x413: F4_REVISIONS,
    0x419: F4_REVISIONS,
    0x434: F4_REVISIONS,
    0x423: F401_REVISIONS,
    0x433: F401_REVISIONS,
    0x431: F401_REVISIONS,
    0x441: F401_REVISIONS,
    0x463: AN_A,
    0x421: AN_A,
    0x452: AN_A,
    0x449: A_AND_Z,
    0x451: A_AND_Z,
    0x415: {0x1000: "1", 0x1001: "2", 0x1003: "3", 0x1007: "4"},
    0x435: {0x1000: "A", 0x1001: "Z", 0x2001: "Y"},
    0x462: {0x1000: "A", 0x1001: "Z", 0x2001: "Y"},
    0x461: {0x1000: "A", 0x2000: "B"},
    0x470: {0x1000: "A", 0x1001: "Z", 0x1003: "Y", 0x100F: "W", 0x101F: "V"},
    0x472: {0x1000: "A", 0x2000: "B", 0x2001: "Z"},
    0x467: AN_A,
    0x468: G4_REVISIONS,
    0x469: G4_REVISIONS,
    0x482: {
        0x1000: "A", 0x1001: "Z", 0x1003: "Y", 0x2000: "B", 0x2001: "X",
        0x3000: "C", 0x3001: "W", 0x3007: "U",
    },
    0x495: {0x2001: "2.1"},
    0x493: {0x1001: "Z"},
}  # fmt: skip

by_dev_id = pytest.mark.parametrize("dev_id", ROM_IDS, ids=lambda dev_id: f"0x{dev_id:03X}")


@by_dev_id
def test_the_bootloader_ids_that_an2606_prints_are_known(dev_id: int) -> None:
    chip = TABLE.by_dev_id(dev_id)
    assert chip is not None
    assert ROM_IDS[dev_id][0] - {rom.id for rom in chip.roms} == set()


@by_dev_id
def test_the_bootloader_id_is_looked_for_where_an2606_says(dev_id: int) -> None:
    """The last byte but one of the ROM; on the C5 two bytes."""
    chip = TABLE.by_dev_id(dev_id)
    assert chip is not None
    at = ROM_IDS[dev_id][1]
    assert (chip.rom_id_at and chip.rom_id_at.value) == at
    assert chip.rom_id_bytes == (2 if 0x0BF88000 <= (at or 0) < 0x0BF89000 else 1)


@pytest.mark.parametrize("dev_id", REVISIONS, ids=lambda dev_id: f"0x{dev_id:03X}")
def test_a_rev_id_has_the_letter_that_openocd_gives_it(dev_id: int) -> None:
    chip = TABLE.by_dev_id(dev_id)
    assert chip is not None
    assert {one.rev_id: one.letter for one in chip.revisions} == REVISIONS[dev_id]
    for rev_id, letter in REVISIONS[dev_id].items():
        assert chip.letter(rev_id) == letter


def test_a_rev_id_that_is_not_in_the_table_has_no_letter() -> None:
    assert row("stm32h743").letter(0x2005) is None


def test_a_chip_is_found_by_its_dev_id_and_by_its_id() -> None:
    assert TABLE.by_dev_id(0x450) is row("stm32h743")
    assert TABLE.by_dev_id(0x413) is row("stm32f405")
    assert TABLE.by_id("stm32f999") is None


# ---------------------------------------------------------------------------------------------- recognition

H743_ROM = new_rom("@Internal Flash   /0x08000000/16*128Kg", serial="200364500000")
F405_ROM = old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg")


def ids(rom: RomFacts) -> set[str]:
    return {chip.id for chip in TABLE.like(rom)}


def test_a_rom_whose_strings_are_nobody_elses_is_like_one_row() -> None:
    assert ids(H743_ROM) == {"stm32h743"}
    assert ids(old_rom("@Internal Flash  /0x08000000/04*032Kg,01*128Kg,07*256Kg")) == {"stm32f767"}
    assert ids(old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,011*128Kg")) == {"stm32f413"}
    assert ids(new_rom("@Internal Flash   /0x08000000/8*128Kg")) == {"stm32h723"}


@pytest.mark.parametrize(
    ("rom", "alike"),
    [
        (F405_ROM, {"stm32f207", "stm32f405", "stm32f412"}),
        (
            old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg", serial="3377337E3539"),
            {"stm32f401xe", "stm32f411"},
        ),
        (
            old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg", serial="STM32FxSTM32"),
            {"stm32f401xe", "stm32f411", "stm32f446", "stm32f722"},
        ),
        (
            old_rom(
                "@Internal Flash  /0x08000000/"
                "04*016Kg,01*064Kg,07*128Kg,04*016Kg,01*064Kg,07*128Kg"
            ),
            {"stm32f429", "stm32f469", "stm32f767"},
        ),
        (
            old_rom("@Internal Flash  /0x08000000/04*032Kg,01*128Kg,03*256Kg"),
            {"stm32f746", "stm32f767"},
        ),
        (
            new_rom("@Internal Flash   /0x08000000/256*02Kg"),
            {"stm32g0b1", "stm32g474", "stm32g491", "stm32h7a3", "stm32l552"},
        ),
        (
            new_rom("@Internal Flash   /0x08000000/64*08Kg"),
            {"stm32u535", "stm32h523", "stm32c562"},
        ),
    ],
    ids=["F405", "F411", "F446", "F42x", "F74x", "G0B1", "U535"],
)  # fmt: skip
def test_of_roms_that_look_alike_all_rows_are_given(rom: RomFacts, alike: set[str]) -> None:
    """A row that does not know its serial's rule, or only infers its version, is not ruled out by them."""
    assert ids(rom) == alike


@pytest.mark.parametrize(
    ("rom", "words"),
    [
        (replace(H743_ROM, bcd_device=0x2200), "its bootloader reports bcdDevice 2200, not 0200"),
        (replace(H743_ROM, transfer_size=2048), "its bootloader takes blocks of 2048 bytes, not 1024"),
        (
            replace(H743_ROM, product_string="STM32  BOOTLOADER"),
            "its bootloader calls itself 'STM32  BOOTLOADER', not 'DFU in FS Mode'",
        ),
        (replace(H743_ROM, regions=()), "its flash is laid out differently from a STM32H742"),
        (replace(H743_ROM, regions=F405_ROM.regions), "its flash is laid out differently from a STM32H742"),
        (
            replace(H743_ROM, serial="200364830000"),
            "its bootloader has serial 200364830000, which does not name a STM32H742",
        ),
    ],
)
def test_a_rom_that_shows_something_else_contradicts_the_row(rom: RomFacts, words: str) -> None:
    said = row("stm32h743").contradiction(rom)
    assert said is not None
    assert said.startswith(words)
    assert "stm32h743" not in ids(rom)


def test_a_constant_serial_is_part_of_the_face() -> None:
    shown = old_rom("@Internal Flash  /0x08000000/04*016Kg,01*64Kg,03*128Kg", serial="325E35633334")
    assert row("stm32f722").contradiction(shown) == (
        "its bootloader has serial 325E35633334, not STM32FxSTM32"
    )
    assert row("stm32f722").contradiction(replace(shown, serial="STM32FxSTM32")) is None


def test_what_is_only_inferred_contradicts_nobody_but_a_block_size() -> None:
    """No dump of an H523 is public: neither its version nor its product string can rule it out."""
    shown = new_rom("@Internal Flash   /0x08000000/64*08Kg", bcd_device=0x0300)
    h523 = row("stm32h523")
    assert h523.contradiction(shown) is None
    assert h523.contradiction(replace(shown, bcd_device=0x0200)) is None
    assert h523.contradiction(replace(shown, product_string="STM Device in DFU Mode")) is None
    assert h523.contradiction(replace(shown, transfer_size=2048)) is not None


def test_a_rom_that_gives_no_strings_is_not_ruled_out_by_that() -> None:
    silent = replace(H743_ROM, product_string=None, serial=None)
    assert row("stm32h743").contradiction(silent) is None


def test_the_commit_granule_holds_sp_and_reset_vector_together() -> None:
    for chip, unit, granule in (("stm32h743", 32, 32), ("stm32f405", 4, 8), ("stm32u575", 16, 16)):
        assert (row(chip).program_unit_bytes.value, row(chip).granule_bytes) == (unit, granule)


# AN2606 table 7, and the flash word of the H7 (OpenOCD stm32h7x.c block_size).
UNITS = {
    "stm32c071": 8, "stm32c562": 16, "stm32f072": 4, "stm32f105": 4, "stm32f207": 4, "stm32f303xc": 4,
    "stm32f405": 4, "stm32f429": 4, "stm32f722": 8, "stm32f746": 8, "stm32f767": 8, "stm32g431": 8,
    "stm32g474": 8, "stm32h503": 16, "stm32h563": 16, "stm32h7r3": 16, "stm32l476": 8, "stm32l496": 8,
    "stm32l552": 16, "stm32u575": 16, "stm32wb55": 8, "stm32h743": 32, "stm32h723": 32, "stm32h7a3": 16,
}  # fmt: skip


@pytest.mark.parametrize("chip", UNITS)
def test_the_program_unit_is_not_smaller_than_st_demands(chip: str) -> None:
    assert row(chip).program_unit_bytes.value == UNITS[chip]


def test_the_ceilings_are_the_datasheets_not_the_devices() -> None:
    """DS12110 tables 43 and 140, DS8626 table 40: 4 s for 128 KB at x8, the slowest parallelism."""
    assert [row(chip).erase_max_ms.value for chip in ("stm32h743", "stm32f405")] == [4000, 4000]
    assert row("stm32f405").mass_erase_max_ms.value == 32_000
