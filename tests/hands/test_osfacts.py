"""What Linux knows of USB devices, from trees of its files; where a program lies; what a disk has."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from updater.hands.osfacts import LinuxUsb, hub_ports, place_of, space_in
from updater.heads.doctor import Place, Space


@pytest.fixture
def linux(tmp_path: Path) -> LinuxUsb:
    """A computer with a hub and a device behind it, in the form of the kernel's sysfs-bus-usb."""
    sys = tmp_path / "sys"
    for name, vid, pid, kind, number in (
        ("usb1", "1d6b", "0002", "09", "1"),
        ("1-1", "0424", "2514", "09", "2"),
        ("1-1.4", "1209", "0001", "ef", "7"),
    ):
        folder = sys / name
        folder.mkdir(parents=True)
        for file, text in (
            ("idVendor", vid),
            ("idProduct", pid),
            ("bDeviceClass", kind),
            ("busnum", "1"),
            ("devnum", number),
        ):
            (folder / file).write_text(f"{text}\n")
    for interface, driver in (("1-1.4:1.0", None), ("1-1.4:1.1", "cdc_acm"), ("1-1.4:1.2", "cdc_acm")):
        (sys / interface).mkdir()
        if driver:
            (sys / interface / "driver").symlink_to(f"../../../bus/usb/drivers/{driver}")
    proc = tmp_path / "proc"
    for number, name in (("41", "systemd"), ("977", "ModemManager"), ("2001", "dfu-util")):
        (proc / number / "fd").mkdir(parents=True)
        (proc / number / "comm").write_text(f"{name}\n")
    (proc / "2001" / "fd" / "5").symlink_to(tmp_path / "dev" / "001" / "007")
    rules = tmp_path / "rules"
    rules.mkdir()
    return LinuxUsb(sys=sys, dev=tmp_path / "dev", proc=proc, rules=(rules, tmp_path / "none"))


def test_devices_are_found_with_their_port_their_node_and_their_drivers(linux: LinuxUsb) -> None:
    hub, widget = linux.devices()

    assert (hub.port, hub.usb, hub.is_hub, hub.drivers) == ("1-1", "0424:2514", True, ())
    assert (widget.port, widget.usb, widget.is_hub) == ("1-1.4", "1209:0001", False)
    assert widget.drivers == ("cdc_acm",)
    assert widget.node == linux.dev / "001" / "007"


def test_a_hub_in_the_computer_is_no_hub_in_a_row(linux: LinuxUsb) -> None:
    assert hub_ports(linux.devices()) == ()


def test_who_has_a_device_open_is_named(linux: LinuxUsb) -> None:
    assert linux.users_of(linux.dev / "001" / "007") == ("dfu-util",)
    assert linux.users_of(linux.dev / "001" / "002") == ()


def test_a_running_program_is_found_by_its_name(linux: LinuxUsb) -> None:
    assert linux.runs("ModemManager")
    assert not linux.runs("fwupd")


def test_rules_are_read_where_they_can_be(linux: LinuxUsb) -> None:
    assert not linux.has_rule("0483:df11")

    rule = 'SUBSYSTEM=="usb", ATTR{idVendor}=="0483", ATTR{idProduct}=="df11", TAG+="uaccess"\n'
    (linux.rules[0] / "70-any.rules").write_text(rule)

    assert linux.has_rule("0483:df11")
    assert not linux.has_rule("1209:0001")


def test_a_computer_without_these_files_has_no_devices(tmp_path: Path) -> None:
    nothing = LinuxUsb(sys=tmp_path / "a", dev=tmp_path / "b", proc=tmp_path / "c", rules=(tmp_path / "d",))

    assert nothing.devices() == ()
    assert not nothing.runs("ModemManager")
    assert nothing.rules_text() == ""


def test_the_space_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    space, free = space_in(tmp_path / "not" / "yet")

    assert space is Space.USABLE
    assert free is not None
    assert free > 0
    assert not (tmp_path / "not").exists()


def test_a_full_disk_and_a_locked_folder_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = {errno.ENOSPC: Space.FULL, errno.EACCES: Space.UNWRITABLE, errno.EROFS: Space.UNWRITABLE}
    for number, expected in cases.items():

        def fails(number: int = number, **_how: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(tempfile, "TemporaryFile", fails)
        assert space_in(tmp_path)[0] is expected


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
files:/export /mnt/firm nfs4 rw 0 0
//files/ada /mnt/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/opt/vendor/Updater", Place.LASTING),
        ("/tmp/Updater", Place.TEMPORARY),
        ("/private/var/folders/x1/T/AppTranslocation/U/d/Updater", Place.TEMPORARY),  # macOS
        ("/mnt/firm/Updater", Place.NETWORK),
        ("/mnt/my share/Updater", Place.NETWORK),
        ("/mnt/firmware/Updater", Place.LASTING),
        (r"\\files\tools\Updater.exe", Place.NETWORK),
    ],
)
def test_where_a_program_lies(
    program: str, expected: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")

    assert place_of(Path(program), mounts) is expected
