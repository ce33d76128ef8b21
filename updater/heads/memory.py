"""Reading memory: which bytes are meant, what of them may be read, and as what they are kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress, count

from updater.heads.dfufile import format_dfuse, parse_dfuse
from updater.heads.hexfile import format_hex, parse_hex
from updater.heads.otp.plan import otp_area
from updater.heads.silicon import Chip, Option
from updater.heads.vendor import Product
from updater.words.errors import Refused, Usage
from updater.words.facts import DeviceFacts, Region, Segment

KIB = 1024


class Kind(StrEnum):
    """What can be read; `id`: the bootloader's own ID in its ROM (AN2606 section 4.2)."""

    FLASH = "flash"
    OTP = "otp"
    OPTIONS = "options"
    ID = "id"


class Format(StrEnum):
    """As what bytes are kept in a file: raw, Intel HEX, DfuSe."""

    BIN = "bin"
    HEX = "hex"
    DFU = "dfu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to read. Without `address` and `length`: all of it."""

    kind: Kind
    address: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Consecutive bytes that are read. `whole`: only as one block from its start (AN3156, option bytes)."""

    address: int
    length: int
    whole: bool = False

    @property
    def end(self) -> int:
        return self.address + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was read. `alternate`: the setting that holds it, None where it is reached by its address."""

    kind: Kind
    parts: tuple[Segment, ...]
    alternate: int | None
    options: tuple[Option, ...] = ()

    @property
    def size(self) -> int:
        return sum(len(part.data) for part in self.parts)


def check_wanted(wanted: Wanted, chip: Chip) -> None:
    """What the table alone can refuse, before the device is sent anywhere.

    Raises `Usage`, `Refused` (not to be had on this chip, with the reason), `WrongDevice` (no such memory).
    """
    if wanted.length is not None and wanted.length < 1:
        raise Usage("--length must be at least 1", advice="Leave it out to read all of the region.")
    if wanted.kind in (Kind.OPTIONS, Kind.ID) and (wanted.address, wanted.length) != (None, None):
        raise Usage(
            f"the region {wanted.kind} is read as a whole",
            advice="Leave out --address and --length.",
        )
    places_of(wanted, chip, None, None)


def places_of(
    wanted: Wanted, chip: Chip, facts: DeviceFacts | None, product: Product | None
) -> tuple[Place, ...]:
    """Where the wanted bytes are. `facts` None: it is only asked whether this chip has them at all.

    Raises `Usage` for addresses outside the region, `Refused` and `WrongDevice` as `check_wanted`.
    """
    match wanted.kind:
        case Kind.OPTIONS:
            return (_options(chip),)
        case Kind.ID:
            return (_rom_id(chip),)
        case Kind.OTP:
            return _cut(wanted, _otp(chip))
        case Kind.FLASH:
            if facts is None or product is None:
                return ()
            return _flash(wanted, chip, facts, product)


def start_of(kind: Kind, chip: Chip) -> int:
    """Where the region begins. Raises `Refused` and `WrongDevice` as `check_wanted`."""
    if kind is Kind.FLASH:
        return chip.flash.address
    return places_of(Wanted(kind=kind), chip, None, None)[0].address


def _options(chip: Chip) -> Place:
    if chip.option_bytes is not None:
        return Place(address=chip.option_bytes.at, length=chip.option_bytes.bytes, whole=True)
    why = "no public source says where its bootloader shows its option bytes"
    if chip.no_option_bytes is not None:
        why = f"{chip.no_option_bytes.value} ({chip.no_option_bytes.source})"
    raise Refused(f"the option bytes of a {chip.title} cannot be read over USB: {why}", advice=_PROBE)


def _rom_id(chip: Chip) -> Place:
    if chip.rom_id_at is None:
        raise Refused(
            f"no public source says where the bootloader of a {chip.title} keeps its ID", advice=_PROBE
        )
    return Place(address=chip.rom_id_at.value, length=chip.rom_id_bytes)


def _otp(chip: Chip) -> tuple[Place, ...]:
    """The data, and the lock bytes where there are any."""
    area = otp_area(chip)
    if not area.lock_bytes:
        return (Place(address=area.at, length=area.bytes),)
    if area.lock_at == area.end:
        return (Place(address=area.at, length=area.bytes + area.lock_bytes),)
    return (
        Place(address=area.at, length=area.bytes),
        Place(address=area.lock_at, length=area.lock_bytes),
    )


def _flash(wanted: Wanted, chip: Chip, facts: DeviceFacts, product: Product) -> tuple[Place, ...]:
    """The flash as far as it is known; where its size is not known, somebody has to say how much."""
    sizes = chip.sizes_kib.value
    kib = facts.flash_kib or product.flash_kib or (sizes[0] if len(sizes) == 1 else None)
    if kib is None and wanted.length is None:
        words = " or ".join(f"{size:,}" for size in sizes)
        raise Refused(
            f"it is not known how much flash this {chip.title} has: parts have {words} KiB",
            advice=f"Say how much to read, for example --length 0x{min(sizes) * KIB:X}: so much is in all "
            "of them.",
        )
    mode = facts.bank_mode or product.bank_mode
    sectors = chip.sectors(kib=kib, bank_mode=mode) or chip.flash.sectors
    pieces: list[Place] = []
    for sector in sectors:
        if pieces and pieces[-1].end == sector.address:
            first = pieces[-1].address
            pieces[-1] = Place(address=first, length=sector.end - first)
        else:
            pieces.append(Place(address=sector.address, length=sector.size))
    return _cut(wanted, pieces)


def _cut(wanted: Wanted, pieces: Sequence[Place]) -> tuple[Place, ...]:
    """What lies from the wanted address on, in the wanted length. Raises `Usage` where that leaves it."""
    start = pieces[0].address if wanted.address is None else wanted.address
    end = pieces[-1].end if wanted.length is None else start + wanted.length
    cut = tuple(
        Place(address=max(start, piece.address), length=min(end, piece.end) - max(start, piece.address))
        for piece in pieces
        if max(start, piece.address) < min(end, piece.end)
    )
    if not cut or cut[0].address != start or cut[-1].end != end:
        where = " and ".join(f"0x{piece.address:08X} to 0x{piece.end - 1:08X}" for piece in pieces)
        raise Usage(
            f"0x{start:08X} to 0x{max(end - 1, start):08X} is not all in the {wanted.kind}, which is {where}",
            advice="Correct --address and --length, or the addresses in the file.",
        )
    return cut


def alternate_at(place: Place, regions: Iterable[Region]) -> int | None:
    """The alternate setting whose memory holds the place; None where the bootloader names none.

    It is then reached by its address alone (AN2606 section 4.4).
    """
    for region in regions:
        inside = sum(
            max(min(place.end, sector.end) - max(place.address, sector.address), 0)
            for sector in region.sectors
        )
        if inside == place.length:
            return region.alternate
    return None


@dataclass(frozen=True, slots=True)
class Difference:
    """How many bytes differ from the file's, and the first of them."""

    bytes: int
    address: int
    device: int
    file: int


def compare(device: Sequence[Segment], file: Iterable[Segment]) -> Difference | None:
    """What the device holds where the file says something; None where all bytes are equal.

    Raises `Usage` for a piece of the file that was not read as one piece.
    """
    total, first = 0, None
    for there in file:
        here = next((p for p in device if p.address <= there.address and there.end <= p.end), None)
        if here is None:
            raise Usage(
                f"the file's bytes at 0x{there.address:08X} are not all in this memory",
                advice="Compare with a file that was made of the same region.",
            )
        held = here.data[there.address - here.address :][: len(there.data)]
        if held == there.data:
            continue
        at = list(compress(count(), (a != b for a, b in zip(held, there.data, strict=True))))
        total += len(at)
        if first is None:
            first = (there.address + at[0], held[at[0]], there.data[at[0]])
    return Difference(total, *first) if first else None


def format_of(file_name: str, asked: str | None) -> Format:
    """The format that was asked for, else that of the file's name; `.bin` for any other name."""
    if asked is not None:
        return Format(asked)
    suffix = file_name.lower().rpartition(".")[2]
    return Format(suffix) if suffix in tuple(Format) else Format.BIN


def format_memory(memory: Memory, how: Format, *, name: str) -> bytes:
    """The file's bytes; `name` goes into a DfuSe file. Raises `Usage` for a gap in a raw file."""
    if how is Format.HEX:
        return format_hex(memory.parts).encode("ascii")
    if how is Format.DFU:
        return format_dfuse(memory.parts, name=name, alternate=memory.alternate or 0)
    if len(memory.parts) != 1:
        raise Usage(
            "there is a gap in this memory, which a .bin file cannot show",
            advice="Use --format hex or --format dfu, or read the pieces one by one.",
        )
    return memory.parts[0].data


def parse_memory(
    data: bytes, how: Format, *, address: int | None, flash_only: bool = True
) -> tuple[Segment, ...]:
    """The bytes of a file by address. A raw file begins at `address`; the others carry their own.

    `flash_only`: a DfuSe file says of which memory its bytes are, and only the flash's are taken. Raises
    `Usage`.
    """
    if how is Format.BIN:
        if address is None:
            raise Usage("a .bin file needs an address", advice="Say where it begins: --address 0x….")
        parts = [Segment(address=address, data=data)]
    elif address is not None:
        raise Usage(f"a .{how} file carries its own addresses", advice="Leave out the address.")
    else:
        try:
            parts = parse_hex(data) if how is Format.HEX else parse_dfuse(data, flash_only=flash_only)
        except ValueError as error:
            raise Usage(f"the file cannot be read: {error}", advice="Make the file again.") from error
    parts = [part for part in sorted(parts, key=lambda part: part.address) if part.data]
    if not parts:
        raise Usage("the file holds no bytes", advice="Choose another file.")
    return _joined(parts)


def _joined(parts: Sequence[Segment]) -> tuple[Segment, ...]:
    """Neighbours in one piece. Raises `Usage` for two that overlap, and beyond 32 bits."""
    joined: list[Segment] = []
    for part in parts:
        if joined and part.address < joined[-1].end:
            raise Usage(
                f"the file says twice what stands at 0x{part.address:08X}", advice="Make the file again."
            )
        if joined and part.address == joined[-1].end:
            joined[-1] = Segment(address=joined[-1].address, data=joined[-1].data + part.data)
        else:
            joined.append(part)
    if joined[-1].end > 1 << 32:
        raise Usage("the file goes beyond the last address", advice="Correct the address.")
    return tuple(joined)


_PROBE = "Nothing was changed. With a debug probe they can be read: STM32CubeProgrammer, OpenOCD."
