"""The silicon table: every cell has a source, what is not known is assumed, and code knows no chip."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

import updater
from updater.dfu.layout import parse_layout
from updater.facts import RomFacts
from updater.silicon import Chip, StuckErase, parse_silicon, the_table

TEXT = files("updater").joinpath("silicon.toml").read_text(encoding="utf-8")
TABLE = the_table()
WEDGE = "bank2-erase-wedge"


def row(chip_id: str) -> Chip:
    found = TABLE.by_id(chip_id)
    assert found is not None
    return found


H743, F405 = row("stm32h743"), row("stm32f405")

H743_ROM = RomFacts(
    serial="200364500000",
    product_string="DFU in FS Mode",
    bcd_device=0x0200,
    transfer_size=1024,
    regions=(
        parse_layout("@Internal Flash   /0x08000000/16*128Kg", 0),
        parse_layout("@Option Bytes   /0x5200201C/01*128 e", 1),
    ),
)
F405_ROM = RomFacts(
    serial="325E35633334",
    product_string="STM32  BOOTLOADER",
    bcd_device=0x2200,
    transfer_size=2048,
    regions=(parse_layout("@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg", 0),),
)


def words(w0: int, w1: int, w2: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in (w0, w1, w2))


def altered(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


# -------------------------------------------------------------------------------------------------- sources


def cells(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table of the file that states something, with its path."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from cells(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        if "value" in value or path.endswith(("match", "symptom", "remedy", "]")):
            yield path, value
        if "value" not in value:
            for key, each in value.items():
                yield from cells(each, f"{path}.{key}")


STATEMENTS = [
    (path, cell) for path, cell in cells(tomllib.loads(TEXT), "") if "id" not in cell or "standing" in cell
]


@pytest.mark.parametrize(("path", "cell"), STATEMENTS, ids=[path for path, _ in STATEMENTS])
def test_every_cell_has_a_source(path: str, cell: dict[str, Any]) -> None:
    assert cell["source"].strip()
    if not path.endswith(("match", "symptom", "remedy")):
        assert cell["standing"] in ("documented", "observed", "inferred")


def test_there_are_cells_at_all() -> None:
    assert len(STATEMENTS) > 60


def test_every_quirk_says_where_it_was_seen() -> None:
    assert all(quirk.seen.strip() for quirk in TABLE.quirk)


# ------------------------------------------------------------------------------- what is refused on loading


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("schema = 1\n", "schema = 2\n", "schema"),
        ("schema = 1\n", "schema = 1\nextra = 1\n", "extra"),
        ('title = "STM32H742', 'colour = "red"\ntitle = "STM32H742', "colour"),
        ("[chip.lab]\n", "[chip.lab]\nspeed = 1\n", "speed"),
        ("[quirk.match]\n", '[quirk.match]\nboards = ["x"]\n', "boards"),
        ("[quirk.symptom]\n", "[quirk.symptom]\nexplodes = true\n", "explodes"),
        ("[quirk.remedy]\n", "[quirk.remedy]\npray = true\n", "pray"),
        ('seen = "radios', 'heard = "radios', "heard"),
        ("dev_id = { value = 0x450,", "dev_id = { value = 0x450, maybe = 1,", "maybe"),
        ("{ rev_id = 0x1001,", "{ rev_id = 0x1001, nick = 1,", "nick"),
        ("{ id = 0xD2,", "{ id = 0xD2, nick = 1,", "nick"),
        (', source = "AN2606 table 226" }', " }", "source"),
        ('source = "AN2606 table 226" }', 'source = " " }', "source"),
        ('source = "EdgeTX Buddy PR 88"\n', "", "source"),
        ('source = "EdgeTX Buddy PR 88"\n', 'source = ""\n', "source"),
        ('letter = "Z", standing = "documented", source = "OpenOCD stm32h7x.c"', 'letter = "Z"', "standing"),
        ('standing = "inferred"', 'standing = "rumoured"', "rumoured"),
        ("empty_check = { value = false", 'empty_check = { value = "no"', "bool"),
    ],
)
def test_a_key_unknown_or_missing_is_refused_by_name(old: str, new: str, named: str) -> None:
    with pytest.raises(
        msgspec.ValidationError, match=named if named != "source" else "source|pattern|length"
    ):
        parse_silicon(altered(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "stm32f405"', 'id = "stm32h743"', "chip stm32h743 stands twice"),
        ("dev_id = { value = 0x413", "dev_id = { value = 0x450", "DEV_ID 0x450 stands twice"),
        ('id = "poll-time-too-long"', f'id = "{WEDGE}"', f"quirk {WEDGE} stands twice"),
        ("{ rev_id = 0x1003, letter", "{ rev_id = 0x1001, letter", "revision 0x1001 stands twice"),
        ("{ id = 0xD3,", "{ id = 0xD2,", "in chip stm32h743 ROM 0xD2 stands twice"),
        ('chips = ["stm32h743"]', 'chips = ["stm32h743", "stm32h999"]', "unknown chips: stm32h999"),
        ("rom_versions = [0x90, 0x91]", "rom_versions = [0x90, 0x99]", "unknown ROMs: 0x99"),
        ('revisions = ["Y"]', 'revisions = ["Q"]', "unknown revisions: Q"),
        ("stuck_erase_wait_ms = 4000\n", "", "belong together"),
        ("stuck_erase_from = 0x08100000\n", "", "belong together"),
        ("stuck_erase_wait_ms = 4000", "stuck_erase_wait_ms = 2000", "less than the longest erase"),
        ("/16*128Kg", "/16*128K", r"chip stm32h743: .* the malformed part '16\*128K'"),
        ("/01*512 e,01*016 e", "/01*512 e,,", "chip stm32f405: .* the malformed part ''"),
        ('{ "131072" = 900 }', '{ "65536" = 900 }', "no erase time for one of its sector sizes"),
    ],
)
def test_a_row_that_contradicts_itself_or_another_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_silicon(altered(old, new))


def test_no_chip_is_named_in_the_code() -> None:
    package = Path(updater.__file__).parent
    ids = "|".join(re.escape(chip.id) for chip in TABLE.chip)
    name = re.compile(rf"stm32[a-z][0-9][a-z0-9]*|{ids}", re.IGNORECASE)
    found = [
        f"{path.relative_to(package)}:{number}: {hit[0]}"
        for path in sorted(package.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := name.search(line))
    ]
    assert found == []


# ----------------------------------------------------------------------------------------------- the serial


def test_the_serial_of_an_f405_is_the_sum_of_its_uid() -> None:
    uid = words(0x002D_0030, 0x3334_510B, 0x3231_3533)
    assert F405.predicted_serials(uid=uid, idcode=0x1003_6413)[0] == "325E35633334"


@pytest.mark.parametrize(
    ("uid", "serial"),
    [
        (words(0x0020_0032, 0x3438_510E, 0x3137_3439), "3157346B3438"),
        (bytes.fromhex("3D002C00 02504B57 35313920"), "20653172574B"),
        (words(0x0058_0027, 0x3331_500B, 0x2033_3153), "208B317A3331"),
        (words(0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF), "FFFFFFFEFFFF"),
        (words(0xFFFF_FFFF, 0, 1), "000000000000"),
    ],
    ids=["ST:263112, computed", "G0B1", "U5", "words of 0xFF", "carry"],
)
def test_the_formula_holds_for_other_uids(uid: bytes, serial: str) -> None:
    assert F405.predicted_serials(uid=uid, idcode=0)[0] == serial


@pytest.mark.parametrize(
    ("idcode", "serial", "letter"),
    [
        (0x2003_6450, "200364500000", "V"),
        (0x1003_6450, "100364500000", "Y"),
        (0x2001_6450, "200164500000", "X"),
        (0x1001_6450, "100164500000", "Z"),
    ],
)
def test_the_serial_of_an_h743_is_its_idcode_and_tells_the_revision(
    idcode: int, serial: str, letter: str
) -> None:
    uid = words(0x0020_0032, 0x3438_510E, 0x3137_3439)
    assert H743.predicted_serials(uid=uid, idcode=idcode)[0] == serial
    rev_id = H743.rev_id_of(serial)
    assert rev_id == idcode >> 16
    assert H743.letter(rev_id) == letter


def test_only_the_first_eight_digits_of_an_idcode_serial_count() -> None:
    assert H743.rev_id_of("20036450BEEF") == 0x2003
    assert H743.serial_contradiction("20036450beef", uid=bytes(12), idcode=0x2003_6450) is None


@pytest.mark.parametrize("serial", [None, "", "2003645", "200364830000", "STM32FxSTM32", "zzzzzzzzzzzz"])
def test_any_other_serial_tells_no_revision(serial: str | None) -> None:
    assert H743.rev_id_of(serial) is None


def test_the_serial_of_an_f405_tells_no_revision() -> None:
    assert F405.rev_id_of("200364130000") is None


def test_a_serial_that_was_not_foretold_is_a_contradiction_in_words() -> None:
    assert H743.serial_contradiction("100364500000", uid=bytes(12), idcode=0x2003_6450) == (
        "its bootloader has serial 100364500000, but 200364500000 was to be expected"
    )
    uid = words(0x002D_0030, 0x3334_510B, 0x3231_3533)
    assert F405.serial_contradiction("325e35633334", uid=uid, idcode=0) is None
    assert F405.serial_contradiction("325E35633335", uid=uid, idcode=0) is not None
    assert F405.serial_contradiction(None, uid=uid, idcode=0) is not None


def test_no_serial_is_said_to_be_unique_as_long_as_no_source_says_so() -> None:
    assert (H743.serial_is_unique.value, F405.serial_is_unique.value) == (False, False)


# ---------------------------------------------------------------------------------------------- recognition


@pytest.mark.parametrize(
    ("chip", "rev_id", "letter"),
    [
        (H743, 0x1001, "Z"),
        (H743, 0x1003, "Y"),
        (H743, 0x2001, "X"),
        (H743, 0x2003, "V"),
        (H743, 0x1007, None),
        (F405, 0x1000, "A"),
        (F405, 0x1001, "Z"),
        (F405, 0x1003, "Y"),
        (F405, 0x1007, "1"),
        (F405, 0x2001, "3"),
        (F405, 0x2003, None),
    ],
)
def test_a_rev_id_has_the_letter_that_openocd_gives_it(chip: Chip, rev_id: int, letter: str | None) -> None:
    assert chip.letter(rev_id) == letter


def test_a_chip_is_found_by_its_dev_id() -> None:
    assert (TABLE.by_dev_id(0x450), TABLE.by_dev_id(0x413), TABLE.by_dev_id(0x483)) == (H743, F405, None)


def test_a_rom_is_like_its_own_row_and_no_other() -> None:
    assert TABLE.like(H743_ROM) == (H743,)
    assert TABLE.like(F405_ROM) == (F405,)


@pytest.mark.parametrize(
    ("rom", "words"),
    [
        (replace(H743_ROM, bcd_device=0x2200), "its bootloader reports bcdDevice 2200, not 0200"),
        (replace(H743_ROM, transfer_size=2048), "its bootloader takes blocks of 2048 bytes, not 1024"),
        (replace(H743_ROM, regions=()), "its flash is laid out differently from a STM32H742"),
        (replace(H743_ROM, regions=F405_ROM.regions), "its flash is laid out differently from a STM32H742"),
        (
            replace(H743_ROM, regions=(parse_layout("@Internal Flash   /0x08000000/8*128Kg", 0),)),
            "its flash is laid out differently",
        ),
    ],
)
def test_a_rom_that_shows_something_else_contradicts_the_row(rom: RomFacts, words: str) -> None:
    said = H743.contradiction(rom)
    assert said is not None
    assert said.startswith(words)
    assert TABLE.like(rom) == ()


def test_option_bytes_and_strings_are_no_proof_of_anything() -> None:
    assert H743.contradiction(replace(H743_ROM, regions=H743_ROM.regions[:1], product_string=None)) is None


def test_the_commit_granule_holds_sp_and_reset_vector_together() -> None:
    assert (H743.program_unit_bytes.value, H743.granule_bytes) == (32, 32)
    assert (F405.program_unit_bytes.value, F405.granule_bytes) == (4, 8)


# -------------------------------------------------------------------------------------- quirks and remedies


@pytest.mark.parametrize(
    ("rom_version", "revision", "applies"),
    [
        (0x90, "V", True),
        (0x91, "V", True),
        (0x91, None, True),
        (0x91, "Y", True),
        (0x92, "V", False),
        (0x92, None, False),
        (0xD2, "Y", False),
        (0xD3, "V", False),
        (None, "V", True),
        (None, "X", True),
        (None, "Z", True),
        (None, None, True),
        (None, "Y", False),
        (0x93, "V", True),
        (0x93, "Y", False),
    ],
)
def test_the_wedge_is_known_absent_or_assumed(
    rom_version: int | None, revision: str | None, applies: bool
) -> None:
    """A ROM that is not known, or none of the row's, is taken for a faulty one, except on rev Y."""
    behaviour = TABLE.behaviour(H743, rom_version=rom_version, revision=revision)
    cure = StuckErase(from_address=0x0810_0000, wait_ms=4000)
    assert behaviour.stuck_erase == (cure if applies else None)
    assert [limitation.id for limitation in behaviour.limitations] == ([WEDGE] if applies else [])


@pytest.mark.parametrize("rom_version", [None, 0x31, 0x90, 0x91])
def test_an_f405_has_no_second_bank_and_no_wedge(rom_version: int | None) -> None:
    behaviour = TABLE.behaviour(F405, rom_version=rom_version, revision=None)
    assert (behaviour.stuck_erase, behaviour.limitations) == (None, ())
    assert behaviour.polling.at_once


def test_a_limitation_has_words_and_all_its_sources() -> None:
    (limitation,) = TABLE.behaviour(H743, rom_version=0x91, revision="V").limitations
    assert limitation.text.startswith("Erasing the second half of the flash leaves this ROM busy for ever")
    assert len(limitation.source) == 3
    assert any("AN2606 table 136" in source for source in limitation.source)
    assert any("ST:234209" in source for source in limitation.source)


def test_without_its_remedy_a_quirk_is_still_there() -> None:
    bare = TABLE.without_remedy(WEDGE)
    assert bare.behaviour(H743, rom_version=0x91, revision="V").stuck_erase is None
    assert bare.quirk[0].symptom == TABLE.quirk[0].symptom
    assert bare.quirk[1:] == TABLE.quirk[1:]
    assert bare.behaviour(H743, rom_version=0x91, revision="V").limitations != ()


def test_the_ceilings_are_the_datasheets_not_the_devices() -> None:
    """DS12110 tables 43 and 140, DS8626 table 40: 4 s for 128 KB at x8, the slowest parallelism."""
    assert (H743.erase_max_ms.value, F405.erase_max_ms.value) == (4000, 4000)
