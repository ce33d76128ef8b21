"""A layout of OTP memory: what its bytes mean, and where each value comes from. Pure.

A layout and values become patches, the bytes for `otp.make_otp_plan`; and what was read becomes values
again. Bytes outside the fields are in no patch: they keep what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from updater.heads.manifest import ProductId
from updater.heads.otp.fields import UID_BYTES, Crc, Field, Valued
from updater.heads.otp.plan import BLANK, Patch
from updater.heads.silicon import OtpArea
from updater.words.errors import Refused, Usage

_ADVICE = "Correct the layout; docs/otp.md has its keys."


class Layout(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"fields": "field"}
):
    """A layout file. `lock` are the blocks that `updater otp lock` may lock, once their fields are there."""

    schema: Annotated[int, Meta(ge=1, le=1)]
    product: ProductId
    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=64)]
    lock: Annotated[tuple[Annotated[int, Meta(ge=0, le=127)], ...], Meta(max_length=128)] = ()

    @property
    def valued(self) -> tuple[Valued, ...]:
        """The fields whose value comes from somewhere: all but checksums."""
        return tuple(field for field in self.fields if not isinstance(field, Crc))

    @property
    def counts(self) -> bool:
        """Whether some value is counted from board to board."""
        return any(field.counter is not None for field in self.valued)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Where values come from, for one board.

    `asked` by field name, `row` by CSV column; `count` is how many boards were counted before this one;
    `uid` is the device's own, in the order of its memory.
    """

    asked: Mapping[str, str]
    row: Mapping[str, str] | None = None
    count: int | None = None
    uid: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a field holds. `value` is None where its bytes are no value; `is_wrong`: a CRC that is not so."""

    field: Field
    data: bytes
    value: str | None
    is_wrong: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether every byte is 0xFF, as on a new part."""
        return self.data.count(BLANK) == len(self.data)


def parse_layout(text: bytes) -> Layout:
    """Read a layout. Raises `Usage`, naming the key that is wrong."""
    try:
        layout = msgspec.toml.decode(text, type=Layout)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _wrong(str(error)) from error
    _check_names(layout)
    _check_overlap(layout)
    for index, field in enumerate(layout.fields):
        if isinstance(field, Crc):
            _check_range(layout, field, index)
    return layout


def check_fits(layout: Layout, area: OtpArea) -> None:
    """Raises `Refused` for a layout that reaches out of this memory, or names blocks that it has not."""
    for field in layout.fields:
        if field.end > area.bytes:
            raise Refused(
                f"the layout has {field.name} at offsets 0x{field.offset:X} to 0x{field.end - 1:X}, but this "
                f"chip has {area.bytes:,} bytes of OTP data",
                advice=_ADVICE,
            )
    for block in layout.lock:
        if not area.lock_bytes:
            raise Refused(
                "the layout names blocks to lock, but this chip's OTP memory has no lock bytes",
                advice=_ADVICE,
            )
        if block >= area.lock_bytes:
            raise Refused(
                f"the layout has block {block} to lock, but this chip has blocks 0 to {area.lock_bytes - 1}",
                advice=_ADVICE,
            )


def values_for(layout: Layout, given: Given) -> dict[str, str]:
    """Every value by field name, in its one spelling, checksums not among them.

    Raises `Usage` for a value that is missing, unknown or does not fit.
    """
    unknown = given.asked.keys() - {field.name for field in layout.valued if field.asked}
    if unknown:
        raise Usage(
            f"the layout asks for no {', '.join(sorted(unknown))}",
            advice=f"--set takes: {', '.join(_asked(layout)) or 'nothing with this layout'}.",
        )
    values = {}
    for field in layout.valued:
        said = _source(field, given)
        try:
            spelt = field.decode(field.encode(said))
        except ValueError as error:
            raise Usage(f"{field.name}: {error}", advice="Correct the value, and run it again.") from error
        assert spelt is not None
        values[field.name] = spelt
    return values


def patches_for(layout: Layout, values: Mapping[str, str]) -> tuple[Patch, ...]:
    """The bytes of these values, one patch for each field, checksums included."""
    made: dict[int, int] = {}
    patches = []
    checksums = [field for field in layout.fields if isinstance(field, Crc)]
    for field in (*layout.valued, *checksums):
        if isinstance(field, Crc):
            data = field.of(bytes(made[at] for at in range(field.over.offset, field.over.end)))
        else:
            data = field.encode(values[field.name])
        made.update(enumerate(data, start=field.offset))
        patches.append(Patch(field.offset, data))
    return tuple(sorted(patches, key=lambda patch: patch.offset))


def decode(layout: Layout, data: bytes) -> list[Decoded]:
    """What each field holds, in the layout's order; `data` is all of the OTP data."""
    return [_decoded(field, data) for field in layout.fields]


def _decoded(field: Field, data: bytes) -> Decoded:
    held = data[field.offset : field.end]
    is_wrong = isinstance(field, Crc) and field.of(data[field.over.offset : field.over.end]) != held
    return Decoded(field=field, data=held, value=field.decode(held), is_wrong=is_wrong)


def _source(field: Valued, given: Given) -> str:
    if field.constant is not None:
        return str(field.constant)
    if field.counter is not None:
        if given.count is None:
            raise Usage(f"{field.name} is counted, and no count was given")
        return str(field.counter + given.count)
    if field.csv is not None:
        return _cell(field.name, field.csv, given.row)
    if field.uid:
        if given.uid is None or len(given.uid) != UID_BYTES:
            raise Usage(
                f"{field.name} is the device's unique ID, which it did not say",
                advice="Run this while the device runs its application: a bootloader does not say it.",
            )
        return given.uid.hex()
    if field.name not in given.asked:
        raise Usage(f"the value of {field.name} is missing", advice=f"Add --set {field.name}=VALUE.")
    return given.asked[field.name]


def _cell(name: str, column: str, row: Mapping[str, str] | None) -> str:
    if row is None:
        raise Usage(f"{name} comes from a table, and none was given", advice="Add --from FILE.csv.")
    if column not in row:
        raise Usage(
            f"the table has no column {column!r}, where {name} comes from",
            advice=f"Its columns are: {', '.join(row)}.",
        )
    return row[column]


def _asked(layout: Layout) -> Sequence[str]:
    return [f"{field.name}=..." for field in layout.valued if field.asked]


def _check_names(layout: Layout) -> None:
    names = [field.name for field in layout.fields]
    for name in names:
        if names.count(name) > 1:
            raise _wrong(f"two fields are called {name!r}")


def _check_overlap(layout: Layout) -> None:
    for first, second in pairwise(sorted(layout.fields, key=lambda field: field.offset)):
        if second.offset < first.end:
            raise _wrong(
                f"{first.name} and {second.name} overlap at offset 0x{second.offset:X} - at `$.field`"
            )


def _check_range(layout: Layout, checksum: Crc, index: int) -> None:
    """What it covers must be known when it is made: bytes that no field gives could hold anything."""
    known = set(_offsets(layout.valued))
    known.update(_offsets([field for field in layout.fields[:index] if isinstance(field, Crc)]))
    for at in range(checksum.over.offset, checksum.over.end):
        if at not in known:
            raise _wrong(
                f"{checksum.name} covers offset 0x{at:X}, which belongs to no field before it - at "
                f"`$.field[{index}].over`. Give such bytes to a field: type bytes with the constant ff..."
            )


def _offsets(fields: Sequence[Field]) -> Iterator[int]:
    for field in fields:
        yield from range(field.offset, field.end)


def _wrong(why: str) -> Usage:
    return Usage(f"the layout is wrong: {why}", advice=_ADVICE)
