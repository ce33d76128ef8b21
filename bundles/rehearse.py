"""A release is rehearsed before customers get it: on virtual devices of every silicon that it is for.

Each kind of silicon gets the update from an older program, and as the first one on a blank board; then the
update again with the lab's faults: the cable pulled (self- and bus-powered), requests refused, wrong bytes
written, an erase that never ends, a board that arrives late or as another, one that does not start. After
every fault a person repeats the command, and presses the BOOT button where the product has one, until the
device runs the release. What is looked at after each command is what the exit status promises.

A rehearsal shows what the table of silicon knows. It is no test of the firmware: the virtual board does not
run it (docs/lab.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product as combinations

from securesystemslib.signer import CryptoSigner
from semver import Version

from updater.demo.plays import plays
from updater.hands.host import Home
from updater.heads.container import ENVELOPE, contents_of, read_container, write_container
from updater.heads.gate import verify_bundle
from updater.heads.manifest import Bundle, Image, Manifest
from updater.heads.trust import Envelope, format_envelope, parse_envelope
from updater.heads.vendor import Product, RecoveryKind, Vendor
from updater.lab.record import BoardState, FaultKind, Power
from updater.words.errors import Refused, UnknownDevice, Usage
from updater.words.facts import HEADER_BYTES, ProductHeader

from .choice import letters_of, roms_of
from .descriptor import chips_made_with
from .release import read_draft
from .root import dump, new_root
from .root import sign as sign_root
from .stage import Ended, Part, Play, Stage, blank, holding, old_program, on_stage

MOST_COMMANDS = 6
_BEFORE = Version(0, 0, 0)
_CUTS = 5
_REFUSALS = 3
_LATE_MS = 300
_NOTHING_CHANGED = {3, 4, 8}
"""Exit statuses that promise that nothing was erased; of the others only 0, 9 and 10 may be seen here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One update with at most one fault. `first`: onto a blank board that sits in its bootloader."""

    fault: FaultKind | None = None
    value: int = 0
    power: Power = Power.SELF
    first: bool = False

    def __str__(self) -> str:
        if self.first:
            return "first install"
        if self.fault is None:
            return "update"
        value = f"0x{self.value:08X}" if self.fault is FaultKind.STICK_BUSY_AT else str(self.value or "")
        return f"{self.fault} {value}".strip() + (", bus-powered" if self.power is Power.BUS else "")


@dataclass(slots=True, kw_only=True)
class OnPart:
    """What came of the trials on one kind of silicon. `wrong` are sentences; empty is good."""

    part: Part
    image: str
    trials: list[str] = field(default_factory=list)
    commands: int = 0
    wrong: list[str] = field(default_factory=list)


def rehearse(data: bytes, vendor: Vendor, now: datetime) -> Iterator[OnPart]:
    """Rehearse a bundle, signed or not, on one kind of silicon after the other.

    Raises Usage or Refused for what cannot be rehearsed: no such product, no product header.
    """
    manifest = read_draft(data).manifest
    product = vendor.product(manifest.product)
    if product is None:
        raise Usage(f"vendor.toml has no product {manifest.product!r}", advice="Name its vendor folder.")
    home, own = _signed_by_nobody(data, vendor, now)
    bundle = verify_bundle(own, embedded_root=home.embedded_root, now=now)
    for part, image in parts(manifest, product):
        hardware = _header_of(bundle, image, product).hardware
        play = Play(home=home, product=product, hardware=hardware, bundle=own, now=now)
        yield _Rehearsal(play, part, bundle, image).run()


def parts(manifest: Manifest, product: Product) -> tuple[tuple[Part, Image], ...]:
    """Every silicon that the manifest allows, of the chips the product is made with, and its image."""
    found = []
    for chip in chips_made_with(product):
        for revision, rom in combinations(letters_of(chip), roms_of(chip)):
            for image in manifest.images:
                if image.for_.fits(dev_id=chip.dev_id.value, revision=revision, rom_version=rom):
                    found.append((Part(chip=chip, revision=revision, rom_version=rom), image))
    if not found:
        raise Usage(
            f"{manifest.product} {manifest.version} fits no chip that vendor.toml names for it",
            advice="Build it with --vendor, which finds the reason.",
        )
    return tuple(found)


def _header_of(bundle: Bundle, image: Image, product: Product) -> ProductHeader:
    """The product header in the image: by it the virtual board knows what it runs. Raises Refused."""
    at = product.header.address if product.header else None
    for part in bundle.segments(image) if at is not None else ():
        assert at is not None
        if part.address <= at < part.end:
            header = ProductHeader.parse(part.data[at - part.address :][:HEADER_BYTES])
            if header is not None:
                return header
    raise Refused(
        f"image {image.name} has no product header, so a virtual device cannot say what it runs",
        advice="Give the firmware one (docs/integration.md), or publish with --unrehearsed.",
    )


def _signed_by_nobody(data: bytes, vendor: Vendor, now: datetime) -> tuple[Home, bytes]:
    """The same manifest and images under a root made for this rehearsal: the gate is not left out, and
    neither a key nor a finished signature is needed to rehearse."""
    names = ("root-1", "root-2", "release-1", "release-2", "online")
    signers = {name: CryptoSigner.generate_ed25519() for name in names}
    keys = {name: signer.public_key for name, signer in signers.items()}
    draft = new_root(
        root_keys=[keys["root-1"], keys["root-2"]],
        root_threshold=2,
        release_keys=[keys["release-1"], keys["release-2"]],
        release_threshold=2,
        online_key=keys["online"],
        expires=(now + timedelta(days=1)).replace(microsecond=0),
    )
    for name in ("root-1", "root-2"):
        sign_root(draft, draft.signed, "root", signers[name])
    members = read_container(data)
    signed = parse_envelope(members[ENVELOPE])
    envelope = Envelope(signed.payload, signed.payload_type, {})
    for name in ("release-1", "release-2"):
        envelope.sign(signers[name])
    own = {ENVELOPE: format_envelope(envelope), "root/1.root.json": dump(draft), **contents_of(members)}
    return Home(vendor, dump(draft)), write_container(own)


class _Rehearsal:
    """All trials on one kind of silicon."""

    def __init__(self, play: Play, part: Part, bundle: Bundle, image: Image) -> None:
        self._play, self._part = play, part
        assert play.product.header is not None
        base = part.chip.flash.address
        segments = bundle.segments(image)
        was = bundle.manifest.from_min_version or _BEFORE
        old = old_program(part.chip, segments, play.product.header.address, was)
        self._blank = blank(part, play.product)
        self._old = holding(self._blank, base, old)
        self._segments = [(one.address - base, one.data) for one in segments]
        self._kept = [(keep.address - base, keep.length) for keep in play.product.keep]
        self._lost_is_accepted = (
            play.product.recovery.kind is RecoveryKind.NONE and bundle.manifest.accept_no_recovery
        )
        self._asks = bool(plays(play.product).enters)
        self._on = OnPart(part=part, image=image.name)

    def run(self) -> OnPart:
        requests = self._count()
        if not self._on.wrong:
            for trial in _trials(requests, self._first_sector, enters=self._asks):
                self._try(trial)
        return self._on

    @property
    def _first_sector(self) -> int:
        return self._part.chip.flash.address

    def _count(self) -> int:
        """The update without a fault, and how many requests the ROM received."""
        with on_stage(self._play, self._part, self._old) as stage:
            told = self._enter_by_hand(stage)
            stage.count_requests()
            before = stage.flash
            ended = self._command(stage, told=told)
            self._judge(Trial(), before, stage, ended)
            if ended.exit_status != 0:
                self._wrong(Trial(), _words(ended))
            self._on.trials.append(str(Trial()))
            return stage.counted

    def _try(self, trial: Trial) -> None:
        self._on.trials.append(str(trial))
        before = self._blank if trial.first else self._old
        with on_stage(self._play, self._part, before, power=trial.power) as stage:
            told = trial.first or self._enter_by_hand(stage)
            if trial.fault is not None:
                stage.board.set_fault(trial.fault, trial.value)
            for _ in range(MOST_COMMANDS):
                before = stage.flash
                ended = self._command(stage, told=told)
                self._judge(trial, before, stage, ended)
                if ended.exit_status == 0:
                    return
                if stage.board.state is BoardState.LOCKED_UP and self._lost_is_accepted:
                    return
                told = told or isinstance(ended.error, UnknownDevice)
                stage.board.replug(boot=stage.board.state is BoardState.LOCKED_UP or not self._asks)
            self._wrong(trial, f"not mended by {MOST_COMMANDS} commands: {_words(ended)}")

    def _enter_by_hand(self, stage: Stage) -> bool:
        """Whether the person had to put the board into its bootloader, and so has to say what it is."""
        if not self._asks:
            stage.board.replug(boot=True)
        return not self._asks

    def _command(self, stage: Stage, *, told: bool) -> Ended:
        self._on.commands += 1
        return stage.install(told=told)

    def _judge(self, trial: Trial, before: bytes, stage: Stage, ended: Ended) -> None:
        """Whether the board is what the exit status says of it."""
        flash, status = stage.flash, ended.exit_status
        is_whole = all(flash[at : at + len(data)] == data for at, data in self._segments)
        if status in (0, 10) and not is_whole:
            self._wrong(trial, f"exit status {status}, but the flash does not hold the release")
        if status == 0 and stage.board.state is not BoardState.APPLICATION:
            self._wrong(trial, f"exit status 0, but the board is {stage.board.state}")
        if status in _NOTHING_CHANGED and flash != before:
            self._wrong(trial, f"exit status {status}, but the flash was changed")
        if status not in {0, 9, 10} | _NOTHING_CHANGED:
            self._wrong(trial, _words(ended))
        if stage.could_start and not is_whole and flash not in (before, self._old):
            self._wrong(trial, "a mixture of old and new could start")
        if any(flash[at : at + n] != self._blank[at : at + n] for at, n in self._kept):
            self._wrong(trial, "data which the product keeps was changed")
        for violation in stage.board.violations:
            self._wrong(trial, f"the ROM was sent {violation}")

    def _wrong(self, trial: Trial, what: str) -> None:
        self._on.wrong.append(f"{self._part}, {trial}: {what}")


def _trials(requests: int, first_sector: int, *, enters: bool) -> Iterator[Trial]:
    """The faults, those that come at a request spread over all `requests` of an update."""
    yield Trial(first=True)
    for at in _spread(requests, _CUTS):
        yield Trial(fault=FaultKind.CUT_AFTER, value=at)
        yield Trial(fault=FaultKind.CUT_AFTER, value=at, power=Power.BUS)
    for at in _spread(requests, _REFUSALS):
        yield Trial(fault=FaultKind.STALL_AT, value=at)
        yield Trial(fault=FaultKind.STATUS_AT, value=at)
    yield Trial(fault=FaultKind.FLIP_WRITE, value=1)
    yield Trial(fault=FaultKind.STICK_BUSY_AT, value=first_sector)
    yield Trial(fault=FaultKind.NO_LEAVE)
    if enters:
        yield Trial(fault=FaultKind.WRONG_IDENTITY)
        yield Trial(fault=FaultKind.LATE_ARRIVAL, value=_LATE_MS)


def _spread(last: int, points: int) -> Sequence[int]:
    """So many numbers from 1 to `last`, both among them."""
    return sorted({1 + (last - 1) * n // (points - 1) for n in range(points)})


def _words(ended: Ended) -> str:
    return f"exit status {ended.exit_status}" + (f": {ended.error.message}" if ended.error else "")
