"""Links on the command line: `--link LINK`, a single thing handed to the program, `register`, `unregister`.

Imports are late, as in `cli`. What comes from outside is looked at before any parser of options sees it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.arguments import MakeHands, Parser
from updater.doors.knownhome import known_home
from updater.words.errors import Refused, UpdaterError, Usage

if TYPE_CHECKING:
    from updater.doors.terminal import Face
    from updater.hands.host import Home
    from updater.heads.links import Link

LINK = "--link"


def is_link_call(arguments: Sequence[str]) -> bool:
    """Whether the system's link handler started us; then nothing in the arguments is an option."""
    return LINK in arguments[:1]


def outside_arguments(arguments: Sequence[str], hands: MakeHands) -> argparse.Namespace | None:
    """What was not typed as a command: a clicked link, a thing that was dropped, the program's own name.

    None where it is for the command line to read. Raises `Usage`.
    """
    if is_link_call(arguments):
        if len(arguments) != 2:
            raise Usage(f"{LINK} takes one link and nothing else")
        from updater.heads.links import check_shape

        check_shape(arguments[1])
        return _namespace(lambda args, face: _open_link(arguments[1], args, face, hands))
    if not arguments:
        return _own_name(hands)
    return _handed(arguments, hands)


def _namespace(run: Callable[[argparse.Namespace, Face], int]) -> argparse.Namespace:
    return argparse.Namespace(lab=None, state=None, run=run)


def _handed(arguments: Sequence[str], hands: MakeHands) -> argparse.Namespace | None:
    """`updater WHAT`, as when a file is dropped on the program: no option, no command, one thing."""
    if arguments[0].startswith("-"):
        return None
    from updater.heads.what import is_handed

    if not all(is_handed(one, windows=sys.platform == "win32") for one in arguments):
        return None
    if len(arguments) > 1:
        raise Usage("these are several things to install", advice="Open one after the other.")
    return _namespace(lambda args, face: _open(arguments[0], args, face, hands))


def _own_name(hands: MakeHands) -> argparse.Namespace | None:
    """`Updater_CODE.exe`, started without anything: only a built program has a name that says something."""
    from updater.hands.host import is_frozen

    if not is_frozen():
        return None
    from updater.heads.what import what_from_filename

    home = known_home(None)
    link = what_from_filename(Path(sys.executable).name, home.vendor.numbers)
    return _namespace(lambda args, face: _select(link, home, args, face, hands)) if link else None


def _open_link(text: str, args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    """A link that somebody clicked: only a link, never a file or an option; the question is always asked."""
    from updater.hands.host import is_elevated
    from updater.heads.links import parse_link

    home = known_home(args.state)
    link = parse_link(text, home.vendor.link.scheme)
    if is_elevated():
        raise Refused(
            "an update link is never opened with an administrator's rights",
            advice="Open the link as yourself, or start the updater and paste the link.",
        )
    return _select(link, home, args, face, hands)


def _open(what: str, args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    """A link, a page or a code goes the way of a clicked link; a file is never handed over."""
    from updater.doors.console import install, link_of, request_for
    from updater.doors.window import NoWindow, Wanted, WantedKind, open_window

    home = _home_for(what, args, face, hands)
    if link := link_of(what, home.vendor):
        return _select(link, home, args, face, hands)
    with suppress(NoWindow):
        return open_window(args, hands, Wanted(WantedKind.FILE, what))
    with hands(args) as made:
        return install(made, face, request_for(what, home.vendor), yes=False)


def _home_for(what: str, args: argparse.Namespace, face: Face, hands: MakeHands) -> Home:
    """With the update site's newest products, where this is a code of a product that is not known here."""
    from updater.heads.links import number_in

    home = known_home(args.state)
    return home if number_in(what) in (None, *home.vendor.numbers) else _newest_home(home, args, face, hands)


def _newest_home(home: Home, args: argparse.Namespace, face: Face, hands: MakeHands) -> Home:
    """With the update site's newest products, if it can be asked: whoever goes on says what is not known."""
    from updater.story.catalogue import newest_if_any

    with suppress(UpdaterError), hands(args) as made:
        return newest_if_any(made, face.emit).home
    return home


def _select(link: Link, home: Home, args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.console import install, request_of
    from updater.doors.links.console import selected
    from updater.doors.window import NoWindow, Wanted, WantedKind, open_window
    from updater.hands.host import state_folder
    from updater.hands.instance import hand_over
    from updater.hands.store import folder_of

    if hand_over(folder_of(state_folder(args.state), home.embedded_root), link):
        face.say("The updater that is already open has taken it. Go on there.")
        return 0
    with suppress(NoWindow):
        return open_window(args, hands, Wanted(WantedKind.LINK, link.tokens))
    if home.vendor.product(link.product) is None:
        home = _newest_home(home, args, face, hands)
    selected(link, home.vendor, face)
    with hands(args) as made:
        return install(made, face, request_of(link), yes=False)


def add_parser(commands: argparse._SubParsersAction[Parser], shared: Parser) -> None:
    """Hang `register` and `unregister` into a command line."""
    register = commands.add_parser("register", parents=[shared], help="open update links with this program")
    register.add_argument("--yes", action="store_true", help="answer the question with yes")
    register.set_defaults(run=_register)
    unregister = commands.add_parser(
        "unregister", parents=[shared], help="no longer open update links with this program"
    )
    unregister.set_defaults(run=_unregister)


def _register(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.links.console import register
    from updater.hands.host import load_home
    from updater.hands.registrar import this_registrar

    return register(load_home().vendor, this_registrar(), _this_program(), face, yes=args.yes)


def _unregister(args: argparse.Namespace, face: Face) -> int:
    del args
    from updater.doors.links.console import unregister
    from updater.hands.host import load_home
    from updater.hands.registrar import this_registrar

    return unregister(load_home().vendor, this_registrar(), Path(sys.executable).resolve(), face)


def _this_program() -> Path:
    """The built program that runs. Raises `Refused` or `Usage`."""
    from updater.hands.host import is_elevated, is_frozen

    if not is_frozen():
        raise Usage(
            "only a built program can be registered for links, and this one runs from its source",
            advice="Build it (pyinstaller build_exe.spec) and run its `register`, or paste the link: "
            "updater install LINK.",
        )
    if is_elevated():
        raise Refused(
            "links are registered for one account, not with an administrator's rights",
            advice="Run the command again as yourself.",
        )
    return Path(sys.executable).resolve()
