"""What comes from outside: a clicked link, a dropped thing, the program's own name; registering."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.kit import catalogue_of, own_site, show_catalogue, without_gadget
from tests.desk import Desk, Said
from tests.tools import need
from updater.doors.cli import run
from updater.hands.host import load_home
from updater.hands.instance import listen
from updater.hands.store import folder_of
from updater.heads.links import Link, format_code, parse_code, parse_link, parse_page
from updater.heads.registration import Drive, Surroundings
from updater.words.facts import Channel

LINK = "demo-update://v1/demo-widget/stable/latest"
NEWEST = Link(product="demo-widget", channel=Channel.STABLE, version=None)

Outside = Callable[..., Said]


@pytest.fixture
def outside(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Start the program as the desktop does: with these arguments and nothing in front of them."""
    for name in ("SUDO_UID", "PKEXEC_UID"):  # whoever runs the tests may be raised; the person here is not
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPDATER_LAB", str(desk.lab))
    monkeypatch.setenv("UPDATER_STATE", str(desk.state))

    def start(*arguments: str, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = run(arguments)
        said = capsys.readouterr()
        return Said(status, said.out, " ".join(said.err.split()))  # lines fold at the screen's width

    return start


# -- a clicked link -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [LINK, "--yes"],
        ["--yes", LINK],
        [LINK, LINK],
        [LINK + '" --yes "'],
        [LINK + " --yes"],
        [LINK + "%22%20--yes"],
        [LINK + "\\"],
        [LINK.upper()],
        [LINK + "/" * 100],
        ["--help"],
        ["--version"],
        ["--json"],
        ["--lab=/"],
        ["@arguments"],
        ["--multiprocessing-fork"],
        ["/etc/passwd"],
        [r"\\server\share\x.fwb"],
        ["x.fwb"],
        ["0505"],
        ["1.1.0"],
        [""],
        ["https://127.0.0.1/u/demo-widget/stable/latest/"],
        ["acme-fw://v1/demo-widget/stable/latest"],
    ],
)
def test_after_link_no_parser_no_file_and_no_option_is_reached(
    arguments: list[str], outside: Outside, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object, **_named: object) -> None:
        raise AssertionError("a parser of options was made")

    monkeypatch.setattr(argparse.ArgumentParser, "__init__", never)
    said = outside("--link", *arguments)
    assert said.exit == 2
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert "What to do: " in said.err
    assert not desk.state.exists()


@pytest.mark.parametrize("stdin", ["", "n\n", "\n", "no\n", "yes please\n"])
def test_a_link_asks_and_without_a_yes_nothing_is_touched(stdin: str, outside: Outside, desk: Desk) -> None:
    desk.plug_in()
    flash = (desk.lab / "board1" / "flash.bin").read_bytes()
    said = outside("--link", LINK, stdin=stdin)
    assert said.exit == 12
    assert "The link asks for the newest version (stable) for Demo Widget." in said.err
    assert "Update Demo Widget now? [y/N]" in said.err
    assert (desk.lab / "board1" / "flash.bin").read_bytes() == flash
    assert desk.updater("devices", "--json").lines[0]["mode"] == "application"


def test_a_link_with_a_yes_updates(outside: Outside, desk: Desk) -> None:
    desk.plug_in()
    said = outside("--link", LINK + "/", stdin="y\n")
    assert said.exit == 0, said.err
    assert said.out.startswith("Done. Demo Widget runs version 1.1.0.")


def test_a_link_needs_exactly_one_device(outside: Outside, desk: Desk) -> None:
    desk.plug_in(name="one")
    desk.plug_in(name="two")
    assert outside("--link", LINK, stdin="y\n").exit == 3


def test_a_link_for_a_product_of_nobody_says_so(outside: Outside) -> None:
    said = outside("--link", LINK.replace("widget", "wombat"))
    assert said.exit == 2
    assert "demo-wombat" in said.err


@pytest.mark.parametrize("arguments", [("--link", LINK.replace("widget", "gadget")), ("CODE",)])
def test_a_link_for_a_product_that_is_newer_than_the_program_leads_to_it(
    arguments: tuple[str, ...], outside: Outside, desk: Desk, tmp_path: Path
) -> None:
    desk.change_vendor(without_gadget)
    desk.plug_in("demo-gadget")
    vendor = desk.published.vendor
    code = format_code(Link(product="demo-gadget", channel=Channel.STABLE, version=None), 2)
    with own_site(desk.published, tmp_path) as site:
        show_catalogue(vendor, site, catalogue_of(vendor))
        said = outside(*(code if one == "CODE" else one for one in arguments), stdin="y\n")
    assert said.exit == 0, said.err
    assert "(stable) for Demo Gadget" in said.err
    assert desk.holds("demo-gadget-1.1.0")


def test_a_link_is_not_opened_with_an_administrators_rights(
    outside: Outside, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PKEXEC_UID", "1000")
    said = outside("--link", LINK, stdin="y\n")
    assert said.exit == 6
    assert "administrator" in said.err
    assert not desk.state.exists()


# -- dropped, pasted, typed ---------------------------------------------------------------------------


def test_a_bundle_that_is_dropped_on_the_program_is_offered(outside: Outside, desk: Desk) -> None:
    desk.plug_in()
    said = outside(str(desk.published.bundle_path("demo-widget-1.1.0")), stdin="y\n")
    assert said.exit == 0, said.err
    assert said.out.startswith("Done. Demo Widget runs version 1.1.0.")


@pytest.mark.parametrize("what", ["link", "page", "code", "url", "desktop", "pasted"])
def test_a_link_may_come_in_every_form(what: str, outside: Outside, desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    sent = desk.updater("link", "demo-widget", "--json").last
    forms = {**sent, "pasted": f" <{sent['link']}>\n"}
    for kind, section in (("url", "InternetShortcut"), ("desktop", "Desktop Entry")):
        saved = tmp_path / f"Update.{kind}"
        saved.write_text(f"[{section}]\nURL={sent['page']}\n", "utf-8")
        forms[kind] = str(saved)
    said = outside(forms[what])
    assert said.exit == 12, said.err
    assert "Update Demo Widget now? [y/N]" in said.err


def test_a_saved_web_link_selects_and_nothing_else(outside: Outside, desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    for address in (
        "file:///etc/passwd",
        str(desk.published.bundle_path("demo-widget-1.1.0")),
        "0505",
        "1.0.0",
    ):
        saved = tmp_path / "Update.url"
        saved.write_text(f"[InternetShortcut]\nURL={address}\n", "utf-8")
        said = outside(str(saved), stdin="y\n")
        assert said.exit == 2, address


def test_several_things_are_too_many(outside: Outside) -> None:
    said = outside("a.fwb", "b.fwb")
    assert said.exit == 2
    assert "one after the other" in said.err


@pytest.mark.parametrize("arguments", [["instal"], ["0506"], ["x.fwb", "--yes"], [LINK, "--yes"], ["-x.fwb"]])
def test_what_is_neither_a_command_nor_one_thing_is_a_usage_error(
    arguments: list[str], outside: Outside, desk: Desk
) -> None:
    desk.plug_in()
    said = outside(*arguments, stdin="y\n")
    assert said.exit == 2
    assert "Update Demo Widget now?" not in said.err


@pytest.mark.parametrize("name", ["0505", "1.1.0"])
def test_a_file_that_is_called_like_a_code_or_a_version_is_asked_about(
    name: str, outside: Outside, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(desk.published.vendor.bundle("demo-widget-1.1.0"))
    said = desk.updater("install", name, "--yes")
    assert said.exit == 2
    assert str(tmp_path / name) in "".join(said.err.split("\n            "))
    assert desk.updater("install", str(tmp_path / name), "--yes").exit == 0


# -- the program's own name ---------------------------------------------------------------------------


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Makes this program a built one with such a file name; it is then the demo vendor's."""

    def named(name: str) -> Path:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        monkeypatch.setattr(sys, "executable", str(program))
        return program

    return named


def test_the_programs_own_name_selects_too(
    outside: Outside, desk: Desk, built: Callable[[str], Path]
) -> None:
    desk.lab.mkdir()
    built("Updater_0505 (1).exe")
    said = outside()
    assert said.exit == 3, "the conversation of a link has begun, and there is no device"
    assert "The link asks for the newest version (stable) for Demo Widget." in said.err


@pytest.mark.parametrize(
    ("name", "words"), [("Updater_0506.exe", "Updater_0506.exe"), ("Updater.exe", "COMMAND")]
)
def test_a_name_without_a_clear_code_selects_nothing(
    name: str, words: str, outside: Outside, built: Callable[[str], Path]
) -> None:
    built(name)
    said = outside()
    assert said.exit == 2
    assert words in said.err


# -- handing over -------------------------------------------------------------------------------------


def test_a_second_program_hands_a_link_over_and_never_a_file(desk: Desk) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("SUDO_UID", "PKEXEC_UID")
    }
    desk.lab.mkdir()
    environment |= {"UPDATER_STATE": str(desk.state), "UPDATER_LAB": str(desk.lab)}

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "updater", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    taken: list[Link] = []
    with listen(folder_of(desk.state, load_home().embedded_root), taken.append):
        clicked = start("--link", LINK)
        assert (clicked.returncode, clicked.stdout) == (0, "")
        assert "already open has taken it" in clicked.stderr
        assert start("--link", f"{LINK}?x").returncode == 2
        dropped = start(str(desk.published.bundle_path("demo-widget-1.1.0")))
        assert dropped.returncode == 3, "a file stays with who was given it; there is no device"
    assert taken == [NEWEST]


# -- what support sends -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--channel", "beta"], ["--version", "1.0.0"]])
def test_link_page_and_code_of_one_command_select_the_same(desk: Desk, options: list[str]) -> None:
    vendor = desk.published.vendor.vendor
    sent = desk.updater("link", "demo-gadget", *options, "--json").last
    link = parse_link(sent["link"], vendor.link.scheme)
    assert link == parse_page(sent["page"], vendor.repository) == parse_code(sent["code"], vendor.numbers)
    assert link.product == "demo-gadget"
    in_words = desk.updater("link", "demo-gadget", *options).out
    assert [line.split() for line in in_words.splitlines()] == [
        ["link", sent["link"]],
        ["page", sent["page"]],
        ["code", sent["code"]],
    ]


# -- registering --------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that is a stable place, with a folder for downloads that is none."""
    need("xdg-mime")
    for name in [name for name in os.environ if name.startswith(("XDG_", "KDE_", "GNOME_", "DESKTOP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    around = Surroundings(windows=False, drive=Drive.FIXED, downloads=(str(tmp_path / "Downloads"),))
    monkeypatch.setattr("updater.doors.links.console.surroundings", lambda _program: around)
    return tmp_path


def entry(home: Path) -> Path:
    return home / ".local/share/applications/demo-update-links.desktop"


def test_from_source_nothing_is_registered(home: Path, outside: Outside) -> None:
    said = outside("register", "--yes")
    assert said.exit == 2
    assert "Only a built program" in said.err
    assert not entry(home).exists()


def test_without_consent_nothing_is_registered_or_copied(
    home: Path, outside: Outside, built: Callable[[str], Path]
) -> None:
    for name in ("Updater", "Downloads/Updater"):
        built(name)
        said = outside("register")
        assert said.exit == 12
        assert "demo-update://" in said.err
        assert not (home / ".local").exists()


def test_a_program_in_a_stable_place_is_registered_there(
    home: Path, outside: Outside, built: Callable[[str], Path]
) -> None:
    program = built("Updater")
    said = outside("register", "--json", stdin="y\n")
    assert said.exit == 0, said.err
    assert said.last == {
        "type": "registered",
        "scheme": "demo-update",
        "program": str(program),
        "written": [str(entry(home))],
    }
    assert f"Exec={program} --link %u\n" in entry(home).read_text()
    said = outside("unregister")
    assert (said.exit, "no longer opened" in said.out) == (0, True)
    assert not entry(home).exists()
    assert program.exists(), "it was never ours to delete"
    assert "Nothing was changed" in outside("unregister").out


def test_a_program_among_the_downloads_is_copied_to_where_it_can_stay(
    home: Path, outside: Outside, built: Callable[[str], Path]
) -> None:
    built("Downloads/Updater_0505 (1)")
    said = outside("register", stdin="y\n")
    assert said.exit == 0, said.err
    assert "downloads" in said.err
    copy = home / ".local/share/demo-update/Updater"
    assert os.access(copy, os.X_OK)
    assert f"Exec={copy} --link %u\n" in entry(home).read_text()
    said = outside("unregister", "--json")
    assert said.last == {
        "type": "unregistered", "scheme": "demo-update", "program": str(copy), "removed": True,
    }  # fmt: skip
    assert not copy.parent.exists()


def test_a_folder_build_is_moved_by_the_person(
    home: Path, outside: Outside, built: Callable[[str], Path]
) -> None:
    program = built("Downloads/updater-folder/updater")
    (program.parent / "_internal").mkdir()
    said = outside("register", "--yes")
    assert said.exit == 2
    assert "Move its whole folder" in said.err
    assert not (home / ".local").exists()


def test_where_a_copy_could_not_stay_either_the_person_pastes(
    home: Path, outside: Outside, built: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    built("Updater")
    everywhere = Surroundings(windows=False, drive=Drive.NETWORK)
    monkeypatch.setattr("updater.doors.links.console.surroundings", lambda _program: everywhere)
    said = outside("register", "--yes")
    assert said.exit == 2
    assert "updater install LINK" in said.err


def test_who_is_raised_registers_nothing(
    home: Path, outside: Outside, built: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    built("Updater")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert outside("register", "--yes").exit == 6
    assert not entry(home).exists()


def test_json_of_registering_is_one_line(home: Path, outside: Outside, built: Callable[[str], Path]) -> None:
    built("Updater")
    assert [json.loads(line)["type"] for line in outside("register", "--yes", "--json").out.splitlines()] == [
        "registered"
    ]
