"""What the window knows: one frozen value. What may happen to it: frozen events. What it wants done: orders.

Nothing here draws, waits, or touches a device; texts are values (`texts.Text`), not yet words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from updater.doors.window.texts import Text
from updater.heads.vendor import RecoveryKind
from updater.words.errors import CannotOpen, DeviceIs, UpdaterError
from updater.words.events import Asks, Event, Step


class Scene(StrEnum):
    """What the window shows at the moment."""

    LOOKING = "looking"
    NOTHING = "nothing"
    SEVERAL = "several"
    PICK = "pick"
    OTHER = "other"
    CHECKING = "checking"
    UP_TO_DATE = "up-to-date"
    OFFERED = "offered"
    LINKED = "linked"
    TYPED = "typed"
    WORKING = "working"
    HANDS = "hands"
    UNPLUGGED = "unplugged"
    STOPPED = "stopped"
    DONE = "done"
    NOT_CONFIRMED = "not-confirmed"
    FAILED = "failed"


AT_WORK = frozenset({Scene.WORKING, Scene.HANDS})
"""The device is in our hands: closing asks, and nothing else may be started."""


class WantedKind(StrEnum):
    """Where the wish for an update comes from."""

    NEWEST = "newest"
    LINK = "link"
    FILE = "file"
    ENTERED = "entered"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which update is wanted. `text` is what a link selects (PRODUCT/CHANNEL/VERSION), a file's name, or what
    a person has typed or pasted.
    """

    kind: WantedKind = WantedKind.NEWEST
    text: str = ""


NEWEST = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Whose updater this is. `is_demo`: it has virtual devices only; `products`: their ids and titles."""

    name: str
    support: str
    is_demo: bool = False
    products: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A product that a silent device may be: `key` is what --as would take."""

    key: str
    title: str
    hardware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A connected device. `candidates` is empty unless a person must say what it is; `problem`: why it cannot
    be opened.
    """

    port: str
    title: str | None = None
    version: str | None = None
    serial: str | None = None
    in_update_mode: bool = False
    is_stranger: bool = False
    problem: str | None = None
    candidates: tuple[Candidate, ...] = ()


class Doubt(StrEnum):
    """Why something must be typed."""

    OLDER = "older"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """`text` must be typed exactly."""

    text: str
    doubt: Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An update that could be installed now. Sizes in bytes, times in ms.

    `key` says what a person agrees to: the same key is the same update of the same device.
    """

    key: tuple[str, ...]
    title: str
    new: str
    old: str | None
    notes: str
    size: int | None
    estimate_ms: int
    recovery: RecoveryKind
    recovery_steps: str
    confirmations: tuple[Confirmation, ...] = ()
    is_proven: bool = True
    is_older: bool = False
    in_update_mode: bool = False
    erases_all: bool = False
    asks_to_replug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error of `words.errors` as a value: `kind` is its class, `message` its exact English words."""

    kind: str
    message: str = ""
    exit_status: int = 70
    device_is: DeviceIs = DeviceIs.UNTOUCHED
    problem: str | None = None

    @classmethod
    def of(cls, error: UpdaterError) -> Failure:
        """An error as a value."""
        return cls(
            kind=type(error).__name__,
            message=error.message,
            exit_status=error.exit_status,
            device_is=error.device_is,
            problem=error.problem if isinstance(error, CannotOpen) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is. `fraction` is None where that is not known; it never goes back.

    `total`: the size of a download in bytes, `left_ms`: how long the update itself still takes.
    """

    step: Step | None = None
    total: int | None = None
    fraction: float | None = None
    left_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the window knows.

    `job` numbers what the worker was told to do last; answers to earlier jobs are not listened to.
    `waited_s`: how long this scene has been there. `resumes`: how often the work was taken up by itself since
    the device was last seen to be away.
    """

    seller: Seller
    scene: Scene = Scene.LOOKING
    wanted: Wanted = NEWEST
    seen: tuple[Seen, ...] = ()
    advice: tuple[Text, ...] = ()
    port: str | None = None
    picked: str | None = None
    as_product: str | None = None
    again: bool = False
    job: int = 0
    offer: Offer | None = None
    agreed: tuple[str, ...] | None = None
    typing: int = 0
    entered: str = ""
    progress: Progress = Progress()
    asks: Asks | None = None
    asks_to_stop: bool = False
    stopping: bool = False
    resuming: bool = False
    resumes: int = 0
    waited_s: int = 0
    version: str | None = None
    failure: Failure | None = None
    report: Text | None = None
    lines: tuple[str, ...] = ()
    exit_status: int = 0


# ---------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Looked:
    """These devices are connected now; `advice` is for when there is none."""

    seen: tuple[Seen, ...]
    advice: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class CannotLook:
    """The computer could not be asked for its devices, several times in a row."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Offered:
    """The worker has prepared an update: a person may be asked."""

    job: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class NothingNew:
    """The device has the newest version already."""

    job: int
    title: str
    version: str


@dataclass(frozen=True, slots=True)
class Told:
    """The story says something while it works."""

    job: int
    event: Event


@dataclass(frozen=True, slots=True)
class Finished:
    """The update was written and verified; `confirmed`: and the device came back with it."""

    job: int
    confirmed: bool
    title: str
    version: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with an error."""

    job: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Line:
    """A line for the details, as the command line would print it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReportSaved:
    """The report was written to `file`, or could not be."""

    file: str | None


class Action(StrEnum):
    """What a button stands for."""

    UPDATE = "update"
    CHOOSE = "choose"
    AGAIN = "again"
    REINSTALL = "reinstall"
    FINISH = "finish"
    TYPED = "typed"
    OTHER = "other"
    ENTER = "enter"
    BACK = "back"
    STOP = "stop"
    KEEP = "keep"
    ANOTHER = "another"
    CANCEL = "cancel"
    CLOSE = "close"
    OPEN_FILE = "open-file"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button, or the key that stands for it. OPEN_FILE and REPORT never come: the view asks for a file."""

    action: Action


@dataclass(frozen=True, slots=True)
class Picked:
    """A line of a list was chosen."""

    key: str


@dataclass(frozen=True, slots=True)
class Entered:
    """The field holds this now."""

    text: str


@dataclass(frozen=True, slots=True)
class FileChosen:
    """A person has opened an update file."""

    file: str


@dataclass(frozen=True, slots=True)
class LinkArrived:
    """Another start of this program has handed over what a link selects."""

    tokens: str


@dataclass(frozen=True, slots=True)
class ReportWanted:
    """A person has said where the report goes."""

    file: str


@dataclass(frozen=True, slots=True)
class Second:
    """A second has gone by."""


Happening = (
    Looked | CannotLook | Offered | NothingNew | Told | Finished | Failed | Line | ReportSaved
    | Pressed | Picked | Entered | FileChosen | LinkArrived | ReportWanted | Second
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Find out what would be done; nothing on the device is changed."""

    job: int
    wanted: Wanted
    port: str | None
    as_product: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Perform:
    """Install what was prepared by this job. The person has agreed to it."""

    job: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop this job at the next moment at which the story can say how the device is."""

    job: int


@dataclass(frozen=True, slots=True)
class SaveReport:
    """Write the report for support."""

    file: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The window closes."""


Order = Prepare | Perform | Stop | SaveReport | Leave
