"""Our updater beside dfu-util on the same virtual boards, in real time, through the kernel's USB stack.

Each run gets a board of its own; the hosts, in the guest, take turns. The board's time is the lab's: the
datasheet's typical erase and program times, and the USB model for every transfer of every host, played in
real time by a server on this machine. What the emulated kernel, TCP and the hosts' own work take comes on
top of it: more on a busy machine.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.inside import LAB, METERS, RUNS, TIMES, Run, Times
from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, make_root
from tests.usb.guest import run_in_guest
from updater.lab.shelf import add_board
from updater.words.facts import Segment

FLASH = 0x0800_0000
KIB = 1024
SIZE = 900_000
ONE_SECTOR_AT, SECTOR = 0x0804_0000 - FLASH, 128 * KIB
F405, H743 = "stm32f405", "stm32h743"
ZERO, AS_DOCUMENTED = "full, poll times zero", "full, poll times of the row"
FAST, ONE, SAME = "full, supply range set", "one 128 KB sector changed", "unchanged, --again"
REV_V = "H743 rev V, ROM 0x91, across the banks"
CASES = (ZERO, AS_DOCUMENTED, FAST, ONE, SAME, REV_V)
GIVE_UP_S = 60
"""How long dfu-util is waited for on the H743: its ninth erase never ends."""
GUEST_DEADLINE_S = 90 * 60
SERVER_STOPS_WITHIN_S = 60
BLOCK = 2048
READ_S = -(-SIZE // BLOCK) * 0.001 + SIZE / KIB * 0.001
"""One bare read-back by the USB model: a ms for each block, and one for each KiB."""
_WRITTEN = SECTOR + 16 * KIB
TWO_SECTORS_S = 2.0 + 0.4 + _WRITTEN / 4 * 64e-6 + _WRITTEN / BLOCK * 0.003 + _WRITTEN / KIB * 0.001
"""Erase (128 and 16 KB, DS8626 table 40, typical at x8), program (64 us a word), and the USB of the write."""
_PRODUCTS = {F405: "bench-gadget", "3v3": "bench-gadget-3v3", H743: "bench-widget"}


@dataclass(frozen=True)
class Goal:
    """A ratio, and the most that it may be, where that was said."""

    goal: str
    ratio: float
    at_most: float | None

    @property
    def is_met(self) -> bool:
        """To three digits, as it is printed."""
        return self.at_most is None or round(self.ratio, 3) <= self.at_most

    def words(self) -> str:
        verdict = "ok" if self.is_met else "MISSED"
        goal = "" if self.at_most is None else f"(goal: at most {self.at_most:.2f}: {verdict})"
        return f"{self.goal:<62} {self.ratio:6.3f} {goal}".rstrip()


@dataclass(frozen=True)
class Measured:
    """The medians of one host in one case, in seconds. `device_s` and `usb_s` are the boards' own meters."""

    case: str
    host: str
    rounds: int
    exit_status: int
    all_s: tuple[float, ...]
    median_s: float
    worst_s: float
    upload_s: float
    compare_s: float
    device_s: float
    usb_s: float
    transfers: int
    steps_ms: dict[str, int]

    @property
    def promised_s(self) -> float:
        """Until every byte was read back and compared."""
        return self.median_s + self.upload_s + self.compare_s


def measure(cases: Sequence[str], rounds: int, keep: Path | None) -> dict[tuple[str, str], Measured]:
    """Every run in the guest; the medians by case and host."""
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder = keep or Path(name)
        runs = prepared(folder, cases, rounds)
        print(f"{len(runs)} runs on {len(runs)} boards; the guest is starting", flush=True)
        with _boards_served(folder) as port:
            script = f'"$PYTHON" -m tests.bench.inside run "$RESULTS" {port}'
            run = run_in_guest(script, results=folder, deadline_s=GUEST_DEADLINE_S, network=True)
        assert run.exit_status == 0, run.output
        return results(folder, runs)


@contextmanager
def _boards_served(folder: Path) -> Iterator[int]:
    """The boards of this folder on a port of this machine. They are saved, with their meters, at the end."""
    command = [sys.executable, "-m", "tests.bench.inside", "serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()
            server.wait(SERVER_STOPS_WITHIN_S)


# --------------------------------------------------------------------------------------------- what is run


def prepared(folder: Path, cases: Sequence[str], rounds: int) -> list[Run]:
    """The boards, bundles and images in `folder`, and the runs in their order: the hosts take turns."""
    _write_vendor(folder / "vendor")
    new = program(SIZE, seed=1)
    across = program(8 * SECTOR + KIB, seed=2)
    for name, data in (("new.bin", new), ("across.bin", across)):
        (folder / name).write_bytes(data)
    for chip, product in _PRODUCTS.items():
        data = across if chip == H743 else new
        (folder / f"{product}.fwb").write_bytes(_bundle(product, 0x450 if chip == H743 else 0x413, data))
    runs = [run for number in range(rounds) for case in cases for run in _runs(case, number)]
    for run in runs:
        _add_board(folder / LAB, run, new)
    (folder / RUNS).write_text(json.dumps([asdict(run) for run in runs]), "utf-8")
    return runs


def _runs(case: str, number: int) -> Iterator[Run]:
    """Both hosts where the other one's time is not measured in another case already."""
    if case == REV_V and number:
        return
    hosts = ("updater",) if case in (FAST, ONE) else ("updater", "dfu-util")
    product = _PRODUCTS["3v3"] if case == FAST else _PRODUCTS[H743 if case == REV_V else F405]
    for host in hosts if number % 2 == 0 else reversed(hosts):
        yield Run(
            case=case,
            host=host,
            board=f"{CASES.index(case)}-{host}-{number}",
            polls_at_zero=case not in (AS_DOCUMENTED, REV_V),
            product=product,
            bundle=f"{product}.fwb",
            image="across.bin" if case == REV_V else "new.bin",
            read_back=case in (ZERO, SAME),
            download=case != SAME,
            limit_s=GIVE_UP_S if case == REV_V else 600,
        )


def _add_board(lab: Path, run: Run, new: bytes) -> None:
    """In its ROM, with no sector blank: another program over the whole flash, or nearly the new one."""
    if run.case == REV_V:
        held = random.Random(3).randbytes(2048 * KIB)
        silicon: dict[str, Any] = {"chip": H743, "revision": "V", "rom_version": 0x91}
    else:
        held = random.Random(4).randbytes(1024 * KIB)
        silicon = {"chip": F405}
        if run.case in (ONE, SAME):
            held = new + held[len(new) :]
        if run.case == ONE:
            other = random.Random(5).randbytes(SECTOR)
            held = held[:ONE_SECTOR_AT] + other + held[ONE_SECTOR_AT + SECTOR :]
    add_board(lab, name=run.board, in_rom=True, segments=[Segment(address=FLASH, data=held)], **silicon)


def program(size: int, *, seed: int) -> bytes:
    """Valid vectors, and noise behind them."""
    vectors = (0x2000_1000).to_bytes(4, "little") + (FLASH | 0x401).to_bytes(4, "little")
    return vectors + random.Random(seed).randbytes(size - len(vectors))


def _bundle(product: str, dev_id: int, data: bytes) -> bytes:
    image = make_image(data=data, dev_ids=(dev_id,))
    manifest = make_manifest(product=product, hardware=("A",), images=(image,))
    return make_bundle(manifest, roots={1: _root()}, files={"images/main.bin": data})


def _root() -> bytes:
    return make_root(expires=datetime(2999, 1, 1, tzinfo=UTC))


def _write_vendor(folder: Path) -> None:
    """A product vendor: its updater may write to what the kernel says is a real device."""
    folder.mkdir(parents=True)
    lines = [
        *("schema = 1", 'kind = "product"', 'name = "Bench"', 'support = "bench@bench.invalid"'),
        *('repository = "http://127.0.0.1:9/"', "[link]", 'scheme = "bench-update"'),
    ]
    for number, (chip, product) in enumerate(_PRODUCTS.items(), 1):
        kib = 2048 if chip == H743 else 1024
        lines += [
            *("[[product]]", f'id = "{product}"', f"number = {number}", f'title = "{product}"'),
            *(f'usb = ["1209:000{number}"]', f'chips = ["{H743 if chip == H743 else F405}"]'),
            *(f"flash_kib = {kib}", 'hardware = ["A"]', 'ways = [{ kind = "dfu-detach" }]'),
            'recovery = { kind = "boot-button", steps = "Hold the button while you plug it in." }',
            *(("supply_mv = 3300",) if chip == "3v3" else ()),
        ]
    (folder / "vendor.toml").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "root.json").write_bytes(_root())


# ------------------------------------------------------------------------------------------ what came of it


def results(folder: Path, runs: Sequence[Run]) -> dict[tuple[str, str], Measured]:
    """The medians, by case and host. Raises AssertionError where a board does not hold what was promised."""
    meters: dict[str, dict[str, float]] = json.loads((folder / METERS).read_text("utf-8"))
    times = [Times(**json.loads(line)) for line in (folder / TIMES).read_text("utf-8").splitlines()]
    for run, one in zip(runs, times, strict=True):
        held = (folder / LAB / run.board / "flash.bin").read_bytes()
        image = (folder / run.image).read_bytes()
        assert (held[: len(image)] == image) == (one.exit_status == 0), f"{run}: {one.said}"
    keys = dict.fromkeys((run.case, run.host) for run in runs)
    return {key: _median([one for one in times if (one.case, one.host) == key], meters) for key in keys}


def _median(times: Sequence[Times], meters: Mapping[str, Mapping[str, float]]) -> Measured:
    first = times[0]
    return Measured(
        case=first.case,
        host=first.host,
        rounds=len(times),
        exit_status=max(one.exit_status for one in times),
        all_s=tuple(one.seconds or one.upload_s for one in times),
        median_s=statistics.median(one.seconds for one in times),
        worst_s=max(one.seconds for one in times),
        upload_s=statistics.median(one.upload_s for one in times),
        compare_s=statistics.median(one.compare_s for one in times),
        device_s=statistics.median(meters[one.board]["device_ms"] for one in times) / 1000,
        usb_s=statistics.median(meters[one.board]["usb_ms"] for one in times) / 1000,
        transfers=round(statistics.median(meters[one.board]["control_transfers"] for one in times)),
        steps_ms=first.steps_ms,
    )


def table(measured: Mapping[tuple[str, str], Measured]) -> list[str]:
    """The measured runs. A host that sleeps lets a device work unseen, so its device time is less."""
    lines = [
        f"F405, {SIZE:,} bytes, and H743; seconds of real time in the guest, USB model charged to both",
        "updater: everything between its question and the application's start, with compare and read-back;",
        "dfu-util: `dfu-util -D` from start to end, nothing read back; + `-U` and `cmp` in its own columns",
        f"{'':<40}{'host':<10}{'rounds':>6}{'median':>8}{'worst':>8}{'-U':>7}{'cmp':>6}"
        f"{'device':>8}{'USB':>7}{'transfers':>10}",
    ]
    for one in measured.values():
        ended = "" if one.exit_status == 0 else f"  given up after {GIVE_UP_S} s, not written"
        lines.append(
            f"{one.case:<40}{one.host:<10}{one.rounds:>6}{one.median_s:>8.2f}{one.worst_s:>8.2f}"
            f"{one.upload_s:>7.2f}{one.compare_s:>6.2f}{one.device_s:>8.2f}{one.usb_s:>7.2f}"
            f"{one.transfers:>10}{ended}"
        )
    return lines


def goals(measured: Mapping[tuple[str, str], Measured]) -> list[Goal]:
    """Each goal with what was measured, as a ratio, and the most that it may be."""
    found: list[Goal] = []

    def goal(text: str, ratio: float, at_most: float | None) -> None:
        found.append(Goal(text, round(ratio, 3), at_most))

    def get(case: str, host: str = "updater") -> Measured | None:
        return measured.get((case, host))

    zero, told = get(ZERO, "dfu-util"), get(AS_DOCUMENTED, "dfu-util")
    if (ours := get(ZERO)) and zero:
        goal("full with read-back / dfu-util -D without", _beside(ours, zero), 1.0)
        goal("full with read-back / dfu-util -D, -U and cmp", ours.median_s / zero.promised_s, None)
    if (ours := get(AS_DOCUMENTED)) and told:
        most = found[0].ratio if found else None  # the gain must be larger then, not smaller
        goal("the same with the row's poll times / dfu-util -D", _beside(ours, told), most)
    if (ours := get(FAST)) and zero:
        goal("supply range set / dfu-util -D without", _beside(ours, zero), 0.6)
    same = get(SAME)
    if (ours := get(ONE)) and same:
        bound = same.median_s + TWO_SECTORS_S
        goal("one sector / (read-back + erase and write of two by the model)", ours.median_s / bound, 1.1)
    if same:
        goal("unchanged: USB time, enumeration included / one bare read-back", same.usb_s / READ_S, None)
    if same and (theirs := get(SAME, "dfu-util")):
        goal("unchanged / dfu-util -U of the same bytes", _beside(same, theirs), 1.1)
    return found


def _beside(ours: Measured, theirs: Measured) -> float:
    """The median of the ratios, round by round: a machine that is busy for a while is so for both."""
    return statistics.median(mine / other for mine, other in zip(ours.all_s, theirs.all_s, strict=True))


def report(measured: Mapping[tuple[str, str], Measured]) -> list[str]:
    """The table and the goals, as they are printed."""
    return [*table(measured), "", *ratios(measured)]


def ratios(measured: Mapping[tuple[str, str], Measured]) -> list[str]:
    """The goals in words."""
    lines = [goal.words() for goal in goals(measured)]
    rev_v = measured.get((REV_V, "updater")), measured.get((REV_V, "dfu-util"))
    if rev_v[0] and rev_v[1]:
        ended = f"exit {rev_v[1].exit_status}" + (" (`timeout`)" if rev_v[1].exit_status == 124 else "")
        lines.append(
            f"H743 rev V: the updater was done after {rev_v[0].median_s:.1f} s; dfu-util was not, {ended}"
        )
    return lines
