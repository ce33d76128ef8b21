"""OTP over USB. The second story that started this project: ST-LINK Utility could not write it on an F746."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.desk import Desk, program
from tests.story.otp_desk import (
    DATA_BYTES,
    F746,
    RUNS,
    burns_a_lock_byte_too,
    burnt,
    new,
    otp,
    plug_in,
    refuses,
    speak,
    stores_half,
    stores_nothing,
    write,
)
from updater.doors.otp.console import request_for
from updater.heads.dfu.words import Out, Request, Select
from updater.heads.listener import Transfer
from updater.heads.otp.plan import Patch
from updater.heads.silicon import the_table
from updater.lab.flash import Otp
from updater.lab.record import Power
from updater.lab.rom import Dialect
from updater.lab.shelf import Lab
from updater.story.job import Hands
from updater.story.provision import OtpVisit, find, in_bootloader, perform, prepare
from updater.story.provision import receipt as receipt_of
from updater.story.visit import Subject
from updater.words.errors import Cancelled, DeviceIs, NotFinished, Refused, WrongDevice
from updater.words.events import Emit, Event, Noticed, Progressed, Step, StepDone, StepStarted

SERIAL = "0123456789ABCDEF"
EIGHT = f"0x20:{SERIAL}"


def steps_of(lines: list[dict[str, Any]]) -> list[str]:
    """The steps that were opened, in their order."""
    return list(dict.fromkeys(line["step"] for line in lines if line["type"] == "progress"))


# ---------------------------------------------------------------------------------------------- the story


@pytest.mark.parametrize("dialect", Dialect)
def test_eight_bytes_are_written_to_an_f746_and_nothing_beside_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, dialect: Dialect
) -> None:
    """Show, write, show: the application runs before and after, and no lock byte is touched."""
    speak(monkeypatch, dialect)
    plug_in(desk)
    shown = desk.updater("otp", "show")
    assert shown.exit == 0
    assert "  blocks 0 to 15 (0x0000), open, blank\n" in shown.out
    said = write(desk, EIGHT)
    assert (said.exit, said.last["type"], said.last["result"]) == (0, "otp-receipt", "written")
    assert otp(desk) == new((0x20, SERIAL))
    assert otp(desk)[DATA_BYTES:] == b"\xff" * 16
    assert (said.last["verified"], said.last["wrote_bytes"]) == ("read-back", 8)
    assert said.last["identity"] == "application"
    assert desk.board()["state"] == "application"
    assert desk.holds(RUNS)
    again = desk.updater("otp", "show")
    assert "  block 0 (0x0000), open\n" in again.out
    assert "    0x0020  01 23 45 67 89 AB CD EF FF FF FF FF FF FF FF FF\n" in again.out


def test_other_bytes_in_the_same_place_are_refused_and_nothing_is_sent(desk: Desk) -> None:
    plug_in(desk)
    assert write(desk, EIGHT).exit == 0
    said = write(desk, "0x20:FEDCBA9876543210")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "runs-old")
    assert "holds 0x01 and cannot become 0xFE: a 0 never becomes a 1 again" in said.last["message"]
    assert steps_of(said.lines) == ["enter", "read"]
    assert otp(desk) == new((0x20, SERIAL))
    assert desk.board()["state"] == "application"


def test_the_same_bytes_again_are_nothing_to_do(desk: Desk) -> None:
    plug_in(desk)
    write(desk, EIGHT)
    said = write(desk, EIGHT)
    assert (said.exit, said.last["result"], said.last["wrote_bytes"]) == (0, "nothing-to-do", 0)
    assert [line["type"] for line in said.lines if line["type"] != "progress"] == ["otp-receipt"]


def test_an_h743_is_refused_with_the_reason_before_it_is_sent_anywhere(desk: Desk) -> None:
    desk.plug_in("demo-widget")
    for command in (("otp", "show", "--json"), ("otp", "write", "--hex", EIGHT, "--yes", "--json")):
        said = desk.updater(*command)
        assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "untouched")
        assert "no one-time-programmable memory (ST:169834" in said.last["message"]
        assert len(said.lines) == 1


def test_a_chip_about_whose_otp_no_source_says_anything_is_refused_too(desk: Desk) -> None:
    plug_in(desk, "stm32h563")
    said = desk.updater("otp", "show", "--json")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "no public source says how the OTP memory" in said.last["message"]


def test_the_bytes_around_a_value_keep_what_they_hold(desk: Desk) -> None:
    """An F746 takes eight bytes at a time; five of these belong to somebody else."""
    plug_in(desk)
    burnt(desk, (0x20, "0037"), (0x27, "55"), (DATA_BYTES + 4, "00"))
    said = write(desk, "0x22:AABB")
    assert said.exit == 0
    plan = next(line for line in said.lines if line["type"] == "otp-plan")
    assert plan["send"] == [{"address": "0x1FF0F020", "hex": "ffffaabbffffffff"}]
    assert plan["write"] == [{"offset": 0x22, "old": "ffff", "new": "aabb"}]
    assert otp(desk) == new((0x20, "0037AABB"), (0x27, "55"), (DATA_BYTES + 4, "00"))


def test_several_values_are_one_plan_and_one_question(desk: Desk) -> None:
    plug_in(desk)
    said = write(desk, "0x3FF:77", "16:0102", EIGHT, more=("--yes",))
    assert said.exit == 0
    assert said.err.count("for ever?") == 1
    assert "Burn 11 bytes into this Gizmo for ever? yes" in said.err
    assert "  for ever: this can never be undone\n" in said.err
    assert otp(desk) == new((0x3FF, "77"), (0x10, "0102"), (0x20, SERIAL))
    assert "Done. 11 bytes burnt into the OTP memory of Gizmo at 0x0010, 0x0020, 0x03FF." in said.out
    assert "all 1,040 bytes of the area read back and compared" in said.out


@pytest.mark.parametrize("patch", ["0x400:00", "0x3FC:0011223344", "0x404:00"])
def test_the_lock_bytes_cannot_be_named(desk: Desk, patch: str) -> None:
    plug_in(desk)
    said = write(desk, patch)
    assert (said.exit, len(said.lines)) == (6, 1)
    assert "Lock bytes are not written by this command" in said.last["advice"]
    assert otp(desk) == new()


def test_a_locked_block_is_refused(desk: Desk) -> None:
    plug_in(desk)
    burnt(desk, (DATA_BYTES, "00"))
    said = write(desk, EIGHT)
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "block 0 is locked" in said.last["message"]
    assert otp(desk) == new((DATA_BYTES, "00"))


def test_what_is_not_offset_and_bytes_is_a_usage_error(desk: Desk) -> None:
    said = write(desk, "20=00")
    assert (said.exit, said.last["error"]) == (2, "Usage")


# -------------------------------------------------------------------------------------- before the question


def test_a_no_leaves_the_memory_as_it_is_and_starts_the_application_again(desk: Desk) -> None:
    plug_in(desk)
    said = write(desk, EIGHT, more=())
    assert (said.exit, said.out) == (12, "")
    assert "Burn 8 bytes into this Gizmo for ever? [y/N]" in said.err
    assert otp(desk) == new()
    assert desk.board()["state"] == "application"


def test_a_dry_run_shows_the_plan_and_stops(desk: Desk) -> None:
    plug_in(desk)
    said = write(desk, EIGHT, more=("--dry-run", "--json"))
    assert (said.exit, said.last["result"], said.last["verified"]) == (0, "dry-run", "none")
    assert "otp-plan" in [line["type"] for line in said.lines]
    assert otp(desk) == new()
    assert desk.board()["state"] == "application"


def story(hands: Hands, *patches: Patch, at_the_question: Callable[[], None] = lambda: None) -> OtpVisit:
    """The story below the doors: into the bootloader, read, plan, question, burn, and out again."""
    subject = find(hands, request_for(None, None), patches)
    with in_bootloader(hands, subject, lambda _event: None) as visit:
        plan = prepare(visit, patches)
        at_the_question()
        perform(hands, visit, plan)
    return visit


def interrupted() -> None:
    raise KeyboardInterrupt


def test_a_stop_at_the_question_starts_the_application_again(desk: Desk) -> None:
    plug_in(desk)
    with desk.hands() as hands, pytest.raises(Cancelled) as caught:
        story(hands, Patch(0, b"\0"), at_the_question=interrupted)
    assert caught.value.device_is is DeviceIs.RUNS_OLD
    assert otp(desk) == new()
    assert desk.board()["state"] == "application"


def test_a_memory_that_changed_under_the_question_is_not_written(desk: Desk, labs: list[Lab]) -> None:
    plug_in(desk)

    def somebody_else_burns() -> None:
        memory = labs[-1].boards[0].memory.otp
        assert memory is not None
        memory.contents[5] = 0

    with desk.hands() as hands, pytest.raises(WrongDevice, match="does not hold any more"):
        story(hands, Patch(0, b"\0"), at_the_question=somebody_else_burns)
    assert otp(desk) == new((5, "00"))
    assert desk.board()["state"] == "application"


def test_a_demo_updater_never_burns_a_real_device_nor_sends_one_away(desk: Desk) -> None:
    plug_in(desk)
    with desk.hands(virtual=False) as hands, pytest.raises(Refused, match="never writes to a real device"):
        story(hands, Patch(0, b"\0"), at_the_question=lambda: pytest.fail("it was sent away"))
    assert desk.board()["state"] == "application"
    desk.replug(boot=True)
    asked = []
    with desk.hands(virtual=False) as hands, pytest.raises(Refused, match="never writes to a real device"):
        story(hands, Patch(0, b"\0"), at_the_question=lambda: asked.append(1))
    assert asked, "to look at it is allowed"
    assert otp(desk) == new()


# ------------------------------------------------------------------------------------- devices in their ROM


def test_a_device_found_in_its_bootloader_stays_there(desk: Desk) -> None:
    plug_in(desk, in_rom=True)
    said = write(desk, EIGHT)
    assert (said.exit, said.last["result"], said.last["identity"]) == (0, "written", "header")
    assert said.last["device"]["mode"] == "rom"
    assert steps_of(said.lines) == ["enter", "read", "write", "verify"]
    assert desk.board()["state"] == "rom"
    assert otp(desk) == new((0x20, SERIAL))


def test_a_stranger_needs_to_be_named_and_the_receipt_says_so(desk: Desk) -> None:
    desk.sells(F746)
    desk.plug_in_gizmo(F746, None)
    said = write(desk, EIGHT)
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert "--as PRODUCT" in said.last["advice"]
    said = write(desk, EIGHT, more=("--as", "gizmo", "--yes", "--json"))
    assert (said.exit, said.last["result"], said.last["identity"]) == (0, "written", "person")
    said = write(desk, "0:00", more=("--as", "gizmo", "--dry-run"))
    assert "identity: not proven; you said which product this is" in said.err


def test_a_chip_that_the_named_product_is_not_made_with_is_refused(desk: Desk) -> None:
    desk.sells("stm32f405")
    desk.plug_in_gizmo(F746, None)
    said = write(desk, EIGHT, more=("--as", "gizmo", "--yes", "--json"))
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert otp(desk) == new()


def test_a_product_that_cannot_be_sent_into_its_bootloader_says_how_a_person_does_it(desk: Desk) -> None:
    plug_in(desk)
    desk.sells(F746, ways=[])
    said = desk.updater("otp", "show", "--json")
    assert (said.exit, said.last["device_is"]) == (8, "runs-old")
    assert said.last["advice"].startswith("Hold BOOT while you plug it in.")
    desk.replug(boot=True)
    assert desk.updater("otp", "show").exit == 0


# ------------------------------------------------------------------------------------- by name and by address


class Ear:
    """Listens to what goes over the bus."""

    def __init__(self) -> None:
        self.selected: list[int] = []
        self.written: list[tuple[int, bytes]] = []

    def opened(self, *_of: Any) -> None: ...
    def begins(self, *_of: Any) -> None: ...
    def failed(self, *_of: Any) -> None: ...

    def transferred(self, transfer: Transfer) -> None:
        if isinstance(transfer.wish, Select):
            self.selected.append(transfer.wish.alternate)
        elif isinstance(transfer.wish, Out) and transfer.wish.request == Request.DNLOAD:
            self.written.append((transfer.wish.value, transfer.wish.data))


def burn_and_listen(desk: Desk, patch: Patch) -> tuple[Ear, int | None]:
    """What was said on the bus, and the alternate setting that was used."""
    ear = Ear()
    with desk.hands() as hands:
        hands.bus.listener = ear
        return ear, story(hands, patch).worker.alternate


def test_the_alternate_of_the_otp_memory_is_selected_and_the_flash_again_before_the_start(desk: Desk) -> None:
    plug_in(desk)
    ear, alternate = burn_and_listen(desk, Patch(0x20, bytes.fromhex(SERIAL)))
    assert alternate == 2
    assert ear.selected == [0, 2, 0]
    blocks = [(block, data) for block, data in ear.written if block >= 2]
    assert blocks == [(2, bytes.fromhex(SERIAL))], "one download, of the wanted bytes alone"


@pytest.mark.parametrize("chip", ["stm32f405", "stm32l476"])
def test_where_the_rom_names_no_otp_memory_it_is_reached_by_its_address(desk: Desk, chip: str) -> None:
    """AN2606 section 4.4 lists it as writable; the L4's ROM goes by the address alone."""
    plug_in(desk, chip)
    row = the_table().by_id(chip)
    assert row is not None
    desk.chip_is(chip, alternates=row.alternates.value[:2])
    ear, alternate = burn_and_listen(desk, Patch(8, bytes.fromhex(SERIAL)))
    assert alternate is None
    assert ear.selected == [0]
    assert otp(desk)[8:16] == bytes.fromhex(SERIAL)
    assert otp(desk).count(0xFF) == len(otp(desk)) - 8


def test_a_g0b1_whose_alternates_carry_one_name_is_reached_by_its_address(desk: Desk) -> None:
    plug_in(desk, "stm32g0b1")
    said = write(desk, f"8:{SERIAL}")
    assert said.exit == 0
    assert next(line for line in said.lines if line["type"] == "otp-plan")["alternate"] is None
    assert otp(desk) == new((8, SERIAL), size=1024)


def test_on_an_ecc_chip_a_unit_is_written_a_single_time(desk: Desk) -> None:
    plug_in(desk, "stm32g474")
    said = write(desk, "0x12:AABB", more=("--yes",))
    assert said.exit == 0
    assert "4 bytes at 0x0014 stay blank and can never be written after this" in said.err
    said = write(desk, "0x14:CC")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "were written before" in said.last["message"]
    assert otp(desk) == new((0x12, "AABB"), size=1024)


def test_a_bootloader_that_puts_its_otp_memory_elsewhere_is_refused(desk: Desk) -> None:
    plug_in(desk, "stm32l552")
    said = write(desk, "0:00")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "0x1FFF7000" in said.last["message"]
    assert "0x0BFA0000" in said.last["message"]


# -------------------------------------------------------------------------------------------- what goes wrong


def transfers_of_a_write(desk: Desk) -> int:
    plug_in(desk)
    said = write(desk, EIGHT, "0x80:77")
    assert said.exit == 0
    desk.updater("lab", "remove", "board1")
    return int(said.last["control_transfers"])


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.faults)])
@pytest.mark.parametrize("power", Power)
def test_a_cable_pulled_at_any_transfer_is_made_good_by_the_same_command(
    desk: Desk, power: Power, every: int
) -> None:
    """Two values in two downloads, cut at every single transfer. The flash is as it was all along."""
    whole = new((0x20, SERIAL), (0x80, "77"))
    seen = set()
    for at in range(1, transfers_of_a_write(desk) + 1, every):
        plug_in(desk, power=power)
        desk.fault("cut-after", at)
        said = write(desk, EIGHT, "0x80:77")
        desk.fault("none")  # the last transfers are no class requests, which a fault counts
        held = otp(desk)
        assert held in (new(), new((0x20, SERIAL)), whole), at
        assert said.exit in (0, 8, 9, 10), (at, said.out)
        if said.exit == 8:
            assert held == new(), at
        if said.exit in (8, 9):
            assert "same command" in said.last["advice"]
        if said.exit == 10:
            assert (held, said.last["result"]) == (whole, "written-not-confirmed")
        seen.add(said.exit)
        again = write(desk, EIGHT, "0x80:77")
        assert again.exit == 0, (at, said.out, again.out)
        assert otp(desk) == whole, at
        assert desk.holds(RUNS)
        desk.updater("lab", "remove", "board1")
    assert {8, 9} <= seen


@pytest.mark.parametrize(
    ("kind", "exits"), [("stall-at", {0, 6, 8, 9, 10}), ("status-at", {0, 6, 8, 9, 10, 11})]
)
def test_a_stall_or_an_error_status_at_any_transfer_is_survived(
    desk: Desk, kind: str, exits: set[int]
) -> None:
    for at in range(1, transfers_of_a_write(desk) + 1, 6):
        plug_in(desk)
        desk.fault(kind, at)
        said = write(desk, EIGHT, "0x80:77")
        desk.fault("none")
        assert said.exit in exits, (at, said.out)
        if said.exit:
            again = write(desk, EIGHT, "0x80:77")
            assert again.exit == 0, (at, said.out, again.out)
        assert otp(desk) == new((0x20, SERIAL), (0x80, "77")), at
        desk.updater("lab", "remove", "board1")


@pytest.mark.parametrize("dialect", Dialect)
def test_otp_that_the_bootloader_does_not_show_is_not_called_protected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, dialect: Dialect
) -> None:
    """The row knows where the memory is; whether this ROM reaches it, only the ROM can tell."""
    speak(monkeypatch, dialect)
    plug_in(desk, "stm32g0b1")
    desk.chip_is("stm32g0b1", otp=None)
    (desk.lab / "board1" / "otp.bin").write_bytes(b"")
    said = write(desk, f"8:{SERIAL}")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "runs-old")
    assert "does not let the OTP memory at 0x1FFF7000 be read" in said.last["message"]


@pytest.mark.parametrize(
    ("program_otp", "exit", "error", "words"),
    [
        (burns_a_lock_byte_too, 9, "NotFinished", "lock byte 3 holds 0x12, not 0xFF"),
        (stores_half, 9, "NotFinished", "offset 0x0024 holds 0xFF, not 0x89"),
        (stores_nothing, 11, "Protected", "stored none of them"),
        (refuses, 11, "Protected", "refused the bytes, and nothing was written"),
    ],
)
def test_a_rom_that_burns_otherwise_than_told_is_found_by_reading_the_whole_area_back(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    program_otp: Callable[..., Any],
    exit: int,
    error: str,
    words: str,
) -> None:
    plug_in(desk)
    monkeypatch.setattr(Otp, "program", program_otp)
    said = write(desk, EIGHT, "0x80:77")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (exit, error, "runs-old")
    assert words in said.last["message"]
    assert otp(desk)[0x80] == 0xFF, "the second value was not sent any more"
    spoilt = "cannot be undone" in said.last["advice"]
    assert spoilt == (program_otp is burns_a_lock_byte_too)


def test_a_stop_between_two_values_is_not_finished_and_the_same_command_finishes_it(desk: Desk) -> None:
    plug_in(desk)
    patches = [Patch(0, b"\1"), Patch(64, b"\2")]

    def stops_after_the_first(event: Event) -> None:
        if isinstance(event, Progressed) and event.step is Step.WRITE and event.done == 8:
            raise KeyboardInterrupt

    with desk.hands() as hands:
        subject = find(hands, request_for(None, None), patches)
        with pytest.raises(NotFinished, match="it was stopped") as caught:
            burn_until(hands, subject, patches, stops_after_the_first)
    assert caught.value.device_is is DeviceIs.RUNS_OLD
    assert "same command" in caught.value.advice
    assert otp(desk)[64] == 0xFF
    assert write(desk, "0:01", "64:02").exit == 0
    assert otp(desk) == new((0, "01"), (64, "02"))


def burn_until(hands: Hands, subject: Subject, patches: list[Patch], emit: Emit) -> None:
    with in_bootloader(hands, subject, emit) as visit:
        perform(hands, visit, prepare(visit, patches))


@pytest.mark.parametrize("refuses_pointer", [False, True])
@pytest.mark.parametrize("dialect", Dialect)
def test_a_read_protected_device_is_not_written_and_runs_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, refuses_pointer: bool
) -> None:
    """AN3156 and Betaflight's configurator disagree about the pointer. ST's library names no reason."""
    speak(monkeypatch, dialect)
    plug_in(desk)
    desk.rom_does(protected_refuses_pointer=refuses_pointer)
    desk.lock(reading=True)
    said = write(desk, EIGHT)
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert "read-out protection is on" in said.last["message"]
    assert otp(desk) == new()
    assert desk.board()["state"] == "application"


def test_an_application_that_does_not_come_back_is_said_and_the_bytes_are_in_place(desk: Desk) -> None:
    plug_in(desk)
    desk.fault("no-leave")
    said = write(desk, EIGHT)
    assert (said.exit, said.last["result"], said.last["verified"]) == (
        10,
        "written-not-confirmed",
        "read-back",
    )
    assert "Unplug the device and plug it in again" in said.err
    assert otp(desk) == new((0x20, SERIAL))


# ----------------------------------------------------------------------------------------------- what is said


def test_the_steps_keep_the_law_of_events(desk: Desk) -> None:
    """As in updater/words/events.py: write and verify are open together, everything else by itself."""
    plug_in(desk)
    events: list[Event] = []
    with desk.hands() as hands:
        subject = find(hands, request_for(None, None), [Patch(0, b"\0"), Patch(64, b"\0")])
        with in_bootloader(hands, subject, events.append) as visit:
            plan = prepare(visit, [Patch(0, b"\0"), Patch(64, b"\0")])
            perform(hands, visit, plan)
        done = receipt_of(hands, visit, plan)
    assert not any(isinstance(event, Noticed) for event in events)
    totals: dict[Step, int | None] = {}
    moved: dict[Step, int] = {}
    closed: list[Step] = []
    for event in events:
        if isinstance(event, StepStarted):
            assert set(totals) - set(closed) <= {Step.WRITE}
            totals[event.step], moved[event.step] = event.total, 0
        elif isinstance(event, Progressed):
            assert moved[event.step] <= event.done <= (totals[event.step] or 0)
            moved[event.step] = event.done
        elif isinstance(event, StepDone):
            assert totals[event.step] in (None, moved[event.step])
            closed.append(event.step)
    wanted = [Step.ENTER, Step.READ, Step.WRITE, Step.VERIFY, Step.LEAVE, Step.CONFIRM]
    assert closed == wanted == [step for step, _ in done.steps]
    assert (totals[Step.READ], totals[Step.WRITE], totals[Step.VERIFY]) == (1040, 16, 2080)


def test_the_receipt_is_kept_and_neither_it_nor_a_support_report_holds_the_bytes(desk: Desk) -> None:
    plug_in(desk)
    said = write(desk, EIGHT)
    (path,) = desk.state.glob("*/receipts/*-gizmo-otp.json")
    kept = json.loads(path.read_text("utf-8"))
    assert kept == said.last
    digest = "55c53f5d490297900cefa825d0c8e8e9532ee8a118abe7d8570762cd38be9818"  # sha256sum of the 8 bytes
    assert kept["write"] == kept["asked"] == [{"offset": 32, "length": 8, "sha256": digest}]
    report = desk.updater("report").out
    assert "otp-receipt" in report
    assert not re.search(SERIAL, report + path.read_text("utf-8"), re.IGNORECASE)


def test_show_tells_programs_every_byte_and_every_lock(desk: Desk) -> None:
    plug_in(desk)
    burnt(desk, (0x40, "0102"), (DATA_BYTES + 1, "00"), (DATA_BYTES + 2, "7F"))
    said = desk.updater("otp", "show", "--json")
    line = said.last
    assert (said.exit, line["type"], line["alternate"]) == (0, "otp", 2)
    assert (line["address"], line["bytes"], line["block_bytes"]) == ("0x1FF0F000", 1024, 64)
    assert line["device"]["mode"] == "application"
    assert [block["lock"] for block in line["blocks"]] == ["open", "locked", "unclear", *["open"] * 13]
    assert line["blocks"][1] == {"offset": 64, "hex": "0102" + "ff" * 62, "lock": "locked"}
    assert line["locks"] == "ff007f" + "ff" * 13


def test_an_update_goes_through_after_otp_was_written(desk: Desk) -> None:
    """Neither command leaves anything behind that is in the other's way."""
    plug_in(desk)
    assert write(desk, EIGHT).exit == 0
    newer = program("1.1.0")
    assert desk.install(desk.bundle(newer)).exit == 0
    assert desk.holds(newer)
    assert otp(desk) == new((0x20, SERIAL))
