"""Out of a bundle again: a DfuSe file with the image's bytes, for tools that know nothing of bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.firmware import merge, read_firmware
from bundles.recipe import parse_recipe
from bundles.release import build
from tests.bundles.firmware_kit import FLASH, intel_hex, jamcrc, program
from updater.heads.dfufile import parse_dfuse
from updater.words.facts import Segment

IMAGES = Path(__file__).parents[2] / "bundles" / "demo" / "firmware" / "images"
Captured = pytest.CaptureFixture[str]

TWO_IMAGES = """
product = "acme-x1"
hardware = ["A"]
version = "1.2.3"
security_counter = 4
channels = ["stable"]
created = 2026-05-01
min_tool = "0.1.0"
notes = "Fewer crashes."

[[image]]
name = "big"
for = { dev_ids = [0x450] }
inputs = [{ file = "fw.bin", address = 0x08000000 }]

[[image]]
name = "small"
for = { dev_ids = [0x413] }
inputs = [{ file = "fw.bin", address = 0x08000000 }, { file = "tail.hex" }]
"""


@pytest.fixture
def widget(demo_vendor: DemoVendor, tmp_path: Path) -> Path:
    file = tmp_path / "widget.fwb"
    file.write_bytes(demo_vendor.bundle("demo-widget-1.1.0"))
    return file


@pytest.fixture
def two_images(demo_vendor: DemoVendor, tmp_path: Path) -> Path:
    (tmp_path / "fw.bin").write_bytes(program(1001))
    (tmp_path / "tail.hex").write_text(intel_hex((0x080F0000, b"tail!")))
    file = tmp_path / "two.fwb"
    file.write_bytes(build(parse_recipe(TWO_IMAGES.encode()), tmp_path, [demo_vendor.root]))
    return file


def export(bundle: Path, *options: str) -> tuple[int, list[Segment], bytes]:
    output = bundle.with_suffix(".dfu")
    status = main(["export", str(bundle), "-o", str(output), *options])
    data = output.read_bytes() if output.exists() else b""
    return status, parse_dfuse(data) if data else [], data


def test_the_file_holds_the_firmware_and_says_what_it_is(widget: Path, capsys: Captured) -> None:
    status, segments, data = export(widget)
    assert status == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [
        "demo-widget 1.1.0, signed by release-1, release-2 (2 of 2 needed signatures)",
        "image stm32h743 for dev_id 0x450",
    ]
    assert "carries no signature and does not ask for the chip: for factory tools only" in said.err
    assert data[22:277].rstrip(b"\0") == b"demo-widget 1.1.0 stm32h743"
    assert [part.address for part in segments] == [0x08000000, 0x08100000]
    firmware = merge([("", part) for part in read_firmware(IMAGES / "demo-widget-1.1.0.hex")])
    assert len(firmware) == 3
    for part in firmware:
        (holder,) = (one for one in segments if one.address <= part.address < one.end)
        assert holder.data[part.address - holder.address :][: len(part.data)] == part.data
    assert [len(part.data) % 32 for part in segments] == [0, 0]


def test_the_suffix_is_for_the_rom_bootloader_and_any_device_version(widget: Path) -> None:
    """DFU 1.1 appendix B: bcdDevice, idProduct, idVendor, bcdDFU, "UFD", 16, CRC."""
    _, _, data = export(widget)
    assert data[-16:-4] == b"\x00\x00\x11\xdf\x83\x04\x1a\x01UFD\x10"
    assert int.from_bytes(data[-4:], "little") == jamcrc(data[:-4])


@pytest.mark.parametrize("version", ["0x2200", "2200"])
def test_a_device_version_may_be_told(widget: Path, version: str) -> None:
    _, _, data = export(widget, "--bcd-device", version)
    assert data[-16:-14] == b"\x00\x22"


@pytest.mark.parametrize("version", ["0x12200", "", "0x", "22 0", "-1", "2.00", "\u0662200"])
def test_a_device_version_of_something_else_than_four_hex_digits_is_refused(
    widget: Path, capsys: Captured, version: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        export(widget, f"--bcd-device={version}")
    assert caught.value.code == 2
    assert "is not four hex digits" in capsys.readouterr().err


def test_two_exports_are_the_same_bytes(widget: Path) -> None:
    assert export(widget)[2] == export(widget)[2]


def test_of_several_images_one_must_be_named(two_images: Path, capsys: Captured) -> None:
    assert export(two_images)[0] == 2
    assert "Choose with --image: big, small." in capsys.readouterr().err
    assert export(two_images, "--image", "medium")[0] == 2
    assert "no image 'medium'" in capsys.readouterr().err
    assert not two_images.with_suffix(".dfu").exists()


def test_the_named_image_is_filled_up_to_its_chips_program_units(two_images: Path) -> None:
    """STM32F405: 4 bytes; STM32H743: 32 bytes (facts 4.6)."""
    assert export(two_images, "--image", "small")[1] == [
        Segment(address=FLASH, data=program(1001) + b"\xff" * 3),
        Segment(address=0x080F0000, data=b"tail!\xff\xff\xff"),
    ]
    assert export(two_images, "--image", "big")[1] == [
        Segment(address=FLASH, data=program(1001) + b"\xff" * 23)
    ]


def test_a_bundle_that_nobody_has_signed_says_so(two_images: Path, capsys: Captured) -> None:
    assert export(two_images, "--image", "big")[0] == 0
    assert "acme-x1 1.2.3, signed by nobody (0 of 2 needed signatures)" in capsys.readouterr().out


def test_what_is_exported_can_be_an_input_again(
    two_images: Path, demo_vendor: DemoVendor, tmp_path: Path
) -> None:
    export(two_images, "--image", "small")
    recipe = TWO_IMAGES[: TWO_IMAGES.index("[[image]]")] + (
        '[[image]]\nname = "small"\nfor = { dev_ids = [0x413] }\ninputs = [{ file = "two.dfu" }]\n'
    )
    again = tmp_path / "again.fwb"
    again.write_bytes(build(parse_recipe(recipe.encode()), tmp_path, [demo_vendor.root]))
    assert export(again)[2] == two_images.with_suffix(".dfu").read_bytes()


def test_another_kind_of_file_is_not_written(widget: Path, capsys: Captured) -> None:
    assert main(["export", str(widget), "-o", str(widget.with_suffix(".hex"))]) == 2
    assert "is not a .dfu file" in capsys.readouterr().err
    assert not widget.with_suffix(".hex").exists()
