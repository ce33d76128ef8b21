"""A stranger in its bootloader that says what it is by a record in its one-time-programmable memory."""

from __future__ import annotations

import pytest
from semver import Version

from tests.desk import GIZMO, HEADER_AT, Desk, program
from tests.story.otp_desk import burnt
from updater.lab.flash import Memory
from updater.lab.shelf import Lab
from updater.story.records import disagreement
from updater.words.facts import ProductHeader

RECORD_AT = {"stm32f405": 0x1FFF_7800, "stm32f746": 0x1FF0_F100, "stm32l476": 0x1FFF_7000}
"""Of the F405 and the L476 the OTP memory's first byte; of the F746 the first of its fifth block (RM0385)."""
CHIPS = sorted(RECORD_AT)
OLD, NEW = program("1.0.0"), program("1.1.0")


def record(product: str = GIZMO, hardware: str = "A") -> str:
    """Hex digits of a record from the day on which the board was made."""
    made = ProductHeader(product=product, hardware=hardware, version=Version(0, 9, 0), security_counter=7)
    return made.pack().hex()


def stranger(desk: Desk, chip: str, says: str | None = None, *, holds_program: bool = False) -> None:
    """A board in its bootloader, with this record; its flash is blank, or holds a program with a header."""
    desk.sells(chip, otp_record={"address": RECORD_AT[chip]})
    desk.plug_in_gizmo(chip, OLD if holds_program else None, in_rom=True)
    offset = RECORD_AT[chip] & 0x1FF
    if says is not None:
        burnt(desk, (offset, says))


@pytest.mark.parametrize("chip", CHIPS)
def test_a_blank_board_says_what_it_is_by_its_record(desk: Desk, chip: str) -> None:
    stranger(desk, chip, record())
    (line,) = desk.updater("devices", "--json").lines
    assert (line["product"], line["hardware"], line["identity"]) == (GIZMO, "A", "otp")
    assert (line["version"], line["security_counter"]) == (None, None)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"], said.last["identity"]) == (0, "confirmed", "otp"), said.out
    assert desk.holds(NEW)


def test_the_example_of_the_manual_is_such_a_record(desk: Desk) -> None:
    text = (
        "4657494401002c00" "796f75722d626f780000000000000000" "4200000000000000" "0100000000000000" "01000000"
    )  # fmt: skip
    assert ProductHeader.parse(bytes.fromhex(text)) == ProductHeader(
        product="your-box", hardware="B", version=Version(1, 0, 0), security_counter=1
    )
    desk.sells("stm32f746", otp_record={"address": RECORD_AT["stm32f746"]})
    desk.plug_in_gizmo("stm32f746", None, in_rom=True)
    wrote = desk.updater("otp", "write", "--as", GIZMO, "--hex", f"0x100:{record()}", "--yes", "--json")
    assert wrote.exit == 0, wrote.out
    assert desk.updater("devices", "--json").last["identity"] == "otp"


def test_without_a_record_a_person_is_asked(desk: Desk) -> None:
    stranger(desk, "stm32f405")
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert "--as PRODUCT" in said.last["advice"]


def test_a_record_of_a_product_that_nobody_here_makes_is_not_overruled(desk: Desk) -> None:
    stranger(desk, "stm32f405", record("other-thing"))
    for claim in ((), ("--as", GIZMO)):
        said = desk.install(desk.bundle(NEW), *claim)
        assert (said.exit, said.last["error"]) == (4, "WrongDevice"), claim
        assert "other-thing" in said.last["message"]
    assert set(desk.flash()) == {0xFF}


@pytest.mark.parametrize("chip", CHIPS)
def test_header_and_record_that_agree_are_a_header(desk: Desk, chip: str) -> None:
    stranger(desk, chip, record(), holds_program=True)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["identity"], said.last["from_version"]) == (0, "header", "1.0.0")


@pytest.mark.parametrize("says", [("other-thing", "A"), (GIZMO, "B")])
@pytest.mark.parametrize("claim", [(), ("--as", GIZMO)])
def test_a_header_and_a_record_that_contradict_each_other_stop_it(
    desk: Desk, says: tuple[str, str], claim: tuple[str, ...]
) -> None:
    stranger(desk, "stm32f405", record(*says), holds_program=True)
    before = desk.flash()
    shown = desk.updater("devices")
    assert "Its flash says that it is a gizmo, hardware A" in " ".join(shown.out.split())
    said = desk.install(desk.bundle(NEW), *claim)
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert f"it is a {says[0]}, hardware {says[1]}" in said.last["message"]
    assert "Nothing was changed" in said.last["advice"]
    assert desk.flash() == before
    assert desk.board()["state"] == "rom"
    assert desk.updater("otp", "show", "--json").exit == 4


def test_a_board_that_came_from_its_application_is_asked_for_its_record_too(desk: Desk) -> None:
    """Its program says one thing, its making another: found in the bootloader, before the first erase."""
    desk.sells("stm32f405", otp_record={"address": RECORD_AT["stm32f405"]})
    desk.plug_in_gizmo("stm32f405", OLD)
    burnt(desk, (0, record("other-thing")))
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "in-bootloader")
    assert "one-time-programmable memory says that it is a other-thing" in said.last["message"]
    assert desk.holds(OLD)


def test_a_record_that_cannot_be_read_proves_nothing_and_hinders_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Memory.read

    def read(memory: Memory, address: int, length: int) -> bytes | None:
        return None if memory.is_otp(address, length) else real(memory, address, length)

    monkeypatch.setattr(Memory, "read", read)
    stranger(desk, "stm32f405", record())
    assert desk.install(desk.bundle(NEW)).exit == 3
    said = desk.install(desk.bundle(NEW), "--as", GIZMO)
    assert (said.exit, said.last["identity"]) == (0, "person"), said.out


@pytest.mark.parametrize("address", [HEADER_AT, 0x1FFF_7A00 - 43, 0x1FFF_7800 - 1])
def test_nothing_is_read_outside_of_the_memory_that_the_table_has(
    desk: Desk, labs: list[Lab], address: int
) -> None:
    """The F405's has 512 bytes from 0x1FFF7800 on (RM0090). A gizmo's own header is no record either."""
    desk.sells("stm32f405", header={"address": 0x0800_0800}, otp_record={"address": address})
    desk.plug_in_gizmo("stm32f405", OLD, in_rom=True)
    (line,) = desk.updater("devices", "--json").lines
    assert line["identity"] == "none"
    assert labs[-1].boards[0].violations == ()


def test_a_chip_without_such_memory_is_not_asked(desk: Desk) -> None:
    desk.sells("stm32h743", otp_record={"address": 0x1FF0_F000})
    desk.plug_in_gizmo("stm32h743", OLD)
    assert desk.install(desk.bundle(NEW)).exit == 0


def test_after_a_cut_the_record_still_says_it(desk: Desk) -> None:
    """The journal is lost, the header is erased: without the record this would be a stranger."""
    desk.sells("stm32f405", otp_record={"address": RECORD_AT["stm32f405"]})
    desk.plug_in_gizmo("stm32f405", OLD)
    burnt(desk, (0, record()))
    with desk.cut(lambda block, data: block == 0 and data[:1] == b"\x41"):
        assert desk.install(desk.bundle(NEW)).exit == 9
    for journal in desk.state.rglob("journal/*.json"):
        journal.unlink()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["identity"]) == (0, "otp"), said.out
    assert desk.holds(NEW)


def test_only_product_and_hardware_can_contradict() -> None:
    one = ProductHeader(product="a", hardware="A", version=Version(1, 0, 0), security_counter=1)
    later = ProductHeader(product="a", hardware="A", version=Version(2, 0, 0), security_counter=9)
    other_hardware = ProductHeader(product="a", hardware="B", version=Version(1, 0, 0), security_counter=1)
    assert not disagreement(one, later)
    assert disagreement(one, other_hardware)
