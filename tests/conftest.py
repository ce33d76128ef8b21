"""What every floor may use: a demo vendor on a real web server, and a customer's desk."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.desk import Desk, Published, published_in
from tests.hands.web import Web

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 1024**3


def _use_memory() -> None:
    """Temporary folders in memory where Linux has room: the flash of all boards is over a gigabyte."""
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    can_run_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    if can_run_programs and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


_use_memory()
settings.register_profile("untimed", deadline=None, max_examples=25)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with published_in(tmp_path_factory.mktemp("published")) as published:
        yield published


@pytest.fixture
def published(_site: Published) -> Iterator[Published]:
    """The demo vendor; whatever a test made its web server do is undone."""
    web: Web = _site.web
    yield _site
    web.pages.clear()
    web.everywhere = None
    web.folder = _site.vendor.site


@pytest.fixture(autouse=True)
def _no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests on a desktop does not get windows; those of the window have their own screen."""
    monkeypatch.setattr("updater.hands.host.has_display", lambda: False)


@pytest.fixture
def desk(tmp_path: Path, published: Published, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A customer's desk with nothing plugged in."""
    return Desk(tmp_path, published, monkeypatch)


def pytest_collection_finish() -> None:
    """Thousands of tests stay in memory to the end; the garbage collector need not look at them each time."""
    gc.collect()
    gc.freeze()
