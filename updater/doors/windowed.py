"""The windowed program: its standard streams may be missing, and nobody reads them.

What the command line would have said is shown in a box at the end, and the outermost guard stands here: a
fault becomes a friendly box and a file for support, never a traceback. The update window, once it is open,
speaks for itself; nothing of it comes through here.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import StringIO

from updater.words.errors import Bug

TITLE = "Updater"
MOST_SHOWN = 3000  # characters; a box has no scroll bar
BROKEN_LINE = "\n" + " " * len("What to do: ")  # how the terminal breaks advice; a box breaks lines itself
CRASHED = (
    "The updater had to stop because of a fault of its own.\n\n"
    "If an update was running, it is not finished: unplug the device, plug it in again, and do the same once "
    "more. The updater looks at the device first and goes on from there."
)
KEPT = "\n\nWhat happened is written in\n{file}\nPlease send this file to the vendor's support."
Run = Callable[[Sequence[str]], int]
Show = Callable[[str, str], None]


def run_windowed(run: Run, arguments: Sequence[str], *, show: Show | None = None) -> int:
    """Run one command as a program without a console. Returns its exit status, raises nothing.

    `show` puts a title and a text in front of a person and waits until it was read.
    """
    show = show or show_box
    unseen = _replace_missing_streams()
    threading.excepthook = _keep_quietly
    try:
        try:
            status = run(arguments)
        except SystemExit as end:  # --help and --version
            status = end.code if isinstance(end.code, int) else 0
        text = unseen.getvalue().strip().replace(BROKEN_LINE, " ")
        if text:
            show(TITLE, text if len(text) <= MOST_SHOWN else f"...{text[-MOST_SHOWN:]}")
    except BaseException as error:
        return _crashed(error, show)
    return status


def _replace_missing_streams() -> StringIO:
    """A windowed program on Windows has None for its streams. Returns what collects the words."""
    unseen = StringIO()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open as long as the program runs
    if sys.stdout is None:
        sys.stdout = unseen
    if sys.stderr is None:
        sys.stderr = unseen
    return unseen


def _keep_quietly(fault: threading.ExceptHookArgs) -> None:
    """A helper's thread has failed: support finds it in a file, and nobody reads a traceback in a box."""
    from updater.hands.crash import keep_crash

    if fault.exc_value is not None:
        keep_crash(fault.exc_value)


def _crashed(error: BaseException, show: Show) -> int:
    from updater.hands.crash import keep_crash

    file = None
    with suppress(Exception):
        file = keep_crash(error)
    where = KEPT.format(file=file) if file else ""
    with suppress(Exception):
        show(TITLE, CRASHED + where)
    return Bug.exit_status


def show_box(title: str, text: str) -> None:
    """Show a text and wait for OK. Where no box can be shown, it goes to stderr."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.MessageBoxW(None, text, title, 0)
        return
    try:
        from tkinter import Tk, messagebox

        root = Tk()
    except Exception:  # no tkinter, or no screen
        print(text, file=sys.__stderr__ or sys.stderr)
        return
    root.withdraw()
    messagebox.showinfo(title, text, parent=root)
    root.destroy()
