"""The committed images come from the sources beside them, wherever and whenever these are built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.boot.firmware import NAMES, SOURCES, build, committed, need_the_compiler

pytestmark = pytest.mark.boot


def test_the_committed_images_are_what_the_sources_build(tmp_path: Path) -> None:
    need_the_compiler()
    build(tmp_path)
    for name in NAMES:
        assert (tmp_path / f"{name}.hex").read_bytes() == committed(name).read_bytes(), name


def test_two_folders_build_the_same_bytes(tmp_path: Path) -> None:
    need_the_compiler()
    here, there = tmp_path / "a", tmp_path / "another" / "and-much-longer-path"
    for folder in (here, there):
        shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("images", "build"))
        build(folder / "out", sources=folder)
    for name in NAMES:
        assert (here / "out" / f"{name}.hex").read_bytes() == (there / "out" / f"{name}.hex").read_bytes(), (
            name
        )
