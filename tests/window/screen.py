"""A screen without a computer in front of it: Xvfb, and pictures of what is on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.tools import need, unavailable

SIZE = "1600x1400x24"


@contextmanager
def screen(dots_per_inch: int = 96) -> Iterator[str]:
    """A virtual screen; yields its DISPLAY, which is set in here."""
    need("Xvfb", "import", "xdotool")
    if find_spec("tkinter") is None or find_spec("_tkinter") is None:
        unavailable("this Python has no tkinter; Debian: apt install python3-tk")
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", SIZE, "-dpi", str(dots_per_inch),
         "-nolisten", "tcp"],
        pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        os.close(writing)
        before = os.environ.get("DISPLAY")
        try:
            with os.fdopen(reading) as told:
                number = told.readline().strip()
            assert number, "Xvfb did not start"
            os.environ["DISPLAY"] = f":{number}"
            yield os.environ["DISPLAY"]
        finally:
            server.terminate()
            if before is None:
                os.environ.pop("DISPLAY", None)
            else:
                os.environ["DISPLAY"] = before


def picture(window_id: int, path: Path) -> None:
    """The window as a PNG, without dates in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["import", "-silent", "-window", str(window_id), "-strip", "+dither", "-colors", "128",
         "-define", "png:exclude-chunks=date,time", str(path)],
        check=True, timeout=30,
    )  # fmt: skip
