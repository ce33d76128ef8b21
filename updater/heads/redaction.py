"""What must not leave a person's computer, taken out of a text. Pure: the names are given.

Taken out: the names of the account and of its person, of the computer and its domain; the folders of every
file, of which only its own name stays (~ for those in a home folder, anybody's); e-mail, network and
hardware addresses; user names and passwords in web addresses. In the spellings in which they occur: as they
are, in JSON and TOML strings, in file addresses, percent-encoded, in capitals. What stays is what support
needs: a device's serial number and port, versions, sizes, times, and the system's own folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

_SEPARATOR = r"(?:\\{1,16}u005[cC]|\\{1,16}|/|%5[cC]|%2[fF])"
"""Between the parts of a path: in TOML, in Windows and as JSON doubles that, elsewhere, in an address."""
_PART = r"(?:(?!%5[cC]|%2[fF])[^\\/\s\"'<>|:*?,;()\[\]{}`])+"
_HOMES = re.compile(
    rf"(?:[A-Za-z](?::|%3[aA]))?{_SEPARATOR}(?:home|users|documents and settings|run{_SEPARATOR}media|media)"
    rf"{_SEPARATOR}(?!<){_PART}",
    re.IGNORECASE,
)
_IN_HOME = re.compile(rf"~{_SEPARATOR}(?:{_PART}(?: {_PART})*{_SEPARATOR})+(?={_PART})")
_DRIVE = re.compile(rf"\b[A-Za-z](?::|%3[aA]){_SEPARATOR}(?:{_PART}(?: {_PART})*{_SEPARATOR})*(?={_PART})")
_SHARE = re.compile(
    rf"(?<![\\/:\w])(?:\\{{2,16}}|//)(?![./?\\]){_PART}{_SEPARATOR}(?:{_PART}{_SEPARATOR})*(?={_PART})"
)
_ROOTED = re.compile(
    rf"(?<![\w.~/:<>@%+-])/(?!/|0x|dev/|sys/|proc/|etc/|usr/|lib/)(?:{_PART}(?: {_PART})*/)+(?={_PART})"
)
_WINDOWS_OWN = re.compile(
    rf"[A-Za-z]:{_SEPARATOR}(?:windows|program files(?: \(x86\))?){_SEPARATOR}", re.IGNORECASE
)
_LOGIN = re.compile(r"(?<=://)[^\s/@\"']+@")
_MAIL = re.compile(r"[\w.+%-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_HARDWARE = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
_IPV4 = re.compile(
    r"(?<![\w.])(?!127\.0\.0\.1\b)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
)
_IPV6 = re.compile(
    r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){3,7}(?::?[0-9A-Fa-f]{1,4})+(?![\w:])|(?<![\w:])fe80::[0-9A-Fa-f:]+"
)
_SHORTEST_NAME = 3
"""A shorter name would be taken out of the middle of everything; paths and addresses are cut without it."""


class Redactor:
    """Takes the given names and everything named above out of texts.

    `people`: the account's and the person's names; `computers`: those of the computer and its domain;
    `homes`: home folders; `keep`: words of the vendor's and the program's own that are left alone.
    """

    def __init__(
        self,
        *,
        people: Iterable[str] = (),
        computers: Iterable[str] = (),
        homes: Iterable[str] = (),
        keep: Iterable[str] = (),
    ) -> None:
        kept = {word.lower() for word in keep}
        self._homes = [_path_pattern(home) for home in sorted(set(homes), key=len, reverse=True) if home]
        self._names = [
            (_name_pattern(name), mark)
            for names, mark in ((computers, "<computer>"), (people, "<user>"))
            for name in sorted(set(names), key=len, reverse=True)
            if len(name) >= _SHORTEST_NAME and name.lower() not in kept
        ]

    def clean(self, text: str) -> str:
        """The text without them."""
        for home in self._homes:
            text = home.sub("~", text)
        text = _LOGIN.sub("", text)
        text = _MAIL.sub("<e-mail>", text)
        text = _IN_HOME.sub("~/", _HOMES.sub("~", text))
        text = _SHARE.sub("<folder>/", text)
        text = _DRIVE.sub(lambda found: found[0] if _WINDOWS_OWN.match(found[0]) else "<folder>/", text)
        text = _ROOTED.sub("<folder>/", text)
        for pattern, mark in self._names:
            text = pattern.sub(mark, text)
        for address in (_HARDWARE, _IPV6, _IPV4):
            text = address.sub("<address>", text)
        return text


def _path_pattern(path: str) -> re.Pattern[str]:
    """This folder in every spelling; what follows must not go on with its last part's name."""
    parts = [part for part in re.split(r"[\\/]+", path) if part]
    start = "" if re.match(r"[A-Za-z]:", path) else _SEPARATOR
    joined = _SEPARATOR.join(_spelled(part) for part in parts)
    return re.compile(rf"{start}{joined}(?![\w-]|\.\w)", re.IGNORECASE) if parts else re.compile(r"(?!)")


def _name_pattern(name: str) -> re.Pattern[str]:
    """This name as a whole word, also glued to others by _ and -, and in Windows' short form (ADALOV~1)."""
    short = re.sub(r"[^A-Za-z0-9]", "", name)[:6]
    also = rf"|{re.escape(short)}~[0-9]" if len(short) >= _SHORTEST_NAME else ""
    return re.compile(rf"(?<![^\W_])(?:{_spelled(name)}{also})(?![^\W_])", re.IGNORECASE)


def _spelled(text: str) -> str:
    """A pattern for a text as it is, percent-encoded, and as JSON writes what is not ASCII."""
    as_json = "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in text)
    ways = {text, quote(text), quote(text, safe=" "), as_json, text.replace(" ", "+")}
    return "(?:" + "|".join(re.escape(way) for way in sorted(ways, key=len, reverse=True)) + ")"
