"""`python -m tests.window.shots [FOLDER]`: a picture of every state, taken of the real window.

Each comes about as in life: virtual devices, a real web server, signed bundles, faults and a person's hands.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.desk import Desk, desk_in, program
from tests.hands.web import Page
from tests.window.screen import screen
from tests.window.stage import Stage, patiently
from updater.doors.window.state import Action, FileChosen, Scene, Wanted, WantedKind
from updater.lab.record import Power
from updater.words.events import Step

PICTURES = Path(__file__).parents[2] / "docs" / "window"
BY_HAND = 'ways = [{ kind = "by-hand", steps = "Unplug the gadget. Press the recessed button on its underside with a paper clip. Plug it in again while you press, and let go after two seconds." }]'  # noqa: E501 - a line of vendor.toml
SHARP = "--sharp"
Scenario = Callable[[Desk, "Camera"], None]


class Camera:
    """Takes the pictures of one look: language, colours and the screen's dots. `only`: not all of them."""

    def __init__(self, folder: Path, suffix: str = "", only: Sequence[str] = (), **look: Any) -> None:
        self.folder, self._suffix, self._only, self.look = folder, suffix, only, look

    @contextmanager
    def on(self, desk: Desk, wanted: Wanted | None = None, *, speed: float | None = None) -> Iterator[Stage]:
        with Stage(desk, wanted or Wanted(), speed=speed, **self.look) as stage:
            yield stage

    def take(self, stage: Stage, name: str) -> None:
        if not self._only or name in self._only:
            stage.picture(self.folder / f"{name}{self._suffix}.png")


def nothing(desk: Desk, camera: Camera) -> None:
    with camera.on(desk) as stage:
        camera.take(stage, "looking")
        stage.start().until(Scene.NOTHING)
        camera.take(stage, "nothing")
        stage.wait(5)
        camera.take(stage, "nothing-advice")
        stage.click(Action.OTHER)
        stage.type("6BGD-1")
        camera.take(stage, "other-update")


def several(desk: Desk, camera: Camera) -> None:
    desk.plug_in("demo-widget")
    desk.plug_in("demo-gadget", name="board2")
    with camera.on(desk) as stage:
        stage.start().until(Scene.SEVERAL)
        camera.take(stage, "several")


def pick(desk: Desk, camera: Camera) -> None:
    desk.change_vendor(lambda toml: toml.replace('["stm32f405"]', '["stm32f405", "stm32h743"]'))
    desk.plug_in(runs=None, in_rom=True)
    with camera.on(desk) as stage:
        stage.start().until(Scene.PICK)
        camera.take(stage, "pick-a-product")


def up_to_date(desk: Desk, camera: Camera) -> None:
    desk.plug_in(runs="1.1.0")
    with camera.on(desk) as stage:
        stage.start().until(Scene.UP_TO_DATE)
        camera.take(stage, "up-to-date")


def update(desk: Desk, camera: Camera) -> None:
    desk.plug_in()
    with camera.on(desk, speed=20) as stage:
        stage.hold_at(Step.DOWNLOAD, 0.3)
        stage.start().until(stage.reached.is_set)
        camera.take(stage, "checking")
        stage.go_on()
        stage.until(Scene.OFFERED)
        camera.take(stage, "offered")
        stage.hold_at(Step.WRITE, 0.3)
        stage.click(Action.UPDATE)
        stage.until(stage.reached.is_set)
        camera.take(stage, "working")
        stage.key("Alt-d")
        camera.take(stage, "working-details")
        stage.key("Alt-d")
        stage.key("Escape")
        camera.take(stage, "stop-asked")
        stage.key("Return")
        stage.go_on()
        stage.until(Scene.DONE)
        camera.take(stage, "done")


def link(desk: Desk, camera: Camera) -> None:
    desk.plug_in()
    wanted = Wanted(WantedKind.LINK, "demo-widget/stable/latest")
    with camera.on(desk, wanted) as stage:
        stage.start().until(Scene.LINKED)
        camera.take(stage, "from-a-link")


def older(desk: Desk, camera: Camera) -> None:
    desk.plug_in(runs="1.1.0")
    with camera.on(desk) as stage:
        stage.start().until(Scene.UP_TO_DATE)
        stage.app.happens(FileChosen(str(desk.published.bundle_path("demo-widget-1.0.0"))))
        stage.until(Scene.OFFERED)
        camera.take(stage, "from-a-file")
        stage.click(Action.UPDATE)
        stage.type("1.0.")
        camera.take(stage, "typed")


def by_hand(desk: Desk, camera: Camera) -> None:
    desk.change_vendor(lambda toml: BY_HAND.join(toml.rsplit('ways = [{ kind = "dfu-detach" }]', 1)))
    desk.plug_in("demo-gadget")
    with camera.on(desk, speed=2) as stage:
        stage.start().until(Scene.OFFERED)
        stage.click(Action.UPDATE)
        stage.until(Scene.HANDS)
        camera.take(stage, "needs-hands")
        assert stage.lab is not None
        stage.lab.board("board1").replug(boot=True)
        stage.until(Scene.DONE)


def replug(desk: Desk, camera: Camera) -> None:
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", program("1.0.0"), revision="Y", rom_version=0xD2)
    file = desk.bundle(program("1.1.0"))
    with camera.on(desk, Wanted(WantedKind.FILE, file), speed=10) as stage:
        stage.start().until(Scene.OFFERED)
        stage.click(Action.UPDATE)
        stage.until(Scene.HANDS)
        camera.take(stage, "needs-replug")
        assert stage.lab is not None
        stage.lab.boards[0].replug()
        stage.until(Scene.DONE)


def cut(desk: Desk, camera: Camera) -> None:
    desk.plug_in("demo-gadget", power=Power.BUS)
    desk.fault("cut-after", 90)
    with camera.on(desk) as stage:
        stage.start().until(Scene.OFFERED)
        stage.click(Action.UPDATE)
        stage.until(Scene.UNPLUGGED)
        stage.until(lambda: not stage.app.state.seen)
        camera.take(stage, "unplugged")
        stage.wait(9)
        camera.take(stage, "unplugged-steps")
        patiently(lambda: desk.replug(boot=True))
        stage.until(Scene.DONE)


def stopped(desk: Desk, camera: Camera) -> None:
    desk.plug_in()
    with camera.on(desk) as stage:
        stage.start().until(Scene.OFFERED)
        stage.hold_at(Step.WRITE, 0.3)
        stage.click(Action.UPDATE)
        stage.until(stage.reached.is_set)
        stage.key("Escape")
        stage.click(Action.STOP)
        stage.go_on()
        stage.until(Scene.STOPPED)
        camera.take(stage, "stopped")
        stage.click(Action.FINISH)
        stage.until(Scene.DONE)


def not_confirmed(desk: Desk, camera: Camera) -> None:
    desk.plug_in()
    desk.fault("no-leave")
    with camera.on(desk) as stage:
        stage.start().until(Scene.OFFERED)
        stage.click(Action.UPDATE)
        stage.until(Scene.NOT_CONFIRMED)
        camera.take(stage, "not-confirmed")


def failed(desk: Desk, camera: Camera) -> None:
    desk.plug_in()
    desk.published.web.everywhere = Page(b"", status=503)
    with camera.on(desk) as stage:
        stage.start().until(Scene.FAILED)
        camera.take(stage, "failed-network")
    desk.published.web.everywhere = None
    damaged = desk.state.parent / "demo-widget-1.1.0.fwb"
    data = bytearray(desk.published.bundle_path("demo-widget-1.1.0").read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with camera.on(desk, Wanted(WantedKind.FILE, str(damaged))) as stage:
        stage.start().until(Scene.FAILED)
        camera.take(stage, "failed-not-genuine")
        stage.key("Alt-d")
        camera.take(stage, "failed-details")


SCENARIOS: dict[str, Scenario] = {
    one.__name__: one
    for one in (
        nothing, several, pick, up_to_date, update, link, older, by_hand, replug, cut, stopped, not_confirmed,
        failed,
    )
}  # fmt: skip


def shoot(camera: Camera, *names: str) -> None:
    """Take the pictures of these scenarios, or of all."""
    for name in names or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder, desk_in(Path(folder)) as desk:
            SCENARIOS[name](desk, camera)


def main() -> None:
    """All in English and light; some in German, dark, and on a screen with twice the dots."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    only = sys.argv[2:]
    if only == [SHARP]:
        with screen(192):
            shoot(Camera(folder, "-200", ("offered", "working-details"), language="de"), "update")
        return
    with screen():
        shoot(Camera(folder), *only)
        if only:
            return
        german = (
            *("nothing-advice", "pick-a-product", "offered", "working", "stop-asked", "done"),
            *("from-a-link", "unplugged-steps", "failed-network"),
        )
        shoot(
            Camera(folder, "-de", german, language="de"), "nothing", "pick", "update", "link", "cut", "failed"
        )
        dark = ("pick-a-product", "offered", "working-details", "typed", "failed-network")
        shoot(Camera(folder, "-dark", dark, dark=True), "pick", "update", "older", "failed")
        shoot(Camera(folder, "-plain", ("unplugged",), plain=True), "cut")
    # tk holds on to a screen as long as its process lives
    subprocess.run([sys.executable, "-m", "tests.window.shots", str(folder), SHARP], check=True)


if __name__ == "__main__":
    main()
