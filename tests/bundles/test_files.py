"""Files: refused in words, and never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundles.files import read_file, write_file
from updater.words.errors import StorageFailed, Usage


def test_a_missing_file_and_a_folder_are_usage_and_an_unreadable_one_is_storage(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="does not exist"):
        read_file(tmp_path / "nothing")
    with pytest.raises(Usage, match="is a folder"):
        read_file(tmp_path)
    with pytest.raises(StorageFailed, match="cannot be read"):
        read_file(tmp_path / ("x" * 300))


def test_a_file_that_cannot_be_replaced_keeps_its_bytes_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "root.json"
    write_file(file, b"first")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFailed, match=r"root\.json cannot be written: No space left on device"):
        write_file(file, b"second")
    assert file.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be written"):
        write_file(tmp_path / "nowhere" / "file", b"")
