"""The conversations of `updater read` and `updater dfu show`. Neither changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from updater.doors.terminal import Face, folded
from updater.hands.host import read_file, write_file
from updater.heads.dfufile import decode_dfu
from updater.heads.memory import Format, Kind, Wanted, format_memory, format_of, parse_memory
from updater.heads.memoryreport import compared_line, dfu_line, memory_line
from updater.heads.memorywords import dfu_words, difference_words, memory_words, title_of
from updater.heads.policy import OpenedFrom
from updater.story.job import Hands, Request
from updater.story.readout import Readout, read_out
from updater.words.errors import Differs, Usage
from updater.words.facts import Segment

FILE_LIMIT_BYTES = 64 * 1024 * 1024
FIRST_LOOK_BYTES = 1024
"""So much of a flash is shown where nobody said how much; a file gets all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where to keep what is read, and what to compare it with."""

    output: Path | None = None
    compare: Path | None = None
    format: str | None = None


def request_for(device: str | None, as_product: str | None) -> Request:
    """Which device is meant; no release has a part in this."""
    return Request(opened_from=OpenedFrom.CHANNEL, device=device, as_product=as_product)


def read(hands: Hands, face: Face, request: Request, wanted: Wanted, files: Files) -> int:
    """`updater read`: to the screen, to a file, or compared with one. Raises `Differs`."""
    if files.output is not None and files.compare is not None:
        raise Usage("--output and --compare exclude each other", advice="Leave one of them out.")
    if files.compare is not None:
        return _compare(hands, face, request, wanted, files, files.compare)
    if wanted.kind is Kind.FLASH and files.output is None and wanted.length is None:
        wanted = replace(wanted, length=FIRST_LOOK_BYTES)
    found = read_out(hands, request, wanted, face.emit)
    kept = _keep(found, files.output, files.format) if files.output else None
    title = title_of(found.memory, found.product.title, found.chip.title)
    lines = memory_words(found.memory, found.chip.title) if kept is None else [f"They are in {kept}."]
    line = memory_line(found.device, found.chip.id, found.memory, file=str(kept) if kept else None)
    face.line(line, "\n".join([title, *(folded(f"  {text}", indent=4) for text in lines)]))
    return 0


def _keep(found: Readout, path: Path, asked: str | None) -> Path:
    name = f"{found.product.id} {found.memory.kind}"
    write_file(path, format_memory(found.memory, format_of(path.name, asked), name=name))
    return path


def _compare(hands: Hands, face: Face, request: Request, wanted: Wanted, files: Files, path: Path) -> int:
    if wanted.length is not None:
        raise Usage("--compare reads as much as is in the file", advice="Leave out --length.")
    how, data = format_of(path.name, files.format), read_file(path, limit=FILE_LIMIT_BYTES)

    def pieces(start: int) -> Sequence[Segment]:
        address = start if how is Format.BIN and wanted.address is None else wanted.address
        return parse_memory(data, how, address=address, flash_only=False)

    found = read_out(hands, request, wanted, face.emit, file=pieces)
    line = compared_line(found.device, found.chip.id, found.memory, str(path), found.difference)
    if found.difference is not None:
        face.announce(line, [difference_words(found.difference)])
        raise Differs(difference_words(found.difference))
    face.line(line, f"{found.product.title}: all {found.memory.size:,} bytes are those of {path}.")
    return 0


def show_dfu(face: Face, path: Path) -> int:
    """`updater dfu show`: what is in a DfuSe or DFU file. Raises `Usage` for a damaged one."""
    data = read_file(path, limit=FILE_LIMIT_BYTES)
    try:
        file = decode_dfu(data)
    except ValueError as error:
        raise Usage(f"{path} cannot be read: {error}", advice="Get the file again.") from error
    face.line(dfu_line(file), "\n".join(dfu_words(file)))
    return 0
