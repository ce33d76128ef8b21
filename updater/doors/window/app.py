"""The window and the one who works for it, put together: what happens is folded, drawn, and ordered."""

from __future__ import annotations

import queue
import tkinter as tk
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from updater.doors.window.fold import fold
from updater.doors.window.scenes import page
from updater.doors.window.speech import Speak
from updater.doors.window.state import AT_WORK, Happening, Leave, LinkArrived, Order, Second, State, Stop
from updater.doors.window.theme import Theme
from updater.doors.window.view import View
from updater.hands.desktop import Taste
from updater.hands.instance import listen
from updater.heads.links import Link
from updater.words.errors import StorageFailed

if TYPE_CHECKING:
    from updater.doors.window.worker import OpenHands

POLL_MS = 30
SECOND_MS = 1000
LEAVES_WITHIN_S = 10
STOPS_WITHIN_S = 120
"""A sector that is being erased is waited for: the journal says then how far it came."""


class WindowFailed(Exception):
    """A mistake in the window, or in the one who works for it, has ended it; its cause is that mistake."""


class App:
    """One open window. Everything of tk happens on the thread that made it."""

    def __init__(
        self,
        open_hands: OpenHands,
        state: State,
        happened: tuple[Happening, ...] = (),
        *,
        speak: Speak,
        taste: Taste,
    ) -> None:
        self.root = tk.Tk(className="Updater")
        self.root.withdraw()
        self.state = state
        self._heard: queue.Queue[Happening] = queue.Queue()
        self._failed: BaseException | None = None
        self._fell: list[BaseException] = []
        self._alarms: dict[str, str] = {}
        self.root.report_callback_exception = self._crashed
        self.view = View(self.root, Theme(self.root, taste), speak, self.happens)
        self._early: list[Order] | None = []
        self._left = False
        self.view.show(page(self.state))
        for happening in happened:
            self.happens(happening)
        self.root.deiconify()
        self.root.update()
        # Only now, with something to look at: USB, trust and the network take a moment to load.
        from updater.doors.window.worker import Worker

        self.worker = Worker(open_hands, self._heard.put, self._fell.append)
        for order in self._early:
            self.worker.order(order)
        self._early = None

    def run(self, folder: Path) -> int:
        """Until the window is closed; returns the exit status of what was done last.

        What other starts of this program hand over in this state folder comes in here.
        """
        self.worker.start()
        try:
            self._poll()
            self._tick()
            with ExitStack() as stack:
                with suppress(StorageFailed):  # it works without; what is to be done will say what is wrong
                    stack.enter_context(listen(folder, self._handed_over))
                if not self._left:
                    self.root.mainloop()
        except Exception as error:
            self._failed = self._failed or error
        finally:
            if self.state.scene in AT_WORK:  # only where the program itself is being stopped
                self.worker.order(Stop(self.state.job))
            self.worker.order(Leave())
            self.worker.wait(STOPS_WITHIN_S if self.state.scene in AT_WORK else LEAVES_WITHIN_S)
            self.close()
        if self._failed is not None:
            # of a class of its own: to whoever hears it, it is no refused device and no full disk
            raise WindowFailed(f"{type(self._failed).__name__}: {self._failed}") from self._failed
        return self.state.exit_status

    def happens(self, happening: Happening) -> None:
        """Fold it, draw what is known then, and have done what is to be done."""
        before = self.state
        self.state, orders = fold(self.state, happening)
        if self.state != before:
            self.view.show(page(self.state))
        if isinstance(happening, LinkArrived):
            self.view.come_forward()
        for order in orders:
            if isinstance(order, Leave):
                self._left = True
                self.root.quit()
            elif self._early is not None:
                self._early.append(order)
            else:
                self.worker.order(order)

    def _handed_over(self, link: Link) -> None:
        """On the listener's thread: only words go from here to the window."""
        self._heard.put(LinkArrived(link.tokens))

    def _poll(self) -> None:
        while True:
            try:
                self.happens(self._heard.get_nowait())
            except queue.Empty:
                break
        if self._fell:
            self._crashed(BaseException, self._fell[0], None)
        self._alarms["poll"] = self.root.after(POLL_MS, self._poll)

    def _tick(self) -> None:
        self.happens(Second())
        self._alarms["tick"] = self.root.after(SECOND_MS, self._tick)

    def close(self) -> None:
        """Take the window away."""
        for alarm in self._alarms.values():
            self.root.after_cancel(alarm)
        self.root.destroy()

    def _crashed(
        self, _kind: type[BaseException], error: BaseException, _where: TracebackType | None
    ) -> None:
        """A mistake in the window ends it, and is told like any other."""
        self._failed = self._failed or error
        self._left = True
        self.root.quit()
