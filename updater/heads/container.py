"""The bundle file: a stored zip of which exactly one spelling exists.

Zip is ambiguous, and two readers that see different things in one file are an attack (CVE-2025-54368,
CVE-2024-0450). So the writer here is deterministic, and the reader accepts only bytes which the writer
would have made from what it read. Appended, prepended, hidden, overlapping, encrypted or compressed
members, comments and extra fields all fail that one comparison. Layout: APPNOTE.TXT 6.3, sections
4.3.7 (local header), 4.3.12 (central directory) and 4.3.16 (end record).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from updater.words.errors import NotTrusted, Usage

Buffer = bytes | memoryview
B = TypeVar("B", bytes, memoryview)

FILE_LIMIT_BYTES = 64 * 1024 * 1024
MEMBER_LIMIT = 96
ROOT_LIMIT = 64
ROOT_LIMIT_BYTES = 64 * 1024
ENVELOPE_LIMIT_BYTES = 256 * 1024
LAYOUT_LIMIT_BYTES = 64 * 1024

ENVELOPE = "manifest.dsse"
LAYOUT = "otp.toml"
"""What the product's one-time-programmable bytes mean; not every bundle has it."""
_ROOT = re.compile(r"root/[1-9][0-9]{0,4}\.root\.json", re.ASCII)
_IMAGE = re.compile(
    r"images/(?!.*\.\.)(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))"  # Windows' devices, for who unzips
    r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9_-])?",
    re.ASCII,
)

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_NEEDS_ZIP_2_0 = 20
_OWNER_MAY_READ = 0o600 << 16  # what zip tools write for a plain file; readers on DOS ignore it
_NINETEEN_EIGHTY = 1 << 5 | 1  # MS-DOS date: 1 January of year 0, which is 1980
_DAMAGED = "the update file is damaged, or was packed again by another program"


def write_container(members: Mapping[str, bytes]) -> bytes:
    """The only spelling of these members.

    Raises `Usage` when a name is not one a bundle may have or a limit is passed.
    """
    if wrong := _wrong_with(members):
        raise Usage(f"this cannot be a bundle: {wrong}")
    bundle = _write(members)
    if len(bundle) > FILE_LIMIT_BYTES:
        raise Usage(f"this cannot be a bundle: it would be larger than {FILE_LIMIT_BYTES} bytes")
    return bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A file that is spelled as the writer would spell it, if its images have the check sums that it says.

    `members` are read-only views of the file's bytes, which they keep alive; `sums` the CRC-32 of each, as
    the file says it. All but those of the images have been compared.
    """

    members: dict[str, memoryview]
    sums: dict[str, int]

    def check_images(self) -> None:
        """Compare what was left: each image with its sum. Raises `NotTrusted`."""
        for name, view in images_of(self.members).items():
            if zlib.crc32(view) != self.sums[name]:
                raise NotTrusted(_DAMAGED)


def read_container(data: bytes) -> dict[str, bytes]:
    """The members by name. Raises `NotTrusted` for anything `write_container` would not have written."""
    container = open_container(data)
    container.check_images()
    return {name: bytes(view) for name, view in container.members.items()}


def open_container(data: bytes) -> Container:
    """As `read_container`, without a copy, and without a look at the images' bytes: `check_images` has it.

    So that whoever needs the envelope only does not wait for megabytes.
    """
    if len(data) > FILE_LIMIT_BYTES:
        raise NotTrusted(f"the file is larger than an update can be ({FILE_LIMIT_BYTES} bytes)")
    container = _read(data)
    members, sums = container.members, container.sums
    if wrong := _wrong_with(members):
        raise NotTrusted(f"the update file is not put together as it must be: {wrong}")
    small = [name for name in members if not name.startswith("images/")]
    as_said = all(zlib.crc32(members[name]) == sums[name] for name in small)
    if not as_said or not _is_as_written(members, sums, data):
        raise NotTrusted(_DAMAGED)
    return container


def roots_of(members: Mapping[str, Buffer]) -> tuple[bytes, ...]:
    """The root metadata files in a container, by number."""
    return tuple(bytes(members[name]) for name in sorted(members, key=_rank) if name.startswith("root/"))


def images_of(members: Mapping[str, B]) -> dict[str, B]:
    """The image files in a container, by full member name ("images/...")."""
    return {name: data for name, data in members.items() if name.startswith("images/")}


def contents_of(members: Mapping[str, B]) -> dict[str, B]:
    """All that a manifest speaks of, by full member name: the images, and the OTP layout."""
    return images_of(members) | {name: data for name, data in members.items() if name == LAYOUT}


def _wrong_with(members: Mapping[str, Buffer]) -> str | None:
    """What keeps these members from being a bundle, in words."""
    if len(members) > MEMBER_LIMIT:
        return f"it has more than {MEMBER_LIMIT} members"
    if len(members.get(ENVELOPE, b"")) > ENVELOPE_LIMIT_BYTES:
        return f"{ENVELOPE} is larger than {ENVELOPE_LIMIT_BYTES} bytes"
    if ENVELOPE not in members:
        return f"{ENVELOPE} is missing"
    if len(members.get(LAYOUT, b"")) > LAYOUT_LIMIT_BYTES:
        return f"{LAYOUT} is larger than {LAYOUT_LIMIT_BYTES} bytes"
    roots = [name for name in members if _ROOT.fullmatch(name)]
    if len(roots) > ROOT_LIMIT:
        return f"it has more than {ROOT_LIMIT} root files"
    for name in roots:
        if len(members[name]) > ROOT_LIMIT_BYTES:
            return f"{name} is larger than {ROOT_LIMIT_BYTES} bytes"
    for name in members:
        if name not in (ENVELOPE, LAYOUT) and not _ROOT.fullmatch(name) and not _IMAGE.fullmatch(name):
            return f"{name[:80]!r} is not the name of anything in a bundle"
    return None


def _rank(name: str) -> tuple[int, int, str]:
    """Envelope, roots by number, images by name, the OTP layout."""
    if name in (ENVELOPE, LAYOUT):
        return (0 if name == ENVELOPE else 3, 0, name)
    return (1, len(name), name) if name.startswith("root/") else (2, 0, name)


def _write(members: Mapping[str, bytes]) -> bytes:
    sums = {name: zlib.crc32(content) for name, content in members.items()}
    return b"".join(part for piece in _pieces(members, sums) for part in piece)


def _is_as_written(members: Mapping[str, Buffer], sums: Mapping[str, int], data: bytes) -> bool:
    """Whether `_write` would give `data`, if these are the sums. Compared in place: no second file is built.

    In this order and behind headers that are right, each content lies where `_read` has taken it from.
    """
    if list(members) != sorted(members, key=_rank):
        return False
    at = 0
    for head, content in _pieces(members, sums):
        if not data.startswith(head, at):
            return False
        at += len(head) + len(content)
    return at == len(data)


def _pieces(members: Mapping[str, Buffer], sums: Mapping[str, int]) -> Iterator[tuple[bytes, Buffer]]:
    """The file from its first byte to its last: local headers with contents, the directory."""
    central: list[bytes] = []
    offset = 0
    for name in sorted(members, key=_rank):
        raw, data = name.encode("ascii"), members[name]
        # version needed, flags, method (stored), time, date, CRC-32, two sizes, two lengths
        common = (_NEEDS_ZIP_2_0, 0, 0, 0, _NINETEEN_EIGHTY, sums[name], len(data), len(data))
        header = _LOCAL.pack(b"PK\3\4", *common, len(raw), 0) + raw
        central.append(
            _CENTRAL.pack(b"PK\1\2", 20, *common, len(raw), 0, 0, 0, 0, _OWNER_MAY_READ, offset) + raw
        )
        yield header, data
        offset += len(header) + len(data)
    directory = b"".join(central)
    end = _END.pack(b"PK\5\6", 0, 0, len(central), len(central), len(directory), offset, 0)
    yield directory + end, b""


def _read(data: bytes) -> Container:
    """Walk the local headers. What this believes too easily, `_is_as_written` and the sums catch."""
    members: dict[str, memoryview] = {}
    sums: dict[str, int] = {}
    view = memoryview(data)
    at = 0
    while data[at : at + 4] == b"PK\3\4" and len(members) <= MEMBER_LIMIT:
        if at + _LOCAL.size > len(data):
            break
        *_, crc, _packed, size, name_length, _extra = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + name_length
        name = data[at + _LOCAL.size : start].decode("ascii", "replace")
        at = start + size
        if at > len(data):
            raise NotTrusted("the update file is cut off: it was not copied or downloaded completely")
        if name in members:
            raise NotTrusted(f"the update file has two members named {name[:80]!r}")
        members[name], sums[name] = view[start:at], crc
    if not members:
        raise NotTrusted("this file is not an update bundle")
    return Container(members=members, sums=sums)
