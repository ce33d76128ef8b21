"""Links on Windows: the real registry, the shell that starts the program, and handing over between processes.

    x86_64-w64-mingw32-gcc -municode -O2 -s -o arguments.exe .ci/windows/arguments.c
    python .ci/windows/links.py arguments.exe

For a Windows Python, also under Wine; run it in the project's folder. Wine 8 does not show its shell what is
registered for one user, so there, and only there, the same values are written for all users besides.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
import winreg
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from updater.doors.links.cli import outside_arguments
from updater.hands.instance import hand_over, listen
from updater.hands.registrar import WindowsRegistrar, copy_program, remove_copy, surroundings
from updater.hands.winaccount import CurrentUser, is_elevated
from updater.heads.links import Link, parse_link
from updater.heads.registration import why_not_here, windows_keys, windows_values
from updater.words.errors import Refused, Usage
from updater.words.facts import Channel

SCHEME = "links-test"
LINK = f"{SCHEME}://v1/demo-widget/stable/latest"
HOSTILE = [
    LINK + '" --yes "',
    LINK + " --yes",
    LINK + "%22%20--yes%20%22",
    LINK + "\\",
    LINK + '\\" --yes',
    LINK + '" --lab "C:\\',
    LINK + "?x=%1",
    LINK.upper(),
]
NEWEST = Link(product="demo-widget", channel=Channel.STABLE, version=None)


def on_wine() -> bool:
    return hasattr(ctypes.windll.ntdll, "wine_get_version")


def registry(program: Path) -> None:
    """Written exactly, found again, removed without a trace; another's command is left alone."""
    system, user = WindowsRegistrar(CurrentUser()), CurrentUser()
    assert system.registered(SCHEME) is None
    system.register(SCHEME, "Test", str(program), terminal=False)
    for one in windows_values(SCHEME, "Test", str(program)):
        assert user.value(one.key, one.name) == one.value, one
    assert system.registered(SCHEME) == str(program)
    assert system.unregister(SCHEME)
    assert system.registered(SCHEME) is None
    assert not system.unregister(SCHEME)
    for key in windows_keys(SCHEME):
        try:
            winreg.OpenKey(winreg.HKEY_CURRENT_USER, key).Close()
        except FileNotFoundError:
            continue
        raise AssertionError(f"{key} was left behind")
    command = windows_keys(SCHEME)[0]
    user.write(command, "", '"C:\\other.exe" "%1"')
    try:
        system.register(SCHEME, "Test", str(program), terminal=False)
    except Refused:
        pass
    else:
        raise AssertionError("another program's registration was overwritten")
    assert user.value(command, "") == '"C:\\other.exe" "%1"'
    user.remove_value(command, "")
    for key in windows_keys(SCHEME):
        user.remove_key_if_empty(key)
    print("registry: ok")


def started_with(program: Path, link: str) -> list[str] | None:
    """What the shell starts the program with; None where it does not start it at all."""
    written = program.with_name("arguments.txt")
    written.unlink(missing_ok=True)
    try:
        os.startfile(link)  # noqa: S606 - the thing that is tried
    except OSError:
        return None
    end = time.monotonic() + 10
    while not written.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return written.read_text("utf-8-sig").splitlines() if written.exists() else None


def shell(program: Path) -> None:
    """The good link arrives whole. Whatever a hostile one becomes, it is refused before options are read."""
    WindowsRegistrar(CurrentUser()).register(SCHEME, "Test", str(program), terminal=False)
    if on_wine():
        for one in windows_values(SCHEME, "Test", str(program)):
            with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, one.key) as key:
                winreg.SetValueEx(key, one.name, 0, winreg.REG_SZ, one.value)
    try:
        assert started_with(program, LINK) == ["--link", LINK]
        assert parse_link(LINK, SCHEME) == NEWEST
        for link in HOSTILE:
            arguments = started_with(program, link)
            print(f"  {link!r} -> {arguments}")
            if arguments is None:
                continue
            assert arguments[0] == "--link", arguments
            try:
                outside_arguments(arguments, hands=None)  # type: ignore[arg-type] # refused before any hands are needed
            except Usage:
                continue
            raise AssertionError(f"{arguments} was taken")
    finally:
        WindowsRegistrar(CurrentUser()).unregister(SCHEME)
        if on_wine():
            for name in windows_keys(SCHEME):
                winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, name)
    print("shell: ok")


LISTENER = """
import sys, time
from pathlib import Path
from updater.hands.instance import listen
with listen(Path(sys.argv[1]), lambda link: print(link.tokens, flush=True)) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def handing_over(folder: Path) -> None:
    """Between two processes, by a port and a secret; a listener that was ended leaves nothing in the way."""
    with subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-c", LISTENER, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        assert hand_over(folder, NEWEST)
        assert process.stdout.readline().strip() == NEWEST.tokens
        with listen(folder, lambda _link: None) as mine:
            assert not mine
        process.kill()
    assert not hand_over(folder, NEWEST)
    taken: list[Link] = []
    with listen(folder, taken.append) as mine:
        assert mine
        assert hand_over(folder, NEWEST)
    assert taken == [NEWEST]
    print("handing over: ok")


def places(program: Path, folder: Path) -> None:
    """Temporary folders are recognised however they are written; a copy can be started."""
    inside = Path(tempfile.gettempdir(), "x", "Updater.exe")
    assert "temporary" in str(why_not_here(str(inside).upper(), surroundings(inside)))
    stable = Path("C:\\Programs\\Acme\\Updater.exe")
    assert why_not_here(str(stable), surroundings(stable)) is None
    copy = folder / "stays" / "Updater.exe"
    copy_program(program, copy)
    subprocess.run([copy, "--link"], stdin=subprocess.PIPE, check=True)  # noqa: S603 - the stand-in
    assert copy.with_name("arguments.txt").read_text("utf-8-sig") == "--link\n"
    copy.with_name("arguments.txt").unlink()
    assert remove_copy(copy, program)
    assert not copy.parent.exists()
    print(f"places: ok (raised: {is_elevated()})")


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="links "))  # with a blank in its name, as people's have
    try:
        program = folder / "Updater.exe"
        shutil.copyfile(sys.argv[1], program)
        registry(program)
        shell(program)
        handing_over(folder / "state")
        places(program, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
