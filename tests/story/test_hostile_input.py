"""Damaged state and hostile devices: an answer in words, never a traceback, nothing that acts on a screen."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.desk import Desk
from updater.doors.console import install, request_for
from updater.doors.terminal import JsonFace
from updater.heads.container import ENVELOPE, read_container, write_container
from updater.lab.backend import LabBackend
from updater.lab.flash import Memory
from updater.words.errors import Cancelled
from updater.words.facts import ApplicationIdentity

ROM_ID_AT = 0x1FF1E7FE


def put_journal(desk: Desk, content: bytes) -> None:
    desk.updater("devices")
    (folder,) = [path for path in desk.state.iterdir() if path.is_dir()]
    (folder / "journal").mkdir(exist_ok=True)
    (folder / "journal" / "1-1.json").write_bytes(content)


def journal(**witness: int) -> bytes:
    return json.dumps(
        {
            "schema": 1,
            "port": "1-1",
            "product": "demo-widget",
            "hardware": "A",
            "chip": "stm32h743",
            "serial": "200364500000",
            "manifest_sha256": "0" * 64,
            "from_version": None,
            "witnesses": [{"sha256": ["0" * 64], **witness}],
        }
    ).encode()


@pytest.mark.parametrize(
    "content",
    [journal(address=-1, size=4), journal(address=1 << 40, size=4), b'{"schema":1,"port":"\xff"}'],
    ids=["negative address", "address beyond 32 bits", "not UTF-8"],
)
def test_a_damaged_journal_is_treated_as_absent(desk: Desk, content: bytes) -> None:
    desk.plug_in(in_rom=True, runs=None)
    put_journal(desk, content)
    said = desk.updater("devices", "--json")
    assert said.exit == 0, said.err
    assert said.last["identity"] == "none"


def test_a_very_long_word_is_a_usage_error(desk: Desk) -> None:
    desk.plug_in()
    assert desk.install("A" * 300).exit == 2


def test_a_serial_number_cannot_steer_the_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A serial is whatever a device's string descriptor says."""
    desk.plug_in()
    monkeypatch.setattr("usb.util.get_string", lambda *_which: "\x1b]0;title\x07\x1b[2J\u202e12")
    said = desk.updater("devices")
    assert not {char for char in said.out if char in "\x1b\x07\u202e"}


def test_a_rom_whose_id_is_read_and_unknown_is_not_believed_to_be_the_one_the_application_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application says 0x92; the ROM itself says 0x93, which no row knows, and has the bank-2 fault."""
    desk.plug_in(revision="V", rom_version=0x91)
    read, pack = Memory.read, ApplicationIdentity.pack

    def unknown_id(memory: Memory, address: int, length: int) -> bytes | None:
        data = read(memory, address, length)
        if data is None or not address <= ROM_ID_AT < address + length:
            return data
        at = ROM_ID_AT - address
        return data[:at] + b"\x93" + data[at + 1 :]

    def claims(identity: Any) -> bytes:
        return pack(replace(identity, rom_version=0x92))

    monkeypatch.setattr(Memory, "read", unknown_id)
    monkeypatch.setattr(ApplicationIdentity, "pack", claims)
    assert desk.install(desk.published.link("demo-widget")).exit == 0


def test_a_bundle_file_cannot_steer_the_terminal(desk: Desk, tmp_path: Path) -> None:
    """Nothing of it is signed yet when its envelope is read."""
    members = read_container(desk.published.vendor.bundle("demo-widget-1.1.0"))
    members[ENVELOPE] = b'{"payload":"","payloadType":"x","signatures":[],"\\u001b[2J\\u202egenuine":1}'
    given = tmp_path / "given.fwb"
    given.write_bytes(write_container(members))
    said = desk.updater("verify", str(given))
    assert said.exit == 5
    assert not {char for char in said.err if char in "\x1b\u202e"}


def test_a_driver_that_cannot_do_a_request_is_no_bug_of_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libusb's "not supported", as pyusb says it."""
    desk.plug_in()
    real = LabBackend.ctrl_transfer

    def unsupported(self: LabBackend, device: Any, kind: int, *rest: Any) -> int:
        if kind == 0x21:
            raise NotImplementedError("Operation not supported or unimplemented on this platform")
        return real(self, device, kind, *rest)

    monkeypatch.setattr(LabBackend, "ctrl_transfer", unsupported)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (8, "UsbFailed"), said.err


def test_an_answer_that_is_not_text_is_a_no(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in()
    garbage = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), encoding="utf-8")
    with desk.hands() as hands:
        monkeypatch.setattr("sys.stdin", garbage)
        request = request_for(desk.published.link("demo-widget"), hands.home.vendor)
        with pytest.raises(Cancelled):
            install(hands, JsonFace(io.StringIO()), request, yes=False)
