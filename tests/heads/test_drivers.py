"""What Windows' records say of a device's driver.

The records are typed by hand in the form that Microsoft documents for SetupAPI and the registry's Enum\\USB:
instance ids, service names, CM_PROB codes.
"""

from __future__ import annotations

import pytest

from updater.heads.drivers import (
    DeviceRecord,
    Driver,
    driver_of,
    is_winusb_package,
    problem_of,
    service_of,
    unreadable,
)

ROM = "0483:df11"
APP = "1209:0001"
GUID = ("{a5dcbf10-6530-11d2-901f-00c04fb951ed}",)


def rom(
    service: str = "", *, present: bool = True, serial: str = "200364500000", **more: object
) -> DeviceRecord:
    instance = f"USB\\VID_0483&PID_DF11\\{serial}"
    guids = GUID if service.lower() == "winusb" else ()
    facts = {"interface_guids": guids, **more}
    return DeviceRecord(instance=instance, present=present, service=service, **facts)  # type: ignore[arg-type] # a test's own keys


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], Driver.NEVER_SEEN),
        ([rom(problem=28)], Driver.MISSING),  # a fresh computer: code 28, no service
        ([rom(problem=1)], Driver.MISSING),
        ([rom("WinUSB")], Driver.READY),  # ST's STM32Bootloader.inf, Zadig
        ([rom("WINUSB")], Driver.READY),
        ([rom("libusbK")], Driver.READY),
        ([rom("libusb0")], Driver.READY),
        ([rom("STTub30")], Driver.OLD_ST),  # DfuSe Demo
        ([rom("usbser")], Driver.OTHER),
        ([rom("WinUSB", interface_guids=())], Driver.INCOMPLETE),
        ([rom("WinUSB", problem=22)], Driver.DISABLED),
        ([rom("WinUSB", problem=10)], Driver.FAILED),
        ([rom("WinUSB", present=False)], Driver.READY),  # earlier, with another board
        ([rom("WinUSB", present=False, problem=45)], Driver.READY),  # CM_PROB_PHANTOM: not plugged in
        ([rom("WinUSB", present=False, interface_guids=())], Driver.READY),
        ([rom("STTub30", present=False)], Driver.OLD_ST),
        ([rom("STTub30", present=False, serial="1"), rom("WinUSB", present=False)], Driver.READY),
        ([rom(problem=28), rom("WinUSB", present=False, serial="1")], Driver.MISSING),  # what is here counts
    ],
)
def test_what_windows_has_for_the_bootloader(records: list[DeviceRecord], expected: Driver) -> None:
    assert driver_of(records, ROM) is expected


def test_a_package_in_the_driver_store_is_used_when_the_bootloader_comes_for_the_first_time() -> None:
    assert driver_of([], ROM, staged=True) is Driver.READY
    assert driver_of([rom(present=False)], ROM, staged=True) is Driver.READY
    assert driver_of([rom(problem=28)], ROM, staged=True) is Driver.MISSING  # it is here, and was not used


def composite(*functions: tuple[str, str], parent: str = "usbccgp") -> list[DeviceRecord]:
    device = DeviceRecord(instance="USB\\VID_1209&PID_0001\\87278FF7", present=True, service=parent)
    return [
        device,
        *(
            DeviceRecord(
                instance=f"USB\\VID_1209&PID_0001&MI_{number}\\6&2AF",
                present=True,
                service=service,
                problem=0 if service else 28,
                interface_guids=GUID if service == "WinUSB" else (),
            )
            for number, service in functions
        ),
    ]


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        ([("00", "WinUSB"), ("01", "usbser")], Driver.READY),
        ([("00", "usbser")], Driver.OTHER),
        ([("00", ""), ("01", "usbser")], Driver.MISSING),
    ],
)
def test_of_a_composite_device_one_usable_function_is_enough(
    functions: list[tuple[str, str]], expected: Driver
) -> None:
    assert driver_of(composite(*functions), APP) is expected


def test_records_of_other_devices_do_not_count() -> None:
    other = DeviceRecord(instance="USB\\VID_0483&PID_5740\\1", present=True, service="usbser")
    root = DeviceRecord(instance="USB\\ROOT_HUB30\\4&1&0&0", present=True, service="USBHUB3")

    assert driver_of([other, root], ROM) is Driver.NEVER_SEEN
    assert (other.usb, root.usb) == ("0483:5740", "")


def test_the_code_and_the_service_are_those_of_the_device_that_is_plugged_in() -> None:
    records = [rom("WinUSB", present=False, serial="1"), rom("STTub30", problem=10)]

    assert problem_of(records, ROM) == 10
    assert service_of(records, ROM) == "STTub30"
    assert service_of([*records[:1], rom()], ROM) == "WinUSB"


def test_a_device_without_descriptors_is_counted_as_unreadable() -> None:
    """Windows names it "Unknown USB Device (Device Descriptor Request Failed)", code 43."""
    failed = DeviceRecord(instance="USB\\VID_0000&PID_0002\\5&1", present=True, problem=43)

    assert unreadable([failed, rom()]) == 1


@pytest.mark.parametrize(
    ("inf", "expected"),
    [
        ("%d%=USB_Install, USB\\VID_0483&PID_DF11\n[USB_Install]\nInclude=winusb.inf\n", True),
        ("%d%=x, usb\\vid_0483&pid_df11\nServiceBinary=WinUSB.sys", True),
        ("%d%=x, USB\\VID_0483&PID_DF11\nServiceBinary=STTub30.sys", False),
        ("%d%=x, USB\\VID_0483&PID_5740\nInclude=winusb.inf", False),
    ],
)
def test_a_winusb_package_is_told_by_the_hardware_id_and_the_driver_it_names(
    inf: str, expected: bool
) -> None:
    assert is_winusb_package(inf, ROM) is expected
