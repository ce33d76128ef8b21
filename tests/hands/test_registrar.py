"""Registering links: real files and Debian's own tools on Linux, a registry in memory for Windows.

The stand-in for the program writes its arguments down; xdg-open and GLib are two independent readers of what
was registered.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.tools import need
from updater.hands import registrar
from updater.hands.registrar import LinuxRegistrar, WindowsRegistrar, copy_program, remove_copy, surroundings
from updater.heads.registration import RegistryValue, windows_values
from updater.words.errors import Refused, StorageFailed, Usage

SCHEME = "acme-fw"
LINK = "acme-fw://v1/demo-widget/stable/latest"


# -- Linux --------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home folder on a desktop that nobody has a special tool for."""
    need("xdg-mime", "xdg-open", "desktop-file-validate", "update-desktop-database", "gio")
    for name in [name for name in os.environ if name.startswith(("XDG_", "KDE_", "GNOME_", "DESKTOP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", "/usr/share")
    monkeypatch.setenv("BROWSER", "false")
    return tmp_path


@pytest.fixture
def program(home: Path) -> Path:
    """A program that writes down its arguments, each with a NUL behind it, whole or not at all."""
    path = home / "updater"
    path.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" >{home}/part && mv {home}/part {home}/arguments\n")
    path.chmod(0o755)
    return path


def started_with(home: Path) -> list[str]:
    """What the program was started with; waits for it, as gio does not."""
    arguments, end = home / "arguments", time.monotonic() + 10
    while not arguments.exists() and time.monotonic() < end:
        time.sleep(0.01)
    found = arguments.read_text("utf-8").split("\0")[:-1]
    arguments.unlink()
    return found


def files(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): path.read_text("utf-8")
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.name != "updater"
    }


def default_for(scheme: str) -> str:
    query = ["xdg-mime", "query", "default", f"x-scheme-handler/{scheme}"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


def test_a_registered_scheme_is_gone_without_a_trace_when_it_is_unregistered(
    home: Path, program: Path
) -> None:
    lists = home / ".config" / "mimeapps.list"
    lists.parent.mkdir()
    before = "[Default Applications]\nx-scheme-handler/other=other.desktop\n"
    lists.write_text(before)
    system = LinuxRegistrar()
    assert system.registered(SCHEME) is None
    entry = home / ".local/share/applications/acme-fw-links.desktop"
    assert system.register(SCHEME, "Acme update link", str(program), terminal=True) == (str(entry),)
    validated = subprocess.run(["desktop-file-validate", str(entry)], capture_output=True, text=True)
    assert (validated.returncode, validated.stdout) == (0, "")
    assert default_for(SCHEME) == "acme-fw-links.desktop"
    assert system.registered(SCHEME) == str(program)
    assert system.unregister(SCHEME)
    assert default_for(SCHEME) == ""
    assert system.registered(SCHEME) is None
    left = files(home)
    assert left.pop(".config/mimeapps.list") == before
    assert left.pop(".local/share/applications/mimeinfo.cache", "[MIME Cache]\n") == "[MIME Cache]\n"
    assert left == {}
    assert not system.unregister(SCHEME)


def test_registering_again_moves_it_to_the_new_place(home: Path, program: Path) -> None:
    system = LinuxRegistrar()
    system.register(SCHEME, "x", "/opt/old/updater", terminal=False)
    system.register(SCHEME, "x", str(program), terminal=False)
    assert system.registered(SCHEME) == str(program)
    assert len(list((home / ".local/share/applications").glob("*.desktop"))) == 1


HOSTILE = [
    LINK,
    LINK + '" --yes "',
    LINK + "' --yes; touch HACKED; '",
    LINK + " --yes $(touch HACKED) `touch HACKED` %u %f * \\",
]


@pytest.mark.parametrize("link", HOSTILE)
def test_xdg_open_gives_the_whole_link_as_one_argument(home: Path, program: Path, link: str) -> None:
    LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    subprocess.run(
        ["xdg-open", link],
        cwd=home,
        env={**os.environ, "DISPLAY": ":99"},  # never reached: it only asks whether there is one
        check=True,
        capture_output=True,
        timeout=30,
    )
    assert started_with(home) == ["--link", link]
    assert not list(home.rglob("HACKED"))


@pytest.mark.parametrize("link", HOSTILE)
def test_glib_gives_it_as_one_argument_too(home: Path, program: Path, link: str) -> None:
    """GLib may write some characters as %XX; what is no link is none then either."""
    LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    subprocess.run(["gio", "open", link], cwd=home, capture_output=True, timeout=30)
    option, got = started_with(home)
    assert option == "--link"
    assert got.startswith(LINK)
    assert (got == LINK) == (link == LINK)
    assert not list(home.rglob("HACKED"))


def test_what_another_program_opens_stays_its_own(home: Path, program: Path) -> None:
    applications = home / ".local/share/applications"
    applications.mkdir(parents=True)
    (applications / "theirs.desktop").write_text(
        f"[Desktop Entry]\nType=Application\nName=T\nExec=true %u\nMimeType=x-scheme-handler/{SCHEME};\n"
    )
    subprocess.run(["xdg-mime", "default", "theirs.desktop", f"x-scheme-handler/{SCHEME}"], check=True)
    before = files(home)
    with pytest.raises(Refused, match=r"theirs\.desktop"):
        LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    assert not LinuxRegistrar().unregister(SCHEME)
    assert files(home) == before


def test_a_file_with_our_name_that_is_not_ours_stays(home: Path, program: Path) -> None:
    entry = home / ".local/share/applications/acme-fw-links.desktop"
    entry.parent.mkdir(parents=True)
    entry.write_text("[Desktop Entry]\nType=Application\nName=T\nExec=true %u\n")
    for act in (
        lambda: LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False),
        lambda: LinuxRegistrar().unregister(SCHEME),
    ):
        with pytest.raises(Refused):
            act()
    assert "Exec=true" in entry.read_text()


def test_without_xdg_mime_the_person_learns_what_to_install(
    home: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(Usage) as error:
        LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    assert "xdg-utils" in error.value.advice
    assert files(home) == {}


def test_a_desktop_that_does_not_take_it_is_left_as_it_was(
    home: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = home / "xdg-mime"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StorageFailed, match="did not take"):
        LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    assert LinuxRegistrar().registered(SCHEME) is None


def test_folders_of_the_xdg_variables_are_used(
    home: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    LinuxRegistrar().register(SCHEME, "x", str(program), terminal=False)
    assert (home / "data/applications/acme-fw-links.desktop").is_file()
    assert "acme-fw-links.desktop" in (home / "config/mimeapps.list").read_text()
    assert LinuxRegistrar().unregister(SCHEME)
    assert "acme-fw" not in (home / "config/mimeapps.list").read_text()


# -- Windows ------------------------------------------------------------------------------------------


class Memory:
    """A registry: keys without case, and a key keeps its parents."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, str]] = {r"software\classes": {}}

    def value(self, key: str, name: str) -> str | None:
        return self.keys.get(key.lower(), {}).get(name)

    def write(self, key: str, name: str, value: str) -> None:
        parts = key.lower().split("\\")
        for end in range(1, len(parts) + 1):
            self.keys.setdefault("\\".join(parts[:end]), {})
        self.keys[key.lower()][name] = value

    def remove_value(self, key: str, name: str) -> None:
        self.keys.get(key.lower(), {}).pop(name, None)

    def remove_key_if_empty(self, key: str) -> None:
        key = key.lower()
        if self.keys.get(key) == {} and not [one for one in self.keys if one.startswith(f"{key}\\")]:
            del self.keys[key]


EXE = r"C:\Users\Ann Other\AppData\Local\Programs\Acme\Updater.exe"
KEY = r"Software\Classes\acme-fw"


def test_the_registry_is_as_before_after_registering_and_unregistering() -> None:
    memory = Memory()
    memory.write(r"Software\Classes\other", "", "URL:other")
    before = {key: dict(values) for key, values in memory.keys.items()}
    system = WindowsRegistrar(memory)
    system.register(SCHEME, "Acme update link", EXE, terminal=True)
    for one in windows_values(SCHEME, "Acme update link", EXE):
        assert memory.value(one.key, one.name) == one.value
    assert system.registered(SCHEME) == EXE
    assert system.unregister(SCHEME)
    assert memory.keys == before
    assert not system.unregister(SCHEME)


def test_what_others_have_put_beside_it_stays() -> None:
    memory = Memory()
    system = WindowsRegistrar(memory)
    system.register(SCHEME, "x", EXE, terminal=False)
    theirs = RegistryValue(rf"{KEY}\shell\print\command", "", "theirs")
    memory.write(theirs.key, theirs.name, theirs.value)
    assert system.unregister(SCHEME)
    assert memory.value(theirs.key, theirs.name) == "theirs"
    assert rf"{KEY}\shell\open".lower() not in memory.keys


@pytest.mark.parametrize("command", ['"C:\\other.exe" "%1"', f'"{EXE}" --link "%1" --yes', ""])
def test_another_programs_registration_is_neither_changed_nor_removed(command: str) -> None:
    memory = Memory()
    memory.write(rf"{KEY}\shell\open\command", "", command)
    before = {key: dict(values) for key, values in memory.keys.items()}
    system = WindowsRegistrar(memory)
    with pytest.raises(Refused):
        system.register(SCHEME, "x", EXE, terminal=False)
    with pytest.raises(Refused):
        system.unregister(SCHEME)
    assert memory.keys == before


# -- the program and its place ------------------------------------------------------------------------


def test_a_copy_is_whole_and_can_be_started_and_removed(tmp_path: Path) -> None:
    program, place = tmp_path / "Updater_0505 (1)", tmp_path / "stays" / "Updater"
    program.write_text("#!/bin/sh\necho copied\n")
    for _ in range(2):  # the second time over the first
        copy_program(program, place)
        assert subprocess.run([place], capture_output=True, text=True).stdout == "copied\n"
    assert [path.name for path in place.parent.iterdir()] == ["Updater"]
    assert remove_copy(place, program)
    assert not place.parent.exists()
    assert not remove_copy(place, program)


def test_a_copy_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        copy_program(tmp_path / "no-such-program", tmp_path / "stays" / "Updater")
    assert list((tmp_path / "stays").iterdir()) == []


def test_the_surroundings_are_those_of_this_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HOME", str(tmp_path))
    around = surroundings(tmp_path / "updater")
    assert not around.windows
    assert {"/tmp", "/var/tmp", str(tmp_path / "elsewhere")} <= set(around.temporary)
    assert str(tmp_path / "Downloads") in around.downloads
    assert "/" not in (*around.temporary, *around.downloads)


def test_a_relative_xdg_folder_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert registrar.stable_folder("Acme", SCHEME) == tmp_path / ".local/share/acme-fw"
