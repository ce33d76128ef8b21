"""What the window says: one place, two languages, plain words, colours that can be read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest

from tests.window.words import catalogues, compiled, sentences, spoken
from updater.doors import window
from updater.doors.window import texts
from updater.doors.window.page import Tone
from updater.doors.window.palette import DARK, LIGHT, Palette
from updater.doors.window.speech import speaker
from updater.doors.window.texts import say, verbatim
from updater.hands.usbio import _PROBLEMS
from updater.heads.doctorwords import Trouble
from updater.words.errors import every_error
from updater.words.events import Step

ROOM = Path(window.__file__).parent
GERMAN = {
    str(message.id): str(message.string) for _path, one in catalogues() for message in one if message.id
}
JARGON = re.compile(
    r"\b(DFU|ROM|UPLOAD|DNLOAD|stall\w*|bootloader\w*|firmware|flash\w*|sector\w*|Sektor\w*|hash\w*|manifest\w*"
    r"|bundle\w*|signature\w*|Signatur\w*|libusb|WinUSB|descriptor\w*|chip\w*|0x[0-9A-F]+|exit|status|command"
    r"|Befehl\w*|SHA|TUF|policy|timeout|exception|error code|verif\w*|Verifi\w*|partition\w*|option bytes)\b",
    re.IGNORECASE,
)


def placeholders(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_every_sentence_is_in_german_too_with_the_same_names_filled_in() -> None:
    missing = [id for id in sentences() if not GERMAN.get(id)]
    assert missing == []
    differing = [id for id in sentences() if placeholders(id) != placeholders(GERMAN[id])]
    assert differing == []


def test_no_catalogue_has_a_sentence_that_nobody_says_any_more() -> None:
    for path, one in catalogues():
        stale = {message.id for message in one if message.id} - sentences().keys()
        assert stale == set(), path
        assert not [message.id for message in one if message.id and message.fuzzy]


def test_what_is_read_at_run_time_is_what_the_translators_wrote() -> None:
    found = list(catalogues())
    assert [path.parts[-3] for path, _one in found] == ["de"]
    for path, one in found:
        with path.with_suffix(".mo").open("rb") as file:
            assert spoken(file) == spoken(BytesIO(compiled(one))), "python -m tests.window.words"


def names_used() -> set[str]:
    """The names of `texts` that the other modules of the window use."""
    used: set[str] = set()
    for path in ROOM.glob("*.py"):
        if path.name == "texts.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "t":
                used.add(node.attr)
            if isinstance(node, ast.ImportFrom) and node.module == "updater.doors.window.texts":
                used.update(alias.name for alias in node.names)
    return used


def test_every_sentence_is_used() -> None:
    mine = {name for name in vars(texts) if name.isupper()}
    assert mine - names_used() == set()


@pytest.mark.parametrize("room", ["page.py", "view.py", "fold.py", "advice.py"])
def test_no_sentence_stands_anywhere_else(room: str) -> None:
    tree = ast.parse((ROOM / room).read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    } | {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", node.value)
    ]
    assert found == []


def test_no_word_that_only_engineers_know_is_on_the_window() -> None:
    said = [*sentences(), *GERMAN.values()]
    assert [text for text in said if JARGON.search(re.sub(r"\{\w+\}", "", str(text)))] == []


def test_every_failure_ends_with_something_to_do() -> None:
    doing = re.compile(
        r"\b(Check|Plug|Unplug|Ask|Press|Close|Save|Choose|get the update|wait)\b", re.IGNORECASE
    )
    advice = [advice for _headline, advice in texts.FAILURES.values()] + list(texts.PROBLEMS.values())
    assert [text for text in advice if not doing.search(text)] == []


def quoted(text: str) -> Iterator[str]:
    yield from re.findall(r"[“„]([^”“]+)[”“]", text)


def test_a_button_that_a_sentence_names_exists_in_each_language() -> None:
    for id, german in GERMAN.items():
        english_buttons, german_buttons = list(quoted(str(id))), list(quoted(str(german)))
        assert [GERMAN[button] for button in english_buttons] == german_buttons


def test_each_error_each_step_and_each_problem_has_its_words() -> None:
    """But for `Differs`, which only `updater read --compare` raises: the window compares nothing."""
    assert texts.FAILURES.keys() == {one.__name__ for one in every_error()} - {"Differs"}
    assert texts.STEPS.keys() == set(Step)
    assert texts.PROBLEMS.keys() == _PROBLEMS.keys()
    assert texts.TROUBLES.keys() <= {str(trouble) for trouble in Trouble}


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (["de_DE.UTF-8"], "Schließen"),
        (["de-AT"], "Schließen"),
        (["fr_FR", "de"], "Schließen"),
        (["en_GB.UTF-8", "de"], "Close"),
        (["C"], "Close"),
        (["../../etc"], "Close"),
        ([], "Close"),
    ],
)
def test_the_first_language_that_there_is_is_spoken(languages: list[str], expected: str) -> None:
    assert speaker(languages)(say(texts.CLOSE)) == expected


def test_somebody_elses_words_are_left_alone_even_with_braces() -> None:
    speak = speaker(["de"])
    assert speak(verbatim("{x} 100 %")) == "{x} 100 %"
    assert speak(say(texts.WORKING, name="{support}")) == "{support} wird aktualisiert …"
    assert speak(say(texts.JOINED, first=say(texts.CLOSE), second=verbatim("x"))) == "Schließen · x"


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_stands_out_enough_to_be_read(palette: Palette) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text in (palette.text, palette.muted, palette.accent):
        assert contrast(text, palette.ground) >= 4.5
        assert contrast(text, palette.card) >= 4.5
    assert contrast(palette.on_accent, palette.accent) >= 4.5
    assert contrast(palette.on_accent, palette.accent_pressed) >= 4.5
    assert contrast(palette.line, palette.ground) >= 3
    for tone in Tone:
        assert contrast(palette.tone(tone), palette.ground) >= 3
