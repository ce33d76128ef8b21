"""In the guest: what goes wrong while `updater install` works on boards that `updater lab serve` plays.

`python -m tests.usb.inside FOLDER` carries out FOLDER/trials.json. Each trial has a lab of its own with one
board, and the same command is given twice. Under emulation Python needs many seconds to
start, so this process starts once and every server and updater is a fork of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import updater.doors.console  # what an updater needs is imported once, before the forks
import updater.lab.cli
import updater.story.update  # noqa: F401 - see above
from updater.doors.cli import run
from updater.lab.attach import VHCI

TRIALS, ENDINGS = "trials.json", "endings.json"
FIRST_PORT = 3240
WAIT_S = 90.0
_POLL_S = 0.02
_HAS_WRITTEN = re.compile(r'"step": "write", "done": [1-9]')


class Death(StrEnum):
    """Who is killed once blocks are being written."""

    NOBODY = "nobody"
    UPDATER = "updater"
    SERVER = "server"
    SERVER_SAVES = "server, which saves its boards"


@dataclass(frozen=True)
class Trial:
    """`command` is what the updater is told. `replugs`: before the second time the board is unplugged, and
    plugged in again by a new server."""

    name: str
    command: Sequence[str]
    dies: Death = Death.NOBODY
    replugs: bool = False


@dataclass(frozen=True)
class Ending:
    """The exit statuses of the first and of the second command; a signal counts negative."""

    name: str
    first: int
    second: int
    seconds: float


def main(folder: Path) -> None:
    """Every trial in turn."""
    said = json.loads((folder / TRIALS).read_text("utf-8"))
    endings = []
    for number, one in enumerate(said):
        trial = Trial(**one | {"dies": Death(one["dies"])})
        began = time.monotonic()
        first, second = _carried_out(trial, folder / trial.name, FIRST_PORT + 2 * number)
        endings.append(Ending(trial.name, first, second, time.monotonic() - began))
        print(endings[-1], flush=True)
    (folder / ENDINGS).write_text(json.dumps([asdict(one) for one in endings]), "utf-8")


def _carried_out(trial: Trial, folder: Path, tcp_port: int) -> tuple[int, int]:
    server = _served(folder, tcp_port)
    updater = _installs(trial, folder, "first")
    if trial.dies is not Death.NOBODY:
        _until(lambda: _HAS_WRITTEN.search(_first_says(folder)) is not None, "nothing was written")
    if trial.dies is Death.UPDATER:
        os.kill(updater, signal.SIGKILL)
    elif trial.dies is not Death.NOBODY:
        _stop(server, signal.SIGKILL if trial.dies is Death.SERVER else signal.SIGTERM)
    first = _status(updater)
    if trial.replugs:
        _stop(server, signal.SIGTERM)
    if trial.replugs or trial.dies in (Death.SERVER, Death.SERVER_SAVES):
        (flash,) = (folder / "lab").glob("*/flash.bin")
        shutil.copyfile(flash, folder / "middle.bin")
        _until(lambda: not _is_configured(), "the board is still there")
        server = _served(folder, tcp_port + 1)
    second = _status(_installs(trial, folder, "second"))
    _stop(server, signal.SIGTERM)
    _until(lambda: not _is_configured(), "the board is still there")
    return first, second


def _served(folder: Path, tcp_port: int) -> int:
    """A process that serves the board, once the kernel has configured it."""
    lab = ["--lab", str(folder / "lab"), "lab", "serve", "--port", str(tcp_port), "--attach"]
    server = _forked(lab, folder / "server.txt")
    _until(_is_configured, "the board did not come")
    return server


def _installs(trial: Trial, folder: Path, turn: str) -> int:
    return _forked(["--state", str(folder / "state"), *trial.command], folder / f"{turn}.txt")


def _first_says(folder: Path) -> str:
    return (folder / "first.txt").read_text("utf-8", "replace")


def _forked(arguments: Sequence[str], says: Path) -> int:
    """A process that does one command of the updater and writes what it says into a file."""
    says.touch()
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        with says.open("a", encoding="utf-8", buffering=1) as out:
            sys.stdout = sys.stderr = out
            status = run(list(arguments))
    finally:
        os._exit(status)


def _stop(process: int, how: signal.Signals) -> None:
    os.kill(process, how)
    _status(process)


def _status(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _is_configured() -> bool:
    """Whether the kernel has configured a device that is none of its own root hubs."""
    for device in Path("/sys/bus/usb/devices").iterdir():
        try:
            vendor = (device / "idVendor").read_text("ascii").strip()
            configuration = (device / "bConfigurationValue").read_text("ascii").strip()
        except OSError:
            continue  # an interface, or a device that is just going
        if vendor != "1d6b" and configuration:
            return True
    return False


def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {WAIT_S:g} s; {(VHCI / 'status').read_text('ascii')}")
        time.sleep(_POLL_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
