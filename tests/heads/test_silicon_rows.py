"""The silicon table's files: every family is there, every cell has a source, and nonsense is refused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import updater
from tests.heads.silicon_kit import RAW, TABLE, TEXTS, altered
from updater.heads.silicon import parse_silicon

F4, F7, H7, QUIRKS, ALIKE = "f2-f4.toml", "f7.toml", "h7.toml", "quirks.toml", "lookalikes.toml"
STANDINGS = {"documented", "observed", "inferred"}

# ------------------------------------------------------------------------------------------------- families

# Typed from AN2606 table 226, AN2606's list of bootloaders with USB, and OpenOCD's device tables.
DEV_IDS = {
    "H742/743/745/747/750/753/755/757": (0x450,),
    "H723/725/730/733/735": (0x483,),
    "H7A3/7B0/7B3": (0x480,),
    "H7R/S": (0x485,),
    "H503, H523/533, H562/563/573": (0x474, 0x478, 0x484),
    "F105/107": (0x418,),
    "F2": (0x411,),
    "F401xB/C, xD/E": (0x423, 0x433),
    "F405/407": (0x413,),
    "F411": (0x431,),
    "F412": (0x441,),
    "F413": (0x463,),
    "F42x/43x": (0x419,),
    "F446": (0x421,),
    "F469": (0x434,),
    "F72x/73x": (0x452,),
    "F74x/75x": (0x449,),
    "F76x/77x": (0x451,),
    "F303xB/C, xD/E": (0x422, 0x446),
    "F302x6/8, F373": (0x439, 0x432),
    "F072, F070xB": (0x448,),
    "F04x, F070x6": (0x445,),
    "L07x": (0x447,),
    "L4": (0x415, 0x435, 0x461, 0x462, 0x464),
    "L4+": (0x470, 0x471),
    "L5": (0x472,),
    "U0": (0x489,),
    "U5": (0x455, 0x482, 0x481, 0x476),
    "G0B1/C1": (0x467,),
    "G4": (0x468, 0x469, 0x479),
    "WB55": (0x495,),
    "C0": (0x493,),
    "C5": (0x44E, 0x44F, 0x45A),
}


@pytest.mark.parametrize("family", DEV_IDS)
def test_every_family_with_a_usb_bootloader_has_its_rows(family: str) -> None:
    assert [f"0x{dev_id:03X}" for dev_id in DEV_IDS[family] if TABLE.by_dev_id(dev_id) is None] == []


def test_there_is_no_row_that_nobody_asked_for() -> None:
    known = {dev_id for ids in DEV_IDS.values() for dev_id in ids}
    assert {row.dev_id.value for row in TABLE.chip} == known
    assert len(TABLE.chip) == len(known)


def test_a_dev_id_that_is_not_in_the_table_has_no_row() -> None:
    assert TABLE.by_dev_id(0x410) is None  # F10x: its ROM has no USB


# -------------------------------------------------------------------------------------------------- sources


def statements(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table of a file that states something, with its path."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from statements(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        if "value" in value or "source" in value or "standing" in value:
            yield path, value
        for key, each in value.items():
            if key != "value":
                yield from statements(each, f"{path}.{key}")


STATEMENTS = [each for name in RAW for each in statements(RAW[name], name)]


@pytest.mark.parametrize("file", sorted(TEXTS))
def test_every_cell_has_a_source_and_a_standing(file: str) -> None:
    """A quirk's match and symptom have the standing of their row's remedy."""
    found = [(path, cell) for path, cell in STATEMENTS if path.startswith(file)]
    assert found
    for path, cell in found:
        assert str(cell.get("source", "")).strip(), path
        if not path.endswith((".match", ".symptom")):
            assert cell.get("standing") in STANDINGS, path


def test_nothing_but_names_is_stated_without_a_source() -> None:
    """Each key of a chip or generation row is a name, or holds cells with sources."""
    names = {"id", "title", "generation"}
    for file, raw in RAW.items():
        rows = [*raw.get("chip", ()), *raw.get("generation", {}).values()]
        for each in rows:
            for key in each.keys() - names:
                parts = each[key] if isinstance(each[key], list) else [each[key]]
                for part in parts:
                    cells = list(statements(part, f"{file} {each.get('id')}.{key}"))
                    assert cells, f"{file} {each.get('id')}.{key}"


def test_the_table_is_as_large_as_it_looks() -> None:
    assert len(STATEMENTS) > 1000


def test_every_quirk_says_where_it_was_seen() -> None:
    assert all(quirk.seen.strip() for quirk in TABLE.quirk)


def test_what_people_read_are_sentences() -> None:
    texts = [
        *(quirk.limitation for quirk in TABLE.quirk if quirk.limitation),
        *(known.text for known in TABLE.limitation),
        *(alike.refused for alike in TABLE.lookalike),
        *(row.no_otp.value for row in TABLE.chip if row.no_otp),
    ]
    assert len(texts) > 60
    for text in texts:
        assert text[0].isupper(), text
        assert text.endswith("."), text
        assert "bcdDevice" not in text, text


# ----------------------------------------------------------------------------------------------- generations


def test_a_chip_inherits_each_key_that_it_does_not_state_itself() -> None:
    for raw in RAW.values():
        for each in raw.get("chip", ()):
            row = TABLE.by_id(each["id"])
            assert row is not None
            shared = raw.get("generation", {}).get(each.get("generation"), {})
            for key in shared.keys() - each.keys():
                assert msgspec.to_builtins(getattr(row, key)) == _complete(shared[key], row, key)
            for key in (shared.keys() & each.keys()) - {"lab"}:
                assert msgspec.to_builtins(getattr(row, key)) == _complete(each[key], row, key)


def _complete(stated: Any, row: Any, key: str) -> Any:
    """What the file states, with the schema's defaults where it is silent."""
    return msgspec.to_builtins(msgspec.convert(stated, type(getattr(row, key))))


def test_a_whole_table_is_replaced_and_never_merged() -> None:
    """The F405 states its own times; the F411 has those of its generation."""
    text = TEXTS[F4]
    own = text.index("[chip.lab]")
    stripped = text[:own] + text[own:].replace(
        next(line for line in text[own:].splitlines() if line.startswith("program_us_fast")) + "\n", "", 1
    )
    table = parse_silicon(stripped)
    f405, f411 = table.by_id("stm32f405"), table.by_id("stm32f411")
    assert f405 is not None
    assert f411 is not None
    assert f405.lab.program_us_fast is None
    assert f411.lab.program_us_fast is not None


def test_a_generation_is_described_once_in_all_files() -> None:
    other = (
        TEXTS[F7]
        .replace("[generation.f7", "[generation.f4")
        .replace('generation = "f7"', 'generation = "f4"')
    )
    with pytest.raises(ValueError, match="generation f4 stands twice"):
        parse_silicon(TEXTS[F4], other)


# ------------------------------------------------------------------------------- what is refused on loading


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        (H7, 'title = "STM32H742', 'colour = "red"\ntitle = "STM32H742', "colour"),
        (H7, "[chip.lab]\n", "[chip.lab]\nspeed = 1\n", "speed"),
        (H7, "[generation.h7]\n", "[generation.h7]\nspeed = 1\n", "speed"),
        (QUIRKS, "[quirk.match]\n", '[quirk.match]\nboards = ["x"]\n', "boards"),
        (QUIRKS, "[quirk.symptom]\n", "[quirk.symptom]\nexplodes = true\n", "explodes"),
        (QUIRKS, "[quirk.remedy]\n", "[quirk.remedy]\npray = true\n", "pray"),
        (QUIRKS, 'seen = "radios', 'heard = "radios', "heard"),
        (ALIKE, 'title = "GigaDevice GD32"\n', 'title = "GigaDevice GD32"\nprice = 1\n', "price"),
        (ALIKE, "[lookalike.face]\n", "[lookalike.face]\nspeed = 1\n", "speed"),
        (H7, "dev_id = { value = 0x450,", "dev_id = { value = 0x450, maybe = 1,", "maybe"),
        (H7, "{ rev_id = 0x1001,", "{ rev_id = 0x1001, nick = 1,", "nick"),
        (H7, "{ id = 0xD2,", "{ id = 0xD2, nick = 1,", "nick"),
        (H7, "{ kib = 1024,", "{ kib = 1024, nick = 1,", "nick"),
        (F7, 'option = "nDBANK"\n', 'option = "nDBANK"\nnick = 1\n', "nick"),
        (F4, "supply = { feature_at", "supply = { nick = 1, feature_at", "nick"),
        (F4, "otp = { at", "otp = { nick = 1, at", "nick"),
        (H7, 'standing = "inferred"', 'standing = "rumoured"', "rumoured"),
        (H7, "empty_check = { value = false", 'empty_check = { value = "no"', "bool"),
        (F7, "dual_when = 0\n", "dual_when = 2\n", "dual_when"),
        (F7, "bit = 13\n", "bit = 32\n", "bit"),
        (F7, 'bank_mode = "dual", layout', 'bank_mode = "triple", layout', "triple"),
        (H7, 'leave = { value = "drops"', 'leave = { value = "explodes"', "explodes"),
    ],
)
def test_a_key_that_is_not_known_is_refused_by_name(file: str, old: str, new: str, named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        altered(file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (H7, ', source = "AN2606 table 226" }', " }"),
        (H7, 'source = "AN2606 table 226" }', 'source = " " }'),
        (QUIRKS, 'source = "EdgeTX Buddy PR 88"\n', ""),
        (QUIRKS, 'source = "EdgeTX Buddy PR 88"\n', 'source = ""\n'),
        (QUIRKS, 'seen = "radios flashed at 0.25 s per 2 KiB by tools that wait as told"', 'seen = ""'),
        (ALIKE, 'source = "dfu-util -l of a Durgod', 'sauce = "dfu-util -l of a Durgod'),
    ],
)
def test_a_cell_without_a_source_is_refused(file: str, old: str, new: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"source|seen|sauce"):
        altered(file, old, new)


def test_a_cell_without_a_standing_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="standing"):
        altered(H7, 'dev_id = { value = 0x450, standing = "documented",', "dev_id = { value = 0x450,")


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (H7, "schema = 2\n", "schema = 1\n", "does not say schema = 2"),
        (H7, "schema = 2\n", "", "does not say schema = 2"),
        (H7, "schema = 2\n", "schema = 2\nextra = 1\n", "does not know 'extra'"),
        (H7, 'generation = "h7"', 'generation = "h9"', "of a generation h9 that nobody describes"),
        (H7, 'id = "stm32h723"', 'id = "stm32h743"', "chip stm32h743 stands twice"),
        (H7, "dev_id = { value = 0x483", "dev_id = { value = 0x450", "DEV_ID 0x450 stands twice"),
        (QUIRKS, 'id = "poll-time-too-long"', 'id = "go-is-broken"', "quirk go-is-broken stands twice"),
        (ALIKE, 'id = "at32"', 'id = "gd32"', "look-alike gd32 stands twice"),
        (H7, "{ rev_id = 0x1003, letter", "{ rev_id = 0x1001, letter", "revision 0x1001 stands twice"),
        (H7, "{ id = 0xD3,", "{ id = 0xD2,", "in chip stm32h743 ROM 0xD2 stands twice"),
        (QUIRKS, 'chips = ["stm32h743"]', 'chips = ["stm32h999"]', "unknown chips: stm32h999"),
        (H7, 'chips = ["stm32h743"]', 'chips = ["stm32h999"]', "unknown chips: stm32h999"),
        (QUIRKS, "rom_versions = [0x90, 0x91]", "rom_versions = [0x90, 0x99]", "unknown ROMs: 0x99"),
        (QUIRKS, 'revisions = ["Y"]', 'revisions = ["Q"]', "unknown revisions: Q"),
        (QUIRKS, "stuck_erase_wait_ms = 4000\n", "", "belong together"),
        (QUIRKS, "stuck_erase_from = 0x08100000\n", "", "belong together"),
        (QUIRKS, "stuck_erase_wait_ms = 4000", "stuck_erase_wait_ms = 2000", "less than the longest erase"),
        (H7, "/16*128Kg", "/16*128K", r"chip stm32h743: .* the malformed part '16\*128K'"),
        (F4, "/01*512 e,01*016 e", "/01*512 e,,", "the malformed part ''"),
        (H7, '{ "131072" = 900 }', '{ "65536" = 900 }', "no erase time for one of its sector sizes"),
        (F7, 'serial_constants = { value = ["STM32FxSTM32"]', "x = { value = [1]", "that is not named|`x`"),
        (H7, "no_otp = ", "otp = { at = 0, bytes = 1, block_bytes = 1, lock_at = 0, lock_bytes = 0, "
         'standing = "observed", source = "x" }\nno_otp = ', "has OTP memory and none"),
    ],
)  # fmt: skip
def test_a_row_that_contradicts_itself_or_another_is_refused(
    file: str, old: str, new: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        altered(file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "words"),
    [
        (H7, 'geometry = { value = "@Internal Flash   /0x08000000/16*128Kg", ', "geometry guards"),
        (F7, 'geometry = { value = "@Internal Flash  /0x08000000/04*032Kg,01*128Kg,07*256Kg", ', "geometry"),
        (H7, "program_unit_bytes = { value = 32, ", "program_unit_bytes guards"),
        (F4, "program_unit_bytes = { value = 4, ", "program_unit_bytes guards"),
        (F7, 'bank_mode = "dual", layout = "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg,'
         '04*016Kg,01*064Kg,03*128Kg", ', "parts guards"),
        (F4, 'bank_mode = { option = "DB1M", at = 0x1FFFC008, bit = 14, dual_when = 1, dual = "@Internal '
         'Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg,04*016Kg,01*064Kg,07*128Kg", ', "bank_mode guards"),
        (H7, "sizes_kib = { value = [128, 1024, 2048], ", "sizes_kib guards"),
        (F4, "supply = { feature_at = 0xFFFF0000, value = 3, from_mv = 2700, to_mv = 3600, ",
         "supply guards"),
        (F7, "otp = { at = 0x1FF0F000, bytes = 1024, block_bytes = 64, lock_at = 0x1FF0F400, "
         "lock_bytes = 16, ", "otp guards"),
        (QUIRKS, "stuck_erase_wait_ms = 4000\n", "bank2-erase-wedge: its remedy guards"),
        (QUIRKS, "no_sector_erase_in_bank2 = true\n", "bank2-erase-hits-another-sector: its remedy guards"),
        (QUIRKS, "no_mass_erase = true\n", "mass-erase-does-nothing: its remedy guards"),
        (QUIRKS, "pad_to_bytes = 8\n", "odd-buffers-are-corrupted: its remedy guards"),
    ],
)  # fmt: skip
def test_what_guards_against_damage_never_rests_on_an_inference(file: str, old: str, words: str) -> None:
    documented = f'{old}standing = "documented"'
    with pytest.raises(ValueError, match=words):
        altered(file, documented, f'{old}standing = "inferred"')


def test_a_layout_is_not_believed_to_follow_the_size_by_inference() -> None:
    seen = 'layout_follows_size = { value = true, standing = "observed"'
    with pytest.raises(ValueError, match="layout_follows_size rests on an inference"):
        altered("g-wb-u-c0.toml", seen, seen.replace("observed", "inferred"))


def test_no_guard_of_the_table_is_inferred() -> None:
    """Said once more from the outside, over the rows as they are."""
    for row in TABLE.chip:
        cells = (row.geometry, row.sizes_kib, row.program_unit_bytes, row.bank_mode, row.supply, row.otp)
        standings = {cell.standing for cell in cells if cell} | {part.standing for part in row.parts}
        assert "inferred" not in standings, row.id
    for quirk in TABLE.quirk:
        if quirk.remedy.guards_against_damage:
            assert quirk.remedy.standing != "inferred", quirk.id


def test_a_chip_without_geometry_says_why_it_is_not_written_to() -> None:
    without = {row.id for row in TABLE.chip if row.geometry is None}
    assert without == {row.id for row in TABLE.chip if row.not_written is not None}
    assert without


# ------------------------------------------------------------------------------------- the code knows no chip


def spoken(tree: ast.Module) -> set[int]:
    """The lines of a module that are docstrings: prose, not code."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def test_no_chip_is_named_in_the_code() -> None:
    """Neither a row's id nor a part's name; comments and docstrings may tell where a fault was met."""
    package = Path(updater.__file__).parent
    ids = "|".join(re.escape(row.id.removeprefix("stm32")) for row in TABLE.chip)
    name = re.compile(rf"stm32[a-z][0-9][a-z0-9]*|\b(?:stm32)?(?:{ids})\b", re.IGNORECASE)
    modules = sorted(package.rglob("*.py"))
    assert {path.parent.name for path in modules} >= {"updater", "silicon", "lab", "dfu", "demo"}
    found = []
    for path in modules:
        text = path.read_text(encoding="utf-8")
        prose = spoken(ast.parse(text))
        for number, line in enumerate(text.splitlines(), 1):
            hit = name.search(line.partition("#")[0])
            if hit and number not in prose:
                found.append(f"{path.relative_to(package)}:{number}: {hit[0]}")
    assert found == []
