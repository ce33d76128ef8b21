"""The ledger on disk: two benches on one file never give out the same row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from updater.hands import ledger as ledger_module
from updater.hands.ledger import Ledger
from updater.hands.store import try_lock
from updater.heads.otp.issue import Board, Entry
from updater.words.errors import Refused, StorageFailed

WHEN = "2026-11-21T09:00:00+00:00"
BENCH = """
import sys
from pathlib import Path
from updater.hands.ledger import Ledger
from updater.heads.otp.issue import Board, Entry
from updater.words.errors import Refused
got = 0
for row in range(40):
    try:
        entry = Entry(use=f"row:{row}", device=(sys.argv[2],), when="now")
        Ledger.beside(Path(sys.argv[1])).claim(entry, Board(entry.device, False), "row")
        got += 1
    except Refused as error:
        assert "was used for another board" in error.message, error
for _ in range(20):
    with Ledger.beside(Path(sys.argv[1])).opened() as ledger:
        free = min(set(range(40, 80)) - {int(one.use[4:]) for one in ledger.entries})
        ledger.add(Entry(use=f"row:{free}", device=(sys.argv[2],), when="now"))
print(got)
"""
"""Rows 0 to 39 are claimed by whoever is faster; of 40 to 79 each takes the first free one, 20 times."""


def claim(table: Path, use: str, device: str) -> None:
    entry = Entry(use=use, device=(device,), when=WHEN)
    Ledger.beside(table).claim(entry, Board(entry.device, is_begun=False), f"row {use}")


def test_what_was_given_out_stands_in_a_file_beside_the_table(tmp_path: Path) -> None:
    table = tmp_path / "boards.csv"
    assert Ledger.beside(table).entries() == []
    claim(table, "row:1", "uid:a")
    claim(table, "row:1", "uid:a")
    claim(table, "row:2", "uid:b")
    assert [(one.use, one.device) for one in Ledger.beside(table).entries()] == [
        ("row:1", ("uid:a",)),
        ("row:2", ("uid:b",)),
    ]
    assert (tmp_path / "boards.csv.ledger").read_bytes().count(b"\n") == 2


def test_what_another_board_has_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = tmp_path / "boards.csv"
    claim(table, "row:1", "uid:a")
    before = (tmp_path / "boards.csv.ledger").read_bytes()
    with pytest.raises(Refused, match="row row:1 was used for another board"):
        claim(table, "row:1", "uid:b")
    assert (tmp_path / "boards.csv.ledger").read_bytes() == before


def test_two_benches_on_one_table_get_each_row_once(tmp_path: Path) -> None:
    table = tmp_path / "boards.csv"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BENCH, str(table), f"uid:{n}"], stdout=subprocess.PIPE, text=True
        )
        for n in range(2)
    ]
    got = [int(bench.communicate(timeout=30)[0]) for bench in started]
    assert sum(got) == 40
    assert sorted(one.use for one in Ledger.beside(table).entries()) == sorted(f"row:{n}" for n in range(80))


def test_a_lock_that_another_holds_for_too_long_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_WAITS_S", 0.05)
    table = tmp_path / "boards.csv"
    with (tmp_path / "boards.csv.ledger.lock").open("ab") as held:
        assert try_lock(held.fileno())
        with pytest.raises(Refused, match=r"another updater is using boards\.csv\.ledger"):
            claim(table, "row:1", "uid:a")
    assert Ledger.beside(table).entries() == []


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot write"):
        claim(tmp_path / "none" / "boards.csv", "row:1", "uid:a")
