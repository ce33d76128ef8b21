"""What stories share: a hold on the lab that a command has open."""

from __future__ import annotations

from typing import Any

import pytest

from updater.lab import shelf
from updater.lab.shelf import Lab


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch) -> list[Lab]:
    """The lab that a command has open, for what happens on the desk while it runs."""
    opened: list[Lab] = []
    real = shelf.Lab

    def remember(*parts: Any) -> Lab:
        opened.append(real(*parts))
        return opened[-1]

    monkeypatch.setattr(shelf, "Lab", remember)
    return opened
