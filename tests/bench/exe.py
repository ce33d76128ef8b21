"""How large the executables are, how fast they start, and whether two builds are the same to the bit."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bundles.demo.make import make_demo
from tests.exe.build import Built, Executable, build
from tests.window.screen import screen
from updater.heads.vendor import Kind

RUNS = 11


def exe_table(*, once: bool) -> None:
    """Build a product's programs (twice, unless `once`) and the demo's, and print what came out."""
    with tempfile.TemporaryDirectory(prefix="bench-exe-") as name, screen():
        folder = Path(name)
        vendor = make_demo(
            folder / "maker", kind=Kind.PRODUCT, url="https://updates.example.com/", now=datetime.now(UTC)
        )
        product = _built(folder / "product", "Updater", "updater-cli", vendor.folder / "vendor")
        _show("product", product)
        if not once:
            again = _built(folder / "again", "Updater", "updater-cli", vendor.folder / "vendor")
            same = _fingerprint(product) == _fingerprint(again)
            print(f"two builds, {len(_fingerprint(product))} files: {'identical' if same else 'DIFFERENT'}")
        _show("demo", _built(folder / "demo", "Updater-Demo", "updater-demo-cli", None))


def _built(folder: Path, window: str, console: str, vendor: Path | None) -> Built:
    folder.mkdir()
    started = time.perf_counter()
    built = build(folder, window, console, vendor)
    print(f"{folder.name}: all four programs were built in {time.perf_counter() - started:.0f} s")
    return built


def _show(name: str, built: Built) -> None:
    for program, what in (
        (built.window, "window, one file"),
        (built.window_in_folder, "window, in the folder"),
        (built.console, "console, one file"),
        (built.console_in_folder, "console, in the folder"),
    ):
        size = program.path.stat().st_size
        if program in (built.console_in_folder, built.window_in_folder):
            files = sum(1 for one in program.path.parent.rglob("*") if one.is_file())
            size = sum(one.stat().st_size for one in program.path.parent.rglob("*") if one.is_file())
            carried = f"{files} files"
        else:
            carried = f"{_unpacked(program)} files unpacked at each start"
        print(f"{name} {what}: {size:,} bytes, {carried}")
        for arguments in (("--version",), ("devices",)):
            times = _start_times(program, arguments)
            print(
                f"    first line of {arguments[0]}: median {statistics.median(times):.3f} s, "
                f"best {min(times):.3f} s, worst {max(times):.3f} s of {RUNS} warm runs"
            )
        if program in (built.window, built.window_in_folder):
            seen = [_until_seen(program) for _ in range(RUNS + 1)][1:]
            times, busy = [one[0] for one in seen], [one[1] for one in seen]
            print(
                f"    window on the screen: median {statistics.median(times):.3f} s, "
                f"best {min(times):.3f} s, worst {max(times):.3f} s of {RUNS} warm runs; processor "
                f"time until then at least {min(busy):.2f} s; load {os.getloadavg()[0]:.1f}"
            )


def _unpacked(program: Executable) -> int:
    """The files that a one-file program writes into its temporary folder (PyInstaller's types b, Z, x)."""
    from PyInstaller.archive.readers import CArchiveReader

    toc = CArchiveReader(str(program.path)).toc
    return sum(1 for entry in toc.values() if entry[4] in ("b", "x", "Z"))


def _start_times(program: Executable, arguments: tuple[str, ...]) -> list[float]:
    """Seconds from starting the program until its first line came."""
    program.home.mkdir(exist_ok=True)
    times = []
    for run in range(RUNS + 1):
        started = time.perf_counter()
        with subprocess.Popen(
            [str(program.path), *arguments],
            env={"HOME": str(program.home), "PATH": os.defpath, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline(), "it said nothing"
            if run:  # the first warms the caches
                times.append(time.perf_counter() - started)
            process.stdout.read()
    return times


def _until_seen(program: Executable) -> tuple[float, float]:
    """Seconds from starting the program until X shows its window, and the processor's seconds for that."""
    search = ("xdotool", "search", "--onlyvisible", "--name", "Demo Instruments")
    environment = {"HOME": str(program.home), "PATH": os.defpath, "LANG": "C.UTF-8"}
    started = time.perf_counter()
    with subprocess.Popen(
        [str(program.path)],
        env={**environment, "DISPLAY": os.environ["DISPLAY"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not subprocess.run(search, capture_output=True).stdout:
            assert process.poll() is None, "it ended"
        seen = time.perf_counter() - started, _processor_time(process.pid)
        process.terminate()
    return seen


def _processor_time(pid: int) -> float:
    """Of this process and its children, in seconds (proc(5): utime, stime, cutime, cstime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_processor_time(int(child)) for child in children)


def _fingerprint(built: Built) -> dict[str, str]:
    dist = built.console.path.parent
    return {
        path.relative_to(dist).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dist.rglob("*"))
        if path.is_file()
    }
