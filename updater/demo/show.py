"""`updater demo`: the whole job, on virtual devices and with a web server of our own.

Nothing is acted: the site is the demo vendor's published one, the devices are the lab's, and every step is
the same code that a customer's update runs through. Time is real, at the speed of the silicon, unless
`fast` lets it jump.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec
from semver import Version

from updater.demo.plays import plays
from updater.doors.console import install, request_for, show_devices
from updater.doors.terminal import Face
from updater.hands.channel import UpdateSite
from updater.hands.host import Home, today
from updater.hands.store import open_store
from updater.hands.usbio import Bus
from updater.heads.gate import verify_bundle
from updater.heads.links import Link, format_link
from updater.heads.silicon import the_table
from updater.heads.vendor import Product, parse_vendor
from updater.lab.clock import RealClock, VirtualClock
from updater.lab.shelf import add_board, open_lab
from updater.story.job import Hands
from updater.words.facts import Channel, Segment

OLD = Version(1, 0, 0)
SILICON: dict[str, dict[str, Any]] = {
    "demo-widget": {"revision": "V", "rom_version": 0x91},  # the chips that stop other tools
}


def run_demo(face: Face, *, keep: Path | None, fast: bool) -> int:
    """Update both demo products. Returns the exit status of the first that fails, else 0.

    Raises `UpdaterError` like any update.
    """
    with _folder(keep) as folder, as_file(files("updater.demo")) as vendor, _served(vendor / "site") as url:
        home = _home(vendor, url)
        face.say(f"The demo vendor's update site is served at {url}\n")
        for product in home.vendor.products:
            with _plugged_in(home, folder, product, fast=fast) as hands:
                status = _update(face, hands, product, say_where=keep is not None)
            if status:
                return status
    return 0


def _update(face: Face, hands: Hands, product: Product, *, say_where: bool) -> int:
    """What a customer does: look at the device, open an update link."""
    face.say(f"$ updater devices            (a virtual {product.title} is plugged in)")
    show_devices(hands, face, explain=False)
    newest = Link(product=product.id, channel=Channel.STABLE, version=None)
    link = format_link(newest, hands.home.vendor.link.scheme)
    face.say(f"\n$ updater install {link}")
    status = install(hands, face, request_for(link, hands.home.vendor), yes=True, say_where=say_where)
    face.say("")
    return status


@contextmanager
def _plugged_in(home: Home, folder: Path, product: Product, *, fast: bool) -> Iterator[Hands]:
    """A virtual device of this product, with version 1.0.0 unless it was kept from an earlier demo."""
    lab = folder / product.id
    with open_store(folder / "state", home.embedded_root) as store:
        site = UpdateSite(home.vendor, home.embedded_root, store.channel_folder)
        if not lab.exists():
            add_board(
                lab,
                chip=product.chips[0],
                name=product.id,
                product=plays(product),
                segments=_old_firmware(site, home, product.id),
                **SILICON.get(product.id, {}),
            )
        with open_lab(lab, VirtualClock() if fast else RealClock()) as virtual:
            yield Hands(
                bus=Bus(virtual.backend, virtual.clock, virtual.serial_ports),
                site=site,
                store=store,
                home=home,
                silicon=the_table(),
                now=today(),
                virtual=True,
                clock=virtual.clock.kind,
            )


def _old_firmware(site: UpdateSite, home: Home, product: str) -> tuple[Segment, ...]:
    """What the device runs before: version 1.0.0, fetched and verified like any other."""
    data = site.download(site.offer(product, Channel.STABLE, OLD), lambda _event: None)
    bundle = verify_bundle(data, embedded_root=home.embedded_root, now=today())
    return bundle.segments(bundle.manifest.images[0])


def _home(vendor: Path, url: str) -> Home:
    """The demo vendor, with its site where we serve it."""
    described = parse_vendor((vendor / "vendor.toml").read_text(encoding="utf-8"))
    here = msgspec.structs.replace(described, repository=url)
    return Home(here, (vendor / "root.json").read_bytes())


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="updater-demo-") as folder:
        yield Path(folder)


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """The demo's screen is for the demo."""


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """The site on a free loopback port, as any static web server would serve it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
