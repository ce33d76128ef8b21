"""What is fuzzed: every parser that reads what strangers wrote, with what must hold of its answer.

A target takes bytes and says whether they were accepted. It raises for what must never happen: an error that
is not one of ours, or an accepted input that is not the only spelling of what was read.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from bundles.firmware import read_firmware
from updater.heads.announced import parse_announced
from updater.heads.catalogue import parse_catalogue
from updater.heads.container import read_container, write_container
from updater.heads.dfu.layout import MAX_SECTORS, parse_layout
from updater.heads.dfu.words import ProtocolError
from updater.heads.dfufile import parse_dfuse
from updater.heads.hexfile import format_hex, parse_hex
from updater.heads.links import check_shape, format_link, is_code, parse_link, parse_page
from updater.heads.manifest import (
    PAYLOAD_LIMIT_BYTES,
    canonical_json,
    format_manifest,
    parse_manifest,
    strict_json,
)
from updater.heads.silicon import the_table
from updater.heads.trust import format_envelope, parse_envelope
from updater.heads.what import link_in_shortcut
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Segment

SCHEME = "acme-fw"
Target = Callable[[bytes], bool]


def container(data: bytes) -> bool:
    """Accepted: writing it again gives the same bytes."""
    try:
        members = read_container(data)
    except NotTrusted:
        return False
    assert write_container(members) == data
    return True


def strict(data: bytes) -> bool:
    """Accepted: it is canonical."""
    try:
        value = strict_json(data, limit=PAYLOAD_LIMIT_BYTES)
    except NotTrusted:
        return False
    assert canonical_json(value) == data
    return True


def manifest(data: bytes) -> bool:
    """Accepted: it is the only spelling, and every image lies in flash without overlap."""
    try:
        read = parse_manifest(data)
    except (NotTrusted, Refused):
        return False
    assert format_manifest(read) == data
    for image in read.images:
        ends = [0]
        for part in image.segments:
            assert 0x0800_0000 <= part.address < part.end <= 0x08FF_F000
            assert part.address >= ends[-1]
            ends.append(part.end)
    return True


def catalogue(data: bytes) -> bool:
    """Accepted: it is canonical, and its products can be told from each other."""
    try:
        read = parse_catalogue(data, chips=the_table().chip_ids)
    except (NotTrusted, Refused):
        return False
    assert canonical_json(json.loads(data)) == data
    assert len({one.id for one in read.products}) == len({one.number for one in read.products})
    return True


def envelope(data: bytes) -> bool:
    """Accepted: it is the only spelling."""
    try:
        read = parse_envelope(data)
    except NotTrusted:
        return False
    assert format_envelope(read) == data
    return True


def announced(data: bytes) -> bool:
    """What a channel says; tuf's client has read the JSON before."""
    with suppress(ValueError, RecursionError):
        try:
            entry = parse_announced(json.loads(data), "fuzz")
        except NotTrusted:
            return False
        assert 0 <= entry.security_counter < 2**32
        return True
    return False


def link(data: bytes) -> bool:
    """Accepted: it is what its three words are written as, and short; everything else is usage."""
    text = data.decode("utf-8", "surrogateescape")
    is_code(text)
    with suppress(Usage):
        link_in_shortcut(data)
    with suppress(Usage):
        parse_page(text, "https://update.acme.example/")
    try:
        read = parse_link(text, SCHEME)
    except Usage:
        return False
    check_shape(text)
    assert format_link(read, SCHEME) == text.removesuffix("/")
    assert len(text) <= 120
    return True


def layout(data: bytes) -> bool:
    """Accepted: a bounded number of sectors, none of no size, all within 32 bits."""
    try:
        region = parse_layout(data.decode("utf-16-le", "surrogatepass"), 0)
    except (ProtocolError, UnicodeDecodeError):
        return False
    assert 0 < len(region.sectors) <= MAX_SECTORS
    assert all(sector.size > 0 and sector.address + sector.size <= 2**32 for sector in region.sectors)
    return True


def dfuse(data: bytes) -> bool:
    """A firmware file: segments or words. Tried with a right check sum too, to reach what is behind it."""
    mended = data[:-4] + (zlib.crc32(data[:-4]) ^ 0xFFFF_FFFF).to_bytes(4, "little")
    return any(_segments(parse_dfuse, one) for one in (data, mended))


def hexfile(data: bytes) -> bool:
    """As above. Accepted: written again and read again it is the same."""
    if not _segments(parse_hex, data):
        return False
    read = parse_hex(data)
    assert parse_hex(format_hex(read).encode("ascii")) == read
    return True


def _segments(parse: Callable[[bytes], list[Segment]], data: bytes) -> bool:
    try:
        segments = parse(data)
    except ValueError:
        return False
    assert all(part.address >= 0 and part.end <= 2**32 for part in segments)
    return True


def intel_hex(data: bytes) -> bool:
    """The release side's reader, which is a library's."""
    path = _folder() / "fuzz.hex"
    path.write_bytes(data)
    try:
        read_firmware(path)
    except Usage:
        return False
    return True


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


TARGETS: dict[str, Target] = {
    "container": container,
    "json": strict,
    "manifest": manifest,
    "catalogue": catalogue,
    "envelope": envelope,
    "announced": announced,
    "link": link,
    "layout": layout,
    "dfuse": dfuse,
    "hex": intel_hex,
    "hexfile": hexfile,
}
