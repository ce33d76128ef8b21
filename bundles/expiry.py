"""When what lies on a site expires, and whether somebody has to act: for people, and for cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from updater.words.errors import NotTrusted

from .files import read_file

ALARM_STATUS = 20
"""The exit status of `bundles expiring` when somebody has to act; no other command has it."""
ALARM_BEFORE = timedelta(days=60)
CHANNEL_LIFE = timedelta(days=90)
SNAPSHOT_LIFE = timedelta(days=30)
TIMESTAMP_LIFE = timedelta(days=14)
_PEOPLE = ("root", "targets")
_Dated = Root | Targets | Snapshot | Timestamp
_LATE = 4
"""A quarter of a life is left: whatever renews it has stopped long ago."""


def sentences(folder: Path, newest: Mapping[str, int], now: datetime, *, online: bool) -> list[str]:
    """What must be renewed now, one sentence each; `online`: the timestamp too.

    Raises NotTrusted, StorageFailed.
    """
    told = []
    for role, expires, life in _dates(folder, newest):
        if role == "timestamp" and not online:
            continue
        left, date = expires - now, f"{expires:%Y-%m-%d}"
        if left <= timedelta():
            told.append(f"{role}.json expired on {date}: customers get no updates until it is renewed.")
        elif role in _PEOPLE and left < ALARM_BEFORE:
            told.append(f"{role}.json expires on {date}: renew it before, or customers get no updates.")
        elif life is not None and left < life / _LATE:
            told.append(f"{role}.json expires on {date}: run `bundles refresh` (is its cron job alive?).")
    return sorted(told)


def table(folder: Path, newest: Mapping[str, int]) -> list[str]:
    """When each role expires, the soonest first; of a channel's many files only the first to do so."""
    first: dict[str, tuple[datetime, str]] = {}
    for role, expires, _ in _dates(folder, newest):
        channel = role.split("-")[0]
        first[channel] = min(first.get(channel, (expires, role)), (expires, role))
    return [f"{expires:%Y-%m-%d}  {role}.json" for expires, role in sorted(first.values())]


def _dates(folder: Path, newest: Mapping[str, int]) -> Iterator[tuple[str, datetime, timedelta | None]]:
    for role, version in newest.items():
        kind: type[_Dated] = Root if role == "root" else Snapshot if role == "snapshot" else Targets
        life = SNAPSHOT_LIFE if role == "snapshot" else None if role in _PEOPLE else CHANNEL_LIFE
        yield role, _expires(folder / f"metadata/{version}.{role}.json", kind), life
    timestamp = folder / "metadata/timestamp.json"
    if timestamp.exists():
        yield "timestamp", _expires(timestamp, Timestamp), TIMESTAMP_LIFE


def _expires(file: Path, kind: type[_Dated]) -> datetime:
    try:
        signed: _Dated = Metadata.from_bytes(read_file(file)).signed
    except DeserializationError as error:
        raise NotTrusted(f"{file} is not TUF metadata", advice="Put back the published one.") from error
    if not isinstance(signed, kind):
        raise NotTrusted(f"{file} is another role's metadata", advice="Put back the published one.")
    return signed.expires
