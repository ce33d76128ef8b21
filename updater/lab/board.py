"""A virtual board: one chip with its memories, its power, its BOOT button, its place on USB and its faults.

It decides which program runs (ROM or application), when that one is on the bus, and what breaks. Time is
the clock's. Everything that outlives a command is in `Board.record()` and the three memories.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from updater.heads.dfu.words import Request, Stalled, StatusCode, TimedOut, Vanished
from updater.heads.silicon import Chip, Silicon
from updater.lab.application import (
    VECTOR_TABLE,
    Application,
    ChipIdentity,
    initial_stack,
    read_header,
    vectors_are_valid,
)
from updater.lab.clock import Clock
from updater.lab.entering import heed
from updater.lab.face import DFU_FUNCTIONAL, GET_DESCRIPTOR, STANDARD_IN_INTERFACE, Endpoint0, Face
from updater.lab.flash import Memory
from updater.lab.record import BoardRecord, BoardState, Fault, FaultKind, Power
from updater.lab.rom import FRESH, Dialect, Rom, Snapshot
from updater.lab.romface import lookalike_face, rom_face
from updater.lab.symptoms import Behaves, Leaves, behaves
from updater.words.errors import Usage
from updater.words.facts import ProductHeader

APPLICATION_READY_MS = 100
"""From the jump to the application until it is on USB; the lab's own number."""
RESETS_ITSELF_AFTER_MS = 20
"""How long an application that needs one more reset is on USB before it makes it; the lab's own number."""
USB_TRANSFER_MS = 1.0
USB_KIB_MS = 1.0
_STANDARD_TYPE_MASK = 0x60


@dataclass(slots=True)
class Meter:
    """What a host has cost this board: transfers, and where the time went."""

    control_transfers: int = 0
    device_ms: float = 0.0
    usb_ms: float = 0.0


class Board:
    """One board on one port. `address` is its USB device address and new at every change of identity."""

    def __init__(
        self,
        record: BoardRecord,
        *,
        table: Silicon,
        memory: Memory,
        clock: Clock,
        next_address: Callable[[], int],
        dialect: Dialect = Dialect.STANDARD,
        charge_usb: bool = True,
    ) -> None:
        chip = table.by_id(record.chip)
        if chip is None:
            raise Usage(f"board {record.name} has a chip {record.chip} that the silicon table does not know")
        self._record = record
        self._table = table
        self.chip: Chip = chip
        self.lookalike = next((row for row in table.lookalike if row.id == record.looks_like), None)
        self.memory = memory
        self.clock = clock
        self.dialect = dialect
        self.meter = Meter()
        self.fault = record.fault
        self.rom: Rom | None = None
        self.application: Application | None = None
        self.state = record.state
        self.address = 0
        self._power_ups = record.power_ups
        self._next_address = next_address
        self._charge_usb = charge_usb
        self._upload_ms_per_kib = chip.lab.upload_us_per_kib.value / 1000.0
        self._resets_itself = False
        self._due: tuple[BoardState, float] | None = None  # what the firmware starts next, and when
        self._gone = False  # cut off USB for the rest of this process
        self._ready_at_ms = clock.now_ms()
        self._foreign_identity = False
        self._endpoint0: Endpoint0 | None = None
        self._violations: list[str] = []
        self._once = threading.RLock()
        memory.read_protected = record.read_protected
        memory.flash.write_protected = frozenset(record.write_protected)
        self._start(record.state, record.rom)

    # ------------------------------------------------------------------------------------------- what it is

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def port(self) -> str:
        return self._record.port

    @property
    def uid(self) -> bytes:
        return self._record.uid

    @property
    def is_present(self) -> bool:
        """Whether a host sees the board now."""
        self._reset_by_application()
        return self._endpoint0 is not None and not self._gone and self.clock.now_ms() >= self._ready_at_ms

    @property
    def ready_at_ms(self) -> float | None:
        """When the board is on the bus, on its clock; None when it will not come by itself."""
        return None if self._endpoint0 is None or self._gone else self._ready_at_ms

    @property
    def face(self) -> Face | None:
        return self._endpoint0.face if self._endpoint0 is not None and self.is_present else None

    @property
    def endpoint0(self) -> Endpoint0 | None:
        return self._endpoint0

    @property
    def header(self) -> ProductHeader | None:
        """The product header in the flash, whatever runs."""
        return read_header(self.memory.flash, self._record.product)

    @property
    def violations(self) -> tuple[str, ...]:
        """What was sent that no host may ever send, in this process."""
        return (*self._violations, *(self.rom.violations if self.rom else ()))

    def record(self) -> BoardRecord:
        """The board as it must be found by the next command."""
        state = self._due[0] if self._due else self.state
        snapshot = self.rom.snapshot() if self.rom is not None else FRESH
        if self._gone:  # a bus reset begins DFU anew, but a program that hangs does not hear it
            snapshot = FRESH._replace(hung=snapshot.hung)
        return replace(self._record, state=state, fault=self.fault, rom=snapshot, power_ups=self._power_ups)

    @property
    def _idcode(self) -> int:
        """DBGMCU_IDCODE: REV_ID, a nibble that reads 6 on silicon, DEV_ID."""
        letters = {row.letter: row.rev_id for row in self.chip.revisions}
        return letters.get(self._record.revision, 0) << 16 | 0x6000 | self.chip.dev_id.value

    @property
    def _identity(self) -> ChipIdentity:
        uid = bytes(byte ^ 0xFF for byte in self.uid) if self._foreign_identity else self.uid
        return ChipIdentity(
            uid=uid,
            idcode=self._idcode ^ (0x10000000 if self._foreign_identity else 0),
            rom_version=self._record.rom_version & 0xFF,
            transfer_size=self.chip.transfer_size.value,
        )

    # --------------------------------------------------------------------------------------- power and ports

    def set_fault(self, kind: FaultKind | None, value: int = 0) -> None:
        """Arm one fault, replacing any other; None clears."""
        self.fault = Fault(kind=kind, value=value) if kind else None

    def unplug(self) -> None:
        """Off USB until `replug`."""
        self._power_off()
        self._start(BoardState.UNPLUGGED)

    def replug(self, *, boot: bool = False) -> None:
        """A power cycle, with BOOT held or not. Raises Usage where the board has no BOOT button."""
        if boot and not self._record.boot_button:
            raise Usage(
                f"board {self.name} has no BOOT button",
                advice="Leave out --boot; a board gets its button when it is added, with --boot-button yes.",
            )
        self._power_off()
        self._gone = False
        self._enumerate(BoardState.ROM if boot else self._boots_into())

    def _power_off(self) -> None:
        if self.rom is not None:
            self.rom.power_off()

    def _boots_into(self) -> BoardState:
        if self.lookalike is not None:
            return BoardState.ROM
        flash = self.memory.flash
        if self.chip.empty_check.value and flash.read(VECTOR_TABLE, 4) == b"\xff" * 4:
            return BoardState.ROM
        return BoardState.APPLICATION if vectors_are_valid(flash) else BoardState.LOCKED_UP

    def _enumerate(self, state: BoardState, *, at_ms: float | None = None) -> None:
        """Another program starts (now, or it did at `at_ms`): off the bus, back when it is ready.

        Faults of arrival fire here.
        """
        late_ms = 0
        self._power_ups += 1
        self._foreign_identity = False
        if self.fault is not None and state in (BoardState.ROM, BoardState.APPLICATION):
            if self.fault.kind is FaultKind.LATE_ARRIVAL:
                late_ms, self.fault = self.fault.value, None
            elif self.fault.kind is FaultKind.WRONG_IDENTITY:
                self._foreign_identity, self.fault = True, None
        ready_ms = self.chip.usb_ready_ms.value if state is BoardState.ROM else APPLICATION_READY_MS
        self._ready_at_ms = (self.clock.now_ms() if at_ms is None else at_ms) + ready_ms + late_ms
        self._start(state)

    def _start(self, state: BoardState, snapshot: Snapshot | None = None) -> None:
        if self.rom is not None:
            self._violations += self.rom.violations
        self.state, self.rom, self.application, self._endpoint0 = state, None, None, None
        self._due = None
        if state is BoardState.ROM:
            self.rom = Rom(
                memory=self.memory,
                behaves=self._how_the_rom_behaves(),
                transfer_size=self.chip.transfer_size.value,
                clock=self.clock,
                dialect=self.dialect,
                snapshot=snapshot,
            )
            self._endpoint0 = Endpoint0(self._rom_face())
        elif state is BoardState.APPLICATION:
            self.application = Application(
                self.memory.flash,
                chip=self._identity,
                product=self._record.product,
                foreign_identity=self._foreign_identity,
            )
            self._endpoint0 = Endpoint0(self.application.face)
        if self._endpoint0 is not None:
            self._endpoint0.configuration = 1
            self.address = self._next_address()

    def _rom_face(self) -> Face:
        if self.lookalike is not None:
            return lookalike_face(self.lookalike)
        return rom_face(self.chip, self._identity, power_ups=self._power_ups)

    def _how_the_rom_behaves(self) -> Behaves:
        record = self._record
        own = behaves(
            self._table,
            self.chip,
            rom_version=record.rom_version,
            revision=record.revision,
            bank_mode=self.memory.bank_mode,
        )
        if self.lookalike is not None and self.lookalike.leaves_on_zero_download:
            return replace(own, leaves=Leaves.ON_ZERO_DOWNLOAD)
        return own

    # ------------------------------------------------------------------------------------------ the transfers

    def control(
        self,
        address: int,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data_or_length: bytes | int,
        timeout_ms: float,
    ) -> bytes:
        """One control transfer to the device at `address`, blocking on the clock as the silicon does.

        Raises `Stalled`, `TimedOut`, or `Vanished` when that device is not on the bus (any more).
        """
        self._reset_by_application()
        endpoint0 = self._endpoint0
        start_ms = self.clock.now_ms()
        if address != self.address or self._gone or endpoint0 is None or start_ms < self._ready_at_ms:
            raise Vanished(f"no device at address {address} of port {self.port}")
        meter = self.meter
        meter.control_transfers += 1
        answer = b""
        try:
            if not bmRequestType & _STANDARD_TYPE_MASK:
                answer = self._standard(bmRequestType, bRequest, wValue, wIndex, data_or_length, timeout_ms)
            elif self.rom is not None:
                answer = self._to_rom(bmRequestType, bRequest, wValue, wIndex, data_or_length, timeout_ms)
            elif self.application is not None:
                answer = self._to_application(bmRequestType, bRequest, wValue, wIndex, data_or_length)
        finally:
            meter.device_ms += self.clock.now_ms() - start_ms
            if self._charge_usb:
                length = len(answer) if isinstance(data_or_length, int) else len(data_or_length)
                self._charge(length, is_upload=bRequest == Request.UPLOAD and bmRequestType == 0xA1)
        return answer

    def _charge(self, length: int, *, is_upload: bool) -> None:
        """USB time: the same model for every host, or the row's observed value for UPLOAD."""
        if is_upload and self._upload_ms_per_kib:
            ms = max(USB_TRANSFER_MS, self._upload_ms_per_kib * length / 1024.0)
        else:
            ms = USB_TRANSFER_MS + USB_KIB_MS * length / 1024.0
        self.meter.usb_ms += ms
        self.clock.sleep_ms(ms)

    def _standard(
        self,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data_or_length: bytes | int,
        timeout_ms: float,
    ) -> bytes:
        assert self._endpoint0 is not None
        if self.rom is not None:
            self.rom.wait(timeout_ms)
            asks_class = bRequest == GET_DESCRIPTOR and (
                bmRequestType == STANDARD_IN_INTERFACE or wValue >> 8 == DFU_FUNCTIONAL
            )
            if asks_class and bmRequestType & 0x80:
                return self._class_descriptor(self.rom, wValue >> 8, data_or_length, timeout_ms)
            if self.rom.hung:
                self.clock.sleep_ms(timeout_ms)
                raise TimedOut("the ROM hangs; only a power cycle helps")
        return self._endpoint0.control(bmRequestType, bRequest, wValue, wIndex, data_or_length)

    def _class_descriptor(self, rom: Rom, kind: int, data_or_length: bytes | int, timeout_ms: float) -> bytes:
        """A functional descriptor asked for by itself: the C5 ROM hangs, ST's library answers it."""
        assert self._endpoint0 is not None
        hangs = rom.dialect is Dialect.STANDARD or rom.behaves.functional_descriptor_alone_hangs
        if not hangs and kind == DFU_FUNCTIONAL and isinstance(data_or_length, int):
            function = self._endpoint0.face.function
            return function.pack()[:data_or_length] if function else b""
        rom.violations.append(f"descriptor 0x{kind:02X} asked for by itself")
        rom.hung = rom.hung or hangs
        self.clock.sleep_ms(timeout_ms)
        raise TimedOut("the ROM does not answer this descriptor request")

    def _to_application(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bytes:
        with self._heeding() as application:
            return application.control(bmRequestType, bRequest, wValue, wIndex, data_or_length)

    def bus_reset(self) -> None:
        """A host resets the port: the device keeps its identity; its alternate setting is 0 again."""
        if self._endpoint0 is not None:
            self._endpoint0.alternate = 0
        if self.application is not None:
            with self._heeding() as application:
                application.bus_reset()

    def send_bytes(self, address: int, data: bytes) -> None:
        """Bytes to the serial port of the firmware. Raises `Vanished`, or `Stalled` where it has none."""
        self._must_be_at(address)
        with self._heeding() as application:
            application.hear(data)

    def take_bytes(self, address: int, most: int) -> bytes:
        """What the serial port of the firmware has to say, at once; empty when nothing. Raises `Vanished`."""
        self._must_be_at(address)
        port = self.application.serial_port if self.application else None
        return port.say(most) if port else b""

    def _must_be_at(self, address: int) -> None:
        if not self.is_present or address != self.address:
            raise Vanished(f"no device at address {address} of port {self.port}")

    @contextmanager
    def _heeding(self) -> Iterator[Application]:
        """The firmware at work, and what it then makes of a wish to enter the ROM."""
        application = self.application
        if application is None:
            raise Stalled("the ROM has no serial port")
        application.refuses = self.fault is not None and self.fault.kind is FaultKind.REFUSE_ENTER
        try:
            yield application
        finally:
            if application.has_refused:
                application.has_refused, self.fault = False, None
            if application.wants_rom:
                application.wants_rom = False
                port = application.serial_port
                heeded = heed(self.fault, is_talking=port is not None and port.is_talking)
                self.fault = heeded.fault
                if heeded.next is not None:
                    self._due = heeded.next, self.clock.now_ms() + heeded.after_ms
                    self._do_what_is_due()

    def _to_rom(
        self,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data_or_length: bytes | int,
        timeout_ms: float,
    ) -> bytes:
        rom = self.rom
        assert rom is not None
        setup = bmRequestType, bRequest, wValue, wIndex, data_or_length
        try:
            if self.fault is None:
                return rom.control(*setup, timeout_ms)
            return self._with_fault(rom, self.fault, setup, timeout_ms)
        finally:
            if rom.left_to is not None and self.rom is rom:
                self._leave(rom, rom.left_to)

    def _leave(self, rom: Rom, table: int) -> None:
        """The ROM jumps through this vector table, as well as this ROM can."""
        behaves, flash = rom.behaves, self.memory.flash
        near = behaves.go_needs_stack_below_ram_end_by
        ends = self.chip.stack_ends.value if self.chip.stack_ends else ()
        stack = initial_stack(flash, table)
        too_high = bool(near) and any(end - near <= stack <= end for end in ends)
        if behaves.go_is_broken or too_high or not vectors_are_valid(flash, table):
            self._enumerate(BoardState.LOCKED_UP)
            return
        self._enumerate(BoardState.APPLICATION)
        self._resets_itself = behaves.leaves is Leaves.ONE_MORE_RESET

    def _reset_by_application(self) -> None:
        """An application that needs one more reset makes it as soon as it is on the bus: it is gone again."""
        with self._once:  # whoever looks at the bus sees all boards, also from another thread
            due_ms = self._ready_at_ms + RESETS_ITSELF_AFTER_MS
            if self._resets_itself and self.clock.now_ms() >= due_ms:
                self._resets_itself = False
                self._enumerate(BoardState.APPLICATION, at_ms=due_ms)
            self._do_what_is_due()

    def _do_what_is_due(self) -> None:
        due = self._due
        if due is not None and self.clock.now_ms() >= due[1]:
            self._enumerate(due[0], at_ms=due[1])

    # --------------------------------------------------------------------------------------------- the faults

    def _with_fault(
        self, rom: Rom, fault: Fault, setup: tuple[int, int, int, int, bytes | int], timeout_ms: float
    ) -> bytes:
        fault = self.fault = replace(fault, seen=fault.seen + 1)
        due = fault.seen >= fault.value
        if fault.kind is FaultKind.CUT_AFTER and due:
            self._cut(rom, setup, timeout_ms)
        if fault.kind is FaultKind.STALL_AT and due:
            self.fault = None
            rom.break_down(StatusCode.errSTALLEDPKT)
            raise Stalled("a STALL on request")
        self._arm(rom, fault, due=due)
        try:
            return rom.control(*setup, timeout_ms)
        finally:
            if self._has_fired(rom, fault, due=due):
                self.fault = None

    @staticmethod
    def _arm(rom: Rom, fault: Fault, *, due: bool) -> None:
        rom.bench.flip_next_write = fault.kind is FaultKind.FLIP_WRITE and due
        rom.fail_next_status = fault.kind is FaultKind.STATUS_AT and due
        rom.bench.stick_at = fault.value if fault.kind is FaultKind.STICK_BUSY_AT else None
        rom.stay_on_leave = fault.kind is FaultKind.NO_LEAVE

    @staticmethod
    def _has_fired(rom: Rom, fault: Fault, *, due: bool) -> bool:
        match fault.kind:
            case FaultKind.FLIP_WRITE:
                return due and not rom.bench.flip_next_write
            case FaultKind.STATUS_AT:
                return due and not rom.fail_next_status
            case FaultKind.STICK_BUSY_AT:
                return rom.bench.stick_at is None
            case FaultKind.NO_LEAVE:
                return not rom.stay_on_leave
            case _:
                return False

    def _cut(self, rom: Rom, setup: tuple[int, int, int, int, bytes | int], timeout_ms: float) -> None:
        """The cable is pulled while this request is being worked on. Always raises Vanished."""
        self.fault = None
        with suppress(Stalled, TimedOut, Vanished):  # a ROM that drops at leave is gone by itself
            rom.wait(timeout_ms)
            rom.receive(*setup)
        self._gone = True
        if self._record.power is Power.BUS:
            rom.power_off()
            self._start(self._boots_into())
        raise Vanished(f"the device at port {self.port} is gone")
