"""What is written down of a virtual board: everything that outlives a command, except its memories."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from updater.lab.application import LabProduct
from updater.lab.rom import FRESH, Snapshot


class BoardState(StrEnum):
    """What runs on a board."""

    APPLICATION = "application"
    ROM = "rom"
    LOCKED_UP = "locked-up"
    UNPLUGGED = "unplugged"


class Power(StrEnum):
    """Where the board's supply comes from."""

    SELF = "self"
    BUS = "bus"


class FaultKind(StrEnum):
    """What can be made to go wrong once."""

    CUT_AFTER = "cut-after"
    STALL_AT = "stall-at"
    FLIP_WRITE = "flip-write"
    STATUS_AT = "status-at"
    STICK_BUSY_AT = "stick-busy-at"
    NO_LEAVE = "no-leave"
    WRONG_IDENTITY = "wrong-identity"
    LATE_ARRIVAL = "late-arrival"
    REFUSE_ENTER = "refuse-enter"
    BUSY_ENTER = "busy-enter"
    LATE_ENTER = "late-enter"
    REBOOT_INTO_ITSELF = "reboot-into-itself"


FAULTS_WITHOUT_VALUE = frozenset(
    {
        FaultKind.NO_LEAVE,
        FaultKind.WRONG_IDENTITY,
        FaultKind.REFUSE_ENTER,
        FaultKind.BUSY_ENTER,
        FaultKind.REBOOT_INTO_ITSELF,
    }
)
FAULTS_OF_MILLISECONDS = frozenset({FaultKind.LATE_ARRIVAL, FaultKind.LATE_ENTER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `value` counts class requests from 1, or is an address, or milliseconds, by kind.

    `seen` is how many class requests the ROM has received since the fault was set.
    """

    kind: FaultKind
    value: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRecord:
    """What `board.toml` holds. `chip` is a row's id, `write_protected` holds sector addresses.

    `flash_kib` is the part's real size (None: the family's largest), `reads_size` whether the ROM lets its
    flash-size register be read, `looks_like` a look-alike's id: on USB it shows that one's face. `power_ups`
    counts how often a program has started.
    """

    name: str
    chip: str
    revision: str
    rom_version: int
    uid: bytes
    port: str
    power: Power = Power.SELF
    boot_button: bool = True
    state: BoardState = BoardState.ROM
    product: LabProduct | None = None
    fault: Fault | None = None
    rom: Snapshot = FRESH
    write_protected: tuple[int, ...] = ()
    read_protected: bool = False
    flash_kib: int | None = None
    reads_size: bool = False
    looks_like: str | None = None
    power_ups: int = 0
