"""Real file systems that are small, read-only or full, mounted for one test. Needs Linux and its root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WHY_NOT = "mounting a file system needs Linux and its root account"


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{WHY_NOT}: {done.stderr.strip()}")


class Disk:
    """A little memory disk. Nobody's permission bits matter to root, but these limits do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._filler, self._covers = folder, folder / "filler", 0

    def read_only(self) -> None:
        """As a stick with its switch set: the same files, in a mount on top that takes no more of them.

        The disk itself cannot be made so while the updater holds its lock file open.
        """
        _mount("-o", "bind,ro", str(self.folder), str(self.folder))
        self._covers += 1

    def writable_again(self) -> None:
        for _ in range(self._covers):
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self._covers = 0

    def fill(self) -> None:
        """Somebody else needs all of it."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    def repair(self) -> None:
        """Room again, and writable."""
        self.writable_again()
        self.make_room()


@contextmanager
def memory_disk(folder: Path, *, kib: int) -> Iterator[Disk]:
    """Mounted at `folder`; the test is skipped where that cannot be."""
    if not sys.platform.startswith("linux"):
        pytest.skip(WHY_NOT)
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={kib}k,mode=0755", "tmpfs", str(folder))
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.writable_again()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
