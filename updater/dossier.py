"""The support report: what a vendor's support wants to see before it asks a second question.

One text for people, in sections. It tells of the program, the devices, the last receipts and what was said
with devices whose update failed. It holds no keys, no file names of this account and no contents of memory.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from updater import __version__
from updater.errors import StorageFailed, UpdaterError, Usage
from updater.facts import DeviceFacts
from updater.host import Home, is_frozen, today
from updater.recording import VERBATIM_BYTES
from updater.report import device_line
from updater.store import Store, without_home

RECEIPTS, TRANSCRIPTS = 5, 3
"""How many go into one report, newest first."""

INSIDE = f"""\
Support report

It holds: the version of the updater and of this computer's system; the devices that are connected, with
their serial numbers; the last {RECEIPTS} receipts; what was said with the device in the last {TRANSCRIPTS}
updates that failed.
It does not hold: keys or passwords; the name of your home folder; what is in a device's memory, but for
single words of up to {VERBATIM_BYTES} bytes that tell which chip and product it is (of each larger block
only its length and a part of its SHA-256).
Read it before you send it."""

Look = Callable[[], Sequence[DeviceFacts]]


def support_report(home: Home, store: Store, look: Look) -> str:
    """The whole report. `look` finds the connected devices; what it fails with is told in their place."""
    sections = (
        ("Updater and system", _system(home)),
        ("Connected devices, as in `updater devices --json`", _devices(look)),
        ("Receipts, newest first", _kept(store.receipts(RECEIPTS), "No update was done in this account.")),
        ("Transcripts, newest first", _kept(store.transcripts(TRANSCRIPTS), "No update has failed.")),
    )
    blocks = [INSIDE, *("\n".join((f"==== {title}", *lines)) for title, lines in sections)]
    return without_home("\n\n".join(blocks) + "\n")


def newest_transcript(store: Store) -> str:
    """What was said in the last update that failed, as a recording. Raises `Usage` where there is none."""
    for _name, text in store.transcripts(1):
        return text
    raise Usage(
        "there is no transcript: no update of this account has failed with a device open",
        advice="Run the command that fails, and then this one again. `updater report` works without.",
    )


def write_report(path: Path, text: str) -> None:
    """Raises `StorageFailed`."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageFailed(
            f"cannot write {path}: {error.strerror}",
            advice="Choose another place with --output or --transcript.",
        ) from error


def _system(home: Home) -> Iterator[str]:
    yield f"updater     {__version__} ({'executable' if is_frozen() else 'Python package'})"
    yield f"vendor      {home.vendor.name} ({home.vendor.kind})"
    yield f"system      {platform.platform()}"
    yield f"Python      {platform.python_version()}"
    yield f"made        {today():%Y-%m-%d %H:%M:%S} UTC"


def _devices(look: Look) -> Iterator[str]:
    try:
        found = look()
    except UpdaterError as error:
        yield f"They could not be asked: {error.message}"
        return
    for facts in found:
        yield json.dumps(device_line(facts), ensure_ascii=False)
    if not found:
        yield "None."


def _kept(texts: Sequence[tuple[str, str]], otherwise: str) -> Iterator[str]:
    for name, text in texts:
        yield f"---- {name}"
        yield text.rstrip()
    if not texts:
        yield otherwise
