"""Damaged state and hostile devices: an answer in words, never a traceback, nothing that acts on a screen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.desk import Desk
from updater.facts import ApplicationIdentity
from updater.lab.flash import Memory

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
