"""A product's executable updates a board on the kernel's own USB, with the libusb that it carries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles.demo.make import DemoVendor
from tests.exe.build import Built
from tests.usb.attached import attached_boards_script
from tests.usb.guest import run_in_guest
from updater.demo.plays import plays
from updater.heads.gate import verify_bundle
from updater.lab.shelf import add_board

PRODUCT = "demo-gadget"
DEADLINE_S = 300
COMMANDS = """
export UPDATER_STATE="$RESULTS/state"
"{window}" devices --json >"$RESULTS/before.txt" || exit 101
"{console}" install "{bundle}" --yes --json >"$RESULTS/install.txt" || exit 102
"""


@pytest.mark.usb
def test_a_product_is_updated_by_its_own_executable(
    tmp_path: Path, product: Built, maker: DemoVendor
) -> None:
    old = verify_bundle(maker.bundle(f"{PRODUCT}-1.0.0"), embedded_root=maker.root, now=datetime.now(UTC))
    (described,) = (one for one in maker.vendor.products if one.id == PRODUCT)
    add_board(
        tmp_path / "lab",
        chip=described.chips[0],
        name="board",
        port="1-1",
        product=plays(described),
        segments=old.segments(old.manifest.images[0]),
    )
    commands = COMMANDS.format(
        window=product.window_in_folder.path,
        console=product.console.path,
        bundle=maker.folder / "bundles" / f"{PRODUCT}-1.1.0.fwb",
    )
    run = run_in_guest(
        attached_boards_script("$RESULTS/lab", commands), results=tmp_path, deadline_s=DEADLINE_S
    )
    assert run.exit_status == 0, run.output
    (device,) = (json.loads(line) for line in (tmp_path / "before.txt").read_text().splitlines())
    assert (device["product"], device["version"], device["port"]) == (PRODUCT, "1.0.0", "1-1")
    receipt = json.loads((tmp_path / "install.txt").read_text().splitlines()[-1])
    assert (receipt["result"], receipt["to_version"]) == ("confirmed", "1.1.0")
    assert receipt["verified"] == "read-back"
