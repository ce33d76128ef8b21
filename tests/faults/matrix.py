"""The fault matrix of one job: every fault that can befall it, and what comes of each.

Time is virtual and everything is deterministic. So what follows from a state of the desk is found out once,
and every fault that leaves the same state shares it: all of them are tried, none is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.desk import Desk, Ran, State, Trick
from tests.faults.job import Job, Work, remembering
from tests.faults.truth import found_wrong
from updater.heads.dfu.words import Request
from updater.heads.plan import Plan
from updater.lab.record import BoardState, Fault, FaultKind, Power
from updater.lab.rom import Dialect
from updater.words.errors import UnknownDevice

LATE_MS, TOO_LATE_MS = 300, 30_000
MOST_COMMANDS = 6
LEFT_ALONE, WENT_THROUGH, AGAIN, LOST = "left alone", "went through", "same command", "lost"
REPLUGGED, BOOT, TOLD = "replugged", "BOOT", "--as"
ENDINGS = {
    WENT_THROUGH: "went through",
    AGAIN: "same command",
    f"{AGAIN}, {REPLUGGED}": "+ replug",
    f"{AGAIN}, {BOOT}": "+ BOOT",
    f"{AGAIN}, {TOLD}": "+ --as",
    f"{AGAIN}, {BOOT}, {TOLD}": "+ BOOT, --as",
    LEFT_ALONE: "left alone",
    LOST: "lost",
}
"""How it ended, and the short word for it: at once; by the same command, and what else that took; another
board in the place of ours was not written; never."""


class Trial(NamedTuple):
    """One fault on one job. `kind` is what it is counted under."""

    kind: str
    fault: Fault | None
    power: Power = Power.SELF
    trick: Trick = Trick()
    kill_after: int | None = None
    swapped: bool = False
    expected: frozenset[int] = frozenset()
    """The exit statuses that are right for the first command; empty where the oracle alone decides."""

    def __str__(self) -> str:
        at = self.kill_after or (self.fault and self.fault.value)
        return f"{self.kind} at {at}" if at else self.kind


@dataclass
class Ending:
    """How it goes on from a state: what help it took until the device was complete; None: it never was."""

    help: tuple[str, ...] | None
    wrong: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What came of the faults of one kind: how the first command left the board, and how it was mended."""

    tried: int = 0
    left: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.tried += other.tried
        self.left += other.left
        self.mended += other.mended


@dataclass
class Result:
    """The matrix of one job."""

    job: str
    family: str
    transfers: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    commands: int = 0


class Matrix:
    """Tries every fault on one job, on boards whose ROM speaks one dialect."""

    def __init__(self, job: Job, dialect: Dialect, only: int | None = None) -> None:
        self.job, self.dialect, self._only = job, dialect, only
        self.desk = Desk(job, dialect)
        self.commands = 0
        self._endings: dict[State, Ending] = {}
        self._refusals: dict[State, list[str]] = {}
        self._last: tuple[tuple[Any, ...], Ran] | None = None

    def run(self) -> Result:
        with remembering():
            whole = self._run(self.desk.start(Power.SELF))
            result = Result(str(self.job.row), self.job.row.family, len(whole.board.heard))
            if wrong := found_wrong(self.job, self.desk.start(Power.SELF), whole):
                result.wrong.append(f"{self.job.row}, {self.job.work}, no fault: {wrong}")
                return result
            for trial in self.trials(whole):
                tally = result.tallies.setdefault(trial.kind, Tally())
                tally.tried += 1
                where = f"{self.job.row}, {self.job.work}, {self.dialect}, {trial}"
                result.wrong += [f"{where}: {wrong}" for wrong in dict.fromkeys(self._try(trial, tally))]
            result.commands = self.commands
        return result

    # ---------------------------------------------------------------------------------------- which faults

    def trials(self, whole: Ran) -> Iterator[Trial]:
        """Every fault there is for this job; what does not depend on the ROM's dialect, in one of them."""
        heard = whole.board.heard
        every = self._some(range(1, len(heard) + 1))
        for at in every:
            yield Trial("stall", Fault(kind=FaultKind.STALL_AT, value=at))
        for at in self._some([n for n, request in enumerate(heard, 1) if request == Request.GETSTATUS]):
            yield Trial("error status", Fault(kind=FaultKind.STATUS_AT, value=at))
        if self.dialect is not Dialect.STANDARD:
            return
        for at in every:
            fault = Fault(kind=FaultKind.CUT_AFTER, value=at)
            yield Trial("cut, self-powered", fault)
            yield Trial("cut, another board in its place", fault, swapped=True)
            yield Trial("cut, bus-powered", fault, Power.BUS)
            yield Trial("updater killed", None, kill_after=at)
        for at in self._some(whole.board.programs):
            yield Trial("wrong bytes", Fault(kind=FaultKind.FLIP_WRITE, value=at), expected=frozenset({9}))
        yield from self._about_the_application()

    def _some(self, points: range | list[int]) -> list[int]:
        """All of them; or, of a sample, so many with equal steps between."""
        every = list(points)
        if self._only is None or len(every) <= self._only:
            return every
        return sorted({every[n * (len(every) - 1) // (self._only - 1)] for n in range(self._only)})

    def _about_the_application(self) -> Iterator[Trial]:
        kinds = FaultKind
        yield Trial("does not leave the ROM", Fault(kind=kinds.NO_LEAVE), expected=self._not_confirmed)
        old, another = Trick(says_old=True), Trick(another_at_return=True)
        not_confirmed = frozenset({10})
        yield Trial("comes back with the old version", None, trick=old, expected=not_confirmed)
        yield Trial("comes back as another", None, trick=another, expected=not_confirmed)
        if self.job.work is Work.FIRST_INSTALL:
            return
        refused, found_out = frozenset({8}), self._sees_another_identity
        yield Trial("refuses to enter the ROM", Fault(kind=kinds.REFUSE_ENTER), expected=refused)
        yield Trial("is too busy to enter the ROM", Fault(kind=kinds.BUSY_ENTER), expected=refused)
        yield Trial("starts again instead", Fault(kind=kinds.REBOOT_INTO_ITSELF), expected=refused)
        for kind in (kinds.LATE_ENTER, kinds.LATE_ARRIVAL):
            late = Fault(kind=kind, value=LATE_MS)
            yield Trial("enters the ROM late", late, expected=frozenset({0}))
            yield Trial("enters the ROM too late", Fault(kind=kind, value=TOO_LATE_MS), expected=refused)
        yield Trial("enters the ROM as another", Fault(kind=kinds.WRONG_IDENTITY), expected=found_out)

    @property
    def _not_confirmed(self) -> frozenset[int]:
        """A ROM that cannot start the program is not asked to; the person's replugging does it."""
        return frozenset({0} if self.job.row.behaviour.replug_to_start else {10})

    @property
    def _sees_another_identity(self) -> frozenset[int]:
        """Only a serial that a source foretells can tell one chip's ROM from another's."""
        serial = self.job.row.chip.serial
        foretold = serial.value.startswith("uid-sum") or serial.value == "idcode"
        return frozenset({4} if foretold and serial.standing != "inferred" else {0})

    # ------------------------------------------------------------------------------------- what comes of one

    def _try(self, trial: Trial, tally: Tally) -> Iterator[str]:
        before = self.desk.start(trial.power)
        first = self._first(trial, before)
        yield from found_wrong(self.job, before, first)
        tally.left[self._left(before, first)] += 1
        if trial.expected and first.said.exit not in trial.expected:
            yield f"exit {first.said.exit}, not {sorted(trial.expected)}: {first.said.error!r}"
        if trial.swapped:
            yield from self._put_another(first.state)
            tally.mended[LEFT_ALONE] += 1
            return
        if first.said.exit == 0:
            tally.mended[WENT_THROUGH] += 1
            return
        ending = self._ending(first.state, first.said.plan)
        yield from ending.wrong
        how = LOST if ending.help is None else ", ".join((AGAIN, *dict.fromkeys(ending.help)))
        tally.mended[how] += 1
        if how not in ENDINGS or not set(ending.help or ()) <= self._help_announced(trial):
            yield f"it took {how}"

    def _help_announced(self, trial: Trial) -> set[str]:
        """What the plan and the words prepare a person for.

        BOOT where the power went, --as where the whole flash had to be erased, and with it every proof.
        """
        boot = {BOOT} if trial.power is Power.BUS else set()
        return {REPLUGGED} | boot | ({TOLD} if self.job.erases_all else set())

    def _first(self, trial: Trial, before: State) -> Ran:
        """The command that the fault befalls; the same cut is not made twice for two endings."""
        what = (trial.fault, trial.power, trial.trick, trial.kill_after)
        if self._last is None or self._last[0] != what:
            ran = self._run(before, fault=trial.fault, trick=trial.trick, kill_after=trial.kill_after)
            self._last = what, ran
        return self._last[1]

    def _left(self, before: State, ran: Ran) -> str:
        flash, state = ran.state.silicon.contents, ran.state.board.state
        if flash == self.job.after:
            return "complete"
        if flash == before.silicon.contents and state is before.board.state:
            return "untouched"
        return {BoardState.ROM: "in its ROM", BoardState.APPLICATION: "untouched"}.get(state, "shows nothing")

    def _ending(self, state: State, plan: Plan | None) -> Ending:
        if state not in self._endings:
            self._endings[state] = self._mend(state, plan)
        return self._endings[state]

    def _mend(self, state: State, plan: Plan | None) -> Ending:
        """The person runs the same command again, and does what it says."""
        ending, told = Ending(None), None
        help: list[str] = []
        for _ in range(MOST_COMMANDS):
            ran = self._run(state, told=told)
            ending.wrong += found_wrong(self.job, state, ran, plan)
            state, plan, error = ran.state, ran.said.plan or plan, ran.said.error
            if ran.said.exit == 0:
                ending.help = tuple(help)
                break
            if isinstance(error, UnknownDevice):
                told = True
                help.append(TOLD)
            elif state.board.state is BoardState.LOCKED_UP:  # the words were judged: here they are followed
                state = self.desk.replugged(state, boot=True)
                help.append(BOOT)
            else:
                state = self.desk.replugged(state)
                help.append(REPLUGGED)
        return ending

    def _put_another(self, state: State) -> list[str]:
        """On the port of the board that was cut off there is another one now: it must not be written."""
        wrong = []
        for contents in (self.desk.job.of_the_other_product, b"\xff" * len(self.desk.job.before)):
            there = self.desk.another_in_rom(state, contents)
            if there not in self._refusals:
                self._refusals[there] = self._refused(there)
            wrong += self._refusals[there]
        return wrong

    def _refused(self, there: State) -> list[str]:
        """Without a word of the person; and with it, where the board itself says that it is another."""
        told = [False, True] if there.silicon.contents == self.job.of_the_other_product else [False]
        wrong = []
        for as_told in told:
            ran = self._run(there, told=as_told)
            if ran.state.silicon.contents != there.silicon.contents or ran.said.exit not in (3, 4):
                how = f"exit {ran.said.exit}, {ran.said.error!r}"
                wrong.append(f"another board on the port was not refused: {how}")
        return wrong

    def _run(self, state: State, **how: Any) -> Ran:
        self.commands += 1
        return self.desk.run(state, **how)
