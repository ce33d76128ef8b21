"""What support gets to see: a report without secrets, and a failed update that can be gone through again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.silicon.replay import Replay
from updater import __version__
from updater.hands.host import Home, load_home, today
from updater.hands.store import MOST_TRANSCRIPTS, Store, open_store, without_home
from updater.heads.dfu.scripts import (
    Pace,
    detach,
    erase,
    go_to_idle,
    read,
    read_if_allowed,
    select,
    set_address,
    set_device_feature,
)
from updater.heads.dfu.words import In, Out, Request, Script, Stalled, WireError
from updater.heads.drivers import NoDriversNeeded
from updater.heads.listener import Transfer
from updater.heads.recording import VERBATIM_BYTES, Digest, Part, Recording, format_recording, parse_recording
from updater.heads.silicon import the_table
from updater.story.checkup import Surroundings
from updater.story.dossier import as_text, report_parts
from updater.story.transcript import Transcript
from updater.words.errors import UsbFailed
from updater.words.facts import DeviceFacts

GADGET = "demo-gadget"
FIRST_SECTOR = 0x0800_0000


def fail_an_update(desk: Desk) -> None:
    """The first erase never ends."""
    desk.plug_in(GADGET)
    desk.fault("stick-busy-at", FIRST_SECTOR)
    said = desk.install(desk.published.link(GADGET))
    assert said.exit == 9, said.out


@pytest.fixture
def empty_desk(desk: Desk) -> Desk:
    """A desk whose device was unplugged."""
    desk.plug_in(GADGET)
    assert desk.updater("lab", "unplug", "board1").exit == 0
    return desk


def surroundings(home: Home, store: Store, look: Callable[[], list[DeviceFacts]]) -> Surroundings:
    """A computer of the lab, far from any network."""
    return Surroundings(
        home=home, store=store, look=look, now=today(), drivers=NoDriversNeeded(), site=None, virtual=True
    )


def transcript(desk: Desk, folder: Path) -> Recording:
    file = folder / "transcript.toml"
    said = desk.updater("report", "--transcript", str(file))
    assert said.exit == 0, said.err
    return parse_recording(file.read_text("utf-8"))


def script_of(part: Part) -> Script[object]:
    """The script that was run, with what it was about."""
    row = the_table().by_id("stm32f405")
    assert row is not None
    pace: Pace = the_table().behaviour(row, rom_version=0x91, revision="1").pace
    told = (step.data for step in part.steps if step.request == "DNLOAD")
    sent = [bytes.fromhex(data) for data in told if isinstance(data, str)]
    address = int.from_bytes(sent[0][1:5], "little") if sent else 0
    length = sum(bytes_in(step.answer) for step in part.steps if step.request == "UPLOAD")
    scripts: dict[str, Script[object]] = {
        "go_to_idle": go_to_idle(pace.may_stick),
        "flash_selected": select(0),
        "detach": detach(part.steps[0].value),
        "read": read(address, length, pace),
        "read_if_allowed": read_if_allowed(address, length, pace),
        "set_device_feature": set_device_feature(address, sent[-1][0] if sent else 0, pace),
        "erase": erase(address, row.erase_max_ms.value, pace.polling),
    }
    return scripts[part.name]


def bytes_in(told: str | Digest | None) -> int:
    return told.bytes if isinstance(told, Digest) else len((told or "").split())


def replayed(parts: Sequence[Part]) -> list[str | None]:
    """How each script ends when the recorded device answers it."""
    ends: list[str | None] = []
    for part in parts:
        replay = Replay(part.steps)
        try:
            replay.run(script_of(part))
            ends.append(None)
        except WireError as error:
            ends.append(f"{type(error).__name__}: {error}")
        assert replay.is_over, part.name
    return ends


def test_the_transcript_of_a_failed_update_fails_our_scripts_in_the_same_way(
    desk: Desk, tmp_path: Path
) -> None:
    fail_an_update(desk)

    kept = transcript(desk, tmp_path)
    ends = replayed(kept.part)

    assert ends == [part.failed for part in kept.part]
    assert kept.part[-1].name == "erase"
    assert ends[-1] is not None
    assert ends[-1].startswith("TimedOut: the bootloader was still busy")
    assert ends[:-1] == [None] * (len(ends) - 1)


def test_a_transcript_says_which_device_it_was_and_how_the_update_ended(desk: Desk, tmp_path: Path) -> None:
    fail_an_update(desk)

    kept = transcript(desk, tmp_path)

    assert kept.host == f"updater {__version__}"
    assert kept.failed is not None
    assert kept.failed.startswith("NotFinished: the update was cut off")
    rom = kept.device[-1]
    assert (rom.usb, rom.bcd_device, rom.transfer_size) == ("0483:df11", 0x2200, 2048)
    assert rom.alternates[0] == "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg"
    assert parse_recording(format_recording(kept)) == kept


def test_of_the_memory_that_was_read_a_transcript_holds_no_bytes(desk: Desk, tmp_path: Path) -> None:
    fail_an_update(desk)

    steps = [step for part in transcript(desk, tmp_path).part for step in part.steps]

    looked_at = 2 * 4 * 1024 // 2048  # of both sectors the first 4 KiB, in blocks
    assert sum(isinstance(step.answer, Digest) for step in steps) >= looked_at
    told = [one for step in steps for one in (step.data, step.answer) if isinstance(one, str)]
    assert max(len(one.split()) for one in told) <= VERBATIM_BYTES


def test_an_update_that_goes_well_leaves_no_transcript(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in(GADGET)
    assert desk.install(desk.published.link(GADGET)).exit == 0

    said = desk.updater("report", "--transcript", str(tmp_path / "none.toml"))

    assert said.exit == 2
    assert "no transcript" in said.err
    assert not (tmp_path / "none.toml").exists()


def test_an_update_that_was_not_confirmed_leaves_one(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in(GADGET)
    desk.fault("no-leave")
    assert desk.install(desk.published.link(GADGET)).exit == 10

    kept = transcript(desk, tmp_path)

    assert kept.failed == "the application did not come back with the expected version"
    assert kept.part[-1].name == "leave"


def test_the_report_tells_of_program_device_receipts_and_transcripts(desk: Desk) -> None:
    desk.plug_in(GADGET, name="good")
    assert desk.install(desk.published.link(GADGET)).exit == 0
    desk.updater("lab", "remove", "good")
    fail_an_update(desk)

    said = desk.updater("report")

    assert said.exit == 0
    assert f"updater     {__version__}" in said.out
    assert load_home().vendor.name in said.out
    assert re.search(r"^Python +3\.\d+", said.out, re.MULTILINE)
    devices = [line for line in said.out.splitlines() if line.startswith('{"type": "device"')]
    assert [json.loads(line)["usb"] for line in devices] == ["0483:df11"]
    assert '"result": "confirmed"' in said.out
    assert "still busy" in said.out
    assert said.out.startswith("Support report")


def test_the_report_goes_into_a_file_and_the_screen_says_where(empty_desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"

    said = empty_desk.updater("report", "--output", str(file))

    assert said.exit == 0
    assert str(file) in said.out
    text = file.read_text("utf-8")
    assert "None." in text  # no device
    assert "No update has failed." in text


def test_a_report_for_programs_is_one_json_line(empty_desk: Desk) -> None:
    said = empty_desk.updater("report", "--json")

    assert [line["type"] for line in said.lines] == ["report"]
    assert said.last["file"] is None
    assert said.last["text"].startswith("Support report")


def test_a_file_that_cannot_be_written_is_said(empty_desk: Desk, tmp_path: Path) -> None:
    said = empty_desk.updater("report", "--output", str(tmp_path / "missing" / "report.txt"))

    assert said.exit == 13
    assert "Cannot write" in said.err


def test_a_computer_whose_usb_fails_still_gets_its_report(desk: Desk) -> None:
    def look() -> list[DeviceFacts]:
        raise UsbFailed("the libusb library cannot be loaded")

    home = load_home()
    with open_store(desk.state, home.embedded_root) as store:
        text = as_text(report_parts(surroundings(home, store, look)))

    assert "They could not be asked: the libusb library cannot be loaded" in text


@pytest.mark.parametrize(
    ("home", "text", "clean"),
    [
        ("/home/ada", "cannot write /home/ada/state/x: full", "cannot write ~/state/x: full"),
        ("/home/ada", '{"file": "/home/ada"}', '{"file": "~"}'),
        ("/home/ada", "/home/adam/x", "/home/adam/x"),
        (r"C:\Users\Ada", r'"C:\\Users\\Ada\\x"', r'"~\\x"'),
        (r"C:\Users\Ada", r"C:\Users\Ada\x", r"~\x"),
        ("/", "/dev/null", "/dev/null"),
    ],
)
def test_no_name_of_a_home_folder_leaves_this_account(
    home: str, text: str, clean: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path(home))

    assert without_home(text) == clean


def test_only_the_newest_transcripts_are_kept(tmp_path: Path) -> None:
    with open_store(tmp_path, b"root") as store:
        for number in range(MOST_TRANSCRIPTS + 3):
            store.keep_transcript(f"20260101-0000{number:02}", f"# {number}\n")

        names = [name for name, _text in store.transcripts(99)]

    assert names == [f"20260101-0000{number:02}" for number in range(MOST_TRANSCRIPTS + 2, 2, -1)]


def test_a_long_update_is_remembered_by_its_last_transfers() -> None:
    heard = Transcript(most=3)
    heard.begins("0483:df11", "read", 100.0)
    for block in range(5):
        upload = In(Request.UPLOAD, block, 2)
        heard.transferred(Transfer(upload, b"\x01\x02", None, 100.0 + block, 100.5 + block))

    kept = heard.recording(title="t", source="s", failed=None)

    assert kept.dropped == 2
    assert [step.value for step in kept.part[0].steps] == [2, 3, 4]


def test_a_transcript_tells_waits_times_and_errors() -> None:
    heard = Transcript()
    heard.begins("0483:df11", "set_address", 1_000.0)
    download = Out(Request.DNLOAD, 0, bytes.fromhex("2100000008"))
    heard.transferred(Transfer(download, b"", None, 1_000.0, 1_001.0))
    stalled = Stalled("the device refused a request")
    heard.transferred(Transfer(In(Request.GETSTATUS, 0, 6), b"", stalled, 1_101.0, 1_102.5))
    heard.failed(stalled)

    (part,) = heard.recording(title="t", source="s", failed=None).part

    sent, asked = part.steps
    assert (sent.data, sent.after_ms, sent.ms) == ("21 00 00 00 08", None, 1.0)
    assert (asked.answer, asked.length, asked.error, asked.after_ms, asked.ms) == (
        None,
        6,
        "stalled",
        100.0,
        1.5,
    )
    assert part.failed == "Stalled: the device refused a request"
    with pytest.raises(Stalled):
        Replay(part.steps).run(set_address(FIRST_SECTOR))
