"""Sentences become words: the gettext catalogue of the person's language, English where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files

from updater.doors.window.texts import Text

DOMAIN = "updater"
Speak = Callable[[Text], str]


def speaker(languages: Sequence[str]) -> Speak:
    """How a text is said to somebody who reads these languages, the first that there is.

    `languages` as the computer names them: "de_DE.UTF-8", "de-AT", "de", "en".
    """
    return _speak_with(_translations(languages))


def _translations(languages: Sequence[str]) -> NullTranslations:
    for name in languages:
        code = name.replace("-", "_").split(".")[0].split("_")[0].lower()
        if code in ("en", "c", "posix"):
            break
        if not (code.isalpha() and code.isascii()):
            continue
        file = files("updater").joinpath("locale", code, "LC_MESSAGES", f"{DOMAIN}.mo")
        if file.is_file():
            with file.open("rb") as opened:
                return GNUTranslations(opened)
    return NullTranslations()


def _speak_with(translations: NullTranslations) -> Speak:
    def speak(text: Text) -> str:
        values = {name: speak(value) if isinstance(value, Text) else value for name, value in text.values}
        if not text.id:  # somebody else's words
            return str(values["text"])
        return translations.gettext(text.id).format(**values)

    return speak
