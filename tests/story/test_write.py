"""`updater write`: a file that nobody signed, on an engineer's bench, only where vendor.toml allows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.desk import FLASH, GIZMO, Desk, Said, program
from updater.heads.dfufile import format_dfuse
from updater.heads.hexfile import format_hex
from updater.heads.silicon import the_table
from updater.lab.record import Power
from updater.lab.rom import Dialect
from updater.words.facts import Segment

OLD, NEW = program("1.0.0", (FLASH, 40_000)), program("1.1.0", (FLASH, 40_000))
F405, H743, F746, L476 = "stm32f405", "stm32h743", "stm32f746", "stm32l476"
TABLES_AT = 0x0804_0000
"""A sector of its own in an F405."""
TABLES = bytes(range(256)) * 20


def bench(desk: Desk, chip: str = F405, *, power: Power = Power.SELF, **described: Any) -> None:
    """An engineer's desk: the vendor folder says that files may be written, and a gizmo is plugged in."""
    desk.sells(chip, **described)
    vendor = desk.state.parent / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + "\n[engineering]\nwrite = true\n", "utf-8")
    desk.plug_in_gizmo(chip, OLD, power=power)


def file(desk: Desk, name: str, data: bytes) -> str:
    path = desk.state.parent / name
    path.write_bytes(data)
    return str(path)


def write(desk: Desk, path: str, *more: str, typed: str = GIZMO) -> Said:
    return desk.updater("write", path, *more, "--yes", "--json", stdin=f"{typed}\n")


def tables(desk: Desk) -> str:
    return file(desk, "tables.bin", TABLES)


def at(address: int) -> tuple[str, str]:
    return "--at", f"0x{address:08X}"


# ---------------------------------------------------------------------------------------------- the gates


@pytest.mark.parametrize("engineering", ["", "\n[engineering]\n", "\n[engineering]\nwrite = false\n"])
def test_without_a_word_in_vendor_toml_the_command_refuses_and_says_why(desk: Desk, engineering: str) -> None:
    desk.sells(F405)
    vendor = desk.state.parent / "own-vendor" / "vendor.toml"
    vendor.write_text(vendor.read_text("utf-8") + engineering, "utf-8")
    desk.plug_in_gizmo(F405, OLD)
    before = desk.flash()
    said = write(desk, tables(desk), *at(TABLES_AT))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "writes only what is signed" in said.last["message"]
    assert desk.flash() == before


@pytest.mark.parametrize("typed", ["", "gadget", "yes"])
def test_the_products_name_has_to_be_typed_and_yes_does_not_answer_that(desk: Desk, typed: str) -> None:
    bench(desk)
    before = desk.flash()
    said = write(desk, tables(desk), *at(TABLES_AT), typed=typed)
    assert (said.exit, said.last["error"]) == (12, "Cancelled")
    assert "nobody has signed tables.bin" in said.err
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


def test_the_question_comes_after_that(desk: Desk) -> None:
    bench(desk)
    before = desk.flash()
    said = desk.updater("write", tables(desk), *at(TABLES_AT), stdin=f"{GIZMO}\nno\n")
    assert (said.exit, desk.flash()) == (12, before)
    assert "Write tables.bin into this Gizmo now? [y/N]" in said.err


def test_a_signed_bundle_is_installed_as_ever(desk: Desk) -> None:
    bench(desk)
    assert desk.install(desk.bundle(NEW)).exit == 0
    assert desk.holds(NEW)


# ------------------------------------------------------------------------------------------------ the work


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("chip", "where", "kib"), [(F405, TABLES_AT, 512), (H743, 0x0810_0000, 2048), (L476, 0x0804_0000, 1024)]
)
def test_a_piece_is_written_and_the_program_stays(
    desk: Desk, chip: str, where: int, kib: int, dialect: Dialect
) -> None:
    """On an H743 of revision V the piece lies in bank 2, whose erase wedges the ROM: the same remedy."""
    desk.speaks(dialect)
    bench(desk, chip, flash_kib=kib)
    said = write(desk, tables(desk), *at(where))
    assert said.exit == 0, said.err
    assert desk.holds(OLD)
    assert desk.flash()[where - FLASH :][: len(TABLES)] == TABLES
    assert (said.last["type"], said.last["result"], said.last["verified"]) == (
        "write-receipt",
        "confirmed",
        "read-back",
    )
    assert said.last["signed_by"] == []
    assert said.last["device"]["version"] == "1.0.0"
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize("suffix", ["bin", "hex", "dfu"])
def test_a_whole_program_is_written_from_any_kind_of_file(desk: Desk, suffix: str) -> None:
    bench(desk)
    (image,) = NEW.segments
    data = {
        "bin": image.data,
        "hex": format_hex(NEW.segments).encode(),
        "dfu": format_dfuse(NEW.segments, name="from a tool of ST"),
    }[suffix]
    said = write(desk, file(desk, f"new.{suffix}", data), *(at(FLASH) if suffix == "bin" else ()))
    assert said.exit == 0, said.err
    assert desk.holds(NEW)
    assert said.last["device"]["version"] == "1.1.0"


def test_the_plan_says_what_it_is_and_a_dry_run_stops_there(desk: Desk) -> None:
    bench(desk)
    before = desk.flash()
    said = desk.updater("write", tables(desk), *at(TABLES_AT), "--dry-run")
    assert (said.exit, desk.flash()) == (0, before)
    for line in (
        "Gizmo, hardware A: tables.bin, which nobody has signed",
        "bytes:    5,120 bytes at 0x08040000",
        "erase:    1 sector: 128 KiB at 0x08040000",
        "lost:     125,952 bytes",
        "note:     the program that is there stays",
    ):
        assert line in said.err


def test_bytes_that_are_there_already_are_not_erased_again(desk: Desk) -> None:
    bench(desk)
    assert write(desk, tables(desk), *at(TABLES_AT)).exit == 0
    again = write(desk, tables(desk), *at(TABLES_AT))
    assert (again.exit, again.last["erased_sectors"], again.last["wrote_bytes"]) == (0, 0, 0)


@pytest.mark.parametrize("power", Power)
def test_after_a_cut_the_same_command_finishes_it(desk: Desk, power: Power) -> None:
    bench(desk, power=power)
    with desk.cut(lambda block, _data: block == 3):
        cut = write(desk, tables(desk), *at(TABLES_AT))
    assert (cut.exit, cut.last["error"]) == (9, "NotFinished")
    desk.replug()
    said = write(desk, tables(desk), *at(TABLES_AT))
    assert said.exit == 0, said.err
    assert desk.flash()[TABLES_AT - FLASH :][: len(TABLES)] == TABLES
    assert desk.holds(OLD)


# --------------------------------------------------------------------------------------------- the refusals


def test_what_the_product_keeps_is_not_overwritten_unless_that_is_said(desk: Desk) -> None:
    bench(desk, keep=[{"address": TABLES_AT + 0x1000, "length": 64}])
    said = write(desk, tables(desk), *at(TABLES_AT))
    assert (said.exit, said.last["error"]) == (6, "Refused")
    shown = desk.updater("write", tables(desk), *at(TABLES_AT), "--over-kept", "--dry-run")
    assert "KEPT:     64 bytes at 0x08041000" in shown.err
    over = write(desk, tables(desk), *at(TABLES_AT), "--over-kept")
    assert over.exit == 0, over.err


@pytest.mark.parametrize(
    ("address", "data"),
    [
        pytest.param(FLASH, TABLES, id="no vector table at the start"),
        pytest.param(FLASH + 0x400, TABLES, id="in the sector of the vector table, which would be gone"),
        pytest.param(0x0810_0000, TABLES, id="behind the flash"),
        pytest.param(0x1FFF_7800, b"\x00" * 16, id="OTP"),
        pytest.param(0x2000_0000, b"\x00" * 16, id="RAM"),
    ],
)
def test_what_would_leave_no_program_or_is_no_flash_is_refused(desk: Desk, address: int, data: bytes) -> None:
    bench(desk)
    before = desk.flash()
    said = write(desk, file(desk, "x.bin", data), *at(address))
    assert (said.exit in (4, 6), said.last["device_is"]) == (True, "untouched")
    assert desk.flash() == before


def test_firmware_of_another_product_is_refused(desk: Desk) -> None:
    bench(desk)
    (image,) = program("1.1.0", (FLASH, 6000), product="other").segments
    said = write(desk, file(desk, "x.bin", image.data), *at(FLASH))
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert "firmware of a other" in said.last["message"]


@pytest.mark.parametrize(
    ("name", "data", "more"),
    [
        ("x.bin", b"1234", ()),
        ("x.hex", b"garbage", ()),
        ("x.hex", b":00000001FF\n", ()),
        ("x.dfu", b"garbage", ()),
        ("x.elf", b"\x7fELF", at(TABLES_AT)),
        ("x.hex", format_hex([Segment(address=FLASH, data=b"1")]).encode(), at(FLASH)),
        ("x.bin", b"1234", ("--at", "0xFFFFFFFE")),
        ("x.bin", b"1234", ("--at", "-1")),
    ],
)
def test_a_file_that_cannot_be_understood_is_usage(
    desk: Desk, name: str, data: bytes, more: tuple[str, ...]
) -> None:
    bench(desk)
    assert write(desk, file(desk, name, data), *more).exit == 2


def test_a_dfuse_file_for_another_memory_is_refused(desk: Desk) -> None:
    bench(desk)
    data = format_dfuse([Segment(address=0x1FFFC000, data=bytes(16))], name="options", alternate=1)
    said = write(desk, file(desk, "options.dfu", data))
    assert said.exit == 2
    assert "option bytes and OTP are not written from a file" in said.last["message"]


def test_no_file_reaches_the_option_bytes_of_any_chip(desk: Desk) -> None:
    """Through the command line on a few; for every row in tests/heads/test_options_never_written.py."""
    for number, chip in enumerate((F405, F746, H743, L476, "stm32u575")):
        row = the_table().by_id(chip)
        assert row is not None
        assert row.option_bytes is not None
        bench(desk, chip)
        options = desk.lab / "board1" / "options.bin"
        before = options.read_bytes()
        said = write(desk, file(desk, "x.bin", bytes(16)), *at(row.option_bytes.at))
        assert said.exit in (4, 6), chip
        assert options.read_bytes() == before
        (desk.lab / "board1").rename(desk.state.parent / f"gone{number}")
