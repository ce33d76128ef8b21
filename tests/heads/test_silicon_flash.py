"""The real flash of each part, and the strings in which ROMs and look-alikes describe it."""

from __future__ import annotations

import pytest

from tests.heads.silicon_kit import TABLE, new_rom, old_rom, row
from updater.heads.silicon import BankMode, Lookalike
from updater.words.facts import RomFacts, Sector, Shown

KIB = 1024
FLASH = 0x0800_0000


def blocks(*runs: tuple[int, int], start: int = FLASH) -> tuple[Sector, ...]:
    """Sectors one after the other: (how many, KiB each), typed from the reference manuals."""
    sectors = []
    for count, kib in runs:
        for _ in range(count):
            sectors.append(Sector(address=start, size=kib * KIB))
            start += kib * KIB
    return tuple(sectors)


# ----------------------------------------------------------------------------------------------- real parts

F76X_BANK = ((4, 16), (1, 64), (7, 128))
F76X_SMALL_BANK = ((4, 16), (1, 64), (3, 128))
PARTS: dict[str, tuple[str, int | None, BankMode | None, tuple[Sector, ...]]] = {
    "F767 of 2 MB, single": ("stm32f767", 2048, "single", blocks((4, 32), (1, 128), (7, 256))),
    "F767 of 2 MB, dual": ("stm32f767", 2048, "dual", blocks(*F76X_BANK, *F76X_BANK)),
    "F767 of 1 MB, single": ("stm32f767", 1024, "single", blocks((4, 32), (1, 128), (3, 256))),
    "F767 of 1 MB, dual": (
        "stm32f767",
        1024,
        "dual",
        (*blocks(*F76X_SMALL_BANK), *blocks(*F76X_SMALL_BANK, start=0x0808_0000)),
    ),
    "the largest F767": ("stm32f767", None, None, blocks((4, 32), (1, 128), (7, 256))),
    "the largest F767, dual": ("stm32f767", None, "dual", blocks(*F76X_BANK, *F76X_BANK)),
    "H750 of 128 KB": ("stm32h743", 128, None, blocks((1, 128))),
    "H743 of 1 MB": (
        "stm32h743",
        1024,
        None,
        (*blocks((4, 128)), *blocks((4, 128), start=0x0810_0000)),
    ),
    "H743 of 2 MB": ("stm32h743", 2048, None, blocks((16, 128))),
    "H723 of 512 KB": ("stm32h723", 512, None, blocks((4, 128))),
    "H723 of 1 MB": ("stm32h723", 1024, None, blocks((8, 128))),
    "H7B0 of 128 KB": ("stm32h7a3", 128, None, blocks((16, 8))),
    "H7A3 of 1 MB": (
        "stm32h7a3",
        1024,
        None,
        (*blocks((64, 8)), *blocks((64, 8), start=0x0810_0000)),
    ),
    "H7A3 of 2 MB": ("stm32h7a3", 2048, None, blocks((256, 8))),
    "F405 of 512 KB": ("stm32f405", 512, None, blocks((4, 16), (1, 64), (3, 128))),
    "F405 of 1 MB": ("stm32f405", 1024, None, blocks((4, 16), (1, 64), (7, 128))),
    "F413 of 1.5 MB": ("stm32f413", 1536, None, blocks((4, 16), (1, 64), (11, 128))),
    "F429 of 1 MB, single": ("stm32f429", 1024, "single", blocks((4, 16), (1, 64), (7, 128))),
    "F429 of 2 MB": ("stm32f429", 2048, "single", blocks(*F76X_BANK, *F76X_BANK)),
    "F722 of 512 KB": ("stm32f722", 512, None, blocks((4, 16), (1, 64), (3, 128))),
    "F746 of 1 MB": ("stm32f746", 1024, None, blocks((4, 32), (1, 128), (3, 256))),
    "F750 of 64 KB": ("stm32f746", 64, None, blocks((2, 32))),
    "G0B1 of 128 KB": ("stm32g0b1", 128, None, blocks((64, 2))),
    "G474 of 512 KB, single": ("stm32g474", 512, "single", blocks((128, 4))),
    "G474 of 512 KB, dual": ("stm32g474", 512, "dual", blocks((256, 2))),
    "G474 of 256 KB, dual": (
        "stm32g474",
        256,
        "dual",
        (*blocks((64, 2)), *blocks((64, 2), start=0x0804_0000)),
    ),
    "F072 of 128 KB": ("stm32f072", 128, None, blocks((64, 2))),
    "F105 of 64 KB": ("stm32f105", 64, None, blocks((32, 2))),
    "L476 of 1 MB": ("stm32l476", 1024, None, blocks((512, 2))),
    "L552 of 512 KB, single": ("stm32l552", 512, "single", blocks((128, 4))),
    "U575 of 2 MB": ("stm32u575", 2048, None, blocks((256, 8))),
    "WB55 of 1 MB": ("stm32wb55", 1024, None, blocks((256, 4))),
    "C562 of 512 KB": ("stm32c562", 512, None, blocks((64, 8))),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_the_sectors_that_its_reference_manual_draws(part: str) -> None:
    chip, kib, mode, sectors = PARTS[part]
    assert row(chip).sectors(kib=kib, bank_mode=mode) == sectors


@pytest.mark.parametrize(
    ("chip", "kib", "mode"),
    [
        ("stm32h743", 100, None),
        ("stm32h743", 4096, None),
        ("stm32f405", 40, None),
        ("stm32f405", 8, None),
        ("stm32f767", 1500, "single"),
        ("stm32f767", 512, "dual"),
        ("stm32f429", 1024, "dual"),
        ("stm32f429", 512, "dual"),
        ("stm32g474", 64, "dual"),
        ("stm32h7a3", 4, None),
    ],
)
def test_a_size_that_does_not_end_with_a_sector_or_has_no_second_bank_is_not_known(
    chip: str, kib: int, mode: BankMode | None
) -> None:
    """What the ROM erases at 0x08080000 of an F42x with 1 MB in two banks is nowhere published."""
    assert row(chip).sectors(kib=kib, bank_mode=mode) == ()


def test_every_size_in_which_a_chip_is_sold_has_its_sectors() -> None:
    for chip in TABLE.chip:
        if chip.geometry is not None:
            for kib in chip.sizes_kib.value:
                sectors = chip.sectors(kib=kib, bank_mode="single")
                assert sum(sector.size for sector in sectors) == kib * KIB, f"{chip.id} {kib}"


def test_the_bank_mode_is_the_bit_that_the_reference_manual_names() -> None:
    """nDBANK is bit 29 of FLASH_OPTCR: bit 13 of the half-word at 0x1FFF0008; 0 means two banks."""
    option = row("stm32f767").bank_mode
    assert option is not None
    assert option.mode_in(bytes.fromhex("00200000")) == "single"
    assert option.mode_in(bytes.fromhex("FFDFFFFF")) == "dual"
    assert option.mode_in(b"\xff\xff\xff\xff") == "single"


def test_a_bit_that_means_two_banks_when_it_is_set_is_read_so() -> None:
    """DB1M of the F42x, bit 30 of FLASH_OPTCR, which delivers it as 0; DBANK of the G47x, bit 22."""
    db1m, dbank = row("stm32f429").bank_mode, row("stm32g474").bank_mode
    assert db1m is not None
    assert dbank is not None
    assert db1m.mode_in(bytes.fromhex("00400000")) == "dual"
    assert db1m.mode_in(bytes.fromhex("FFBFFFFF")) == "single"
    assert dbank.mode_in(bytes.fromhex("00004000")) == "dual"
    assert dbank.mode_in(bytes.fromhex("FFFFBFFF")) == "single"


# ------------------------------------------------------------------------------------- strings that were seen

SEEN: list[tuple[str, RomFacts, str]] = [
    ("F401xE", old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg"), "stm32f401xe"),
    ("F411", old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg"), "stm32f411"),
    ("F405", old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg"), "stm32f405"),
    ("F413", old_rom("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,011*128Kg"), "stm32f413"),
    (
        "F42x",
        old_rom(
            "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg,04*016Kg,01*064Kg,07*128Kg",
            serial="326433593336",
        ),
        "stm32f429",
    ),
    (
        "F722",
        old_rom("@Internal Flash  /0x08000000/04*016Kg,01*64Kg,03*128Kg", serial="STM32FxSTM32"),
        "stm32f722",
    ),
    ("F74x", old_rom("@Internal Flash  /0x08000000/04*032Kg,01*128Kg,03*256Kg"), "stm32f746"),
    ("F76x", old_rom("@Internal Flash  /0x08000000/04*032Kg,01*128Kg,07*256Kg"), "stm32f767"),
    ("F303 of 256 KB", old_rom("@Internal Flash  /0x08000000/128*0002Kg"), "stm32f303xc"),
    ("F303", old_rom("@Internal Flash  /0x08000000/064*0002Kg"), "stm32f303xc"),
    ("F105", old_rom("@Internal Flash  /0x08000000/128*002Kg", serial="STM32"), "stm32f105"),
    ("L45x", old_rom("@Internal Flash  /0x08000000/0256*0002Kg"), "stm32l452"),
    ("L47x of 512 KB", old_rom("@Internal Flash  /0x08000000/0256*0002Kg"), "stm32l476"),
    ("U575 of 1 MB", new_rom("@Internal Flash   /0x08000000/128*08Kg"), "stm32u575"),
    ("U585 of 2 MB", new_rom("@Internal Flash   /0x08000000/256*08Kg"), "stm32u575"),
    ("G474", new_rom("@Internal Flash   /0x08000000/256*02Kg"), "stm32g474"),
    ("G431", new_rom("@Internal Flash   /0x08000000/64*02Kg"), "stm32g431"),
    ("G0B1 of 512 KB", new_rom("@Internal Flash   /0x08000000/256*02Kg"), "stm32g0b1"),
    ("G0B1 of 128 KB", new_rom("@Internal Flash   /0x08000000/64*02Kg"), "stm32g0b1"),
    ("H743", new_rom("@Internal Flash   /0x08000000/16*128Kg", serial="200364500000"), "stm32h743"),
    ("H750", new_rom("@Internal Flash   /0x08000000/16*128Kg", serial="200364500000"), "stm32h743"),
    ("H723", new_rom("@Internal Flash   /0x08000000/8*128Kg", serial="3560376F3431"), "stm32h723"),
    ("H7A3", new_rom("@Internal Flash   /0x08000000/256*08Kg", serial="336D396B3434"), "stm32h7a3"),
    ("H7B0", new_rom("@Internal Flash   /0x08000000/256*08Kg", serial="376E356F3339"), "stm32h7a3"),
    ("H7B3", new_rom("@Internal Flash   /0x08000000/256*02Kg", serial="FFFFFFFEFFFF"), "stm32h7a3"),
    ("C562", new_rom("@Internal Flash /0x08000000/64*08Kg", bcd_device=0x0300), "stm32c562"),
]


@pytest.mark.parametrize(("rom", "chip"), [each[1:] for each in SEEN], ids=[each[0] for each in SEEN])
def test_a_string_that_was_seen_is_its_rows(rom: RomFacts, chip: str) -> None:
    assert row(chip).contradiction(rom) is None
    assert row(chip) in TABLE.like(rom)


def test_the_f722s_string_without_a_multiplier_is_read_as_bytes() -> None:
    otp = row("stm32f722").regions[2]
    assert row("stm32f722").alternates.value[2] == "@OTP Memory /0x1FF07800/01*528e"
    assert (otp.address, [sector.size for sector in otp.sectors]) == (0x1FF0_7800, [528])


def test_the_wrong_string_of_an_early_h7a3_is_recognised_but_not_believed() -> None:
    """AN2606 table 138: 256*02Kg, while the sectors have 8 KB. Erasing by that string erases four times."""
    lying = new_rom("@Internal Flash   /0x08000000/256*02Kg", serial="FFFFFFFEFFFF")
    h7a3 = row("stm32h7a3")
    assert h7a3.contradiction(lying) is None
    assert {sector.size for sector in h7a3.sectors(kib=None, bank_mode=None)} == {8 * KIB}


def test_a_g0b1_calls_all_its_memories_by_one_name() -> None:
    assert len(set(row("stm32g0b1").alternates.value)) == 1
    assert len(row("stm32g0b1").regions) == 3


def test_what_a_lab_shows_of_every_row_is_its_own_rows() -> None:
    for chip in TABLE.chip:
        rom = RomFacts(
            serial=chip.serial_constants.value[0] if chip.serial_constants else None,
            product_string=chip.product_string.value,
            bcd_device=chip.bcd_device.value,
            transfer_size=chip.transfer_size.value,
            regions=chip.regions,
        )
        assert chip in TABLE.like(rom), chip.id


# ----------------------------------------------------------------------------------------------- look-alikes


def shown_by(alike: Lookalike) -> Shown:
    face = alike.face
    return Shown(
        serial=face.serial or None,
        product_string=face.product or None,
        bcd_device=face.bcd_device,
        alternates=face.alternates,
    )


@pytest.mark.parametrize("alike", TABLE.lookalike, ids=lambda alike: alike.id)
def test_a_look_alike_is_recognised_as_itself_only(alike: Lookalike) -> None:
    shown = shown_by(alike)
    assert [one.id for one in TABLE.lookalike if one.is_this(alike.face.usb, shown)] == [alike.id]
    assert TABLE.lookalike_of(alike.face.usb, shown) is alike


# Strings of public listings, typed (facts 2.2): not taken from the rows' own faces.
STRANGERS = [
    ("28e9:0189", 0x1000, "3CBJ", "@Internal Flash  /0x08000000/512*002Kg", "gd32"),
    ("2e3c:df11", 0x0200, "AT32", "@Internal Flash   /0x08000000/08*04Ka,1000*04Kg", "at32"),
    ("314b:0106", 0x0010, "0448", "@Internal Flash  /0x8000000/06*002Kg,058*002Kg", "apm32"),
    (
        "0483:df11", 0x2200, "2022123456",
        "@Internal Flash   /0x00000000/16*004Ka,096*04Kg", "ch58x-bootloader",
    ),
    ("0483:df11", 0x0200, "002700333338511934383330", "sdcard_rootfs", "u-boot-stm32mp"),
    (
        "0483:df11", 0x0200, "395B377C3330",
        "@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg/0x90400000/60*64Kg", "daisy-bootloader",
    ),
    (
        "0483:df11", 0x0200, None,
        "@External Flash /0x90000000/998*128Kg,1*128Kg,4*128Kg,21*128Ka", "exst-external-flash",
    ),
    (
        "0483:df11", 0x0200, None,
        "@External Flash /0x90000000/1001*128Kg,3*128Kg,20*128Ka", "exst-external-flash",
    ),
    ("0483:df11", 0x0200, None, "@Internal Flash  /0x08000000/01*128Kg", "mboot-h750"),
    (
        "0483:df11", 0x0200, "OWSENSORBL",
        "@Internal Flash/0x08000000/01*128Ka,04*128Kg,11*128Ka", "own-loader-with-locked-sectors",
    ),
    ("1d50:607f", 0x0200, None, "@Internal Flash  /0x08000000/20*001Ka,108*001Kg", "spark-core"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("usb", "bcd_device", "serial", "first", "name"), STRANGERS, ids=[each[-1] for each in STRANGERS]
)
def test_a_listing_of_a_look_alike_has_its_name(
    usb: str, bcd_device: int, serial: str | None, first: str, name: str
) -> None:
    shown = Shown(serial=serial, product_string=None, bcd_device=bcd_device, alternates=(first,))
    found = TABLE.lookalike_of(usb, shown)
    assert found is not None
    assert found.id == name


def test_no_rom_is_taken_for_a_look_alike_whatever_it_shows() -> None:
    for chip in TABLE.chip:
        firsts = [chip.alternates.value[0], *(fact.value for fact in chip.also_shows)]
        firsts += [chip.geometry.value] if chip.geometry else []
        firsts += [chip.bank_mode.dual] if chip.bank_mode else []
        for first in firsts:
            for serial in ("200364500000", "002700333338511934383330", None):
                shown = Shown(
                    serial=serial,
                    product_string=chip.product_string.value,
                    bcd_device=chip.bcd_device.value,
                    alternates=(first, *chip.alternates.value[1:]),
                )
                assert TABLE.lookalike_of("0483:df11", shown) is None, f"{chip.id}: {first}"


def test_a_device_without_any_alternate_is_nobody() -> None:
    shown = Shown(serial="002700333338511934383330", product_string=None, bcd_device=0x0200, alternates=())
    assert shown.first == ""
    assert TABLE.lookalike_of("0483:df11", shown) is None


def test_only_a_gd32_leaves_on_the_zero_length_download() -> None:
    """dfu-util's QUIRK_DFUSE_LEAVE."""
    assert [one.id for one in TABLE.lookalike if one.leaves_on_zero_download] == ["gd32"]
