"""Look into Windows executables: `python -m exe.look FILE...`, with pefile and PyInstaller installed.

Fails where a program has no version resource or manifest, asks for an administrator, carries a library that
nobody expects, or one of Wine's own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

EXPECTED = re.compile(
    r"libusb_package/libusb-1\.0\.dll|python3(11)?\.dll|vcruntime140(_1)?\.dll|lib(crypto|ssl)-3(-x64)?\.dll"
    r"|libffi-8\.dll|(tcl|tk)86t\.dll|zlib1?\.dll|.*\.pyd",
    re.IGNORECASE,
)
FROM_WINE = b"Wine builtin DLL"
MOST_BYTES = 20_000_000
WINDOWED, CONSOLE = 2, 3


def look(file: Path) -> None:
    """Print what a one-file program is and carries. Raises AssertionError."""
    import pefile
    from PyInstaller.archive.readers import CArchiveReader

    program = pefile.PE(str(file), fast_load=False)
    words = _version_words(program)
    assert words.get("ProductVersion"), words
    assert words.get("OriginalFilename") == file.name, words
    assert b'level="asInvoker"' in _manifest(program), "the manifest does not say asInvoker"
    kind = program.OPTIONAL_HEADER.Subsystem
    assert kind == (CONSOLE if "cli" in file.name else WINDOWED), f"subsystem {kind}"
    archive = CArchiveReader(str(file))
    libraries = {
        name.replace("\\", "/"): name for name in archive.toc if name.lower().endswith((".dll", ".pyd"))
    }
    for library, name in sorted(libraries.items()):
        assert EXPECTED.fullmatch(library), f"{library} is not expected inside"
        assert FROM_WINE not in archive.extract(name)[:4096], f"{library} is Wine's own"
    size = file.stat().st_size
    assert size <= MOST_BYTES, f"{size:,} bytes"
    print(f"{file.name}: {words['FileDescription']} {words['ProductVersion']}, {size:,} bytes,", end=" ")
    print(f"{len(archive.toc)} entries, {len(libraries)} libraries, none of them Wine's, asInvoker")


def _version_words(program: Any) -> dict[str, str]:
    return {
        key.decode(): text.decode()
        for info in program.FileInfo[0]
        for table in getattr(info, "StringTable", ())
        for key, text in table.entries.items()
    }


def _manifest(program: Any) -> bytes:
    import pefile

    for kind in program.DIRECTORY_ENTRY_RESOURCE.entries:
        if kind.id == pefile.RESOURCE_TYPE["RT_MANIFEST"]:
            place = kind.directory.entries[0].directory.entries[0].data.struct
            return bytes(program.get_data(place.OffsetToData, place.Size))
    return b""


if __name__ == "__main__":
    for name in sys.argv[1:]:
        look(Path(name))
