"""What several commands of `bundles` share: whose key signs, what is asked, what time it is."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import Signer

from updater.heads.vendor import Vendor, parse_vendor
from updater.words.errors import Cancelled, Usage

from . import keys
from .files import read_file

Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers answers


def signer_of(chosen: argparse.Namespace) -> Signer:
    """The key that --key names: a private file, or the public file of a key that lies elsewhere."""
    return keys.open_signer(chosen.key, lambda: keys.passphrase(chosen.passphrase_file))


def vendor_in(folder: Path) -> Vendor:
    """The vendor folder's description. Raises Usage."""
    try:
        text = read_file(folder / "vendor.toml").decode()
    except UnicodeDecodeError as error:
        raise Usage(f"{folder / 'vendor.toml'} is not UTF-8 text", advice="Save it as UTF-8.") from error
    return parse_vendor(text, allow_loopback_http=True)


def ask(question: str, chosen: argparse.Namespace) -> None:
    """Ask before something is signed. Raises Cancelled for anything but yes."""
    if chosen.yes:
        return
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # the input has ended: what comes next begins its own line
        print(file=sys.stderr)
    if answer.strip().lower() not in ("y", "yes"):
        raise Cancelled("not signed", advice="Nothing was changed.")


def now() -> datetime:
    """This computer's time, UTC."""
    return datetime.now(UTC)


def add_key(parser: argparse.ArgumentParser, *, yes: bool = False) -> None:
    """--key and its passphrase, and where something is shown before it is signed, --yes."""
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="FILE.pem",
        help="the private key, or the .pub.pem of one on a token or in a key service",
    )
    add_passphrase(parser)
    if yes:
        parser.add_argument("--yes", action="store_true", help="do not ask")


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Where the passphrase or PIN comes from."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"its first line is the passphrase or PIN; without it {keys.PASSPHRASE_VARIABLE} is, "
        "or you are asked",
    )
