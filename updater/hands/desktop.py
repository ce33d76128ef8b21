"""The person's desktop: language, colours, movement, and keeping the computer awake. Nothing here may fail.

A desktop that does not answer is a light one with movement, in English, that may fall asleep.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

ANSWERS_WITHIN_S = 0.5
PLAIN = "UPDATER_PLAIN"
_ES_CONTINUOUS, _ES_SYSTEM_REQUIRED = 0x8000_0000, 0x0000_0001
"""SetThreadExecutionState: winbase.h."""
_SPI_GETCLIENTAREAANIMATION = 0x1042
"""SystemParametersInfo: winuser.h."""
_PER_MONITOR_AWARE = 2
"""PROCESS_PER_MONITOR_DPI_AWARE: shellscalingapi.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """How this person wants windows to look. `scale`: on top of what the screen says of itself."""

    dark: bool = False
    plain: bool = False
    scale: float = 1.0


def taste() -> Taste:
    """What the desktop says; UPDATER_PLAIN=1 asks for no movement whatever it says."""
    plain = os.environ.get(PLAIN, "") not in ("", "0")
    if sys.platform == "win32":
        return Taste(dark=_windows_is_dark(), plain=plain or _windows_is_still())
    if sys.platform == "darwin":
        return Taste(dark=_ask("defaults", "read", "-g", "AppleInterfaceStyle") == "Dark", plain=plain)
    return Taste(dark=_linux_is_dark(), plain=plain or _linux_is_still(), scale=_linux_scale())


def languages() -> tuple[str, ...]:
    """What the person reads, best first: LANGUAGE, LC_ALL, LC_MESSAGES, LANG; else what Windows says."""
    named = [os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]
    found = tuple(part for name in named for part in name.split(":") if part)
    if sys.platform == "win32" and not found:
        import ctypes
        import locale

        with suppress(OSError, AttributeError):
            number = ctypes.windll.kernel32.GetUserDefaultUILanguage()
            return (locale.windows_locale.get(number, "en"),)
    return found


def be_sharp() -> None:
    """Tell Windows that this program draws in real pixels. To be called before the first window."""
    if sys.platform == "win32":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.windll.shcore.SetProcessDpiAwareness(_PER_MONITOR_AWARE)


@contextmanager
def kept_awake() -> Iterator[None]:
    """The computer does not fall asleep by itself in here, where it can be asked for that.

    A Ctrl-C while this ends is late: the work is done, and what came of it must not be lost by it.
    """
    if sys.platform == "win32":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.windll.kernel32.SetThreadExecutionState(_ES_CONTINUOUS | _ES_SYSTEM_REQUIRED)
        try:
            yield
        finally:
            with suppress(OSError, AttributeError, KeyboardInterrupt):
                ctypes.windll.kernel32.SetThreadExecutionState(_ES_CONTINUOUS)
        return
    child = _inhibitor()
    try:
        yield
    finally:
        if child is not None:
            with suppress(OSError, subprocess.TimeoutExpired, KeyboardInterrupt):
                child.terminate()
                child.wait(1)


def _inhibitor() -> subprocess.Popen[bytes] | None:
    """A child that keeps the computer awake as long as it lives, and ends when this program is gone.

    `systemd-inhibit` holds its lock while its command runs; `cat` runs until our end of the pipe closes.
    In a process group of its own it does not see the terminal's Ctrl-C, after which the work may go on.
    """
    if sys.platform == "darwin":
        command = ["caffeinate", "-i", "-w", str(os.getpid())]
    else:
        command = [
            *("systemd-inhibit", "--what=sleep:idle", "--mode=block", "--who=Updater"),
            *("--why=A device is being updated", "cat"),
        ]
    if shutil.which(command[0]) is None:
        return None
    try:
        return subprocess.Popen(  # noqa: S603 - words of our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except OSError:
        return None


def _ask(*command: str) -> str:
    """What a program of the desktop answers; empty where it is not there or takes too long."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        ran = subprocess.run(  # noqa: S603 - words of our own
            command, capture_output=True, text=True, timeout=ANSWERS_WITHIN_S, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return ran.stdout.strip().strip("'")


def _linux_is_dark() -> bool:
    if os.environ.get("GTK_THEME", "").endswith(":dark"):
        return True
    return _gnome("color-scheme") == "prefer-dark" or _gnome("gtk-theme").lower().endswith("-dark")


def _linux_is_still() -> bool:
    return _gnome("enable-animations") == "false"


def _gnome(key: str) -> str:
    """A setting that GNOME and its relatives share; asked only where such a desktop runs."""
    if not os.environ.get("XDG_CURRENT_DESKTOP"):
        return ""
    return _ask("gsettings", "get", "org.gnome.desktop.interface", key)


def _linux_scale() -> float:
    """X itself knows the screen's dots; GDK_SCALE says it where the desktop enlarges by a whole number."""
    text = os.environ.get("GDK_SCALE", "")
    return float(text) if text in ("1", "2", "3", "4") else 1.0


def _windows_is_dark() -> bool:
    if sys.platform == "win32":
        import winreg

        path = r"Software\Microsoft\Windows\CurrentVersion\Themes\Personalize"
        with suppress(OSError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
            return bool(winreg.QueryValueEx(key, "AppsUseLightTheme")[0] == 0)
    return False


def _windows_is_still() -> bool:
    if sys.platform == "win32":
        import ctypes

        moves = ctypes.c_int(1)
        with suppress(OSError, AttributeError):
            ctypes.windll.user32.SystemParametersInfoW(_SPI_GETCLIENTAREAANIMATION, 0, ctypes.byref(moves), 0)
        return not moves.value
    return False
