"""The checkup: looks at this computer and its devices for the doctor, and asks him.

Nothing is changed and no device is written to. Whatever cannot be looked at is left out; a checkup itself
never fails, because it is for those for whom something does. `examine` is what a door calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from updater.hands import logbook, osfacts
from updater.hands.channel import ask_site
from updater.hands.host import Home, program_path
from updater.hands.osfacts import LinuxUsb, UsbNode, hub_ports
from updater.hands.store import Journal, Store
from updater.hands.usbio import ROM_USB
from updater.heads.doctor import (
    Circumstances,
    Diagnosis,
    Place,
    SeenDevice,
    Site,
    System,
    Unfinished,
    diagnose,
)
from updater.heads.drivers import DeviceRecord, Driver, Drivers, driver_of, problem_of, service_of, unreadable
from updater.heads.gate import verify_evidence, walk_roots
from updater.heads.policy import check_clock
from updater.heads.vendor import SerialSend, Touch1200, Vendor
from updater.story.devices import look_around
from updater.story.job import Hands
from updater.story.ways import NEVER_CAME
from updater.words.errors import UpdaterError
from updater.words.facts import DeviceFacts, Mode

Look = Callable[[], Sequence[DeviceFacts]]
SiteAnswer = tuple[Site, str, datetime | None]
_CLOCK_OFF_DAYS = 1
_SERIAL_DRIVER = "cdc_acm"
_BOOTLOADER = "the STM32 bootloader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the checkup looks. The defaults are this computer; a lab has none of its USB.

    `look` finds the connected devices; `site` asks the update site, or is None where that is not wished.
    """

    home: Home
    store: Store
    look: Look
    now: datetime
    drivers: Drivers
    site: Callable[[], SiteAnswer] | None
    virtual: bool = False
    system: System = field(default_factory=osfacts.this_system)
    linux: LinuxUsb = field(default_factory=LinuxUsb)
    records: Callable[[], tuple[DeviceRecord, ...]] = osfacts.windows_records
    program: Path | None = field(default_factory=program_path)


def examine(hands: Hands, *, online: bool) -> Diagnosis:
    """The doctor's diagnosis from the hands of a conversation, such as the window's; never raises.

    `online`: the update site is asked too, which can take a minute in a bad network.
    """
    return examine_at(around(hands, online=online))


def around(hands: Hands, *, online: bool) -> Surroundings:
    """The surroundings of a conversation that has its hands already."""

    def look() -> list[DeviceFacts]:
        found = look_around(hands.bus, hands.home.vendor, hands.silicon, hands.store.journals())
        return [one.facts for one in found]

    return Surroundings(
        home=hands.home,
        store=hands.store,
        look=look,
        now=hands.now,
        drivers=hands.drivers,
        site=(lambda: ask_site(hands.home.vendor)) if online else None,
        virtual=hands.virtual,
    )


def examine_at(where: Surroundings) -> Diagnosis:
    """The doctor's diagnosis for these surroundings; never raises."""
    return diagnose(look_at(where))


def look_at(where: Surroundings) -> Circumstances:
    """All that the doctor wants to know."""
    vendor, journals = where.home.vendor, where.store.journals()
    usb_fails, found = None, list[DeviceFacts]()
    try:
        found = list(where.look())
    except UpdaterError as error:
        usb_fails = error.message
    nodes = () if where.virtual or where.system != "linux" else where.linux.devices()
    records = () if where.virtual or where.system != "windows" else where.records()
    state = where.store.folder.parent
    space, free = osfacts.space_in(where.store.folder)
    site, site_says, site_time = where.site() if where.site else (Site.NOT_ASKED, "", None)
    ours = {usb for product in vendor.products for usb in product.usb}
    seen = [_seen(one, where, nodes, records) for one in found if not one.refused]
    if usb_fails is None:
        seen += _unlisted({*ours, ROM_USB} - {one.usb for one in found}, where, nodes, records)
    return Circumstances(
        system=where.system,
        space=space,
        free_bytes=free,
        usb_fails=usb_fails,
        devices=tuple(seen),
        refused=next((one.refused for one in found if one.refused), None),
        others=_others(nodes, records, {*ours, ROM_USB}, where),
        hubs=hub_ports(nodes),
        unreadable=unreadable(records),
        seen_before=any(record.usb in ours and not record.present for record in records),
        buttons=tuple((one.title, one.recovery.steps) for one in vendor.products if one.recovery.steps),
        bootloader_driver=Driver.NOT_NEEDED if where.virtual else where.drivers.of(ROM_USB),
        brings_driver=bool(where.home.driver),
        unfinished=tuple(_unfinished(journal, vendor) for journal in journals),
        never_came=_never_came(state, journals),
        modem_manager=bool(nodes) and where.linux.runs("ModemManager"),
        clock_doubt=_clock_doubt(where, site_time),
        site=site,
        site_says=site_says,
        place=osfacts.place_of(where.program) if where.program else Place.LASTING,
    )


def _seen(
    facts: DeviceFacts, where: Surroundings, nodes: Sequence[UsbNode], records: Sequence[DeviceRecord]
) -> SeenDevice:
    node = next((one for one in nodes if one.port == facts.port), None)
    product = next((one for one in where.home.vendor.products if facts.usb in one.usb), None)
    ways = product.ways if product else ()
    has_driver = driver_of(records, facts.usb) if records else Driver.NOT_NEEDED
    return SeenDevice(
        name=_BOOTLOADER if facts.mode is Mode.ROM and not facts.product else facts.name,
        port=facts.port,
        usb=facts.usb,
        in_bootloader=facts.mode is Mode.ROM,
        problem=facts.problem,
        driver=Driver.NOT_NEEDED if has_driver is Driver.NEVER_SEEN else has_driver,
        service=service_of(records, facts.usb),
        code=problem_of(records, facts.usb),
        held_by=where.linux.users_of(node.node) if node and facts.problem else (),
        has_rule=where.linux.has_rule(facts.usb) if node else None,
        serial_way=bool(node and _SERIAL_DRIVER in node.drivers)
        and any(isinstance(way, Touch1200 | SerialSend) for way in ways),
        silent=facts.unread,
        known=facts.product is not None,
    )


def _unlisted(
    wanted: set[str], where: Surroundings, nodes: Sequence[UsbNode], records: Sequence[DeviceRecord]
) -> Iterator[SeenDevice]:
    """What the system says is plugged in, and libusb does not list, or lost while it was asked."""
    titles = {usb: product.title for product in where.home.vendor.products for usb in product.usb}
    for node in nodes:
        if node.usb in wanted:
            name = titles.get(node.usb, _BOOTLOADER)
            silent = "it is there, but it does not answer"
            yield SeenDevice(
                name=name, port=node.port, usb=node.usb, in_bootloader=node.usb == ROM_USB, silent=silent
            )
    for usb in sorted({one.usb for one in records if one.present and one.usb in wanted}):
        yield SeenDevice(
            name=titles.get(usb, _BOOTLOADER),
            port="?",
            usb=usb,
            in_bootloader=usb == ROM_USB,
            problem="no-driver",
            driver=driver_of(records, usb),
            service=service_of(records, usb),
            code=problem_of(records, usb),
        )


def _others(
    nodes: Sequence[UsbNode], records: Sequence[DeviceRecord], ours: set[str], where: Surroundings
) -> int | None:
    """How many USB devices there are beside hubs and those that were found; not which."""
    if where.virtual or where.system not in ("linux", "windows"):
        return None
    if where.system == "linux":
        return sum(not one.is_hub and one.usb not in ours for one in nodes)
    hubs = ("usbhub", "usbhub3")
    devices = [one for one in records if one.present and one.usb and not one.is_function]
    return sum(one.usb not in ours and one.service.lower() not in hubs for one in devices)


def _unfinished(journal: Journal, vendor: Vendor) -> Unfinished:
    product = vendor.product(journal.product)
    if product is None:
        return Unfinished(title=journal.product, port=journal.port)
    return Unfinished(title=product.title, port=journal.port, steps=product.recovery.steps)


def _never_came(state: Path, journals: Sequence[Journal]) -> bool:
    """Whether the last failure was a bootloader that did not appear, and nothing came after it."""
    if not any(not journal.witnesses for journal in journals):
        return False
    text = "".join(text for name, text in logbook.logs(state) if name == logbook.OURS)
    return NEVER_CAME in (text.splitlines() or [""])[-1]


def _clock_doubt(where: Surroundings, site_time: datetime | None) -> str | None:
    """A sentence when the date cannot be right: by what was signed, or by what the update site says."""
    with suppress(UpdaterError):
        root = walk_roots(where.home.embedded_root, []).root
        for product in where.home.vendor.products:
            for envelope in where.store.evidence(product.id):
                manifest = verify_evidence(envelope, root)
                if manifest and (doubt := check_clock(where.now, manifest.created)):
                    return doubt
    if site_time is not None and abs((site_time - where.now).days) > _CLOCK_OFF_DAYS:
        return f"This computer's date is {where.now:%Y-%m-%d}, but the update site's is {site_time:%Y-%m-%d}."
    return None
