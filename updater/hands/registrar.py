"""The registration hand: reads this computer's surroundings and writes what `registration` has worked out.

Everything is this user's own: HKEY_CURRENT_USER on Windows, the XDG folders on Linux. Only what is ours is
changed or removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from updater.heads import registration
from updater.heads.registration import DesktopEntry, Drive, Surroundings
from updater.words.errors import Refused, StorageFailed, Usage

TOOL_DEADLINE_S = 20


class Registrar(Protocol):
    """One system's way of knowing who opens a scheme's links."""

    def registered(self, scheme: str) -> str | None:
        """The program that a registration of ours starts. Raises `Refused` where another's stands."""

    def register(self, scheme: str, title: str, program: str, *, terminal: bool) -> tuple[str, ...]:
        """Write it; returns where, for people. Raises `Refused`, `StorageFailed` or `Usage`."""

    def unregister(self, scheme: str) -> bool:
        """Remove what is ours; False where there was nothing. Raises `StorageFailed`."""


class Registry(Protocol):
    """The part of HKEY_CURRENT_USER that a registration needs; names without case, strings only."""

    def value(self, key: str, name: str) -> str | None: ...
    def write(self, key: str, name: str, value: str) -> None: ...
    def remove_value(self, key: str, name: str) -> None: ...
    def remove_key_if_empty(self, key: str) -> None: ...


class WindowsRegistrar:
    """Keys below HKEY_CURRENT_USER\\Software\\Classes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def registered(self, scheme: str) -> str | None:
        command = self._command(scheme)
        if command is None:
            return None
        program = registration.program_in(command)
        if program is None:
            raise _belongs_to_another(scheme, command)
        return program

    def register(self, scheme: str, title: str, program: str, *, terminal: bool) -> tuple[str, ...]:
        del terminal  # Windows opens one for every program that needs it
        values = registration.windows_values(scheme, title, program)
        self.registered(scheme)
        try:
            for one in values:
                self._registry.write(one.key, one.name, one.value)
        except OSError as error:
            raise _cannot("write the registry", error) from error
        return (rf"HKEY_CURRENT_USER\{registration.windows_key(scheme)}",)

    def unregister(self, scheme: str) -> bool:
        program = self.registered(scheme)
        if program is None:
            return False
        try:
            for one in registration.windows_values(scheme, "", program):
                self._registry.remove_value(one.key, one.name)
            for key in registration.windows_keys(scheme):
                self._registry.remove_key_if_empty(key)
        except OSError as error:
            raise _cannot("change the registry", error) from error
        return True

    def _command(self, scheme: str) -> str | None:
        try:
            return self._registry.value(rf"{registration.windows_key(scheme)}\shell\open\command", "")
        except OSError as error:
            raise _cannot("read the registry", error) from error


class LinuxRegistrar:
    """A desktop entry in the user's data folder, made the default by xdg-mime."""

    def __init__(self) -> None:
        self._data = _folder("XDG_DATA_HOME", ".local/share") / "applications"
        self._config = _folder("XDG_CONFIG_HOME", ".config")

    def registered(self, scheme: str) -> str | None:
        text = self._ours(scheme)
        return registration.program_in_entry(text) if text is not None else None

    def register(self, scheme: str, title: str, program: str, *, terminal: bool) -> tuple[str, ...]:
        entry = registration.desktop_entry(scheme, title, program, terminal=terminal)
        if shutil.which("xdg-mime") is None:
            raise Usage(
                "the program xdg-mime, which links are registered with, is not installed",
                advice="Install the package xdg-utils, and run the command again.",
            )
        self._ours(scheme)
        self._refuse_anothers(entry, scheme)
        path = self._data / entry.name
        _write(path, entry.text)
        _run("xdg-mime", "default", entry.name, entry.mime)
        self._refresh()
        if _run("xdg-mime", "query", "default", entry.mime).strip() != entry.name:
            self.unregister(scheme)
            raise StorageFailed(
                "this desktop did not take the registration",
                advice="Nothing was registered. Paste the update link into the updater instead.",
            )
        return (str(path),)

    def unregister(self, scheme: str) -> bool:
        if self._ours(scheme) is None:
            return False
        name = registration.entry_name(scheme)
        try:
            # lists that desktops of this and of earlier specifications keep
            for listed in (*self._config.glob("*mimeapps.list"), *self._data.glob("*mimeapps.list")):
                text = listed.read_text(encoding="utf-8")
                if (without := registration.without_entry(text, name)) != text:
                    _write(listed, without)
            (self._data / name).unlink()
        except (OSError, UnicodeDecodeError) as error:
            raise _cannot("remove the registration", error) from error
        self._refresh()
        return True

    def _ours(self, scheme: str) -> str | None:
        """The text of our desktop entry. Raises `Refused` where the file is not ours."""
        path = self._data / registration.entry_name(scheme)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _cannot(f"read {path}", error) from error
        if not registration.is_our_entry(text, scheme):
            raise _belongs_to_another(scheme, str(path))
        return text

    def _refuse_anothers(self, entry: DesktopEntry, scheme: str) -> None:
        """`xdg-mime default` would put ours in its place without a word."""
        now = _run("xdg-mime", "query", "default", entry.mime).strip()
        if now not in ("", entry.name):
            raise _belongs_to_another(scheme, now)

    def _refresh(self) -> None:
        """Desktops that keep a cache of who opens what read it again; not all have one."""
        if self._data.is_dir() and shutil.which("update-desktop-database"):
            with suppress(StorageFailed):
                _run("update-desktop-database", str(self._data))


def this_registrar() -> Registrar:
    """The one for this system. Raises `Usage` where there is none."""
    if sys.platform == "win32":
        from updater.hands.winaccount import CurrentUser

        return WindowsRegistrar(CurrentUser())
    if sys.platform == "linux":
        return LinuxRegistrar()
    raise Usage(
        "links cannot be registered on this system",
        advice="Paste the update link into the updater: updater install LINK.",
    )


def surroundings(program: Path) -> Surroundings:
    """Where this program lies, as far as the system says."""
    from platformdirs import user_downloads_dir

    home = Path.home()
    temporary = [tempfile.gettempdir(), *(os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP"))]
    if sys.platform != "win32":
        temporary += ["/tmp", "/var/tmp", "/dev/shm", str(home / ".cache")]  # noqa: S108 - to keep out of
    return Surroundings(
        windows=sys.platform == "win32",
        drive=_drive(program),
        temporary=_resolved(temporary),
        downloads=_resolved([user_downloads_dir(), str(home / "Downloads")]),
    )


def stable_folder(vendor: str, scheme: str) -> Path:
    """Where a program may stay that was started from elsewhere: this user's own, no administrator needed."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(local, "Programs", registration.folder_name(vendor, scheme))
    return _folder("XDG_DATA_HOME", ".local/share") / scheme


def copy_program(program: Path, place: Path) -> None:
    """Copy a program, whole or not at all, as one that this user can start. Raises `StorageFailed`."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file, program.open("rb") as source:
                shutil.copyfileobj(source, file)
            os.chmod(temporary, 0o755)  # noqa: S103 - a program like those in /usr/bin
            os.replace(temporary, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise _cannot(f"copy the program to {place}", error) from error


def remove_copy(place: Path, running: Path) -> bool:
    """Delete the copy that `copy_program` made, and its folder if empty; False where that cannot be done."""
    if place == running and sys.platform == "win32":  # which does not delete a program that runs
        return False
    try:
        place.unlink()
    except OSError:
        return False
    with suppress(OSError):
        place.parent.rmdir()
    return True


def _resolved(folders: Sequence[str]) -> tuple[str, ...]:
    """Absolute, without links and short names, and never a whole drive."""
    paths = [Path(one).resolve() for one in folders if one]
    return tuple(str(one) for one in paths if one != Path(one.anchor))


def _folder(variable: str, otherwise: str) -> Path:
    """An XDG folder; one that is not absolute does not count (XDG Base Directory Specification)."""
    named = os.environ.get(variable, "")
    return Path(named) if named.startswith("/") else Path.home() / otherwise


def _drive(program: Path) -> Drive:
    if sys.platform == "win32":
        from updater.hands.winaccount import drive_kind

        return drive_kind(program)
    try:
        return registration.drive_of(str(program), Path("/proc/self/mounts").read_text(errors="replace"))
    except OSError:
        return Drive.FIXED


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot(f"write {path}", error) from error


def _run(*command: str) -> str:
    """A tool of the system's, in the environment that the person has and a built program has not."""
    environment = dict(os.environ)
    if getattr(sys, "frozen", False):  # PyInstaller puts its own libraries in front
        original = environment.pop("LD_LIBRARY_PATH_ORIG", None)
        environment.pop("LD_LIBRARY_PATH", None)
        if original is not None:
            environment["LD_LIBRARY_PATH"] = original
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, and a scheme that vendor.toml's rule has passed
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_DEADLINE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StorageFailed(f"{command[0]} failed: {error}") from error
    return done.stdout


def _belongs_to_another(scheme: str, who: str) -> Refused:
    return Refused(
        f"links that begin with {scheme}:// are opened by another program: {who}",
        advice="It was left as it is. Remove that program first if you want this updater to open them.",
    )


def _cannot(what: str, error: Exception) -> StorageFailed:
    return StorageFailed(f"cannot {what}: {getattr(error, 'strerror', None) or error}")
