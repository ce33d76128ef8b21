"""One file to mail, and nothing of a person in it: a state folder full of names, in every spelling."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.desk import Desk
from tests.story.journals import widget_journal
from updater.hands import logbook
from updater.hands.crash import keep_crash
from updater.hands.host import Owner
from updater.hands.store import open_store
from updater.story import dossier

OWNER = Owner(
    people=("lovelace", "Ada Lovelace"),
    computers=("analytical-engine", "BYRONDOM"),
    homes=("/home/lovelace", r"C:\Users\Ada Lovelace"),
)
NEEDLES = (
    "lovelace",
    "analytical-engine",
    "byrondom",
    "big customer",
    "secret",
    "ada@",
    "192.168.7",
    "c0:ff",
)


def spellings() -> list[str]:
    """What has been seen in messages of operating systems, libraries and files."""
    unix, windows = "/home/lovelace/Big Customer/x.fwb", r"C:\Users\Ada Lovelace\Big Customer\x.fwb"
    names = ["lovelace", "Ada Lovelace", "ADA LOVELACE", "lovelace@analytical-engine", r"BYRONDOM\lovelace"]
    paths = [
        *(unix, unix.upper(), f"file://{unix}", quote(unix), f"file://{quote(unix)}"),
        *(windows, windows.lower(), windows.replace("\\", "/"), windows.replace("\\", "\\\\")),
        *(windows.replace("\\", r"\u005c"), quote(windows), json.dumps(json.dumps(windows))),
        *("file:///C:/Users/Ada%20Lovelace/Big%20Customer/x.fwb", r"C:\Users\LOVELA~1\x.fwb"),
        *(r"\\analytical-engine\secret\x.fwb", "//analytical-engine/secret/x.fwb"),
        *("/media/lovelace/secret/x.fwb", "/srv/Big Customer/secret/x.fwb", r"E:\Big Customer\secret\x.fwb"),
        *("/var/folders/Big Customer/x.fwb", r"\\?\C:\Users\Ada Lovelace\x.fwb"),
    ]
    others = ["ada@lovelace.example", "ada%40lovelace.example", "c0:ff:ee:00:11:22"]
    return [*names, *paths, *others, "https://lovelace:secret@192.168.7.5/x"]


def leak(state: Path, desk: Desk) -> None:
    """Everything that a report takes from the state folder, full of them."""
    said = spellings()
    with open_store(state, (desk.published.vendor.folder / "vendor" / "root.json").read_bytes()) as store:
        store.keep_receipt("20260101-000000-demo-widget-1.1.0", {"type": "receipt", "notes": said})
        store.keep_transcript("20260101-000000-demo-widget", "".join(f"# {one}\n" for one in said))
        store.keep_journal(widget_journal(f"1.0.0 of {said[0]}"))
    for one in said:
        logbook.note(state, f"install: StorageFailed: cannot write {one}: no space left")
        logbook.note(state, json.dumps({"file": one}))
    keep_crash(OSError(28, " ".join(said)), state=str(state))
    (logbook.log_folder(state) / "lovelace-window.log").write_text("\n".join(said), "utf-8")


@pytest.fixture
def leaking(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk.plug_in()
    assert desk.updater("lab", "unplug", "board1").exit == 0
    leak(desk.state, desk)
    monkeypatch.setattr(dossier, "owner", lambda: OWNER)
    return desk


def found_in(text: str) -> list[str]:
    return [f"{needle}: {line}" for line in text.lower().splitlines() for needle in NEEDLES if needle in line]


def test_nothing_of_a_person_is_in_the_file_that_is_mailed(leaking: Desk, tmp_path: Path) -> None:
    file = tmp_path / "report.zip"

    assert leaking.updater("report", "--output", str(file)).exit == 0

    with zipfile.ZipFile(file) as archive:
        assert {"logs/updater.log", "unfinished.jsonl", "doctor.json"} <= set(archive.namelist())
        for name in archive.namelist():
            assert found_in(name) == []
            assert found_in(archive.read(name).decode()) == [], name
        log = archive.read("logs/updater.log").decode()
        (crash,) = (archive.read(name).decode() for name in archive.namelist() if name.startswith("crashes/"))
    assert "OSError: [Errno 28]" in crash
    assert log.count("StorageFailed: cannot write ") == len(spellings())  # the rest of it is still there


def test_nor_is_it_in_the_text_on_the_screen(leaking: Desk) -> None:
    said = leaking.updater("report")

    assert said.exit == 0
    assert found_in(said.out) == []


def test_what_is_inside_is_said_before_the_file_is_written(leaking: Desk, tmp_path: Path) -> None:
    """Also where writing fails."""
    said = leaking.updater("report", "--output", str(tmp_path / "missing" / "report.zip"))

    assert said.exit == 13
    assert f"This goes into {tmp_path / 'missing' / 'report.zip'}:" in said.err
    for name in (
        "system.txt",
        "doctor.json",
        "devices.jsonl",
        "receipts/",
        "transcripts/",
        "logs/updater.log",
    ):
        assert name in said.err


def test_a_program_is_told_each_file_with_its_size(leaking: Desk, tmp_path: Path) -> None:
    file = tmp_path / "report.zip"

    (line,) = leaking.updater("report", "--output", str(file), "--json").lines

    with zipfile.ZipFile(file) as archive:
        inside = {one.filename: one.file_size for one in archive.infolist()}
    assert (line["type"], line["file"], line["text"]) == ("report", str(file), None)
    assert {one["name"]: one["bytes"] for one in line["inside"]} == inside


def test_a_name_that_ends_in_txt_gets_one_text_as_before(leaking: Desk, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"

    assert leaking.updater("report", "--output", str(file)).exit == 0

    assert not zipfile.is_zipfile(io.BytesIO(file.read_bytes()))
    assert file.read_text("utf-8").startswith("Support report")


def test_a_command_that_fails_is_in_the_log_with_its_error(desk: Desk) -> None:
    desk.plug_in()
    desk.state.mkdir()
    assert desk.updater("install", "9.9.9").exit == 6

    ((name, text),) = logbook.logs(desk.state)

    assert name == "updater.log"
    assert "install: NoSuchRelease: Demo Instruments does not offer version 9.9.9" in text


def test_a_log_keeps_its_end_and_not_more_than_it_may(tmp_path: Path) -> None:
    for number in range(3_000):
        logbook.note(tmp_path, f"install: UsbFailed: number {number:05} {'.' * 40}")

    ((_, text),) = logbook.logs(tmp_path)

    assert len(text) <= logbook.MOST_BYTES
    assert "number 02999" in text
    assert (logbook.log_folder(tmp_path) / "updater.log").stat().st_size < 2 * logbook.MOST_BYTES


def test_without_a_state_folder_no_log_is_begun(tmp_path: Path) -> None:
    logbook.note(tmp_path / "state", "install: Usage: no")

    assert not (tmp_path / "state").exists()
