"""`updater demo` and `updater lab`: virtual devices, which a product's executable does not have."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.arguments import Parser
from updater.doors.knownhome import known_home
from updater.words.errors import Usage

if TYPE_CHECKING:
    from updater.doors.terminal import Face
    from updater.lab.application import LabProduct
    from updater.words.facts import Segment


def has_lab() -> bool:
    """Whether virtual devices are part of this program: a product's executable is built without them."""
    from importlib.util import find_spec

    return find_spec("updater.lab") is not None


def add_parsers(commands: argparse._SubParsersAction[Parser], *, with_lab: bool) -> None:
    """`demo` and `lab` exist only where the program has them: a product's executable does not."""
    if not has_lab():
        return
    demo = commands.add_parser("demo", help="the whole job on virtual devices")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="keep the virtual devices and state in DIR")
    demo.add_argument("--fast", action="store_true", help="do not wait as real devices would")
    demo.set_defaults(run=_demo)
    if with_lab:
        from updater.lab.cli import add_parser

        add_parser(commands).set_defaults(run=_lab)
    else:
        commands.add_parser("lab", help="virtual devices")


def _demo(args: argparse.Namespace, face: Face) -> int:
    from updater.demo.show import run_demo

    return run_demo(face, keep=args.keep, fast=args.fast)


def _lab(args: argparse.Namespace, _face: Face) -> int:
    from updater.hands.host import lab_folder
    from updater.lab.cli import Vendor, run

    folder = lab_folder(args.lab)
    if folder is None:
        raise Usage("which lab?", advice="Name its folder: updater --lab DIR lab ..., or set UPDATER_LAB.")
    find_product = partial(_lab_product, args.state)
    return run(args, folder, vendor=Vendor(find_product=find_product, find_firmware=_lab_firmware))


def _lab_product(state: str | None, name: str | None, chip: str, hardware: str | None) -> LabProduct | None:
    """The vendor's product as a virtual board plays it; without a name the first made with this chip."""
    from updater.demo.plays import plays

    vendor = known_home(state).vendor
    product = next(
        (one for one in vendor.products if name == one.id or (not name and chip in one.chips)), None
    )
    if product is None:
        if name:
            raise Usage(f"there is no product {name!r}")
        return None
    return plays(product, hardware)


def _lab_firmware(wanted: str, product: LabProduct | None) -> tuple[Segment, ...]:
    """The first image of a bundle: a file, or a version that the vendor's site has. Through the gate."""
    from tempfile import TemporaryDirectory

    from updater.doors.console import request_for
    from updater.hands.channel import UpdateSite
    from updater.hands.host import load_home, today
    from updater.heads.gate import verify_bundle
    from updater.words.facts import Channel

    home = load_home()
    request = request_for(wanted, home.vendor)
    data = request.data
    if data is None:
        if product is None:
            raise Usage(f"version {wanted} of which product?", advice="Name it with --product.")
        with TemporaryDirectory() as folder:
            site = UpdateSite(home.vendor, home.embedded_root, Path(folder))
            data = site.download(
                site.offer(product.product, Channel.STABLE, request.version), lambda _event: None
            )
    bundle = verify_bundle(data, embedded_root=home.embedded_root, now=today())
    return bundle.segments(bundle.manifest.images[0])
