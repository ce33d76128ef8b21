"""The support guide is complete: every branch of the doctor, every exit status, every file of a report."""

from __future__ import annotations

import re
from pathlib import Path

from updater.heads.doctorwords import SAID, Trouble
from updater.words.errors import every_error

PAGE = (Path(__file__).parents[2] / "docs" / "support.md").read_text("utf-8")


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_every_branch_of_the_doctor_stands_in_the_guide_in_its_order_with_its_status() -> None:
    shown = [(cells[0].strip("`"), int(cells[1])) for cells in rows("What the doctor can say")]

    assert shown == [(trouble.value, SAID[trouble].exit_status) for trouble in Trouble]


def test_every_exit_status_stands_in_the_guide() -> None:
    shown = [int(cells[0]) for cells in rows("Every exit status")]

    assert shown == sorted({0} | {error.exit_status for error in every_error()})


def test_what_the_doctor_fixes_is_what_the_guide_says() -> None:
    told = {cells[0].strip("`") for cells in rows("What the doctor can say") if "`--fix`" in cells[3]}

    assert told == {"driver-missing", "no-permission", "modem-manager", "modem-manager-may-disturb"}
    assert all(re.search(r"--fix|\{how\}", SAID[Trouble(one)].next_step) for one in told)
