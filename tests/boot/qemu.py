"""An STM32F405 in QEMU: boots a flash image and talks to its USART1.

netduinoplus2 is QEMU's board with that chip. It models the core, the flash at 0x08000000, the RAM and the
USARTs; it has no ROM, no USB device controller and no RCC.
"""

from __future__ import annotations

import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

FLASH_BASE = 0x08000000


class NoLineError(Exception):
    """The machine stopped, or the deadline passed, before a line was complete."""


def loader(image: Path, address: int) -> list[str]:
    """Options that put a file into the machine's memory; raw, whatever its first bytes look like."""
    path = str(image).replace(",", ",,")  # QEMU's way to write a comma inside an option's value
    return ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]


class Machine:
    """A running machine; leaving the context ends it."""

    def __init__(self, flash: Path, extra: Sequence[str] = ()) -> None:
        # USART1 alone on stdio: with QEMU's monitor there too, its text could be taken for the firmware's.
        fixed = ["-M", "netduinoplus2", "-display", "none", "-monitor", "none", "-serial", "stdio"]
        # Apart from the firmware's lines: here QEMU itself speaks, for example about a locked-up core.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the machine runs
        self._process = subprocess.Popen(
            ["qemu-system-arm", *fixed, *loader(flash, FLASH_BASE), *extra],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._keyboard = self._process.stdin
        self._screen = self._process.stdout
        self._pending = b""

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._keyboard.close()
        self._screen.close()
        self._complaints.close()

    def send(self, data: bytes) -> None:
        """Type on the serial line."""
        self._keyboard.write(data)

    def read_line(self, deadline_s: float = 30) -> str:
        """The next line that the firmware writes, without its line end."""
        end = time.monotonic() + deadline_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._screen, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise NoLineError(f"no line within {deadline_s} s; so far: {self._pending!r}")
                self._receive()
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode("ascii", "backslashreplace").rstrip("\r")

    def _receive(self) -> None:
        chunk = self._screen.read(4096)
        if not chunk:
            self._process.wait()
            self._complaints.seek(0)
            first = self._complaints.readline().decode("utf-8", "replace").strip()
            raise NoLineError(f"QEMU ended ({first or 'without a word'}); so far: {self._pending!r}")
        self._pending += chunk


def boot_and_read_line(flash: Path, deadline_s: float = 30) -> str:
    """Boot a raw image of an STM32F405's flash and return the first line it prints on USART1."""
    with Machine(flash) as machine:
        return machine.read_line(deadline_s)
