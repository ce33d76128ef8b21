"""A checkup: what the doctor says on a real desk, and of computers that are recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.story.journals import widget_journal
from updater.hands.host import load_home, today
from updater.hands.osfacts import LinuxUsb
from updater.hands.store import Store, open_store
from updater.heads.doctor import Site
from updater.heads.doctorwords import Trouble
from updater.heads.drivers import DeviceRecord, Driver, NoDriversNeeded
from updater.heads.vendor import Vendor
from updater.story.checkup import SiteAnswer, Surroundings, examine, examine_at, look_at
from updater.story.ways import NEVER_CAME
from updater.words.errors import UsbFailed
from updater.words.facts import DeviceFacts, Mode

WIDGET = DeviceFacts(
    name="Demo Widget", port="1-4", usb="1209:0001", mode=Mode.APPLICATION, product="demo-widget"
)
ROM = DeviceFacts(name="0483:df11", port="1-4", usb="0483:df11", mode=Mode.ROM, problem="no-driver")


class Never:
    """A computer that has never seen an STM32 bootloader."""

    def of(self, usb: str) -> Driver:  # noqa: ARG002 - the same for every device
        return Driver.NEVER_SEEN


@contextmanager
def computer(desk: Desk, *found: DeviceFacts, **other: object) -> Iterator[Surroundings]:
    """A computer with these devices, whose system's own records are empty."""
    home, nowhere = load_home(), desk.state / "nowhere"
    with open_store(desk.state, home.embedded_root) as store:
        where = Surroundings(
            home=home,
            store=store,
            look=lambda: found,
            now=today(),
            drivers=NoDriversNeeded(),
            site=None,
            system="linux",
            linux=LinuxUsb(sys=nowhere, dev=nowhere, proc=nowhere, rules=()),
            records=tuple,
            program=None,
        )
        yield replace(where, **other)  # type: ignore[arg-type] # a test's own keys


def nothing_on(desk: Desk) -> None:
    """A desk whose device was unplugged."""
    desk.plug_in()
    assert desk.updater("lab", "unplug", "board1").exit == 0


def unfinished(store: Store) -> None:
    store.keep_journal(widget_journal())


def test_on_a_desk_where_nothing_is_wrong_the_doctor_says_so(desk: Desk) -> None:
    desk.plug_in()

    said = desk.updater("doctor")

    assert said.exit == 0
    assert "Nothing stands in the way of an update." in said.out
    assert "update site            answers" in said.out


def test_a_program_gets_one_line_by_the_contract(desk: Desk) -> None:
    nothing_on(desk)
    said = desk.updater("doctor", "--json")

    assert said.exit == 3
    (line,) = said.lines
    assert line["type"] == "doctor"
    assert (line["exit"], line["finding"], line["fix"]) == (3, "nothing-on-the-bus", None)
    assert "charging only" in line["next_step"]
    assert {"name": "update site", "text": "answers"} in line["looked_at"]


def test_the_doctor_works_beside_an_updater_that_is_at_work(desk: Desk) -> None:
    desk.plug_in()
    with open_store(desk.state, load_home().embedded_root):
        assert desk.updater("doctor").exit == 0


def test_the_windows_doctor_comes_from_the_hands_of_a_conversation(desk: Desk) -> None:
    desk.plug_in()
    with desk.hands() as hands:
        assert examine(hands, online=False).finding.id == Trouble.ALL_WELL


def test_a_failed_update_is_found_again_with_and_without_its_device(desk: Desk) -> None:
    desk.plug_in("demo-gadget")
    desk.fault("stick-busy-at", 0x0800_0000)
    assert desk.install(desk.published.link("demo-gadget")).exit == 9

    desk.replug(boot=True)
    with_it = desk.updater("doctor", "--json").last
    desk.updater("lab", "unplug", "board1")
    without = desk.updater("doctor", "--json").last

    assert (with_it["exit"], with_it["finding"]) == (9, "unfinished-here")
    assert (without["exit"], without["finding"]) == (3, "unfinished-away")
    assert "paper clip" in without["next_step"]


def test_a_bootloader_that_never_appeared_is_remembered_by_the_log(desk: Desk) -> None:
    with computer(desk) as where:
        unfinished(where.store)
        desk.state.joinpath("logs").mkdir()
        log = desk.state / "logs" / "updater.log"
        log.write_text(f"2026-01-01 10:00:00 UTC  install: UsbFailed: the device {NEVER_CAME} within 5 s.\n")
        found = examine_at(where)
        log.write_text(f"{log.read_text()}2026-01-01 10:09:00 UTC  check: NetworkFailed: no answer\n")
        later = examine_at(where)

    assert found.finding.id == Trouble.ROM_NEVER_APPEARS
    assert later.finding.id == Trouble.UNFINISHED_AWAY


def test_a_computer_whose_usb_fails_is_told_so_and_nothing_is_raised(desk: Desk) -> None:
    def look() -> list[DeviceFacts]:
        raise UsbFailed("the libusb library cannot be loaded")

    with computer(desk, look=look) as where:
        found = examine_at(where)

    assert found.finding.id == Trouble.USB_UNAVAILABLE
    assert "libusb" in found.finding.what


@pytest.mark.parametrize(
    ("service", "guids", "expected"),
    [
        ("", (), Trouble.DRIVER_MISSING),
        ("STTub30", (), Trouble.DRIVER_OLD_ST),
        ("usbser", (), Trouble.DRIVER_OTHER),
        ("WinUSB", (), Trouble.DRIVER_INCOMPLETE),
        ("WinUSB", ("{a5dcbf10-6530-11d2-901f-00c04fb951ed}",), Trouble.DRIVER_UNKNOWN),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_on_windows_a_closed_bootloader_is_explained_by_windows_records(
    desk: Desk, service: str, guids: tuple[str, ...], expected: Trouble, listed: bool
) -> None:
    """Also where libusb does not list it at all."""
    record = DeviceRecord(
        instance="USB\\VID_0483&PID_DF11\\2003", present=True, service=service, interface_guids=guids
    )
    found = (ROM,) if listed else ()
    with computer(desk, *found, system="windows", records=lambda: (record,), drivers=Never()) as where:
        diagnosis = examine_at(where)

    assert diagnosis.finding.id == expected
    assert diagnosis.others == ()


def test_on_windows_the_bootloaders_driver_is_missed_before_the_bootloader_comes(desk: Desk) -> None:
    with computer(desk, WIDGET, system="windows", drivers=Never()) as where:
        assert examine_at(where).finding.id == Trouble.BOOTLOADER_DRIVER
        mine = replace(where.home, driver=(("stm32.inf", b""),))
        assert examine_at(replace(where, home=mine)).finding.fix == "windows-driver"


def test_on_linux_the_systems_files_say_who_holds_a_device_and_which_rule_it_has(
    desk: Desk, tmp_path: Path
) -> None:
    sys, proc = tmp_path / "sys", tmp_path / "proc"
    (sys / "1-4").mkdir(parents=True)
    for name, text in (("idVendor", "1209"), ("idProduct", "0001"), ("busnum", "1"), ("devnum", "9")):
        (sys / "1-4" / name).write_text(text)
    (proc / "7" / "fd").mkdir(parents=True)
    (proc / "7" / "comm").write_text("virt-manager\n")
    (proc / "7" / "fd" / "3").symlink_to(tmp_path / "dev" / "001" / "009")
    linux = LinuxUsb(sys=sys, dev=tmp_path / "dev", proc=proc, rules=())

    with computer(desk, replace(WIDGET, problem="busy"), linux=linux) as where:
        held = examine_at(where)
        closed = examine_at(replace(where, look=lambda: [replace(WIDGET, problem="no-permission")]))
        lost = examine_at(replace(where, look=list))

    assert "virt-manager is using it" in held.finding.what
    assert (closed.finding.id, closed.finding.fix) == (Trouble.NO_PERMISSION, "udev-rules")
    assert lost.finding.id == Trouble.DEVICE_SILENT


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((Site.ANSWERS, "", datetime(2001, 2, 3, tzinfo=UTC)), Trouble.CLOCK_OFF),
        ((Site.PROXY, "the proxy of this network does not lead there", None), Trouble.PROXY),
        ((Site.CERTIFICATE, "it is not accepted", None), Trouble.CERTIFICATE),
    ],
)
def test_what_the_update_site_answers_is_told(desk: Desk, answer: SiteAnswer, expected: Trouble) -> None:
    with computer(desk, WIDGET, site=lambda: answer) as where:
        assert examine_at(where).finding.id == expected


def test_a_clock_that_is_behind_what_was_signed_is_wrong(desk: Desk) -> None:
    desk.plug_in()
    assert desk.install(desk.published.link("demo-widget")).exit == 0  # keeps the signed envelope

    with computer(desk, WIDGET, now=today() - timedelta(days=4000)) as where:
        found = examine_at(where).finding

    assert found.id == Trouble.CLOCK_OFF
    assert "clock is probably wrong" in found.what


def test_of_other_usb_devices_only_their_number_is_known(desk: Desk) -> None:
    mouse = DeviceRecord(instance="USB\\VID_046D&PID_C077\\5&1", present=True, service="HidUsb")
    hub = DeviceRecord(instance="USB\\ROOT_HUB30\\4&1", present=True, service="USBHUB3")
    with computer(desk, system="windows", records=lambda: (mouse, hub)) as where:
        seen, found = look_at(where), examine_at(where)

    assert seen.others == 1
    assert "046d" not in json.dumps([found.looked_at, found.finding.what]).lower()


def test_what_can_be_fixed_is_asked_first_and_a_no_is_a_no(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[str] = []

    def install(vendor: Vendor) -> str:
        installed.append(vendor.name)
        return "/etc/udev/rules.d/70-demo-update.rules"

    nothing_on(desk)
    monkeypatch.setattr("updater.doors.console.install_rules", install)
    no_fix = desk.updater("doctor", "--fix")
    monkeypatch.setattr("updater.story.checkup.LinuxUsb.devices", lambda _self: ())
    facts = replace(WIDGET, problem="no-permission")
    monkeypatch.setattr("updater.story.devices.look_around", _finds(facts))
    no = desk.updater("doctor", "--fix", stdin="n\n")
    yes = desk.updater("doctor", "--fix", stdin="y\n")

    assert (no_fix.exit, no.exit, yes.exit) == (3, 12, 0)
    assert "nothing here that the updater can fix" in no_fix.err
    assert 'ATTR{idProduct}=="df11", TAG+="uaccess"' in yes.err
    assert "unplug the device and plug it in again" in yes.err
    assert installed == ["Demo Instruments"]


def _finds(facts: DeviceFacts) -> Callable[..., list[object]]:
    class One:
        """What `look_around` answers, as far as it is looked at."""

    one = One()
    one.facts = facts  # type: ignore[attr-defined] # no device behind it
    return lambda *_args: [one]
