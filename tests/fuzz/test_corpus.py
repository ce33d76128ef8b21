"""What fuzzing has found, tried again each time; the fuzzers themselves run with their own mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS, fuzz
from tests.fuzz.targets import TARGETS


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
@pytest.mark.parametrize("name", TARGETS)
def test_a_minute_of_fuzzing_finds_nothing(name: str) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: pip install -e '.[fuzz]'")
    runs, _, said = fuzz(name, 60, keep=False)
    print(f"{name}: {runs:,} runs")
    assert not said, said
    assert runs > 1_000
