"""`python -m tests.fuzz [TARGET ...] [--seconds N] [--keep]`: atheris on every parser, with a kept corpus.

Needs `pip install atheris` (Linux and macOS). Each target runs in a process of its own. A finding is left in
the working folder as `crash-…`, as libFuzzer does it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LARGEST_BYTES = {
    "container": 16_384,
    "manifest": 8_192,
    "catalogue": 8_192,
    "envelope": 8_192,
    "link": 256,
    "layout": 512,
}
MOST_KEPT = 40
"""New inputs of one run, the smallest."""
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def fuzz(name: str, seconds: int, *, keep: bool) -> tuple[int, int, str]:
    """Runs, inputs that were new, and what libFuzzer said if it found something (else nothing)."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
        done = _libfuzzer(name, f"-max_total_time={seconds}", "-print_final_stats=1", found, CORPUS / name)
        runs = _EXECUTED.search(done.stderr)
        new = len(list(Path(found).iterdir()))
        if keep:
            for path in sorted(Path(found).iterdir(), key=lambda path: path.stat().st_size)[:MOST_KEPT]:
                shutil.copy(path, CORPUS / name)
    return int(runs[1]) if runs else 0, new, "" if done.returncode == 0 else done.stderr[-3000:]


def _libfuzzer(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    largest = f"-max_len={LARGEST_BYTES.get(name, 4_096)}"
    command = [sys.executable, "-m", "tests.fuzz.one", name, largest, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def main() -> int:
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--keep", action="store_true", help="add the smallest of what was found to the corpus"
    )
    args = parser.parse_args()
    total, findings = 0, 0
    for name in args.targets or TARGETS:
        runs, new, said = fuzz(name, args.seconds, keep=args.keep)
        total += runs
        findings += bool(said)
        print(f"{name}: {runs:,} runs in {args.seconds} s, {new} inputs of a new kind", flush=True)
        if said:
            print(said)
    print(f"{total:,} runs in all, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
