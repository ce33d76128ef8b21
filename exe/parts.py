"""What an executable is made of: the licences of all its parts, and a CycloneDX list of them.

Made from the list of files that really goes in, and from the metadata of the packages they come from. A part
of which nobody can say where it comes from stops the build. The list is written here and not by a CycloneDX
library: that would describe what is installed, not what is inside, would bring its own packages into
the Windows build, and puts a time and a random number into a file that has to come out the same twice.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LICENCE_FILE = re.compile(r"(^|/)(licen[cs]e|copying|notice)[^/]*$|/licenses/", re.IGNORECASE)
OURS = "updater"
PYTHON_LIBRARY = re.compile(r"(lib)?python3[.\d]*\.(so|dll)[.\d]*")
# Libraries that come with Python for Windows; their terms stand in Python's own licence file.
WITH_PYTHON = {
    r"lib(crypto|ssl)-3.*\.dll": ("openssl", "Apache-2.0"),
    r"libffi-\d\.dll": ("libffi", "MIT"),
    r"vcruntime140(_1)?\.dll": ("microsoft-visual-c-runtime", None),
    r"(tcl|tk)86t\.dll": ("tcl-tk", "TCL"),
    r"(zlib1?|zlib)\.dll": ("zlib", "Zlib"),
    r"sqlite3\.dll": ("sqlite", None),
}
# One entry of PyInstaller's lists: the name inside, the file it comes from, the kind.
Entry = tuple[str, str, str]


class UnknownPart(Exception):
    """A file goes into the executable and nobody knows whose it is."""


@dataclass(frozen=True, slots=True)
class Part:
    """One work inside. `licence` is an SPDX expression or a name as its authors gave it."""

    name: str
    version: str
    purl: str
    licence: str
    spdx: bool
    texts: tuple[str, ...] = ()
    inside: tuple[dict[str, Any], ...] = field(default=(), compare=False)


def parts_of(modules: Iterable[Entry], files: Iterable[Entry]) -> tuple[Part, ...]:
    """The works that these Python modules and files belong to, by name. Raises `UnknownPart`."""
    owners = packages_distributions()
    found: dict[str, Part] = {"python": _python(), "pyinstaller": _package("pyinstaller")}
    unknown = []
    for name, source, _kind in (*modules, *files):
        part = _part(name.replace("\\", "/"), source, owners)
        if part is None:
            unknown.append(f"{name} (from {source})")
        elif part.name != OURS:
            found[part.name] = part
    if unknown:
        raise UnknownPart(f"nobody knows whose these are (exe/parts.py): {', '.join(sorted(unknown))}")
    return tuple(found[name] for name in sorted(found))


def _part(name: str, source: str, owners: Any) -> Part | None:
    base = name.rsplit("/", 1)[-1]
    if name.startswith("libusb_package/libusb"):
        return _libusb()
    if PYTHON_LIBRARY.fullmatch(base) or re.match(r"python3\.\d+/lib-dynload/|base_library", name):
        return _python()
    if name.startswith(("_tcl_data", "_tk_data", "tcl8/")):
        return _library("libtcl8.6.so" if sys.platform == "linux" else "tcl86t.dll", source)
    top = re.split(r"[./]", name)[0]
    if ".dist-info" in name:
        return _package(name.split("-")[0])
    if top == OURS:
        return Part(OURS, "", "", "Apache-2.0", True)
    if top in owners:
        return _package(sorted(owners[top])[0])
    if top in sys.stdlib_module_names or base.endswith(".pyd"):
        return _python()
    return _library(base, source)


_KNOWN: dict[str, Part] = {}


def _package(name: str) -> Part:
    """A package from the index, with the licence files that it carries."""
    if name not in _KNOWN:
        one = distribution(name)
        words, spdx = _licence_words(one)
        proper = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        purl = f"pkg:pypi/{proper}@{one.version}"
        _KNOWN[name] = Part(proper, one.version, purl, words, spdx, _texts(one), _own_list(one))
    return _KNOWN[name]


def _licence_words(one: Distribution) -> tuple[str, bool]:
    said = one.metadata.json
    if "license_expression" in said:
        return str(said["license_expression"]), True
    classifiers = [text for text in one.metadata.get_all("Classifier") or () if text.startswith("License ::")]
    named = str(said.get("license", "")).strip().split("\n")[0]
    return named or ", ".join(text.split(" :: ")[-1] for text in classifiers) or "see its text", False


def _texts(one: Distribution) -> tuple[str, ...]:
    files = [
        file for file in one.files or () if ".dist-info/" in str(file) and LICENCE_FILE.search(str(file))
    ]
    return tuple(_read(Path(str(file.locate()))) for file in sorted(files, key=str))


def _own_list(one: Distribution) -> tuple[dict[str, Any], ...]:
    """What a package says of the works compiled into it (PEP 770)."""
    found: list[dict[str, Any]] = []
    for file in sorted(one.files or (), key=str):
        if re.search(r"\.dist-info/sboms/.*\.json$", str(file)):
            found += json.loads(_read(Path(str(file.locate())))).get("components", ())
    keys = ("type", "name", "version", "purl", "licenses", "hashes")
    return tuple({key: one[key] for key in keys if key in one} for one in found)


def _python() -> Part:
    version = platform.python_version()
    places = [Path(sys.base_prefix, "LICENSE.txt")]
    places += [Path(folder, "LICENSE.txt") for folder in (_standard_library(), sys.prefix)]
    texts = tuple(_read(place) for place in places if place.is_file())[:1]
    return Part("python", version, f"pkg:generic/python@{version}", "Python-2.0", True, texts)


def _standard_library() -> Path:
    return Path(json.__file__).resolve().parents[1]


def _libusb() -> Part:
    """The wheel's version begins with that of the libusb inside (its README says so)."""
    version = ".".join(distribution("libusb-package").version.split(".")[:3])
    text = HERE.joinpath("licences", "LGPL-2.1.txt").read_text(encoding="utf-8")
    note = "libusb is a library file of its own inside, unchanged; its source is at https://libusb.info\n\n"
    return Part("libusb", version, f"pkg:generic/libusb@{version}", "LGPL-2.1-or-later", True, (note + text,))


def _library(base: str, source: str) -> Part | None:
    for pattern, (name, licence) in WITH_PYTHON.items():
        if re.fullmatch(pattern, base, re.IGNORECASE):
            note = (
                f"Comes with Python {platform.python_version()} for Windows, whose licence names its terms.",
            )
            purl = f"pkg:generic/{name}"
            return Part(name, "", purl, licence or "see Python's licence", licence is not None, note)
    return _debian_package(source) if sys.platform == "linux" else None


def _debian_package(source: str) -> Part | None:
    """A library of the Debian that builds, with what Debian knows of its authors."""
    if source not in _KNOWN:
        owner = _asked("dpkg-query", "--search", *_spellings(source))
        if not owner:
            return None
        name = owner.split(":")[0]
        version = _asked("dpkg-query", "--show", "--showformat=${Version}", name)
        place = Path("/usr/share/doc", name, "copyright")
        texts = (_read(place),) if place.is_file() else ()
        purl = f"pkg:deb/debian/{name}@{version}"
        _KNOWN[source] = Part(name, version, purl, "see its text", False, texts)
    return _KNOWN[source]


def _spellings(source: str) -> Iterator[str]:
    """dpkg knows the names that its packages used, which may lead through /lib or /usr/lib."""
    for path in dict.fromkeys((source, str(Path(source).resolve()))):
        yield path
        yield path.removeprefix("/usr") if path.startswith("/usr/lib") else f"/usr{path}"


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        return ""
    return done.stdout.strip().split("\n")[0]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() + "\n"


def licences(parts: Iterable[Part], own_licence: str) -> str:
    """One text for people: what is inside, whose it is, under which terms."""
    parts = tuple(parts)
    lines = ["The updater and its parts", "", "Inside this program are:", ""]
    lines += [f"  {one.name} {one.version}: {one.licence}".replace(" :", ":") for one in parts]
    sections = [
        ("updater", "Apache-2.0", (own_licence,)),
        *((one.name, one.licence, one.texts) for one in parts),
    ]
    for name, licence, texts in sections:
        lines += ["", "=" * 100, f"{name}: {licence}", "=" * 100, "", *texts]
    return "\n".join(lines).rstrip() + "\n"


def cyclonedx(parts: Iterable[Part], *, name: str, version: str) -> str:
    """The same for programs: CycloneDX 1.5 as JSON, without time or serial number."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": name, "version": version, "bom-ref": "self"}
        },
        "components": [_component(one) for one in parts],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(part: Part) -> dict[str, Any]:
    licence = {"expression": part.licence} if part.spdx else {"license": {"name": part.licence}}
    out: dict[str, Any] = {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "licenses": [licence],
    }
    return {**out, "components": list(part.inside)} if part.inside else out
