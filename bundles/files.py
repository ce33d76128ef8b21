"""Files of the release side: read or refused in words, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from updater.words.errors import NotTrusted, StorageFailed, Usage


def read_file(file: Path) -> bytes:
    """A file's bytes. Raises Usage when it does not exist, StorageFailed when it cannot be read."""
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise Usage(f"{file} does not exist", advice="Check the path.") from error
    except IsADirectoryError as error:
        raise Usage(f"{file} is a folder", advice="Name the file in it.") from error
    except OSError as error:
        raise StorageFailed(f"{file} cannot be read: {error.strerror or error}") from error


def write_draft(file: Path, data: bytes, signed_by: Callable[[bytes], object]) -> None:
    """Write what nobody has signed, but never over what people have; `signed_by` tells of a file's bytes.

    Raises Usage, StorageFailed, and passes on nothing that `signed_by` says of a file of another kind.
    """
    with suppress(FileNotFoundError, NotTrusted):
        if signed_by(file.read_bytes()):
            raise Usage(f"{file} exists and is signed", advice="Choose another name, or delete it first.")
    write_file(file, data)


def write_file(file: Path, data: bytes) -> None:
    """Write a file by replacement, so that nobody ever reads half of it. Raises StorageFailed."""
    half = file.with_name(file.name + ".part")
    try:
        half.write_bytes(data)
        os.replace(half, file)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise StorageFailed(f"{file} cannot be written: {error.strerror or error}") from error
