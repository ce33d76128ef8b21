"""The customer's window: one device, one button, the truth at the end.

`state`, `texts`, `fold` and `page` think and never touch; `worker` works in a thread of its own; `view`
draws.
"""

from __future__ import annotations

from updater.desktop import Taste
from updater.errors import UpdaterError
from updater.window.state import Failed, Happening, Seller, State, Wanted, WantedKind
from updater.window.worker import OpenHands, failure_of


class NoWindow(Exception):
    """There is no display, or no tk."""


def open_window(open_hands: OpenHands, wanted: Wanted, *, plain: bool = False) -> int:
    """Show the window until it is closed; returns the exit status of what was done last.

    Raises `NoWindow`, and `Usage` where the vendor folder cannot be read.
    """
    from updater.desktop import be_sharp, languages, taste
    from updater.host import has_display

    if not has_display():
        raise NoWindow("there is no display")
    try:
        from tkinter import TclError

        from updater.window.app import App
        from updater.window.catalogue import catalogue
    except ImportError as error:
        raise NoWindow(f"this Python has no tk: {error}") from error
    be_sharp()
    likes = taste()
    likes = Taste(dark=likes.dark, plain=plain or likes.plain, scale=likes.scale)
    opening = first_state(wanted)
    try:
        app = App(open_hands, *opening, speak=catalogue(languages()), taste=likes)
    except TclError as error:
        raise NoWindow(str(error)) from error
    return app.run()


def first_state(wanted: Wanted) -> tuple[State, tuple[Happening, ...]]:
    """What the window knows when it opens, and what has happened by then: a link may be no link at all."""
    from updater.console import request_for_link
    from updater.host import load_home
    from updater.vendor import Kind

    vendor = load_home().vendor
    seller = Seller(name=vendor.name, support=vendor.support, is_demo=vendor.kind is Kind.DEMO)
    state = State(seller=seller, wanted=wanted)
    if wanted.kind is not WantedKind.LINK:
        return state, ()
    try:
        named = vendor.product(request_for_link(wanted.text, vendor).product or "")
    except UpdaterError as error:
        return state, (Failed(0, failure_of(error)),)
    return State(seller=seller, wanted=wanted, product_wanted=named.title if named else None), ()
