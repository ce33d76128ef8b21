"""What a bundle says of itself: strict JSON, the manifest, and the verified bundle.

One spelling of every manifest exists, and only that is accepted: keys sorted, no spaces, ASCII with
escapes, integers only. Comparing the bytes with a re-encoding rules out duplicate keys, `1.0` for `1`,
`-0`, other escapes and other key orders at once.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta
from semver import Version

from updater import __version__
from updater.heads.container import LAYOUT, LAYOUT_LIMIT_BYTES
from updater.words.errors import NotTrusted, Refused
from updater.words.facts import RESERVED_PRODUCT, Channel, Segment, parse_version

SCHEMA = 1
PAYLOAD_LIMIT_BYTES = 128 * 1024
DEPTH_LIMIT = 8
STRING_LIMIT_CHARS = 2048
DIGIT_LIMIT = 16
IMAGE_LIMIT = 16
SEGMENT_LIMIT = 16
COUNTER_LIMIT = 0xFFFF_FFFF

FLASH_START = 0x0800_0000
FLASH_END = 0x08FF_F000
"""Behind it lie one-time-programmable bytes and system memory. The chip's own map is the plan's business."""
ADDRESS_ALIGNMENT = 4

ProductId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,15}\Z")]
Hardware = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,7}\Z")]
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
File = Annotated[str, Meta(pattern=r"\Aimages/[a-z0-9][a-z0-9._-]{0,63}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Revision = Annotated[str, Meta(pattern=r"\A[A-Z0-9.]{1,4}\Z")]
"""As the silicon table has it: a letter mostly, "2.1" on the WB55."""
RomVersion = Annotated[int, Meta(ge=0, le=0xFFFF)]
"""The bootloader ID that AN2606 table 226 lists: one byte, two on the C5."""


class ManifestSegment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consecutive bytes of flash: the content of `file`, a member of the container."""

    address: Annotated[int, Meta(ge=FLASH_START, lt=FLASH_END, multiple_of=ADDRESS_ALIGNMENT)]
    length: Annotated[int, Meta(ge=1, le=FLASH_END - FLASH_START)]
    sha256: Sha256
    file: File

    @property
    def end(self) -> int:
        return self.address + self.length


class ImageFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The silicon an image is for. Empty `revisions` or `rom_versions` mean any."""

    dev_ids: Annotated[tuple[Annotated[int, Meta(ge=0, le=0xFFF)], ...], Meta(min_length=1, max_length=16)]
    revisions: Annotated[tuple[Revision, ...], Meta(max_length=16)] = ()
    rom_versions: Annotated[tuple[RomVersion, ...], Meta(max_length=16)] = ()

    def fits(self, *, dev_id: int, revision: str | None, rom_version: int | None) -> bool:
        """Whether silicon of which this is known is meant. A restriction on something unknown is not met."""
        return (
            dev_id in self.dev_ids
            and (not self.revisions or revision in self.revisions)
            and (not self.rom_versions or rom_version in self.rom_versions)
        )

    def overlaps(self, other: ImageFor) -> bool:
        """Whether some silicon is meant by both."""
        if set(self.dev_ids).isdisjoint(other.dev_ids):
            return False
        pairs = ((self.revisions, other.revisions), (self.rom_versions, other.rom_versions))
        return all(not mine or not theirs or set(mine) & set(theirs) for mine, theirs in pairs)


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """One program. Of several images exactly one is written: the one for the silicon that is there."""

    name: Name
    for_: ImageFor
    segments: Annotated[tuple[ManifestSegment, ...], Meta(min_length=1, max_length=SEGMENT_LIMIT)]


class LayoutFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layout of the product's one-time-programmable memory: the container's member `otp.toml`."""

    length: Annotated[int, Meta(ge=1, le=LAYOUT_LIMIT_BYTES)]
    sha256: Sha256


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a threshold of people has signed. Every field must be present, but `otp` where there is none."""

    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA)]
    product: ProductId
    hardware: Annotated[tuple[Hardware, ...], Meta(min_length=1, max_length=32)]
    version: Version
    security_counter: Annotated[int, Meta(ge=0, le=COUNTER_LIMIT)]
    channels: Annotated[tuple[Channel, ...], Meta(min_length=1)]
    created: date
    min_tool: Version
    from_min_version: Version | None
    accept_no_recovery: bool
    notes: str
    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=IMAGE_LIMIT)]
    otp: LayoutFile | None = None

    @property
    def files(self) -> frozenset[str]:
        """The container members that the manifest speaks of."""
        images = frozenset(segment.file for image in self.images for segment in image.segments)
        return images | {LAYOUT} if self.otp else images


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified bundle. It owns the image bytes; only these are ever written to a device.

    Made by `updater.heads.gate.verify_bundle` and nowhere else. `files` are the image bytes by container
    member (read-only views of the verified file, which they keep alive), `envelope` is the signed evidence,
    `root_chain` the root metadata to keep. `layout` is the text of the OTP layout, where there is one.
    """

    manifest: Manifest
    files: Mapping[str, memoryview]
    manifest_sha256: str
    signed_by: tuple[str, ...]
    threshold: int
    root_version: int
    root_expired: bool
    envelope: bytes
    root_chain: tuple[bytes, ...]
    layout: bytes | None = None

    def segments(self, image: Image) -> tuple[Segment, ...]:
        """The bytes of one of the manifest's images."""
        return tuple(
            Segment(address=part.address, data=bytes(self.files[part.file])) for part in image.segments
        )

    def __repr__(self) -> str:
        return f"Bundle({self.manifest.product} {self.manifest.version}, {self.manifest_sha256[:12]})"


def canonical_json(value: Any) -> bytes:
    """The only spelling of a value made of objects, arrays, strings, integers, true, false and null."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def strict_json(data: bytes, *, limit: int) -> Any:
    """Parse canonical JSON of at most `limit` bytes. Raises `NotTrusted` for any other spelling."""
    if len(data) > limit:
        raise NotTrusted(f"the signed description is larger than {limit} bytes")
    try:
        value = json.loads(
            data.decode("ascii"), parse_int=_integer, parse_float=_not_integer, parse_constant=_not_integer
        )
    except (ValueError, RecursionError) as error:
        raise NotTrusted(f"the signed description is not strict JSON: {error}") from error
    _check(value, depth=1)
    if canonical_json(value) != data:
        raise NotTrusted("the signed description is not in its canonical form")
    return value


def parse_manifest(payload: bytes) -> Manifest:
    """Read a signed payload.

    Raises `NotTrusted` when it breaks a rule, `Refused` when it needs a newer updater than this one.
    """
    value = strict_json(payload, limit=PAYLOAD_LIMIT_BYTES)
    if not isinstance(value, dict):
        raise NotTrusted("the signed description is not a manifest")
    refuse_what_is_for_a_newer_updater(value, "this update", "and open the update with that")
    try:
        manifest = msgspec.convert(value, Manifest, dec_hook=_decode_version)
    except msgspec.ValidationError as error:
        raise NotTrusted(f"the manifest breaks a rule: {error}") from error
    if format_manifest(manifest) != payload:
        raise NotTrusted("the manifest leaves out a field, or spells one in a way of its own")
    if wrong := wrong_with(manifest):
        raise NotTrusted(f"the manifest breaks a rule: {wrong}")
    return manifest


def format_manifest(manifest: Manifest) -> bytes:
    """The bytes that are signed."""
    return canonical_json(msgspec.to_builtins(manifest, enc_hook=_encode_version))


def wrong_with(manifest: Manifest) -> str | None:
    """The first rule between fields that a manifest breaks, in words; the release side asks too."""
    repeated = (
        _repeats("hardware", manifest.hardware)
        or _repeats("channels", manifest.channels)
        or _repeats("images", [image.name for image in manifest.images])
    )
    if repeated:
        return repeated
    if manifest.product == RESERVED_PRODUCT:
        return f"{RESERVED_PRODUCT!r} is a reserved word and no product"
    if Channel.ENGINEERING in manifest.channels and len(manifest.channels) > 1:
        return "an engineering build cannot be in another channel too"
    if reason := undisplayable(manifest.notes):
        return f"notes: {reason}"
    for image in manifest.images:
        if wrong := _wrong_with_segments(image):
            return f"image {image.name}: {wrong}"
    for index, image in enumerate(manifest.images):
        for other in manifest.images[index + 1 :]:
            if image.for_.overlaps(other.for_):
                return f"images {image.name} and {other.name} are for the same silicon"
    return None


def _wrong_with_segments(image: Image) -> str | None:
    end = 0
    for segment in image.segments:
        if segment.address < end:
            return f"the segment at 0x{segment.address:08X} overlaps another, or they are not in order"
        end = segment.end
    if end > FLASH_END:
        return f"it ends at 0x{end:08X}, behind the flash"
    chosen = image.for_
    return (
        _repeats("dev_ids", chosen.dev_ids)
        or _repeats("revisions", chosen.revisions)
        or _repeats("rom_versions", chosen.rom_versions)
    )


def _repeats(field: str, values: Any) -> str | None:
    return f"{field} says something twice" if len(set(values)) != len(values) else None


def undisplayable(text: str) -> str | None:
    """Why a text must not reach a dialog: it could look like something else there."""
    if unicodedata.normalize("NFC", text) != text:
        return "the text is not in Unicode NFC"
    for char in text:
        # control, format (all bidirectional controls are), surrogate, private use, line, paragraph
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
            return f"the character U+{ord(char):04X} is not allowed"
    return None


def _check(value: Any, *, depth: int) -> None:
    """Depth, length of strings, and no lone surrogates, which `json` lets through."""
    if isinstance(value, str):
        if len(value) > STRING_LIMIT_CHARS:
            raise NotTrusted(
                f"a text in the signed description is longer than {STRING_LIMIT_CHARS} characters"
            )
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise NotTrusted("a text in the signed description is not Unicode")
    elif isinstance(value, (dict, list)):
        if depth > DEPTH_LIMIT:
            raise NotTrusted(f"the signed description is nested deeper than {DEPTH_LIMIT}")
        for child in (*value, *value.values()) if isinstance(value, dict) else value:
            if not isinstance(child, int):  # numbers were bounded when they were read
                _check(child, depth=depth + 1)


def refuse_what_is_for_a_newer_updater(value: dict[str, Any], what: str, then: str) -> None:
    """Schemas to come keep `schema` and `min_tool`, so that an old updater can say what is missing.

    `what` is meant, and what a person does `then`, with the newest updater. Raises `Refused`.
    """
    schema, needed = value.get("schema"), value.get("min_tool")
    try:
        min_tool = parse_version(needed) if isinstance(needed, str) else None
    except ValueError:
        min_tool = None
    newer_schema = type(schema) is int and schema > SCHEMA
    if newer_schema or (min_tool is not None and min_tool > Version.parse(__version__)):
        wanted = f"updater {min_tool} or newer" if min_tool is not None else "a newer updater"
        raise Refused(
            f"{what} needs {wanted}; this is updater {__version__}",
            advice=f"Get the newest updater from the vendor, {then}.",
        )


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > DIGIT_LIMIT:
        raise ValueError(f"a number has more than {DIGIT_LIMIT} digits")
    return int(text)


def _not_integer(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not an integer")


def _decode_version(kind: type[Any], value: Any) -> Any:
    if kind is Version and isinstance(value, str):
        return parse_version(value)
    raise ValueError(f"expected a version, got {type(value).__name__}")


def _encode_version(value: Any) -> str:
    if isinstance(value, Version):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is not part of a manifest")
