"""The conversations about links: what one asks for, and registering them with the system."""

from __future__ import annotations

from pathlib import Path

from updater.doors.terminal import Face
from updater.hands.registrar import Registrar, copy_program, remove_copy, stable_folder, surroundings
from updater.heads.links import Link
from updater.heads.registration import stable_name, why_not_here
from updater.heads.vendor import Vendor
from updater.words.errors import Usage


def selected(link: Link, vendor: Vendor, face: Face) -> None:
    """Say what a link asks for. Raises `Usage` for a product that this vendor does not have."""
    product = vendor.product(link.product)
    if product is None:
        raise Usage(
            f"this link is for {link.product!r}, which this updater does not know",
            advice="Get the newest updater from the vendor, or ask for the update as a file.",
        )
    version = "the newest version" if link.version is None else f"version {link.version}"
    face.say(f"The link asks for {version} ({link.channel}) for {product.title}. It decides nothing: you do.")


def register(vendor: Vendor, system: Registrar, program: Path, face: Face, *, yes: bool) -> int:
    """`updater register`: ask, copy the program to where it can stay if it must, and write.

    Raises `Cancelled`, `Refused`, `StorageFailed` or `Usage`.
    """
    scheme = vendor.link.scheme
    before = system.registered(scheme)
    place = program
    reason = why_not_here(str(program), surroundings(program))
    if reason is not None:
        place = _place_for_copy(vendor, program, reason)
        face.say(f"This program cannot stay where it is: {reason}.")
        question = f"Copy it to {place} and open links that begin with {scheme}:// with that copy?"
    else:
        question = f"Open links that begin with {scheme}:// with {program}?"
    if before is not None and before != str(place):
        face.say(f"Until now they are opened with {before}.")
    face.confirm(question, yes=yes)
    if place != program:
        copy_program(program, place)
    written = system.register(scheme, f"{vendor.name} update link", str(place), terminal=_needs_terminal())
    text = f"Links that begin with {scheme}:// are now opened with {place}.\nTo undo it: updater unregister"
    face.line({"type": "registered", "scheme": scheme, "program": str(place), "written": list(written)}, text)
    return 0


def unregister(vendor: Vendor, system: Registrar, running: Path, face: Face) -> int:
    """`updater unregister`: remove the registration, and the copy that `register` had made.

    Raises `Refused` or `StorageFailed`.
    """
    scheme = vendor.link.scheme
    program = system.registered(scheme)
    removed = system.unregister(scheme)
    text = f"Links that begin with {scheme}:// are no longer opened with this updater."
    if not removed:
        text = f"Links that begin with {scheme}:// were not registered. Nothing was changed."
    if program is not None and Path(program).parent == stable_folder(vendor.name, scheme):
        gone = remove_copy(Path(program), running)
        text += f"\nThe copy in {program} {'was deleted' if gone else 'is still there; you can delete it'}."
    face.line({"type": "unregistered", "scheme": scheme, "program": program, "removed": removed}, text)
    return 0


def _place_for_copy(vendor: Vendor, program: Path, reason: str) -> Path:
    """Where a copy would go. Raises `Usage` where copying does not help."""
    place = stable_folder(vendor.name, vendor.link.scheme) / stable_name(program.name)
    if (program.parent / "_internal").is_dir():  # PyInstaller's one-folder: the program alone is not enough
        raise Usage(
            f"this program cannot be registered where it is: {reason}",
            advice=f"Move its whole folder to where it can stay, for example {place.parent}, and run the "
            "command there.",
        )
    if (still := why_not_here(str(place), surroundings(place))) is not None:
        raise Usage(
            f"this program cannot be registered where it is ({reason}), nor in {place.parent}: {still}",
            advice="Paste the update link into the updater instead: updater install LINK.",
        )
    return place


def _needs_terminal() -> bool:
    """Whether the question is asked on a terminal, for want of a window."""
    from importlib.util import find_spec

    return find_spec("updater.doors.window") is None
