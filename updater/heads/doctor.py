"""The doctor: from what is known of a computer and its devices to one next step.

A decision tree over frozen facts, nothing else: whoever collected them (`checkup`) has looked, and whoever
shows the diagnosis decides how. What comes first in the tree is what has to be solved first; the first
branch that applies is the finding, and the others are only named. Each finding has the exit status of the
error that an update would end with.

Sources are said with the branches that need one; docs/support.md lists every branch for support staff.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from updater.heads import doctorwords as words
from updater.heads.doctorwords import Trouble
from updater.heads.drivers import Driver

System = Literal["linux", "windows", "macos", "other"]
MOST_HUBS = 5
"""How many hubs may lie between a computer and a device (USB 2.0 section 4.1.1)."""
LITTLE_SPACE_BYTES = 100 * 1024 * 1024
"""A bundle is at most 64 MiB, and lies in the folder once."""


class Site(StrEnum):
    """What came of asking the update site."""

    ANSWERS = "answers"
    NOT_ASKED = "not-asked"
    LOGIN_PAGE = "login-page"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    NO_ANSWER = "no-answer"


class Place(StrEnum):
    """What kind of folder the program runs from."""

    LASTING = "lasting"
    TEMPORARY = "temporary"
    NETWORK = "network"


class Space(StrEnum):
    """Whether the state folder can be used."""

    USABLE = "usable"
    FULL = "full"
    UNWRITABLE = "unwritable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDevice:
    """One device on the bus that could be the vendor's, or a bootloader.

    `problem`: what came of opening it, as in `devices --json`. `driver`, `service` and `code` are Windows'
    records; `held_by` are programs that use it, `has_rule` whether a udev rule speaks of it (None: no such
    thing here). `serial_way`: it is sent into its bootloader over its serial port, and has one. `silent`: why
    a bootloader could not be read; `known`: whether it is clear which product it is.
    """

    name: str
    port: str
    usb: str
    in_bootloader: bool = False
    problem: str | None = None
    driver: Driver = Driver.NOT_NEEDED
    service: str = ""
    code: int = 0
    held_by: tuple[str, ...] = ()
    has_rule: bool | None = None
    serial_way: bool = False
    silent: str | None = None
    known: bool = True

    @property
    def hubs(self) -> int:
        """How many hubs lie between the computer and the device, by its port path."""
        return hubs_on(self.port)


def hubs_on(port: str) -> int:
    """The hubs on a port path such as "1-4.2": each number behind the first is a port of one more hub."""
    return port.partition("-")[2].count(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An update that was begun and not finished; `steps` start the product's bootloader by hand."""

    title: str
    port: str
    steps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Everything that the tree looks at. What could not be looked at has its default, which means "fine".

    `refused`: why something that looks like a bootloader is none of ours. `others` are all other USB devices
    (None: not known), `hubs` the port paths of hubs, `unreadable` the
    devices that did not say who they are. `buttons` are the products' own steps into their bootloader.
    """

    system: System = "linux"
    space: Space = Space.USABLE
    free_bytes: int | None = None
    usb_fails: str | None = None
    devices: tuple[SeenDevice, ...] = ()
    refused: str | None = None
    others: int | None = None
    hubs: tuple[str, ...] = ()
    unreadable: int = 0
    seen_before: bool = False
    buttons: tuple[tuple[str, str], ...] = ()
    bootloader_driver: Driver = Driver.NOT_NEEDED
    brings_driver: bool = False
    unfinished: tuple[Unfinished, ...] = ()
    never_came: bool = False
    modem_manager: bool = False
    clock_doubt: str | None = None
    site: Site = Site.NOT_ASKED
    site_says: str = ""
    place: Place = Place.LASTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What stands in the way, in plain words, and the one thing to do about it.

    `fix`: what `updater doctor --fix` can do about it, after asking.
    """

    id: Trouble
    exit_status: int
    what: str
    next_step: str
    fix: Literal["udev-rules", "windows-driver"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The finding, what else was noticed, and what was looked at: pairs of a name and a text."""

    finding: Finding
    others: tuple[Finding, ...]
    looked_at: tuple[tuple[str, str], ...]


def diagnose(seen: Circumstances) -> Diagnosis:
    """One next step for these circumstances."""
    first, *rest = [*_findings(seen), _finding(Trouble.ALL_WELL)]
    others = tuple(one for one in rest if one.id not in (first.id, Trouble.ALL_WELL))
    return Diagnosis(finding=first, others=others, looked_at=tuple(_looked_at(seen)))


def _finding(
    trouble: Trouble, fix: Literal["udev-rules", "windows-driver"] | None = None, **told: object
) -> Finding:
    said = words.SAID[trouble]
    texts = {key: str(value) for key, value in told.items()}
    return Finding(
        id=trouble,
        exit_status=said.exit_status,
        what=_sentence(said.what.format_map(texts)),
        next_step=said.next_step.format_map(texts).strip(),
        fix=fix,
    )


def _sentence(text: str) -> str:
    """With a capital letter, also where it begins with what somebody else has said."""
    return text[:1].upper() + text[1:].strip()


def _findings(seen: Circumstances) -> Iterator[Finding]:
    """Every branch that applies, in the order in which they have to be solved."""
    yield from _storage(seen)
    if seen.usb_fails is not None:
        yield _finding(Trouble.USB_UNAVAILABLE, why=seen.usb_fails)
    elif seen.devices:
        yield from _devices(seen)
    else:
        yield from _nothing(seen)
    yield from _bootloader_to_come(seen)
    yield from _clock_and_site(seen)
    yield from _surroundings(seen)


def _storage(seen: Circumstances) -> Iterator[Finding]:
    if seen.space is Space.UNWRITABLE:
        yield _finding(Trouble.STATE_UNWRITABLE)
    elif seen.space is Space.FULL or (seen.free_bytes is not None and seen.free_bytes < LITTLE_SPACE_BYTES):
        free = "no" if not seen.free_bytes else f"only {seen.free_bytes / 1e6:,.0f} MB of"
        yield _finding(Trouble.DISK_FULL, free=free)


def _devices(seen: Circumstances) -> Iterator[Finding]:
    for device in seen.devices:
        yield from _driver(seen, device)
        if device.problem == "no-permission":
            trouble = Trouble.REPLUG_FOR_RULE if device.has_rule else Trouble.NO_PERMISSION
            if seen.system == "linux":
                yield _finding(trouble, None if device.has_rule else "udev-rules", name=device.name)
            else:  # Windows and macOS say so of a device that another program has open
                yield _finding(Trouble.PROGRAM_HOLDS_IT, name=device.name, who=_who(device))
        if device.problem == "busy" and seen.modem_manager and not device.held_by:
            yield _finding(Trouble.MODEM_MANAGER, "udev-rules", name=device.name)
        elif device.problem == "busy":
            yield _finding(Trouble.PROGRAM_HOLDS_IT, name=device.name, who=_who(device))
        if device.hubs > MOST_HUBS:
            yield _finding(Trouble.HUB_TOO_DEEP, hubs=device.hubs)
    if len(seen.devices) > 1:
        names = ", ".join(f"{one.name} (port {one.port})" for one in seen.devices)
        yield _finding(Trouble.SEVERAL_DEVICES, names=names)
    for device in seen.devices:
        if device.silent is not None:
            yield _finding(Trouble.DEVICE_SILENT, port=device.port, why=device.silent)
    if seen.unfinished:
        yield _finding(Trouble.UNFINISHED_HERE, title=seen.unfinished[0].title)
    for device in seen.devices:
        if not device.known and device.silent is None and device.problem is None:
            yield _finding(Trouble.UNKNOWN_DEVICE, port=device.port)


def _who(device: SeenDevice) -> str:
    return f"{', '.join(device.held_by)} is" if device.held_by else "another program is"


def _driver(seen: Circumstances, device: SeenDevice) -> Iterator[Finding]:
    """Windows: what its records say of the device, and then what opening it said."""
    fix: Literal["windows-driver"] | None = (
        "windows-driver" if seen.brings_driver and device.in_bootloader else None
    )
    trouble = {
        Driver.MISSING: Trouble.DRIVER_MISSING,
        Driver.OLD_ST: Trouble.DRIVER_OLD_ST,
        Driver.OTHER: Trouble.DRIVER_OTHER,
        Driver.INCOMPLETE: Trouble.DRIVER_INCOMPLETE,
        Driver.DISABLED: Trouble.DEVICE_DISABLED,
        Driver.FAILED: Trouble.DEVICE_PROBLEM,
    }.get(device.driver)
    if trouble is None and device.problem == "no-driver":
        trouble = Trouble.DRIVER_UNKNOWN
    if trouble is not None:
        by_hand = words.BY_HAND if device.in_bootloader else words.BY_HAND_DEVICE
        how = words.BY_FIX if fix else by_hand
        code = f" (problem code {device.code})" if device.code else ""
        yield _finding(trouble, fix, name=device.name, service=device.service, code=code, how=how)


def _nothing(seen: Circumstances) -> Iterator[Finding]:
    """No device of this vendor and no bootloader. What was before tells more than the empty bus."""
    explained = list(_why_nothing(seen))
    yield from explained
    if explained:
        return
    buttons = " ".join(f"{title}: {steps}" for title, steps in seen.buttons)
    yield _finding(
        Trouble.NOTHING_ON_THE_BUS,
        others="" if seen.others is None else words.others_in_words(seen.others),
        before=words.SEEN_BEFORE if seen.seen_before else "",
        button=f"If its program is damaged, start its bootloader by hand. {buttons}" if buttons else "",
    )


def _why_nothing(seen: Circumstances) -> Iterator[Finding]:
    too_deep = [hubs_on(hub) + 1 for hub in seen.hubs if hubs_on(hub) + 1 > MOST_HUBS]
    if too_deep:
        yield _finding(Trouble.HUB_TOO_DEEP, hubs=max(too_deep))
    if seen.unreadable:
        yield _finding(Trouble.UNREADABLE_DEVICE)
    if seen.refused is not None:
        yield _finding(Trouble.NOT_OURS, why=seen.refused)
    if seen.never_came:
        yield _finding(Trouble.ROM_NEVER_APPEARS)
    if seen.unfinished:
        left = seen.unfinished[0]
        steps = f"Start its bootloader by hand: {left.steps}" if left.steps else "Plug it in again."
        yield _finding(Trouble.UNFINISHED_AWAY, title=left.title, steps=steps)


def _bootloader_to_come(seen: Circumstances) -> Iterator[Finding]:
    """The driver that the device will need once it is in its bootloader; then it is late to look for it."""
    is_here = any(one.in_bootloader for one in seen.devices)
    if is_here or seen.bootloader_driver in (Driver.READY, Driver.NOT_NEEDED):
        return
    how = words.BY_FIX if seen.brings_driver else words.BY_HAND
    old = words.OLD_ST_FIRST if seen.bootloader_driver is Driver.OLD_ST else ""
    yield _finding(
        Trouble.BOOTLOADER_DRIVER, "windows-driver" if seen.brings_driver else None, how=f"{old}{how}"
    )


def _clock_and_site(seen: Circumstances) -> Iterator[Finding]:
    """A wrong clock makes certificates look wrong, so it comes before the network."""
    if seen.clock_doubt is not None:
        yield _finding(Trouble.CLOCK_OFF, doubt=seen.clock_doubt)
    trouble = {
        Site.LOGIN_PAGE: Trouble.LOGIN_PAGE,
        Site.CERTIFICATE: Trouble.CERTIFICATE,
        Site.PROXY: Trouble.PROXY,
        Site.NO_ANSWER: Trouble.NO_NETWORK,
    }.get(seen.site)
    if trouble is not None:
        yield _finding(trouble, why=seen.site_says)


def _surroundings(seen: Circumstances) -> Iterator[Finding]:
    """What works today and may not tomorrow."""
    if seen.place is Place.TEMPORARY:
        yield _finding(Trouble.TEMPORARY_FOLDER)
    if seen.place is Place.NETWORK:
        yield _finding(Trouble.NETWORK_FOLDER)
    if seen.modem_manager and any(
        one.serial_way and not one.has_rule and one.problem is None for one in seen.devices
    ):
        yield _finding(Trouble.MODEM_MANAGER_MAY_DISTURB, "udev-rules")


def _looked_at(seen: Circumstances) -> Iterator[tuple[str, str]]:
    free = "" if seen.free_bytes is None else f", {seen.free_bytes / 1e6:,.0f} MB free"
    yield "state folder", f"{seen.space}{free}"
    if seen.usb_fails is not None:
        yield "USB", f"cannot be asked: {seen.usb_fails}"
    else:
        others = "" if seen.others is None else f"; {seen.others} others"
        yield "USB devices", f"{len(seen.devices)} that could be yours{others}"
    for one in seen.devices:
        parts = [f"{one.name} ({one.usb})", "in its bootloader" if one.in_bootloader else "its application"]
        parts.append(f"cannot be opened: {one.problem}" if one.problem else "can be opened")
        if one.driver is not Driver.NOT_NEEDED:
            parts.append(f"driver {one.service or 'none'} ({one.driver}), problem code {one.code}")
        parts += [f"used by {', '.join(one.held_by)}"] if one.held_by else []
        yield f"port {one.port}", ", ".join(parts)
    if seen.bootloader_driver is not Driver.NOT_NEEDED:
        yield "driver for bootloader", seen.bootloader_driver
    if seen.modem_manager:
        yield "ModemManager", "is running"
    for left in seen.unfinished:
        yield "unfinished update", f"{left.title} on port {left.port}"
    yield "clock", seen.clock_doubt or "nothing speaks against it"
    yield "update site", f"{seen.site}{f': {seen.site_says}' if seen.site_says else ''}"
    yield "program's folder", seen.place
