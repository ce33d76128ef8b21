"""What the commands work with: the hands, on real USB or in a lab, made late and put away again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.knownhome import known_home
from updater.doors.labcli import has_lab
from updater.words.errors import Usage

if TYPE_CHECKING:
    from updater.lab.shelf import Lab
    from updater.story.checkup import Surroundings
    from updater.story.job import Hands
    from updater.words.facts import DeviceFacts


@contextmanager
def hands_of(args: argparse.Namespace) -> Iterator[Hands]:
    """Everything a conversation needs, on real USB or in a lab."""
    from updater.hands.channel import UpdateSite
    from updater.hands.host import lab_folder, load_home, state_folder, today
    from updater.hands.osfacts import ComputersDrivers
    from updater.hands.store import open_store
    from updater.hands.usbio import Bus
    from updater.heads.drivers import NoDriversNeeded
    from updater.heads.silicon import the_table
    from updater.story.catalogue import with_kept
    from updater.story.job import Hands

    home = load_home()
    with (
        open_store(state_folder(args.state), home.embedded_root) as store,
        _lab_at(lab_folder(args.lab), getattr(args, "real_time", None)) as lab,
    ):
        site = UpdateSite(home.vendor, home.embedded_root, store.channel_folder)
        yield Hands(
            bus=Bus(lab.backend, lab.clock, lab.serial_ports) if lab else Bus(),
            site=site,
            store=store,
            home=with_kept(home, store, site),
            silicon=the_table(),
            now=today(),
            drivers=NoDriversNeeded() if lab else ComputersDrivers(),
            virtual=lab is not None,
            clock=lab.clock.kind if lab else "real",
        )


@contextmanager
def surroundings_of(args: argparse.Namespace) -> Iterator[Surroundings]:
    """For what must work where USB or the state folder does not, or while another updater is at work."""
    from updater.hands.channel import ask_site
    from updater.hands.host import lab_folder, state_folder, today
    from updater.hands.osfacts import ComputersDrivers
    from updater.hands.store import peek_store
    from updater.hands.usbio import Bus
    from updater.heads.drivers import NoDriversNeeded
    from updater.heads.silicon import the_table
    from updater.story.checkup import Surroundings
    from updater.story.devices import look_around

    home = known_home(args.state)
    store = peek_store(state_folder(args.state), home.embedded_root)
    with _lab_at(lab_folder(args.lab), args.real_time) as lab:

        def look() -> list[DeviceFacts]:
            bus = Bus(lab.backend, lab.clock, lab.serial_ports) if lab else Bus()
            found = look_around(bus, home.vendor, the_table(), store.journals())
            return [one.facts for one in found]

        yield Surroundings(
            home=home,
            store=store,
            look=look,
            now=today(),
            drivers=NoDriversNeeded() if lab else ComputersDrivers(),
            site=lambda: ask_site(home.vendor),
            virtual=lab is not None,
        )


@contextmanager
def _lab_at(folder: Path | None, real_time: float | None) -> Iterator[Lab | None]:
    if folder is None:
        yield None
        return
    if not has_lab():
        # Never fall back to real devices for somebody who asked for virtual ones.
        raise Usage("this updater has no virtual devices", advice="Leave out --lab and unset UPDATER_LAB.")
    from updater.lab.clock import RealClock, VirtualClock
    from updater.lab.shelf import open_lab

    with open_lab(folder, VirtualClock() if real_time is None else RealClock(real_time)) as lab:
        yield lab
