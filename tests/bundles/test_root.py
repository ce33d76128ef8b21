"""What no root may say, and what people see before they sign one."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from bundles import root
from updater.words.errors import NotTrusted, Refused, Usage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIGNERS = {
    name: CryptoSigner.generate_ed25519()
    for name in ("root-1", "root-2", "root-3", "release-1", "release-2", "online")
}
for name, signer in SIGNERS.items():
    signer.public_key.unrecognized_fields["x-name"] = name


def public(*names: str) -> list[Any]:
    return [SIGNERS[name].public_key for name in names]


def draft(**changes: Any) -> Any:
    said: dict[str, Any] = {
        "root_keys": public("root-1", "root-2", "root-3"),
        "root_threshold": 2,
        "release_keys": public("release-1", "release-2"),
        "release_threshold": 2,
        "online_key": SIGNERS["online"].public_key,
        "expires": NOW + timedelta(days=600),
    }
    return root.new_root(**(said | changes))


def test_a_root_is_said_in_words() -> None:
    made = draft()
    root.sign(made, made.signed, "root", SIGNERS["root-3"])
    assert root.check_root(made, NOW) == [
        "Root version 1, valid until 2028-01-22.",
        "root: 2 of 3 (root-1, root-2, root-3) may change this list.",
        "targets: 2 of 2 (release-1, release-2) sign releases.",
        "snapshot: 1 of 1 (online) says what is current.",
        "timestamp: 1 of 1 (online) says what is current.",
        "Signed by root-3; 1 more needed.",
    ]


def test_two_root_signatures_are_enough_and_one_is_not() -> None:
    made = draft()
    root.sign(made, made.signed, "root", SIGNERS["root-1"])
    with pytest.raises(NotTrusted, match="not have enough signatures"):
        root.require_signed(made.signed, "root", made)
    root.sign(made, made.signed, "root", SIGNERS["root-2"])
    root.require_signed(made.signed, "root", made)


def test_the_names_survive_the_file() -> None:
    again = root.load_root(root.dump(draft()))
    assert "root: 2 of 3 (root-1, root-2, root-3) may change this list." in root.check_root(again, NOW)


def test_a_root_that_names_a_key_which_is_not_in_it_is_not_read() -> None:
    made = draft()
    del made.signed.keys[SIGNERS["root-1"].public_key.keyid]
    with pytest.raises(NotTrusted, match="names a key that it does not hold"):
        root.load_root(root.dump(made))


def test_targets_that_name_a_key_which_is_not_in_them_are_not_read() -> None:
    made = root.new_targets(draft().signed, SIGNERS["online"].public_key, NOW + timedelta(days=300))
    assert made.signed.delegations is not None
    made.signed.delegations.keys.clear()
    with pytest.raises(NotTrusted, match="names a key that it does not hold"):
        root.load_targets(root.dump(made))


@pytest.mark.parametrize("role", ["root", "release"])
@pytest.mark.parametrize(("threshold", "why"), [(1, "one stolen key"), (4, "4 signatures are needed")])
def test_a_threshold_that_is_too_low_or_cannot_be_met_is_refused(role: str, threshold: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        draft(**{f"{role}_threshold": threshold})


def test_one_key_listed_twice_is_refused_even_under_another_id() -> None:
    twin = copy.deepcopy(SIGNERS["root-1"].public_key)
    twin.keyid = "0" * 64
    with pytest.raises(Refused, match="are the same key"):
        draft(root_keys=[*public("root-1", "root-2"), twin])


@pytest.mark.parametrize("role", ["root_keys", "release_keys"])
def test_the_key_on_the_server_can_neither_change_the_root_nor_release(role: str) -> None:
    with pytest.raises(Refused, match="online key"):
        draft(**{role: public("root-1", "release-1", "online")})


@pytest.mark.parametrize(
    ("expires", "why"),
    [
        (NOW - timedelta(days=1), "expired on 2026-05-31"),
        (NOW, "expired"),
        (datetime(2028, 6, 3, tzinfo=UTC), "longer than 24 months"),
        (root.DEMO_EXPIRES, "longer than 24 months"),
    ],
)
def test_a_root_that_is_over_or_lives_too_long_is_refused(expires: datetime, why: str) -> None:
    with pytest.raises(Refused, match=why):
        root.check_root(draft(expires=expires), NOW)


def test_a_stranger_cannot_sign_and_nobody_signs_twice() -> None:
    made = draft()
    with pytest.raises(Refused, match="not one of the root keys"):
        root.sign(made, made.signed, "root", SIGNERS["release-1"])
    root.sign(made, made.signed, "root", SIGNERS["root-1"])
    with pytest.raises(Refused, match="root-1 has signed this already"):
        root.sign(made, made.signed, "root", SIGNERS["root-1"])


def test_targets_lead_each_channel_to_the_online_key_only() -> None:
    made = root.new_targets(draft().signed, SIGNERS["online"].public_key, NOW + timedelta(days=365))
    assert root.describe_targets(made.signed) == [
        "Targets version 1, valid until 2027-06-01.",
        "stable: online may say which release is current.",
        "beta: online may say which release is current.",
    ]
    with pytest.raises(Refused, match="not the online key"):
        root.new_targets(draft().signed, SIGNERS["release-1"].public_key, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)), ("12months", datetime(2027, 6, 1, tzinfo=UTC))],
)
def test_an_expiry_is_a_date_or_a_number_of_months(text: str, expected: datetime) -> None:
    assert root.expiry(text, NOW) == expected


@pytest.mark.parametrize("text", ["soon", "2027-13-01", "-1months", ""])
def test_another_expiry_is_usage(text: str) -> None:
    with pytest.raises(Usage, match="is no date"):
        root.expiry(text, NOW)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00", b'{"signatures":[],"signed":{"_type":"timestamp"}}'])
def test_something_else_is_not_read_as_a_root(data: bytes) -> None:
    with pytest.raises(NotTrusted, match="not TUF root metadata"):
        root.load_root(data)
