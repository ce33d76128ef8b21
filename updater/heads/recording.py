"""What was said between a host and a bootloader, as a file: one format for published traces and our own.

A recording is TOML. `[[device]]` is what `dfu-util -l` shows of a device; `[[part]]` is a stretch of control
transfers, one inline table each. Bytes are hex; `??` is a byte that the source does not print, and a step
with `reconstructed = true` holds something that the source implies but does not print. Where bytes may not
or cannot be told, a digest stands for them. Pure: text in, values out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

RequestName = Literal[
    "DETACH", "DNLOAD", "UPLOAD", "GETSTATUS", "CLRSTATUS", "GETSTATE", "ABORT", "SET_INTERFACE"
]
Failure = Literal["stalled", "timed-out", "vanished"]
Hex = Annotated[str, Meta(pattern=r"^((([0-9a-f]{2}|\?\?) )*([0-9a-f]{2}|\?\?))?$")]
VERBATIM_BYTES = 16
"""Up to so many bytes are written out: commands, statuses, identifiers. Longer ones are memory contents."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Digest(_Row, frozen=True):
    """Bytes that are not written out. `sha256`: its first eight hex digits, None where no source has it."""

    bytes: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")] | None = None


class Step(_Row, frozen=True):
    """One control transfer.

    `data` went to the device, `answer` came back; `length` is how much was asked for where that is not what
    came. `after_ms`: how long the host had waited before; `ms`: how long the device took. None: not known.
    """

    request: RequestName
    value: int = 0
    data: Hex | Digest | None = None
    answer: Hex | Digest | None = None
    length: int | None = None
    error: Failure | None = None
    after_ms: float | None = None
    ms: float | None = None
    reconstructed: bool = False


class Part(_Row, frozen=True):
    """Transfers that belong together; in our own recordings one script. `failed`: how it ended, in words.

    `at_ms`: when it began, since the recording did. `for_ever`: the source says that the last step went on.
    """

    name: str
    usb: str | None = None
    at_ms: float | None = None
    note: str | None = None
    for_ever: bool = False
    failed: str | None = None
    steps: tuple[Step, ...] = ()


class Device(_Row, frozen=True):
    """What a device shows in its descriptors. `alternates` by number.

    `chip` or `lookalike`: the row of the silicon table that it is by what its source says, where it says.
    """

    usb: str
    bcd_device: int | None = None
    manufacturer: str | None = None
    product: str | None = None
    serial: str | None = None
    alternates: tuple[str, ...] = ()
    transfer_size: int | None = None
    chip: str | None = None
    lookalike: str | None = None
    note: str | None = None


class Recording(_Row, frozen=True, kw_only=True):
    """One source.

    `host`: the program that sent the requests. `reconstructed`: what is not printed there, in words.
    `dropped`: how many steps before the first one here were left out.
    """

    schema: Literal[1] = 1
    title: str
    source: Annotated[str, Meta(pattern=r"\S")]
    address: str | None = None
    host: str | None = None
    reconstructed: str | None = None
    failed: str | None = None
    dropped: int = 0
    device: tuple[Device, ...] = ()
    part: tuple[Part, ...] = ()


def parse_recording(text: str) -> Recording:
    """Load a recording. Raises `msgspec.ValidationError` (naming the key) or `ValueError`."""
    return msgspec.toml.decode(text, type=Recording)


def format_recording(recording: Recording) -> str:
    """The text that `parse_recording` reads back as the same recording."""
    plain: dict[str, Any] = msgspec.to_builtins(recording)
    devices, parts = plain.pop("device", ()), plain.pop("part", ())
    lines = ["schema = 1", *_keys(plain)]
    for device in devices:
        lines += ["", "[[device]]", *_keys(device)]
    for part in parts:
        steps = part.pop("steps", ())
        lines += ["", "[[part]]", *_keys(part), "steps = [", *(f"    {_value(step)}," for step in steps), "]"]
    return "\n".join(lines) + "\n"


def told(data: bytes) -> str | Digest:
    """Bytes as a recording may tell them: short ones in hex, of longer ones only a digest."""
    if len(data) <= VERBATIM_BYTES:
        return data.hex(" ")
    return Digest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()[:8])


def _keys(table: dict[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{key} = 0x{value:04x}" if key == "bcd_device" else f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(_keys(value)) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return str(value).lower()  # true, false, numbers


def _text(text: str) -> str:
    """A basic string of TOML: quotes, backslashes and control characters are escaped."""
    escaped = (f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)
    return f'"{"".join(escaped)}"'
