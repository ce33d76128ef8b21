"""What a person hands to the program: something dropped on it, pasted, typed, or the program's own name.

Only the kind of a text is decided here. What it selects is for `links` to read, and what two readings fit is
asked, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from updater.heads.links import Link, is_code, parse_code
from updater.words.errors import Usage

BUNDLE_SUFFIX = ".fwb"
SHORTCUT_SUFFIXES = (".url", ".desktop")
SHORTCUT_LIMIT_BYTES = 4096
_SHORTCUT_SECTIONS = ("[InternetShortcut]", "[Desktop Entry]")

_DEVICE_PATHS = ("\\\\.\\", "\\\\?\\", "//./", "//?/")
# A browser or a file manager adds to the name of a second copy: " (1)", "(2)", " - Copy", " - Kopie (3)".
_CODE_IN_NAME = re.compile(r"(?P<code>[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*)(?:[ (].*)?", re.ASCII)
# Groups of four, the last one perhaps shorter, beginning with a digit: not "x64", "win64", "v1" or "setup".
_MEANT_AS_CODE = re.compile(
    r"[0-9][0-9A-TV-Z]{3}(-[0-9A-TV-Z]{4})*(-[0-9A-TV-Z]{1,4})?", re.ASCII | re.IGNORECASE
)
_PAIRS = {"<": ">", '"': '"', "'": "'", "“": "”", "„": "“", "«": "»"}


def is_handed(argument: str, *, windows: bool) -> bool:
    """Whether a program's only argument is a thing to install: a link, a page, a file or a short code.

    Nothing that begins like an option ever is, and on Windows "/" begins one. No command is a short code.
    """
    if argument.startswith(("-", *_DEVICE_PATHS)) or (windows and argument.startswith("/")):
        return False
    return "://" in argument or is_bundle(argument) or is_shortcut(argument) or is_code(argument)


def is_bundle(name: str) -> bool:
    """Whether a file of this name is meant to be a bundle."""
    return name.lower().endswith(BUNDLE_SUFFIX)


def is_shortcut(name: str) -> bool:
    """Whether a file of this name is a web link that was saved: .url on Windows, .desktop on Linux."""
    return name.lower().endswith(SHORTCUT_SUFFIXES)


def tidy(text: str) -> str:
    """A pasted text without the blanks and the one pair of quotation marks that mail programs put around."""
    text = text.strip()
    if len(text) > 1 and _PAIRS.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def link_in_shortcut(data: bytes) -> str:
    """The address in a saved web link; nothing opens it. Raises `Usage` where there is not exactly one."""
    if len(data) > SHORTCUT_LIMIT_BYTES:
        raise _no_link_in_shortcut()
    section, found = "", []
    for line in data.decode("utf-8", "replace").lstrip("\ufeff").splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section in _SHORTCUT_SECTIONS and line.startswith("URL="):
            found.append(line.removeprefix("URL=").strip())
    if len(found) != 1:
        raise _no_link_in_shortcut()
    return found[0]


def what_from_filename(name: str, products: Mapping[int, str]) -> Link | None:
    """What the program's own file name selects: `Updater_CODE.exe`, also as `updater_code (1).exe`.

    `products` are the vendor's product ids by number. None where the name holds no code. Raises `Usage`,
    which is the question, where a part of the name seems to be a code and is none, or where two differ.
    """
    stem = name[:-4] if name.lower().endswith(".exe") else name
    links: list[Link] = []
    for part in stem.split("_")[1:]:
        said = _CODE_IN_NAME.fullmatch(part)
        if said is not None and is_code(said["code"]):
            links.append(parse_code(said["code"], products))
        elif _MEANT_AS_CODE.fullmatch(said["code"] if said else part):
            raise _unclear_name(name)
    if any(link != links[0] for link in links):
        raise _unclear_name(name)
    return links[0] if links else None


def _no_link_in_shortcut() -> Usage:
    return Usage(
        "there is no single web address in this file",
        advice="Copy the update link from the message in which you received it, and paste it.",
    )


def _unclear_name(name: str) -> Usage:
    return Usage(
        f"this program is called {name[:80]!r}, and it is not clear which update that means",
        advice="Type the short code from the message in which you received it: updater install CODE.",
    )
