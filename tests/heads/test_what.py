"""What was dropped, pasted, typed, or stands in the program's own name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from updater.doors.cli import build_parser
from updater.heads.links import Link, format_code, is_code
from updater.heads.what import is_handed, link_in_shortcut, tidy, what_from_filename
from updater.words.errors import Usage
from updater.words.facts import Channel

PRODUCTS = {1: "demo-widget", 2: "demo-gadget"}
NEWEST = Link(product="demo-widget", channel=Channel.STABLE, version=None)
BETA = Link(product="demo-widget", channel=Channel.BETA, version=Version(3, 4, 1))
"""Their codes, worked out in test_links: 0505 and 060C-202T-E."""


@pytest.mark.parametrize(
    "one",
    [
        "demo-update://v1/demo-widget/stable/latest",
        "https://update.acme.example/u/demo-widget/stable/latest/",
        r"C:\Users\Ann Other\Desktop\demo-widget-1.1.0.fwb",
        r"\\server\share\demo-widget-1.1.0.FWB",
        "demo-widget-1.1.0.fwb",
        r"C:\Users\Ann\Desktop\Update.url",
        "0505",
        "060c-202t-e",
        "060C 202T E",
    ],
)
@pytest.mark.parametrize("windows", [True, False])
def test_a_link_a_page_a_file_and_a_code_may_be_handed_to_the_program(one: str, windows: bool) -> None:
    assert is_handed(one, windows=windows)


@pytest.mark.parametrize(
    "one",
    [
        "",
        "-",
        "--link=demo-update://v1/demo-widget/stable/latest",
        "--lab=demo.fwb",
        "-x.fwb",
        "--",
        r"\\.\PhysicalDrive0\x.fwb",
        r"\\?\C:\x.fwb",
        r"//./pipe/x.fwb",
        "0506",
        "instal",
        "1.1.0",
    ],
)
@pytest.mark.parametrize("windows", [True, False])
def test_an_option_a_device_and_a_mistyped_command_may_not(one: str, windows: bool) -> None:
    assert not is_handed(one, windows=windows)


def test_a_slash_begins_an_option_on_windows_and_a_path_elsewhere() -> None:
    assert not is_handed("/x.fwb", windows=True)
    assert is_handed("/home/ann/x.fwb", windows=False)


def test_no_command_is_a_short_code() -> None:
    commands: Any = next(action for action in build_parser()._actions if action.choices)
    assert {"install", "link", "register", "unregister"} <= set(commands.choices)
    assert not [name for name in commands.choices if is_code(name) or is_handed(name, windows=True)]


@pytest.mark.parametrize(
    "pasted", [" x ", "x\r\n", "<x>", '"x"', "“x”", "„x“", "«x»", "\t< x >\n", "\N{NO-BREAK SPACE}x"]
)
def test_what_mail_programs_put_around_a_link_is_taken_off(pasted: str) -> None:
    assert tidy(pasted) == "x"


@pytest.mark.parametrize("text", ["<x", "x>", "", "<", '"', "a b"])
def test_nothing_else_is_changed_in_a_pasted_text(text: str) -> None:
    assert tidy(text) == text


@pytest.mark.parametrize(
    "file",
    [
        b"[InternetShortcut]\r\nURL=demo-update://v1/a/stable/latest\r\nIconIndex=0\r\n",
        b"\xef\xbb\xbf[InternetShortcut]\nURL=demo-update://v1/a/stable/latest",
        b"[{000214A0-0000-0000-C000-000000000046}]\r\nURL=file://x\r\n"
        b"[InternetShortcut]\r\nURL=demo-update://v1/a/stable/latest\r\n",
        b"[Desktop Entry]\nType=Link\nName=Update\nURL=demo-update://v1/a/stable/latest\n",
    ],
)
def test_the_address_in_a_saved_web_link_is_found(file: bytes) -> None:
    assert link_in_shortcut(file) == "demo-update://v1/a/stable/latest"


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"URL=demo-update://v1/a/stable/latest",
        b"[InternetShortcut]\nurl2=x",
        b"[InternetShortcut]\nURL=a\nURL=b",
        b"[Desktop Entry]\nExec=sh -c x\n",
        b"[InternetShortcut]\nURL=a\n" + b"#" * 4096,
        b"\xff\xfe\x00",
    ],
)
def test_a_file_without_one_single_address_is_refused(file: bytes) -> None:
    with pytest.raises(Usage, match="no single web address"):
        link_in_shortcut(file)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("Updater_0505.exe", NEWEST),
        ("Updater_0505", NEWEST),
        ("updater_0505 (1).exe", NEWEST),
        ("UPDATER_0505(2).EXE", NEWEST),
        ("Updater_060C-202T-E.exe", BETA),
        ("updater_060c-202t-e - Copy.exe", BETA),
        ("Updater_060C-202T-E - Kopie (2).exe", BETA),
        ("Updater_060C202TE copy.exe", BETA),
        ("Acme_Updater_0505.exe", NEWEST),
        ("Updater_0505_0505.exe", NEWEST),
        ("Updater_x64_0505.exe", NEWEST),
    ],
)
def test_the_programs_name_may_hold_a_code(name: str, link: Link) -> None:
    assert what_from_filename(name, PRODUCTS) == link


@pytest.mark.parametrize(
    "name",
    ["Updater.exe", "updater-cli", "0505.exe", "Updater_setup.exe", "Updater_x64.exe", "Updater_win64.exe",
     "updater_amd64", "Updater_v2.exe", "Updater (1).exe", "Updater_.exe", "_", "", "Updater_1.0.exe"],
)  # fmt: skip
def test_an_ordinary_name_holds_none(name: str) -> None:
    assert what_from_filename(name, PRODUCTS) is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Updater_0506.exe", id="mistyped"),
        pytest.param("Updater_060C-202T-F.exe", id="mistyped check characters"),
        pytest.param("Updater_0505_060C-202T-E.exe", id="two codes that differ"),
        pytest.param("Updater_060C-202T.exe", id="cut off"),
        pytest.param("Updater_1919.exe", id="a product of somebody else"),
    ],
)
def test_an_unclear_name_is_a_question_and_not_a_guess(name: str) -> None:
    with pytest.raises(Usage) as asked:
        what_from_filename(name, PRODUCTS)
    assert "code" in asked.value.message + asked.value.advice or "newest updater" in asked.value.advice


@given(
    number=st.sampled_from(sorted(PRODUCTS)),
    channel=st.sampled_from([Channel.STABLE, Channel.BETA]),
    version=st.none() | st.builds(Version, *[st.integers(0, 65535)] * 3),
    copy=st.sampled_from(["", " (1)", "(12)", " - Copy", " - Copie (3)"]),
    lower=st.booleans(),
)
def test_every_code_is_found_in_a_name(
    number: int, channel: Channel, version: Version | None, copy: str, lower: bool
) -> None:
    link = Link(product=PRODUCTS[number], channel=channel, version=version)
    name = f"Updater_{format_code(link, number)}{copy}.exe"
    assert what_from_filename(name.lower() if lower else name, PRODUCTS) == link


@given(st.text(max_size=60))
def test_any_other_name_gives_a_link_none_or_a_question(name: str) -> None:
    try:
        link = what_from_filename(name, PRODUCTS)
    except Usage:
        return
    assert link is None or link.product in PRODUCTS.values()
