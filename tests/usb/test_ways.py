"""The serial ways into the bootloader, over the kernel's own CDC-ACM driver and pyserial."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.tools import need
from tests.usb.attached import attached_boards_script
from tests.usb.guest import run_in_guest
from updater.demo.plays import plays
from updater.heads.gate import verify_bundle
from updater.heads.vendor import Kind, parse_vendor
from updater.lab.record import BoardState
from updater.lab.shelf import add_board, load_records
from updater.words.facts import Segment

pytestmark = pytest.mark.usb

DEADLINE_S = 400
MSP_REBOOT = '{ send_hex = "24 4D 3C 01 44 01 44", expect_hex = "24 4D 3E 01 44 01 44" }'
MSP = f'{{ kind = "serial-send", steps = [{MSP_REBOOT}] }}'
TOUCH = '{ kind = "touch-1200", within_ms = 3000 }'
PORTS = {"demo-widget": "1-2", "demo-gadget": "1-1"}


@dataclass(frozen=True)
class Results:
    """What the guest left behind."""

    folder: Path
    vendor: DemoVendor

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(errors="replace")

    def last(self, name: str) -> Any:
        return json.loads(self.text(name).splitlines()[-1])

    def segments(self, release: str) -> tuple[Segment, ...]:
        bundle = verify_bundle(
            self.vendor.bundle(release), embedded_root=self.vendor.root, now=datetime.now(UTC)
        )
        return bundle.segments(bundle.manifest.images[0])

    def holds(self, release: str) -> bool:
        board = release.rpartition("-")[0]
        flash = (self.folder / "lab" / board / "flash.bin").read_bytes()
        parts = self.segments(release)
        return all(flash[part.address - 0x08000000 :][: len(part.data)] == part.data for part in parts)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The widget is sent by a touch, the gadget by MSP, after one try that another program's lock forbids."""
    need("qemu-system-x86_64")
    folder = tmp_path_factory.mktemp("ways")
    vendor = make_demo(folder / "vendor", kind=Kind.PRODUCT, now=datetime.now(UTC))
    file = vendor.folder / "vendor" / "vendor.toml"
    ways = iter([TOUCH, MSP])
    text = re.sub(r"ways = \[.*\]", lambda _: f"ways = [{next(ways)}]", file.read_text("utf-8"))
    file.write_text(text, "utf-8")
    results = Results(folder, vendor)
    for product in parse_vendor(text, allow_loopback_http=True).products:
        add_board(
            folder / "lab",
            chip=product.chips[0],
            name=product.id,
            port=PORTS[product.id],
            product=plays(product),
            segments=results.segments(f"{product.id}-1.0.0"),
        )
    run = run_in_guest(
        attached_boards_script("$RESULTS/lab", _commands(vendor), devices=2),
        results=folder,
        deadline_s=DEADLINE_S,
    )
    assert run.exit_status == 0, run.output
    return results


def _commands(vendor: DemoVendor) -> str:
    lines = [f'export UPDATER_VENDOR="{vendor.folder}/vendor" UPDATER_STATE="$RESULTS/state"', _PORTS]
    for name, port in PORTS.items():
        bundle = vendor.folder / "bundles" / f"{name}-1.1.0.fwb"
        install = f'"$PYTHON" -m updater install "{bundle}" --device {port} --yes --json'
        if name == "demo-gadget":
            lines.append(
                f'{_LOCK} ( {install} ) >"$RESULTS/locked.txt" 2>"$RESULTS/locked.err"; kill $locker; wait'
            )
        lines.append(f'{install} >"$RESULTS/{name}.txt" 2>"$RESULTS/{name}.err"')
    return "\n".join(lines) + "\ntrue\n"


_PORTS = """
for tty in /sys/class/tty/ttyACM*; do
    echo "$(basename "$(realpath "$tty/device")") $(basename "$(realpath "$tty/device/driver")")"
done | sort >"$RESULTS/ports.txt"
"""
_LOCK = """
name=$("$PYTHON" -c 'if 1:
    from updater.hands.serialio import RealSerialPorts
    print(RealSerialPorts().find("1-1", "1209:0002", None))')
"$PYTHON" -c "import serial, time; port = serial.Serial('$name', exclusive=True); time.sleep(60)" &
locker=$!
sleep 3
"""


def test_the_kernels_cdc_acm_makes_a_serial_port_of_each(results: Results) -> None:
    assert results.text("ports").splitlines() == ["1-1:1.1 cdc_acm", "1-2:1.1 cdc_acm"]


@pytest.mark.parametrize("product", PORTS)
def test_a_device_is_sent_and_updated_over_its_serial_port(results: Results, product: str) -> None:
    receipt = results.last(product)
    assert (receipt.get("exit"), receipt.get("result")) == (0, "confirmed"), results.text(product)
    assert receipt["identity"] == "application"
    assert results.holds(f"{product}-1.1.0")
    states = {record.name: record.state for record in load_records(results.folder / "lab")}
    assert states[product] is BoardState.APPLICATION


def test_a_serial_port_in_use_is_said_and_changes_nothing(results: Results) -> None:
    error = results.last("locked")
    assert (error["exit"], error["error"], error["device_is"]) == (8, "CannotOpen", "runs-old")
    assert "another program is using the serial port /dev/ttyACM" in error["message"]
