"""The one who works while the window is drawn: a thread that looks, prepares and performs.

It hears orders and tells what happened, and never touches what is drawn. The folders it works with are open
only while it does something, so that the command line can be used beside an open window.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from updater.doors.console import knowing_code, receipt_name, request_for, request_of
from updater.doors.window.advice import advice
from updater.doors.window.said import Lines, offer_of, seen_of
from updater.doors.window.state import (
    CannotLook,
    Failed,
    Failure,
    Finished,
    Happening,
    Leave,
    Line,
    Looked,
    NothingNew,
    Offered,
    Order,
    Perform,
    Prepare,
    ReportSaved,
    SaveReport,
    Stop,
    Told,
    WantedKind,
)
from updater.hands.crash import keep_crash
from updater.hands.desktop import kept_awake
from updater.hands.usbio import ROM_USB, Bus
from updater.heads.links import parse_tokens
from updater.heads.report import Receipt, receipt_line
from updater.heads.vendor import Vendor
from updater.story.catalogue import newest_if_any
from updater.story.checkup import around, examine
from updater.story.devices import look_around
from updater.story.dossier import as_text, as_zip, report_parts, write_report
from updater.story.job import Hands, Prepared, Request
from updater.story.update import check_may_write, find_device, perform, prepare
from updater.words.errors import Bug, Cancelled, Refused, StorageFailed, UpdaterError
from updater.words.events import Emit, Event, Step, StepStarted
from updater.words.facts import DeviceFacts

LOOK_EVERY_S = 1.0
TRIES = 20
TRY_AGAIN_S = 0.1
"""Another updater may be looking into the same folder: two seconds of patience."""
BLIND = 5
"""So many looks in a row may fail before it is said."""
ALONE = 10
"""After so many looks at nobody the update site is asked, once, for products newer than this program."""

OpenHands = Callable[[], AbstractContextManager[Hands]]
Tell = Callable[[Happening], None]
Fall = Callable[[BaseException], object]


class Worker:
    """Looks around every second and does what it is told, one thing after the other.

    `open_hands` opens USB (or a lab) and the state folder; `tell` may be called from any thread. `fall` is
    called instead of raising, when a mistake of ours has ended the thread: then nothing more is told.
    """

    def __init__(self, open_hands: OpenHands, tell: Tell, fall: Fall) -> None:
        self._open_hands, self._tell, self._fall = open_hands, tell, fall
        self._state: str | None = None
        self._orders: queue.Queue[Order] = queue.Queue()
        self._stopped: set[int] = set()
        self._prepared: tuple[int, Prepared] | None = None
        self._glanced: object = None
        self._bus: Bus | None = None
        self._blind = 0
        self._nobody, self._alone, self._has_asked, self._is_old = False, 0, False, False
        self._wakes = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to look around."""
        self._thread.start()

    def order(self, order: Order) -> None:
        """Have something done. A stop takes effect while another order is being carried out."""
        if isinstance(order, Stop):
            self._stopped.add(order.job)
        else:
            self._orders.put(order)

    def wait(self, seconds: float) -> bool:
        """Wait for the thread's end; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._fall(error)

    def _work(self) -> None:
        order: Order | None = None
        while not isinstance(order, Leave):
            if order is None:
                self.look()
            else:
                self.obey(order)
            try:
                order = self._orders.get(timeout=0 if order is not None else LOOK_EVERY_S)
            except queue.Empty:
                order = None

    # ----------------------------------------------------------------------------------------------- looking

    def look(self) -> None:
        """See who is connected, and tell it when it has changed. The devices are only asked then."""
        try:
            if self._bus is None or self._glanced != self._glance(self._bus):
                with self._open_hands() as hands:
                    self._look(hands)
            self._blind = 0
            self._alone += self._nobody
            if self._nobody and self._alone >= ALONE and not self._has_asked:
                with self._open_hands() as hands:
                    self._ask_for_products(hands)
        except UpdaterError as error:
            self._blind += 1
            if self._blind == BLIND:
                self._tell(CannotLook(Failure.of(error)))

    def _look(self, hands: Hands) -> None:
        vendor, journals = hands.home.vendor, hands.store.journals()
        self._wanted = {
            *(usb for product in vendor.products for usb in product.usb),
            *(row.usb for row in hands.silicon.lookalike),
            ROM_USB,
        }
        now = self._glance(hands.bus)
        if now == self._glanced:
            return
        found = look_around(hands.bus, vendor, hands.silicon, journals)
        seen = tuple(seen_of(one.facts, vendor) for one in found)
        self._nobody = all(one.is_stranger for one in seen)
        trouble = str(examine(hands, online=False).finding.id) if self._nobody else None
        self._tell(Looked(seen, advice(vendor, journals, trouble, is_old=self._is_old)))
        settled = not any(one.facts.problem or one.facts.unread for one in found)
        self._glanced = now if settled else None  # what could not be opened is tried again
        self._bus = None if hands.virtual or not settled else hands.bus

    def _ask_for_products(self, hands: Hands) -> None:
        self._has_asked, lines = True, Lines(self._say)

        def heard(event: Event) -> None:
            self._is_old = True  # all that is said here is why the site's catalogue cannot be used
            lines.event(event)

        if newest_if_any(hands, heard) is not hands or self._is_old:
            self._glanced, self._bus = None, None  # look again, with what is known now

    def _glance(self, bus: Bus) -> object:
        """Who is on the bus, without a word to anybody."""
        return [(one.port, one.usb, one.address) for one in bus.attached(self._wanted)]

    # ---------------------------------------------------------------------------------------------- obeying

    def obey(self, order: Order) -> None:
        """Do one thing, and tell what came of it."""
        match order:
            case Prepare():
                with self._told(order.job):
                    self._prepare(order)
            case Perform():
                with self._told(order.job):
                    self._perform(order.job)
                self._glanced, self._bus = None, None
            case SaveReport():
                self._save_report(Path(order.file))

    @contextmanager
    def _told(self, job: int) -> Iterator[None]:
        """Whatever stops this job is told, in the window's words and exactly in the details."""
        try:
            yield
            return
        except UpdaterError as error:
            said = error
        except KeyboardInterrupt:
            said = Cancelled("the update was stopped")
        except Exception as error:
            said = self._bug(error)
        for line in Lines.of_error(said):
            self._tell(Line(line))
        self._tell(Failed(job, Failure.of(said)))

    def _bug(self, error: Exception) -> Bug:
        """A traceback is nothing to read in a window: it goes into a file, which a report takes along."""
        message, file = f"{type(error).__name__}: {error}", keep_crash(error, state=self._state)
        if file is None:
            return Bug(message)
        return Bug(message, advice=f"Please send the file {file} to the vendor's support.")

    @contextmanager
    def _hands(self) -> Iterator[Hands]:
        """The hands, with patience for another updater that has just opened the same folders."""
        with ExitStack() as stack:
            for left in reversed(range(TRIES)):
                try:
                    hands = stack.enter_context(self._open_hands())
                    break
                except StorageFailed:
                    if not left:
                        raise
                    self._wakes.wait(TRY_AGAIN_S)
            self._state = str(hands.store.folder.parent)
            yield hands

    def _prepare(self, order: Prepare) -> None:
        self._prepared = None
        size: list[int | None] = [None]
        lines = Lines(self._say)

        def heard(event: Event) -> None:
            if order.job in self._stopped:
                raise Cancelled("the search was stopped")
            if isinstance(event, StepStarted) and event.step is Step.DOWNLOAD:
                size[0] = event.total
            lines.event(event)
            self._tell(Told(order.job, event))

        with self._hands() as hands:
            if order.wanted.kind is WantedKind.ENTERED:
                hands = knowing_code(hands, order.wanted.text, heard)
            request = _request(order, hands.home.vendor)
            size[0] = len(request.data) if request.data is not None else None
            try:
                prepared = prepare(hands, request, heard)
            except Refused:
                newer = _newer_than_offered(hands, request)
                if newer is None:
                    raise
                self._tell(NothingNew(order.job, newer.name, str(newer.version)))
                return
            if prepared.plan is not None:
                lines.plan(prepared.plan)
                check_may_write(hands)
        if prepared.plan is None:
            version = str(prepared.bundle.manifest.version)
            self._tell(NothingNew(order.job, prepared.product.title, version))
            return
        self._prepared = order.job, prepared
        self._tell(Offered(order.job, offer_of(prepared, prepared.plan, size[0])))

    def _perform(self, job: int) -> None:
        assert self._prepared is not None
        assert self._prepared[0] == job
        prepared = self._prepared[1]
        lines = Lines(self._say)
        with kept_awake(), self._hands() as hands:
            receipt = perform(hands, prepared, self._listener(job, lines))
            lines.receipt(receipt)
            self._keep(hands, receipt)
        title, version = prepared.product.title, str(receipt.to_version)
        self._tell(Finished(job, receipt.result == "confirmed", title, version))

    def _listener(self, job: int, lines: Lines) -> Emit:
        """A stop is to the story what Ctrl-C is on the command line: it knows what to say at each moment."""
        stopped = False

        def heard(event: Event) -> None:
            nonlocal stopped
            lines.event(event)
            self._tell(Told(job, event))
            if job in self._stopped and not stopped:
                stopped = True  # once: what the story does on its way out is not to be stopped again
                raise KeyboardInterrupt

        return heard

    def _keep(self, hands: Hands, receipt: Receipt) -> None:
        name = receipt_name(hands.now, receipt)
        try:
            self._say(f"The receipt was kept as {hands.store.keep_receipt(name, receipt_line(receipt))}")
        except StorageFailed as error:  # the device is done: a full disk is worth a word, no more
            self._say(f"Note: the receipt could not be kept: {error.message}")

    def _save_report(self, path: Path) -> None:
        try:
            with self._hands() as hands:
                parts = report_parts(around(hands, online=False))
            text = path.suffix.lower() == ".txt"
            write_report(path, as_text(parts).encode() if text else as_zip(parts))
            self._tell(ReportSaved(str(path)))
        except UpdaterError as error:
            for line in Lines.of_error(error):
                self._say(line)
            self._tell(ReportSaved(None))

    def _say(self, text: str) -> None:
        self._tell(Line(text))


def _request(order: Prepare, vendor: Vendor) -> Request:
    """What the story is asked. A link is a link and nothing else, whatever it looks like."""
    text = order.wanted.text
    if order.wanted.kind is WantedKind.LINK:
        request = request_of(parse_tokens(text))
    elif order.wanted.kind is WantedKind.FILE:
        request = request_for(str(Path(text).absolute()), vendor)
    else:
        request = request_for(text or None, vendor)
    return replace(request, device=order.port, as_product=order.as_product, again=order.again)


def _newer_than_offered(hands: Hands, request: Request) -> DeviceFacts | None:
    """The device, where the newest release that is offered is older than what it has: nothing is wrong."""
    if request.data is not None or request.version is not None:
        return None
    with suppress(UpdaterError):
        facts = find_device(hands, request).facts
        if facts.product is not None and facts.version is not None:
            offered = hands.site.offer(facts.product, request.channel, None).version
            return facts if offered < facts.version else None
    return None
