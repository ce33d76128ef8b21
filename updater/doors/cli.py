"""The command line: arguments in, a conversation, an exit status out.

Imports are late on purpose: `updater --version` must not pay for USB or trust.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from updater import __version__
from updater.doors.bench.cli import add_options as add_bench_options
from updater.doors.bench.cli import add_parser as add_station
from updater.doors.bench.cli import install_every
from updater.doors.equipment import hands_of, surroundings_of
from updater.doors.knownhome import known_home
from updater.doors.labcli import add_parsers as add_virtual
from updater.doors.labcli import has_lab
from updater.doors.links.cli import add_parser as add_links
from updater.doors.links.cli import is_link_call, outside_arguments
from updater.doors.memory.cli import add_parsers as add_memory
from updater.doors.otp.cli import add_parser as add_otp
from updater.words.errors import Bug, Cancelled, StorageFailed, UpdaterError, Usage

if TYPE_CHECKING:
    from updater.doors.terminal import Face

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SELF_TEST = "--self-test"


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are errors of ours, so that they look and exit like all others."""

    def error(self, message: str) -> NoReturn:
        raise Usage(message, advice=f"`{self.prog} --help` shows what it takes.")


def run(arguments: Sequence[str], *, guarded: bool = True) -> int:
    """Run one command; returns its exit status. Only --help and --version end with SystemExit.

    `guarded` False: a fault of the updater itself comes out, for a door that tells it in its own way.
    """
    face: Face | None = None
    json = "--json" in arguments and not is_link_call(arguments)
    try:
        args = _parsed(arguments)
        face = _face(json=getattr(args, "json", False))
        with _logged(args):
            return int(args.run(args, face))
    except UpdaterError as error:
        status = _fail(face, error, json=json)
        if is_link_call(arguments):  # whoever clicked a link sees no terminal
            _show(error)
        return status
    except KeyboardInterrupt:
        return _fail(face, Cancelled("the command was stopped"), json=json)
    except OSError as error:  # a closed pipe, a full disk behind stdout; work in progress guards itself
        if not guarded:
            raise
        return _fail(face, StorageFailed(f"the output cannot be written: {error.strerror}"), json=False)
    except Exception as error:
        if not guarded:
            raise
        return _fail(face, _bug(error), json=json)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    args = outside_arguments(arguments, hands_of)
    if args is not None:
        return args
    if SELF_TEST in arguments:
        if not set(arguments) <= {SELF_TEST, "--json"}:
            raise Usage(f"{SELF_TEST} takes no command and no other option than --json")
        return argparse.Namespace(json="--json" in arguments, run=_self_test)
    return build_parser(with_lab="lab" in arguments).parse_args(arguments)


def _bug(error: Exception) -> Bug:
    """The traceback is for developers' eyes; of an executable it goes into a file for support."""
    import traceback

    from updater.hands.host import is_frozen

    message = f"{type(error).__name__}: {error}"
    if is_frozen():
        from updater.hands.crash import keep_crash

        file = keep_crash(error)
        if file is not None:
            return Bug(message, advice=f"Please send the file {file} to the vendor's support.")
    traceback.print_exc()
    return Bug(message)


@contextmanager
def _logged(args: argparse.Namespace) -> Iterator[None]:
    """What stops a command is noted in the state folder's log, for a report to the vendor's support."""
    try:
        yield
    except Exception as error:
        import traceback

        from updater.hands.host import state_folder
        from updater.hands.logbook import note

        what = error.message if isinstance(error, UpdaterError) else traceback.format_exc()
        name = getattr(args.run, "__name__", "command").strip("_")
        note(state_folder(getattr(args, "state", None)), f"{name}: {type(error).__name__}: {what}")
        raise


def _fail(face: Face | None, error: UpdaterError, *, json: bool) -> int:
    with suppress(OSError, ValueError):
        (face or _face(json=json)).error(error)
    return error.exit_status


def _show(error: UpdaterError) -> None:
    """Say in a window why a link was not opened, where there can be one."""
    from updater.doors.window import NoWindow, Wanted, open_window

    with suppress(NoWindow, UpdaterError):
        open_window(argparse.Namespace(lab=None, state=None), hands_of, Wanted(), failed=error)


def _face(*, json: bool) -> Face:
    from updater.doors.terminal import JsonFace, TerminalFace

    return JsonFace() if json else TerminalFace()


def build_parser(*, with_lab: bool = True) -> argparse.ArgumentParser:
    """The whole command line. The lab's own commands are costly to import and hang in on demand."""
    parser: argparse.ArgumentParser = _Parser(
        prog="updater", description="Update the firmware of your device over USB."
    )
    parser.add_argument("--version", action="version", version=f"updater {__version__}")
    parser.add_argument(SELF_TEST, action="store_true", help="check that the updater itself is complete")
    hidden = None if has_lab() else argparse.SUPPRESS
    parser.add_argument("--lab", metavar="DIR", help=hidden or "use the virtual devices in DIR, not USB")
    parser.add_argument(
        "--real-time", type=float, nargs="?", const=1.0, metavar="FACTOR",
        help=hidden or "virtual devices take the time of real ones, or FACTOR times less",
    )  # fmt: skip
    parser.add_argument("--state", metavar="DIR", help="keep state in DIR instead of your own folder")
    parser.add_argument("--plain", action="store_true", help="nothing moves in the window")
    parser.set_defaults(run=_window)
    shared = _Parser(add_help=False)
    for name in ("--lab", "--state"):
        shared.add_argument(name, metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    shared.add_argument("--json", action="store_true", help="print JSON lines for programs")
    one = _Parser(add_help=False)
    one.add_argument("--device", metavar="SELECTOR", help="port, serial number or name of the device")
    one.add_argument(
        "--as", dest="as_product", metavar="PRODUCT[:HARDWARE]", help="say what a silent device is"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_device_commands(commands, shared, one)
    add_station(commands, shared, hands=hands_of)
    add_otp(commands, shared, one, hands=hands_of)
    add_memory(commands, shared, one, hands=hands_of)
    _add_file_and_link_commands(commands, shared)
    add_virtual(commands, with_lab=with_lab)
    return parser


def _add_device_commands(commands: _Commands, shared: _Parser, one: _Parser) -> None:
    """What asks or changes a device. `one`: the options that choose a single device."""
    devices = commands.add_parser("devices", parents=[shared], help="show the devices that are connected")
    devices.add_argument("--explain", action="store_true", help="name the source of every limitation")
    devices.set_defaults(run=_devices)

    check = commands.add_parser("check", parents=[shared, one], help="look for an update for the device")
    check.set_defaults(run=_check)

    install = commands.add_parser("install", parents=[shared, one], help="update the device")
    install.add_argument("what", nargs="?", metavar="WHAT", help="update link, file, page, code or version")
    install.add_argument("--yes", action="store_true", help="answer the one question with yes")
    install.add_argument("--again", action="store_true", help="install the version that is there already")
    install.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    add_bench_options(install)
    install.set_defaults(run=_install)


def _add_file_and_link_commands(commands: _Commands, shared: _Parser) -> None:
    verify = commands.add_parser("verify", parents=[shared], help="say whether a bundle file is genuine")
    verify.add_argument("bundle", type=Path, metavar="BUNDLE")
    verify.set_defaults(run=_verify)

    link = commands.add_parser("link", parents=[shared], help="make an update link for a customer")
    link.add_argument("product", metavar="PRODUCT")
    link.add_argument("--channel", choices=("stable", "beta"), default="stable")
    link.add_argument(
        "--version", dest="release", metavar="VERSION", help="this version instead of the newest"
    )
    link.set_defaults(run=_link)

    add_links(commands, shared)

    doctor = commands.add_parser("doctor", parents=[shared], help="say what stands in the way of an update")
    doctor.add_argument("--fix", action="store_true", help="do what it can about it, after asking")
    doctor.set_defaults(run=_doctor)

    report = commands.add_parser("report", parents=[shared], help="write a report for the vendor's support")
    report.add_argument(
        "--output", type=Path, metavar="FILE", help="write it to FILE: a zip, or text if it ends in .txt"
    )
    report.add_argument(
        "--transcript", type=Path, metavar="FILE", help="write what was said in the last update that failed"
    )
    report.set_defaults(run=_report)


def _self_test(_args: argparse.Namespace, face: Face) -> int:
    from updater.doors.selftest import self_test

    return self_test(face)


def _devices(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import show_devices

    with hands_of(args) as hands:
        return show_devices(hands, face, explain=args.explain)


def _check(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import check, request_for, with_options

    with hands_of(args) as hands:
        request = request_for(None, hands.home.vendor)
        request = with_options(request, device=args.device, as_product=args.as_product, again=False)
        return check(hands, face, request)


def _install(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import install, knowing_code, request_for, with_options

    if not args.all and (args.receipts or args.label is not None):
        raise Usage("--receipts and --label go with --all", advice="Add --all, or use `updater station`.")
    with hands_of(args) as hands:
        hands = knowing_code(hands, args.what, face.emit)
        request = request_for(args.what, hands.home.vendor)
        request = with_options(request, device=args.device, as_product=args.as_product, again=args.again)
        if args.all:
            return install_every(args, hands, face, request)
        return install(hands, face, request, yes=args.yes, dry=args.dry_run)


def _window(args: argparse.Namespace, _face: Face) -> int:
    """The window; where there can be none, a command is missing."""
    from updater.doors.window import NoWindow, Wanted, open_window

    try:
        return open_window(args, hands_of, Wanted())
    except NoWindow as error:
        raise Usage(
            f"a COMMAND is missing, and no window can be opened: {error}",
            advice="`updater --help` shows the commands.",
        ) from error


def _verify(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import verify
    from updater.hands.channel import UpdateSite
    from updater.hands.host import load_home, state_folder, today
    from updater.hands.store import open_store

    home = load_home()
    with open_store(state_folder(args.state), home.embedded_root) as store:
        site = UpdateSite(home.vendor, home.embedded_root, store.channel_folder)
        return verify(home, site, store, args.bundle, today(), face)


def _link(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import show_link
    from updater.words.facts import Channel, parse_version

    try:
        version = parse_version(args.release) if args.release else None
    except ValueError as error:
        raise Usage(f"{args.release!r} is not a version", advice="A version looks like 1.2.3.") from error
    return show_link(known_home(args.state), face, args.product, Channel(args.channel), version)


def _report(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import report

    with surroundings_of(args) as where:
        return report(where, face, output=args.output, transcript=args.transcript)


def _doctor(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.console import doctor

    with surroundings_of(args) as where:
        return doctor(where, face, fix=args.fix)
