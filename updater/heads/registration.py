"""Registering update links with the system, as values: what would be written, where, and by which programs.

Nothing here reads or writes. `registrar` gathers the surroundings and carries a plan out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from updater.words.errors import Usage

LINK_OPTION = "--link"

_OUR_COMMAND = re.compile(rf'"(?P<program>[^"]+)" {LINK_OPTION} "%1"')
# xdg-open splits Exec at blanks and knows neither quotation marks nor backslashes (xdg-utils 1.1.3), so only
# a path without anything that one of the readers could take apart is ever written there.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+@-]+", re.ASCII)
_NETWORK_FILE_SYSTEMS = frozenset(
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "davfs", "fuse.davfs2"]
)
_FLEETING_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "iso9660", "udf"})
_REMOVABLE_MOUNTS = ("/media", "/run/media")


class Drive(StrEnum):
    """What kind of drive a folder is on, as far as the system says."""

    FIXED = "fixed"
    REMOVABLE = "removable"
    NETWORK = "network"
    FLEETING = "fleeting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a program lies: the folders that a stable place is not in, and the kind of drive."""

    windows: bool
    drive: Drive
    temporary: tuple[str, ...] = ()
    downloads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """One string value below HKEY_CURRENT_USER; the name "" is the key's default value."""

    key: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DesktopEntry:
    """One file in the applications folder of the user's data, and the type that it is the default for."""

    name: str
    text: str
    mime: str


def why_not_here(program: str, around: Surroundings) -> str | None:
    """Why links cannot be registered for a program at this path, in words; None where they can."""
    if around.drive is Drive.NETWORK or (around.windows and program.startswith(("\\\\", "//"))):
        return "it is on a network drive"
    if around.drive is Drive.REMOVABLE:
        return "it is on a drive that can be taken out"
    if around.drive is Drive.FLEETING or any(_is_inside(program, one, around) for one in around.temporary):
        return "it is in a folder for temporary files"
    if any(_is_inside(program, one, around) for one in around.downloads):
        return "it is in the folder for downloads, where it is easily deleted"
    if not can_be_written(program, windows=around.windows):
        return "there are characters in its path that other programs read as something else"
    return None


def can_be_written(program: str, *, windows: bool) -> bool:
    """Whether the system starts exactly this path when it stands in a registration.

    Windows replaces "%1" and the like anywhere in the command, in the path as well.
    """
    if windows:
        return not re.search(r'[%"\x00-\x1f]', program)
    return _PLAIN_PATH.fullmatch(program) is not None


def windows_values(scheme: str, title: str, program: str) -> tuple[RegistryValue, ...]:
    """What registers SCHEME:// on Windows for this user, in the order of writing: the command comes last.

    Source: Microsoft, "Registering an Application to a URI Scheme". Raises `Usage`.
    """
    if not can_be_written(program, windows=True):
        raise Usage(f"links cannot be registered for {program!r}: the path has % or quotation marks")
    key = windows_key(scheme)
    return (
        RegistryValue(key, "", f"URL:{title}"),
        RegistryValue(key, "URL Protocol", ""),
        RegistryValue(rf"{key}\DefaultIcon", "", f'"{program}",0'),
        RegistryValue(rf"{key}\shell\open\command", "", f'"{program}" {LINK_OPTION} "%1"'),
    )


def windows_key(scheme: str) -> str:
    """The key of a link scheme below HKEY_CURRENT_USER."""
    return rf"Software\Classes\{scheme}"


def windows_keys(scheme: str) -> tuple[str, ...]:
    """The keys that a registration may have made, innermost first; each goes if nothing is left in it."""
    key = windows_key(scheme)
    return (
        *(rf"{key}\shell\open\command", rf"{key}\shell\open", rf"{key}\shell"),
        *(rf"{key}\DefaultIcon", key),
    )


def program_in(command: str) -> str | None:
    """The program of a handler command of ours; None for any other command."""
    found = _OUR_COMMAND.fullmatch(command)
    return found["program"] if found else None


def desktop_entry(scheme: str, title: str, program: str, *, terminal: bool) -> DesktopEntry:
    """What registers SCHEME:// on Linux for this user.

    `terminal`: the program has no window of its own. Source: Desktop Entry Specification 1.5. Raises `Usage`.
    """
    if not can_be_written(program, windows=False):
        raise Usage(
            f"links cannot be registered for {program!r}: use a path of letters, digits and . _ - only"
        )
    lines = (
        "[Desktop Entry]",
        "Type=Application",
        f"Name={_one_line(title)}",
        f"Exec={program} {LINK_OPTION} %u",
        f"Terminal={'true' if terminal else 'false'}",
        "NoDisplay=true",
        f"MimeType={mime_of(scheme)};",
        _mark(scheme),
    )
    return DesktopEntry(entry_name(scheme), "\n".join(lines) + "\n", mime_of(scheme))


def entry_name(scheme: str) -> str:
    """The name of our file for this scheme."""
    return f"{scheme}-links.desktop"


def mime_of(scheme: str) -> str:
    """The type by which Linux desktops choose the program for a link."""
    return f"x-scheme-handler/{scheme}"


def is_our_entry(text: str, scheme: str) -> bool:
    """Whether a desktop entry was written by `desktop_entry` for this scheme."""
    return _mark(scheme) in text.splitlines()


def program_in_entry(text: str) -> str | None:
    """The program that a desktop entry of ours starts."""
    found = re.search(rf"^Exec=(\S+) {LINK_OPTION} %u$", text, re.MULTILINE)
    return found[1] if found else None


def without_entry(mimeapps: str, name: str) -> str:
    """A mimeapps.list that no longer names this desktop entry, and is otherwise as it was.

    Source: Association between MIME types and applications 1.0.1.
    """
    kept = []
    for line in mimeapps.splitlines(keepends=True):
        key, equals, value = line.partition("=")
        entries = value.strip().split(";")
        if not equals or name not in entries:
            kept.append(line)
        elif others := [one for one in entries if one not in (name, "")]:
            last = ";" if entries[-1] == "" else ""
            kept.append(f"{key}={';'.join(others)}{last}\n")
    return "".join(kept)


def drive_of(path: str, mounts: str) -> Drive:
    """The kind of drive of a path on Linux; `mounts` is /proc/self/mounts (proc(5), fstab(5)).

    What is not listed as anything else counts as fixed.
    """
    best, drive = "", Drive.FIXED
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
        if len(place) >= len(best) and _is_below(_parts(path), _parts(place)):
            best, drive = place, _kind_of_mount(place, fields[2])
    return drive


def stable_name(name: str) -> str:
    """What a copy is called: without the code or the " (1)" that a download has in its name."""
    stem, suffix = (name[:-4], ".exe") if name.lower().endswith(".exe") else (name, "")
    kept = re.match(r"[A-Za-z0-9][A-Za-z0-9.-]*", stem, re.ASCII)
    return f"{kept[0].rstrip('.-') if kept else 'Updater'}{suffix}"


def folder_name(vendor: str, scheme: str) -> str:
    """A folder called like the vendor; like the scheme where the name is not one for every file system."""
    name = " ".join(re.sub(r"[^A-Za-z0-9 ._-]", " ", vendor).split()).strip(" .")
    return name[:40].rstrip(" .") if re.match(r"[A-Za-z0-9]{2}", name) and not _is_reserved(name) else scheme


def _is_reserved(name: str) -> bool:
    """Names of devices on Windows, with any ending."""
    return re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name, re.IGNORECASE) is not None


def _mark(scheme: str) -> str:
    return f"X-Update-Links={scheme}"


def _one_line(text: str) -> str:
    """A value of type string: no control characters, and "\\" escaped."""
    return "".join(char if char.isprintable() else " " for char in text).replace("\\", "\\\\").strip()


def _kind_of_mount(place: str, file_system: str) -> Drive:
    if file_system in _NETWORK_FILE_SYSTEMS:
        return Drive.NETWORK
    if file_system in _FLEETING_FILE_SYSTEMS:
        return Drive.FLEETING
    if any(_is_below(_parts(place), _parts(folder)) for folder in _REMOVABLE_MOUNTS):
        return Drive.REMOVABLE
    return Drive.FIXED


def _is_inside(path: str, folder: str, around: Surroundings) -> bool:
    if around.windows:
        path, folder = path.replace("/", "\\").lower(), folder.replace("/", "\\").lower()
        return _is_below(tuple(filter(None, path.split("\\"))), tuple(filter(None, folder.split("\\"))))
    return _is_below(_parts(path), _parts(folder))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(filter(None, path.split("/")))


def _is_below(path: Iterable[str], folder: tuple[str, ...]) -> bool:
    return tuple(path)[: len(folder)] == folder
