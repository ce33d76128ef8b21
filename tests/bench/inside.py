"""The two ends of `compare`: a server of virtual boards, and in the guest the hosts that meet them.

`python -m tests.bench.inside serve FOLDER` serves every board of FOLDER/lab by USB/IP in real time, and
charges the lab's model of USB time for every transfer of every host. `… run FOLDER PORT`, in the guest,
plugs one board after another into the kernel, lets one host work on it, and times that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from tests.usb.guest import HOST
from updater.hands.channel import UpdateSite
from updater.hands.host import load_home, today
from updater.hands.store import open_store
from updater.hands.usbio import Bus
from updater.heads.policy import OpenedFrom
from updater.heads.silicon import the_table
from updater.lab.attach import attach_to_port, detach_port
from updater.lab.board import Board
from updater.lab.clock import RealClock
from updater.lab.shelf import load_records, open_lab
from updater.lab.wire import UsbIpServer
from updater.story.deed import carry_out
from updater.story.job import Hands, Request
from updater.story.steps import Steps
from updater.story.update import prepare

LAB, RUNS, TIMES, METERS = "lab", "runs.json", "times.jsonl", "meters.json"
VHCI_PORT = 0
UPLOADED = "uploaded.bin"
CONFIGURED_WITHIN_S = 60.0
FLASH = "0x08000000"
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One host on one fresh board. `host` is "updater" or "dfu-util"."""

    case: str
    host: str
    board: str
    polls_at_zero: bool
    product: str
    bundle: str
    image: str
    read_back: bool = False  # dfu-util: upload and compare afterwards
    download: bool = True  # dfu-util: else it only uploads
    limit_s: int = 600


@dataclass(frozen=True)
class Times:
    """How long it took, in seconds of the guest's clock. `exit_status` 124 is `timeout`'s."""

    case: str
    host: str
    board: str
    exit_status: int
    seconds: float
    upload_s: float
    compare_s: float
    steps_ms: dict[str, int]
    said: str


# ---------------------------------------------------------------------------------------------- the server


def serve(folder: Path) -> None:
    """Until SIGTERM; then the boards are saved, and what each was asked is written down."""
    runs = load_runs(folder)
    at_zero = {run.board for run in runs if run.polls_at_zero}
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    with open_lab(folder / LAB, RealClock(), charge_usb=True) as lab:
        for board in lab.boards:
            if board.name in at_zero:
                poll_at_zero(board)
        server = UsbIpServer(lab.boards, port=0)
        print(server.port, flush=True)
        stop.wait()
        server.close()
        meters = {board.name: asdict(board.meter) for board in lab.boards}
        (folder / METERS).write_text(json.dumps(meters), "utf-8")


def poll_at_zero(board: Board) -> None:
    """This ROM reports a bwPollTimeout of zero everywhere: the best case for a host that obeys it."""
    rom = board.rom
    assert rom is not None
    quick = replace(rom.behaves, erase_poll_ms=0, write_poll_ms=0, command_poll_ms=0)
    rom.behaves = rom.bench.behaves = quick


# ----------------------------------------------------------------------------------------------- the hosts


def run_all(folder: Path, port: int) -> None:
    """Every run in its order, each on its own board; one line of JSON for each as soon as it is done."""
    numbers = {record.name: number for number, record in enumerate(load_records(folder / LAB), 1)}
    with (folder / TIMES).open("w", encoding="utf-8") as out:
        for run in load_runs(folder):
            attach_to_port(HOST, port, f"1-{numbers[run.board]}", VHCI_PORT)
            try:
                _wait_until_configured()
                times = by_updater(run, folder, Bus()) if run.host == "updater" else _by_dfu_util(run, folder)
            finally:
                detach_port(VHCI_PORT)
            print(json.dumps(asdict(times)), file=out, flush=True)
            print(f"{run.case} {run.host} {times.seconds:.2f} s, exit {times.exit_status}", flush=True)


def by_updater(run: Run, folder: Path, bus: Bus) -> Times:
    """What `updater install` does between its question and the application's start.

    In this process: starting Python is not measured, and the bundle has passed the gate before the clock
    starts. The journal is kept on the disk as always. Time is that of the bus.
    """
    with patch.dict(os.environ, UPDATER_VENDOR=str(folder / "vendor")):
        home = load_home()
    with (
        tempfile.TemporaryDirectory(prefix="bench-state-") as state,
        open_store(Path(state), home.embedded_root) as store,
    ):
        hands = Hands(
            bus=bus,
            site=UpdateSite(home.vendor, home.embedded_root, store.channel_folder),
            store=store,
            home=home,
            silicon=the_table(),
            now=today(),
        )
        request = Request(
            opened_from=OpenedFrom.FILE,
            data=(folder / run.bundle).read_bytes(),
            as_product=f"{run.product}:A",
            again=True,
        )
        prepared = prepare(hands, request, lambda _event: None)
        plan = prepared.plan
        assert plan is not None
        steps = Steps(lambda _event: None, hands.bus.clock)
        began_ms = bus.clock.now_ms()
        done = carry_out(hands, prepared, plan, steps)
        seconds = (bus.clock.now_ms() - began_ms) / 1000
    return Times(
        case=run.case,
        host=run.host,
        board=run.board,
        exit_status=0,
        seconds=seconds,
        upload_s=0.0,
        compare_s=0.0,
        steps_ms={str(step): ms for step, ms in steps.times},
        said=f"{len(done.plan.erased_sectors)} sectors erased, {done.plan.write_bytes} bytes written",
    )


def _by_dfu_util(run: Run, folder: Path) -> Times:
    """`dfu-util -D`, with `-U` and `cmp` after it; or `-U` alone."""
    image = folder / run.image
    size = image.stat().st_size
    target = ["dfu-util", "-d", "0483:df11", "-a", "0"]
    status, seconds, said, upload_s, compare_s = 0, 0.0, "", 0.0, 0.0
    if run.download:
        download = ["timeout", str(run.limit_s), *target, "-s", FLASH, "-D", str(image)]
        done, seconds = _timed(lambda: _command(download))
        status, said = done.returncode, done.stdout[-300:]
    if run.read_back and status == 0:
        back = Path("/tmp") / UPLOADED
        back.unlink(missing_ok=True)
        upload = [*target, "-s", f"{FLASH}:{size}", "-U", str(back)]
        read, upload_s = _timed(lambda: _command(upload))
        same, compare_s = _timed(lambda: _command(["cmp", str(image), str(back)]))
        assert (read.returncode, same.returncode) == (0, 0), read.stdout + same.stdout
    return Times(
        case=run.case,
        host=run.host,
        board=run.board,
        exit_status=status,
        seconds=seconds,
        upload_s=upload_s,
        compare_s=compare_s,
        steps_ms={},
        said=said,
    )


def _command(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started


def _wait_until_configured() -> None:
    """Until the kernel has configured the ROM that was just plugged in."""
    deadline = time.monotonic() + CONFIGURED_WITHIN_S
    while time.monotonic() < deadline:
        for device in Path("/sys/bus/usb/devices").iterdir():
            try:
                vendor = (device / "idVendor").read_text("ascii").strip()
                configuration = (device / "bConfigurationValue").read_text("ascii").strip()
            except OSError:
                continue  # an interface, or a device that is just going
            if vendor == "0483" and configuration:
                return
        time.sleep(0.05)
    raise TimeoutError(f"the kernel has not configured the board within {CONFIGURED_WITHIN_S:g} s")


def load_runs(folder: Path) -> tuple[Run, ...]:
    return tuple(Run(**run) for run in json.loads((folder / RUNS).read_text("utf-8")))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        run_all(Path(sys.argv[2]), int(sys.argv[3]))
