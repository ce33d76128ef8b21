"""The vector table: what a Cortex-M needs at the start of flash to start at all.

One rule for the desk, where a release is built, and for the plan, where it is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from updater.words.facts import Segment

RAM_START = 0x1000_0000
RAM_END = 0x4000_0000
"""Where a stack can lie: CCM and SRAM of every STM32. Beyond are peripherals, before it flash."""
_WORD = 4


def wrong_with_vectors(segments: Sequence[Segment], *, flash_start: int, granule_bytes: int) -> str | None:
    """Why no Cortex-M could start from this image, in words; None when one could.

    `segments` are sorted and filled up to whole program units; `granule_bytes` is what is written last, with
    the initial SP and the reset vector in it (ARMv7-M ARM B1.5.3: word 0 and 1 of the vector table, SP
    word-aligned, bit 0 of a vector is the Thumb state).
    """
    first = segments[0] if segments else None
    if first is None or first.address != flash_start or len(first.data) < granule_bytes:
        return f"the image does not begin with a vector table at 0x{flash_start:08X}"
    sp, reset = (int.from_bytes(first.data[at : at + _WORD], "little") for at in (0, _WORD))
    if why := _wrong_with_stack(sp) or _wrong_with_reset(reset, segments):
        return f"the image's vector table does not point to a program inside the image: {why}"
    return None


def _wrong_with_stack(sp: int) -> str | None:
    if not RAM_START <= sp < RAM_END:
        return f"its initial SP 0x{sp:08X} is not in RAM"
    return f"its initial SP 0x{sp:08X} is not a multiple of {_WORD}" if sp % _WORD else None


def _wrong_with_reset(reset: int, segments: Sequence[Segment]) -> str | None:
    if not reset & 1:
        return f"its reset vector 0x{reset:08X} is even, which is not Thumb code"
    if not any(part.address <= reset & ~1 < part.end for part in segments):
        return f"its reset vector 0x{reset:08X} is outside the image"
    return None
