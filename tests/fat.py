"""A folder that behaves like one on FAT, where no such file system can be mounted."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

FORBIDDEN = set('\\:*?"<>|') | {chr(code) for code in range(32)}
"""What no long file name on FAT may have in it (Microsoft's FAT specification, section 7)."""


def knows_no_links(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Neither symbolic nor hard links in this folder: EPERM, as symlink(2) and link(2) have it."""

    def on_fat(real: Callable[..., None]) -> Callable[..., None]:
        def link(source: str, target: str, **how: object) -> None:
            if folder in Path(target).parents:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)
            real(source, target, **how)

        return link

    for name in ("symlink", "link"):
        monkeypatch.setattr(os, name, on_fat(getattr(os, name)))
