"""Who may listen to the wire: told of every transfer on an opened device, and deciding nothing."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from updater.heads.dfu.words import Functional, In, Out, Select, WireError
from updater.words.facts import Shown


class Transfer(NamedTuple):
    """One transfer that has ended, on the wire's clock. `error` is None when it went well."""

    wish: Out | In | Select
    answer: bytes
    error: WireError | None
    began_ms: float
    ended_ms: float


class Listener(Protocol):
    """Told of everything that is said on opened devices. It must not fail."""

    def opened(self, usb: str, port: str, shown: Shown, functional: Functional | None) -> None:
        """A device was opened; `usb` is its "vid:pid"."""

    def begins(self, usb: str, script: str, at_ms: float) -> None:
        """A script begins; the transfers that follow are its."""

    def transferred(self, transfer: Transfer) -> None:
        """One transfer has ended."""

    def failed(self, error: WireError) -> None:
        """The script ended with this error."""
