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
from updater.heads.otp.issue import Board, Entry, appended, check_use, parse_ledger
from updater.words.errors import Refused, StorageFailed

_WAITS_S = 5.0
_LIMIT_BYTES = 64 * 1024 * 1024


class Ledger:
    """A file that is only ever appended to; its lock is `FILE.lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, path: Path) -> Ledger:
        """`FILE.ledger` beside a file whose rows (or counts) are given out."""
        return cls(path.with_name(path.name + ".ledger"))

    def entries(self) -> list[Entry]:
        """What was given out so far. Raises `StorageFailed` and `Refused`."""
        return parse_ledger(self.path.name, self._read())

    @contextmanager
    def opened(self) -> Iterator[OpenLedger]:
        """The ledger for this one alone: what is chosen from it is still free when it is added.

        Raises `Refused` where another has it too long, or for lines that no updater wrote; `StorageFailed`.
        """
        with self._locked():
            yield OpenLedger(self.path, self._read())

    def claim(self, entry: Entry, board: Board, what: str) -> None:
        """Give this out, on the disk when it returns; nothing where the board has it already.

        Raises `Refused` where another board has it, and what `opened` does.
        """
        with self.opened() as ledger:
            if not check_use(ledger.entries, entry.use, board, what):
                ledger.add(entry)

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


class OpenLedger:
    """A ledger while its lock is held. Made by `Ledger.opened`."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data
        self.entries = parse_ledger(path.name, data)

    def add(self, entry: Entry) -> None:
        """Append this; on the disk when it returns. Raises `StorageFailed`."""
        more = appended(self._data, entry)
        try:
            with self._path.open("ab") as file:
                file.write(more)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageFailed(f"cannot write {self._path}: {error.strerror}") from error
        self._data += more
        self.entries.append(entry)
