"""Policy: what may be installed on which device, from where, and what the person must type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from tests.heads.bundle_kit import EXPIRES, make_bundle, make_manifest, open_bundle, verified
from updater.heads.manifest import Bundle
from updater.heads.policy import OpenedFrom, TypedConfirmation, Verdict, check_clock, floor_of, judge
from updater.heads.vendor import Product, Recovery, RecoveryKind
from updater.words.errors import Refused, UnknownDevice, UpdaterError, WrongDevice
from updater.words.facts import Channel, DeviceFacts, IdentityFrom, Mode

PRODUCT = Product(
    id="demo-widget",
    number=1,
    title="Demo Widget",
    usb=("1209:0001",),
    chips=("chip",),
    hardware=("A", "B"),
    recovery=Recovery(kind=RecoveryKind.EMPTY_CHECK),
)
FACTS = DeviceFacts(
    name="widget",
    port="1-2",
    usb="1209:0001",
    mode=Mode.APPLICATION,
    product="demo-widget",
    hardware="A",
    version=Version(1, 0, 0),
    identity=IdentityFrom.APPLICATION,
)
STRANGER = DeviceFacts(name="?", port="1-2", usb="0483:df11", mode=Mode.ROM)
NEW = verified()
EXPIRED = open_bundle(make_bundle(), now=EXPIRES)
FREE = Verdict()


def ask(
    bundle: Bundle = NEW,
    *,
    product: Product = PRODUCT,
    facts: DeviceFacts = FACTS,
    floor: int = 0,
    opened_from: OpenedFrom = OpenedFrom.FILE,
    channel: str | None = None,
    again: bool = False,
) -> Verdict:
    return judge(
        bundle,
        product=product,
        facts=facts,
        floor=floor,
        opened_from=opened_from,
        channel=channel,
        again=again,
    )


def product(**changes: Any) -> Product:
    return msgspec.structs.replace(PRODUCT, **changes)


ANYWHERE = pytest.mark.parametrize("opened_from", list(OpenedFrom))
ONLINE = pytest.mark.parametrize("opened_from", [OpenedFrom.LINK, OpenedFrom.CHANNEL])


@ANYWHERE
def test_a_newer_version_is_installed_without_more_ado(opened_from: OpenedFrom) -> None:
    assert ask(opened_from=opened_from) == FREE


def test_a_device_whose_version_is_unknown_is_installed() -> None:
    stranger = replace(STRANGER, product="demo-widget", hardware="A", identity=IdentityFrom.PERSON)
    assert ask(facts=stranger) == FREE


# -- the device ---------------------------------------------------------------------------------------


def test_an_update_for_another_product_is_refused() -> None:
    with pytest.raises(WrongDevice, match="for demo-widget, but the device is demo-gadget") as error:
        ask(product=product(id="demo-gadget"), facts=replace(FACTS, product="demo-gadget"))
    assert error.value.exit_status == 4


def test_a_device_that_says_it_is_another_product_than_the_person_said_is_refused() -> None:
    with pytest.raises(WrongDevice, match="demo-gadget"):
        ask(facts=replace(FACTS, product="demo-gadget"))


def test_hardware_that_is_not_listed_is_refused() -> None:
    with pytest.raises(WrongDevice, match="for hardware A, B, but the device has hardware C"):
        ask(facts=replace(FACTS, hardware="C"))


def test_hardware_may_be_unknown_when_the_update_is_for_all_there_is() -> None:
    assert ask(facts=STRANGER) == FREE


def test_hardware_must_be_said_when_the_update_is_for_some_of_it() -> None:
    with pytest.raises(UnknownDevice, match="for hardware A only") as error:
        ask(verified(hardware=("A",)), facts=STRANGER)
    assert "--as demo-widget:HARDWARE" in error.value.advice


def test_unknown_hardware_is_refused_when_the_update_is_for_none_of_it() -> None:
    with pytest.raises(WrongDevice, match="exists as A, B"):
        ask(verified(hardware=("C",)), facts=STRANGER)


# -- the floor ----------------------------------------------------------------------------------------


@ANYWHERE
@pytest.mark.parametrize("again", [False, True])
def test_a_counter_below_the_floor_is_always_refused(opened_from: OpenedFrom, again: bool) -> None:
    with pytest.raises(Refused, match="its security counter is 3, 4 is needed") as error:
        ask(floor=4, opened_from=opened_from, again=again)
    assert error.value.exit_status == 6


def test_a_counter_at_the_floor_is_installed() -> None:
    assert ask(floor=3) == FREE


def test_each_of_the_three_sources_raises_the_floor() -> None:
    evidence = (make_manifest(security_counter=5), make_manifest(security_counter=4))
    assert floor_of("demo-widget") == 0
    assert floor_of("demo-widget", built_in=7) == 7
    assert floor_of("demo-widget", evidence=evidence) == 5
    assert floor_of("demo-widget", reported=6) == 6
    assert floor_of("demo-widget", built_in=1, evidence=evidence, reported=2) == 5


def test_evidence_of_another_product_does_not_raise_the_floor() -> None:
    assert floor_of("demo-widget", evidence=(make_manifest(product="demo-gadget", security_counter=9),)) == 0


COUNTERS = st.integers(0, 2**32 - 1)
EVIDENCE = st.lists(
    st.builds(
        lambda product, counter: make_manifest(product=product, security_counter=counter),
        st.sampled_from(["demo-widget", "demo-gadget"]),
        COUNTERS,
    ),
    max_size=4,
)


@given(built_in=COUNTERS, evidence=EVIDENCE, more=EVIDENCE, reported=st.none() | COUNTERS)
def test_adding_evidence_never_lowers_the_floor(
    built_in: int, evidence: list[Any], more: list[Any], reported: int | None
) -> None:
    floor = floor_of("demo-widget", built_in=built_in, evidence=evidence)
    assert floor_of("demo-widget", built_in=built_in, evidence=[*more, *evidence]) >= floor
    assert floor_of("demo-widget", built_in=built_in, evidence=evidence, reported=reported) >= floor


@given(version=st.builds(Version, *[st.integers(0, 2)] * 3), opened_from=st.sampled_from(OpenedFrom))
def test_what_is_refused_stays_refused_under_a_higher_floor(
    version: Version, opened_from: OpenedFrom
) -> None:
    facts = replace(FACTS, version=version)
    for floor in (3, 4):
        try:
            ask(facts=facts, floor=floor, opened_from=opened_from)
        except UpdaterError:
            continue
        assert floor == 3


# -- versions -----------------------------------------------------------------------------------------

NEWER_INSIDE = replace(FACTS, version=Version(1, 2, 0))
SAME_INSIDE = replace(FACTS, version=Version(1, 1, 0))


@ANYWHERE
def test_the_same_version_is_nothing_to_do(opened_from: OpenedFrom) -> None:
    assert ask(facts=SAME_INSIDE, opened_from=opened_from) == Verdict(nothing_to_do=True)


@ANYWHERE
def test_the_same_version_is_installed_again_when_asked_to(opened_from: OpenedFrom) -> None:
    assert ask(facts=SAME_INSIDE, opened_from=opened_from, again=True) == FREE


@ONLINE
def test_an_older_version_is_refused_from_a_link_and_from_the_site(opened_from: OpenedFrom) -> None:
    with pytest.raises(Refused, match=r"version 1\.1\.0 is older than version 1\.2\.0"):
        ask(facts=NEWER_INSIDE, opened_from=opened_from, again=True)


def test_an_older_version_from_a_file_is_installed_when_the_person_types_it() -> None:
    older = TypedConfirmation(text="1.1.0", because="version 1.1.0 is older than version 1.2.0 on the device")
    assert ask(facts=NEWER_INSIDE) == Verdict(confirmations=(older,))


def test_a_device_that_is_too_old_is_told_which_version_comes_first() -> None:
    with pytest.raises(Refused, match=r"only be installed on 1\.0\.5 or newer") as error:
        ask(verified(from_min_version=Version(1, 0, 5)))
    assert "Install version 1.0.5 first" in error.value.advice


def test_a_device_that_is_just_new_enough_or_unknown_is_installed() -> None:
    bundle = verified(from_min_version=Version(1, 0, 0))
    assert ask(bundle) == FREE
    assert ask(bundle, facts=replace(FACTS, version=None)) == FREE


# -- channels -----------------------------------------------------------------------------------------


def test_a_beta_bundle_offered_as_stable_is_refused() -> None:
    with pytest.raises(Refused, match="not released for the stable channel, only for beta"):
        ask(verified(channels=(Channel.BETA,)), opened_from=OpenedFrom.CHANNEL, channel="stable")


def test_a_beta_bundle_from_beta_or_from_a_file_is_installed() -> None:
    bundle = verified(channels=(Channel.BETA,))
    assert ask(bundle, opened_from=OpenedFrom.CHANNEL, channel="beta") == FREE
    assert ask(bundle) == FREE


@ANYWHERE
@pytest.mark.parametrize("channel", [None, "engineering"])
def test_an_engineering_build_is_refused_however_it_comes(
    opened_from: OpenedFrom, channel: str | None
) -> None:
    with pytest.raises(Refused, match="engineering"):
        ask(verified(channels=(Channel.ENGINEERING,)), opened_from=opened_from, channel=channel)


# -- expired trust information ------------------------------------------------------------------------


@ONLINE
def test_an_expired_root_is_refused_from_a_link(opened_from: OpenedFrom) -> None:
    with pytest.raises(Refused, match="has expired by this computer's date"):
        ask(EXPIRED, opened_from=opened_from)


def test_an_expired_root_from_a_file_is_warned_of_and_the_product_typed() -> None:
    (confirmation,) = ask(EXPIRED).confirmations
    assert confirmation.text == "demo-widget"
    assert "has expired" in confirmation.because


def test_an_older_version_under_an_expired_root_asks_for_both() -> None:
    verdict = ask(EXPIRED, facts=NEWER_INSIDE)
    assert [confirmation.text for confirmation in verdict.confirmations] == ["1.1.0", "demo-widget"]


def test_nothing_to_do_asks_for_nothing() -> None:
    assert ask(EXPIRED, facts=SAME_INSIDE, opened_from=OpenedFrom.LINK) == Verdict(nothing_to_do=True)


# -- recovery -----------------------------------------------------------------------------------------


def test_a_product_without_a_way_back_is_refused() -> None:
    with pytest.raises(Refused, match="Demo Widget has no way back"):
        ask(product=product(recovery=Recovery(kind=RecoveryKind.NONE)))


def test_a_product_without_a_way_back_is_installed_when_the_signed_manifest_accepts_that() -> None:
    bundle = verified(accept_no_recovery=True)
    assert ask(bundle, product=product(recovery=Recovery(kind=RecoveryKind.NONE))) == FREE


# -- the computer's clock -----------------------------------------------------------------------------

CREATED = date(2026, 5, 1)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (datetime(2026, 5, 1, tzinfo=UTC), None),
        (datetime(2026, 4, 30, tzinfo=UTC), None),
        (
            datetime(2026, 4, 29, 23, 59, tzinfo=UTC),
            "date is 2026-04-29, but the update was made on 2026-05-01",
        ),
        (datetime(1980, 1, 1, tzinfo=UTC), "date is 1980-01-01"),
        (datetime(2036, 4, 30, tzinfo=UTC), None),
        (datetime(2037, 1, 1, tzinfo=UTC), "date is 2037-01-01, more than ten years after"),
    ],
)
def test_a_clock_that_cannot_be_right_is_named_with_its_date(now: datetime, says: str | None) -> None:
    sentence = check_clock(now, CREATED)
    assert (sentence is None) if says is None else (sentence is not None and says in sentence)
