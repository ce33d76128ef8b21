"""A cable pulled at any moment: the same command finishes the job, and the words on the screen are true."""

from __future__ import annotations

import pytest

from tests.desk import FLASH, Desk, Said, program
from updater.hands.usbio import ROM_USB, Bus, Wire
from updater.heads.dfu.scripts import Polling, erase
from updater.heads.dfu.words import Answer, TimedOut, Wish
from updater.lab.clock import VirtualClock
from updater.lab.record import Power
from updater.lab.shelf import open_lab

PRODUCTS = ("demo-gadget", pytest.param("demo-widget", marks=pytest.mark.faults))
"""The widget's silicon takes more transfers; the fault matrix has it at every point anyway."""


def newest(desk: Desk, product: str) -> str:
    """The update as a file: what happens on the wire is the same as with a link, and needs no server."""
    return str(desk.published.bundle_path(f"{product}-1.1.0"))


def transfers(desk: Desk, product: str) -> int:
    """How many class requests the ROM receives during a whole update."""
    desk.plug_in(product)
    said = desk.install(newest(desk, product))
    assert said.exit == 0
    desk.updater("lab", "remove", "board1")
    return int(said.last["control_transfers"])


def spread(total: int, count: int) -> list[int]:
    return sorted({1 + n * (total - 1) // (count - 1) for n in range(count)})


def check_cut(said: Said, at: int) -> None:
    """Before the first erase it is 8, afterwards 9; after everything was verified 10 or a success."""
    assert said.exit in (0, 8, 9, 10), (at, said.out)
    if said.exit in (8, 9):
        assert said.last["type"] == "error"
        assert "same command" in said.last["advice"]


def last_step(said: Said) -> str:
    """The step that was under way."""
    return str([line["step"] for line in said.lines if line["type"] == "progress"][-1])


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_self_powered_device_cut_off_at_any_transfer_is_finished_by_the_same_command(
    desk: Desk, product: str
) -> None:
    file = newest(desk, product)
    seen = set()
    for at in spread(transfers(desk, product), 24):
        desk.plug_in(product)
        desk.fault("cut-after", at)
        said = desk.install(file)
        check_cut(said, at)
        seen.add((last_step(said), said.exit))
        again = desk.install(file)
        assert again.exit == 0, (at, said.out, again.out)
        assert desk.holds(f"{product}-1.1.0"), at
        assert desk.board()["state"] == "application"
        desk.updater("lab", "remove", "board1")
    assert {("read", 8), ("erase", 9), ("write", 9), ("verify", 9)} <= seen


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_device_unplugged_while_it_leaves_is_written_and_says_so(desk: Desk, product: str) -> None:
    desk.plug_in(product)
    with desk.cut(lambda _block, data: not data):
        said = desk.install(desk.published.link(product))
    assert (said.exit, said.last["result"]) == (10, "written-not-confirmed")
    assert "Unplug the device" in said.err
    again = desk.install(desk.published.link(product))
    assert (again.exit, again.last["erased_sectors"]) == (0, 0)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_bus_powered_device_cut_off_at_any_transfer_is_finished_after_the_boot_button(
    desk: Desk, product: str
) -> None:
    """Neither chip has an empty check: without its vector table it is gone until BOOT is held."""
    file = newest(desk, product)
    locked_up = 0
    for at in spread(transfers(desk, product), 10):
        desk.plug_in(product, power=Power.BUS)
        desk.fault("cut-after", at)
        said = desk.install(file)
        check_cut(said, at)
        state = desk.board()["state"]
        assert state in ("application", "locked-up"), at
        if state == "locked-up":
            locked_up += 1
            assert said.exit == 9
            assert "bootloader by hand" in said.last["advice"]
            gone = desk.install(file)
            assert (gone.exit, gone.last["error"]) == (3, "NoDevice")
            assert "Plug it in again while" in gone.last["advice"]
            desk.replug(boot=True)
        else:
            assert desk.holds(f"{product}-1.0.0") or desk.holds(f"{product}-1.1.0"), at
        again = desk.install(file)
        assert again.exit == 0, (at, said.out, again.out)
        assert desk.holds(f"{product}-1.1.0"), at
        desk.updater("lab", "remove", "board1")
    assert locked_up > 5


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(
    ("kind", "expected"), [("stall-at", {0, 8, 9, 10}), ("status-at", {0, 8, 9, 10, 11})]
)
def test_a_stall_or_an_error_status_at_any_transfer_is_survived(
    desk: Desk, product: str, kind: str, expected: set[int]
) -> None:
    file = newest(desk, product)
    for at in spread(transfers(desk, product), 6):
        desk.plug_in(product)
        desk.fault(kind, at)
        said = desk.install(file)
        assert said.exit in expected, (at, said.out)
        if said.exit:
            again = desk.install(file)
            assert again.exit == 0, (at, said.out, again.out)
        assert desk.holds(f"{product}-1.1.0"), at
        desk.updater("lab", "remove", "board1")


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_wrong_byte_is_found_by_reading_back(desk: Desk, product: str) -> None:
    desk.plug_in(product)
    desk.fault("flip-write", 1)
    said = desk.install(desk.published.link(product))
    if said.exit == 0:
        pytest.fail("the flipped byte was not noticed")
    assert (said.exit, said.last["error"]) == (9, "NotFinished")
    assert desk.install(desk.published.link(product)).exit == 0
    assert desk.holds(f"{product}-1.1.0")


def test_a_board_that_another_tool_left_stuck_in_its_erase_is_freed(desk: Desk) -> None:
    """Another tool gave up at the ninth sector: the ROM still says dfuDNBUSY."""
    desk.plug_in(revision="V", rom_version=0x91, in_rom=True)
    with open_lab(desk.lab, VirtualClock()) as lab:
        bus = Bus(lab.backend, lab.clock)
        attached = bus.wait_for("1-1", {ROM_USB}, 5_000)
        assert attached is not None
        with bus.open_dfu(attached) as wire, pytest.raises(TimedOut):
            wire.run(erase(0x08100000, 4_000, Polling(at_once=True)))
    assert "stuck = true" in (desk.lab / "board1" / "board.toml").read_text("utf-8")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["result"]) == (0, "confirmed")
    assert desk.holds("demo-widget-1.1.0")


def test_a_bootloader_that_hangs_is_still_shown(desk: Desk) -> None:
    desk.plug_in(in_rom=True)
    board = desk.lab / "board1" / "board.toml"
    board.write_text(board.read_text("utf-8").replace("hung = false", "hung = true"), "utf-8")
    (line,) = desk.updater("devices", "--json").lines
    assert (line["mode"], line["usb"], line["product"]) == ("rom", "0483:df11", None)
    said = desk.install(desk.published.link("demo-widget"), "--as", "demo-widget:A")
    assert said.exit == 3
    assert "plug" in said.last["advice"].lower()
    desk.replug(boot=True)
    assert desk.install(desk.published.link("demo-widget")).exit == 0


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_write_protected_device_is_found_at_the_first_erase_and_runs_on(desk: Desk, product: str) -> None:
    """The ROM says OK and does nothing (AN3156); nothing else is touched."""
    desk.plug_in(product)
    desk.lock(0x08000000)
    said = desk.install(desk.published.link(product))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert desk.holds(f"{product}-1.0.0")
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_read_protected_device_is_left_alone(desk: Desk, product: str) -> None:
    desk.plug_in(product)
    desk.lock(reading=True)
    said = desk.install(desk.published.link(product))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert desk.holds(f"{product}-1.0.0")


def test_a_device_that_comes_back_as_another_is_not_written(desk: Desk) -> None:
    desk.plug_in()
    desk.fault("wrong-identity")
    before = desk.flash()
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert desk.flash() == before


def test_a_bootloader_that_arrives_too_late_is_a_stranger_and_known_by_its_header(desk: Desk) -> None:
    desk.plug_in()
    desk.fault("late-arrival", 30_000)
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (8, "UsbFailed")
    again = desk.install(desk.published.link("demo-widget"))
    assert (again.exit, again.last["identity"]) == (0, "header")


def test_a_device_that_does_not_start_is_written_but_not_confirmed(desk: Desk) -> None:
    desk.plug_in()
    desk.fault("no-leave")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["type"], said.last["result"]) == (10, "receipt", "written-not-confirmed")
    desk.replug()
    assert desk.board()["version"] == "1.1.0"
    assert desk.install(desk.published.link("demo-widget")).last["result"] == "nothing-to-do"


def test_an_unfinished_device_is_known_again_by_what_its_flash_still_holds(desk: Desk) -> None:
    """Cut right behind the first erase: the header is gone, the other sector is what the journal recorded."""
    desk.plug_in()
    link = desk.published.link("demo-widget")
    with desk.cut(lambda block, data: block == 0 and data[:1] == b"\x41"):
        assert desk.install(link).exit == 9
    (line,) = desk.updater("devices", "--json").lines
    assert (line["mode"], line["product"], line["identity"]) == ("rom", "demo-widget", "journal")
    again = desk.install(link)
    assert (again.exit, again.last["identity"]) == (0, "journal")


def test_another_board_on_the_same_port_does_not_inherit_the_journal(desk: Desk) -> None:
    """Two rev V boards show the same serial; the journal of one must not speak for a blank other."""
    desk.plug_in()
    desk.fault("cut-after", 300)
    assert desk.install(desk.published.link("demo-widget")).exit == 9
    desk.updater("lab", "remove", "board1")
    desk.plug_in(runs=None, in_rom=True, name="board9", uid=bytes(range(12)), port="1-1")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert desk.flash("board9") == b"\xff" * len(desk.flash("board9"))


@pytest.mark.parametrize("at", [4, 8, 20])
def test_a_device_found_in_its_rom_stays_there_when_reading_it_fails(desk: Desk, at: int) -> None:
    """It may hold no program at all: starting that would lock it up until somebody presses its button."""
    desk.plug_in(runs=None, in_rom=True)
    desk.fault("stall-at", at)
    said = desk.install(desk.published.link("demo-widget"), "--as", "demo-widget:A")
    if said.exit:
        assert (said.exit, said.last["device_is"]) == (8, "in-bootloader"), said.out
        assert desk.board()["state"] == "rom"
        assert desk.install(desk.published.link("demo-widget"), "--as", "demo-widget:A").exit == 0
    assert desk.holds("demo-widget-1.1.0")


@pytest.mark.parametrize("at", [1, 5, 30, 44, 46, 100, 185, 300, 372])
def test_ctrl_c_at_any_moment_says_how_the_device_is(
    desk: Desk, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th wish of the scripts is answered by a person who presses Ctrl-C."""
    desk.plug_in()
    performed = 0
    perform = Wire.perform

    def interrupted(wire: Wire, wish: Wish) -> Answer:
        nonlocal performed
        performed += 1
        if performed == at:
            raise KeyboardInterrupt
        return perform(wire, wish)

    with monkeypatch.context() as patch:
        patch.setattr(Wire, "perform", interrupted)
        said = desk.install(desk.published.link("demo-widget"))
    assert said.exit in (9, 12)
    if said.exit == 12:
        assert desk.holds("demo-widget-1.0.0")
        assert said.last["device_is"] == ("runs-old" if at > 1 else "unknown")
    assert desk.install(desk.published.link("demo-widget")).exit == 0
    assert desk.holds("demo-widget-1.1.0")


def test_a_cut_that_leaves_nothing_to_know_the_device_by_says_what_to_add(desk: Desk) -> None:
    """The image is in one sector; the cut comes behind its erase, before its header is in place again."""
    small = ((FLASH, 8 * 1024),)
    desk.sells("stm32f405", flash_kib=1024)
    desk.plug_in_gizmo("stm32f405", program("1.0.0", *small), power=Power.BUS)
    new = program("1.1.0", *small)
    bundle = desk.bundle(new)
    with desk.cut(lambda block, _data: block == 2):
        said = desk.install(bundle)
    assert said.exit == 9
    assert said.last["advice"].endswith(
        "If the updater does not know the device then, add --as gizmo:A to the command."
    )
    desk.replug(boot=True)
    assert desk.install(bundle).exit == 3
    assert desk.install(bundle, "--as", "gizmo:A").exit == 0
    assert desk.holds(new)
