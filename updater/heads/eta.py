"""How long it will still take: the rows' typical times, corrected by what is measured on the way.

Pure: whoever has the clock says what time it is. Times are ms, sizes bytes. Nothing that is done to a device
depends on this; how long something may take at most comes from datasheet maxima and stands in the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

KIB = 1024
LOOK_BYTES = 4 * KIB
"""So much of a sector is read in any case. By it the device can be known again after a cut."""

_TRANSFER_MS, _KIB_MS = 1.0, 1.0
"""Full-speed USB, until the device has shown its own: a control transfer, and a KiB of data on top of it."""
_BACK_MS = 250.0
"""From the leave until an application answers that starts at once; how long its start takes is not known."""
_LEAVE_MS = 10.0
_DOUBT_MS = 20.0
"""What was measured counts fully once it is much longer than this."""
_SLOWEST, _FASTEST = 20.0, 0.05


class Kind(StrEnum):
    """What a device spends time on. A wait is known beforehand; the others show how fast this device is."""

    ERASE = "erase"
    WRITE = "write"
    READ = "read"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What a row says of its chip's usual speed; `erase_ms` is by sector size."""

    erase_ms: Mapping[int, int]
    program_ms_per_kib: float
    upload_ms_per_kib: float | None
    block: int
    ready_ms: int

    def erase(self, size: int) -> float:
        return float(self.erase_ms.get(size, 0))

    def read(self, size: int) -> float:
        """One run: set the pointer, go to idle, upload, go to idle."""
        return 5 * _TRANSFER_MS + self._uploads(size)

    def _uploads(self, size: int) -> float:
        if self.upload_ms_per_kib is not None:
            return size / KIB * self.upload_ms_per_kib
        return -(-size // self.block) * _TRANSFER_MS + size / KIB * _KIB_MS

    def write(self, size: int) -> float:
        """One run: set the pointer, then three transfers a block."""
        blocks = -(-size // self.block)
        kib = size / KIB
        return 3 * (1 + blocks) * _TRANSFER_MS + kib * (_KIB_MS + self.program_ms_per_kib)


UNKNOWN = Typical(erase_ms={}, program_ms_per_kib=0, upload_ms_per_kib=None, block=2 * KIB, ready_ms=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The work on one sector. `waits`: the erase takes exactly so long, whatever the device."""

    size: int
    erase_ms: float
    waits: bool = False
    proof: int
    write: int

    def ms(self, typical: Typical) -> dict[Kind, float]:
        """The time of an erase, its proof, the write and its read-back."""
        reads = [size for size in (self.proof, self.write) if size]
        return {
            Kind.ERASE: 0.0 if self.waits else self.erase_ms,
            Kind.WAIT: self.erase_ms if self.waits else 0.0,
            Kind.READ: sum(typical.read(size) for size in reads),
            Kind.WRITE: typical.write(self.write) if self.write else 0.0,
        }


@dataclass(slots=True)
class _Run:
    """The piece of work that goes on now. `learnt`: the expected time of its blocks so far, and the real."""

    kind: Kind
    expected: float
    began: float
    moved: int = 0
    learnt: tuple[float, float] = (0.0, 0.0)


class Forecast:
    """The remaining time of one update, from entering the bootloader until the application is back.

    As long as it is not known which sectors differ, those not read yet are taken to be like the others.
    """

    def __init__(self, typical: Typical, loads: Sequence[Load], *, enters: bool) -> None:
        self._typical = typical
        self._unread = [load for load in loads if load.size]
        self._always = [load for load in loads if not load.size]
        self._differing: list[Load] = []
        self._looked = 0
        self._waits = {"enter": float(typical.ready_ms) if enters else 0.0, "leave": _LEAVE_MS + _BACK_MS}
        self._left: dict[Kind, float] | None = None
        self._erases_left: Counter[float] = Counter()
        self._erases: dict[float, list[float]] = {}
        self._expected, self._took = dict.fromkeys(Kind, 0.0), dict.fromkeys(Kind, 0.0)
        self._run: _Run | None = None

    def entered(self) -> None:
        """It is in its bootloader."""
        self._waits["enter"] = 0.0

    def looked(self, size: int, *, differs: bool) -> None:
        """One sector of that size was looked at."""
        load = self._unread.pop(0)
        self._looked += size
        if differs:
            self._differing.append(load)

    def decided(self, loads: Sequence[Load]) -> None:
        """This is what will be done, and nothing else."""
        self._unread, self._left = [], _sum(load.ms(self._typical) for load in loads)
        self._erases_left = Counter(load.erase_ms for load in loads if load.erase_ms and not load.waits)

    def begin(self, kind: Kind, size: int, now_ms: float, expected_ms: float | None = None) -> None:
        """A piece of work begins; an erase says itself how long it usually takes."""
        cost = {Kind.READ: self._typical.read, Kind.WRITE: self._typical.write}.get(kind)
        expected = cost(size) if cost else expected_ms or 0.0
        self._run = _Run(kind, expected, now_ms)

    def moved(self, count: int, now_ms: float) -> None:
        """A block of it is on its way: those before it are done."""
        run = self._run
        if run is None or run.kind not in (Kind.READ, Kind.WRITE):
            return
        cost = self._typical.read if run.kind is Kind.READ else self._typical.write
        run.learnt = (cost(run.moved), now_ms - run.began) if run.moved else (0.0, 0.0)
        run.moved += count

    def end(self, now_ms: float) -> None:
        """The piece of work is done. A read that was enough before its end counts as far as it went."""
        run, self._run = self._run, None
        if run is None:
            return
        if run.kind is Kind.ERASE:
            self._erases.setdefault(run.expected, []).append(now_ms - run.began)
            self._erases_left[run.expected] -= 1
            return
        expected = self._typical.read(run.moved) if run.kind is Kind.READ else run.expected
        self._expected[run.kind] += expected
        self._took[run.kind] += now_ms - run.began
        if self._left is not None:
            self._left[run.kind] = max(self._left[run.kind] - run.expected, 0.0)

    def expected_ms(self, kind: Kind, typical_ms: float) -> float:
        """How long what usually takes so long takes on this device, as far as it was measured.

        Of erases there are few, and they are not alike: one of a size that was measured takes what that
        took, and another size is believed as much as the largest measured one is.
        """
        if kind is not Kind.ERASE or not self._erases:
            return typical_ms * self._factor(kind)
        if typical_ms in self._erases:
            return fmean(self._erases[typical_ms])
        largest = max(self._erases)
        return typical_ms * (fmean(self._erases[largest]) + typical_ms) / (largest + typical_ms)

    def remaining_ms(self, now_ms: float) -> float:
        """How long it will still take from now on."""
        left = dict(self._still_to_do() if self._left is None else self._left)
        if self._left is not None:
            left[Kind.ERASE] = 0.0
        ms = sum(self._waits.values()) + sum(self.expected_ms(kind, left[kind]) for kind in Kind)
        ms += sum(count * self.expected_ms(Kind.ERASE, one) for one, count in self._erases_left.items())
        if self._run is not None:
            run = self._run
            ms -= min(now_ms - run.began, self.expected_ms(run.kind, run.expected))
        return max(ms, 0.0)

    def _still_to_do(self) -> dict[Kind, float]:
        """While it is being looked at: the unread sectors as those that were read, in the same proportion."""
        typical, unread = self._typical, self._unread
        share = sum(load.size for load in self._differing) / self._looked if self._looked else 1.0
        sure = _sum(load.ms(typical) for load in (*self._differing, *self._always))
        likely = _sum(load.ms(typical) for load in unread)
        looks = sum(
            share * typical.read(min(load.size, LOOK_BYTES)) + (1 - share) * typical.read(load.size)
            for load in unread
        )
        if not self._differing and share == 0:
            sure = dict.fromkeys(Kind, 0.0)
        left = {kind: sure[kind] + share * likely[kind] for kind in Kind}
        left[Kind.READ] += looks
        return left

    def _factor(self, kind: Kind) -> float:
        """How much slower than typical this device is, as far as it was measured."""
        if kind is Kind.WAIT:
            return 1.0
        expected, took = self._expected[kind], self._took[kind]
        if self._run is not None and self._run.kind is kind:
            expected, took = expected + self._run.learnt[0], took + self._run.learnt[1]
        return min(max((took + _DOUBT_MS) / (expected + _DOUBT_MS), _FASTEST), _SLOWEST)


def total_ms(typical: Typical, loads: Sequence[Load]) -> int:
    """How long all this usually takes, looking at the flash first and starting the application included."""
    return round(Forecast(typical, loads, enters=True).remaining_ms(0.0))


def left_in_words(ms: int) -> str:
    """What a person reads beside the bar."""
    seconds = max(round(ms / 1000), 1)
    return f"about {seconds} s left" if seconds < 120 else f"about {round(seconds / 60)} minutes left"


def _sum(works: Iterable[Mapping[Kind, float]]) -> dict[Kind, float]:
    total = dict.fromkeys(Kind, 0.0)
    for work in works:
        for kind, ms in work.items():
            total[kind] += ms
    return total
