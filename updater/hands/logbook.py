"""The log: what went wrong in earlier commands, for the report to support. A few lines for each failure.

It lies beside the state of all roots, so that it can be written when nothing else works, and it never
raises: a log is not worth a second error. Other parts of the program that write logs of their own put them
into the same folder, as *.log; a report takes them along, with names and folders taken out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from updater.hands.host import today

FOLDER = "logs"
MOST_BYTES = 64 * 1024
"""Of each log the last so many are read; our own is cut to half of it when it grows beyond."""
_MOST_LOGS = 10
OURS = "updater.log"


def log_folder(state: Path) -> Path:
    """Where the logs of a state folder lie."""
    return state / FOLDER


def note(state: Path, text: str) -> None:
    """Add what went wrong, with the time. Nothing is made where there is no state folder yet."""
    with suppress(OSError, UnicodeError):
        if not state.is_dir():
            return
        path = log_folder(state) / OURS
        path.parent.mkdir(exist_ok=True)
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            path.write_bytes(path.read_bytes()[-MOST_BYTES // 2 :])
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{today():%Y-%m-%d %H:%M:%S} UTC  {text.rstrip()}\n")


def logs(state: Path) -> tuple[tuple[str, str], ...]:
    """The last part of each log: name and text."""
    found = []
    for path in sorted(log_folder(state).glob("*.log"))[:_MOST_LOGS]:
        with suppress(OSError):
            found.append((path.name, path.read_bytes()[-MOST_BYTES:].decode("utf-8", "replace")))
    return tuple(found)
