"""A board on the desk, in memory: commands are run on it, and every change of its flash is watched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from tests.faults.job import NO_SITE, OTHER, Job, MemoryStore, Work
from tests.heads.bundle_kit import NOW
from updater.hands.usbio import Bus
from updater.heads.plan import Plan
from updater.heads.report import Receipt
from updater.lab.application import vectors_are_valid
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.flash import Flash, Memory, blank_options, size_of
from updater.lab.record import BoardRecord, BoardState, Fault, FaultKind, Power
from updater.lab.rom import Dialect
from updater.story.job import Hands
from updater.story.update import REPLUG_NOW, perform, prepare
from updater.words.errors import UpdaterError
from updater.words.events import Event, Noticed
from updater.words.facts import Sector

UID = bytes.fromhex("2d0030000b51343333353132")
OTHER_UID = bytes.fromhex("410022001851393338303437")
PORT = "1-1"
KILLED = -9
"""Instead of an exit status, of an updater that was killed."""
BY_NUMBER = frozenset({FaultKind.CUT_AFTER, FaultKind.STALL_AT, FaultKind.STATUS_AT, FaultKind.FLIP_WRITE})
"""Faults whose value is the number of a class request."""


class WatchedFlash(Flash):
    """Flash that is looked at after each change: only `whole` contents may ever be able to start."""

    whole: tuple[bytes, ...] = ()
    mixtures: int = 0
    writes: int = 0

    def look(self) -> None:
        if vectors_are_valid(self) and self.contents not in self.whole:
            self.mixtures += 1

    def erase(self, sector: Sector) -> bytes:
        before = super().erase(sector)
        self.look()
        return before

    def spoil_erase(self, sector: Sector, before: bytes) -> None:
        super().spoil_erase(sector, before)
        self.look()

    def program(self, address: int, data: bytes) -> Any:
        result = super().program(address, data)
        self.writes += 1
        self.look()
        return result

    def spoil_program(self, address: int, data: bytes, before: bytes) -> None:
        super().spoil_program(address, data, before)
        self.look()


class Silicon(NamedTuple):
    """What a board's flash holds: its bytes, and which units are spent."""

    contents: bytes
    spent: bytes | None


class Chip:
    """One chip of a job, made once; `hold` puts contents into its flash."""

    def __init__(self, job: Job) -> None:
        self.job, row = job, job.row
        chip = row.chip
        options = blank_options(chip, row.bank_mode)
        size = size_of(chip, "flash", flash_kib=row.kib, bank_mode=row.bank_mode)
        otp = bytearray(b"\xff" * size_of(chip, "otp"))
        self.memory = Memory(
            chip,
            flash=bytearray(b"\xff" * size),
            otp=otp,
            options=options,
            rom_id=row.rom_version,
            flash_kib=row.kib,
        )
        plain = self.memory.flash
        self.flash = WatchedFlash(
            plain.region,
            plain.contents,
            unit_bytes=plain.unit_bytes,
            once_per_erase=chip.lab.once_per_erase.value,
        )
        self.memory.flash = self.flash
        self._known: dict[bytes, Silicon] = {}

    def never_held(self, contents: bytes) -> Silicon:
        """The state of a flash into which these bytes were written in a factory."""
        if contents not in self._known:
            flash = Flash(
                self.flash.region,
                bytearray(contents),
                unit_bytes=self.flash.unit_bytes,
                once_per_erase=self.job.row.chip.lab.once_per_erase.value,
            )
            spent = flash._spent
            self._known[contents] = Silicon(contents, bytes(spent) if spent is not None else None)
        return self._known[contents]

    def hold(self, state: Silicon) -> None:
        self.flash.contents[:] = state.contents
        if self.flash._spent is not None and state.spent is not None:
            self.flash._spent[:] = state.spent
        self.memory.feature[:] = b"\x00\xff\xff\xff"

    def holds(self) -> Silicon:
        spent = self.flash._spent
        return Silicon(bytes(self.flash.contents), bytes(spent) if spent is not None else None)


class Trick(NamedTuple):
    """What the new program does when it starts, that no fault of the lab does."""

    says_old: bool = False
    another_at_return: bool = False


class Killed(BaseException):
    """The updater is no more: no line of it runs after this, as after SIGKILL."""


class WatchedBoard(Board):
    """A board whose ROM's class requests are counted, and whose application may play tricks.

    `arm` is a fault that is set when the ROM hears the request of its number, so that it comes then. After
    the request `kill_after` the updater is killed.
    """

    trick = Trick()
    arm: Fault | None = None
    kill_after: int | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.heard: list[int] = []
        self.programs: list[int] = []
        super().__init__(*arguments, **named)

    def _to_rom(self, bmRequestType: int, bRequest: int, *rest: Any) -> bytes:
        self.heard.append(bRequest)
        if self.arm is not None and len(self.heard) == self.arm.value:
            self.fault = Fault(kind=self.arm.kind, value=1)
        flash = self.memory.flash
        assert isinstance(flash, WatchedFlash)
        writes = flash.writes
        try:
            return super()._to_rom(bmRequestType, bRequest, *rest)
        finally:
            if flash.writes != writes:
                self.programs.append(len(self.heard))
            if len(self.heard) == self.kill_after:
                raise Killed

    def _enumerate(self, state: BoardState, *, at_ms: float | None = None) -> None:
        """Tricks of the new program: of the one that is complete, whatever started it."""
        flash = self.memory.flash
        assert isinstance(flash, WatchedFlash)
        is_new = state is BoardState.APPLICATION and flash.contents == flash.whole[1]
        if is_new and self.trick.another_at_return:
            self.fault = Fault(kind=FaultKind.WRONG_IDENTITY)
        super()._enumerate(state, at_ms=at_ms)
        if is_new and self.trick.says_old and self.application and self.application.header:
            header = self.application.header
            self.application.header = replace(header, version=header.version.replace(major=0))


@dataclass
class Said:
    """How one command ended."""

    exit: int
    plan: Plan | None
    receipt: Receipt | None = None
    error: UpdaterError | None = None
    notices: list[str] = field(default_factory=list)


class State(NamedTuple):
    """All that is left on the desk when a command has ended: the next one sees nothing else."""

    board: BoardRecord
    silicon: Silicon
    files: tuple[tuple[str, bytes], ...]


@dataclass
class Ran:
    """One command that has ended, and what can be seen of the board."""

    said: Said
    state: State
    board: WatchedBoard
    mixtures: int
    violations: tuple[str, ...]
    is_present: bool


class Desk:
    """Runs commands on the board of one job."""

    def __init__(self, job: Job, dialect: Dialect = Dialect.STANDARD) -> None:
        self.job, self.dialect = job, dialect
        self.chip = Chip(job)
        self.chip.flash.whole = (job.before, job.after)

    def start(self, power: Power) -> State:
        """The board as it comes to the desk."""
        in_rom = self.job.work is Work.FIRST_INSTALL
        row = self.job.row
        record = BoardRecord(
            name="board1",
            chip=row.chip_id,
            revision=row.revision,
            rom_version=row.rom_version,
            uid=UID,
            port=PORT,
            power=power,
            state=BoardState.ROM if in_rom else BoardState.APPLICATION,
            product=self.job.lab_product(),
            flash_kib=row.kib,
        )
        return State(record, self.chip.never_held(self.job.before), ())

    def another_in_rom(self, state: State, contents: bytes) -> State:
        """Another board of the same silicon, in its ROM, on the port of the first one, at one computer."""
        record = replace(
            self.start(Power.SELF).board,
            uid=OTHER_UID,
            state=BoardState.ROM,
            product=self.job.lab_product(OTHER),
        )
        return State(record, self.chip.never_held(contents), state.files)

    def board_of(self, state: State) -> WatchedBoard:
        """The board in that state; the chip under it is always the same one."""
        self.chip.hold(state.silicon)
        addresses = count(1)
        return WatchedBoard(
            state.board,
            table=self.job.row.table,
            memory=self.chip.memory,
            clock=VirtualClock(),
            next_address=lambda: next(addresses),
            dialect=self.dialect,
        )

    def replugged(self, state: State, *, boot: bool = False) -> State:
        board = self.board_of(state)
        board.replug(boot=boot)
        return State(self._record(board), self.chip.holds(), state.files)

    def _record(self, board: Board) -> BoardRecord:
        """What is left of the board. How often it has started matters only where it shows that."""
        record = board.record()
        return record if board.chip.serial.value == "random" else replace(record, power_ups=0)

    def run(
        self,
        state: State,
        *,
        told: bool | None = None,
        fault: Fault | None = None,
        trick: Trick | None = None,
        kill_after: int | None = None,
    ) -> Ran:
        """`updater install`, by a person who replugs the board when the updater says so."""
        board = self.board_of(state)
        if fault is not None and fault.kind in BY_NUMBER:
            board.arm = fault
        else:
            board.fault = fault
        board.trick = trick or Trick()
        board.kill_after = kill_after
        flash = self.chip.flash
        flash.mixtures = flash.writes = 0
        store = MemoryStore(dict(state.files))
        hands = Hands(
            bus=Bus(LabBackend([board]), board.clock),
            site=NO_SITE,
            store=store,
            home=self.job.home,
            silicon=self.job.row.table,
            now=NOW,
            virtual=True,
            clock="virtual",
        )
        if told is None:
            told = self.job.work is Work.FIRST_INSTALL
        said = self._said(hands, board, told=told)
        is_present = board.is_present
        after = State(self._record(board), self.chip.holds(), tuple(sorted(store.files.items())))
        return Ran(said, after, board, flash.mixtures, board.violations, is_present)

    def _said(self, hands: Hands, board: Board, *, told: bool) -> Said:
        notices: list[str] = []

        def emit(event: Event) -> None:
            if isinstance(event, Noticed):
                notices.append(event.text)
                if event.text == REPLUG_NOW:
                    board.replug()

        plan = None
        try:
            prepared = prepare(hands, self.job.request(told=told), emit)
            plan = prepared.plan
            receipt = perform(hands, prepared, emit)
        except UpdaterError as error:
            return Said(error.exit_status, plan, error=error, notices=notices)
        except Killed:
            return Said(KILLED, plan, notices=notices)
        return Said(receipt.exit_status, plan, receipt=receipt, notices=notices)
