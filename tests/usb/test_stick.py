"""A USB stick as the state folder: FAT as the kernel really has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.usb.guest import run_in_guest

DEADLINE_S = 240


@pytest.mark.usb
def test_the_whole_demo_keeps_its_state_on_a_stick(tmp_path: Path) -> None:
    """Two online updates; then the stick's switch is set, and the next command says so."""
    script = """
        truncate -s 32M /stick.img
        busybox mkdosfs /stick.img || exit 20
        mkdir /stick
        mount -o loop -t vfat /stick.img /stick || exit 21
        ln -s nothing /stick/link && exit 22
        touch /stick/file && ln /stick/file /stick/hard && exit 23
        "$PYTHON" -m updater demo --keep /stick/demo || exit 24
        find /stick/demo | sort | sed "s/^/kept: /"
        mount -o remount,ro /stick
        state=$(find /stick/demo -name lock -printf "%h\\n" | head -n 1)
        "$PYTHON" -m updater --state "$(dirname "$state")" devices
        echo "then: $?"
    """
    run = run_in_guest(script, results=tmp_path / "results", deadline_s=DEADLINE_S)
    assert run.exit_status == 0, run.output
    kept = re.findall(r"^kept: (.*)$", run.output, re.MULTILINE)
    ends = ("site/metadata/timestamp.json", "root_history/1.root.json", "downloads/bundle.fwb")
    assert all(any(name.endswith(end) for name in kept) for end in ends), kept
    assert len([name for name in kept if "/receipts/" in name]) == 2, kept
    assert "Demo Gadget runs version 1.1.0" in run.output
    assert "Read-only file system" in run.output
    assert run.output.rstrip().endswith("then: 13"), run.output
