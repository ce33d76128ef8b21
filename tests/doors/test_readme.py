"""What the README and the docs show is what the program does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from updater.heads.silicon import the_table

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text("utf-8")
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def without_numbers_that_vary(text: str) -> list[str]:
    """Times, the free port, and the kind of clock are different in each run."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r" +\d+\.\d s", " T s", text)
    text = re.sub(r"\((real|virtual) time\)", "(time)", text)
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_demo_prints_what_the_readme_shows() -> None:
    (shown,) = re.findall(r"```text\n(The demo vendor.*?)```", README, re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-m", "updater", "demo", "--fast"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert without_numbers_that_vary(ran.stdout) == without_numbers_that_vary(shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_that_the_code_names_exists() -> None:
    for source in (PROJECT / "updater").rglob("*.py"):
        for name in re.findall(r"docs/[\w/-]+\.md", source.read_text("utf-8")):
            assert (PROJECT / name).is_file(), (source.name, name)


def test_the_silicon_page_names_every_chip_and_whether_it_is_written_to() -> None:
    page = (PROJECT / "docs" / "silicon.md").read_text("utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "| `" in line]
    shown = {chip_id.strip("`"): (title, written) for title, chip_id, _, _, written in cells}
    assert shown == {chip.id: (chip.title, "yes" if chip.geometry else "no") for chip in the_table().chip}


def test_every_room_is_on_the_map() -> None:
    the_map = README[README.index("## The map of the house") :]
    house = PROJECT / "updater"
    floors = ("doors", "story", "hands", "heads", "words")
    rooms = [room for floor in (".", *floors) for room in (house / floor).iterdir()]
    for room in rooms:
        if not room.name.startswith(("_", ".")):
            assert room.name in the_map, room
