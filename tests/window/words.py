"""`python -m tests.window.words`: bring the catalogues up to date with the sentences in `texts.py`.

New sentences come into each .po without a translation, old ones go, and the .mo files are compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import updater
from updater.doors.window import texts

LOCALE = Path(updater.__file__).parent / "locale"
HEADER = "# The sentences of the window. `python -m tests.window.words` adds new ones and compiles.\n#"


def sentences() -> dict[str, int]:
    """Every sentence that `texts.py` marks, and its line."""
    found = extract_from_file("python", texts.__file__, keywords={"_": None})
    return {str(id): line for line, id, _comments, _context in found}


def catalogues() -> Iterator[tuple[Path, Catalog]]:
    """Each language's .po."""
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/updater.po")):
        with path.open("rb") as file:
            yield path, read_po(file, locale=path.parts[-3])


def compiled(catalogue: Catalog) -> bytes:
    """The .mo of this catalogue."""
    catalogue.creation_date = catalogue.revision_date = datetime(2000, 1, 1, tzinfo=UTC)
    out = BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def spoken(file: BinaryIO) -> dict[str, str]:
    """What a .mo says, without its header."""
    translations = GNUTranslations(file)
    return {id: translations.gettext(id) for id in sentences()}


def main() -> None:
    """Update and compile all."""
    for path, catalogue in catalogues():
        fresh = Catalog(locale=catalogue.locale, header_comment=HEADER, fuzzy=False)
        for id in sentences():
            known = catalogue.get(id)
            fresh.add(id, known.string if known else "")
        out = BytesIO()
        write_po(out, fresh, width=110, omit_header=False)
        text = out.getvalue().decode("utf-8")
        kept = [line for line in text.splitlines() if not line.startswith(_VARIES)]
        path.write_text("\n".join(kept) + "\n", "utf-8", newline="\n")
        with path.open("rb") as file:
            path.with_suffix(".mo").write_bytes(compiled(read_po(file, locale=path.parts[-3])))
        missing = sum(not message.string for message in fresh if message.id)
        print(f"{path.parts[-3]}: {len(fresh)} sentences, {missing} not translated")


_VARIES = (
    '"POT-Creation-Date', '"PO-Revision-Date', '"Last-Translator', '"Language-Team', '"Generated-By',
    '"Report-Msgid-Bugs-To', '"Project-Id-Version',
)  # fmt: skip

if __name__ == "__main__":
    main()
