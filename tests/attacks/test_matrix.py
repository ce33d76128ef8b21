"""Every row of the attack matrix has its tests: docs/security.md maps them, and this reads it."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text("utf-8")
ROW = re.compile(r"\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
ROWS = {int(found[1]): re.findall(r"`([^`]+)`", found[4]) for found in ROW.finditer(PAGE)}
LAST_ROW = 75


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_table_has_every_row() -> None:
    assert list(ROWS) == list(range(1, LAST_ROW + 1))


@pytest.mark.parametrize("row", range(1, LAST_ROW + 1))
def test_every_row_has_a_test_and_it_exists(row: int) -> None:
    assert ROWS.get(row), "no test"
    for test in ROWS[row]:
        file, name = test.split("::")
        assert (TESTS / file).is_file(), test
        assert name in functions_of(file), test


def test_each_bundle_of_the_folder_is_a_case_of_a_row_that_names_the_folder() -> None:
    cases = tomllib.loads((TESTS / "attacks" / "cases" / "cases.toml").read_text("utf-8"))
    by_folder = {row for row, tests in ROWS.items() if any("attacks/test_cases.py" in test for test in tests)}
    in_folder = {case["row"] for case in cases.values()}
    assert in_folder - {44} == by_folder
