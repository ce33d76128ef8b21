"""The real window on a desk of virtual devices, driven from inside: shown, waited for, pressed, pictured."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.desk import Desk
from tests.window.screen import picture
from updater.doors.window import first_state
from updater.doors.window.app import App
from updater.doors.window.page import Page
from updater.doors.window.scenes import page
from updater.doors.window.speech import speaker
from updater.doors.window.state import NEWEST, Action, Happening, Leave, Scene, Second, Told, Wanted
from updater.hands.channel import UpdateSite
from updater.hands.desktop import Taste
from updater.hands.host import load_home, today
from updater.hands.store import open_store
from updater.hands.usbio import Bus
from updater.heads.silicon import the_table
from updater.lab.clock import RealClock, VirtualClock
from updater.lab.shelf import Lab, open_lab
from updater.story.job import Hands
from updater.words.errors import StorageFailed
from updater.words.events import Progressed, Step, StepStarted

PATIENCE_S = 30


class Stage:
    """One open window. `speed` None: the devices need no time at all."""

    def __init__(
        self,
        desk: Desk,
        wanted: Wanted = NEWEST,
        *,
        language: str = "en",
        dark: bool = False,
        plain: bool = False,
        speed: float | None = None,
    ) -> None:
        self.desk, self._speed = desk, speed
        self.lab: Lab | None = None
        desk.lab.mkdir(exist_ok=True)
        self.gate: Callable[[Happening], bool] = lambda _: False
        self._open = threading.Event()
        self.reached = threading.Event()
        self.app = App(
            self.hands,
            first_state(wanted, load_home().vendor),
            speak=speaker([language]),
            taste=Taste(dark=dark, plain=plain),
        )
        self._tell = self.app.worker._tell
        self.app.worker._tell = self._gated

    def __enter__(self) -> Self:
        # A window that an earlier test has left behind may only be cleared away by this thread.
        gc.collect()
        gc.disable()
        self.app.root.geometry("+20+20")
        self.app.root.update()
        self.app.root.focus_force()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self.go_on()
        self.app.worker.order(Leave())
        if self.app.worker._thread.ident is not None:
            assert self.app.worker.wait(PATIENCE_S), "the worker did not end"
        self.app.close()
        gc.enable()
        gc.collect()

    @contextmanager
    def hands(self) -> Iterator[Hands]:
        """What the command line would open, with the lab in the reach of whoever plays the person."""
        home = load_home()
        clock = VirtualClock() if self._speed is None else RealClock(self._speed)
        with open_store(self.desk.state, home.embedded_root) as store, open_lab(self.desk.lab, clock) as lab:
            self.lab = lab
            yield Hands(
                bus=Bus(lab.backend, lab.clock, lab.serial_ports),
                site=UpdateSite(home.vendor, home.embedded_root, store.channel_folder),
                store=store,
                home=home,
                silicon=the_table(),
                now=today(),
                virtual=True,
                clock=lab.clock.kind,
            )

    # ------------------------------------------------------------ holding still

    def _gated(self, happening: Happening) -> None:
        self._tell(happening)
        if self.gate(happening):
            self.gate = lambda _: False
            self.reached.set()
            assert self._open.wait(PATIENCE_S)

    def hold_at(self, step: Step, fraction: float = 0.0) -> None:
        """The work stands still as soon as it is so far, until `go_on`."""
        total: list[int] = [0]

        def is_there(happening: Happening) -> bool:
            event = happening.event if isinstance(happening, Told) else None
            if isinstance(event, StepStarted) and event.step is step:
                total[0] = event.total or 0
            if fraction == 0.0:
                return isinstance(event, StepStarted) and event.step is step
            return isinstance(event, Progressed) and event.step is step and event.done >= fraction * total[0]

        self._open.clear()
        self.reached.clear()
        self.gate = is_there

    def go_on(self) -> None:
        """Let it work again."""
        self.gate = lambda _: False
        self._open.set()

    # ------------------------------------------------------------ what can be seen

    @property
    def scene(self) -> Scene:
        return self.app.state.scene

    @property
    def page(self) -> Page:
        return page(self.app.state)

    def start(self) -> Self:
        self.app.worker.start()
        self.app._poll()
        return self

    def settle(self, seconds: float = 0.15) -> None:
        """Let the window draw."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.root.update()
            time.sleep(0.01)

    def until(self, seen: Callable[[], bool] | Scene) -> None:
        """Wait as a person would; fails after half a minute."""
        end = time.monotonic() + PATIENCE_S
        while not (self.scene is seen if isinstance(seen, Scene) else seen()):
            assert time.monotonic() < end, f"still {self.scene}: {self.app.state}"
            self.app.root.update()
            if self.app._failed:
                raise self.app._failed
            time.sleep(0.01)
        self.settle()

    def wait(self, seconds: int) -> None:
        """So many seconds go by on the window's clock."""
        for _ in range(seconds):
            self.app.happens(Second())
        self.settle()

    # ------------------------------------------------------------ what one does

    def click(self, action: Action) -> None:
        """The button is really clicked."""
        self.app.root.update()
        self.app.view._buttons[action].invoke()
        self.settle(0.05)

    def key(self, *keys: str) -> None:
        """Keys, as X delivers them to the widget that has the focus."""
        for name in keys:
            focus = self.app.root.focus_get() or self.app.root
            focus.event_generate(f"<{name}>")
            self.settle(0.05)

    def type(self, text: str) -> None:
        for character in text:
            self.app.view.field.event_generate("<Key>", keysym=_KEYS.get(character, character))
        self.settle(0.05)

    def picture(self, path: Path) -> None:
        """Take it, and see that nothing was cut off at an edge."""
        self.settle()
        root = self.app.root
        wanted, has = (
            (root.winfo_reqwidth(), root.winfo_reqheight()),
            (root.winfo_width(), root.winfo_height()),
        )
        assert wanted[0] <= has[0], (path.name, wanted, has)
        assert wanted[1] <= has[1], (path.name, wanted, has)
        picture(int(self.app.root.frame(), 16), path)


def patiently(act: Callable[[], object]) -> None:
    """Somebody plugs or unplugs while the window may be looking, which holds the lab for a few ms."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            act()
            return
        except (StorageFailed, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


_KEYS = {".": "period", "-": "minus", " ": "space", ":": "colon", "/": "slash"}
