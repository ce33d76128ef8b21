"""What the doctor says: every sentence of it in one place, with the exit status of the error behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from updater.words.errors import (
    CannotOpen,
    NetworkFailed,
    NoDevice,
    NotFinished,
    NotTrusted,
    SeveralDevices,
    StorageFailed,
    UnknownDevice,
    UsbFailed,
    WrongDevice,
)


class Trouble(StrEnum):
    """The branches of the tree, in the order in which they are solved. docs/support.md has each."""

    STATE_UNWRITABLE = "state-unwritable"
    DISK_FULL = "disk-full"
    USB_UNAVAILABLE = "usb-unavailable"
    DRIVER_MISSING = "driver-missing"
    DRIVER_OLD_ST = "driver-old-st"
    DRIVER_OTHER = "driver-other"
    DRIVER_INCOMPLETE = "driver-incomplete"
    DRIVER_UNKNOWN = "driver-unknown"
    DEVICE_DISABLED = "device-disabled"
    DEVICE_PROBLEM = "device-problem"
    NO_PERMISSION = "no-permission"
    REPLUG_FOR_RULE = "replug-for-rule"
    PROGRAM_HOLDS_IT = "program-holds-it"
    MODEM_MANAGER = "modem-manager"
    HUB_TOO_DEEP = "hub-too-deep"
    SEVERAL_DEVICES = "several-devices"
    NOT_OURS = "not-ours"
    DEVICE_SILENT = "device-silent"
    UNKNOWN_DEVICE = "unknown-device"
    UNFINISHED_HERE = "unfinished-here"
    UNREADABLE_DEVICE = "unreadable-device"
    ROM_NEVER_APPEARS = "rom-never-appears"
    UNFINISHED_AWAY = "unfinished-away"
    NOTHING_ON_THE_BUS = "nothing-on-the-bus"
    BOOTLOADER_DRIVER = "bootloader-driver"
    CLOCK_OFF = "clock-off"
    LOGIN_PAGE = "login-page"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    NO_NETWORK = "no-network"
    TEMPORARY_FOLDER = "temporary-folder"
    NETWORK_FOLDER = "network-folder"
    MODEM_MANAGER_MAY_DISTURB = "modem-manager-may-disturb"
    ALL_WELL = "all-well"


@dataclass(frozen=True, slots=True)
class Said:
    """The words of one branch; what stands in braces is told by the tree."""

    exit_status: int
    what: str
    next_step: str


BY_FIX = (
    "Run `updater doctor --fix`: it installs the driver that came with this updater, and Windows asks for "
    "your permission once."
)
BY_HAND = (
    "Ask the vendor for the WinUSB driver of the STM32 bootloader, or install ST's STM32CubeProgrammer, "
    "which brings it. Then unplug the device and plug it in again."
)
BY_HAND_DEVICE = "Ask the vendor for the device's WinUSB driver. Then unplug the device and plug it in again."
OLD_ST_FIRST = (
    "An old driver of ST (STTub30) is in its place: in the Device Manager choose the bootloader, uninstall "
    'it, and tick "delete the driver". '
)
SEEN_BEFORE = (
    "This computer has seen the device before, so the cable or the socket is more likely than a driver."
)
_OTHER_WAY = "Or ask the vendor for the update as a file and open that; it needs no internet."
_AGAIN = "Then unplug the device and plug it in again."


def others_in_words(count: int) -> str:
    """How many other USB devices there are, which shows whether USB works at all."""
    if not count:
        return "There is no other USB device either."
    return f"USB itself works: {count} other device{'s are' if count > 1 else ' is'} there."


SAID = {
    Trouble.STATE_UNWRITABLE: Said(
        StorageFailed.exit_status,
        "The folder in which the updater keeps its state cannot be written to.",
        "Check that your account may write there, or name another folder with --state.",
    ),
    Trouble.DISK_FULL: Said(
        StorageFailed.exit_status,
        "The disk with the updater's state folder has {free} space left.",
        "Free some space (100 MB are enough), and run the command again.",
    ),
    Trouble.USB_UNAVAILABLE: Said(
        UsbFailed.exit_status,
        "This computer's USB cannot be asked for its devices: {why}",
        "Install the updater again. If that does not help, send a report to the vendor's support: "
        "`updater report --output report.zip`.",
    ),
    Trouble.DRIVER_MISSING: Said(
        CannotOpen.exit_status,
        "Windows has no driver for {name}{code}.",
        "{how}",
    ),
    Trouble.DRIVER_OLD_ST: Said(
        CannotOpen.exit_status,
        "Windows uses ST's old driver {service} for {name}, and the updater cannot work with that one.",
        'In the Device Manager choose the device, uninstall it, and tick "delete the driver". {how} '
        "Other programs that need the old driver (DfuSe Demo) will not find the device any more.",
    ),
    Trouble.DRIVER_OTHER: Said(
        CannotOpen.exit_status,
        'Windows uses the driver "{service}" for {name}, and the updater cannot work with that one.',
        'In the Device Manager choose the device, uninstall it, and tick "delete the driver". {how}',
    ),
    Trouble.DRIVER_INCOMPLETE: Said(
        CannotOpen.exit_status,
        "Windows uses WinUSB for {name}, but its entry has no interface GUID, without which no program can "
        "open the device.",
        'In the Device Manager choose the device, uninstall it, and tick "delete the driver". {how}',
    ),
    Trouble.DRIVER_UNKNOWN: Said(
        CannotOpen.exit_status,
        "The USB driver does not let {name} be opened, and Windows' records do not say why.",
        "Unplug the device, plug it in again, and give Windows a minute. If that does not help: {how}",
    ),
    Trouble.DEVICE_DISABLED: Said(
        CannotOpen.exit_status,
        "{name} is switched off in Windows{code}.",
        'Open the Device Manager, choose the device, and choose "Enable device".',
    ),
    Trouble.DEVICE_PROBLEM: Said(
        CannotOpen.exit_status,
        "Windows reports a problem with {name}{code}.",
        "Unplug the device, restart Windows, and plug it in again, at another USB socket if there is one. If "
        "the code stays, send a report to the vendor's support.",
    ),
    Trouble.NO_PERMISSION: Said(
        CannotOpen.exit_status,
        "Your account may not use {name}: Linux needs a rule for it.",
        f"Run `updater doctor --fix`: it shows the rule, and installs it with an administrator's password. "
        f"{_AGAIN}",
    ),
    Trouble.REPLUG_FOR_RULE: Said(
        CannotOpen.exit_status,
        "Your account may not use {name}, although there is a rule for it.",
        "Unplug the device and plug it in again: a rule is for devices that come after it. It is for the "
        "person who is logged in at this computer, not over SSH.",
    ),
    Trouble.PROGRAM_HOLDS_IT: Said(
        CannotOpen.exit_status,
        "{name} is there, but {who} using it.",
        "Close other programs that talk to the device (its own app, STM32CubeProgrammer, a serial terminal, "
        "a virtual machine), and run the command again.",
    ),
    Trouble.MODEM_MANAGER: Said(
        CannotOpen.exit_status,
        "{name} is in use, and ModemManager is running: it tries new serial ports as if they were modems.",
        "Wait half a minute and run the command again. `updater doctor --fix` installs a rule that keeps "
        "ModemManager away from the device.",
    ),
    Trouble.HUB_TOO_DEEP: Said(
        UsbFailed.exit_status,
        "There are {hubs} USB hubs in a row. USB allows five; what is behind them is not found, or fails.",
        "Plug the device into a socket of the computer itself.",
    ),
    Trouble.SEVERAL_DEVICES: Said(
        SeveralDevices.exit_status,
        "Several devices are connected: {names}.",
        "Unplug the others, or choose one with --device and its port.",
    ),
    Trouble.NOT_OURS: Said(
        WrongDevice.exit_status,
        "What is connected only looks like a bootloader of ours: {why}",
        "Connect the device that is to be updated.",
    ),
    Trouble.DEVICE_SILENT: Said(
        UsbFailed.exit_status,
        "The device on port {port} does not answer: {why}",
        "Unplug the device, plug it in again, and run the same command.",
    ),
    Trouble.UNKNOWN_DEVICE: Said(
        UnknownDevice.exit_status,
        "The device on port {port} cannot say which product it is.",
        "Read the product name on its label, and run the command with --as PRODUCT.",
    ),
    Trouble.UNFINISHED_HERE: Said(
        NotFinished.exit_status,
        "An update of a {title} was begun on this computer and not finished.",
        "Run the same command as then: it finishes the update.",
    ),
    Trouble.UNREADABLE_DEVICE: Said(
        UsbFailed.exit_status,
        "Something is plugged in, but it does not say what it is.",
        "Use another cable, a short one, and another socket of the computer, without a hub.",
    ),
    Trouble.ROM_NEVER_APPEARS: Said(
        NoDevice.exit_status,
        "In the last update the device left USB and its bootloader did not appear. The bootloader of an "
        "STM32 listens on serial pins as well as on USB, and stays with the first that says something; that "
        "can be an accessory, or noise on a pin that nothing is connected to.",
        "Unplug the device, unplug or switch off everything else that is connected to it, plug in only the "
        "USB cable, and run the same command.",
    ),
    Trouble.UNFINISHED_AWAY: Said(
        NoDevice.exit_status,
        "No device was found, and an update of a {title} was cut off earlier.",
        "Plug it in. If it is not found then: {steps} Then run the same command as before.",
    ),
    Trouble.NOTHING_ON_THE_BUS: Said(
        NoDevice.exit_status,
        "No device of this vendor is on USB, and no bootloader either. {others} {before}",
        "Check that the device has power, and use another USB cable: many are for charging only, and with "
        "them a device lights up but never appears. Wait ten seconds after plugging in. {button}",
    ),
    Trouble.BOOTLOADER_DRIVER: Said(
        CannotOpen.exit_status,
        "For the update the device goes into its bootloader, and Windows has no driver for that yet.",
        "{how}",
    ),
    Trouble.CLOCK_OFF: Said(
        NotTrusted.exit_status,
        "{doubt}",
        "Set this computer's date and time, and run the command again.",
    ),
    Trouble.LOGIN_PAGE: Said(
        NetworkFailed.exit_status,
        "The network answers with a login page or another web page instead of the update site.",
        f"Open a web page in the browser, log in to the network, and try again. {_OTHER_WAY}",
    ),
    Trouble.CERTIFICATE: Said(
        NetworkFailed.exit_status,
        "The connection to the update site is not accepted: {why}",
        f"Check this computer's date. In a company network ask the administrator whether traffic is "
        f"inspected, and to install the company's certificate in the system. {_OTHER_WAY}",
    ),
    Trouble.PROXY: Said(
        NetworkFailed.exit_status,
        "The network's proxy does not lead to the update site: {why}",
        f"Check the system's proxy settings, or ask your administrator. {_OTHER_WAY}",
    ),
    Trouble.NO_NETWORK: Said(
        NetworkFailed.exit_status,
        "The update site cannot be reached: {why}",
        f"Check the internet connection. {_OTHER_WAY}",
    ),
    Trouble.TEMPORARY_FOLDER: Said(
        0,
        "The updater runs from a temporary folder, which the system may empty; also out of a ZIP file that "
        "was only opened.",
        "It works for now. To keep it, put the program into a folder of your own and start it there.",
    ),
    Trouble.NETWORK_FOLDER: Said(
        0,
        "The updater runs from a network folder. If the network fails in the middle of an update, the "
        "program may stop.",
        "Copy the program to a folder of this computer, and start it there.",
    ),
    Trouble.MODEM_MANAGER_MAY_DISTURB: Said(
        0,
        "ModemManager is running. It tries the device's serial port as if it were a modem, for a while after "
        "the device was plugged in.",
        "Wait half a minute after plugging in. `updater doctor --fix` installs a rule that keeps "
        "ModemManager away from the device.",
    ),
    Trouble.ALL_WELL: Said(
        0,
        "Nothing stands in the way of an update.",
        "Run `updater check` to see whether there is one.",
    ),
}
