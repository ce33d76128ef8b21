"""The whole way round: flash a virtual device, dump its flash, boot the dump, and let the firmware speak."""

from __future__ import annotations

import pytest

from tests.boot.qemu import NoLineError, boot_and_read_line
from tests.desk import Desk
from tests.tools import need

pytestmark = pytest.mark.boot


def test_the_flashed_virtual_f405_boots_and_says_its_new_version(desk: Desk) -> None:
    need("qemu-system-arm")
    desk.plug_in("demo-gadget", runs="1.0.0")
    dump = desk.state.parent / "dump.bin"
    for version in ("1.0.0", "1.1.0"):
        said = desk.updater("lab", "dump", "board1", "--region", "flash", "-o", str(dump))
        assert said.exit == 0, said.err
        assert boot_and_read_line(dump).startswith(f"demo-gadget {version} (hardware A")
        assert desk.install(desk.published.link("demo-gadget")).exit == 0


def test_a_device_cut_off_in_the_middle_does_not_boot(desk: Desk) -> None:
    """Half an image must not run: the vector table is what is written last."""
    need("qemu-system-arm")
    desk.plug_in("demo-gadget", runs="1.0.0")
    desk.fault("cut-after", 120)
    assert desk.install(desk.published.link("demo-gadget")).exit == 9
    dump = desk.state.parent / "dump.bin"
    desk.updater("lab", "dump", "board1", "--region", "flash", "-o", str(dump))
    assert any(dump.read_bytes()[8:0x4000].strip(b"\xff")), "the body was being written"
    with pytest.raises(NoLineError):
        boot_and_read_line(dump, deadline_s=5)
    assert desk.install(desk.published.link("demo-gadget")).exit == 0
    desk.updater("lab", "dump", "board1", "--region", "flash", "-o", str(dump))
    assert boot_and_read_line(dump).startswith("demo-gadget 1.1.0")
