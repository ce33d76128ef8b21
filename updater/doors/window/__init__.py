"""The customer's window: one device, one button, the truth at the end.

`state`, `texts`, `fold` and `page` think and never touch; `worker` works in a thread of its own; `view`
draws; `app` puts them together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from updater.doors.knownhome import known_home
from updater.doors.window.state import Failed, Failure, Seller, State, Wanted, WantedKind
from updater.words.errors import UpdaterError

if TYPE_CHECKING:
    from updater.heads.vendor import Vendor
    from updater.story.job import Hands

__all__ = ["NoWindow", "Wanted", "WantedKind", "first_state", "open_window"]

MakeHands = Callable[[argparse.Namespace], AbstractContextManager["Hands"]]


class NoWindow(Exception):
    """There is no display, or no tk."""


def open_window(
    args: argparse.Namespace, hands: MakeHands, wanted: Wanted, *, failed: UpdaterError | None = None
) -> int:
    """Show the window until it is closed; returns the exit status of what was done last.

    `failed`: what has gone wrong already, before there was a window. Raises `NoWindow`, and `Usage` where the
    vendor folder cannot be read.
    """
    from updater.hands.desktop import be_sharp, languages, taste
    from updater.hands.host import has_display, state_folder

    if not has_display():
        raise NoWindow("there is no display")
    try:
        from tkinter import TclError

        from updater.doors.window.app import App
        from updater.doors.window.speech import speaker
    except ImportError as error:
        raise NoWindow(f"this Python has no tk: {error}") from error
    from updater.hands.store import folder_of

    home = known_home(getattr(args, "state", None))
    be_sharp()
    likes = taste()
    likes = replace(likes, plain=likes.plain or bool(getattr(args, "plain", False)))
    happened = (Failed(0, Failure.of(failed)),) if failed is not None else ()
    try:
        app = App(
            lambda: hands(args),
            first_state(wanted, home.vendor),
            happened,
            speak=speaker(languages()),
            taste=likes,
        )
    except TclError as error:
        raise NoWindow(str(error)) from error
    return app.run(folder_of(state_folder(args.state), home.embedded_root))


def first_state(wanted: Wanted, vendor: Vendor) -> State:
    """What the window knows when it opens."""
    from updater.heads.vendor import Kind

    seller = Seller(
        name=vendor.name,
        support=vendor.support,
        is_demo=vendor.kind is Kind.DEMO,
        products=tuple((product.id, product.title) for product in vendor.products),
    )
    return State(seller=seller, wanted=wanted)
