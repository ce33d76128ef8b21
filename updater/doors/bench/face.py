"""How several devices at once look: a bar for each on the terminal, or JSON lines that name their port."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from updater.doors.terminal import WORDS, Face, JsonFace, folded, sentence
from updater.heads.eta import left_in_words
from updater.heads.otp.report import OtpReceipt
from updater.heads.plan import Plan
from updater.heads.report import Line
from updater.story.lanes import Outcome
from updater.words.errors import NotConfirmed
from updater.words.events import Event, Noticed, Progressed, Step, StepStarted

_FINE = 1_000
"""How many parts a lane's bar has."""


class LanesFace(Protocol):
    """What the conversations of a bench need, beside the `Face` that asks the question."""

    def hear(self, port: str, event: Event) -> None: ...
    def plans(self, plans: Sequence[tuple[str, Plan]]) -> None: ...
    def ended(self, outcome: Outcome, line: Line, label: str | None) -> None: ...
    def tally(self, outcomes: Sequence[Outcome], exit_status: int) -> None: ...


class JsonLanes:
    """Each line as for one device, with its `port`; the last one is the tally."""

    def __init__(self) -> None:
        self._faces: dict[str, JsonFace] = {}

    def hear(self, port: str, event: Event) -> None:
        self._of(port).emit(event)

    def plans(self, plans: Sequence[tuple[str, Plan]]) -> None:
        for port, plan in plans:
            self._of(port).plan(plan)

    def ended(self, outcome: Outcome, line: Line, label: str | None) -> None:  # noqa: ARG002 - in the line
        self._of(outcome.port).line(line, "")

    def tally(self, outcomes: Sequence[Outcome], exit_status: int) -> None:
        boards = [{"port": one.port, "exit": one.exit_status} for one in outcomes]
        JsonFace().line({"type": "tally", "exit": exit_status, "boards": boards}, "")

    def _of(self, port: str) -> JsonFace:
        return self._faces.setdefault(port, JsonFace(port=port))


class TerminalLanes:
    """A bar for each lane; what ended stays on the screen as a line."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._bars: dict[str, _Bar] = {}

    def hear(self, port: str, event: Event) -> None:
        if isinstance(event, Noticed):
            self._write(f"Note: port {port}: {event.text}", sys.stderr)
        else:
            if port not in self._bars:
                taken = {bar.row for bar in self._bars.values()}
                row = next(row for row in range(len(taken) + 1) if row not in taken)
                self._bars[port] = _Bar(port, row)
            self._bars[port].hear(event)

    def plans(self, plans: Sequence[tuple[str, Plan]]) -> None:
        """Every plan once: boards that are alike share one. A question follows, so no bar stays open."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()
        shared: list[tuple[Plan, list[str]]] = []
        for port, plan in plans:
            like = next((ports for one, ports in shared if one == plan), None)
            if like is None:
                shared.append((plan, [port]))
            else:
                like.append(port)
        for plan, ports in shared:
            self._face.say(f"Port{'s' if len(ports) > 1 else ''} {', '.join(ports)}:")
            self._face.plan(plan)

    def ended(self, outcome: Outcome, line: Line, label: str | None) -> None:  # noqa: ARG002 - in words
        bar = self._bars.pop(outcome.port, None)
        if bar is not None:
            bar.close()
        self._write("\n".join(_outcome_words(outcome, label)), sys.stdout)

    def tally(self, outcomes: Sequence[Outcome], exit_status: int) -> None:  # noqa: ARG002 - in words
        failed = sum(1 for one in outcomes if one.exit_status)
        done = len(outcomes) - failed
        self._face.say(f"{_boards(len(outcomes))}: {done} done, {failed} failed.")

    def _write(self, text: str, where: Any) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=where)
        where.flush()


class _Bar:
    """One lane's bar. It fills with the time that has passed of the time that was foretold."""

    def __init__(self, port: str, row: int) -> None:
        from tqdm import tqdm

        self.row = row
        self._port, self._longest_ms, self._filled = port, 0, 0
        self._bar = tqdm(
            total=_FINE, position=row, leave=False, file=sys.stderr, disable=None,
            bar_format="{desc} {bar:24} {percentage:3.0f} %{postfix}",
        )  # fmt: skip

    def hear(self, event: Event) -> None:
        takes_turns = isinstance(event, StepStarted) and event.step in (Step.WRITE, Step.VERIFY)
        if isinstance(event, (StepStarted, Progressed)) and not takes_turns:
            self._bar.set_description_str(f"  {self._port:<8} {WORDS[event.step]:<24}")
        if isinstance(event, Progressed) and event.remaining_ms is not None:
            self._longest_ms = max(self._longest_ms, event.remaining_ms)
            filled = _FINE - _FINE * event.remaining_ms // max(self._longest_ms, 1)
            self._bar.set_postfix_str(left_in_words(event.remaining_ms), refresh=False)
            self._bar.update(max(filled - self._filled, 0))
            self._filled = max(filled, self._filled)

    def close(self) -> None:
        self._bar.close()


def lanes_face(face: Face) -> LanesFace:
    """The one that fits: for programs, or for people."""
    return JsonLanes() if isinstance(face, JsonFace) else TerminalLanes(face)


def _boards(count: int) -> str:
    return f"{count} device{'s' if count != 1 else ''}"


def _outcome_words(outcome: Outcome, label: str | None) -> Iterable[str]:
    receipt, error = outcome.receipt, outcome.error
    if error is not None:
        half = f"version {receipt.to_version} is written, its values are not: " if receipt else ""
        said = sentence(f"{half}{error.message}")
        yield folded(f"{outcome.port:<8} FAILED  {outcome.device.name}: {said}", indent=16)
        if outcome.issue is not None and outcome.issue.row is not None:
            kept = f"Row {outcome.issue.row} of {outcome.issue.table} stays this board's."
            yield folded(f"{'':<16}{kept}", indent=16)
        yield folded(f"{'':<16}What to do: {error.advice}", indent=16)
    elif receipt is not None:
        done = [one for one in (receipt, outcome.otp) if one is not None]
        name, seconds = receipt.device.name, sum(ms for one in done for _, ms in one.steps) / 1000
        said = {
            "confirmed": f"done    {name} runs version {receipt.to_version}, was "
            f"{receipt.from_version or 'unknown'} ({seconds:.1f} s, {receipt.clock} time)",
            "nothing-to-do": f"done    {name} already has version {receipt.to_version}",
            "dry-run": f"dry run {name} was not changed",
            "written-not-confirmed": f"FAILED  {name} was written and verified, but it did not come back "
            f"with version {receipt.to_version}",
        }[receipt.result]
        yield folded(f"{outcome.port:<8} {said}", indent=16)
        if outcome.otp is not None:
            yield folded(f"{'':<16}{_otp_words(outcome.otp)}", indent=16)
        if outcome.exit_status == NotConfirmed.exit_status:
            yield folded(f"{'':<16}What to do: {NotConfirmed.advice}", indent=16)
    for line in (label or "").splitlines():
        yield f"{'':<9}| {line}"


def _otp_words(otp: OtpReceipt) -> str:
    issue = otp.issue
    which = f"row {issue.row} of {issue.table}" if issue and issue.row is not None else "its values"
    return {
        "written": f"{which}: {otp.wrote_bytes} bytes burnt and read back",
        "nothing-to-do": f"{which}: was burnt already, and read back",
        "dry-run": f"{which}: not burnt",
        "written-not-confirmed": f"{which}: burnt and read back, but the application did not come back",
    }[otp.result]
