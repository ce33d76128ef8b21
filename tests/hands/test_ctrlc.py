"""Ctrl-C that waits: what is done whole is done whole."""

from __future__ import annotations

import signal

import pytest

from updater.hands.ctrlc import undisturbed


def test_ctrl_c_comes_when_the_work_is_done_also_out_of_one_inside_another() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            with undisturbed():
                signal.raise_signal(signal.SIGINT)
                done.append("inside")
            done.append("outside")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inside", "outside"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_ctrl_c_nothing_comes_and_what_is_raised_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="as it is"), undisturbed():
        raise ValueError("as it is")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
