"""What an update that was cut off leaves in the state folder."""

from __future__ import annotations

from updater.hands.store import Journal
from updater.words.facts import IdentityFrom


def widget_journal(from_version: str = "1.0.0") -> Journal:
    """Of a demo widget on a port where no other test plugs one in."""
    return Journal(
        port="1-4",
        product="demo-widget",
        hardware="A",
        chip="stm32h743",
        serial=None,
        identity=IdentityFrom.APPLICATION,
        manifest_sha256="0" * 64,
        from_version=from_version,
    )
