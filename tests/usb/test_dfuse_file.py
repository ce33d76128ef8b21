"""What dfu-util 0.11 says of a DfuSe file that `bundles export` has written, of memory that we read, and of
one-time-programmable bytes that we burnt over real libusb.

One guest for all: board 1 is an STM32F405, board 2 the STM32F746 on which ST-LINK Utility could not do it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles.cli import main
from bundles.demo.make import DemoVendor, make_demo
from bundles.firmware import read_firmware
from bundles.recipe import parse_recipe
from bundles.release import build, sign
from tests.tools import need
from tests.usb.attached import attached_boards_script
from tests.usb.guest import run_in_guest
from updater.doors.cli import run
from updater.heads.vendor import Kind
from updater.lab.shelf import add_board
from updater.words.facts import Segment

pytestmark = pytest.mark.usb

DEADLINE_S = 400
FLASH = 0x08000000
BEFORE = bytes(0x100000)
"""Every byte of the virtual STM32F405's flash is 0 before: what is 0xFF afterwards was erased."""
HEX = Path(__file__).parents[2] / "bundles/demo/firmware/images/demo-gadget-1.1.0.hex"
TABLES_AT = 0x08060000
TABLES = random.Random(5).randbytes(5001)
OTP = random.Random(7).randbytes(32)
UPLOADS = {
    "flash": (0, TABLES_AT - 100, 5000),
    "options": (1, 0x1FFFC000, 16),
    "otp": (2, 0x1FFF7800, 528),
}
"""Region: alternate setting, address and length, as dfu-util is asked for them."""
RECIPE = f"""
product = "demo-gadget"
hardware = ["A"]
version = "1.1.0"
security_counter = 1
channels = ["stable"]
created = 2026-03-02
min_tool = "0.1.0"
notes = "The demo's firmware, and tables in a sector of their own."

[[image]]
name = "stm32f405"
for = {{ dev_ids = [0x413] }}
inputs = [{{ file = "{HEX.as_posix()}" }}, {{ file = "tables.bin", address = 0x{TABLES_AT:X} }}]
"""
OTP_F746_AT = 0x1FF0F000
OTP_RELEASE = f"""
product = "demo-gadget"
hardware = ["A"]
version = "1.1.0"
security_counter = 1
channels = ["stable"]
created = 2026-03-02
min_tool = "0.1.0"
notes = "The demo's firmware for another chip, and an OTP layout."
otp = "layout.toml"

[[image]]
name = "stm32f746"
for = {{ dev_ids = [0x449] }}
inputs = [{{ file = "{HEX.as_posix()}" }}]
"""
LAYOUT = """
schema = 1
product = "demo-gadget"
[[field]]
name = "serial"
type = "u32"
endian = "big"
offset = 0x22
asked = true
[[field]]
name = "made"
type = "date"
offset = 0x81
asked = true
"""
OTP_BEFORE = {0x20: "0037", 0x400 + 5: "00"}
"""What somebody burnt before: the bytes beside the serial number, and the lock of block 5."""
OTP_AFTER = OTP_BEFORE | {0x22: "01020304", 0x81: "20261130"}


def memory(places: dict[int, str]) -> bytes:
    """An F746's 1,024 bytes and 16 lock bytes, blank but for these."""
    held = bytearray(b"\xff" * 1040)
    for at, digits in places.items():
        held[at : at + len(digits) // 2] = bytes.fromhex(digits)
    return bytes(held)


@dataclass(frozen=True)
class Said:
    """What a command in the guest printed, and its exit status."""

    status: int
    text: str


def said(folder: Path, name: str) -> Said:
    status = int((folder / f"{name}.status").read_text())
    return Said(status, (folder / f"{name}.txt").read_text(errors="replace"))


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder after `dfu-suffix -c` and `dfu-util -D` on the exported gadget firmware."""
    need("qemu-system-x86_64", "dfu-util")
    folder = tmp_path_factory.mktemp("dfuse")
    vendor = make_demo(tmp_path_factory.mktemp("vendor") / "demo", kind=Kind.PRODUCT, now=datetime.now(UTC))
    (folder / "tables.bin").write_bytes(TABLES)
    (folder / "gadget.fwb").write_bytes(build(parse_recipe(RECIPE.encode()), folder, [vendor.root]))
    assert main(["export", str(folder / "gadget.fwb"), "-o", str(folder / "gadget.dfu")]) == 0
    add_board(
        folder / "lab",
        chip="stm32f405",
        name="board1",
        port="1-1",
        in_rom=True,
        segments=[Segment(address=FLASH, data=BEFORE)],
    )
    otp = folder / "lab" / "board1" / "otp.bin"
    otp.write_bytes(OTP.ljust(otp.stat().st_size, b"\xff"))
    write = board_for_otp(folder, vendor)
    commands = f'export UPDATER_VENDOR="{vendor.folder}/vendor" UPDATER_STATE="$RESULTS/state-of-guest"\n'
    for name, command in (
        ("suffix", 'dfu-suffix -c "$RESULTS/gadget.dfu"'),
        ("download", 'timeout 120 dfu-util -p 1-1 -D "$RESULTS/gadget.dfu"'),
        ("burnt", write),
        (
            "otp-of-f746",
            f'timeout 60 dfu-util -p 1-2 -a 2 -s 0x{OTP_F746_AT:X}:1040 -U "$RESULTS/otp-of-f746.bin"',
        ),
        *(
            (name, f'timeout 60 dfu-util -p 1-1 -a {alternate} -s 0x{at:X}:{length} -U "$RESULTS/{name}.bin"')
            for name, (alternate, at, length) in UPLOADS.items()
        ),
    ):
        commands += f'{command} >"$RESULTS/{name}.txt" 2>&1; echo $? >"$RESULTS/{name}.status"\n'
    guest = run_in_guest(
        attached_boards_script("$RESULTS/lab", commands, devices=2), results=folder, deadline_s=DEADLINE_S
    )
    assert guest.exit_status == 0, guest.output
    return folder


def board_for_otp(folder: Path, vendor: DemoVendor) -> str:
    """Board 2, a release with a layout for it, and the command that burns two values by that layout."""
    described = vendor.folder / "vendor" / "vendor.toml"
    text = described.read_text("utf-8").replace('["stm32f405"]', '["stm32f405", "stm32f746"]')
    described.write_text(text, "utf-8")
    (folder / "layout.toml").write_text(LAYOUT, "utf-8")
    bundle = build(parse_recipe(OTP_RELEASE.encode()), folder, [vendor.root])
    for name in ("release-1", "release-2"):
        bundle = sign(bundle, vendor.signer(name))
    (folder / "otp.fwb").write_bytes(bundle)
    add_board(folder / "lab", chip="stm32f746", name="board2", port="1-2", in_rom=True)
    (folder / "lab" / "board2" / "otp.bin").write_bytes(memory(OTP_BEFORE))
    return (
        '"$PYTHON" -m updater otp write --layout "$RESULTS/otp.fwb" --set serial=0x01020304 '
        "--set made=2026-11-30 --device 1-2 --as demo-gadget:A --yes --json"
    )


def test_dfu_util_reads_the_otp_bytes_that_we_burnt_and_nothing_beside_them_changed(downloaded: Path) -> None:
    burnt = said(downloaded, "burnt")
    assert burnt.status == 0, burnt.text
    assert '"result": "written"' in burnt.text
    uploaded = said(downloaded, "otp-of-f746")
    assert uploaded.status == 0, uploaded.text
    assert (downloaded / "otp-of-f746.bin").read_bytes() == memory(OTP_AFTER)
    assert (downloaded / "lab" / "board2" / "otp.bin").read_bytes() == memory(OTP_AFTER)


def test_dfu_suffix_reads_our_suffix(downloaded: Path) -> None:
    checked = said(downloaded, "suffix")
    assert checked.status == 0, checked.text
    for line in ("BCD device:\t0x0000", "Product ID:\t0xDF11", "Vendor ID:\t0x0483", "BCD DFU:\t0x011A"):
        assert line in checked.text


def test_dfu_util_accepts_the_file_and_downloads_its_elements(downloaded: Path) -> None:
    download = said(downloaded, "download")
    assert download.status == 0, download.text
    assert "File contains 1 DFU images" in download.text
    assert "Target name: demo-gadget 1.1.0 stm32f405" in download.text
    for element in ("Parsing element 1, address = 0x08000000", "Parsing element 2, address = 0x08060000"):
        assert element in download.text


def test_the_flash_then_holds_the_bytes_of_the_compilers_hex_file(downloaded: Path) -> None:
    """Read here by the Intel HEX reader, so that exporter and test do not share a path."""
    flash = (downloaded / "lab" / "board1" / "flash.bin").read_bytes()
    firmware = read_firmware(HEX)
    assert len(firmware) > 1
    for part in (*firmware, Segment(address=TABLES_AT, data=TABLES)):
        at = part.address - FLASH
        assert flash[at : at + len(part.data)] == part.data
    assert flash[0x20000:0x60000] == BEFORE[0x20000:0x60000], "two sectors that the file does not touch"
    assert flash[0x80000:] == BEFORE[0x80000:]


@pytest.mark.parametrize("region", UPLOADS)
def test_dfu_util_uploads_the_bytes_that_updater_read_gives(
    downloaded: Path, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same board on the kernel's USB and in the lab; neither knows of the other's file."""
    uploaded = said(downloaded, region)
    assert uploaded.status == 0, uploaded.text
    monkeypatch.setenv("UPDATER_STATE", str(downloaded / "state"))
    _, address, length = UPLOADS[region]
    place = ["--address", hex(address), "--length", str(length)] if region == "flash" else []
    ours = downloaded / f"{region}-ours.bin"
    read = ["read", "--region", region, "--device", "1-1", "--as", "demo-gadget:A", *place]
    assert run(["--lab", str(downloaded / "lab"), *read, "--output", str(ours)]) == 0
    assert ours.read_bytes() == (downloaded / f"{region}.bin").read_bytes()
    assert len(ours.read_bytes()) == length
    if region == "otp":
        assert ours.read_bytes().startswith(OTP)
