"""The disk hand: journal, evidence, receipts and the lock, in one folder per root of trust.

The journal is a hint, never a permission: it helps to recognise a device that was left in its bootloader,
and every bundle passes the gate again. Files that cannot be read are treated as absent; losing this folder
loses only memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from semver import Version

from updater.words.errors import StorageFailed
from updater.words.facts import Channel, IdentityFrom, parse_version

MOST_TRANSCRIPTS = 10
_T = TypeVar("_T")
_PATIENCE_S = 1.5 if sys.platform == "win32" else 0.0
_PAUSE_S = 0.02


class Witness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one sector of the device is known to hold: any of these SHA-256 (hex)."""

    address: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
    size: Annotated[int, Meta(ge=1, le=0x100_0000)]
    sha256: tuple[str, ...]


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One unfinished update: which device it was, and by what its bootloader may be known again.

    `serial` is the serial number string that this device's ROM shows. `identity` is how the product was
    known then: what a person had said does not become a proof by having been written down. `revision` is
    the silicon revision that the application had named.
    """

    schema: Literal[1] = 1
    port: str
    product: str
    hardware: str | None
    chip: str
    serial: str | None
    identity: IdentityFrom
    manifest_sha256: str
    from_version: str | None
    revision: str | None = None
    witnesses: tuple[Witness, ...] = ()

    def is_about_the_same(self, other: Journal) -> bool:
        """Whether both are about one product on one port, as far as a ROM's serial can tell."""
        mine = (self.port, self.product, self.hardware, self.chip, self.serial)
        return mine == (other.port, other.product, other.hardware, other.chip, other.serial)

    def continued(self, by: Journal) -> Journal:
        """The journal of a second try: it keeps what the first one knew of the sectors."""
        version, revision = by.from_version or self.from_version, by.revision or self.revision
        return msgspec.structs.replace(by, witnesses=self.witnesses, from_version=version, revision=revision)

    def with_witnesses(self, contents: Mapping[int, tuple[bytes, ...]]) -> Journal:
        """The journal that also knows what these sectors hold; several contents mean any of them."""
        others = tuple(one for one in self.witnesses if one.address not in contents)
        new = tuple(
            Witness(
                address=address,
                size=len(either[0]),
                sha256=tuple(hashlib.sha256(content).hexdigest() for content in either),
            )
            for address, either in contents.items()
        )
        return msgspec.structs.replace(self, witnesses=(*others, *new))


class Store:
    """The state folder of one root of trust. Make it with `open_store`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._at_work: set[str] = set()

    @property
    def channel_folder(self) -> Path:
        """Where the update site's metadata is kept."""
        return self.folder / "site"

    def journals(self) -> tuple[Journal, ...]:
        """All unfinished updates."""
        found = (_read(path, Journal) for path in sorted((self.folder / "journal").glob("*.json")))
        return tuple(journal for journal in found if journal is not None)

    def left_behind(self, port: str) -> tuple[Journal, ...]:
        """The unfinished updates as this port sees them: what other lanes are at work on is none."""
        others = self._at_work - {port}
        return tuple(journal for journal in self.journals() if journal.port not in others)

    @contextmanager
    def at_work(self, port: str) -> Iterator[None]:
        """An update goes on on this port: for the other lanes its journal is none that was left behind."""
        self._at_work.add(port)
        try:
            yield
        finally:
            self._at_work.discard(port)

    def keep_journal(self, journal: Journal) -> None:
        """Remember an unfinished update. Raises `StorageFailed`."""
        self._write(self._journal_path(journal.port), msgspec.json.encode(journal))

    def drop_journal(self, port: str) -> None:
        """The update on this port is done."""
        with suppress(OSError):
            _patiently(self._journal_path(port).unlink)

    def _journal_path(self, port: str) -> Path:
        return self.folder / "journal" / f"{port}.json"

    def keep_evidence(self, product: str, security_counter: int, envelope: bytes) -> None:
        """Keep a signed envelope as proof that this security counter exists. Raises `StorageFailed`."""
        path = self.folder / "evidence" / f"{product}-{security_counter}.dsse"
        with suppress(OSError):
            if _patiently(path.read_bytes) == envelope:  # every lane of a bench has the same
                return
        self._write(path, envelope)

    def evidence(self, product: str) -> tuple[bytes, ...]:
        """The signed envelopes kept for a product; believed only when they verify again."""
        envelopes = []
        for path in sorted((self.folder / "evidence").glob(f"{product}-*.dsse")):
            with suppress(OSError):
                envelopes.append(_patiently(path.read_bytes))
        return tuple(envelopes)

    def keep_catalogue(self, envelope: bytes) -> None:
        """Keep the signed catalogue of products. Raises `StorageFailed`."""
        self._write(self.folder / "catalogue.dsse", envelope)

    def catalogue(self) -> bytes | None:
        """The signed catalogue that was kept; believed only when it verifies again."""
        try:
            return (self.folder / "catalogue.dsse").read_bytes()
        except OSError:
            return None

    def keep_withdrawn(self, product: str, channel: str, versions: Sequence[str]) -> None:
        """Remember which versions the site says it has withdrawn. Raises `StorageFailed`."""
        path = self.folder / "withdrawn" / f"{channel}-{product}.json"
        if versions or path.exists():
            self._write(path, msgspec.json.encode(sorted(versions)))

    def withdrawn(self, product: str) -> tuple[Version, ...]:
        """The versions that were withdrawn in any channel when the site was last seen. Advice, not proof."""
        versions: set[Version] = set()
        for channel in Channel:
            path = self.folder / "withdrawn" / f"{channel}-{product}.json"
            with suppress(OSError, ValueError):
                texts = msgspec.json.decode(path.read_bytes(), type=list[str])
                versions.update(parse_version(text) for text in texts)
        return tuple(sorted(versions))

    def keep_receipt(self, name: str, receipt: Mapping[str, Any]) -> Path:
        """Write a receipt and say where. Raises `StorageFailed`."""
        path = self.folder / "receipts" / f"{name}.json"
        self._write(path, msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n")
        return path

    def receipts(self, most: int) -> tuple[tuple[str, str], ...]:
        """The last receipts, newest first: name and text."""
        return _newest(self.folder / "receipts", ".json", most)

    def keep_transcript(self, name: str, text: str) -> None:
        """Write what was said in an update that failed; the oldest make room. Raises `StorageFailed`."""
        folder = self.folder / "transcripts"
        self._write(folder / f"{name}.toml", without_home(text).encode())
        for old in sorted(folder.glob("*.toml"))[:-MOST_TRANSCRIPTS]:
            with suppress(OSError):
                old.unlink()

    def transcripts(self, most: int) -> tuple[tuple[str, str], ...]:
        """The last transcripts, newest first: name and text."""
        return _newest(self.folder / "transcripts", ".toml", most)

    def _write(self, path: Path, data: bytes) -> None:
        """Whole or not at all, and on the disk before we go on: a cut may come right after."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                _patiently(lambda: os.replace(temporary, path))
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise StorageFailed(f"cannot write {path}: {error.strerror}") from error


def _patiently(do: Callable[[], _T]) -> _T:
    """Do it; again for a moment, on Windows, as long as another lane or a virus scanner has the file open.

    There an open file can neither be replaced nor deleted, and one that is being replaced cannot be opened
    (sharing violation: PermissionError). Raises what `do` raises in the end.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return do()
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)


def _newest(folder: Path, suffix: str, most: int) -> tuple[tuple[str, str], ...]:
    """The last files by their names, which begin with the time."""
    texts = []
    for path in sorted(folder.glob(f"*{suffix}"), reverse=True)[:most]:
        with suppress(OSError, UnicodeDecodeError):
            texts.append((path.stem, path.read_text(encoding="utf-8")))
    return tuple(texts)


def without_home(text: str) -> str:
    """The text with ~ for this account's home folder, whose name is more often than not a person's."""
    try:
        home = str(Path.home())
    except RuntimeError:  # this account has none
        return text
    if not home.strip("/\\"):  # "/" is nobody's name
        return text
    for backslash in ("\\", "\\\\", "\\u005c"):  # as it is, in JSON, in a recording
        spelling = home.replace("\\", backslash)
        text = re.sub(re.escape(spelling) + r"(?![\w.-])", "~", text)
    return text


def _read(path: Path, kind: type[Journal]) -> Journal | None:
    try:
        return msgspec.json.decode(_patiently(path.read_bytes), type=kind)
    except (OSError, ValueError):  # msgspec's errors are ValueErrors, and so is text that is not UTF-8
        return None


def folder_of(state: Path, embedded_root: bytes) -> Path:
    """The folder below `state` of one root of trust."""
    return state / hashlib.sha256(embedded_root).hexdigest()[:16]


def peek_store(state: Path, embedded_root: bytes) -> Store:
    """The same folder for reading only: nothing is made or locked, so another updater may be at work."""
    return Store(folder_of(state, embedded_root))


@contextmanager
def open_store(state: Path, embedded_root: bytes) -> Iterator[Store]:
    """Open (and make) the folder for this root below `state`, for this process alone.

    Raises `StorageFailed` when it cannot be made, or when another updater is using it.
    """
    folder = folder_of(state, embedded_root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("wb")
    except OSError as error:
        raise StorageFailed(f"cannot use the state folder {folder}: {error.strerror}") from error
    with lock:
        if not try_lock(lock.fileno()):
            raise StorageFailed(
                "another updater is at work with the same state folder",
                advice="Wait until it is done, or close its window, and run the command again.",
            )
        yield Store(folder)


if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process alone, without waiting; the lock goes with the process."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process alone, without waiting; the lock goes with the process."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
