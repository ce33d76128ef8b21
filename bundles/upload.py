"""`bundles upload DIR URL`: a site from a folder to where a web server or CDN shows it, through fsspec.

The order is the one in which a client would miss the files: what is named before what names it, and
`timestamp.json` last. An upload that is cut off at any file shows clients the old state; run it again.
Nothing is ever deleted there. Files that never change are not sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Timestamp
from tuf.api.serialization import DeserializationError

from updater.words.errors import NetworkFailed, NotTrusted, Refused, UpdaterError, Usage

from .files import read_file, write_file

TESTED = ("file", "memory", "s3", "sftp")
"""The schemes that are tested; for what else fsspec knows nobody has tried it."""
TIMESTAMP = "metadata/timestamp.json"
_WHOLE_AT_ONCE = frozenset({"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oci"})
"""Object stores: a reader sees the old object or the new one, never half of it."""
AGAIN = "Run the same command again: it goes on where it stopped."
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}


def in_order(folder: Path) -> list[str]:
    """The files of a site in the order in which they must become visible. Raises Usage for no site."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    wanted = [name for name in names if not name.endswith(".part") and not Path(name).name.startswith(".")]
    if TIMESTAMP not in wanted:
        raise Usage(f"{folder} holds no published site", advice="Run `bundles publish` first.")
    return sorted(wanted, key=lambda name: (_rank(name), name))


def upload(folder: Path, url: str, *, told: Callable[[str], None] = lambda _name: None) -> int:
    """Upload what is not there yet; answers how many files that were.

    Raises Refused when the host shows a newer state than the folder's, NetworkFailed when the host fails.
    """
    names = in_order(folder)
    fs, base = _open(url)
    sent = 0
    with _told_plainly(f"the upload to {url} failed", f"Customers see the old state. {AGAIN}"):
        _refuse_newer(fs, base, folder)
        there = _there(fs, base)
        for name in names:
            data = read_file(folder / name)
            is_there = there.get(name) == len(data)
            if is_there and (_never_changes(name) or fs.cat_file(f"{base}/{name}") == data):
                continue
            if name == TIMESTAMP:
                _refuse_newer(fs, base, folder)  # somebody else may have been faster
            told(name)
            _put(fs, f"{base}/{name}", name, data)
            sent += 1
    return sent


def fetch(url: str, folder: Path) -> int:
    """The site from its host into a folder, for a machine that keeps none; answers how many files came.

    Raises NetworkFailed, and Refused for a folder that holds a newer state than the host.
    """
    fs, base = _open(url)
    came = 0
    with _told_plainly(f"fetching {url} failed", AGAIN):
        if (folder / TIMESTAMP).exists():
            _refuse_older(fs, base, folder)
        there = {name: size for name, size in _there(fs, base).items() if not name.endswith(".part")}
        if TIMESTAMP not in there:
            raise Usage(f"{url} holds no site", advice="Check the address, or begin with `bundles upload`.")
        for name in sorted(there, key=lambda name: (_rank(name), name)):
            file = folder / name
            if _never_changes(name) and file.exists() and file.stat().st_size == there[name]:
                continue
            if not file.resolve().is_relative_to(folder.resolve()):
                raise NotTrusted(f"{url} holds {name!r}, which leads out of the folder", advice="Look at it.")
            file.parent.mkdir(parents=True, exist_ok=True)
            write_file(file, fs.cat_file(f"{base}/{name}"))
            came += 1
    return came


@contextmanager
def _told_plainly(what: str, advice: str) -> Iterator[None]:
    """Whatever a backend raises, as NetworkFailed: each has exceptions of its own."""
    try:
        yield
    except UpdaterError:
        raise
    except Exception as error:
        raise NetworkFailed(f"{what}: {type(error).__name__}: {error}", advice=advice) from error


def scheme_of(url: str) -> str:
    """`s3` of `s3://bucket/folder`; a plain path is `file`."""
    return url.partition("://")[0] if "://" in url else "file"


def _open(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise Usage(
            "uploading needs fsspec, which is not installed",
            advice="In a checkout: pip install -e '.[cloud]'.",
        ) from error
    try:
        fs, base = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise Usage(
            f"{url} cannot be used: {error}",
            advice="Write s3://BUCKET/FOLDER, sftp://USER@HOST/FOLDER, or another scheme that fsspec knows.",
        ) from error
    except Exception as error:
        raise NetworkFailed(
            f"{url} cannot be opened: {type(error).__name__}: {error}",
            advice="Check the address and the credentials.",
        ) from error
    return fs, str(base).rstrip("/")


def _there(fs: Any, base: str) -> Mapping[str, int]:
    """What lies there, by name, and how large it is."""
    fs.invalidate_cache()
    try:
        found = fs.find(base, detail=True)
    except FileNotFoundError:
        return {}
    prefix = len(base) + 1
    return {name[prefix:]: int(info["size"]) for name, info in found.items()}


def _put(fs: Any, path: str, name: str, data: bytes) -> None:
    scheme = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    if scheme in _WHOLE_AT_ONCE:
        fs.pipe_file(path, data, **(_headers(name) if scheme.startswith("s3") else {}))
        return
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    with fs.open(f"{path}.part", "wb") as half:
        half.write(data)
    fs.mv(f"{path}.part", path)


def _headers(name: str) -> dict[str, str]:
    control = _FOREVER if _never_changes(name) else "no-cache"
    return {
        "CacheControl": control,
        "ContentType": _TYPES.get(Path(name).suffix, "application/octet-stream"),
    }


def _refuse_newer(fs: Any, base: str, folder: Path) -> None:
    """Clients take no older timestamp than they have seen; the host must not go back either."""
    ours = _version(read_file(folder / TIMESTAMP), str(folder / TIMESTAMP))
    try:
        shown = fs.cat_file(f"{base}/{TIMESTAMP}")
    except FileNotFoundError:
        return
    theirs = _version(shown, f"{base}/{TIMESTAMP}")
    if theirs > ours or (theirs == ours and shown != read_file(folder / TIMESTAMP)):
        raise Refused(
            f"the host shows state {theirs}, this folder is state {ours}: it was published from elsewhere",
            advice="Fetch the site from the host, make your change to that, and publish again.",
        )


def _refuse_older(fs: Any, base: str, folder: Path) -> None:
    ours = _version(read_file(folder / TIMESTAMP), str(folder / TIMESTAMP))
    if _version(fs.cat_file(f"{base}/{TIMESTAMP}"), f"{base}/{TIMESTAMP}") < ours:
        raise Refused(
            f"{folder} is newer than what {base} shows", advice="Run `bundles upload`, or fetch elsewhere."
        )


def _version(data: bytes, where: str) -> int:
    try:
        return int(Metadata[Timestamp].from_bytes(data).signed.version)
    except DeserializationError as error:
        raise NotTrusted(f"{where} is not TUF timestamp metadata", advice="Look what it is.") from error


def _never_changes(name: str) -> bool:
    return name.startswith(("targets/", "metadata/", "updater/")) and name not in (
        TIMESTAMP,
        "updater/index.json",
    )


def _rank(name: str) -> int:
    """Bytes, then the metadata that names them, then what names that."""
    top, _, file = name.partition("/")
    if top != "metadata":
        return {"targets": 0, "files": 1, "rehearsals": 1, "updater": 1, "u": 5}.get(top, 1)
    kind = file.partition(".")[2]
    return {"snapshot.json": 3, "root.json": 4, "json": 6}.get(kind, 2)
