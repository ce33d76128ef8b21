"""`updater lab …`: arguments in, lines out, and every failure one of ours."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.bench import F405, H743, UID, WIDGET, firmware, image
from updater.lab.application import LabProduct
from updater.lab.cli import Vendor, add_parser, run
from updater.words.errors import StorageFailed, Usage
from updater.words.facts import Segment


def find_product(product: str | None, chip: str, hardware: str | None) -> LabProduct | None:
    if product not in (None, "demo-widget"):
        raise Usage(f"this vendor has no product {product}")
    return WIDGET if product else None


def find_firmware(spec: str, product: LabProduct | None) -> tuple[Segment, ...]:
    if spec not in ("1.0.0", "from@home/widget.fwb"):
        raise Usage(f"there is no release {spec}")
    return firmware()


VENDOR = Vendor(find_product=find_product, find_firmware=find_firmware)


def lab(folder: Path, *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    out = io.StringIO()
    assert run(parser.parse_args(["lab", *arguments]), folder, vendor=VENDOR, out=out) == 0
    return out.getvalue()


def test_a_board_is_added_and_listed_as_json(tmp_path: Path) -> None:
    lab(tmp_path, "add", H743, "--name", "north", "--rev", "V", "--rom", "0x91", "--uid", UID.hex(),
        "--product", "demo-widget", "--firmware", "1.0.0", "--port", "1-2.3")  # fmt: skip
    (line,) = lab(tmp_path, "list", "--json").splitlines()
    assert json.loads(line) == {
        "type": "board",
        "name": "north",
        "chip": "stm32h743",
        "revision": "V",
        "rom_version": "0x91",
        "product": "demo-widget",
        "version": "1.0.0",
        "state": "application",
        "port": "1-2.3",
        "uid": UID.hex().upper(),
    }


def test_a_part_can_be_smaller_readable_and_in_two_banks(tmp_path: Path) -> None:
    lab(tmp_path, "add", "stm32f767", "--name", "north", "--flash-kib", "1024", "--reads-size",
        "--bank-mode", "dual", "--in-rom")  # fmt: skip
    lab(tmp_path, "dump", "north", "--region", "flash", "-o", str(tmp_path / "flash"))
    lab(tmp_path, "dump", "north", "--region", "options", "-o", str(tmp_path / "options"))
    assert (tmp_path / "flash").stat().st_size == 1024 * 1024
    assert (tmp_path / "options").read_bytes()[8:10] == b"\xff\xdf"  # nDBANK, bit 13, is 0: two banks
    kept = (tmp_path / "north" / "board.toml").read_text()
    assert "flash_kib = 1024" in kept
    assert "reads_size = true" in kept


def test_a_board_can_look_like_something_else(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405, "--looks-like", "gd32", "--firmware", "1.0.0")
    assert 'looks_like = "gd32"' in (tmp_path / "board1" / "board.toml").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["stm32f767", "--flash-kib", "1500"], "no STM32F765.* with 1500 KiB"),
        ([F405, "--bank-mode", "dual"], "no option that divides its flash into two banks"),
        (["stm32f429", "--flash-kib", "1024", "--bank-mode", "dual"], "1024 KiB in dual bank mode"),
        ([F405, "--looks-like", "arduino"], "nothing known looks like 'arduino'; known are gd32, at32"),
    ],
)
def test_a_part_that_is_not_made_is_a_usage_error(tmp_path: Path, options: list[str], says: str) -> None:
    with pytest.raises(Usage, match=says):
        lab(tmp_path, "add", *options)
    assert not (tmp_path / "board1").exists()


def test_a_board_of_a_chip_without_revisions_and_roms_says_so(tmp_path: Path) -> None:
    """H523 has no published revisions, F105 no published bootloader IDs."""
    lab(tmp_path, "add", "stm32h523")
    lab(tmp_path, "add", "stm32f105")
    first, second = (json.loads(line) for line in lab(tmp_path, "list", "--json").splitlines())
    assert (first["revision"], first["rom_version"]) == ("?", "0xE2")
    assert (second["revision"], second["rom_version"]) == ("Z", "0x00")


def test_a_c5s_rom_id_has_two_bytes(tmp_path: Path) -> None:
    lab(tmp_path, "add", "stm32c562", "--rom", "0x101")
    assert json.loads(lab(tmp_path, "list", "--json"))["rom_version"] == "0x101"


def test_a_board_without_firmware_has_no_product_and_no_version(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405)
    line = json.loads(lab(tmp_path, "list", "--json"))
    assert (line["product"], line["version"], line["state"]) == (None, None, "rom")
    assert "no firmware of ours" in lab(tmp_path, "list")


def test_firmware_can_be_a_file_at_an_address(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(image())
    lab(tmp_path / "lab", "add", F405, "--firmware", f"{tmp_path / 'a.bin'}@0x08000000")
    lab(tmp_path / "lab", "dump", "board1", "--region", "flash", "-o", str(tmp_path / "dump"))
    assert (tmp_path / "dump").read_bytes()[: len(image())] == image()


def test_a_bundle_may_lie_in_a_folder_with_an_at_in_its_name(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405, "--firmware", "from@home/widget.fwb")
    assert json.loads(lab(tmp_path, "list", "--json"))["version"] == "1.0.0"


def test_a_region_that_the_chip_does_not_show_cannot_be_dumped(tmp_path: Path) -> None:
    lab(tmp_path, "add", H743)
    with pytest.raises(Usage, match="no otp memory"):
        lab(tmp_path, "dump", "board1", "--region", "otp", "-o", str(tmp_path / "dump"))


def test_a_dump_that_cannot_be_written_is_storage_failed(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405)
    with pytest.raises(StorageFailed, match="cannot be written"):
        lab(tmp_path, "dump", "board1", "--region", "otp", "-o", str(tmp_path / "no" / "dump"))


def test_replug_unplug_and_remove(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405, "--firmware", "1.0.0")
    states = []
    for command in (("unplug",), ("replug", "--boot"), ("replug",)):
        lab(tmp_path, command[0], "board1", *command[1:])
        states.append(json.loads(lab(tmp_path, "list", "--json"))["state"])
    assert states == ["unplugged", "rom", "application"]
    lab(tmp_path, "remove", "board1")
    assert lab(tmp_path, "list", "--json") == ""


def test_a_fault_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405)
    lab(tmp_path, "fault", "board1", "stick-busy-at", "0x08100000")
    kept = (tmp_path / "board1" / "board.toml").read_text()
    assert 'kind = "stick-busy-at"' in kept
    assert f"value = {0x08100000}" in kept
    lab(tmp_path, "fault", "board1", "none")
    assert "[fault]" not in (tmp_path / "board1" / "board.toml").read_text()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (("cut-after",), "needs a value"),
        (("cut-after", "0"), "counted from 1"),
        (("cut-after", "soon"), "not a number"),
        (("no-leave", "3"), "takes no value"),
    ],
)
def test_a_fault_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, fault: tuple[str, ...], says: str
) -> None:
    lab(tmp_path, "add", F405)
    with pytest.raises(Usage, match=says):
        lab(tmp_path, "fault", "board1", *fault)


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", F405, "--firmware", "9.9.9"),
        ("add", F405, "--firmware", "missing.bin@0x08000000"),
        ("add", F405, "--firmware", "missing.bin@here"),
        ("add", F405, "--product", "other"),
        ("add", F405, "--uid", "xyz"),
        ("add", F405, "--rom", "new"),
        ("unplug", "nobody"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    lab(tmp_path, "add", H743)
    with pytest.raises(Usage):
        lab(tmp_path, *arguments)


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_tcp_port_that_cannot_be_is_a_usage_error(tmp_path: Path, port: str) -> None:
    lab(tmp_path, "add", F405)
    with pytest.raises(Usage, match=f"port {port} of this machine cannot be used"):
        lab(tmp_path, "serve", "--port", port)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a program can catch")
def test_serve_answers_until_sigterm_and_saves_the_boards(tmp_path: Path) -> None:
    lab(tmp_path, "add", F405)
    script = """
import argparse, sys
from pathlib import Path
from tests.lab.test_cli import VENDOR, add_parser, run
parser = argparse.ArgumentParser()
add_parser(parser.add_subparsers())
sys.exit(run(parser.parse_args(sys.argv[2:]), Path(sys.argv[1]), vendor=VENDOR))
"""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", script, str(tmp_path), "lab", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert re.match(r"1-1: board1 \(rom\)", server.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(bytes.fromhex("0111800500000000"))
            assert client.recv(12)[:8] == bytes.fromhex("0111000500000000")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
    assert json.loads(lab(tmp_path, "list", "--json"))["state"] == "rom"
