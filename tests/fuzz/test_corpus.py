"""What fuzzing has found, tried again each time; the fuzzers themselves run with their own mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS, SECONDS, fuzz_all
from tests.fuzz.targets import TARGETS
from tests.tools import need_library


def inputs(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_read_exactly_or_refused(name: str) -> None:
    """Also that the corpus has both kinds: a target that accepts nothing proves nothing."""
    answers = {TARGETS[name](path.read_bytes()) for path in inputs(name)}
    assert answers == {True, False}


def test_the_corpus_stays_small() -> None:
    files = [path for name in TARGETS for path in inputs(name)]
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 2_000_000


@pytest.mark.fuzz
def test_a_minute_of_fuzzing_each_parser_finds_nothing() -> None:
    """Two at a time; `-s` shows the totals."""
    need_library("atheris", extra="fuzz")
    done = fuzz_all(TARGETS, SECONDS, jobs=2, keep=False, told=lambda line: print(line, flush=True))
    assert [one.said for one in done if one.said] == []
    assert [one.name for one in done if one.runs < 1_000] == [], "a target that hardly ran proves nothing"
