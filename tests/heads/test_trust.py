"""Who may say that a bundle is genuine: roots and signatures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root, Targets

from tests.heads.bundle_kit import BOTH, EXPIRES, RELEASE_KEYS, make_envelope, make_root, root_1, signer
from updater.heads.manifest import canonical_json
from updater.heads.trust import (
    KEYID_LIMIT_CHARS,
    PAYLOAD_TYPE,
    SIGNATURE_LIMIT,
    format_envelope,
    parse_envelope,
    verify_envelope,
    walk_roots,
)
from updater.words.errors import NotTrusted, UpdaterError

PAYLOAD = b'{"schema":1}'


def root(data: bytes | None = None) -> Root:
    return walk_roots(data or root_1(), ()).root


def envelope_dict(*signed_by: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(make_envelope(PAYLOAD, signed_by))
    return value


def signature_of(name: str) -> dict[str, str]:
    signature: dict[str, str] = envelope_dict(name)["signatures"][0]
    return signature


def refused(envelope: bytes, *, by: Root | None = None) -> str:
    with pytest.raises(NotTrusted) as error:
        verify_envelope(by or root(), envelope)
    return error.value.message


# -- signatures ---------------------------------------------------------------------------------------


def test_two_of_three_release_keys_are_enough_and_are_named() -> None:
    verified = verify_envelope(root(), make_envelope(PAYLOAD, BOTH))
    assert verified.payload == PAYLOAD
    assert verified.signed_by == ("release-1", "release-2")
    assert verified.threshold == 2


def test_an_ed25519_and_an_ecdsa_key_count_together() -> None:
    schemes = {signer(name).public_key.scheme for name in BOTH}
    assert schemes == {"ed25519", "ecdsa-sha2-nistp256"}


def test_a_key_without_a_name_is_called_by_the_start_of_its_key_id() -> None:
    metadata = Metadata[Root].from_bytes(root_1())
    keyid = signer("release-1").public_key.keyid
    del metadata.signed.keys[keyid].unrecognized_fields["x-name"]
    verified = verify_envelope(metadata.signed, make_envelope(PAYLOAD, BOTH))
    assert set(verified.signed_by) == {"release-2", keyid[:8]}


def test_one_signature_of_two_is_refused() -> None:
    assert "carries 1 of the 2 release signatures" in refused(make_envelope(PAYLOAD, ("release-1",)))


def test_a_release_key_and_the_online_key_are_refused() -> None:
    assert "carries 1 of the 2" in refused(make_envelope(PAYLOAD, ("release-1", "online")))


def test_root_keys_cannot_sign_a_release() -> None:
    assert "carries 0 of the 2" in refused(make_envelope(PAYLOAD, ("root-1", "root-2")))


def test_the_same_signature_twice_is_refused() -> None:
    value = envelope_dict("release-1")
    value["signatures"] *= 2
    assert "Multiple signatures" in refused(canonical_json(value))


def test_two_signatures_under_one_key_id_are_refused() -> None:
    value = envelope_dict("release-1", "release-2")
    value["signatures"][1]["keyid"] = value["signatures"][0]["keyid"]
    assert "Multiple signatures" in refused(canonical_json(value))


def test_one_signature_under_the_key_id_of_another_does_not_count() -> None:
    value = envelope_dict("release-1")
    value["signatures"].append(signature_of("release-1") | {"keyid": signer("release-2").public_key.keyid})
    assert "carries 1 of the 2" in refused(canonical_json(value))


def test_an_empty_list_of_signatures_is_refused() -> None:
    assert "carries 0 of the 2" in refused(make_envelope(PAYLOAD, ()))


def test_empty_signatures_are_refused() -> None:
    value = envelope_dict("release-1", "release-3")
    for signature in value["signatures"]:
        signature["sig"] = ""
    assert "carries 0 of the 2" in refused(canonical_json(value))


@pytest.mark.parametrize("field", ["signatures", "payload", "payloadType"])
def test_an_envelope_without_one_of_its_fields_is_refused(field: str) -> None:
    value = envelope_dict(*BOTH)
    del value[field]
    assert "missing required field" in refused(canonical_json(value))


def test_garbage_beside_enough_signatures_does_no_harm() -> None:
    value = envelope_dict(*BOTH)
    value["signatures"].append({"keyid": signer("release-3").public_key.keyid, "sig": "Z2FyYmFnZQ=="})
    value["signatures"].append({"keyid": "unknown", "sig": "Z2FyYmFnZQ=="})
    assert verify_envelope(root(), canonical_json(value)).signed_by == ("release-1", "release-2")


def test_another_payload_is_refused_under_the_old_signatures() -> None:
    value = envelope_dict(*BOTH)
    value["payload"] = "eyJzY2hlbWEiOjJ9"
    assert "carries 0 of the 2" in refused(canonical_json(value))


@pytest.mark.parametrize(
    "kind", ["application/vnd.in-toto+json", "", PAYLOAD_TYPE.upper(), PAYLOAD_TYPE + " "]
)
def test_another_payload_type_is_refused_however_well_signed(kind: str) -> None:
    assert "of another kind" in refused(make_envelope(PAYLOAD, BOTH, payload_type=kind))


def test_the_payload_type_is_inside_the_signature() -> None:
    value = json.loads(make_envelope(PAYLOAD, BOTH, payload_type="application/other"))
    value["payloadType"] = PAYLOAD_TYPE
    assert "carries 0 of the 2" in refused(canonical_json(value))


def test_signatures_of_tuf_metadata_do_not_fit_a_manifest() -> None:
    targets = Metadata(Targets(expires=EXPIRES))
    envelope = Envelope(targets.signed_bytes, PAYLOAD_TYPE, {})
    for name in BOTH:
        signature = targets.sign(signer(name), append=True)
        envelope.signatures[signature.keyid] = signature
    assert "carries 0 of the 2" in refused(format_envelope(envelope))


def test_signatures_of_a_manifest_do_not_fit_tuf_metadata() -> None:
    targets = Metadata(Targets(expires=EXPIRES))
    envelope = Envelope(targets.signed_bytes, PAYLOAD_TYPE, {})
    for name in BOTH:
        envelope.sign(signer(name))
    result = root().get_verification_result("targets", targets.signed_bytes, envelope.signatures)
    assert result.signed == {}


# -- odd keys in the root -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(SSlibKey("odd", "ed25519", "ed25519", {"public": "abcd"}), id="short Ed25519"),
        pytest.param(
            SSlibKey("odd", "rsa", "rsassa-pss-sha256", {"public": "no PEM"}), id="RSA without a key"
        ),
        pytest.param(SSlibKey("odd", "ml-dsa", "ml-dsa-65/1", {"public": "00"}), id="ML-DSA without a key"),
    ],
)
def test_a_key_that_cannot_be_used_does_not_count_and_does_not_crash(key: SSlibKey) -> None:
    odd_root = make_root(release_keys=("release-1",), threshold=2, odd_keys={"odd": key})
    value = envelope_dict("release-1")
    value["signatures"].append({"keyid": "odd", "sig": "AAAA"})
    assert "carries 1 of the 2" in refused(canonical_json(value), by=root(odd_root))


def test_a_root_with_a_key_of_an_unknown_kind_is_passed_over() -> None:
    value = json.loads(make_root(2))
    next(iter(value["signed"]["keys"].values()))["keytype"] = "quantum"
    assert walk_roots(root_1(), (json.dumps(value).encode(),)).version == 1


# -- the envelope's form ------------------------------------------------------------------------------


def test_an_envelope_is_written_as_it_was_read() -> None:
    envelope = make_envelope(PAYLOAD, BOTH)
    assert format_envelope(parse_envelope(envelope)) == envelope


def test_base64_has_one_spelling_too() -> None:
    """ "/w==" and "/x==" are the same byte for most readers."""
    value = envelope_dict(*BOTH)
    value["signatures"].append({"keyid": "unknown", "sig": "/w=="})
    assert verify_envelope(root(), canonical_json(value))
    value["signatures"][-1]["sig"] = "/x=="
    assert "canonical" in refused(canonical_json(value))


def test_an_envelope_has_the_form_of_the_dsse_specification() -> None:
    keyid = signer("release-1").public_key.keyid
    head = f'{{"payload":"eyJzY2hlbWEiOjF9","payloadType":"{PAYLOAD_TYPE}","signatures":[{{"keyid":"{keyid}",'
    assert make_envelope(PAYLOAD, ("release-1",)).startswith(head.encode())


GOOD = make_envelope(PAYLOAD, BOTH)


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(GOOD + b"\n", id="newline at the end"),
        pytest.param(b" " + GOOD, id="space before"),
        pytest.param(GOOD.replace(b",", b", "), id="spaces"),
        pytest.param(GOOD.replace(b'"payload":', b'"payload":"eyJ9","payload":', 1), id="duplicate key"),
        pytest.param(GOOD.replace(b'"signatures"', b'"more":1,"signatures"'), id="unknown field"),
        pytest.param(GOOD.replace(b'"keyid"', b'"cert":"","keyid"', 1), id="unknown field in a signature"),
        pytest.param(GOOD.replace(b"eyJzY2hlbWEiOjF9", b"eyJzY2hlbWEiOjF"), id="base64 without padding"),
        pytest.param(GOOD.replace(b"eyJzY2hlbWEiOjF9", b"eyJz Y2hlbWEiOjF9"), id="space in base64"),
        pytest.param(GOOD.replace(b"eyJzY2hlbWEiOjF9", b"!!!"), id="not base64"),
        pytest.param(GOOD.replace(b"eyJzY2hlbWEiOjF9", b"eyJzY2hlbWEiOjF9AB=="), id="bits after the end"),
        pytest.param(GOOD.replace(b'"payload"', b'"p\\u0061yload"'), id="escaped key"),
        pytest.param(GOOD[:-1], id="cut off"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, id="BOM"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"payload":' + b"[" * 100_000, id="deep inside"),
        pytest.param(b'{"payload":"' + b"A" * (256 * 1024) + b'"}', id="too large"),
        pytest.param(GOOD.replace(b"vnd.stm32", "vnd.ſtm32".encode()), id="not ASCII"),
    ],
)
def test_an_envelope_in_any_other_spelling_is_refused(envelope: bytes) -> None:
    assert refused(envelope)


def test_sixteen_signatures_are_the_limit() -> None:
    value = envelope_dict(*BOTH)
    value["signatures"] += [{"keyid": f"k{n}", "sig": "AAAA"} for n in range(SIGNATURE_LIMIT - 2)]
    assert len(value["signatures"]) == 16
    assert verify_envelope(root(), canonical_json(value))
    value["signatures"].append({"keyid": "one-more", "sig": "AAAA"})
    assert "more than 16 signatures" in refused(canonical_json(value))


def test_128_characters_are_the_limit_of_a_key_id() -> None:
    value = envelope_dict(*BOTH)
    value["signatures"].append({"keyid": "k" * KEYID_LIMIT_CHARS, "sig": "AAAA"})
    assert verify_envelope(root(), canonical_json(value))
    value["signatures"][-1]["keyid"] += "k"
    assert "longer than 128 characters" in refused(canonical_json(value))


@given(data=st.binary(max_size=200))
def test_random_bytes_are_no_envelope(data: bytes) -> None:
    with pytest.raises(UpdaterError):
        parse_envelope(data)


@given(at=st.integers(0, len(GOOD) * 8 - 1))
def test_no_flipped_bit_of_an_envelope_is_accepted(at: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(NotTrusted):
        verify_envelope(root(), bytes(flipped))


# -- the chain of roots -------------------------------------------------------------------------------

ROOT_2 = make_root(2, release_keys=("release-2", "release-3"))
ROOT_3 = make_root(3, root_keys=("root-2", "root-3", "root-4"), signed_by=("root-2", "root-3", "root-4"))
FORGED_2 = make_root(2, root_keys=("mallory-1", "mallory-2"), signed_by=("mallory-1", "mallory-2"))


def test_without_candidates_the_embedded_root_stands() -> None:
    chain = walk_roots(root_1(), ())
    assert (chain.version, chain.versions, chain.expires) == (1, (root_1(),), EXPIRES)


def test_the_chain_is_walked_in_whatever_order_the_roots_come() -> None:
    chain = walk_roots(root_1(), (ROOT_3, b"junk", root_1(), ROOT_2))
    assert chain.version == 3
    assert chain.versions == (root_1(), ROOT_2, ROOT_3)


def test_the_chain_stops_at_a_gap() -> None:
    assert walk_roots(root_1(), (ROOT_3,)).version == 1


def test_a_forged_root_is_passed_over_for_the_genuine_one() -> None:
    assert walk_roots(root_1(), (FORGED_2, ROOT_2)).versions == (root_1(), ROOT_2)


def test_a_forged_root_alone_changes_nothing() -> None:
    assert walk_roots(root_1(), (FORGED_2,)).version == 1


def test_a_root_signed_by_its_new_keys_only_is_passed_over() -> None:
    by_new_only = make_root(2, root_keys=("root-4", "root-5"), signed_by=("root-4", "root-5"))
    assert walk_roots(root_1(), (by_new_only,)).version == 1


def test_a_root_signed_by_the_old_keys_only_is_passed_over() -> None:
    by_old_only = make_root(2, root_keys=("root-4", "root-5"), signed_by=("root-1", "root-2"))
    assert walk_roots(root_1(), (by_old_only,)).version == 1


def test_a_root_signed_by_one_of_the_old_keys_is_passed_over() -> None:
    assert walk_roots(root_1(), (make_root(2, signed_by=("root-1",)),)).version == 1


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"{}",
        b"[" * 50_000,
        b'{"signed":{"_type":"root"},"signatures":[]}',
        b"\xff\xfe",
        ROOT_2[:-20],
        Metadata(Targets(expires=EXPIRES)).to_bytes(),
    ],
)
def test_what_is_no_root_is_passed_over(poison: bytes) -> None:
    assert walk_roots(root_1(), (poison, ROOT_2)).version == 2


def test_the_same_version_many_times_is_one_step() -> None:
    assert walk_roots(root_1(), (ROOT_2,) * 5).versions == (root_1(), ROOT_2)


def test_at_most_64_steps_are_walked() -> None:
    chain = walk_roots(root_1(), [make_root(n, root_keys=("root-1", "root-2")) for n in range(2, 70)])
    assert chain.version == 65


def test_an_embedded_root_that_is_damaged_is_refused() -> None:
    for damaged in (
        b"",
        root_1().replace(b'"version":1', b'"version":7'),
        make_root(signed_by=("root-1",)),
    ):
        with pytest.raises(NotTrusted, match="inside this updater"):
            walk_roots(damaged, ())


def test_a_newer_embedded_root_is_a_start_too() -> None:
    assert walk_roots(ROOT_2, (root_1(), ROOT_3)).versions == (ROOT_2, ROOT_3)


def test_a_root_expires_at_its_time_and_not_before() -> None:
    chain = walk_roots(root_1(), ())
    assert not chain.expired(datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert chain.expired(datetime(2028, 1, 1, tzinfo=UTC))


def test_the_release_keys_of_the_kit_are_three() -> None:
    assert len({signer(name).public_key.keyid for name in RELEASE_KEYS}) == 3
