"""A customer's desk: the command line, a folder of virtual devices, the vendor's site on a real server."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundles.demo.make import DemoVendor
from tests.hands.web import Web
from updater.channel import UpdateSite
from updater.cli import run
from updater.facts import Segment
from updater.gate import verify_bundle
from updater.host import load_home, today
from updater.job import Hands
from updater.lab.application import LabProduct
from updater.lab.clock import VirtualClock
from updater.lab.shelf import add_board, open_lab
from updater.silicon import the_table
from updater.store import open_store
from updater.usbio import Bus

CHIPS = {"demo-widget": "stm32h743", "demo-gadget": "stm32f405"}


@dataclass(frozen=True)
class Published:
    """A demo vendor whose site is on a running server."""

    vendor: DemoVendor
    web: Web

    def segments(self, release: str) -> tuple[Segment, ...]:
        """What a device of this release has in flash."""
        bundle = verify_bundle(self.vendor.bundle(release), embedded_root=self.vendor.root, now=today())
        return bundle.segments(bundle.manifest.images[0])

    def link(self, product: str, version: str = "latest") -> str:
        return f"demo-update://v1/{product}/stable/{version}"

    def bundle_path(self, release: str) -> Path:
        return self.vendor.folder / "bundles" / f"{release}.fwb"


@dataclass(frozen=True)
class Said:
    """What one command said."""

    exit: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


class Desk:
    """Runs `updater` as a person would, each command on its own, with everything kept in between."""

    def __init__(self, folder: Path, published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
        self.published, self._patch = published, monkeypatch
        self.lab, self.state = folder / "lab", folder / "state"
        monkeypatch.setenv("UPDATER_VENDOR", str(published.vendor.folder / "vendor"))

    def change_vendor(self, change: Callable[[str], str]) -> None:
        """The updater of a vendor who describes itself otherwise: vendor.toml, changed in a copy."""
        folder = self.state.parent / "changed-vendor"
        shutil.copytree(self.published.vendor.folder / "vendor", folder)
        described = folder / "vendor.toml"
        described.write_text(change(described.read_text("utf-8")), "utf-8")
        self._patch.setenv("UPDATER_VENDOR", str(folder))

    def plug_in(
        self, product: str = "demo-widget", *, runs: str | None = "1.0.0", name: str = "board1", **board: Any
    ) -> None:
        """A device of this product. `runs` None: a chip that holds no firmware of ours."""
        described = self.published.vendor.vendor.product(product)
        assert described is not None
        assert described.header is not None
        add_board(
            self.lab,
            chip=CHIPS[product],
            name=name,
            product=LabProduct(
                product=product,
                hardware="A",
                title=described.title,
                usb=described.usb[0],
                header_address=described.header.address,
            ),
            segments=self.published.segments(f"{product}-{runs}") if runs else (),
            **board,
        )

    def updater(self, *arguments: str, stdin: str = "") -> Said:
        """One command in this lab and state folder."""
        out, err = io.StringIO(), io.StringIO()
        with self._patch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(stdin))
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.stderr", err)
            status = run(["--lab", str(self.lab), "--state", str(self.state), *arguments])
        return Said(status, out.getvalue(), err.getvalue())

    @contextmanager
    def hands(self, *, virtual: bool = True) -> Iterator[Hands]:
        """What a door gives to the story, for tests that stand below the doors."""
        home = load_home()
        with open_store(self.state, home.embedded_root) as store, open_lab(self.lab, VirtualClock()) as lab:
            yield Hands(
                bus=Bus(lab.backend, lab.clock),
                site=UpdateSite(home.vendor, home.embedded_root, store.channel_folder),
                store=store,
                home=home,
                silicon=the_table(),
                now=today(),
                virtual=virtual,
                clock=lab.clock.kind,
            )

    def install(self, *arguments: str, stdin: str = "") -> Said:
        """`updater install … --yes --json`."""
        return self.updater("install", *arguments, "--yes", "--json", stdin=stdin)

    def fault(self, kind: str, *value: int, name: str = "board1") -> None:
        said = self.updater("lab", "fault", name, kind, *map(str, value))
        assert said.exit == 0, said.err

    def replug(self, *, boot: bool = False, name: str = "board1") -> None:
        said = self.updater("lab", "replug", name, *(["--boot"] if boot else []))
        assert said.exit == 0, said.err

    def board(self, name: str = "board1") -> dict[str, Any]:
        """What `lab list --json` says of one board."""
        return next(line for line in self.updater("lab", "list", "--json").lines if line["name"] == name)

    def flash(self, name: str = "board1") -> bytes:
        return (self.lab / name / "flash.bin").read_bytes()

    def holds(self, release: str, name: str = "board1") -> bool:
        """Whether the flash holds every byte of this release."""
        flash = self.flash(name)
        parts = self.published.segments(release)
        return all(flash[p.address - 0x08000000 :][: len(p.data)] == p.data for p in parts)
