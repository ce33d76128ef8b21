"""A customer's desk: the command line, a folder of virtual devices, the vendor's site on a real server.

A product on any chip of the silicon table is a `gizmo`: `Desk.sells` describes it, `program` makes firmware
for it, `Desk.bundle` signs that, and `Desk.plug_in_gizmo` puts a board on the desk.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.hands.web import Web, serve
from tests.heads.bundle_kit import make_bundle, make_manifest, make_root
from tests.small import Small
from updater.doors.cli import build_parser, run
from updater.hands.channel import UpdateSite
from updater.hands.host import load_home, today
from updater.hands.store import open_store
from updater.hands.usbio import Bus
from updater.heads.container import LAYOUT
from updater.heads.dfu.words import Request
from updater.heads.gate import verify_bundle
from updater.heads.manifest import Image, ImageFor, LayoutFile, ManifestSegment
from updater.heads.silicon import the_table
from updater.heads.silicon.cells import Fact
from updater.lab import shelf
from updater.lab.application import LabProduct
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.record import FaultKind
from updater.lab.rom import Dialect
from updater.lab.shelf import add_board, open_lab
from updater.lab.symptoms import behaves
from updater.story.catalogue import with_kept
from updater.story.job import Hands
from updater.words.facts import ProductHeader, Segment, parse_version

_parser = cache(build_parser)
"""Made once: with a hundred commands in a test it would take longer than their work."""
CHIPS = {"demo-widget": "stm32h743", "demo-gadget": "stm32f405"}
FLASH = 0x0800_0000
HEADER_AT = FLASH + 0x400
GIZMO = "gizmo"


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


@dataclass(frozen=True, kw_only=True)
class Program:
    """Firmware of a gizmo. `revisions` are the silicon it is for; empty means any."""

    version: str
    segments: tuple[Segment, ...]
    revisions: tuple[str, ...] = ()


def program(
    version: str,
    *places: tuple[int, int],
    stack: int = 0x2000_1000,
    revisions: tuple[str, ...] = (),
    product: str = GIZMO,
) -> Program:
    """A vector table, a product header, and bytes that look like code at these (address, length) places."""
    noise = random.Random(f"{version} {revisions}" + (product if product != GIZMO else ""))
    parts = {address: bytearray(noise.randbytes(length)) for address, length in places or ((FLASH, 6_000),)}
    header = ProductHeader(
        product=product, hardware="A", version=parse_version(version), security_counter=1
    ).pack()
    first = parts[FLASH]
    first[:8] = stack.to_bytes(4, "little") + (FLASH + 0x201).to_bytes(4, "little")
    first[0x400 : 0x400 + len(header)] = header
    segments = tuple(Segment(address=address, data=bytes(data)) for address, data in parts.items())
    return Program(version=version, segments=segments, revisions=revisions)


@cache
def _own_root() -> bytes:
    return make_root(expires=datetime(2999, 1, 1, tzinfo=UTC))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value)


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

    def sells(self, *chips: str, **described: Any) -> None:
        """The updater of a vendor whose product, the gizmo, is made with one of these chips.

        `others` are the names of products that are described alike; else it is the only one.
        """
        others: tuple[str, ...] = described.pop("others", ())
        self._chips = chips
        folder = self.state.parent / "own-vendor"
        folder.mkdir(exist_ok=True)
        product = {
            "id": GIZMO,
            "number": 3,
            "title": "Gizmo",
            "usb": ["1209:0003"],
            "chips": chips,
            "hardware": ["A"],
            "ways": [{"kind": "dfu-detach"}],
            "header": {"address": HEADER_AT},
            "recovery": {"kind": "boot-button", "steps": "Hold BOOT while you plug it in."},
        } | described
        lines = [
            *("schema = 1", 'kind = "demo"', 'name = "Gizmo Works"', 'support = "help@gizmo.invalid"'),
            *('repository = "http://127.0.0.1:9/"', "[link]", 'scheme = "gizmo-update"'),
        ]
        for number, name in enumerate((GIZMO, *others), start=3):
            own = product | ({"id": name, "number": number, "title": name.title()} if number > 3 else {})
            lines += ["[[product]]", *(f"{key} = {_toml(value)}" for key, value in own.items())]
        (folder / "vendor.toml").write_text("\n".join(lines), "utf-8")
        (folder / "root.json").write_bytes(_own_root())
        self._patch.setenv("UPDATER_VENDOR", str(folder))

    def bundle(self, *programs: Program, otp: str | None = None) -> str:
        """A signed bundle file with these images for all the chips of the gizmo, and this OTP layout."""
        rows = [the_table().by_id(chip) for chip in self._chips]
        dev_ids = tuple(row.dev_id.value for row in rows if row)
        images, files = [], {}
        for number, one in enumerate(programs):
            parts = []
            for part in one.segments:
                file = f"images/{number}-{part.address:08x}.bin"
                files[file] = part.data
                digest = hashlib.sha256(part.data).hexdigest()
                parts.append(
                    ManifestSegment(address=part.address, length=len(part.data), sha256=digest, file=file)
                )
            chosen = ImageFor(dev_ids=dev_ids, revisions=one.revisions)
            name = f"rev-{one.revisions[0].lower()}" if one.revisions else "main"
            images.append(Image(name=name, for_=chosen, segments=tuple(parts)))
        version = programs[0].version
        manifest = make_manifest(
            product=GIZMO, hardware=("A",), version=parse_version(version), images=tuple(images)
        )
        if otp is not None:
            layout = files[LAYOUT] = otp.encode()
            signed = LayoutFile(length=len(layout), sha256=hashlib.sha256(layout).hexdigest())
            manifest = msgspec.structs.replace(manifest, otp=signed)
        path = self.state.parent / f"{GIZMO}-{version}.fwb"
        path.write_bytes(make_bundle(manifest, roots={1: _own_root()}, files=files))
        return str(path)

    def plug_in_gizmo(
        self, chip: str, runs: Program | None, *, name: str = "board1", product: str = GIZMO, **board: Any
    ) -> None:
        """A gizmo (or a product described alike) with this chip; `runs` None: it was never programmed."""
        described = LabProduct(
            product=product, hardware="A", title="Gizmo", usb="1209:0003", header_address=HEADER_AT
        )
        segments = runs.segments if runs else ()
        add_board(self.lab, chip=chip, name=name, product=described, segments=segments, **board)

    def has_small_chips(self, scale: int = 32) -> None:
        """The whole silicon table, on both sides, with sectors of so much less: see `tests.small`."""
        for user in ("updater.heads.silicon", "updater.lab.shelf", "updater.heads.devicewords"):
            self._patch.setattr(f"{user}.the_table", Small(scale, 1).table)

    def rom_does(self, **symptoms: Any) -> None:
        """The ROMs on this desk do this, whatever the table says of them."""
        self._patch.setattr(
            "updater.lab.board.behaves", lambda *of, **rom: replace(behaves(*of, **rom), **symptoms)
        )

    def speaks(self, dialect: Dialect) -> None:
        """The ROMs on this desk read the standard like this where it is open."""
        self._patch.setattr(
            shelf, "Board", lambda record, **how: Board(record, **(how | {"dialect": dialect}))
        )

    def chip_is(self, chip: str, **cells: Any) -> None:
        """The chips on this desk are otherwise than the table says; the updater's table stays as it is."""
        table = the_table()
        row = table.by_id(chip)
        assert row is not None
        for name, value in cells.items():
            cell = getattr(row, name)
            cell = msgspec.structs.replace(cell, value=value) if isinstance(cell, Fact) and value else value
            row = msgspec.structs.replace(row, **{name: cell})
        chips = tuple(row if one.id == chip else one for one in table.chip)
        changed = msgspec.structs.replace(table, chip=chips)
        self._patch.setattr(shelf, "the_table", lambda: changed)

    def lock(self, *sectors: int, reading: bool = False, name: str = "board1") -> None:
        """The board's maker has protected these sectors against writing, or all of it against reading."""
        board = self.lab / name / "board.toml"
        text = board.read_text("utf-8")
        text = text.replace("write_protected = []", f"write_protected = {list(sectors)}")
        if reading:
            text = text.replace("read_protected = false", "read_protected = true")
        board.write_text(text, "utf-8")

    def scribble(self, at: int, data: bytes, name: str = "board1") -> None:
        """Somebody else has written this into the flash; `at` counts from its start, or back from its end."""
        path = self.lab / name / "flash.bin"
        flash = bytearray(path.read_bytes())
        at %= len(flash)
        flash[at : at + len(data)] = data
        path.write_bytes(flash)

    @contextmanager
    def cut(self, download: Callable[[int, bytes], bool]) -> Iterator[None]:
        """Somebody pulls the cable when the first download (block, data) of this kind has been accepted:
        during the GETSTATUS that would carry it out."""
        real, armed = LabBackend.ctrl_transfer, [True]

        def transfer(backend: LabBackend, handle: Any, *setup: Any) -> int:
            moved = real(backend, handle, *setup)
            kind, request, block, _, data, _ = setup
            if armed and (kind, request) == (0x21, Request.DNLOAD) and download(block, data.tobytes()):
                armed.clear()
                handle.board.set_fault(FaultKind.CUT_AFTER, 1)
            return moved

        with self._patch.context() as patch:
            patch.setattr(LabBackend, "ctrl_transfer", transfer)
            yield
        assert not armed, "nothing of this kind was sent"

    def updater(self, *arguments: str, stdin: str = "") -> Said:
        """One command in this lab and state folder."""
        out, err = io.StringIO(), io.StringIO()
        with self._patch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(stdin))
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.stderr", err)
            patch.setattr("updater.doors.cli.build_parser", _parser)
            status = run(["--lab", str(self.lab), "--state", str(self.state), *arguments])
        return Said(status, out.getvalue(), err.getvalue())

    @contextmanager
    def hands(self, *, virtual: bool = True) -> Iterator[Hands]:
        """What a door gives to the story, for tests that stand below the doors."""
        home = load_home()
        with open_store(self.state, home.embedded_root) as store, open_lab(self.lab, VirtualClock()) as lab:
            site = UpdateSite(home.vendor, home.embedded_root, store.channel_folder)
            yield Hands(
                bus=Bus(lab.backend, lab.clock),
                site=site,
                store=store,
                home=with_kept(home, store, site),
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

    def holds(self, release: str | Program, name: str = "board1") -> bool:
        """Whether the flash holds every byte of this release, or program of a gizmo."""
        flash = self.flash(name)
        parts = release.segments if isinstance(release, Program) else self.published.segments(release)
        return all(flash[p.address - FLASH :][: len(p.data)] == p.data for p in parts)


@contextmanager
def published_in(folder: Path) -> Iterator[Published]:
    """A demo vendor with its site on a running server, in this folder."""
    with serve() as web:
        vendor = make_demo(folder / "vendor", url=web.url, now=datetime.now(UTC))
        web.folder = vendor.site
        yield Published(vendor, web)


@contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    """A customer's desk outside of pytest."""
    with published_in(folder) as published, pytest.MonkeyPatch.context() as patch:
        (folder / "desk").mkdir()
        yield Desk(folder / "desk", published, patch)


def at_the_question(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """What happens while the one question is open; a person answers yes then."""
    monkeypatch.setattr("updater.doors.terminal._Answers.confirm", lambda *_question, **_yes: act())
