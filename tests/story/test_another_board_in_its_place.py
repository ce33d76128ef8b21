"""Boards exchanged at the worst moment, and proofs that prove too little: the wrong one is not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from semver import Version

from tests.desk import Desk, at_the_question
from updater.hands.usbio import ROM_USB, Bus
from updater.lab.shelf import Lab
from updater.words.facts import ProductHeader

HEADER = slice(0x400, 0x400 + 44)


def edit(desk: Desk, change: Callable[[bytearray], None], name: str = "board1") -> None:
    file = desk.lab / name / "flash.bin"
    flash = bytearray(file.read_bytes())
    change(flash)
    file.write_bytes(flash)


def says_it_is_another(flash: bytearray) -> None:
    header = ProductHeader.parse(bytes(flash[HEADER]))
    assert header is not None
    flash[HEADER] = replace(header, product="other-thing").pack()


def exchange(lab: Lab, *, same_address: bool) -> None:
    """board1 is pulled out, board2 put in its place. Windows gives a port's next device the same address."""
    first, second = lab.board("board1"), lab.board("board2")
    address = first.address
    first._record, second._record = (
        replace(first._record, port=second.port),
        replace(second._record, port=first.port),
    )
    first.unplug()
    second._ready_at_ms = 0
    if same_address:
        second.address = address


def says_nothing(flash: bytearray) -> None:
    """Somebody else's program: not blank, and without our header."""
    flash[:] = b"\x5a" * len(flash)


def is_another_version(flash: bytearray) -> None:
    header = ProductHeader.parse(bytes(flash[HEADER]))
    assert header is not None
    flash[HEADER] = replace(header, version=Version(0, 9, 0)).pack()


@pytest.mark.parametrize("product", ["demo-widget", "demo-gadget"])
@pytest.mark.parametrize("other", [says_it_is_another, says_nothing, is_another_version])
def test_a_bootloader_exchanged_during_the_question(
    desk: Desk,
    labs: list[Lab],
    monkeypatch: pytest.MonkeyPatch,
    product: str,
    other: Callable[[bytearray], None],
) -> None:
    desk.plug_in(product, in_rom=True)
    desk.plug_in(product, name="board2", in_rom=True)
    edit(desk, other, "board2")
    before = desk.flash("board2")

    at_the_question(monkeypatch, lambda: exchange(labs[-1], same_address=True))
    said = desk.updater("install", desk.published.link(product), "--json", "--device", "1-1")
    assert desk.flash("board2") == before
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")


def test_a_bootloader_known_by_its_journal_and_exchanged_during_the_question(
    desk: Desk, labs: list[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plug_in()
    desk.fault("cut-after", 300)
    assert desk.install(desk.published.link("demo-widget")).exit == 9
    desk.plug_in(name="board2", port="1-2", in_rom=True)
    edit(desk, says_nothing, "board2")
    before = desk.flash("board2")

    at_the_question(monkeypatch, lambda: exchange(labs[-1], same_address=True))
    said = desk.updater("install", desk.published.link("demo-widget"), "--json", "--device", "1-1")
    assert desk.flash("board2") == before
    assert (said.exit, said.last["error"]) in ((4, "WrongDevice"), (8, "UsbFailed"))


def test_an_application_exchanged_during_the_question(
    desk: Desk, labs: list[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same product, so the same vid:pid; another UID."""
    desk.plug_in()
    desk.plug_in(name="board2", port="1-2")
    before = desk.flash("board2")

    at_the_question(monkeypatch, lambda: exchange(labs[-1], same_address=True))
    said = desk.updater("install", desk.published.link("demo-widget"), "--json", "--device", "1-1")
    assert desk.flash("board2") == before
    assert said.exit in (4, 8)


def test_a_bootloader_of_another_product_that_appears_in_place_of_ours(
    desk: Desk, labs: list[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time and with the same serial, as all rev V chips; but its flash says that it is another product."""
    desk.plug_in()
    desk.plug_in(name="board2", in_rom=True)
    edit(desk, says_it_is_another, "board2")
    before, real = desk.flash("board2"), Bus.wait_for

    def wait_for(bus: Bus, port: str, wanted: Any, within_ms: float, **how: Any) -> Any:
        if wanted == {ROM_USB}:
            exchange(labs[-1], same_address=False)
        return real(bus, port, wanted, within_ms, **how)

    monkeypatch.setattr(Bus, "wait_for", wait_for)
    said = desk.install(desk.published.link("demo-widget"), "--device", "1-1")
    assert desk.flash("board2") == before
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")


def test_a_person_does_not_overrule_a_header_of_another_product(desk: Desk) -> None:
    desk.plug_in(in_rom=True)
    edit(desk, says_it_is_another)
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")), "--as", "demo-widget:A")
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")


def test_what_a_person_said_does_not_become_a_proof_at_the_second_try(desk: Desk) -> None:
    def foreign(flash: bytearray) -> None:
        for start in range(0, len(flash), 0x20000):
            flash[start : start + 256] = b"\x5a" * 256

    file = str(desk.published.bundle_path("demo-widget-1.1.0"))
    desk.plug_in(runs=None, in_rom=True)
    edit(desk, foreign)
    with desk.cut(lambda block, _data: block >= 2):
        assert desk.install(file, "--as", "demo-widget:A").exit == 9
    (line,) = desk.updater("devices", "--json").lines
    assert line["identity"] in ("person", "none")


def test_one_sector_in_common_does_not_prove_a_board_of_which_two_others_contradict(desk: Desk) -> None:
    """Products of one maker share libraries and tables. Only the sector in work may be unlike its record."""
    desk.plug_in()
    ours = desk.flash()
    desk.fault("cut-after", 300)
    assert desk.install(desk.published.link("demo-widget")).exit == 9
    (kept,) = desk.state.rglob("journal/*.json")
    journal = json.loads(kept.read_bytes())
    third = {"address": 0x0802_0000, "size": 0x2_0000, "sha256": ["0" * 64]}
    kept.write_text(json.dumps(journal | {"witnesses": [*journal["witnesses"], third]}), "utf-8")
    desk.updater("lab", "remove", "board1")
    desk.plug_in(runs=None, in_rom=True, name="board9", uid=bytes(range(12)), port="1-1")

    def other_product(flash: bytearray) -> None:
        flash[:0x40000] = b"\x5a" * 0x40000
        flash[0x100000:0x120000] = ours[0x100000:0x120000]

    edit(desk, other_product, "board9")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")


def test_an_equal_serial_alone_does_not_prove(desk: Desk) -> None:
    """The serial leaves out the low half of the UID's second word: the wafer number lies there."""
    link = desk.published.link("demo-gadget")
    desk.plug_in("demo-gadget", uid=bytes.fromhex("2d0030000b51343333353132"))
    desk.fault("cut-after", 60)
    assert desk.install(link).exit == 9
    desk.updater("lab", "remove", "board1")
    desk.plug_in(
        "demo-gadget", runs=None, in_rom=True, uid=bytes.fromhex("2d0030000c51343333353132"), port="1-1"
    )
    edit(desk, lambda flash: flash.__setitem__(slice(0, 4096), b"\x5a" * 4096))
    said = desk.install(link)
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
