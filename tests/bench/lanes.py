"""What a bench of boards takes beside one board: `install --all` on 1, 4, 8 and 16, in real time.

Every board is an F405 of its own with the same image, and every lane takes the time of the silicon and of
the USB model; what is measured is what the lanes cost each other.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.desk import FLASH, desk_in, program

KIB = 1024


def lanes_table(*, counts: Sequence[int], kib: int) -> None:
    """Print the time of each bench and its ratio to the time of one board."""
    places = ((FLASH, kib * KIB),)
    alone_s = None
    print(f"F405, {kib} KiB each; every byte is read back and compared")
    print(f"{'boards':>6} {'s':>8} {'of one board':>13}")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, desk_in(Path(folder)) as desk:
            desk.sells("stm32f405", flash_kib=1024)
            for number in range(1, count + 1):
                desk.plug_in_gizmo(
                    "stm32f405", program("1.0.0", *places), name=f"board{number}", port=f"1-{number}"
                )
            bundle = desk.bundle(program("1.1.0", *places))
            began_s = time.monotonic()
            said = desk.updater("--real-time", "1", "install", bundle, "--all", "--yes")
            took_s = time.monotonic() - began_s
            assert said.exit == 0, said.err
        alone_s = alone_s or took_s
        print(f"{count:>6} {took_s:>8.1f} {took_s / alone_s:>13.2f}")
        sys.stdout.flush()
