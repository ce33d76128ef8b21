"""What others say of our virtual silicon: dfu-util 0.11, the kernel's USB stack, and real libusb."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.tools import need
from tests.usb.attached import attached_boards_script
from tests.usb.guest import GuestRun, run_in_guest
from updater.heads.gate import verify_bundle
from updater.heads.vendor import Kind
from updater.lab.application import LabProduct
from updater.lab.shelf import add_board
from updater.words.facts import Segment

pytestmark = pytest.mark.usb

DEADLINE_S = 400
PORTS = {"board1": "1-3", "board2": "1-1", "board3": "1-2"}
"""Not in the order of names: the kernel must show each board at its own port path."""
F405, H743_Y, H743_V = PORTS

IMAGE = random.Random(3).randbytes(40_000)
SECTOR = 0x20000
ACROSS_THE_BANKS = bytes(8 * SECTOR + 1024)
"""One KiB more than bank 1: the ninth sector must be erased."""


PRODUCTS = {F405: "demo-gadget", H743_Y: "demo-widget", H743_V: "demo-widget"}
SILICON: dict[str, dict[str, Any]] = {
    F405: {},
    H743_Y: {"revision": "Y", "rom_version": 0xD3},
    H743_V: {"revision": "V", "rom_version": 0x91},
}


@dataclass(frozen=True)
class Results:
    """What the guest left behind."""

    run: GuestRun
    folder: Path

    def status(self, name: str) -> int:
        return int((self.folder / f"{name}.status").read_text())

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(errors="replace")

    def flash(self, board: str) -> bytes:
        return (self.folder / "lab" / board / "flash.bin").read_bytes()


def recorded(name: str, command: str) -> str:
    """Run a command, keep what it says and its exit status."""
    return f'{command} >"$RESULTS/{name}.txt" 2>&1; echo $? >"$RESULTS/{name}.status"\n'


# ------------------------------------------------------------------------------------------------- dfu-util


@pytest.fixture(scope="module")
def by_dfu_util(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """dfu-util lists, downloads to and uploads from three boards in their ROM."""
    need("qemu-system-x86_64", "dfu-util")
    folder = tmp_path_factory.mktemp("dfu-util")
    lab = folder / "lab"
    add_board(lab, chip="stm32f405", name=F405, port=PORTS[F405], in_rom=True)
    held = [Segment(address=0x08000000, data=bytes(10 * SECTOR))]
    for name in (H743_Y, H743_V):
        add_board(
            lab,
            chip="stm32h743",
            name=name,
            port=PORTS[name],
            in_rom=True,
            segments=held,
            **SILICON[name],
        )
    (folder / "image.bin").write_bytes(IMAGE)
    (folder / "across.bin").write_bytes(ACROSS_THE_BANKS)
    commands = "dfu-util --version | head -n 1\n" + recorded("list", "dfu-util -l")
    for name in (F405, H743_Y):
        port = PORTS[name]
        at = "-a 0 -s 0x08000000"
        commands += recorded(f"{name}-download", f'dfu-util -p {port} {at} -D "$RESULTS/image.bin"')
        upload = f'dfu-util -p {port} {at}:{len(IMAGE)} -U "$RESULTS/{name}.bin"'
        commands += recorded(f"{name}-upload", upload)
    download = f'timeout 60 dfu-util -p {PORTS[H743_V]} -a 0 -s 0x08000000 -D "$RESULTS/across.bin"'
    commands += recorded(f"{H743_V}-download", download)
    run = run_in_guest(
        attached_boards_script("$RESULTS/lab", commands, devices=3),
        results=folder,
        deadline_s=DEADLINE_S,
    )
    assert run.exit_status == 0, run.output
    return Results(run, folder)


def test_it_is_dfu_util_0_11(by_dfu_util: Results) -> None:
    assert by_dfu_util.run.output.startswith("dfu-util 0.11")


def test_dfu_util_lists_every_alternate_setting_of_every_board(by_dfu_util: Results) -> None:
    listed = by_dfu_util.text("list")
    assert by_dfu_util.status("list") == 0
    found = [line for line in listed.splitlines() if line.startswith("Found DFU: [0483:df11]")]
    assert len(found) == 4 + 2 + 2
    for text in (
        'name="@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg"',
        'name="@OTP Memory /0x1FFF7800/01*512 e,01*016 e"',
        'name="@Device Feature/0xFFFF0000/01*004 e"',
        'name="@Internal Flash   /0x08000000/16*128Kg"',
        'serial="200364500000"',
        'serial="100364500000"',
    ):
        assert text in listed


@pytest.mark.parametrize("board", [F405, H743_Y])
def test_dfu_util_downloads_and_uploads(by_dfu_util: Results, board: str) -> None:
    assert by_dfu_util.status(f"{board}-download") == 0, by_dfu_util.text(f"{board}-download")
    assert by_dfu_util.flash(board)[: len(IMAGE)] == IMAGE
    assert by_dfu_util.status(f"{board}-upload") == 0, by_dfu_util.text(f"{board}-upload")
    assert (by_dfu_util.folder / f"{board}.bin").read_bytes() == IMAGE


def test_dfu_util_fails_at_sector_8_of_a_rev_v_chip_with_rom_0x91(by_dfu_util: Results) -> None:
    """The first field story, told by another tool: the ninth erase never ends, and nothing is written.

    The hardware does erase that sector (AN2606 table 136); the tenth is what it was.
    """
    assert by_dfu_util.status(f"{H743_V}-download") != 0, by_dfu_util.text(f"{H743_V}-download")
    flash = by_dfu_util.flash(H743_V)
    assert flash[: 9 * SECTOR] == b"\xff" * (9 * SECTOR)
    assert flash[9 * SECTOR : 10 * SECTOR] == bytes(SECTOR)
    board = (by_dfu_util.folder / "lab" / H743_V / "board.toml").read_text("utf-8")
    assert "state = 4\n" in board, "dfuDNBUSY"
    assert "stuck = true\n" in board


# ------------------------------------------------------------------------------------------ our own updater


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> DemoVendor:
    """A product vendor: its updater may write to what the kernel says is a real device."""
    folder = tmp_path_factory.mktemp("product") / "vendor"
    return make_demo(folder, kind=Kind.PRODUCT, now=datetime.now(UTC))


def segments(vendor: DemoVendor, release: str) -> tuple[Segment, ...]:
    bundle = verify_bundle(vendor.bundle(release), embedded_root=vendor.root, now=datetime.now(UTC))
    return bundle.segments(bundle.manifest.images[0])


@pytest.fixture(scope="module")
def by_updater(tmp_path_factory: pytest.TempPathFactory, vendor: DemoVendor) -> Results:
    """`updater install` on three running devices, through the kernel and libusb."""
    need("qemu-system-x86_64")
    folder = tmp_path_factory.mktemp("updater")
    commands = f'export UPDATER_VENDOR="{vendor.folder}/vendor" UPDATER_STATE="$RESULTS/state"\n'
    commands += recorded("devices", '"$PYTHON" -m updater devices --json')
    for name, product in PRODUCTS.items():
        described = vendor.vendor.product(product)
        assert described is not None
        plays = LabProduct(product=product, hardware="A", title=described.title, usb=described.usb[0])
        add_board(
            folder / "lab",
            chip=described.chips[0],
            name=name,
            port=PORTS[name],
            product=plays,
            segments=segments(vendor, f"{product}-1.0.0"),
            **SILICON[name],
        )
        bundle = vendor.folder / "bundles" / f"{product}-1.1.0.fwb"
        install = f'"$PYTHON" -m updater install "{bundle}" --device {PORTS[name]} --yes --json'
        commands += recorded(name, install)
    run = run_in_guest(
        attached_boards_script("$RESULTS/lab", commands, devices=3), results=folder, deadline_s=DEADLINE_S
    )
    assert run.exit_status == 0, run.output
    return Results(run, folder)


def test_updater_sees_all_three_on_the_kernels_ports(by_updater: Results) -> None:
    assert by_updater.status("devices") == 0, by_updater.text("devices")
    for port in PORTS.values():
        assert f'"port": "{port}"' in by_updater.text("devices")


@pytest.mark.parametrize(("board", "product"), PRODUCTS.items())
def test_updater_install_succeeds_through_real_libusb(
    by_updater: Results, vendor: DemoVendor, board: str, product: str
) -> None:
    said = by_updater.text(board)
    assert by_updater.status(board) == 0, said
    assert '"result": "confirmed"' in said
    flash = by_updater.flash(board)
    for part in segments(vendor, f"{product}-1.1.0"):
        assert flash[part.address - 0x08000000 :][: len(part.data)] == part.data
