"""The doctor's tree: every branch from recorded facts, one next step, the status of the error behind it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.doctor import (
    Circumstances,
    Place,
    SeenDevice,
    Site,
    Space,
    Unfinished,
    diagnose,
    hubs_on,
)
from updater.heads.doctorwords import SAID, Trouble
from updater.heads.drivers import Driver

WIDGET = SeenDevice(name="Demo Widget", port="1-4", usb="1209:0001", has_rule=True)
ROM = SeenDevice(name="the STM32 bootloader", port="1-4", usb="0483:df11", in_bootloader=True)
WELL = Circumstances(devices=(WIDGET,), others=3, free_bytes=10**10, site=Site.ANSWERS)
WINDOWS = replace(WELL, system="windows", bootloader_driver=Driver.READY)
BUTTON = ("Demo Widget", "Hold the button while you plug it in.")
EMPTY = replace(WELL, devices=(), buttons=(BUTTON,))


def with_device(seen: Circumstances = WELL, device: SeenDevice = WIDGET, /, **facts: object) -> Circumstances:
    return replace(seen, devices=(replace(device, **facts),))  # type: ignore[arg-type] # a test's own keys


BRANCHES: dict[Trouble, tuple[Circumstances, int, str]] = {
    Trouble.STATE_UNWRITABLE: (replace(WELL, space=Space.UNWRITABLE), 13, "your account may write there"),
    Trouble.DISK_FULL: (replace(WELL, free_bytes=3_000_000), 13, "Free some space"),
    Trouble.USB_UNAVAILABLE: (replace(WELL, usb_fails="no libusb"), 8, "Install the updater again"),
    Trouble.DRIVER_MISSING: (
        with_device(WINDOWS, ROM, problem="no-driver", driver=Driver.MISSING, code=28),
        8,
        "install ST's STM32CubeProgrammer",
    ),
    Trouble.DRIVER_OLD_ST: (
        with_device(WINDOWS, ROM, problem="no-driver", driver=Driver.OLD_ST, service="STTub30"),
        8,
        "uninstall it",
    ),
    Trouble.DRIVER_OTHER: (
        with_device(WINDOWS, ROM, problem="no-driver", driver=Driver.OTHER, service="usbser"),
        8,
        "uninstall it",
    ),
    Trouble.DRIVER_INCOMPLETE: (with_device(WINDOWS, ROM, driver=Driver.INCOMPLETE), 8, "uninstall it"),
    Trouble.DRIVER_UNKNOWN: (
        with_device(WINDOWS, ROM, problem="no-driver", driver=Driver.READY),
        8,
        "give Windows a minute",
    ),
    Trouble.DEVICE_DISABLED: (with_device(WINDOWS, driver=Driver.DISABLED, code=22), 8, "Enable device"),
    Trouble.DEVICE_PROBLEM: (with_device(WINDOWS, driver=Driver.FAILED, code=10), 8, "restart Windows"),
    Trouble.NO_PERMISSION: (with_device(problem="no-permission", has_rule=False), 8, "doctor --fix"),
    Trouble.REPLUG_FOR_RULE: (with_device(problem="no-permission"), 8, "Unplug the device and plug it in"),
    Trouble.PROGRAM_HOLDS_IT: (with_device(problem="busy", held_by=("dfu-util",)), 8, "Close other programs"),
    Trouble.MODEM_MANAGER: (
        replace(with_device(problem="busy"), modem_manager=True),
        8,
        "Wait half a minute",
    ),
    Trouble.HUB_TOO_DEEP: (replace(EMPTY, hubs=("1-1.1.1.1.1.1",)), 8, "a socket of the computer itself"),
    Trouble.SEVERAL_DEVICES: (
        replace(WELL, devices=(WIDGET, replace(WIDGET, port="1-5"))),
        3,
        "choose one with --device",
    ),
    Trouble.NOT_OURS: (replace(EMPTY, refused="it is a clone"), 4, "the device that is to be updated"),
    Trouble.DEVICE_SILENT: (with_device(WELL, ROM, silent="no answer"), 8, "plug it in again"),
    Trouble.UNKNOWN_DEVICE: (with_device(WELL, ROM, known=False), 3, "--as PRODUCT"),
    Trouble.UNFINISHED_HERE: (
        replace(with_device(WELL, ROM), unfinished=(Unfinished(title="Demo Widget", port="1-4"),)),
        9,
        "it finishes the update",
    ),
    Trouble.UNREADABLE_DEVICE: (replace(EMPTY, system="windows", unreadable=1), 8, "another cable"),
    Trouble.ROM_NEVER_APPEARS: (replace(EMPTY, never_came=True), 3, "everything else that is connected"),
    Trouble.UNFINISHED_AWAY: (
        replace(EMPTY, unfinished=(Unfinished(title="Demo Widget", port="1-4", steps=BUTTON[1]),)),
        3,
        "Start its bootloader by hand: Hold the button",
    ),
    Trouble.NOTHING_ON_THE_BUS: (EMPTY, 3, "many are for charging only"),
    Trouble.BOOTLOADER_DRIVER: (replace(WINDOWS, bootloader_driver=Driver.NEVER_SEEN), 8, "WinUSB driver"),
    Trouble.CLOCK_OFF: (replace(WELL, clock_doubt="The date is 1980."), 5, "Set this computer's date"),
    Trouble.LOGIN_PAGE: (replace(WELL, site=Site.LOGIN_PAGE), 7, "log in to the network"),
    Trouble.CERTIFICATE: (replace(WELL, site=Site.CERTIFICATE), 7, "the company's certificate"),
    Trouble.PROXY: (replace(WELL, site=Site.PROXY), 7, "proxy settings"),
    Trouble.NO_NETWORK: (replace(WELL, site=Site.NO_ANSWER), 7, "Check the internet connection"),
    Trouble.TEMPORARY_FOLDER: (replace(WELL, place=Place.TEMPORARY), 0, "a folder of your own"),
    Trouble.NETWORK_FOLDER: (replace(WELL, place=Place.NETWORK), 0, "Copy the program"),
    Trouble.MODEM_MANAGER_MAY_DISTURB: (
        replace(with_device(serial_way=True, has_rule=False), modem_manager=True),
        0,
        "Wait half a minute",
    ),
    Trouble.ALL_WELL: (WELL, 0, "updater check"),
}


@pytest.mark.parametrize("trouble", Trouble)
def test_every_branch_of_the_tree_gives_its_step_and_its_status(trouble: Trouble) -> None:
    seen, status, step = BRANCHES[trouble]

    found = diagnose(seen)

    assert (found.finding.id, found.finding.exit_status) == (trouble, status)
    assert step in found.finding.next_step
    assert found.others == ()


def test_the_problem_that_has_to_be_solved_first_is_the_finding_and_the_others_are_named() -> None:
    found = diagnose(replace(EMPTY, site=Site.PROXY, clock_doubt="The date is 1980.", place=Place.TEMPORARY))

    assert found.finding.id == Trouble.NOTHING_ON_THE_BUS
    assert [one.id for one in found.others] == [Trouble.CLOCK_OFF, Trouble.PROXY, Trouble.TEMPORARY_FOLDER]


def test_an_empty_bus_tells_of_the_button_of_other_devices_and_of_earlier_visits() -> None:
    found = diagnose(replace(EMPTY, others=2, seen_before=True)).finding

    assert "USB itself works: 2 other devices are there." in found.what
    assert "seen the device before" in found.what
    assert found.next_step.endswith("Demo Widget: Hold the button while you plug it in.")


def test_a_rom_that_never_appeared_comes_before_the_unfinished_update_that_it_left() -> None:
    left = (Unfinished(title="Demo Widget", port="1-4"),)

    found = diagnose(replace(EMPTY, never_came=True, unfinished=left))

    assert found.finding.id == Trouble.ROM_NEVER_APPEARS
    assert [one.id for one in found.others] == [Trouble.UNFINISHED_AWAY]


def test_a_driver_that_came_with_the_updater_is_offered_and_else_the_steps_are_said() -> None:
    seen = replace(WINDOWS, bootloader_driver=Driver.OLD_ST)

    with_package, without = diagnose(replace(seen, brings_driver=True)), diagnose(seen)

    assert with_package.finding.fix == "windows-driver"
    assert "updater doctor --fix" in with_package.finding.next_step
    assert "STTub30" in with_package.finding.next_step
    assert without.finding.fix is None
    assert "STM32CubeProgrammer" in without.finding.next_step


def test_a_devices_own_driver_is_not_the_bootloaders() -> None:
    seen = with_device(replace(WINDOWS, brings_driver=True), problem="no-driver", driver=Driver.MISSING)

    found = diagnose(seen).finding

    assert found.fix is None
    assert "the device's WinUSB driver" in found.next_step


def test_what_the_words_say_that_fix_does_is_what_it_does() -> None:
    for trouble, (seen, _, _) in BRANCHES.items():
        finding = diagnose(seen).finding
        assert ("--fix" in finding.next_step) == (finding.fix is not None), trouble


def test_only_linux_takes_no_permission_for_a_missing_rule() -> None:
    """Windows and macOS refuse so when another program has the device open."""
    for system in ("windows", "macos"):
        seen = replace(with_device(problem="no-permission"), system=system)
        assert diagnose(seen).finding.id == Trouble.PROGRAM_HOLDS_IT


@pytest.mark.parametrize(("port", "hubs"), [("1-4", 0), ("1-4.2", 1), ("2-1.2.3.4.1.6", 5), ("1-0", 0)])
def test_each_further_number_of_a_port_path_is_one_more_hub(port: str, hubs: int) -> None:
    assert hubs_on(port) == hubs


def test_five_hubs_are_allowed_and_six_are_not() -> None:
    """USB 2.0 section 4.1.1: at most five between the root hub and a device."""
    five, six = with_device(port="1-1.1.1.1.1.1"), with_device(port="1-1.1.1.1.1.1.1")

    assert diagnose(five).finding.id == Trouble.ALL_WELL
    assert diagnose(six).finding.id == Trouble.HUB_TOO_DEEP


@given(
    st.builds(
        Circumstances,
        system=st.sampled_from(["linux", "windows", "macos", "other"]),
        space=st.sampled_from(Space),
        free_bytes=st.none() | st.integers(0, 10**12),
        usb_fails=st.none() | st.just("it {fails}"),
        devices=st.lists(
            st.builds(
                SeenDevice,
                name=st.sampled_from(["Demo Widget", "the STM32 bootloader", "{odd}"]),
                port=st.sampled_from(["1-1", "2-1.2.3.4.5.6.7"]),
                usb=st.sampled_from(["0483:df11", "1209:0001"]),
                in_bootloader=st.booleans(),
                problem=st.sampled_from([None, "no-driver", "no-permission", "busy"]),
                driver=st.sampled_from(Driver),
                held_by=st.sampled_from([(), ("dfu-util",)]),
                has_rule=st.sampled_from([None, True, False]),
                silent=st.none() | st.just("silence"),
                known=st.booleans(),
            ),
            max_size=2,
        ).map(tuple),
        others=st.none() | st.integers(0, 3),
        unreadable=st.integers(0, 1),
        never_came=st.booleans(),
        bootloader_driver=st.sampled_from(Driver),
        brings_driver=st.booleans(),
        modem_manager=st.booleans(),
        site=st.sampled_from(Site),
        place=st.sampled_from(Place),
    )
)
def test_whatever_is_seen_there_is_one_finding_in_whole_sentences(seen: Circumstances) -> None:
    found = diagnose(seen)

    assert found.finding.what
    assert found.finding.next_step.endswith((".", "?"))
    assert (found.finding.id == Trouble.ALL_WELL) == (
        not found.others and found.finding.id == Trouble.ALL_WELL
    )
    assert found.finding.id not in [one.id for one in found.others]
    assert found.looked_at


def test_every_sentence_of_the_doctor_is_one() -> None:
    for trouble, said in SAID.items():
        for text in (said.what, said.next_step):
            assert re.match(r"[A-Z{]", text), (trouble, text)
            assert text.endswith((".", "}")), (trouble, text)
            assert "  " not in text, (trouble, text)
