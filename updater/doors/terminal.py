"""How it looks: one listener for people (lines and bars on stderr), one for programs (JSON lines on stdout).

Both are folds over the same events. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterable
from typing import Any, Protocol, TextIO

from updater.heads.devicewords import IDENTITY_WORDS, device_rows
from updater.heads.eta import left_in_words
from updater.heads.manifest import Bundle
from updater.heads.plan import Plan
from updater.heads.planwords import describe
from updater.heads.policy import TypedConfirmation
from updater.heads.report import (
    Line,
    Receipt,
    bundle_line,
    device_line,
    error_line,
    plan_line,
    progress_line,
    receipt_line,
)
from updater.words.errors import Cancelled, UpdaterError
from updater.words.events import Event, Noticed, Progressed, Step, StepDone, StepStarted
from updater.words.facts import DeviceFacts

WORDS = {
    Step.DOWNLOAD: "downloading the update",
    Step.CHECK: "checking its signatures",
    Step.ENTER: "entering the bootloader",
    Step.READ: "reading what is there",
    Step.ERASE: "erasing",
    Step.WRITE: "writing",
    Step.VERIFY: "reading back",
    Step.LEAVE: "starting the application",
    Step.CONFIRM: "waiting for the device",
}
_TOGETHER = (Step.ERASE, Step.WRITE, Step.VERIFY)


class Face(Protocol):
    """What a conversation needs of whoever listens and answers."""

    def emit(self, event: Event) -> None: ...
    def devices(self, found: Iterable[DeviceFacts], *, explain: bool) -> None: ...
    def bundle(self, bundle: Bundle) -> None: ...
    def plan(self, plan: Plan) -> None: ...
    def say(self, text: str) -> None: ...
    def line(self, line: Line, text: str) -> None: ...
    def announce(self, line: Line, text: Iterable[str]) -> None: ...
    def receipt(self, receipt: Receipt, kept_at: str | None) -> None: ...
    def error(self, error: UpdaterError) -> None: ...
    def confirm(self, question: str, *, yes: bool = False) -> None: ...
    def typed(self, wanted: TypedConfirmation) -> None: ...


class _Answers:
    """Talking with a person on the terminal, who may have sent stdout elsewhere: all of it goes to stderr."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def confirm(self, question: str, *, yes: bool = False) -> None:
        """The one question; `yes` was said before. End of file is a no. Raises `Cancelled` for a no."""
        if yes:
            self.say(f"{question} yes")
        elif _read_line(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Cancelled("the question was not answered with yes")

    def typed(self, wanted: TypedConfirmation) -> None:
        """A confirmation that must be typed. Raises `Cancelled` for anything else."""
        print(f"Careful: {wanted.because}.", file=sys.stderr)
        if _read_line(f"Type {wanted.text} to go on: ").strip() != wanted.text:
            raise Cancelled("the confirmation was not typed")


def _read_line(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    try:
        answer = sys.stdin.readline() if sys.stdin else ""
    except (OSError, ValueError):  # not text, closed, or a terminal that has gone: not a yes
        answer = ""
    if not answer.endswith("\n"):  # the input has ended: what comes next begins its own line
        print(file=sys.stderr)
    return answer


class JsonFace(_Answers):
    """JSON lines for programs, by the contract in `docs/json.md`. `port`: of which of several devices."""

    def __init__(self, out: TextIO | None = None, *, port: str | None = None) -> None:
        self._out, self._port = out or sys.stdout, port
        self._totals: dict[Step, int | None] = {}
        self._remaining_ms: int | None = None

    def emit(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._totals[event.step] = event.total
            self._write(progress_line(Progressed(event.step, 0, self._remaining_ms), event.total))
        elif isinstance(event, Progressed):
            self._remaining_ms = event.remaining_ms
            self._write(progress_line(event, self._totals.get(event.step)))
        elif isinstance(event, Noticed):
            where = f"port {self._port}: " if self._port else ""
            self.say(f"Note: {where}{event.text}")

    def devices(self, found: Iterable[DeviceFacts], *, explain: bool) -> None:  # noqa: ARG002 - the sources are always in
        for facts in found:
            self._write(device_line(facts))

    def bundle(self, bundle: Bundle) -> None:
        self._write(
            bundle_line(
                bundle.manifest,
                signed_by=bundle.signed_by,
                threshold=bundle.threshold,
                root_version=bundle.root_version,
                manifest_sha256=bundle.manifest_sha256,
            )
        )

    def plan(self, plan: Plan) -> None:
        self._write(plan_line(plan))

    def line(self, line: Line, text: str) -> None:  # noqa: ARG002 - the same in words
        self._write(line)

    def announce(self, line: Line, text: Iterable[str]) -> None:  # noqa: ARG002 - the same in words
        self._write(line)

    def receipt(self, receipt: Receipt, kept_at: str | None) -> None:  # noqa: ARG002 - for people
        self._write(receipt_line(receipt))

    def error(self, error: UpdaterError) -> None:
        self._write(error_line(error))

    def _write(self, line: Line) -> None:
        if self._port is not None:
            line = {**line, "port": self._port}
        print(json.dumps(line), file=self._out, flush=True)


class TerminalFace(_Answers):
    """Plain words and progress bars for people."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._totals: dict[Step, int] = {}
        self._done: dict[Step, int] = {}
        self._ms: dict[Step, int] = {}
        self._closed = threading.Event()
        self._remaining = _Remaining()

    def emit(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self.say(f"Note: {event.text}")
        elif isinstance(event, StepStarted):
            self._started(event)
        elif isinstance(event, Progressed):
            self._moved(event)
        else:
            self._finished(event)

    def _started(self, event: StepStarted) -> None:
        self._totals[event.step], self._done[event.step] = event.total or 0, 0
        if event.step in _TOGETHER and self._bar is not None:
            self._bar.total += event.total or 0
            self._bar.refresh()
            return
        self._close_bar()
        from tqdm import tqdm

        self._bar = tqdm(
            total=event.total,
            desc=f"  {WORDS[event.step]:<24}",
            unit="B",
            unit_scale=True,
            leave=False,
            file=sys.stderr,
            disable=None,
            bar_format="{desc} {bar:24} {percentage:3.0f} % {elapsed}{postfix}"
            if event.total
            else "{desc} {elapsed}{postfix}",
        )

        if not self._bar.disable:
            self._closed = threading.Event()
            threading.Thread(
                target=_tick, args=(self._bar, self._remaining, self._closed), daemon=True
            ).start()

    def _moved(self, event: Progressed) -> None:
        more, self._done[event.step] = event.done - self._done[event.step], event.done
        self._remaining.ms = event.remaining_ms
        if self._bar is not None:
            self._bar.set_postfix_str(self._remaining.words(), refresh=False)
            self._bar.set_description_str(f"  {WORDS[event.step]:<24}", refresh=not more)
            self._bar.update(more)

    def _finished(self, event: StepDone) -> None:
        self._ms[event.step] = event.ms
        if self._totals.keys() - self._ms.keys():  # others that were opened with it are still at work
            return
        self._close_bar()
        for step, ms in self._ms.items():
            self.say(step_words(step, self._totals.pop(step), ms))
        self._ms.clear()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._closed.set()
            self._bar.close()
            self._bar = None

    def devices(self, found: Iterable[DeviceFacts], *, explain: bool) -> None:
        blocks = []
        for facts in found:
            rows = device_rows(facts, explain=explain)
            blocks.append([facts.name, *(folded(f"  {name:<11} {text}", indent=14) for name, text in rows)])
        print("\n\n".join("\n".join(block) for block in blocks), flush=True)

    def bundle(self, bundle: Bundle) -> None:
        print("\n".join(_bundle_words(bundle)), flush=True)

    def plan(self, plan: Plan) -> None:
        self._say_plan(describe(plan))

    def announce(self, line: Line, text: Iterable[str]) -> None:  # noqa: ARG002 - the same for programs
        self._say_plan(text)

    def _say_plan(self, lines: Iterable[str]) -> None:
        self.say("\n".join(["The plan:", *(folded(f"  {line}", indent=12) for line in lines)]))

    def line(self, line: Line, text: str) -> None:  # noqa: ARG002 - the same for programs
        print(text, flush=True)

    def receipt(self, receipt: Receipt, kept_at: str | None) -> None:
        print("\n".join(receipt_words(receipt)), flush=True)
        if kept_at:
            self.say(f"The receipt was kept as {kept_at}")

    def error(self, error: UpdaterError) -> None:
        self._close_bar()
        self.say(folded(f"Error: {sentence(error.message)}", indent=7))
        self.say(folded(f"What to do: {error.advice}", indent=12))


class _Remaining:
    """How long it will still take: as it was said last, and a second less with every second."""

    def __init__(self) -> None:
        self.ms: int | None = None

    def words(self) -> str:
        return "" if self.ms is None else left_in_words(self.ms)


def _tick(bar: Any, remaining: _Remaining, closed: threading.Event) -> None:
    """Redraw the times each second: a sector can take four without a byte moving."""
    while not closed.wait(1):
        if remaining.ms is not None:
            remaining.ms = max(remaining.ms - 1000, 0)
        bar.set_postfix_str(remaining.words())


def step_words(step: Step, total: int | None, ms: int) -> str:
    """The line that is left of a step when it is done."""
    size = f"{total:,} bytes" if total else ""
    return f"  {WORDS[step]:<24} {size:>16}  {ms / 1000:6.1f} s"


def sentence(text: str) -> str:
    """The message as a sentence. It may quote a file that nobody signed: nothing that steers a terminal."""
    text = "".join(char if char.isprintable() else " " for char in text)
    first = text.split(" ", 1)[0]
    if "." not in first and "/" not in first:  # a file's name stays as it is
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def folded(text: str, *, indent: int) -> str:
    """The text in lines that fit the screen, at most 100 columns; a pipe counts as 100."""
    folded = textwrap.wrap(
        text,
        min(100, shutil.get_terminal_size((100, 24)).columns),
        subsequent_indent=" " * indent,
        drop_whitespace=True,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(folded)


def _bundle_words(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    lines = [
        f"{manifest.product} {manifest.version} is genuine.",
        f"  signed by    {', '.join(bundle.signed_by)} ({bundle.threshold} needed)",
        f"  root         version {bundle.root_version}",
        f"  for          hardware {', '.join(manifest.hardware)}; channels {', '.join(manifest.channels)}",
        f"  made         {manifest.created}, security counter {manifest.security_counter}",
        f"  manifest     SHA-256 {bundle.manifest_sha256}",
    ]
    for image in manifest.images:
        for part in image.segments:
            lines.append(f"  image        {image.name}: {part.length:,} bytes at 0x{part.address:08X}")
    if manifest.otp is not None:
        lines.append(f"  OTP layout   {manifest.otp.length:,} bytes, SHA-256 {manifest.otp.sha256}")
    if bundle.root_expired:
        lines.append("  note         the trust information has expired by this computer's date")
    return lines


def _written_words(receipt: Receipt) -> str:
    if not receipt.erased_sectors:
        return "nothing: the device already held every byte"
    sectors = f"{receipt.erased_sectors} sector{'s' if receipt.erased_sectors != 1 else ''}"
    return f"{receipt.wrote_bytes:,} bytes in {sectors}, every byte read back and compared"


def receipt_words(receipt: Receipt) -> list[str]:
    """What a person reads at the end."""
    name = receipt.device.name
    if receipt.result == "nothing-to-do":
        return [f"Nothing to do: {name} already has version {receipt.to_version}."]
    if receipt.result == "dry-run":
        return ["This was a dry run; nothing was changed."]
    if receipt.result == "confirmed":
        first = f"Done. {name} runs version {receipt.device.version}."
    else:
        first = (
            f"{name} was written and verified, but it did not come back with version {receipt.to_version}."
        )
    was = receipt.from_version or "unknown"
    return [
        first,
        f"  version      {was} -> {receipt.to_version}",
        f"  identity     {IDENTITY_WORDS[receipt.identity]}",
        f"  written      {_written_words(receipt)}",
        f"  signed by    {', '.join(receipt.signed_by)} (manifest {receipt.manifest_sha256[:16]}...)",
        f"  took         {sum(ms for _, ms in receipt.steps) / 1000:.1f} s ({receipt.clock} time), "
        f"{receipt.control_transfers:,} control transfers",
    ]
