"""The one door: what is damaged, forged, pasted together or too new does not come through."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semver import Version

from tests.heads.bundle_kit import (
    BOTH,
    EXPIRES,
    NOW,
    PROGRAM,
    PROGRAM_V,
    make_bundle,
    make_envelope,
    make_image,
    make_manifest,
    make_members,
    make_root,
    open_bundle,
    raw_manifest,
    root_1,
)
from updater.heads.container import write_container
from updater.heads.gate import verify_bundle, verify_evidence, walk_roots
from updater.heads.manifest import LayoutFile, canonical_json, format_manifest
from updater.words.errors import NotTrusted, Refused, UpdaterError
from updater.words.facts import Segment

GOLDEN = Path(__file__).parent / "golden"
WITHOUT_RELEASE_1 = make_root(2, release_keys=("release-2", "release-3"))
FORGED = make_root(
    2,
    root_keys=("mallory-1", "mallory-2"),
    release_keys=("mallory-1", "mallory-2"),
    signed_by=("mallory-1", "mallory-2"),
)
GOOD = make_bundle()
OTP = (
    b'schema = 1\nproduct = "demo-widget"\n'
    b'[[field]]\nname = "serial"\ntype = "u32"\noffset = 0\ncsv = "Serial"\n'
)


def refused(data: bytes, **how: object) -> str:
    with pytest.raises(NotTrusted) as error:
        open_bundle(data, **how)  # type: ignore[arg-type] # passed on as it is
    return error.value.message


def test_a_good_bundle_comes_through_with_all_that_is_known_of_it() -> None:
    bundle = open_bundle(GOOD)
    assert bundle.manifest == make_manifest()
    assert bundle.segments(bundle.manifest.images[0]) == (Segment(address=0x0800_0000, data=PROGRAM),)
    assert (bundle.signed_by, bundle.threshold) == (BOTH, 2)
    assert (bundle.root_version, bundle.root_expired) == (1, False)
    assert bundle.manifest_sha256 == hashlib.sha256(format_manifest(make_manifest())).hexdigest()
    assert bundle.root_chain == (root_1(),)


def test_a_bundle_cannot_be_changed_after_it_came_through() -> None:
    bundle = open_bundle(GOOD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.manifest = make_manifest()  # type: ignore[misc] # that is the point
    with pytest.raises(TypeError):
        bundle.files["images/main.bin"] = b""  # type: ignore[index] # that is the point
    with pytest.raises(AttributeError):
        bundle.manifest.version = Version(9, 9, 9)  # type: ignore[misc] # that is the point


def test_images_for_different_silicon_come_through_together() -> None:
    images = (make_image("rev-y", revisions=("Y",)), make_image("rev-v", PROGRAM_V, revisions=("V",)))
    files = {"images/rev-y.bin": PROGRAM, "images/rev-v.bin": PROGRAM_V}
    bundle = open_bundle(make_bundle(make_manifest(images=images), files=files))
    assert [bundle.segments(image)[0].data for image in bundle.manifest.images] == [PROGRAM, PROGRAM_V]


def test_changed_image_bytes_are_refused() -> None:
    assert "not what was signed" in refused(make_bundle(files={"images/main.bin": PROGRAM_V}))


@pytest.mark.parametrize("program", [b"", PROGRAM[:-1], PROGRAM + b"\0"])
def test_a_shorter_or_longer_image_is_refused(program: bytes) -> None:
    assert "not what was signed" in refused(make_bundle(files={"images/main.bin": program}))


def test_a_signed_length_that_is_not_the_images_is_refused() -> None:
    image = make_image()
    lying = msgspec.structs.replace(image.segments[0], length=len(PROGRAM) - 4)
    manifest = make_manifest(images=(msgspec.structs.replace(image, segments=(lying,)),))
    assert "not what was signed" in refused(make_bundle(manifest))


def test_a_changed_manifest_is_refused_under_the_old_signatures() -> None:
    envelope = json.loads(make_envelope(format_manifest(make_manifest())))
    other = json.loads(make_envelope(format_manifest(make_manifest(security_counter=9)), ()))
    envelope["payload"] = other["payload"]
    assert "carries 0 of the 2" in refused(make_bundle(envelope=canonical_json(envelope)))


def test_a_bundle_with_one_signature_of_two_is_refused() -> None:
    assert "carries 1 of the 2" in refused(make_bundle(signed_by=("release-1",)))


def test_a_bundle_without_signatures_is_refused() -> None:
    assert "carries 0 of the 2" in refused(make_bundle(signed_by=()))


def test_a_member_of_which_the_manifest_does_not_speak_is_refused() -> None:
    extra = {"images/main.bin": PROGRAM, "images/more.bin": b""}
    assert "images/more.bin, of which the manifest does not speak" in refused(make_bundle(files=extra))


def test_an_image_that_is_not_in_the_file_is_refused() -> None:
    assert "speaks of images/main.bin, which is not in the file" in refused(make_bundle(files={}))


def test_the_signature_is_checked_before_the_manifest_is_read() -> None:
    """An unsigned manifest gets no say at all, not even to ask for a newer updater."""
    payload = canonical_json({"schema": 2, "min_tool": "9.0.0"})
    assert "carries 0 of the 2" in refused(make_bundle(payload=payload, signed_by=()))
    with pytest.raises(Refused, match=r"needs updater 9\.0\.0 or newer"):
        open_bundle(make_bundle(payload=payload))


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{}", b"not JSON", b"\xff", b'{"schema":1}'])
def test_a_signed_payload_that_is_no_manifest_is_refused(payload: bytes) -> None:
    assert refused(make_bundle(payload=payload))


def test_a_signed_manifest_that_breaks_a_rule_is_refused() -> None:
    payload = canonical_json(raw_manifest(product="Not A Product"))
    assert "breaks a rule" in refused(make_bundle(payload=payload))


# -- roots --------------------------------------------------------------------------------------------


def test_a_bundle_may_come_without_roots() -> None:
    assert open_bundle(make_bundle(roots={})).root_version == 1


def test_an_old_updater_opens_a_bundle_by_new_keys_because_it_brings_the_chain() -> None:
    new_keys = make_root(2, release_keys=("dora", "emil"))
    bundle = open_bundle(make_bundle(signed_by=("dora", "emil"), roots={1: root_1(), 2: new_keys}))
    assert (bundle.root_version, bundle.signed_by) == (2, ("dora", "emil"))
    assert bundle.root_chain == (root_1(), new_keys)


def test_a_forged_root_in_the_bundle_is_passed_over_and_its_keys_do_not_count() -> None:
    forged = make_bundle(signed_by=("mallory-1", "mallory-2"), roots={1: root_1(), 2: FORGED})
    assert "carries 0 of the 2" in refused(forged)


def test_a_whole_forged_chain_from_version_1_is_passed_over() -> None:
    mallory = ("mallory-1", "mallory-2")
    own_root = make_root(1, root_keys=mallory, release_keys=mallory, signed_by=mallory)
    assert "carries 0 of the 2" in refused(make_bundle(signed_by=mallory, roots={1: own_root, 2: FORGED}))


def test_a_forged_root_beside_genuine_signatures_does_no_harm() -> None:
    assert open_bundle(make_bundle(roots={1: root_1(), 2: FORGED})).root_version == 1


def test_a_revoked_key_does_not_count_once_the_new_root_is_known() -> None:
    assert "carries 1 of the 2" in refused(GOOD, known_roots=(WITHOUT_RELEASE_1,))


def test_a_bundle_that_brings_the_revocation_itself_is_refused_too() -> None:
    assert "carries 1 of the 2" in refused(make_bundle(roots={1: root_1(), 2: WITHOUT_RELEASE_1}))


def test_a_revoked_key_still_counts_where_the_new_root_was_never_seen() -> None:
    """A limit of every offline check, pinned here so that nobody is surprised."""
    assert open_bundle(GOOD).signed_by == BOTH


def test_a_root_behind_a_gap_is_not_reached() -> None:
    third = make_root(3, release_keys=("dora", "emil"))
    assert "carries 0 of the 2" in refused(make_bundle(signed_by=("dora", "emil"), roots={3: third}))


def test_a_poisoned_known_root_is_ignored_for_the_one_in_the_bundle() -> None:
    bundle = open_bundle(
        make_bundle(signed_by=("release-2", "release-3"), roots={1: root_1(), 2: WITHOUT_RELEASE_1}),
        known_roots=(b"poison", FORGED, WITHOUT_RELEASE_1[:-1]),
    )
    assert bundle.root_version == 2


def test_a_root_file_under_another_number_is_taken_for_what_it_is() -> None:
    assert (
        open_bundle(
            make_bundle(signed_by=("release-2", "release-3"), roots={7: WITHOUT_RELEASE_1})
        ).root_version
        == 2
    )


def test_an_expired_root_is_a_state_and_not_a_wall() -> None:
    assert not open_bundle(GOOD, now=EXPIRES - timedelta(seconds=1)).root_expired
    assert open_bundle(GOOD, now=EXPIRES).root_expired


def test_a_newer_root_that_has_not_expired_renews_the_trust() -> None:
    renewed = make_root(2, expires=datetime(2030, 1, 1, tzinfo=UTC))
    assert not open_bundle(make_bundle(roots={1: root_1(), 2: renewed}), now=EXPIRES).root_expired


# -- evidence -----------------------------------------------------------------------------------------


def test_a_kept_envelope_still_proves_what_it_said() -> None:
    bundle = open_bundle(GOOD)
    assert verify_evidence(bundle.envelope, walk_roots(root_1(), ()).root) == bundle.manifest


def test_a_kept_envelope_by_a_key_that_was_revoked_since_proves_nothing() -> None:
    bundle = open_bundle(GOOD)
    assert verify_evidence(bundle.envelope, walk_roots(root_1(), (WITHOUT_RELEASE_1,)).root) is None


@pytest.mark.parametrize("envelope", [b"", b"{}", GOOD, make_envelope(b"{}"), make_envelope(b"{}", ())])
def test_an_envelope_that_was_tampered_with_proves_nothing(envelope: bytes) -> None:
    assert verify_evidence(envelope, walk_roots(root_1(), ()).root) is None


# -- the OTP layout -----------------------------------------------------------------------------------


def with_layout(layout: bytes | None = OTP, **signed: object) -> bytes:
    """A bundle whose manifest speaks of a layout, and this one in the file."""
    said = LayoutFile(length=len(OTP), sha256=hashlib.sha256(OTP).hexdigest())
    manifest = make_manifest(otp=msgspec.structs.replace(said, **signed))
    more = {} if layout is None else {"otp.toml": layout}
    return make_bundle(manifest, files={"images/main.bin": PROGRAM, **more})


def test_the_layout_comes_through_as_it_was_signed_and_is_no_image() -> None:
    bundle = open_bundle(with_layout())
    assert bundle.layout == OTP
    assert set(bundle.files) == {"images/main.bin"}
    assert open_bundle(GOOD).layout is None


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (with_layout(b"schema = 2\n"), "otp.toml is not what was signed"),
        (with_layout(b""), "otp.toml is not what was signed"),
        (with_layout(length=len(OTP) - 1), "otp.toml is not what was signed"),
        (with_layout(None), "speaks of otp.toml, which is not in the file"),
        (
            make_bundle(files={"images/main.bin": PROGRAM, "otp.toml": OTP}),
            "otp.toml, of which the manifest does not speak",
        ),
    ],
)
def test_another_layout_than_the_signed_one_is_refused(bundle: bytes, why: str) -> None:
    assert why in refused(bundle)


def test_the_text_of_a_layout_is_not_read_at_the_gate() -> None:
    """Who only installs firmware needs no updater that understands it."""
    text = b"\xff not TOML"
    manifest = make_manifest(otp=LayoutFile(length=len(text), sha256=hashlib.sha256(text).hexdigest()))
    files = {"images/main.bin": PROGRAM, "otp.toml": text}
    assert open_bundle(make_bundle(manifest, files=files)).layout == text


# -- golden bundles: made once, never again -----------------------------------------------------------


def test_a_bundle_of_the_first_release_still_verifies() -> None:
    data = (GOLDEN / "schema-1.fwb").read_bytes()
    bundle = verify_bundle(data, embedded_root=(GOLDEN / "root.json").read_bytes(), now=NOW)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_FILE_SHA256
    assert bundle.manifest_sha256 == GOLDEN_MANIFEST_SHA256
    assert bundle.signed_by == BOTH
    assert bundle.segments(bundle.manifest.images[0]) == (Segment(address=0x0800_0000, data=PROGRAM),)


GOLDEN_FILE_SHA256 = "c5a5e09ccf05324b01a7ecdc89718c7ab51ac26c6dbf5ac25cfc315f70aee79d"
GOLDEN_MANIFEST_SHA256 = "9e6151a42c960065f888fb6cd4894610531a406bd450a2ce3db59b6af7b8b11d"


def test_a_bundle_of_the_first_release_with_a_layout_still_verifies() -> None:
    data = (GOLDEN / "schema-1-otp.fwb").read_bytes()
    bundle = verify_bundle(data, embedded_root=(GOLDEN / "root-otp.json").read_bytes(), now=NOW)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_OTP_FILE_SHA256
    assert bundle.manifest_sha256 == GOLDEN_OTP_MANIFEST_SHA256
    assert bundle.signed_by == BOTH
    assert bundle.layout == OTP
    assert bundle.segments(bundle.manifest.images[0]) == (Segment(address=0x0800_0000, data=PROGRAM),)


GOLDEN_OTP_FILE_SHA256 = "4ab05201287d1fa2e5a21f3aa20a784dce59fc0c01d202ccbb866aec54a2d97e"
GOLDEN_OTP_MANIFEST_SHA256 = "116001fb0e14e8143d7152f3c9792ede15833453642d0ec4ea5280038fc77ffe"


# -- properties ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(at=st.integers(0, len(GOOD) * 8 - 1))
def test_no_flipped_bit_comes_through(at: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(NotTrusted):
        open_bundle(bytes(flipped))


@settings(deadline=None)
@given(
    member=st.sampled_from(sorted(make_members())),
    at=st.integers(0, 2**16),
    cut=st.integers(0, 8),
    put=st.binary(max_size=8),
)
def test_whatever_is_changed_inside_a_well_formed_file_the_same_bundle_comes_out_or_none(
    member: str, at: int, cut: int, put: bytes
) -> None:
    """As above, but with check sums made right again."""
    members = make_members()
    data = members[member]
    at %= len(data)
    members[member] = data[:at] + put + data[at + cut :]
    try:
        bundle = open_bundle(write_container(members))
    except UpdaterError:
        return
    assert bundle.manifest == make_manifest()
    assert dict(bundle.files) == {"images/main.bin": PROGRAM}
    assert bundle.root_chain == (root_1(),)


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_in_words(data: bytes) -> None:
    assert refused(data)
