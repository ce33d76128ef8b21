"""The story of a layout: which values this board gets, on the books before the first byte is burnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from updater.hands.ledger import Ledger
from updater.heads.otp import OtpContents
from updater.heads.otpissue import Board, Entry, Table, choose_count, choose_row, use_of_count, use_of_row
from updater.heads.otplayout import Given, Layout, check_fits, decode, patches_for, values_for
from updater.heads.report import OtpIssue
from updater.heads.vendor import Vendor
from updater.story.devices import behaviour_of
from updater.story.job import Hands, Request
from updater.story.provision import OtpVisit, find
from updater.story.visit import Subject
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import DeviceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A layout and where its values come from: all that is known before a device is."""

    layout: Layout
    path: Path
    asked: Mapping[str, str]
    table: Table | None = None
    table_path: Path | None = None
    row: int | None = None


def check_local_layout(vendor: Vendor) -> None:
    """Raises `Refused` unless vendor.toml lets what nobody signed be written."""
    if vendor.engineering is None or not vendor.engineering.write:
        raise Refused(
            f"the updater of {vendor.name} takes no layout from a file",
            advice="A layout file is signed by nobody. For a bench, the vendor can make an updater whose "
            "vendor.toml has [engineering] with write = true.",
        )


def find_for_layout(hands: Hands, request: Request, layout: Layout) -> Subject:
    """The device to look at. Raises what `provision.find` does; `WrongDevice`, `Refused` for the layout."""
    subject = find(hands, request)
    if subject.product.id != layout.product:
        raise WrongDevice(
            f"the layout is for a {layout.product}, but the device is a {subject.product.title}",
            advice="Nothing was changed. Choose the layout of this product.",
        )
    chip = behaviour_of(hands.silicon, subject.connected.facts).chip
    if chip.otp is not None:
        check_fits(layout, chip.otp)
    return subject


def board_of(layout: Layout, visit: OtpVisit, subject: Subject, before: OtpContents) -> Board:
    """What the device goes by, in its application and in its bootloader."""
    names = []
    if uid := uid_of(visit, subject):
        names.append(f"uid:{uid.hex()}")
    rom, chip = visit.facts.rom, visit.behaviour.chip
    if rom is not None and rom.serial and chip.serial.value in _SAYS_SOMETHING:
        names.append(f"rom:{chip.id}:{rom.serial}")
    begun = any(not one.is_blank for one in decode(layout, before.data))
    return Board(tuple(names), begun)


_SAYS_SOMETHING = ("uid-sum", "uid-sum-0a", "uid-sum-w2")
"""Rules by which a bootloader's serial number is made of the UID: of most chips another one for each part."""


def issue_for(sources: Sources, board: Board, uid: bytes | None) -> OtpIssue:
    """The values of this board. Nothing is on the books yet.

    Raises `Usage` for values that are missing or do not fit, and `Refused` for a row that was used.
    """
    layout, table = sources.layout, sources.table
    if not board.names and (layout.counts or (table is not None and sources.row is None)):
        raise Refused(
            "this device's bootloader shows no number of its own, so nothing says which board it is",
            advice="Nothing was changed. Unplug the device and plug it in so that its application starts, "
            "and run the command again. A board without an application takes --row N, or --set.",
        )
    row = count = None
    if table is not None and sources.table_path is not None:
        entries = Ledger(sources.table_path).entries()
        row = choose_row(layout, table, entries, board, sources.row)
    if layout.counts:
        count = choose_count(Ledger(sources.path).entries(), board)
    cells = table.row(row) if table is not None and row is not None else None
    values = values_for(layout, Given(asked=sources.asked, row=cells, count=count, uid=uid))
    secret = {field.name for field in layout.valued if field.secret}
    return OtpIssue(
        layout=sources.path.name,
        values=values,
        shown={name: None if name in secret else value for name, value in values.items()},
        patches=patches_for(layout, values),
        table=table.name if table else None,
        row=row,
        count=count,
    )


def book(hands: Hands, sources: Sources, issue: OtpIssue, board: Board) -> None:
    """Put on the books what this board gets. On the disk when it returns.

    Raises `Refused` where another bench was faster, and `StorageFailed`.
    """
    when = hands.now.isoformat(timespec="seconds")
    if sources.table is not None and sources.table_path is not None and issue.row is not None:
        use = use_of_row(sources.layout, sources.table.row(issue.row))
        what = f"row {issue.row} of {sources.table.name}"
        entry = Entry(use=use, device=board.names, when=when, row=issue.row)
        Ledger(sources.table_path).claim(entry, board, what)
    if issue.count is not None:
        what = f"number {issue.count} of {sources.path.name}"
        entry = Entry(use=use_of_count(issue.count), device=board.names, when=when)
        Ledger(sources.path).claim(entry, board, what)


def uid_of(visit: OtpVisit, subject: Subject) -> bytes | None:
    """The UID, where the application said it."""
    facts: DeviceFacts = subject.connected.facts
    return visit.facts.uid or facts.uid
