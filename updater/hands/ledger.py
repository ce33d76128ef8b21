"""A ledger on disk: what was given out to which board. Only ever appended to, under a lock.

The lock is a file of its own beside it, since a locked part of a file cannot be read by others on Windows.
It holds where the file system locks for all who use it; a network share has to be tried.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from updater.hands.store import try_lock
from updater.heads.otpissue import Board, Entry, appended, check_use, parse_ledger
from updater.words.errors import Refused, StorageFailed

_WAITS_S = 5.0
_LIMIT_BYTES = 64 * 1024 * 1024


class Ledger:
    """`FILE.ledger` beside a file whose rows (or counts) are given out."""

    def __init__(self, beside: Path) -> None:
        self.path = beside.with_name(beside.name + ".ledger")

    def entries(self) -> list[Entry]:
        """What was given out so far. Raises `StorageFailed` and `Refused`."""
        return parse_ledger(self.path.name, self._read())

    def claim(self, entry: Entry, board: Board, what: str) -> None:
        """Give this out, on the disk when it returns; nothing where the board has it already.

        Raises `Refused` where another board has it or has the lock too long, and `StorageFailed`.
        """
        with self._locked():
            data = self._read()
            if check_use(parse_ledger(self.path.name, data), entry.use, board, what):
                return
            try:
                with self.path.open("ab") as file:
                    file.write(appended(data, entry))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise StorageFailed(f"cannot write {self.path}: {error.strerror}") from error

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                data = file.read(_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StorageFailed(f"cannot read {self.path}: {error.strerror}") from error
        if len(data) > _LIMIT_BYTES:
            raise StorageFailed(f"{self.path} is too large")
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path.with_name(self.path.name + ".lock")
        try:
            file = path.open("ab")
        except OSError as error:
            raise StorageFailed(f"cannot write {path}: {error.strerror}") from error
        with file:
            deadline = time.monotonic() + _WAITS_S
            while not try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise Refused(
                        f"another updater is using {self.path.name}",
                        advice="Nothing was changed. Run the command again in a moment.",
                    )
                time.sleep(0.02)
            yield
