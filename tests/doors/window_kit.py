"""States of the window to begin with, and what they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from updater.doors.window.fold import fold
from updater.doors.window.state import (
    Action,
    Candidate,
    Confirmation,
    Doubt,
    Failed,
    Failure,
    Happening,
    Looked,
    Offer,
    Offered,
    Order,
    Pressed,
    Seen,
    Seller,
    State,
    Wanted,
    WantedKind,
)
from updater.heads.vendor import RecoveryKind

SELLER = Seller(name="Demo Instruments", support="support@demo.invalid")
NEW = State(seller=SELLER)
WIDGET = Seen(port="1-1", title="Demo Widget", version="1.0.0")
GADGET = Seen(port="1-2", title="Demo Gadget", version="1.0.0")
MAY_BE = (
    Candidate(key="demo-widget:A", title="Demo Widget", hardware="A"),
    Candidate(key="demo-widget:B", title="Demo Widget", hardware="B"),
)
SILENT = Seen(port="1-1", in_update_mode=True, candidates=MAY_BE)
STRANGER = Seen(port="3-1", is_stranger=True)
OFFER = Offer(
    key=("1-1", "demo-widget", "A", "1.1.0", "sha"),
    title="Demo Widget",
    new="1.1.0",
    old="1.0.0",
    notes="Answers faster.",
    size=11_529,
    estimate_ms=7_000,
    recovery=RecoveryKind.BOOT_BUTTON,
    recovery_steps="Hold the button.",
)
OLDER = replace(OFFER, confirmations=(Confirmation(text="0.9.0", doubt=Doubt.OLDER),), is_older=True)
LINK = Wanted(WantedKind.LINK, "demo-widget/stable/latest")


def after(*happenings: Happening, start: State = NEW) -> State:
    state = start
    for one in happenings:
        state, _ = fold(state, one)
    return state


def orders(state: State, happening: Happening) -> tuple[Order, ...]:
    return fold(state, happening)[1]


OFFERED = after(Looked((WIDGET,)), Offered(1, OFFER))
WORKING = after(Pressed(Action.UPDATE), start=OFFERED)


def failure(kind: str, **more: Any) -> Failure:
    return Failure(kind=kind, **more)


CUT = after(Failed(1, failure("NotFinished", exit_status=9)), Looked(()), start=WORKING)
