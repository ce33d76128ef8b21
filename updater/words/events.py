"""What the story says while it works: one mouth, frozen words.

The lawful order, which a test asserts for every story:

* `StepStarted` opens a step, any number of `Progressed` follow, `StepDone` closes it; each step once.
* Steps follow each other in the order of `Step` and do not overlap, but for erase, write and verify: these
  are opened together, take turns sector by sector, and are closed together.
* `done` never goes back, never passes the step's total, and has reached it when the step is done.
* While a step is open, no two events lie more than 2 s apart, unless the earlier one has said how long it
  will be quiet (`quiet_ms`, what is usual; the erase of a sector is one transfer that takes as long as it
  takes) or a person is waited for.
* `Noticed` may come at any time.
* After a failure nothing is said any more: the error itself is raised.

The command line's bars, JSON lines and the receipt are listeners to the same stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Step(StrEnum):
    """The steps of an update, in the order in which they happen."""

    DOWNLOAD = "download"
    CHECK = "check"
    ENTER = "enter"
    READ = "read"
    ERASE = "erase"
    WRITE = "write"
    VERIFY = "verify"
    LEAVE = "leave"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins. `total` is in bytes, or None where the amount of work is not known."""

    step: Step
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Progressed:
    """`done` bytes of the step's total are done.

    `remaining_ms`: how long the whole update will still take, as far as it can be known; None where nothing
    is known. `quiet_ms`: no byte will move for about so long.
    """

    step: Step
    done: int
    remaining_ms: int | None = None
    quiet_ms: int = 0


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well after `ms` milliseconds of the wire's clock."""

    step: Step
    ms: int


@dataclass(frozen=True, slots=True)
class Asks:
    """What a person has to do with the device now, while the story waits for it.

    "update-mode": start its bootloader by these `steps`, in the product's own words; "replug": unplug it and
    plug it in again; "driver": install the driver of its bootloader.
    """

    what: Literal["update-mode", "replug", "driver"]
    steps: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the person may want to know; one plain sentence. `asks`: and has to do."""

    text: str
    asks: Asks | None = None


Event = StepStarted | Progressed | StepDone | Noticed
Emit = Callable[[Event], None]
