"""The guest itself: what the tests on the kernel's USB stand on."""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import pytest

from tests.usb.attached import NOT_READY, served
from tests.usb.guest import PROJECT, run_in_guest
from tests.usb.kernel import read_module

DEADLINE_S = 180
# 1d6b: the kernel's own root hubs, the only devices while nothing is attached.
SEEN_BY_LIBUSB = """
import sys, libusb_package
for vendor in {device.idVendor for device in libusb_package.find(find_all=True)}:
    print(sys.executable, "sees", f"{vendor:04x}")
"""


@pytest.mark.usb
def test_a_script_runs_as_root_over_the_hosts_files_and_what_it_says_comes_back(tmp_path: Path) -> None:
    stray = PROJECT / "left-by-the-guest"
    script = f"""
        id -u
        pwd
        echo "a complaint" >&2
        usbip port
        head -n 2 /sys/devices/platform/vhci_hcd.0/status
        "$PYTHON" -c '{SEEN_BY_LIBUSB}'
        echo written >"$RESULTS/note"
        touch {stray} && ls {stray}
        exit 7
    """
    run = run_in_guest(script, results=tmp_path / "results", deadline_s=DEADLINE_S)
    lines = run.output.splitlines()
    assert run.exit_status == 7
    assert lines[:3] == ["0", str(PROJECT), "a complaint"]
    assert "Imported USB devices" in lines
    assert any(line.split()[:3] == ["hs", "0000", "004"] for line in lines), run.output
    assert f"{sys.executable} sees 1d6b" in lines
    assert (tmp_path / "results" / "note").read_text() == "written\n"
    assert str(stray) in lines
    assert not stray.exists()
    assert 0 < run.seconds < DEADLINE_S


@pytest.mark.usb
def test_a_script_that_never_ends_is_stopped_at_the_deadline_and_its_output_is_shown(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"not off after 20 s(.|\n)*before the long sleep"):
        run_in_guest("echo before the long sleep; sleep 600", results=tmp_path, deadline_s=20)


@pytest.mark.usb
def test_a_server_that_ends_by_itself_is_reported_with_what_it_said(tmp_path: Path) -> None:
    script = served("sh -c 'echo no such folder; exit 13'", "echo never reached", devices=1)
    run = run_in_guest(script, results=tmp_path, deadline_s=DEADLINE_S)
    assert run.exit_status == NOT_READY
    assert "ended by itself" in run.output
    assert "no such folder" in run.output
    assert "never reached" not in run.output


@pytest.mark.parametrize("suffix", [".ko", ".ko.xz"])
def test_a_module_is_unpacked_if_the_kernel_package_packed_it(tmp_path: Path, suffix: str) -> None:
    module = tmp_path / f"vhci-hcd{suffix}"
    module.write_bytes(lzma.compress(b"\x7fELF") if suffix.endswith(".xz") else b"\x7fELF")
    assert read_module(module) == b"\x7fELF"
