"""The state folder where files are held open for a moment by others, as Windows knows it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from updater.hands.store import Journal, Store
from updater.words.errors import StorageFailed
from updater.words.facts import IdentityFrom

JOURNAL = Journal(
    port="1-1", product="gizmo", hardware="A", chip="stm32f405", serial=None,
    identity=IdentityFrom.APPLICATION, manifest_sha256="00" * 32, from_version=None,
)  # fmt: skip


def held(times: int, do: Callable[..., Any]) -> Callable[..., Any]:
    """`do`, which finds the file held open by somebody so many times."""
    left = [times]

    def tried(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        return do(*arguments, **options)

    return tried


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows; faster."""
    monkeypatch.setattr("updater.hands.store._PATIENCE_S", 5.0)
    monkeypatch.setattr("updater.hands.store._PAUSE_S", 0.001)


@pytest.mark.usefixtures("patient")
def test_a_file_that_is_held_open_for_a_moment_is_replaced_read_and_deleted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr("updater.hands.store.os.replace", held(3, os.replace))
    store.keep_journal(JOURNAL)
    monkeypatch.setattr(Path, "read_bytes", held(3, Path.read_bytes))
    assert store.journals() == (JOURNAL,)
    monkeypatch.setattr(Path, "unlink", held(3, Path.unlink))
    store.drop_journal("1-1")
    assert store.journals() == ()


def test_a_file_that_stays_held_is_an_error_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("updater.hands.store._PATIENCE_S", 0.01)
    monkeypatch.setattr("updater.hands.store.os.replace", held(1_000_000, os.replace))
    with pytest.raises(StorageFailed, match="cannot write"):
        Store(tmp_path).keep_journal(JOURNAL)


def test_evidence_that_is_there_already_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.keep_evidence("gizmo", 1, b"an envelope")
    with monkeypatch.context() as patch:
        patch.setattr("updater.hands.store.os.replace", held(1, os.replace))
        store.keep_evidence("gizmo", 1, b"an envelope")
    store.keep_evidence("gizmo", 1, b"another one")
    assert store.evidence("gizmo") == (b"another one",)
