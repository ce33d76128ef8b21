"""What a whole flash costs: control transfers, the device's own time, and ours on top of it.

Two hosts on the same virtual device in one run: the updater's scripts, and the sequence that dfu-util 0.11
sends (set-address before every block, bwPollTimeout waited out in full, nothing read back). The device's
time is the lab's model of the silicon; no figure here was measured on a chip.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, open_bundle
from updater.hands.usbio import ROM_USB, Bus, Wire
from updater.heads.dfu.scripts import Pace, erase, get_status, go_to_idle, select, set_address, write
from updater.heads.dfu.words import FIRST_BLOCK, Out, Request, Script, Sleep, State
from updater.heads.plan import Plan, make_plan
from updater.heads.silicon import Chip, the_table
from updater.heads.vendor import Product, Recovery, RecoveryKind
from updater.lab.board import Board
from updater.lab.clock import RealClock, VirtualClock
from updater.lab.shelf import add_board, open_lab
from updater.story.flashing import Flasher, Possible
from updater.story.steps import Steps
from updater.words.facts import DeviceFacts, Mode, Sector

ERASE_MAX_MS = 35_000


@dataclass(frozen=True)
class Job:
    """One chip and one image from the start of its flash."""

    title: str
    chip: Chip
    revision: str
    rom: int
    image: bytes

    @property
    def start(self) -> int:
        return self.chip.flash.address

    @property
    def sectors(self) -> tuple[Sector, ...]:
        return tuple(s for s in self.chip.flash.sectors if s.address < self.start + len(self.image))


def jobs() -> Iterator[Job]:
    """900,000 bytes on an F405 and 1.6 MB on an H743 rev Y."""
    for title, dev_id, revision, rom, size in (
        ("F405, 900,000 bytes", 0x413, "3", 0x91, 900_000),
        ("H743 rev Y, 1,600,000 bytes", 0x450, "Y", 0xD3, 1_600_000),
    ):
        chip = the_table().by_dev_id(dev_id)
        assert chip is not None
        vectors = (0x2000_1000).to_bytes(4, "little") + (chip.flash.address | 0x401).to_bytes(4, "little")
        yield Job(title, chip, revision, rom, vectors + random.Random(1).randbytes(size - len(vectors)))


def like_dfu_util(job: Job) -> Script[None]:
    """dfu-util 0.11's order of requests for a DfuSe download (its dfuse.c)."""
    yield from go_to_idle()
    for sector in job.sectors:
        yield from _told_to_wait(b"\x41" + sector.address.to_bytes(4, "little"), 0)
    size = job.chip.transfer_size.value
    for at in range(0, len(job.image), size):
        yield from _told_to_wait(b"\x21" + (job.start + at).to_bytes(4, "little"), 0)
        yield from _told_to_wait(job.image[at : at + size], FIRST_BLOCK)


def _told_to_wait(data: bytes, block: int) -> Script[None]:
    yield Out(Request.DNLOAD, block, data)
    status = yield from get_status()
    while status.state == State.dfuDNBUSY:
        yield Sleep(status.poll_ms)
        status = yield from get_status()
    assert status.state == State.dfuDNLOAD_IDLE, status


def unverified(job: Job, pace: Pace) -> Script[None]:
    """The updater's scripts without its read-backs: what compares with dfu-util."""
    yield from select(0)
    yield from go_to_idle()
    for sector in job.sectors:
        yield from erase(sector.address, ERASE_MAX_MS, pace.polling)
    yield from go_to_idle()
    yield from set_address(job.start, pace.polling)
    yield from write(job.start, job.image, pace)


def pace_of(job: Job) -> Pace:
    behaviour = the_table().behaviour(job.chip, rom_version=job.rom, revision=job.revision)
    return Pace(
        transfer_size=job.chip.transfer_size.value,
        write_max_ms=job.chip.write_max_ms.value,
        polling=behaviour.polling,
    )


def plan_of(job: Job) -> Plan:
    """The updater's own plan for this image, through its own gate."""
    image = make_image(data=job.image, dev_ids=(job.chip.dev_id.value,))
    bundle = open_bundle(make_bundle(make_manifest(images=(image,)), files={"images/main.bin": job.image}))
    product = Product(
        id="demo-widget", number=1, title="Bench", usb=(), chips=(job.chip.id,), hardware=("A",),
        flash_kib=max(job.chip.sizes_kib.value), recovery=Recovery(kind=RecoveryKind.BOOT_BUTTON),
    )  # fmt: skip
    facts = DeviceFacts(name="bench", port="1-1", usb=ROM_USB, mode=Mode.ROM, hardware="A")
    behaviour = the_table().behaviour(job.chip, rom_version=job.rom, revision=job.revision)
    return make_plan(facts, bundle, product, behaviour)


def verified(job: Job, wire: Wire, bus: Bus) -> None:
    """The whole of what `updater install` does in the ROM."""
    flasher = Flasher(wire, Steps(lambda _event: None, bus.clock), _forget)
    plan = plan_of(job)
    flasher.flash(plan.narrowed(flasher.look(plan)))


def _forget(contents: Possible, *, touched: bool) -> None:
    """The journal is not what is measured."""


@dataclass(frozen=True)
class Row:
    """One measured run. Times in seconds."""

    what: str
    transfers: int
    device_s: float
    usb_s: float
    total_s: float
    size: int

    def words(self, device_s: float) -> str:
        """One line. A host that sleeps lets the device work unseen, so its time is taken from ours."""
        per_kib = self.transfers / (self.size / 1024)
        ratios = f"{self.total_s / device_s:>7.2f} {self.total_s / (device_s + self.usb_s):>10.3f}"
        transfers = f"{self.transfers:>6} ({per_kib:4.2f}/KiB)"
        return (
            f"  {self.what:<34} {transfers} {device_s:>8.2f} {self.usb_s:>7.2f} {self.total_s:>8.2f} {ratios}"
        )


def measured(job: Job, what: str, *, real: bool) -> Row:
    """Run one host on a fresh board."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        add_board(folder, chip=job.chip.id, revision=job.revision, rom_version=job.rom, in_rom=True)
        with open_lab(folder, RealClock() if real else VirtualClock()) as lab:
            bus = Bus(lab.backend, lab.clock)
            attached = bus.wait_for(lab.boards[0].port, {ROM_USB}, 5_000)
            assert attached is not None
            board: Board = lab.boards[0]
            with bus.open_dfu(attached) as wire:
                before = board.meter.control_transfers, board.meter.device_ms, board.meter.usb_ms
                started = time.perf_counter()
                if what == "updater":
                    verified(job, wire, bus)
                else:
                    wire.run(like_dfu_util(job) if what == "dfu-util" else unverified(job, pace_of(job)))
                total = time.perf_counter() - started
            meter = board.meter
            assert board.memory.flash.contents[: len(job.image)] == job.image
            return Row(
                _NAMES[what],
                meter.control_transfers - before[0],
                (meter.device_ms - before[1]) / 1000,
                (meter.usb_ms - before[2]) / 1000,
                total,
                len(job.image),
            )


_NAMES = {
    "dfu-util": "dfu-util's sequence, no read-back",
    "unverified": "updater's scripts, no read-back",
    "updater": "updater, all compared and read back",
}


def flash_table(*, real: bool) -> None:
    """Print the table."""
    for job in jobs():
        print(f"{job.title} ({'real' if real else 'virtual'} time)")
        print(
            f"  {'':<34} {'control transfers':>17} {'device s':>8} {'USB s':>7} {'total s':>8} "
            f"{'/device':>7} {'/(dev+USB)':>10}"
        )
        rows = {what: measured(job, what, real=real) for what in _NAMES}
        for row in rows.values():
            print(row.words(rows["unverified"].device_s))
        ratio = rows["dfu-util"].transfers / rows["unverified"].transfers
        print(f"  dfu-util's sequence needs {ratio:.2f} times the control transfers", end="")
        if real:
            print(f" and {rows['dfu-util'].total_s / rows['unverified'].total_s:.2f} times the time")
        else:
            speed = job_speed(rows["unverified"])
            whole = job_speed(rows["updater"])
            print(f"; the host does {speed:.1f} MB/s (with all read-backs {whole:.1f} MB/s)")
        print()


def job_speed(row: Row) -> float:
    """Megabytes a second of wall time."""
    return row.size / row.total_s / 1e6


def start_table(runs: int = 11) -> None:
    """Print how long `updater --version` takes as a whole process."""
    command = [sys.executable, "-m", "updater", "--version"]
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    print(
        f"updater --version: median {statistics.median(times):.3f} s, worst {max(times):.3f} s of {runs} runs"
    )
