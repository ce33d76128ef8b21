"""What flashing costs on each family, by the silicon table's times, and what each remedy is worth.

Everything is the updater's own: the signed bundle, the plan, the flasher with all its read-backs, over
pyusb. The device is the lab on a virtual clock, so a figure is as good as the row's times: no figure here
was measured on a chip.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pair.job import flasher_on, install, plan_for, program
from tests.pair.kit import TABLE, Known, newest, roms_of, row
from updater.hands.usbio import ROM_USB, Bus, Wire
from updater.heads.dfu.words import Script, T
from updater.heads.plan import Plan
from updater.heads.silicon import BankMode, Chip, Quirk, Silicon
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.shelf import UNKNOWN, add_board, open_lab
from updater.lab.work import Work, Workbench
from updater.words.facts import Sector, Segment

KIB = 1024
JOB_KIB = 512
SUPPLY_MV = 3_300
HEADER = """\
Flashing {kib} KiB, compared, erased, proved blank, written and read back; seconds of virtual time.
  erase, program, read  what the scripts of that kind take; read is everything that is read back: the old
                        content, the proof that each sector is blank, and the new content
  total                 from the first request to the last read-back, without leaving
  flash                 time in which the flash itself works, erasing and programming, by the row's times
  over                  host overhead, (total - flash) / total: USB, read-backs, polls, idle sleep
  usb                   the model of USB: 1 ms a transfer and 1 ms a KiB, or the row's own time for UPLOAD;
                        some of it passes while the flash works
  slept                 what the host's scripts slept, while the flash worked or for nothing
  times                 standing of the row's erase, program and read times: d documented (the datasheet's
                        typical value), o observed, i INFERRED, - none (USB model alone)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """One job. Times in ms of the virtual clock."""

    kib: int
    erase: float
    program: float
    read: float
    total: float
    flash: float
    usb: float
    slept: float

    @property
    def overhead(self) -> float:
        """The part of the time in which the flash did not work."""
        return 1 - self.flash / self.total


_KINDS = {
    "erase": "erase",
    "erase_with_stuck_busy": "erase",
    "mass_erase": "erase",
    "write": "program",
    "set_device_feature": "program",
    "read": "read",
}


class Timed:
    """A wire that adds up what each kind of script takes."""

    def __init__(self, wire: Wire, clock: VirtualClock) -> None:
        self.on_bytes: Callable[[int], None] = lambda _count: None
        self.ms = {"erase": 0.0, "program": 0.0, "read": 0.0, "other": 0.0}
        self._wire, self._clock = wire, clock

    def run(self, script: Script[T]) -> T:
        started_ms = self._clock.now_ms()
        try:
            return self._wire.run(script)
        finally:
            self.ms[_KINDS.get(getattr(script, "__name__", ""), "other")] += self._clock.now_ms() - started_ms


@dataclass(frozen=True, slots=True)
class Job:
    """An image for one ROM of one row."""

    silicon: Known
    segments: tuple[Segment, ...]
    in_two_banks: bool = False

    @property
    def chip(self) -> Chip:
        return row(self.silicon.chip)

    @property
    def bank_mode(self) -> BankMode | None:
        if self.chip.bank_mode is None:
            return None
        return "dual" if self.in_two_banks else "single"

    def plan(self, table: Silicon, supply_mv: int | None) -> Plan:
        """Made by `table`, for the largest part."""
        behaviour = table.behaviour(
            self.chip,
            rom_version=self.silicon.rom_version,
            revision=self.silicon.revision,
            bank_mode=self.bank_mode,
        )
        return plan_for(behaviour, self.segments, bank_mode=self.bank_mode, supply_mv=supply_mv)


def whole(sectors: Iterable[Sector], kib: int) -> list[Segment]:
    """A program from the first of these sectors on, of so many KiB or until they end."""
    sectors = list(sectors)
    length = min(kib * KIB, sum(sector.size for sector in sectors))
    return [Segment(address=sectors[0].address, data=program(length, at=sectors[0].address))]


def measured(job: Job, *, table: Silicon = TABLE, supply_mv: int | None = None) -> Cost:
    """Flash a fresh board in its ROM. Raises what stops the job."""
    plan, clock, chip = job.plan(table, supply_mv), VirtualClock(), job.chip
    with tempfile.TemporaryDirectory() as folder:
        add_board(
            Path(folder),
            chip=chip.id,
            revision=None if job.silicon.revision == UNKNOWN else job.silicon.revision,
            rom_version=job.silicon.rom_version or None,
            bank_mode=job.bank_mode,
            in_rom=True,
        )
        with open_lab(Path(folder), clock) as lab:
            return _flashed(job, plan, Bus(lab.backend, clock), lab.boards[0], clock)


def _flashed(job: Job, plan: Plan, bus: Bus, board: Board, clock: VirtualClock) -> Cost:
    (attached,) = bus.attached({ROM_USB})
    assert board.rom is not None
    old = board.memory.flash.contents
    old[:] = bytes(len(old))  # a blank part would hide an erase that does nothing
    flash_ms, meter = _listened_to(board.rom.bench), board.meter
    with bus.open_dfu(attached) as wire:
        timed = Timed(wire, clock)
        device_ms, usb_ms, started_ms = meter.device_ms, meter.usb_ms, clock.now_ms()
        install(flasher_on(timed, clock), plan)
        total_ms, usb_ms = clock.now_ms() - started_ms, meter.usb_ms - usb_ms
    for part in job.segments:
        assert board.memory.flash.read(part.address, len(part.data)) == part.data
    return Cost(
        kib=sum(len(part.data) for part in job.segments) // KIB,
        erase=timed.ms["erase"],
        program=timed.ms["program"],
        read=timed.ms["read"],
        total=total_ms,
        flash=sum(flash_ms),
        usb=usb_ms,
        slept=total_ms - usb_ms - (meter.device_ms - device_ms),
    )


def _listened_to(bench: Workbench) -> list[float]:
    """How long the flash works for each stored download, as it comes."""
    times: list[float] = []
    run = bench.run

    def listened(block: int, data: bytes) -> Work:
        work = run(block, data)
        times.append(work.ms)
        return work

    bench.run = listened  # type: ignore[method-assign] # no meter in the lab counts the flash alone
    return times


# ----------------------------------------------------------------------------------------------- the tables


def silicon_table(*, kib: int = JOB_KIB, chips: Sequence[str] | None = None) -> None:
    """Print both tables: what each row costs, and what each remedy brings."""
    rows = [chip for chip in TABLE.chip if chip.geometry and (chips is None or chip.id in chips)]
    print(HEADER.format(kib=kib))
    for line in cost_lines(rows, kib):
        print(line)
    print(f"\nDevice Feature: the vendor states a supply of {SUPPLY_MV / 1000:g} V, or states none.")
    for line in feature_lines(rows, kib):
        print(line)
    half = min(kib, JOB_KIB) // 2
    print(f"\nRemedies: {half} KiB from the start and {half} KiB in the second half; seconds with / without.")
    for line in remedy_lines(rows, half):
        print(line)


def cost_lines(rows: Iterable[Chip], kib: int) -> Iterator[str]:
    """One line per row, with its last ROM and its newest revision."""
    yield (
        f"  {'row':<12} {'ROM':>5} {'KiB':>4} {'erase':>7} {'program':>7} {'read':>6} {'total':>7}"
        f" {'flash':>7} {'over':>5} {'usb':>6} {'slept':>6} times"
    )
    for chip in rows:
        silicon = Known(chip.id, roms_of(chip.id)[-1], newest(chip.id))
        cost = measured(Job(silicon, tuple(whole(chip.flash.sectors, kib))))
        rom = f"{silicon.rom_version:02X}" if silicon.rom_version else "?"
        size = f"{cost.kib}{'' if cost.kib == kib else '*'}"
        yield (
            f"  {chip.id:<12} {rom:>5} {size:>4} {_s(cost.erase):>7} {_s(cost.program):>7}"
            f" {_s(cost.read):>6} {_s(cost.total):>7} {_s(cost.flash):>7} {cost.overhead:>5.0%}"
            f" {_s(cost.usb):>6} {_s(cost.slept):>6} {_standings(chip)}"
        )
    yield "  * the whole of the largest part, which is smaller"


def _s(ms: float) -> str:
    return f"{ms / 1000:.2f}"


def _standings(chip: Chip) -> str:
    lab = chip.lab
    read = lab.upload_us_per_kib.standing[0] if lab.upload_us_per_kib.value else "-"
    letters = [lab.erase_ms.standing[0], lab.program_us.standing[0], read]
    inferred = " INFERRED" if "i" in letters[:2] else ""
    return "/".join(letters) + inferred


def feature_lines(rows: Iterable[Chip], kib: int) -> Iterator[str]:
    """The same job where the vendor states the supply and where he does not."""
    yield f"  {'row':<12} {'stated':>8} {'not':>8} {'gain':>6}   program: {'stated':>7} {'not':>7}"
    for chip in rows:
        if chip.supply is None:
            continue
        job = Job(
            Known(chip.id, roms_of(chip.id)[-1], newest(chip.id)), tuple(whole(chip.flash.sectors, kib))
        )
        fast, slow = measured(job, supply_mv=SUPPLY_MV), measured(job)
        yield (
            f"  {chip.id:<12} {_s(fast.total):>8} {_s(slow.total):>8} {slow.total / fast.total:>5.2f}x"
            f"   {'':<8} {_s(fast.program):>7} {_s(slow.program):>7}"
        )


def remedy_lines(rows: Iterable[Chip], half_kib: int) -> Iterator[str]:
    """Each quirk on each row that it is about, with the last ROM that has it."""
    ids = {chip.id for chip in rows}
    for quirk in TABLE.quirk:
        for chip_id in quirk.match.chips:
            if chip_id in ids:
                yield f"  {quirk.id:<32} {chip_id:<12} {_worth(_job_for(quirk, chip_id, half_kib), quirk)}"


def _job_for(quirk: Quirk, chip_id: str, half_kib: int) -> Job:
    rom = (quirk.match.rom_versions or roms_of(chip_id))[-1]
    sectors = row(chip_id).sectors(kib=None, bank_mode=quirk.match.bank_mode)
    middle = len(sectors) // 2
    segments = (*whole(sectors[:middle], half_kib), *whole(sectors[middle:], half_kib))
    return Job(Known(chip_id, rom, newest(chip_id)), segments, quirk.match.bank_mode == "dual")


def _worth(job: Job, quirk: Quirk) -> str:
    """In seconds, where a host without the remedy comes to an end; else how it ends."""
    cost = measured(job)
    if quirk.remedy.never_sent:
        return f"{_s(cost.total):>7} /       -  the updater never sends what brings it about"
    try:
        bare = measured(job, table=TABLE.without_remedy(quirk.id))
    except Exception as error:  # whatever stops it is what is shown
        return f"{_s(cost.total):>7} /       -  without: {error}"
    gain = bare.total / cost.total
    words = f"gain {gain:.2f}x" if abs(gain - 1) > 0.005 else "no time: it guards, or is not met in this job"
    return f"{_s(cost.total):>7} / {_s(bare.total):>7}  {words}"
