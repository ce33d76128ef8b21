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
MOST_CRASHES = 10


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
