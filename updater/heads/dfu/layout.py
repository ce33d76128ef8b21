"""Memory-layout strings: the names of a DfuSe device's alternate settings.

Grammar (UM0424 section 4.3.2, widened to what real ROMs send):
`@Name /0xADDRESS/COUNT*SIZE[MULTIPLIER]TYPE{,COUNT*SIZE[MULTIPLIER]TYPE}{/0xADDRESS/...}`

COUNT and SIZE are decimal, leading zeros allowed. MULTIPLIER is blank or B (1), K (1024), M (1048576);
the F722 ROM leaves it out ("01*528e"). TYPE is a letter whose low three bits are 1 readable, 2 erasable,
4 writable. Segments after a comma follow each other; a new "/0x" starts at a new address.
The F40x ROM V3.0 says of its Device Feature that it can be erased (AN2606 table 74); it cannot.
"""

from __future__ import annotations

import re

from updater.heads.dfu.words import ProtocolError
from updater.words.facts import Region, Sector

MAX_SECTORS = 65_536
_MULTIPLIERS = {"": 1, " ": 1, "B": 1, "K": 1024, "M": 1024 * 1024}
_ADDRESS = re.compile(r"0x([0-9A-Fa-f]{1,8})")
_RUN = re.compile(r" *0*([0-9]{1,8})\*0*([0-9]{1,8})([ BKM]?)([a-g]) *")
_DEVICE_FEATURE = "device feature"
_ERASABLE = 2


def parse_layout(text: str, alternate: int) -> Region:
    """Read one alternate setting's string.

    Raises `ProtocolError` with the offending part when the string is malformed, describes no sector,
    more than `MAX_SECTORS`, sectors of no size, or memory beyond 32 bits.
    """
    if not text.startswith("@"):
        raise ProtocolError(f"memory layout {text!r} does not start with '@'")
    name, *zones = text[1:].split("/")
    if not zones or len(zones) % 2:
        raise ProtocolError(f"memory layout {text!r} has no pairs of address and sectors")
    name = " ".join(name.split())
    never = _ERASABLE if name.lower() == _DEVICE_FEATURE else 0
    sectors: list[Sector] = []
    for address, runs in zip(zones[::2], zones[1::2], strict=True):
        sectors += _zone(text, address, runs, room=MAX_SECTORS - len(sectors), never=never)
    return Region(name=name, alternate=alternate, sectors=tuple(sectors))


def _zone(text: str, address: str, runs: str, *, room: int, never: int) -> list[Sector]:
    """The sectors of one zone: at most `room`, without the type bits in `never`."""
    at = _ADDRESS.fullmatch(address.strip())
    if not at:
        raise ProtocolError(f"memory layout {text!r} has the malformed address {address!r}")
    start = int(at[1], 16)
    sectors: list[Sector] = []
    for run in runs.split(","):
        found = _RUN.fullmatch(run)
        if not found:
            raise ProtocolError(f"memory layout {text!r} has the malformed part {run!r}")
        count, size = int(found[1]), int(found[2]) * _MULTIPLIERS[found[3]]
        bits = ord(found[4]) & ~never
        if not count or not size:
            raise ProtocolError(f"memory layout {text!r} has the empty part {run!r}")
        if count > room - len(sectors) or start + count * size > 1 << 32:
            raise ProtocolError(f"memory layout {text!r} describes more memory than there can be: {run!r}")
        flags = {"readable": bool(bits & 1), "erasable": bool(bits & _ERASABLE), "writable": bool(bits & 4)}
        for _ in range(count):
            sectors.append(Sector(address=start, size=size, **flags))
            start += size
    return sectors
