"""`updater read`: what people took ST-LINK Utility or CubeProgrammer for, over the USB cable they have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from intelhex import IntelHex

from tests.desk import FLASH, Desk, program
from tests.story.otp_desk import F746, burnt
from updater.doors.memory.console import request_for
from updater.heads.dfu.words import Out, Request
from updater.heads.dfufile import parse_dfuse
from updater.heads.listener import Transfer
from updater.heads.memory import Kind, Wanted
from updater.heads.silicon import the_table
from updater.lab.rom import Dialect
from updater.story.readout import read_out

RUNS = program("1.0.0", (FLASH, 40_000))
F405, H743, L476, G0B1 = "stm32f405", "stm32h743", "stm32l476", "stm32g0b1"


def plug_in(desk: Desk, chip: str, **described: object) -> None:
    desk.sells(chip, **described)
    desk.plug_in_gizmo(chip, RUNS)


def file(desk: Desk, name: str) -> Path:
    return desk.state.parent / name


def set_options(desk: Desk, *places: tuple[int, str]) -> None:
    """Somebody has set these option bytes (offset in what the ROM shows, hex digits)."""
    path = desk.lab / "board1" / "options.bin"
    held = bytearray(path.read_bytes())
    for at, digits in places:
        data = bytes.fromhex(digits)
        held[at : at + len(data)] = data
    path.write_bytes(held)


# ------------------------------------------------------------------------------------------------ the flash


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("chip", [F405, "stm32g474", "stm32f072"])
def test_the_whole_flash_is_kept_in_a_file_and_the_application_runs_on(
    desk: Desk, chip: str, dialect: Dialect
) -> None:
    desk.speaks(dialect)
    plug_in(desk, chip)
    path = file(desk, "backup.bin")
    length = len(desk.flash())
    said = desk.updater("read", "--region", "flash", "--length", str(length), "--output", str(path), "--json")
    assert said.exit == 0, said.err
    assert path.read_bytes() == desk.flash()
    assert (said.last["type"], said.last["region"], said.last["file"]) == ("memory", "flash", str(path))
    assert said.last["parts"][0]["hex"] is None, "a backup does not go into the log as well"
    assert {line["step"] for line in said.lines if line["type"] == "progress"} == {
        "enter",
        "read",
        "leave",
        "confirm",
    }
    assert desk.board()["state"] == "application"


def test_a_piece_of_it_is_kept_as_intel_hex_and_as_dfuse_alike(desk: Desk) -> None:
    plug_in(desk, F405)
    piece = ("--region", "flash", "--address", "0x08000401", "--length", "1001")
    for name in ("piece.hex", "piece.dfu", "piece.bin"):
        assert desk.updater("read", *piece, "--output", str(file(desk, name))).exit == 0
    wanted = desk.flash()[0x401 : 0x401 + 1001]
    assert file(desk, "piece.bin").read_bytes() == wanted
    ihex = IntelHex()
    ihex.loadhex(io.StringIO(file(desk, "piece.hex").read_text()))
    assert (ihex.minaddr(), bytes(ihex.tobinarray())) == (0x08000401, wanted)
    (element,) = parse_dfuse(file(desk, "piece.dfu").read_bytes())
    assert (element.address, element.data) == (0x08000401, wanted)


def test_how_much_flash_there_is_must_be_known_or_said(desk: Desk) -> None:
    """F405 parts have 512 KiB or 1 MiB, and nobody has published that the ROM gives the size register out."""
    plug_in(desk, F405)
    said = desk.updater("read", "--region", "flash", "--output", str(file(desk, "x.bin")), "--json")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "runs-old")
    assert "512 or 1,024 KiB" in said.last["message"]
    assert "--length 0x80000" in said.last["advice"]
    assert not file(desk, "x.bin").exists()


def test_the_vendor_can_state_the_size(desk: Desk) -> None:
    plug_in(desk, F405, flash_kib=512)
    said = desk.updater("read", "--region", "flash", "--output", str(file(desk, "x.bin")))
    assert said.exit == 0, said.err
    assert file(desk, "x.bin").read_bytes() == desk.flash()[: 512 * 1024]


@pytest.mark.parametrize(
    "place", [("0x08000000", "0x10000000"), ("0x07FFFFFC", "8"), ("0x1FFF7800", "4"), ("0x20000000", "4")]
)
def test_what_is_not_flash_is_not_read_as_flash(desk: Desk, place: tuple[str, str]) -> None:
    plug_in(desk, F405)
    said = desk.updater("read", "--region", "flash", "--address", place[0], "--length", place[1], "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")
    assert desk.board()["state"] == "application"


def test_a_board_that_is_in_its_bootloader_is_read_and_stays_there(desk: Desk) -> None:
    """Its program tells which product it is; one without a program needs --as."""
    desk.sells(F405)
    desk.plug_in_gizmo(F405, RUNS, in_rom=True)
    desk.plug_in_gizmo(F405, None, in_rom=True, name="board2", port="1-2")
    wanted = ("read", "--region", "flash", "--length", "64", "--json", "--device")
    for port, more in (("1-1", ()), ("1-2", ("--as", "gizmo:A"))):
        said = desk.updater(*wanted, port, *more)
        assert said.exit == 0, said.err
    assert desk.updater(*wanted, "1-2").exit == 3
    assert {desk.board(name)["state"] for name in ("board1", "board2")} == {"rom"}


def test_a_disk_that_cannot_be_written_is_said_and_the_device_runs(desk: Desk) -> None:
    plug_in(desk, F405)
    nowhere = str(file(desk, "no-such-folder") / "x.bin")
    said = desk.updater("read", "--region", "otp", "--output", nowhere, "--json")
    assert (said.exit, said.last["error"]) == (13, "StorageFailed")
    assert desk.board()["state"] == "application"


def test_a_damaged_dfu_file_is_not_shown(desk: Desk) -> None:
    path = file(desk, "x.dfu")
    path.write_bytes(b"\0" * 400)
    said = desk.updater("dfu", "show", str(path), "--json")
    assert (said.exit, said.last["error"]) == (2, "Usage")


# ------------------------------------------------------------------------------------------- on the screen


def test_without_a_file_the_start_is_shown_folded_with_its_text(desk: Desk) -> None:
    plug_in(desk, F405)
    desk.scribble(0x20, b"\xff" * 0x300 + b"Hello, world! \x7f\x1b")
    said = desk.updater("read", "--region", "flash")
    assert said.exit == 0
    head, *rows = said.out.splitlines()
    assert head == "Gizmo: 1,024 bytes of the flash of its STM32F405/407/415/417"
    assert rows[2] == "  0x08000020  " + "FF " * 16 + " ................"
    assert rows[3] == "  *"
    assert rows[4] == "  0x08000320  48 65 6C 6C 6F 2C 20 77 6F 72 6C 64 21 20 7F 1B  Hello, world! .."


def test_programs_get_the_bytes_in_the_line(desk: Desk) -> None:
    plug_in(desk, F405)
    said = desk.updater("read", "--region", "flash", "--address", "0x08000004", "--length", "8", "--json")
    (part,) = said.last["parts"]
    assert (part["address"], part["hex"]) == ("0x08000004", desk.flash()[4:12].hex())


# ------------------------------------------------------------------------------------------- OTP and the ID


def test_otp_is_read_with_its_lock_bytes_through_its_own_alternate(desk: Desk) -> None:
    plug_in(desk, F746)
    burnt(desk, (0x20, "0123456789ABCDEF"), (1024, "00"))
    path = file(desk, "otp.bin")
    said = desk.updater("read", "--region", "otp", "--output", str(path), "--json")
    assert (said.exit, said.last["alternate"]) == (0, 2)
    assert path.read_bytes() == (desk.lab / "board1" / "otp.bin").read_bytes()
    dfu = file(desk, "otp.dfu")
    assert desk.updater("read", "--region", "otp", "--output", str(dfu)).exit == 0
    shown = desk.updater("dfu", "show", str(dfu))
    assert "alternate setting 2 (not the flash): gizmo otp" in shown.out
    assert "1,040 bytes at 0x1FF0F000 to 0x1FF0F40F" in shown.out


def test_a_chip_without_otp_says_so_and_is_left_alone(desk: Desk) -> None:
    plug_in(desk, H743)
    said = desk.updater("read", "--region", "otp", "--json")
    assert (said.exit, said.last["device_is"]) == (4, "untouched")


def test_the_id_of_the_bootloader_is_read_from_its_rom(desk: Desk) -> None:
    plug_in(desk, H743)
    said = desk.updater("read", "--region", "id")
    assert "This bootloader's ID is 0x92." in said.out


# --------------------------------------------------------------------------------------------- option bytes


def test_option_bytes_of_an_f746_are_told_in_words(desk: Desk) -> None:
    """Typed from RM0385: RDP AA, BOR off, sectors 0 and 3 write-protected, BOOT_ADD0 0x0080."""
    plug_in(desk, F746)
    set_options(desk, (0, "FFAA"), (8, "F6FF"), (16, "8000"), (24, "4000"))
    said = desk.updater("read", "--region", "options")
    assert said.exit == 0
    for line in (
        "RDP        0xAA  level 0: not read-protected",
        "nWRP       0xF6  write-protected sectors: 0, 3",
        "BOOT_ADD0  0x0080  starts at 0x00200000",
        "documented: RM0431",
    ):
        assert line in said.out
    decoded = desk.updater("read", "--region", "options", "--json").last["options"]
    options = {one["name"]: one for one in decoded}
    assert options["BOR_LEV"]["value"] == "0x3"
    assert options["BOR_LEV"]["meaning"] == "brown-out reset is off"


def test_of_a_family_that_is_not_in_the_table_the_bytes_alone_are_shown(desk: Desk) -> None:
    plug_in(desk, "stm32h7a3")
    said = desk.updater("read", "--region", "options")
    assert said.exit == 0
    assert "What these bytes of a STM32H7A3/7B0/7B3 mean is not in the silicon table" in said.out


def test_where_the_bootloader_offers_none_the_row_says_why(desk: Desk) -> None:
    plug_in(desk, G0B1)
    said = desk.updater("read", "--region", "options", "--json")
    assert (said.exit, said.last["device_is"]) == (6, "untouched")
    assert "all three of its memories are called flash (ST:839156)" in said.last["message"]


# ---------------------------------------------------------------------------------------------- comparing


def test_a_file_that_is_equal_is_said_to_be(desk: Desk) -> None:
    plug_in(desk, F405)
    path = file(desk, "x.bin")
    path.write_bytes(desk.flash()[:5000])
    said = desk.updater("read", "--region", "flash", "--compare", str(path))
    assert said.exit == 0
    assert "all 5,000 bytes are those of" in said.out


def test_the_first_difference_is_named_and_how_many_there_are(desk: Desk) -> None:
    plug_in(desk, F405)
    desk.scribble(0x1000, b"\x11\x22\x33")
    held = bytearray(desk.flash()[0xF00:0x2000])
    held[0x101], held[0x102] = 0x77, 0x78
    path = file(desk, "x.bin")
    path.write_bytes(held)
    before = desk.flash()
    place = ("--region", "flash", "--address", "0x08000F00")
    said = desk.updater("read", *place, "--compare", str(path), "--json")
    assert (said.exit, said.last["error"]) == (14, "Differs")
    compared = said.lines[-2]
    assert (compared["type"], compared["differing_bytes"]) == ("compared", 2)
    assert compared["first"] == {"address": "0x08001001", "device": "0x22", "file": "0x77"}
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


def test_a_dfuse_file_is_compared_piece_by_piece(desk: Desk) -> None:
    plug_in(desk, F405)
    path = file(desk, "x.dfu")
    assert desk.updater(
        "read", "--region", "flash", "--length", "3000", "--output", str(path)
    ).exit == 0  # fmt: skip
    assert desk.updater("read", "--region", "flash", "--compare", str(path)).exit == 0
    desk.scribble(7, b"\x55")
    assert desk.updater("read", "--region", "flash", "--compare", str(path)).exit == 14


@pytest.mark.parametrize("more", [("--output", "y.bin"), ("--length", "4")])
def test_comparing_goes_with_nothing_else(desk: Desk, more: tuple[str, str]) -> None:
    plug_in(desk, F405)
    path = file(desk, "x.bin")
    path.write_bytes(b"1234")
    assert desk.updater("read", "--region", "flash", "--compare", str(path), *more).exit == 2


# --------------------------------------------------------------------------------------------- protection


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("region", ["flash", "otp"])
def test_a_read_protected_chip_is_exit_11_and_runs_on(desk: Desk, region: str, dialect: Dialect) -> None:
    desk.speaks(dialect)
    plug_in(desk, F405)
    desk.lock(reading=True)
    said = desk.updater("read", "--region", region, "--json")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert "this updater does not do that" in said.last["advice"]
    assert "debug probe" in said.last["advice"]


# -------------------------------------------------------------------------------------------- nothing is sent


class Ear:
    """Hears every download on the bus."""

    def __init__(self) -> None:
        self.written: list[tuple[int, bytes]] = []

    def opened(self, *_of: Any) -> None: ...
    def begins(self, *_of: Any) -> None: ...
    def failed(self, *_of: Any) -> None: ...

    def transferred(self, transfer: Transfer) -> None:
        if isinstance(transfer.wish, Out) and transfer.wish.request == Request.DNLOAD:
            self.written.append((transfer.wish.value, transfer.wish.data))


@pytest.mark.parametrize("chip", [F405, F746, H743, L476, "stm32wb55", "stm32u575", "stm32l072"])
def test_whatever_is_read_nothing_is_sent_but_addresses_and_the_farewell(desk: Desk, chip: str) -> None:
    """Block 0 with a set-address command (0x21 and four bytes), or the empty download that leaves."""
    plug_in(desk, chip)
    before = {path.name: path.read_bytes() for path in (desk.lab / "board1").glob("*.bin")}
    ear, wants = (
        Ear(),
        [Wanted(kind=Kind.OPTIONS), Wanted(kind=Kind.ID), Wanted(kind=Kind.FLASH, length=5000)],
    )
    row = the_table().by_id(chip)
    if row and row.otp:
        wants.append(Wanted(kind=Kind.OTP))
    with desk.hands() as hands:
        hands.bus.listener = ear
        for wanted in wants:
            read_out(hands, request_for(None, None), wanted, lambda _event: None)
    assert ear.written
    for block, data in ear.written:
        assert block == 0
        assert not data or (data[0], len(data)) == (0x21, 5)
    assert before == {path.name: path.read_bytes() for path in (desk.lab / "board1").glob("*.bin")}


@pytest.mark.parametrize("region", ["otp", "options", "id"])
@pytest.mark.parametrize("form", ["bin", "hex", "dfu"])
def test_what_was_kept_of_any_memory_is_compared_with_it(desk: Desk, region: str, form: str) -> None:
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", program("1.0.0"))
    path = str(file(desk, f"kept.{form}"))
    assert desk.updater("read", "--region", region, "--output", path).exit == 0
    assert desk.updater("read", "--region", region, "--compare", path).exit == 0


def test_taking_protection_off_is_refused_with_the_way_it_is_done_elsewhere(desk: Desk) -> None:
    """Of no row a source documents the state after it; level 2 has no words in the command line at all."""
    said = desk.updater("unprotect", "--json")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "STM32CubeProgrammer do it (option byte RDP, level 0)" in said.last["advice"]
