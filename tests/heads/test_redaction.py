"""Names of people, computers and folders do not leave the computer; what support needs does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.redaction import Redactor

ADA = Redactor(
    people=["ada", "Ada Lovelace"],
    computers=["engine-room", "ANALYTICAL"],
    homes=["/home/ada", r"C:\Users\Ada Lovelace"],
    keep=["demo"],
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("cannot write /home/ada/state/x: full", "cannot write ~/x: full"),
        ("cannot write /HOME/Ada/state/x", "cannot write ~/x"),
        ('{"file": "/home/ada"}', '{"file": "~"}'),
        ("/home/adam/x", "~/x"),
        (r'"C:\\Users\\Ada Lovelace\\x"', r'"~\\x"'),
        (r"C:\Users\Ada Lovelace\x", r"~\x"),
        ("C:/Users/Ada Lovelace/x", "~/x"),
        (r"C:\u005cUsers\u005cAda Lovelace\u005cx", r"~\u005cx"),
        ("file:///C:/Users/Ada%20Lovelace/z.fwb", "file:///~/z.fwb"),
        ("C%3A%5CUsers%5CAda%20Lovelace%5Cz", "~%5Cz"),
        (r"C:\Users\ADALOV~1\AppData", r"~\AppData"),
        (r"\\ANALYTICAL\updates\x.fwb", "<folder>/x.fwb"),
        (r"\\\\files\\ada$\\x.fwb", "<folder>/x.fwb"),
        ("//files/ada/x.fwb", "<folder>/x.fwb"),
        ("/media/ada/STICK/x.fwb", "~/x.fwb"),
        ("/run/media/ada/STICK", "~/STICK"),
        ("/srv/Lovelace and Co/x.fwb", "<folder>/x.fwb"),
        (r"D:\Lovelace and Co\x.fwb", "<folder>/x.fwb"),
        ("written by Ada Lovelace on engine-room", "written by <user> on <computer>"),
        ("ADA@Analytical: ada_1", "<user>@<computer>: <user>_1"),
        ("ada.lovelace@example.org", "<e-mail>"),
        ("https://ada:secret@proxy.example/x", "https://proxy.example/x"),
        (
            "at 192.168.0.17, fe80::1ff:fe23:4567:890a, 2001:db8:0:0:1:2:3:4",
            "at <address>, <address>, <address>",
        ),
        ("00:1a:2b:3c:4d:5e", "<address>"),
    ],
)
def test_what_is_a_persons_is_taken_out(text: str, clean: str) -> None:
    assert ADA.clean(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg",
        '{"serial": "87278FF76EF4839E157C2DDD", "port": "1-1.4", "usb": "0483:df11"}',
        '{ request = "DNLOAD", data = "41 00 00 00 08", ms = 1.0 },',
        "http://127.0.0.1:45037/metadata/timestamp.json",
        "2026-11-21 10:11:12 UTC  install: NetworkFailed: the server answered HTTP 503",
        "/dev/bus/usb/001/004 belongs to root; /etc/udev/rules.d/70-demo.rules",
        r"C:\Windows\System32\pnputil.exe",
        "demo-widget 1.0.0 -> 1.1.0; Windows-10-10.0.19045-SP0; Adapter, adaptive",
        "read and/or write: dfuDNLOAD-IDLE/5",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    assert ADA.clean(text) == text


def test_a_name_of_the_vendors_own_or_of_two_letters_is_left_in_texts() -> None:
    names = Redactor(people=["demo", "al"], homes=["/home/al"], keep=["demo"])

    assert names.clean("demo-widget; it is al at /home/al/x") == "demo-widget; it is al at ~/x"


def test_a_name_that_json_and_addresses_write_otherwise_is_found() -> None:
    names = Redactor(people=["Jürgen"], homes=["/home/jürgen"])

    for text in (r"J\u00fcrgen", "J%C3%BCrgen", "jürgen", r"/home/j\u00fcrgen/x", "/home/j%C3%BCrgen/x"):
        assert "rgen" not in names.clean(text), text


@given(
    st.text(alphabet=" ,.;:='\"()xyz09", max_size=40),
    st.sampled_from(["/", "\\", "\\\\", r"\u005c", "%5C"]),
    st.sampled_from(["C:", "c:", "C%3A"]),
)
def test_wherever_it_stands_and_however_it_is_written_a_home_folder_is_found(
    around: str, separator: str, drive: str
) -> None:
    path = separator.join((drive, "Users", "Ada Lovelace", "notes"))

    assert "lovelace" not in ADA.clean(f"{around} {path} {around}").lower()
