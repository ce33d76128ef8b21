"""Every error has an exit status, a meaning and advice; the README's table is made of the classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from updater.words.errors import DeviceIs, UpdaterError, every_error

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

# the contract of the README
EXIT_STATUSES = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 70}


def exit_table() -> str:
    """The README's table of exit statuses."""
    rows: dict[int, tuple[str, list[str]]] = {}
    for kind in every_error():
        rows.setdefault(kind.exit_status, (kind.means, []))[1].append(kind.__name__)
    head = "| exit | meaning | errors |\n|---|---|---|\n| 0 | done (also: nothing to do) | |\n"
    return head + "".join(
        f"| {exit} | {means} | {', '.join(names)} |\n" for exit, (means, names) in rows.items()
    )


def test_the_readme_has_the_table_of_exit_statuses() -> None:
    assert exit_table() in README, f"put this into README.md:\n\n{exit_table()}"


def test_every_exit_status_of_the_contract_has_a_class() -> None:
    assert {kind.exit_status for kind in every_error()} == EXIT_STATUSES


@pytest.mark.parametrize("kind", every_error())
def test_every_error_gives_advice_in_whole_sentences(kind: type[UpdaterError]) -> None:
    assert kind.__doc__
    assert kind.means
    assert kind.advice[0].isupper()
    assert kind.advice.endswith(".")


@pytest.mark.parametrize("kind", every_error())
def test_the_tree_is_flat(kind: type[UpdaterError]) -> None:
    assert kind.__bases__ == (UpdaterError,)


def test_classes_with_one_exit_status_mean_the_same() -> None:
    means: dict[int, set[str]] = {}
    for kind in every_error():
        means.setdefault(kind.exit_status, set()).add(kind.means)
    assert all(len(texts) == 1 for texts in means.values())


def test_an_error_says_how_the_device_is() -> None:
    assert UpdaterError("x").device_is is DeviceIs.UNTOUCHED
    assert UpdaterError("x", advice="y", device_is=DeviceIs.RUNS_OLD).advice == "y"
