"""`python -m tests.fuzz [TARGET ...] [--seconds N] [--jobs N] [--keep]`: atheris on every parser.

Needs `pip install -e '.[fuzz]'` (Linux and macOS). Each target runs in a process of its own, for its seconds
and no longer. The kept corpus is only read unless `--keep` says otherwise. The input of a finding is printed
in base64 and left in a temporary folder, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
SECONDS = 60
LONGEST_INPUT_S = 10
"""One input that takes longer is a finding."""
MOST_MEMORY_MB = 1_024
GRACE_S = 60
"""For imports, the corpus and the last input, beyond a target's own seconds."""
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """One target's run: how many inputs were tried, how many were of a new kind, and what was found."""

    name: str
    seconds: int
    runs: int
    new: int
    said: str

    def __str__(self) -> str:
        return f"{self.name}: {self.runs:,} runs in {self.seconds} s, {self.new} inputs of a new kind"


def fuzz(name: str, seconds: int, *, keep: bool) -> Fuzzed:
    """Fuzz one target. `said` is what libFuzzer said if it found something, else nothing."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
        findings = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        options = (
            f"-max_total_time={seconds}",
            f"-timeout={LONGEST_INPUT_S}",
            f"-rss_limit_mb={MOST_MEMORY_MB}",
            f"-max_len={LARGEST_BYTES.get(name, 4_096)}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
        )
        wrong, said = _libfuzzer([name, *options, found, str(CORPUS / name)], seconds + GRACE_S)
        runs = _EXECUTED.search(said)
        new = sorted(Path(found).iterdir(), key=lambda path: path.stat().st_size)
        if keep:
            for path in new[:MOST_KEPT]:
                shutil.copy(path, CORPUS / name)
    if wrong:
        inputs = [f"{path}: {base64.b64encode(path.read_bytes()).decode()}" for path in findings.iterdir()]
        wrong = "\n".join([said[-2000:], wrong, *inputs])
    else:
        shutil.rmtree(findings)
    return Fuzzed(name=name, seconds=seconds, runs=int(runs[1]) if runs else 0, new=len(new), said=wrong)


def _libfuzzer(arguments: Sequence[str], deadline_s: int) -> tuple[str, str]:
    """What went wrong, if anything, and what libFuzzer said."""
    command = [sys.executable, "-m", "tests.fuzz.one", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=deadline_s
        )
    except subprocess.TimeoutExpired as error:
        said = error.stderr.decode("utf-8", "replace") if isinstance(error.stderr, bytes) else ""
        return f"not done after {deadline_s} s", said
    wrong = f"exit status {done.returncode}\n{done.stdout[-2000:]}" if done.returncode else ""
    return wrong, done.stderr


def fuzz_all(
    names: Iterable[str], seconds: int, *, jobs: int, keep: bool, told: Callable[[str], None]
) -> list[Fuzzed]:
    """Fuzz these targets, so many at a time; each is told when it is done, and the totals at the end."""
    with ThreadPoolExecutor(jobs) as pool:
        done = []
        for one in pool.map(lambda name: fuzz(name, seconds, keep=keep), names):
            told(f"{one}\n{one.said}" if one.said else str(one))
            done.append(one)
    findings = sum(bool(one.said) for one in done)
    told(f"{sum(one.runs for one in done):,} runs of {len(done)} targets in all, {findings} findings")
    return done


def main() -> int:
    """Answers the exit status."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument(
        "--keep", action="store_true", help="add the smallest of what was found to the corpus"
    )
    args = parser.parse_args()
    done = fuzz_all(
        args.targets or TARGETS,
        args.seconds,
        jobs=args.jobs,
        keep=args.keep,
        told=lambda line: print(line, flush=True),
    )
    return 1 if any(one.said for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
