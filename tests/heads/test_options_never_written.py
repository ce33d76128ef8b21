"""No script can address option bytes for writing, and read-unprotect is not a word that this program knows.

A change of option bytes can lock a chip for ever (RDP level 2), and no confirmation makes that harmless.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import updater
from tests.heads.plan_kit import facts, program, widget
from updater.heads.dfu.words import Command
from updater.heads.plan import Cargo, plan_cargo
from updater.heads.silicon import BankMode, Chip, the_table
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import Segment

TABLE = the_table()
CODE = Path(updater.__file__).parent
WITH_OPTIONS = [row for row in TABLE.chip if row.option_bytes]


def sizes_and_modes(row: Chip) -> list[tuple[int, BankMode | None]]:
    modes: tuple[BankMode | None, ...] = ("single", "dual") if row.bank_mode else (None,)
    return [(kib, mode) for kib in row.sizes_kib.value for mode in modes]


@pytest.mark.parametrize("row", WITH_OPTIONS, ids=lambda row: row.id)
def test_no_plan_reaches_the_option_bytes_of_any_part(row: Chip) -> None:
    """Alone, beside a whole program, and hanging over from below: every plan is refused."""
    assert row.option_bytes is not None
    at = row.option_bytes.at
    behaviour = TABLE.behaviour(row, rom_version=None, revision=None)
    whole = Segment(address=0x0800_0000, data=program(4096))
    for kib, mode in sizes_and_modes(row):
        product = widget(chips=(row.id,), flash_kib=kib, bank_mode=mode)
        for parts in (
            (Segment(address=at, data=bytes(16)),),
            (Segment(address=at - 16, data=bytes(32)),),
            (whole, Segment(address=at, data=bytes(16))),
        ):
            cargo = Cargo(segments=parts, name="x", because="", to_version=None, is_piece=True)
            with pytest.raises((WrongDevice, Refused)):
                plan_cargo(facts(chip=row.id, chips=(row.id,)), cargo, product, behaviour)


@pytest.mark.parametrize("row", WITH_OPTIONS, ids=lambda row: row.id)
def test_they_lie_apart_from_all_that_is_ever_written(row: Chip) -> None:
    """Flash of every size, OTP data, and the Device Feature."""
    block = row.option_bytes
    assert block is not None
    parts = [row.flash.sectors, *(row.sectors(kib=kib, bank_mode=mode) for kib, mode in sizes_and_modes(row))]
    written = [(sector.address, sector.end) for sectors in parts for sector in sectors]
    if row.otp:
        written.append((row.otp.at, row.otp.end))
    if row.supply:
        written.append((row.supply.feature_at, row.supply.feature_at + 4))
    for start, end in written:
        assert end <= block.at or block.at + block.bytes <= start, (hex(start), hex(end))


def test_read_unprotect_is_no_command() -> None:
    """0x92 in AN3156. The lab knows the number, to catch whoever sends it."""
    assert {command.value for command in Command} == {0x21, 0x41}
    for path in CODE.rglob("*.py"):
        if "lab" not in path.relative_to(CODE).parts:
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            numbers = {node.value for node in nodes if isinstance(node, ast.Constant)}
            assert 0x92 not in {number for number in numbers if type(number) is int}, path


def test_only_the_scripts_make_downloads_and_only_three_places_call_the_one_with_data() -> None:
    """Whoever adds a place that writes has to come here and say what keeps it off the option bytes."""
    makers, callers = set(), set()
    for path in CODE.rglob("*.py"):
        name = path.relative_to(CODE).as_posix()
        if name.startswith("lab"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node).startswith("Out(Request.DNLOAD"):
                makers.add(name)
            if isinstance(node, ast.ImportFrom) and node.module == "updater.heads.dfu.scripts":
                callers |= {name for alias in node.names if alias.name in ("write", "set_device_feature")}
    assert makers == {"heads/dfu/scripts.py", "story/burning.py"}, "burning.py's is the empty one that leaves"
    assert callers == {"story/flashing.py", "story/burning.py"}
