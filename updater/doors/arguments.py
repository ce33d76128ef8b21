"""What every part of the command line is given: a parser to hang into, and how to get hands when needed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from updater.story.job import Hands

Parser = TypeVar("Parser", bound=argparse.ArgumentParser)
MakeHands = Callable[[argparse.Namespace], AbstractContextManager["Hands"]]
