"""What a virtual board's firmware makes of the wish to enter the ROM: it does, or what a fault says."""

from __future__ import annotations

from typing import NamedTuple

from updater.lab.record import BoardState, Fault, FaultKind

LINGERS_MS = 50
"""How long firmware stays on USB so that its answer on the serial port is heard; the lab's own number."""


class Heeded(NamedTuple):
    """What runs next (None: the same program goes on), after how long, and the fault that is left."""

    next: BoardState | None
    after_ms: float
    fault: Fault | None


def heed(fault: Fault | None, *, is_talking: bool) -> Heeded:
    """The wish was heard. `is_talking`: the firmware has an answer to give first."""
    after_ms = LINGERS_MS if is_talking else 0
    match fault.kind if fault else None:
        case FaultKind.BUSY_ENTER:
            return Heeded(None, 0, None)
        case FaultKind.REBOOT_INTO_ITSELF:
            return Heeded(BoardState.APPLICATION, after_ms, None)
        case FaultKind.LATE_ENTER:
            assert fault is not None
            return Heeded(BoardState.ROM, fault.value, None)
        case _:
            return Heeded(BoardState.ROM, after_ms, fault)
