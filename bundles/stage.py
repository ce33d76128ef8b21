"""The stage of a rehearsal: one virtual board in memory, and the updater's own story played on it.

Nothing of the updater is replaced: the bundle passes the gate, the plan is made from the silicon table, and
the board answers every USB request. Only the clock is invented, so a rehearsal takes no silicon time.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

from semver import Version

from updater.demo.plays import plays
from updater.hands.channel import UpdateSite
from updater.hands.host import Home
from updater.hands.store import open_store
from updater.hands.usbio import Bus
from updater.heads.policy import OpenedFrom
from updater.heads.silicon import Chip, the_table
from updater.heads.vendor import Product
from updater.lab.application import vectors_are_valid
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.flash import BLANK, Memory, blank_options, size_of
from updater.lab.record import BoardRecord, BoardState, Fault, FaultKind, Power
from updater.lab.serialport import LabSerialPorts
from updater.lab.shelf import UNKNOWN
from updater.story.job import Hands, Request
from updater.story.update import REPLUG_NOW, perform, prepare
from updater.words.errors import UpdaterError
from updater.words.events import Event, Noticed
from updater.words.facts import HEADER_BYTES, ProductHeader, Segment

_UID_BYTES = 12
_OTHER = 0x5A
"""What the bytes of the old program differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of silicon. None where the table knows no revision or ROM version of the chip."""

    chip: Chip
    revision: str | None
    rom_version: int | None

    def __str__(self) -> str:
        revision = f" revision {self.revision}" if self.revision else ""
        return f"{self.chip.id}{revision}" + (f" ROM 0x{self.rom_version:02X}" if self.rom_version else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What is rehearsed: a product's bundle, in the hands of an updater that was made for it."""

    home: Home
    product: Product
    hardware: str
    bundle: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended: its exit status, and the error if there was one."""

    exit_status: int
    error: UpdaterError | None = None


class Stage:
    """One board, and a state folder, for as many commands as it takes."""

    def __init__(self, play: Play, part: Part, state: Path, before: bytes, *, power: Power) -> None:
        self._play, self._state = play, state
        product, chip = play.product, part.chip
        memory = Memory(
            chip,
            flash=bytearray(before),
            otp=bytearray([BLANK]) * size_of(chip, "otp"),
            options=blank_options(chip, product.bank_mode),
            rom_id=part.rom_version or 0,
            flash_kib=product.flash_kib,
        )
        record = BoardRecord(
            name="rehearsal",
            chip=chip.id,
            revision=part.revision or UNKNOWN,
            rom_version=part.rom_version or 0,
            uid=hashlib.sha256(str(part).encode()).digest()[:_UID_BYTES],
            port="1-1",
            power=power,
            state=BoardState.APPLICATION if vectors_are_valid(memory.flash) else BoardState.ROM,
            product=plays(product, play.hardware),
            flash_kib=product.flash_kib,
        )
        self._memory = memory
        self.board = self._plugged_in(record)

    def _plugged_in(self, record: BoardRecord) -> Board:
        """The board as the next command finds it: whatever was under way on USB is over."""
        addresses = count(1)
        self._clock = VirtualClock()
        return Board(
            record,
            table=the_table(),
            memory=self._memory,
            clock=self._clock,
            next_address=lambda: next(addresses),
        )

    @property
    def flash(self) -> bytes:
        return bytes(self.board.memory.flash.contents)

    @property
    def could_start(self) -> bool:
        """Whether a jump to what the flash holds would run."""
        return vectors_are_valid(self.board.memory.flash)

    def install(self, *, told: bool = False) -> Ended:
        """`updater install F`, and with `told` also `--as PRODUCT:HARDWARE`, by a person who obeys."""
        play = self._play
        self.board = self._plugged_in(self.board.record())
        request = Request(
            opened_from=OpenedFrom.FILE,
            data=play.bundle,
            as_product=f"{play.product.id}:{play.hardware}" if told else None,
            again=True,
        )
        with open_store(self._state, play.home.embedded_root) as store:
            hands = Hands(
                bus=Bus(LabBackend([self.board]), self._clock, LabSerialPorts((self.board,), self._clock)),
                site=UpdateSite(play.home.vendor, play.home.embedded_root, store.channel_folder),
                store=store,
                home=play.home,
                silicon=the_table(),
                now=play.now,
                virtual=True,
                clock=self._clock.kind,
            )
            try:
                receipt = perform(hands, prepare(hands, request, self._hear), self._hear)
            except UpdaterError as error:
                return Ended(error.exit_status, error)
            return Ended(receipt.exit_status)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Noticed) and event.text == REPLUG_NOW:
            self.board.replug()

    def count_requests(self) -> None:
        """From now on count what the ROM receives: a cut that is never reached does it."""
        self.board.set_fault(FaultKind.CUT_AFTER, 1 << 62)

    @property
    def counted(self) -> int:
        fault: Fault | None = self.board.record().fault
        return fault.seen if fault else 0


@contextmanager
def on_stage(play: Play, part: Part, before: bytes, *, power: Power = Power.SELF) -> Iterator[Stage]:
    """A fresh board whose flash holds `before`, beside a fresh state folder."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as state:
        yield Stage(play, part, Path(state), before, power=power)


def blank(part: Part, product: Product) -> bytes:
    """The flash of a board that was never programmed, except for the data which the product keeps."""
    size = size_of(part.chip, "flash", flash_kib=product.flash_kib, bank_mode=product.bank_mode)
    flash = bytearray([BLANK]) * size
    for keep in product.keep:
        at = keep.address - part.chip.flash.address
        flash[at : at + keep.length] = random.Random(keep.address).randbytes(keep.length)  # noqa: S311 # no secret
    return bytes(flash)


def holding(empty: bytes, base: int, segments: Sequence[Segment]) -> bytes:
    """The flash `empty`, which begins at address `base`, with these bytes in it."""
    flash = bytearray(empty)
    for part in segments:
        flash[part.address - base : part.end - base] = part.data
    return bytes(flash)


def old_program(
    chip: Chip, segments: Sequence[Segment], header_at: int, version: Version
) -> tuple[Segment, ...]:
    """A program for the board to run before: as large as the new one, and different in every sector.

    It keeps the new one's vector table and the place of its header, which says `version`.
    """
    return tuple(_older(chip, part, header_at, version) for part in segments)


def _older(chip: Chip, part: Segment, header_at: int, version: Version) -> Segment:
    data = bytearray(one ^ _OTHER for one in part.data)
    kept = [(chip.flash.address, chip.granule_bytes)]
    if part.address == chip.flash.address:
        kept.append((int.from_bytes(part.data[4:8], "little") & ~1, 2))  # must not look erased
    for address, length in kept:
        at = address - part.address
        if 0 <= at < len(data):
            data[at : at + length] = part.data[at : at + length]
    at = header_at - part.address
    if 0 <= at <= len(data) - HEADER_BYTES:
        header = ProductHeader.parse(part.data[at : at + HEADER_BYTES])
        assert header is not None, "the caller has looked"
        data[at : at + HEADER_BYTES] = replace(header, version=version).pack()
    return Segment(address=part.address, data=bytes(data))
