"""The receipts of a bench on disk: `boards.jsonl` and `boards.csv`, only ever appended to.

A line is on the disk before the board is said to be done, so that a bench that loses its power has lost
none. Both files are opened before the first board is touched.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from updater.heads.report import Line
from updater.heads.tally import COLUMNS, csv_cells
from updater.words.errors import StorageFailed


class ReceiptBook:
    """Two open files. Make it with `open_receipt_book`."""

    def __init__(self, lines: BinaryIO, table: BinaryIO, folder: Path) -> None:
        self._lines, self._table, self.folder = lines, table, folder

    def add(self, row: Line, line: Line) -> None:
        """Append one board to both files. Raises `StorageFailed`."""
        _append(self._lines, json.dumps(line) + "\n")
        _append(self._table, csv_line(csv_cells(row)))


@contextmanager
def open_receipt_book(folder: Path) -> Iterator[ReceiptBook]:
    """Open (and make) the files in `folder`. Raises `StorageFailed`."""
    with ExitStack() as files:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = files.enter_context((folder / "boards.jsonl").open("ab"))
            table = files.enter_context((folder / "boards.csv").open("ab"))
        except OSError as error:
            raise StorageFailed(f"cannot write receipts into {folder}: {error.strerror}") from error
        if table.tell() == 0:
            _append(table, csv_line(COLUMNS))
        yield ReceiptBook(lines, table, folder)


def csv_line(cells: list[str] | tuple[str, ...]) -> str:
    """One line of CSV by RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _append(file: BinaryIO, text: str) -> None:
    try:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise StorageFailed(f"cannot write {file.name}: {error.strerror}") from error
