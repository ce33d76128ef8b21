"""The support report: what a vendor's support wants to see before it asks a second question.

Several small texts in one zip, or one after the other as one text. They tell of the program, the doctor's
diagnosis, the devices, the last receipts, what was said with devices whose update failed, and the log of
failures. They hold no keys and no contents of memory; names of people and computers, and folders, are taken
out of each (`redaction`).
"""

from __future__ import annotations

import io
import json
import platform
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from updater import __version__
from updater.hands import logbook
from updater.hands.crash import MOST_REPORTED, crashes
from updater.hands.host import Home, is_frozen, owner, today
from updater.hands.store import Store
from updater.heads.recording import VERBATIM_BYTES
from updater.heads.redaction import Redactor
from updater.heads.report import device_line, diagnosis_line
from updater.story.checkup import Surroundings, examine_at
from updater.words.errors import StorageFailed, UpdaterError, Usage

RECEIPTS, TRANSCRIPTS = 5, 3
"""How many go into one report, newest first."""
_KEPT_WORDS = ("updater", "device", "devices", "root", "user", "admin", "administrator", "public", "system")
"""Account names that are nobody's, and words of ours: an account "device" must not blot out every device."""

INSIDE = f"""\
Support report

It holds: the version of the updater and of this computer's system; what `updater doctor` says; the devices
that are connected, with their serial numbers, but of all other USB devices only how many there are; updates
that were not finished; the last {RECEIPTS} receipts; what was said with the device in the last {TRANSCRIPTS}
updates that failed; the last {MOST_REPORTED} faults of the updater itself; the log of failures.
It does not hold: keys or passwords; names of people, accounts and computers, e-mail and network addresses,
and folders, as far as the updater recognises them (<user>, <computer>, <e-mail>, <address>, <folder> and ~
stand in their places); what is in a device's memory, but for single words of up to {VERBATIM_BYTES}
bytes that tell which chip and product it is (of each larger block only its length and a part of its
SHA-256).
Read it before you send it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a report."""

    name: str
    text: str


def report_parts(where: Surroundings) -> tuple[Part, ...]:
    """The whole report. Devices that cannot be asked are told of in their place; nothing is raised."""
    store, home = where.store, where.home
    line = diagnosis_line(examine_at(where))
    parts = [
        Part("README.txt", INSIDE + "\n"),
        Part("system.txt", _lines(_system(home))),
        Part("doctor.json", json.dumps(line, ensure_ascii=False, indent=1) + "\n"),
        Part("devices.jsonl", _lines(_devices(where))),
        Part("unfinished.jsonl", _lines(_unfinished(store))),
        *_kept("receipts", ".json", store.receipts(RECEIPTS), "No update was done in this account."),
        *_kept("transcripts", ".toml", store.transcripts(TRANSCRIPTS), "No update has failed."),
        *_kept("crashes", "", crashes(store.folder.parent), "The updater itself has not failed."),
        *_kept("logs", "", logbook.logs(store.folder.parent), "No command has failed."),
    ]
    clean = _redactor(home).clean
    return tuple(Part(clean(part.name), clean(part.text)) for part in parts)


def _redactor(home: Home) -> Redactor:
    names, vendor = owner(), home.vendor
    ours = {word for one in vendor.products for word in (one.id, *one.title.split())}
    return Redactor(
        people=names.people,
        computers=names.computers,
        homes=names.homes,
        keep={*_KEPT_WORDS, *vendor.name.split(), *ours},
    )


def as_text(parts: Sequence[Part]) -> str:
    """The report as one text, for the screen."""
    first, *rest = parts
    blocks = [first.text.rstrip(), *(f"==== {part.name}\n{part.text.rstrip()}" for part in rest)]
    return "\n\n".join(blocks) + "\n"


def as_zip(parts: Sequence[Part]) -> bytes:
    """The report as one file to mail. Its times are of the ZIP format's first day: they say nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(zipfile.ZipInfo(part.name), part.text.encode(), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def newest_transcript(store: Store) -> str:
    """What was said in the last update that failed, as a recording. Raises `Usage` where there is none."""
    for _name, text in store.transcripts(1):
        return text
    raise Usage(
        "there is no transcript: no update of this account has failed with a device open",
        advice="Run the command that fails, and then this one again. `updater report` works without.",
    )


def write_report(path: Path, data: bytes) -> None:
    """Raises `StorageFailed`."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {path}: {error.strerror}",
            advice="Choose another place with --output or --transcript.",
        ) from error


def _system(home: Home) -> Iterator[str]:
    yield f"updater     {__version__} ({'executable' if is_frozen() else 'Python package'})"
    yield f"vendor      {home.vendor.name} ({home.vendor.kind})"
    yield f"products    {_products(home)}"
    yield f"system      {platform.platform()}"
    yield f"Python      {platform.python_version()}"
    yield f"made        {today():%Y-%m-%d %H:%M:%S} UTC"


def _products(home: Home) -> str:
    """Whether they came with the program, or of which signed catalogue they are."""
    if home.doubt:
        return f"as they came with the program. {home.doubt}"
    if home.own is None:
        return "as they came with the program"
    return f"catalogue {home.vendor.catalogue_version}; {home.own.catalogue_version} came with the program"


def _devices(where: Surroundings) -> Iterator[str]:
    try:
        found = where.look()
    except UpdaterError as error:
        yield f"They could not be asked: {error.message}"
        return
    for facts in found:
        yield json.dumps(device_line(facts), ensure_ascii=False)
    if not found:
        yield "None."


def _unfinished(store: Store) -> Iterator[str]:
    for one in store.journals():
        told = {"product": one.product, "hardware": one.hardware, "chip": one.chip, "port": one.port}
        yield json.dumps(told | {"from": one.from_version, "manifest_sha256": one.manifest_sha256})
    if not store.journals():
        yield "None."


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _kept(folder: str, suffix: str, texts: Sequence[tuple[str, str]], otherwise: str) -> Iterator[Part]:
    for name, text in texts:
        yield Part(f"{folder}/{name}{suffix}", text)
    if not texts:
        yield Part(f"{folder}/none.txt", f"{otherwise}\n")
