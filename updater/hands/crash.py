"""What is kept of a fault in the updater itself: a file that support can be sent."""

from __future__ import annotations

import platform
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

from updater import __version__
from updater.hands.host import state_folder, today
from updater.hands.store import without_home
from updater.words.errors import UpdaterError

FOLDER = "crashes"
MOST_CRASHES, MOST_REPORTED = 10, 3
MOST_BYTES = 64 * 1024
"""Of each file a report takes so much."""


def keep_crash(error: BaseException, *, state: str | None = None) -> Path | None:
    """Write what happened into the state folder, without the name of this account's home folder.

    Works when little else does: where the state folder cannot be written, into the temporary folder, and
    where nothing can, the answer is None. The oldest files make room. Raises nothing.
    """
    lines = [
        f"updater    {__version__}",
        f"when       {today():%Y-%m-%d %H:%M:%S} UTC",
        f"system     {platform.platform()}",
        f"Python     {platform.python_version()}",
        "",
        *traceback.format_exception(error),
    ]
    text = without_home("\n".join(lines))
    for folder in (_below_state(state), Path(tempfile.gettempdir(), "updater-crashes")):
        if folder is not None:
            with suppress(OSError):
                return _write(folder, text)
    return None


def crashes(state: Path) -> tuple[tuple[str, str], ...]:
    """The newest faults that were kept in a state folder: name and text."""
    found = []
    for path in sorted((state / FOLDER).glob("*.txt"))[-MOST_REPORTED:]:
        with suppress(OSError):
            found.append((path.name, path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")))
    return tuple(found)


def _below_state(state: str | None) -> Path | None:
    try:
        return state_folder(state) / FOLDER
    except (UpdaterError, RuntimeError):  # this account has no home
        return None


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{today():%Y%m%d-%H%M%S-%f}.txt"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
    for old in sorted(folder.glob("*.txt"))[:-MOST_CRASHES]:
        with suppress(OSError):
            old.unlink()
    return file
