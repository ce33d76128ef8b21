"""Every sentence that the window says, in one place: English here, other languages in `updater/locale`.

House rules, which tests hold: a sentence says what to do or what is so; no word that only engineers know;
names in braces are filled in by whoever says it. What a vendor writes himself (a product's title, release
notes, the steps to its update mode) is shown as he wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from updater.words.events import Step


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence and what is filled into it. It becomes words only where it is drawn."""

    id: str
    values: tuple[tuple[str, str | int | Text], ...] = ()


def say(id: str, **values: str | int | Text) -> Text:
    """The sentence with these values."""
    return Text(id, tuple(sorted(values.items())))


def verbatim(text: str) -> Text:
    """Somebody else's words, which are not translated."""
    return Text("", (("text", text),))


def _(id: str) -> str:
    """Marks a sentence for the catalogue."""
    return id


# ------------------------------------------------------------------------------------------- before the work

TITLE = _("{vendor} Updater")
TITLE_DEMO = _("{vendor} Updater (demo: virtual devices only)")
TITLE_WITH = _("{headline} – {title}")

LOOKING = _("Looking for your device …")
NOTHING = _("No device found")
NOTHING_DO = _("Connect your {vendor} device to this computer with its USB cable. It appears here by itself.")
NOTHING_LINK = _("A link asked for an update of: {product}.")
NOTHING_FILE = _("The update in {file} waits for its device.")
STRANGER_HERE = _("A device is connected that this program does not know. It is left alone.")
ADVICE_TITLE = _("If it does not appear:")
ADVICE_CABLE = _("Try another USB cable. Some cables only charge and carry no data.")
ADVICE_SOCKET = _("Plug it directly into the computer, not into a hub or a screen.")
ADVICE_POWER = _("Check that the device has power and is switched on.")
ADVICE_NEW_PRODUCT = _("A new product may need a newer version of this program. Ask {vendor} for it.")
ADVICE_UNFINISHED = _(
    "An update of your {product} was cut off. If it does not appear when you plug it in: {steps}"
)
TROUBLES: Mapping[str, str] = {
    "hub-too-deep": _("There are too many hubs in between. Plug it into a socket of the computer itself."),
    "unreadable-device": _(
        "Something is plugged in that the computer cannot read. Use another, short cable and another socket."
    ),
    "rom-never-appears": _(
        "Unplug everything else from the device, and connect only its USB cable. Then plug that in again."
    ),
}
"""What the doctor finds when no device is there, by the names of its branches."""

SEVERAL = _("Several devices are connected")
SEVERAL_DO = _("Choose the one that you want to update, or unplug the others.")
DEVICE_VERSION = _("Version {version}")
DEVICE_SERIAL = _("serial number {serial}")
DEVICE_PORT = _("USB port {port}")
DEVICE_SILENT = _("Device in update mode")
DEVICE_UNKNOWN = _("Device that does not say what it is")
JOINED = _("{first} · {second}")

PICK = _("Which product is this?")
PICK_DO = _(
    "This device is in its update mode and cannot say what it is. Read the label on the device and choose "
    "the same product here."
)
PICK_CARE = _("Do not guess: the wrong update can make the device unusable.")
PICK_LABEL = _("{product}, hardware {hardware}")

OTHER = _("Install another update")
OTHER_DO = _("Open an update file that you were sent, or paste a link or a code.")
OTHER_ENTRY = _("Link or code:")

CHECKING = _("Checking your {name} …")
CHECKING_ANY = _("Looking for an update …")

UP_TO_DATE = _("Your {name} is up to date")
UP_TO_DATE_SAYS = _("It has version {version}, and there is no newer one. There is nothing to do.")

OFFERED = _("An update for your {name} is ready")
OFFERED_OLDER = _("An older version for your {name}")
OFFERED_REPAIR = _("Your {name} needs its update")
OFFERED_DO = _("Press “Update now” and leave the device plugged in until it is done.")
LINKED = _("A link asks you to update your {name}")
LINKED_CARE = _(
    "The update comes from {vendor} and is genuine, but anybody can send a link. Go on only if you expected "
    "it."
)
TOLD_BY_YOU = _("You said that this device is: {product}. Nothing else proves it.")
NO_WAY_BACK = _("Do not unplug the device before it is done: you could not repair it yourself.")
IF_CUT = _("If the cable comes loose: plug it in again, and the update goes on.")
IF_CUT_STEPS = _(
    "If the cable comes loose: plug it in again, and the update goes on. If it does not: {steps}"
)
REPLUG_AT_END = _("At the end you will be asked to unplug the device and plug it in again.")
ALL_ERASED = _("Everything that is stored in the device is erased by this update.")

ROW_INSTALLED = _("Installed")
ROW_NEW = _("Update to")
ROW_SIZE = _("Size")
ROW_TIME = _("Takes")
ROW_NOTES = _("What is new")
VERSION_UNKNOWN = _("not known")
SIZE_KB = _("{amount} KB")
SIZE_MB = _("{amount} MB")
ABOUT_SECONDS = _("about {count} seconds")
ABOUT_MINUTES = _("about {count} minutes")
LEFT_SECONDS = _("about {count} seconds left")
LEFT_MINUTES = _("about {count} minutes left")

TYPED_OLDER = _("Install an older version?")
TYPED_OLDER_CARE = _(
    "Version {new} is older than version {old}, which the device has. Faults that were mended "
    "since come back."
)
TYPED_EXPIRED = _("Install without fresh trust information?")
TYPED_EXPIRED_CARE = _(
    "What this program knows of its vendor has expired by this computer's date. Check the date first. If it "
    "is right, go on only when {vendor} told you to."
)
TYPED_ENTRY = _("To go on, type: {text}")

# ------------------------------------------------------------------------------------------- during the work

WORKING = _("Updating your {name} …")
WORKING_DO = _("Leave the device plugged in and the computer switched on.")
STOP_ASKED = _("Stop the update?")
STOP_ASKED_CARE = _("If you stop now, the device may not work until the update has been finished.")
STOPPING = _("Stopping as soon as it is safe …")

HANDS = _("Your help is needed")
HANDS_WAITS = _("Use the same USB socket. This window goes on by itself as soon as the device is ready.")
REPLUG = _("Unplug the device and plug it in again")
REPLUG_DO = _("Do it now, and use the same USB socket. This window goes on by itself.")
DRIVER = _("Windows has no driver for the device yet")
DRIVER_DO = _(
    "Leave the device plugged in. Nothing was changed. Install the driver that {support} gives you: this "
    "window goes on by itself."
)

STEPS: Mapping[Step, str] = {
    Step.DOWNLOAD: _("Downloading the update"),
    Step.CHECK: _("Checking that it is genuine"),
    Step.ENTER: _("Preparing the device"),
    Step.READ: _("Comparing"),
    Step.ERASE: _("Making room"),
    Step.WRITE: _("Writing"),
    Step.VERIFY: _("Checking every byte"),
    Step.LEAVE: _("Starting the device"),
    Step.CONFIRM: _("Waiting for the device"),
}

# --------------------------------------------------------------------------------------------- after the work

DONE = _("Done. Your {name} has version {version}")
DONE_DO = _("Every byte was checked. You can unplug the device now, or go on using it.")

NOT_CONFIRMED = _("The device has not come back yet")
NOT_CONFIRMED_DO = _(
    "Everything was written and checked. Unplug the device and plug it in again: this window says when it is "
    "back. If it stays away, save a report and send it to {support}."
)

UNPLUGGED = _("Plug the device in again")
UNPLUGGED_DO = _(
    "The connection was lost before the update was finished. Use the same USB socket: the update goes on by "
    "itself."
)
UNPLUGGED_STEPS = _("If nothing happens: {steps}")
UNPLUGGED_LEAVE = _("Leave the device plugged in")
UNPLUGGED_LEAVE_DO = _("The connection was lost before the update was finished. It goes on by itself.")
UNPLUGGED_HERE = _("The device is back, but the update stopped again. Press “Finish the update”.")
RESUMING = _("The device is back. The update goes on …")
STOPPED = _("The update was stopped before its end")
STOPPED_DO = _("The device may not work until it is finished. Press “Finish the update” when you are ready.")

FAILED_SUPPORT = _("If that does not help, save a report and send it to {support}.")
FAILED_MESSAGE = _("Message for support: {message}")
IN_UPDATE_MODE = _("The device waits in its update mode. Unplug it and plug it in again to end that.")
RUNS_OLD = _("The device was not changed. It works as before.")
REPORT_SAVED = _("The report is in {file}. Look at it, and send it to {support}.")
REPORT_FAILED = _("The report cannot be saved there. Choose another folder.")

# -------------------------------------------------------------------------------------------------- failures

FAILURES: Mapping[str, tuple[str, str]] = {
    "Usage": (
        _("This cannot be opened"),
        _("Check the link, the code or the file with whoever sent it, and try it once more."),
    ),
    "NoDevice": (
        _("The device is not connected any more"),
        _("Plug the device in again. This window goes on by itself."),
    ),
    "SeveralDevices": (
        _("More than one device is connected"),
        _("Unplug the others, and press “Try again”."),
    ),
    "UnknownDevice": (
        _("This device does not say what it is"),
        _("Unplug it and plug it in again. If it stays so, ask {support} how to start its update mode."),
    ),
    "WrongDevice": (
        _("This update is not for this device"),
        _("Check that the right device is connected, and ask {support} for the update made for it."),
    ),
    "NotTrusted": (
        _("This update is not genuine, or it is damaged"),
        _(
            "It was not used. Get the update again from {support}. If it happens again, check this "
            "computer's date."
        ),
    ),
    "Refused": (
        _("This update may not be installed here"),
        _("Ask {support} which update fits this device."),
    ),
    "NoSuchRelease": (
        _("There is no such update"),
        _("Check the link or the code with whoever sent it: the update may have been withdrawn."),
    ),
    "NetworkFailed": (
        _("The update cannot be downloaded"),
        _("Check the internet connection and press “Try again”, or open an update file that you were sent."),
    ),
    "TlsFailed": (
        _("The connection is not safe"),
        _("Check this computer's date and press “Try again”, or open an update file that you were sent."),
    ),
    "UsbFailed": (
        _("The device does not answer"),
        _("Unplug the device, plug it in again, and press “Try again”."),
    ),
    "CannotOpen": (
        _("The device cannot be reached"),
        _("Close other programs that use the device, plug it in again, and press “Try again”."),
    ),
    "NotFinished": (
        _("The update is not finished"),
        _("Plug the device in again, and press “Finish the update”."),
    ),
    "NotConfirmed": (
        _("The device has not come back with the new version"),
        _("Unplug the device and plug it in again."),
    ),
    "Protected": (
        _("This device is locked"),
        _("Its maker has locked its memory. Ask {support} how it is updated."),
    ),
    "Cancelled": (
        _("The update was cancelled"),
        _("Nothing was installed. Press “Try again” when you are ready."),
    ),
    "StorageFailed": (
        _("This computer's disk cannot be used"),
        _("Close other windows of this program, make some room on the disk, and press “Try again”."),
    ),
    "Bug": (
        _("This program made a mistake"),
        _("Save a report and send it to {support}."),
    ),
}
"""For each class of `updater.words.errors`: what is so, and what to do."""

PROBLEMS: Mapping[str, str] = {
    "no-driver": _(
        "Windows needs a driver for this device. Unplug it, plug it in again and wait a minute. If that does "
        "not help, ask {support} for the driver."
    ),
    "no-permission": _(
        "This user account may not use the device. Ask whoever looks after this computer to allow it, and "
        "plug the device in again."
    ),
    "busy": _(
        "Another program is using the device. Close it, plug the device in again, and press “Try again”."
    ),
}
"""What to do about a device that is there and cannot be opened."""

# --------------------------------------------------------------------------------------------------- buttons

UPDATE_NOW = _("Update now")
FINISH = _("Finish the update")
CONTINUE = _("Continue")
THIS_IS_IT = _("This is my device")
TRY_AGAIN = _("Try again")
CLOSE = _("Close")
CANCEL = _("Cancel")
BACK = _("Back")
NOT_NOW = _("Not now")
REINSTALL = _("Install it again")
ANOTHER = _("Update another device")
OTHER_BUTTON = _("Other update …")
OPEN_FILE = _("Open a file …")
REPORT = _("Save a report …")
KEEP_GOING = _("Keep updating")
STOP = _("Stop the update")
DETAILS = _("Details")
DIALOG_OPEN = _("Open an update file")
DIALOG_UPDATES = _("Update files")
DIALOG_ALL = _("All files")
DIALOG_REPORT = _("Save the report as")
