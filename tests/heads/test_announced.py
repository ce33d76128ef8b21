"""What a channel says: who is among the first, who gets the previous release, and what comes before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from updater.heads.announced import (
    Rollout,
    bucket,
    is_among_the_first,
    parse_announced,
    step_before,
    version_for,
)
from updater.words.errors import NotTrusted
from updater.words.facts import DeviceFacts, Mode

ENTRY: dict[str, Any] = {"version": "3.5.0", "security_counter": 4}
UID = bytes(range(12))
FACTS = DeviceFacts(
    name="w", port="1-2", usb="1209:0001", mode=Mode.APPLICATION, version=Version(3, 3, 0), uid=UID
)
UIDS = st.binary(min_size=12, max_size=12)
SALTS = st.text(min_size=1, max_size=8)


def staged(percent: int, **more: Any) -> Any:
    entry = ENTRY | {"rollout": {"percent": percent, "salt": "3.5.0"}, "previous": "3.4.0"} | more
    return parse_announced(entry, "current.fwb")


def test_the_bucket_is_this_one() -> None:
    """55614d5e…2eaae48a43, as sha256sum says of these 17 bytes, modulo 10,000."""
    assert bucket("3.5.0", UID) == BUCKET


BUCKET = 9011


@given(salt=SALTS, uid=UIDS)
def test_at_0_percent_nobody_at_100_everybody(salt: str, uid: bytes) -> None:
    assert not is_among_the_first(Rollout(percent=0, salt=salt), uid)
    assert is_among_the_first(Rollout(percent=100, salt=salt), uid)
    assert is_among_the_first(None, uid)


@given(salt=SALTS, uid=UIDS, low=st.integers(0, 100), high=st.integers(0, 100))
def test_who_was_among_the_first_stays_among_them(salt: str, uid: bytes, low: int, high: int) -> None:
    low, high = sorted((low, high))
    if is_among_the_first(Rollout(percent=low, salt=salt), uid):
        assert is_among_the_first(Rollout(percent=high, salt=salt), uid)


def test_twenty_percent_are_about_twenty_of_a_hundred() -> None:
    rollout = Rollout(percent=20, salt="3.5.0")
    first = sum(is_among_the_first(rollout, number.to_bytes(12)) for number in range(2000))
    assert 340 < first < 460


def test_a_device_whose_uid_is_not_known_waits_for_the_last() -> None:
    assert not is_among_the_first(Rollout(percent=99, salt="x"), None)
    assert is_among_the_first(Rollout(percent=100, salt="x"), None)


def test_outside_of_the_bucket_the_previous_release_is_offered() -> None:
    assert version_for(staged(0), FACTS) == Version(3, 4, 0)
    assert version_for(staged(100), FACTS) == Version(3, 5, 0)


def test_without_a_previous_release_nothing_is_offered_yet() -> None:
    assert version_for(staged(0, previous=None), FACTS) is None


@pytest.mark.parametrize(
    ("has", "gets"),
    [
        (Version(3, 4, 0), Version(3, 4, 0)),
        (Version(3, 4, 5), None),
        (Version(3, 5, 0), Version(3, 5, 0)),
        (Version(3, 6, 0), Version(3, 5, 0)),
        (None, Version(3, 4, 0)),
    ],
)
def test_nobody_is_led_back_by_a_percentage(has: Version | None, gets: Version | None) -> None:
    assert version_for(staged(0), replace(FACTS, version=has)) == gets


def test_a_device_without_its_program_does_not_wait() -> None:
    stranger = replace(FACTS, mode=Mode.ROM, version=None, uid=None)
    assert version_for(staged(0), stranger) == Version(3, 5, 0)


STEPPED = ENTRY | {"from_min_version": "3.4.0", "step": "3.4.2"}


def test_a_device_that_is_too_old_takes_a_step_first() -> None:
    release = parse_announced(STEPPED, "current.fwb")
    assert step_before(release, FACTS) == Version(3, 4, 2)
    assert step_before(release, replace(FACTS, version=Version(3, 4, 0))) is None
    assert step_before(release, replace(FACTS, version=None)) is None
    assert step_before(parse_announced(ENTRY, "current.fwb"), FACTS) is None


@pytest.mark.parametrize("step", ["3.5.0", "9.0.0"])
def test_a_step_that_does_not_lead_up_is_refused(step: str) -> None:
    with pytest.raises(NotTrusted, match=rf"{step} comes before 3\.5\.0"):
        step_before(parse_announced(STEPPED | {"step": step}, "current.fwb"), FACTS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "3.5"},
        {"version": 3},
        {"security_counter": -1},
        {"security_counter": True},
        {"rollout": {"percent": 101, "salt": "x"}},
        {"rollout": {"percent": 20, "salt": ""}},
        {"rollout": {"percent": 20}},
        {"rollout": 20},
        {"previous": "latest"},
        {"step": "../3.4.2"},
        {"withdrawn": "3.4.1"},
        {"withdrawn": ["3.4"]},
        {"withdrawn": ["1.0.0"] * 257},
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(NotTrusted, match=r"entry current\.fwb is wrong"):
        parse_announced(ENTRY | wrong, "current.fwb")


@pytest.mark.parametrize("custom", [None, {}, [], "3.5.0", {"version": "3.5.0"}])
def test_an_entry_without_what_it_must_say_is_refused(custom: Any) -> None:
    with pytest.raises(NotTrusted):
        parse_announced(custom, "current.fwb")


def test_what_newer_sites_say_beside_it_does_no_harm() -> None:
    entry = parse_announced(ENTRY | {"colour": "blue", "withdrawn": ["3.4.1"]}, "current.fwb")
    assert entry.withdrawn == (Version(3, 4, 1),)
