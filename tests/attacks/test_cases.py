"""A folder of good and bad bundles, each with what the gate says of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.heads.bundle_kit import NOW
from updater.heads.gate import verify_bundle
from updater.words.errors import UpdaterError

FOLDER = Path(__file__).parent / "cases"
CASES: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "cases.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_the_gate_says_of_each_bundle_what_the_folder_says(name: str) -> None:
    case = CASES[name]
    known = [(FOLDER / root).read_bytes() for root in case["known"]]
    data, root = (FOLDER / name).read_bytes(), (FOLDER / "root.json").read_bytes()
    try:
        bundle = verify_bundle(data, embedded_root=root, known_roots=known, now=NOW)
        answer = ("genuine", ", ".join(bundle.signed_by))
    except UpdaterError as error:
        answer = (type(error).__name__, error.message)
    assert answer[0] == case["error"], answer
    assert case["says"] in answer[1]


def test_every_bundle_in_the_folder_is_a_case_and_its_name_says_which_way_it_goes() -> None:
    assert {file.name for file in FOLDER.glob("*.fwb")} == CASES.keys()
    for name, case in CASES.items():
        assert name.endswith("_good.fwb") == (case["error"] == "genuine")
    assert {"NotTrusted", "Refused", "genuine"} == {case["error"] for case in CASES.values()}


def test_the_folder_holds_no_key() -> None:
    assert not any(b"PRIVATE" in file.read_bytes() for file in FOLDER.iterdir())
