"""Option bytes in words: which bits mean what, as rows with their sources. They are read, never written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

import msgspec
from msgspec import Meta

from updater.heads.silicon.cells import Row, Source, Standing


class OptionField(Row, frozen=True):
    """One option: `bits` bits from `bit` on, counted from the byte at `at`, little-endian.

    What a value means is said by one of: `values` (by number, `otherwise` for all others); `protects`, the
    name of what each bit stands for, numbered from `first`, protected where the bit is `protects_when`;
    `range_of`, the name of what is protected from this number to the one that begins at `to_bit`, nothing
    where the first is the larger; `address_shift`, by which it becomes an address.
    """

    name: str
    at: int
    bit: Annotated[int, Meta(ge=0, le=31)] = 0
    bits: Annotated[int, Meta(ge=1, le=32)] = 1
    values: dict[str, str] = msgspec.field(default_factory=dict)
    otherwise: str | None = None
    protects: str | None = None
    protects_when: Annotated[int, Meta(ge=0, le=1)] = 0
    first: int = 0
    range_of: str | None = None
    to_bit: int = 0
    address_shift: int | None = None

    @property
    def end(self) -> int:
        """The address behind the last byte that it needs."""
        last = (self.to_bit if self.range_of else self.bit) + self.bits - 1
        return self.at + last // 8 + 1

    def value_in(self, word: int) -> int:
        return word >> self.bit & (1 << self.bits) - 1

    def meaning_of(self, word: int) -> str | None:
        """In words; None where the row does not say what this value means."""
        value = self.value_in(word)
        if self.protects is not None:
            return self._protected(value)
        if self.range_of is not None:
            last = word >> self.to_bit & (1 << self.bits) - 1
            if value > last:
                return "protects nothing"
            return f"{self.range_of} {value} to {last} are write-protected"
        if self.address_shift is not None:
            return f"starts at 0x{value << self.address_shift:08X}"
        return self.values.get(f"0x{value:X}", self.otherwise)

    def _protected(self, value: int) -> str:
        numbers = [self.first + bit for bit in range(self.bits) if (value >> bit & 1) == self.protects_when]
        return f"write-protected {self.protects}: {', '.join(_ranges(numbers)) or 'none'}"


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Rising numbers, neighbours from three on as "first to last"."""
    for _, stretch in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in stretch]
        if len(found) > 2:
            yield f"{found[0]} to {found[-1]}"
        else:
            yield from map(str, found)


class OptionGroup(Row, frozen=True):
    """Options that one source describes alike for these chips."""

    chips: tuple[str, ...]
    fields: tuple[OptionField, ...]
    standing: Standing
    source: Source


@dataclass(frozen=True, slots=True)
class Option:
    """One decoded option. `meaning` is None where the table does not know what this value means."""

    name: str
    value: int
    bits: int
    meaning: str | None
    standing: Standing
    source: str


def decode_options(groups: Iterable[OptionGroup], chip: str, at: int, data: bytes) -> Iterator[Option]:
    """The options of this chip in the bytes that were read from `at` on. What was not read is left out."""
    for group in groups:
        if chip not in group.chips:
            continue
        for field in group.fields:
            if at <= field.at and field.end <= at + len(data):
                word = int.from_bytes(data[field.at - at : field.end - at], "little")
                yield Option(
                    field.name,
                    field.value_in(word),
                    field.bits,
                    field.meaning_of(word),
                    group.standing,
                    group.source,
                )
