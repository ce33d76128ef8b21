"""What is to be done to one board: product, bundle, the bytes before and after. And the desk it lies on.

The bundle passes the real gate; that, and the reading of layout strings, are pure and remembered, so that
thousands of updates do not verify the same signatures thousands of times.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import msgspec
import usb.core

from tests.faults.rows import Row
from tests.heads.bundle_kit import make_bundle, make_manifest, make_root
from updater.hands import usbio
from updater.hands.channel import UpdateSite
from updater.hands.host import Home
from updater.hands.store import Journal, Store
from updater.heads.manifest import Image, ImageFor, ManifestSegment
from updater.heads.policy import OpenedFrom
from updater.heads.silicon import Silicon
from updater.heads.vendor import (
    DfuDetach,
    Header,
    Keep,
    Kind,
    LinkScheme,
    Product,
    Recovery,
    RecoveryKind,
    Vendor,
)
from updater.lab.application import LabProduct
from updater.story import job as nouns
from updater.story import supply, update
from updater.story.job import Request
from updater.words.facts import HEADER_BYTES, DeviceFacts, ProductHeader, Sector, Segment, parse_version

GIZMO, OTHER = "gizmo", "gadget"
USB = {GIZMO: "1209:0003", OTHER: "1209:0004"}
OLD, NEW = "1.0.0", "1.1.0"
STEPS = "Hold BOOT while you plug it in."
SUPPLY_MV = 3300
_HEADER_OFFSET = 0x40
_STACK = 0x2000_1000


class Work(StrEnum):
    """What the update has to do."""

    FULL = "full update"
    ONE_SECTOR = "one sector changed"
    FIRST_INSTALL = "first install"


@dataclass(frozen=True)
class Job:
    """One row and one piece of work."""

    row: Row
    work: Work

    @cached_property
    def sectors(self) -> tuple[Sector, ...]:
        """Those that the image touches: the first, one more, and one of the second bank or half.

        At full size all of the first half, and one of the second.
        """
        sectors = self.row.sectors
        middle = len(sectors) // 2
        if self.row.full_size:
            return sectors[: middle + 1]
        return sectors[0], sectors[1], sectors[middle]

    @property
    def kept(self) -> Sector:
        """What the product keeps for itself."""
        return self.row.sectors[-1 if self.row.full_size else 2]

    @property
    def erases_all(self) -> bool:
        """Whether this ROM needs a mass erase for what lies in the second bank."""
        return self.row.behaviour.no_sector_erase_in_bank2 is not None

    @cached_property
    def product(self) -> Product:
        chip, row = self.row.chip, self.row
        kept = self.kept
        empty_check = chip.empty_check.value
        return Product(
            id=GIZMO,
            number=3,
            title="Gizmo",
            usb=(USB[GIZMO],),
            chips=(chip.id,),
            hardware=("A",),
            ways=(DfuDetach(),),
            header=Header(address=self.header_at),
            recovery=Recovery(kind=RecoveryKind.EMPTY_CHECK, steps=STEPS)
            if empty_check
            else Recovery(kind=RecoveryKind.BOOT_BUTTON, steps=STEPS),
            back_within_ms=2_000,
            supply_mv=SUPPLY_MV,
            flash_kib=row.kib,
            bank_mode=row.bank_mode,
            keep=() if self.erases_all else (Keep(address=kept.address, length=kept.size),),
        )

    @cached_property
    def vendor(self) -> Vendor:
        """Its other product has the same chip, and its header at the same place."""
        other = msgspec.structs.replace(
            self.product, id=OTHER, number=4, title="Gadget", usb=(USB[OTHER],), keep=()
        )
        return Vendor(
            schema=1,
            kind=Kind.DEMO,
            name="Gizmo Works",
            support="help@gizmo.invalid",
            repository="http://127.0.0.1:9/",
            link=LinkScheme(scheme="gizmo-update"),
            products=(self.product, other),
        )

    @property
    def header_at(self) -> int:
        """In the first sector, or in the one that is the only one to change."""
        sector = self.sectors[-1 if self.work is Work.ONE_SECTOR else 0]
        return sector.address + _HEADER_OFFSET

    def lab_product(self, name: str = GIZMO) -> LabProduct:
        return LabProduct(
            product=name, hardware="A", title=name.title(), usb=USB[name], header_address=self.header_at
        )

    def image(self, version: str, product: str = GIZMO) -> tuple[Segment, ...]:
        """Firmware: a vector table, a product header, and noise.

        In small sectors the last block is short and odd; large ones are full.
        """
        block = self.row.chip.transfer_size.value
        short = block + block // 2 + 14
        segments: list[Segment] = []
        for number, sector in enumerate(self.sectors):
            same = self.work is Work.ONE_SECTOR and number < len(self.sectors) - 1
            noise = random.Random(f"{product} {number} {'' if same else version}")
            size = sector.size if self.row.full_size else min(sector.size - 6, short)
            data = bytearray(noise.randbytes(size))
            if number == 0:
                reset = sector.address + 0x20 | 1
                data[:8] = _STACK.to_bytes(4, "little") + reset.to_bytes(4, "little")
                data[0x20:0x24] = b"\x00\xbf\x00\xbf"
            if sector.address < self.header_at < sector.end:
                header = ProductHeader(
                    product=product, hardware="A", version=parse_version(version), security_counter=1
                )
                data[_HEADER_OFFSET : _HEADER_OFFSET + HEADER_BYTES] = header.pack()
            if segments and segments[-1].end == sector.address:
                data, sector = bytearray(segments[-1].data + data), self._sector_at(segments.pop().address)
            segments.append(Segment(address=sector.address, data=bytes(data)))
        return tuple(segments)

    def _sector_at(self, address: int) -> Sector:
        return next(sector for sector in self.sectors if sector.address == address)

    @cached_property
    def before(self) -> bytes:
        """The flash before the update: the old program, what the product keeps, and what nobody asked for."""
        return self._blank() if self.work is Work.FIRST_INSTALL else self._holding(self.image(OLD))

    @cached_property
    def after(self) -> bytes:
        """The flash when all is done: each touched sector holds the image, and is blank behind it."""
        data = bytearray(self._blank() if self.erases_all else self.before)
        base = self.row.sectors[0].address
        for sector in self.sectors:
            data[sector.address - base : sector.end - base] = b"\xff" * sector.size
        for part in self.image(NEW):
            data[part.address - base : part.end - base] = part.data
        return bytes(data)

    @cached_property
    def of_the_other_product(self) -> bytes:
        return self._holding(self.image(OLD, OTHER))

    def _blank(self) -> bytes:
        return b"\xff" * (self.row.sectors[-1].end - self.row.sectors[0].address)

    def _holding(self, image: tuple[Segment, ...]) -> bytes:
        data, base = bytearray(self._blank()), self.row.sectors[0].address
        for sector in (self.kept, self.row.sectors[-2]):
            noise = random.Random(f"kept {sector.address}").randbytes(sector.size)
            data[sector.address - base : sector.end - base] = noise
        for part in image:
            data[part.address - base : part.end - base] = part.data
        return bytes(data)

    @cached_property
    def bundle(self) -> bytes:
        files = {f"images/{number}.bin": part.data for number, part in enumerate(self.image(NEW))}
        parts = tuple(
            ManifestSegment(
                address=part.address,
                length=len(part.data),
                sha256=hashlib.sha256(part.data).hexdigest(),
                file=file,
            )
            for part, file in zip(self.image(NEW), files, strict=True)
        )
        chosen = ImageFor(dev_ids=(self.row.chip.dev_id.value,))
        images = (Image(name="main", for_=chosen, segments=parts),)
        manifest = make_manifest(
            product=GIZMO, hardware=("A",), version=parse_version(NEW), security_counter=1, images=images
        )
        return make_bundle(manifest, roots={1: root()}, files=files)

    def request(self, *, told: bool) -> Request:
        """`updater install gizmo-1.1.0.fwb`, with `--as gizmo:A` or without."""
        name = f"{GIZMO}:A" if told else None
        return Request(opened_from=OpenedFrom.FILE, data=self.bundle, as_product=name)

    @cached_property
    def home(self) -> Home:
        return Home(self.vendor, root())


@cache
def root() -> bytes:
    return make_root(expires=datetime(2999, 1, 1, tzinfo=UTC))


class NoSite:
    """A computer without network that never was online."""

    def known_roots(self) -> tuple[bytes, ...]:
        return ()

    def keep_roots(self, chain: Sequence[bytes]) -> None:
        """Nothing is kept."""


NO_SITE = cast(UpdateSite, NoSite())


class MemoryStore(Store):
    """A state folder that is a dictionary; what is read from it was encoded and is decoded again."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(Path("state"))
        self.files = dict(files)

    def journals(self) -> tuple[Journal, ...]:
        names = sorted(name for name in self.files if name.startswith("journal/"))
        return tuple(msgspec.json.decode(self.files[name], type=Journal) for name in names)

    def drop_journal(self, port: str) -> None:
        self.files.pop(f"journal/{port}.json", None)

    def evidence(self, product: str) -> tuple[bytes, ...]:
        names = sorted(name for name in self.files if name.startswith(f"evidence/{product}-"))
        return tuple(self.files[name] for name in names)

    def keep_journal(self, journal: Journal) -> None:
        self.files[f"journal/{journal.port}.json"] = msgspec.json.encode(journal)

    def keep_evidence(self, product: str, security_counter: int, envelope: bytes) -> None:
        self.files[f"evidence/{product}-{security_counter}.dsse"] = envelope

    def _write(self, path: Path, data: bytes) -> None:
        raise AssertionError(f"nobody writes {len(data)} bytes to {path} here")


@contextmanager
def remembering() -> Iterator[None]:
    """Pure and slow functions of the updater answer the same question once; no transcript is kept."""
    with ExitStack() as stack:
        for module, name in (
            (supply, "verify_bundle"),
            (supply, "walk_roots"),
            (supply, "verify_evidence"),
            (usbio, "parse_layout"),
            (Silicon, "behaviour"),
            (update, "make_plan"),
            (nouns, "make_plan"),
        ):
            stack.enter_context(patch.object(module, name, _remembered(getattr(module, name))))
        stack.enter_context(patch.object(update, "kept_if_it_fails", _no_transcript))
        stack.enter_context(patch.object(usb.core.Device, "ctrl_transfer", _straight))
        yield


def _straight(
    device: Any,
    bmRequestType: int,
    bRequest: int,
    wValue: int = 0,
    wIndex: int = 0,
    data_or_wLength: Any = None,
    timeout: int | None = None,
) -> Any:
    """pyusb's control transfer without its locks and copies, which are half of a virtual one's time."""
    context = device._ctx
    context.managed_open()
    how = bmRequestType, bRequest, wValue, wIndex
    ms = device.default_timeout if timeout is None else timeout
    if bmRequestType & 0x80:
        return array("B", context.backend._control(context.handle, *how, data_or_wLength, ms))
    context.backend._control(context.handle, *how, bytes(data_or_wLength or b""), ms)
    return len(data_or_wLength or b"")


class _NoTranscript:
    def keep(self, *_what: Any) -> None:
        """A recording of what was said is not what is tested here."""


@contextmanager
def _no_transcript(*_of: Any) -> Iterator[_NoTranscript]:
    yield _NoTranscript()


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    answers: dict[Any, tuple[Any, Any]] = {}

    def asked(*arguments: Any, **named: Any) -> Any:
        key = (*map(_key, arguments), *((name, _key(value)) for name, value in named.items()))
        if key not in answers:
            answers[key] = (arguments, named), function(*arguments, **named)
        return answers[key][1]

    return asked


def _key(value: Any) -> Any:
    """The value itself where that is cheap, else which object it is: the answer keeps that alive."""
    if isinstance(value, DeviceFacts):  # layout strings are remembered, so their regions are the same objects
        return replace(value, rom=None), tuple(map(id, value.rom.regions)) if value.rom else ()
    return value if isinstance(value, bytes | str | int | datetime | None) else id(value)
