"""`updater --self-test`: is every part of this program there, and does it work on this computer?

For support on the telephone, and for whoever has built an executable. It touches no device and no network.
"""

from __future__ import annotations

import dis
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

import updater
from updater.doors.terminal import Face
from updater.words.errors import Bug, UpdaterError

WINDOWS_ONLY = frozenset({"msvcrt", "winreg", "_winapi", "ctypes.wintypes"})
NOT_ON_WINDOWS = frozenset({"fcntl", "grp", "pwd", "termios"})
THEY_IMPORT_LATE = (
    # Parts of others that are imported when first needed; what we import late is found by itself.
    "usb.backend.libusb1",
    "encodings.idna",  # names of servers
    "idna",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "serial.tools.list_ports",
    "tqdm.std",
)
LANGUAGES = ("de",)  # beside English
# RFC 8032, section 7.1, test 2
_PUBLIC_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
_SIGNED = b"\x72"
_SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


class _Missing(Exception):
    """A part is not there or does not work; the text says which."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part, and what was found."""

    name: str
    ok: bool
    detail: str


def self_test(face: Face) -> int:
    """One line for each check; 0 if all are well, else 70."""
    checks = []
    for name, check in CHECKS.items():
        one = _checked(name, check)
        checks.append(one)
        face.line(
            {"type": "check", "name": one.name, "ok": one.ok, "detail": one.detail},
            f"{'ok    ' if one.ok else 'FAILED'}  {one.name:<13} {one.detail}",
        )
    failed = [one.name for one in checks if not one.ok]
    status = Bug.exit_status if failed else 0
    said = (
        f"Not all is well with: {', '.join(failed)}. Download the updater again; if that does not help, send "
        "the lines above to the vendor's support."
        if failed
        else "Everything that the updater needs is here."
    )
    face.line({"type": "self-test", "exit": status, "failed": failed}, said)
    return status


def _checked(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except UpdaterError as error:
        return Check(name, False, error.message)
    except Exception as error:  # whatever a broken part does, the other checks go on
        return Check(name, False, str(error) or type(error).__name__)


def _imports() -> str:
    """Every module of ours, and whatever one of them imports only when it is needed."""
    found = pkgutil.walk_packages(updater.__path__, "updater.")
    ours = [one.name for one in found if not one.name.endswith("__main__")]
    wanted = {*ours, *THEY_IMPORT_LATE}
    for name in ours:
        wanted |= set(late_imports(name))
    for name in sorted(wanted):
        if not _is_left_out(name):
            try:
                import_module(name)
            except Exception as error:
                raise _Missing(f"{name} cannot be imported: {error}") from error
    return f"{len(wanted)} modules"


def _is_left_out(name: str) -> bool:
    """Whether it may be absent: another system's; a product's demo; tkinter, which has its own check."""
    if name in WINDOWS_ONLY | NOT_ON_WINDOWS:
        return (name in WINDOWS_ONLY) != (sys.platform == "win32")
    room = ".".join(name.split(".")[:2])
    in_the_demo = room in ("updater.lab", "updater.demo") and find_spec("updater.lab") is None
    return in_the_demo or name.split(".")[0] == "tkinter"


def late_imports(module: str) -> Iterator[str]:
    """The modules that functions of this one import, read from its compiled code.

    What it imports at its top is imported with it, or is meant for type checkers only.
    """
    spec = find_spec(module)
    code = getattr(spec.loader, "get_code", lambda _name: None)(module) if spec else None
    if code is not None:
        for one in code.co_consts:
            if isinstance(one, CodeType):
                yield from _imported_by(one)


def _imported_by(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval)
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _imported_by(one)


def _usb() -> str:
    from updater.hands.usbio import Bus, libusb_path

    Bus()
    return f"libusb is {libusb_path()}"


def _signatures() -> str:
    """Ed25519 with the RFC's own example, once right and once wrong."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(_PUBLIC_KEY))
    key.verify(bytes.fromhex(_SIGNATURE), _SIGNED)
    try:
        key.verify(bytes.fromhex(_SIGNATURE), _SIGNED + b"\0")
    except InvalidSignature:
        return "Ed25519 knows right from wrong"
    raise _Missing("a wrong Ed25519 signature was accepted")


def _vendor() -> str:
    from updater.hands.host import load_home
    from updater.heads.trust import walk_roots

    home = load_home()
    walk_roots(home.embedded_root, [])
    products = ", ".join(one.id for one in home.vendor.products)
    return f"{home.vendor.name} ({home.vendor.kind}): {products}"


def _silicon() -> str:
    from updater.heads.silicon import the_table

    return f"{len(the_table().chip)} chips"


def _certificates() -> str:
    """The operating system's, which TLS asks; counted without a connection."""
    import ssl

    import truststore

    if sys.platform == "win32":
        count = len(ssl.enum_certificates("ROOT"))
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # truststore looks for the system's files when a connection begins; this one goes nowhere
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        loaded = context._ctx.cert_store_stats()  # its own method of this name is not implemented
        count = loaded["x509_ca"] or _in_folder(ssl.get_default_verify_paths().capath)
    if not count and sys.platform != "darwin":  # macOS is asked for each connection and lists nothing
        raise _Missing("this computer's store of certificates is empty; no update can be downloaded")
    return f"{count} in this computer's store"


def _in_folder(folder: str | None) -> int:
    """OpenSSL reads such a folder only on demand; each certificate has a name that ends with a number."""
    return sum(one.suffix[1:].isdigit() for one in Path(folder).iterdir()) if folder else 0


def _window() -> str:
    """tkinter and the files that Tcl and Tk read when a window opens; opens none."""
    import tkinter

    tcl = tkinter.Tcl()  # reads init.tcl
    version = tcl.eval("info patchlevel")
    beside = Path(tcl.eval("info library")).parent
    named = os.environ.get("TK_LIBRARY", "")
    folders = [named, *(str(beside / name) for name in ("tk8.6", "tk9.0", "_tk_data"))]
    if not any(folder and Path(folder, "tk.tcl").is_file() for folder in folders):
        raise _Missing("the files of Tk are not there")
    import_module("tkinter.ttk")
    return f"Tcl/Tk {version}"


def _words() -> str:
    """The window's sentences, asked of the catalogue of each language that is inside."""
    from updater.doors.window import texts
    from updater.doors.window.speech import speaker

    folder = Path(updater.__path__[0], "locale")
    spoken = sorted(one.parents[1].name for one in folder.glob("*/LC_MESSAGES/*.mo"))
    said = texts.say(texts.UPDATE_NOW)
    silent = [code for code in (*LANGUAGES, *spoken) if speaker([code])(said) == texts.UPDATE_NOW]
    if silent:
        raise _Missing(f"the window does not speak {', '.join(sorted(set(silent)))}")
    return f"en, {', '.join(spoken)}"


CHECKS: dict[str, Callable[[], str]] = {
    "imports": _imports,
    "usb": _usb,
    "signatures": _signatures,
    "vendor": _vendor,
    "silicon": _silicon,
    "certificates": _certificates,
    "window": _window,
    "words": _words,
}
