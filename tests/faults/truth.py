"""The oracle: what may be true after a command that something stopped, whatever stopped it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.desk import KILLED, Ran, State
from tests.faults.job import STEPS, Job, Work
from updater.heads.plan import Plan
from updater.heads.planwords import describe
from updater.lab.record import BoardState
from updater.words.errors import DeviceIs
from updater.words.facts import Mode

NOTHING_ERASED = {3, 4, 8}
"""Exit statuses that promise that no byte of the flash was changed; others than these, 0, 9 and 10 are wrong
here: nothing is protected, refused, untrusted, or full."""


def found_wrong(job: Job, before: State, ran: Ran, plan: Plan | None = None) -> list[str]:
    """Everything that is not as it was promised. `plan` is the last one that was shown, for a command that
    did not come so far."""
    plan = ran.said.plan or plan
    if ran.said.exit == KILLED:  # it cannot say anything any more
        return list(_flash(job, before, ran))
    return [*_flash(job, before, ran), *_exit(job, before, ran), *_words(job, before, ran, plan)]


def _flash(job: Job, before: State, ran: Ran) -> Iterator[str]:
    if ran.mixtures:
        yield "a mixture of old and new could start"
    for violation in ran.violations:
        yield f"the ROM was sent {violation}"
    if not job.erases_all:
        yield from _neighbours(job, before.silicon.contents, ran.state.silicon.contents)


def _neighbours(job: Job, before: bytes, after: bytes) -> Iterator[str]:
    """What lies between the sectors of the image belongs to somebody else."""
    base, at = job.row.sectors[0].address, 0
    for sector in job.sectors:
        start, end = sector.address - base, sector.end - base
        if before[at:start] != after[at:start]:
            yield f"flash before 0x{sector.address:08X} was changed, which the plan does not name"
        at = end
    if before[at:] != after[at:]:
        yield "flash behind the image was changed, which the plan does not name"


def _exit(job: Job, before: State, ran: Ran) -> Iterator[str]:
    said, flash = ran.said, ran.state.silicon.contents
    complete = flash == job.after
    match said.exit:
        case 0:
            if not complete or ran.state.board.state is not BoardState.APPLICATION:
                yield f"exit 0, but the board is not complete ({ran.state.board.state})"
        case 9:
            if said.plan is None:
                yield "exit 9 without a plan"
        case 10:
            if not complete:
                yield "exit 10, but not everything was written"
        case status if status in NOTHING_ERASED:
            if flash != before.silicon.contents:
                yield f"exit {status}, but the flash was changed"
        case status:
            yield f"exit {status}: {said.error!r}"


def _words(job: Job, before: State, ran: Ran, plan: Plan | None) -> Iterator[str]:
    """Whether what is said of the device is true, and whether what to do is what the plan had said."""
    error, receipt = ran.said.error, ran.said.receipt
    if error is not None:
        if not error.advice or not error.message:
            yield "an error without a message or an advice"
        if why := _wrong_about_device(before, ran, error.device_is):
            yield why
    if receipt is not None and ran.said.exit == 10:
        in_rom = ran.is_present and ran.state.board.state is BoardState.ROM
        if (receipt.device.mode is Mode.ROM) != in_rom:
            yield f"the receipt says {receipt.device.mode}, the board is {ran.state.board.state}"
    if ran.state.board.state is BoardState.LOCKED_UP:
        yield from _way_back(job, ran, plan)


def _wrong_about_device(before: State, ran: Ran, device_is: DeviceIs) -> str | None:
    """Against what the board is; "untouched" is said of its memory, also of a board that is gone."""
    state, flash = ran.board.state, ran.state.silicon.contents
    is_old, runs = flash == before.silicon.contents, state is BoardState.APPLICATION
    true = {
        DeviceIs.UNTOUCHED: is_old,
        DeviceIs.IN_BOOTLOADER: ran.is_present and state is BoardState.ROM,
        DeviceIs.RUNS_OLD: ran.is_present and runs and is_old,
        DeviceIs.RUNS_NEW: ran.is_present and runs,
        DeviceIs.UNKNOWN: True,
    }[device_is]
    return None if true else f"the error says {device_is}, the board is {state}, present: {ran.is_present}"


def _way_back(job: Job, ran: Ran, plan: Plan | None) -> Iterator[str]:
    """It shows nothing on USB: the plan must have said so, and the error must say what to do.

    Until a plan was shown nothing was promised: a board that was never programmed is as it came then.
    """
    error, flash = ran.said.error, ran.state.silicon.contents
    if plan is None:
        if job.work is not Work.FIRST_INSTALL or flash != job.before:
            yield f"the board starts nothing any more, and there was no plan ({error!r})"
    elif error is None or STEPS not in error.advice:
        yield f"the board starts nothing any more, and the words do not name its BOOT button ({error!r})"
    elif not any(STEPS in line for line in describe(plan)):
        yield "the board starts nothing any more, and the plan had not said so"
