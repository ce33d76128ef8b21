"""One virtual screen for all: tk holds on to a screen as long as its process lives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.window.screen import screen


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    with screen() as name:
        yield name
