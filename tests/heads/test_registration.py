"""What would be written to register links, as a value; the expected texts are typed from the sources."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.registration import (
    Drive,
    RegistryValue,
    Surroundings,
    can_be_written,
    desktop_entry,
    drive_of,
    folder_name,
    is_our_entry,
    program_in,
    program_in_entry,
    stable_name,
    why_not_here,
    windows_keys,
    windows_values,
    without_entry,
)
from updater.words.errors import Usage

EXE = r"C:\Users\Ann Other\AppData\Local\Programs\Acme\Updater.exe"
PROGRAM = "/home/ann/.local/share/acme-fw/updater"

WINDOWS = Surroundings(
    windows=True,
    drive=Drive.FIXED,
    temporary=(r"C:\Users\Ann\AppData\Local\Temp", r"C:\Windows\Temp"),
    downloads=(r"C:\Users\Ann\Downloads",),
)
LINUX = Surroundings(
    windows=False, drive=Drive.FIXED, temporary=("/tmp", "/var/tmp"), downloads=("/home/ann/Downloads",)
)


# -- Windows ------------------------------------------------------------------------------------------


def test_on_windows_exactly_these_values_are_written_and_the_command_last() -> None:
    """Microsoft, "Registering an Application to a URI Scheme"; "%1" in quotation marks."""
    assert windows_values("acme-fw", "Acme update link", EXE) == (
        RegistryValue(r"Software\Classes\acme-fw", "", "URL:Acme update link"),
        RegistryValue(r"Software\Classes\acme-fw", "URL Protocol", ""),
        RegistryValue(
            r"Software\Classes\acme-fw\DefaultIcon",
            "",
            r'"C:\Users\Ann Other\AppData\Local\Programs\Acme\Updater.exe",0',
        ),
        RegistryValue(
            r"Software\Classes\acme-fw\shell\open\command",
            "",
            r'"C:\Users\Ann Other\AppData\Local\Programs\Acme\Updater.exe" --link "%1"',
        ),
    )


def test_every_key_that_is_written_is_looked_at_again_when_it_is_removed() -> None:
    keys = windows_keys("acme-fw")
    assert {one.key for one in windows_values("acme-fw", "x", EXE)} <= set(keys)
    assert keys[-1] == r"Software\Classes\acme-fw"
    for at, key in enumerate(keys):
        assert not [later for later in keys[at + 1 :] if later.startswith(key)], "an inner key comes later"


@pytest.mark.parametrize("path", [r"C:\100%1\Updater.exe", 'C:\\x" --yes "\\Updater.exe', "C:\\x\n\\U.exe"])
def test_a_path_that_windows_would_change_is_not_written(path: str) -> None:
    with pytest.raises(Usage):
        windows_values("acme-fw", "x", path)
    assert why_not_here(path, WINDOWS) is not None


@pytest.mark.parametrize(
    "command",
    [
        "",
        EXE,
        f'"{EXE}" "%1"',
        f'"{EXE}" --link %1',
        f'"{EXE}" --link "%1" --yes',
        f'"{EXE}" --yes --link "%1"',
        f'{EXE} --link "%1"',
        f'"{EXE}" --link "%1"\n',
    ],
)
def test_a_command_that_is_not_exactly_ours_is_somebody_elses(command: str) -> None:
    assert program_in(command) is None


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters='"%'), min_size=1))
def test_our_own_command_is_recognised(path: str) -> None:
    assert program_in(windows_values("acme-fw", "x", path)[-1].value) == path


# -- Linux --------------------------------------------------------------------------------------------


def test_on_linux_exactly_this_file_is_written() -> None:
    entry = desktop_entry("acme-fw", "Acme update link", PROGRAM, terminal=True)
    assert entry.name == "acme-fw-links.desktop"
    assert entry.mime == "x-scheme-handler/acme-fw"
    assert entry.text == (
        "[Desktop Entry]\n"
        "Type=Application\n"
        "Name=Acme update link\n"
        "Exec=/home/ann/.local/share/acme-fw/updater --link %u\n"
        "Terminal=true\n"
        "NoDisplay=true\n"
        "MimeType=x-scheme-handler/acme-fw;\n"
        "X-Update-Links=acme-fw\n"
    )
    assert program_in_entry(entry.text) == PROGRAM
    assert is_our_entry(entry.text, "acme-fw")
    assert not is_our_entry(entry.text, "acme")


def test_a_program_with_a_window_needs_no_terminal() -> None:
    assert "Terminal=false\n" in desktop_entry("acme-fw", "x", PROGRAM, terminal=False).text


def test_a_name_cannot_bring_a_line_of_its_own() -> None:
    text = desktop_entry("acme-fw", "A\nExec=sh\r\\n", PROGRAM, terminal=False).text
    assert [line for line in text.splitlines() if line.startswith("Exec=")] == [f"Exec={PROGRAM} --link %u"]
    assert "Name=A Exec=sh \\\\n\n" in text


@given(st.text(min_size=1, max_size=30).map("/".__add__))
def test_a_path_that_is_written_is_one_word_for_every_reader(path: str) -> None:
    if not can_be_written(path, windows=False):
        with pytest.raises(Usage):
            desktop_entry("acme-fw", "x", path, terminal=False)
        return
    exec_line = desktop_entry("acme-fw", "x", path, terminal=False).text.splitlines()[3]
    words = [path, "--link", "%u"]
    assert exec_line.removeprefix("Exec=").split() == words == shlex.split(exec_line.removeprefix("Exec="))


@pytest.mark.parametrize(
    "path", ["/home/Ann Other/u", '/home/"/u', "/home/$HOME/u", "/home/%u/u", "/home/\\/u", "u", "", "/~/u"]
)
def test_a_path_that_readers_take_apart_is_not_written(path: str) -> None:
    assert not can_be_written(path, windows=False)


def test_only_our_entry_leaves_a_list_of_defaults() -> None:
    before = (
        "# mine\n\n[Default Applications]\ntext/plain=editor.desktop\n"
        "x-scheme-handler/acme-fw=acme-fw-links.desktop\n"
        "x-scheme-handler/other=acme-fw-links.desktop;other.desktop;\n\n[Added Associations]\n"
        "x-scheme-handler/acme-fw=first.desktop;acme-fw-links.desktop\nimage/png=not-acme-fw-links.desktop;\n"
    )
    assert without_entry(before, "acme-fw-links.desktop") == (
        "# mine\n\n[Default Applications]\ntext/plain=editor.desktop\n"
        "x-scheme-handler/other=other.desktop;\n\n[Added Associations]\n"
        "x-scheme-handler/acme-fw=first.desktop\nimage/png=not-acme-fw-links.desktop;\n"
    )


@given(st.text("ab=;[]#\n \r.desktop-", max_size=80))
def test_a_list_that_does_not_name_us_stays_as_it_is(text: str) -> None:
    assert without_entry(text, "acme-fw-links.desktop") == text


MOUNTS = """\
overlay / overlay rw 0 0
proc /proc proc rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/sda2 /home ext4 rw 0 0
server:/export /home/shared nfs4 rw 0 0
/dev/sdb1 /media/ann/USB\\040STICK vfat rw 0 0
/dev/sdc1 /run/media/ann/disk exfat rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "drive"),
    [
        ("/usr/local/bin/updater", Drive.FIXED),
        ("/home/ann/updater", Drive.FIXED),
        ("/home/shared/updater", Drive.NETWORK),
        ("/home/shared2/updater", Drive.FIXED),
        ("/media/ann/USB STICK/updater", Drive.REMOVABLE),
        ("/run/media/ann/disk/updater", Drive.REMOVABLE),
        ("/tmp/updater", Drive.FLEETING),
    ],
)
def test_the_kind_of_drive_is_read_from_the_list_of_mounts(path: str, drive: Drive) -> None:
    assert drive_of(path, MOUNTS) is drive


# -- where a program may stay -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "around", "reason"),
    [
        (EXE, WINDOWS, None),
        (r"C:\Users\Ann\AppData\Local\Temporary\Updater.exe", WINDOWS, None),
        (r"c:\users\ann\appdata\local\TEMP\7zO1\Updater.exe", WINDOWS, "temporary files"),
        (r"C:/Users/Ann/Downloads/Updater.exe", WINDOWS, "downloads"),
        (r"\\server\share\Updater.exe", WINDOWS, "network drive"),
        (PROGRAM, LINUX, None),
        ("/tmp/updater", LINUX, "temporary files"),
        ("/tmpfiles/updater", LINUX, None),
        ("/home/ann/Downloads/updater", LINUX, "downloads"),
        ("/home/ann/downloads/updater", LINUX, None),
        ("/home/Ann Other/updater", LINUX, "characters"),
        (PROGRAM, Surroundings(windows=False, drive=Drive.NETWORK), "network drive"),
        (PROGRAM, Surroundings(windows=False, drive=Drive.REMOVABLE), "taken out"),
        (PROGRAM, Surroundings(windows=False, drive=Drive.FLEETING), "temporary files"),
    ],
)
def test_only_a_place_where_a_program_stays_will_do(
    program: str, around: Surroundings, reason: str | None
) -> None:
    said = why_not_here(program, around)
    assert (reason is None) == (said is None)
    assert reason is None or reason in str(said)


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("Updater_0505 (1).exe", "Updater.exe"),
        ("updater-cli.EXE", "updater-cli.exe"),
        ("updater-demo", "updater-demo"),
        ("Updater - Copy.exe", "Updater.exe"),
        ("_0505.exe", "Updater.exe"),
        ("ä.exe", "Updater.exe"),
    ],
)
def test_a_copy_has_a_plain_name_without_a_code(name: str, copy: str) -> None:
    assert stable_name(name) == copy


@pytest.mark.parametrize(
    ("vendor", "folder"),
    [
        ("Acme Instruments", "Acme Instruments"),
        ("Acme: Tools/Parts ", "Acme Tools Parts"),
        ("Ünïq", "acme-fw"),
        ("..", "acme-fw"),
        ("CON", "acme-fw"),
        ("com1.x", "acme-fw"),
        ("A" * 60, "A" * 40),
    ],
)
def test_a_folder_is_called_like_the_vendor_if_every_file_system_takes_that(vendor: str, folder: str) -> None:
    assert folder_name(vendor, "acme-fw") == folder
