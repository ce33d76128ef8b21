"""The manifest: one spelling, every rule, and words for an updater that is too old."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from tests.heads.bundle_kit import PROGRAM, make_image, make_manifest, raw_manifest
from updater import __version__
from updater.heads.manifest import (
    COUNTER_LIMIT,
    DEPTH_LIMIT,
    DIGIT_LIMIT,
    IMAGE_LIMIT,
    PAYLOAD_LIMIT_BYTES,
    SEGMENT_LIMIT,
    STRING_LIMIT_CHARS,
    LayoutFile,
    canonical_json,
    format_manifest,
    parse_manifest,
    strict_json,
)
from updater.words.errors import NotTrusted, Refused, UpdaterError
from updater.words.facts import Channel

SHA_256_OF_PROGRAM = "785b0751fc2c53dc14a4ce3d800e69ef9ce1009eb327ccf458afe09c242c26c9"


def parse(value: Any) -> Any:
    return parse_manifest(canonical_json(value))


def segment(**changes: Any) -> dict[str, Any]:
    good = {"address": 0x0800_0000, "length": 1024, "sha256": SHA_256_OF_PROGRAM, "file": "images/main.bin"}
    return good | changes


def image(**changes: Any) -> dict[str, Any]:
    good = {
        "name": "main",
        "for": {"dev_ids": [0x450], "revisions": [], "rom_versions": []},
        "segments": [segment()],
    }
    return good | changes


def test_a_layout_is_one_key_more_and_without_one_there_is_no_such_key() -> None:
    """So a manifest from before there were layouts has the spelling that it always had."""
    otp = LayoutFile(length=9, sha256=SHA_256_OF_PROGRAM)
    signed = format_manifest(make_manifest(otp=otp))
    key = b'"otp":{"length":9,"sha256":"' + SHA_256_OF_PROGRAM.encode() + b'"},'
    assert signed.replace(key, b"") == format_manifest(make_manifest())
    assert parse_manifest(signed).otp == otp


@pytest.mark.parametrize(
    "otp",
    [None, {}, "otp.toml", {"length": 9}, {"length": 0, "sha256": "0" * 64}, {"length": 9, "sha256": ""}],
)
def test_a_layout_in_any_other_spelling_is_refused(otp: Any) -> None:
    with pytest.raises(NotTrusted):
        parse(raw_manifest(otp=otp))


def test_the_signed_bytes_are_these() -> None:
    assert format_manifest(make_manifest(notes="Größer", from_min_version=Version(1, 0, 0))) == (
        b'{"accept_no_recovery":false,"channels":["stable","beta"],"created":"2026-05-01",'
        b'"from_min_version":"1.0.0","hardware":["A","B"],"images":[{"for":{"dev_ids":[1104],'
        b'"revisions":[],"rom_versions":[]},"name":"main","segments":[{"address":134217728,'
        b'"file":"images/main.bin","length":1024,"sha256":"' + SHA_256_OF_PROGRAM.encode() + b'"}]}],'
        b'"min_tool":"0.1.0","notes":"Gr\\u00f6\\u00dfer","product":"demo-widget","schema":1,'
        b'"security_counter":3,"version":"1.1.0"}'
    )


def test_a_manifest_is_read_as_it_was_written() -> None:
    images = (
        make_image("rev-y", revisions=("Y",)),
        make_image("rev-v", revisions=("V", "X"), rom_versions=(0x91,)),
    )
    manifest = make_manifest(images=images, channels=(Channel.BETA,), version=Version(65535, 0, 65535))
    assert parse_manifest(format_manifest(manifest)) == manifest


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a":1,"a":1}', id="duplicate key"),
        pytest.param(b'{"a":1,"a":2}', id="duplicate key, other value"),
        pytest.param(b'{"b":1,"a":1}', id="unsorted"),
        pytest.param(b'{"a": 1}', id="space"),
        pytest.param(b'{"a":1}\n', id="newline at the end"),
        pytest.param(b"[1.0]", id="float"),
        pytest.param(b"[1e3]", id="exponent"),
        pytest.param(b"[-0]", id="minus zero"),
        pytest.param(b"[01]", id="leading zero"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="minus Infinity"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="5000 digits"),
        pytest.param(b"[" * 60_000 + b"]" * 60_000, id="deep"),
        pytest.param(b"[" * 60_000, id="deep and cut off"),
        pytest.param(b"\xef\xbb\xbf[1]", id="BOM"),
        pytest.param(b'["\\ud800"]', id="lone surrogate"),
        pytest.param(b'{"\\ud800":1}', id="lone surrogate in a key"),
        pytest.param('["ä"]'.encode(), id="not ASCII"),
        pytest.param(b'["\\u0041"]', id="needless escape"),
        pytest.param(b'["\\u00E4"]', id="upper-case escape"),
        pytest.param(b'["\x00"]', id="NUL"),
        pytest.param(b"[1]\x00", id="NUL at the end"),
        pytest.param("[1]".encode("utf-16"), id="UTF-16"),
        pytest.param(b"", id="empty"),
    ],
)
def test_json_in_any_other_spelling_is_refused(text: bytes) -> None:
    with pytest.raises(NotTrusted):
        strict_json(text, limit=PAYLOAD_LIMIT_BYTES)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("at_limit", "above"),
    [
        pytest.param(b"[" + b"9" * 16 + b"]", b"[" + b"9" * 17 + b"]", id="digits"),
        pytest.param(nested(8), nested(9), id="depth"),
        pytest.param(b'"' + b"a" * 2048 + b'"', b'"' + b"a" * 2049 + b'"', id="string"),
        pytest.param(b"[1,2,3,4,5,6,7,8]", b"[1,2,3,4,5,6,7,89]", id="bytes"),
    ],
)
def test_every_limit_of_the_json_holds_exactly(at_limit: bytes, above: bytes) -> None:
    limit = len(at_limit) if b"," in at_limit else PAYLOAD_LIMIT_BYTES
    assert strict_json(at_limit, limit=limit) == json.loads(at_limit)
    with pytest.raises(NotTrusted):
        strict_json(above, limit=limit)


def test_the_limits_are_those_of_the_design() -> None:
    assert (PAYLOAD_LIMIT_BYTES, DEPTH_LIMIT, DIGIT_LIMIT, STRING_LIMIT_CHARS) == (131072, 8, 16, 2048)
    assert (IMAGE_LIMIT, SEGMENT_LIMIT, COUNTER_LIMIT) == (16, 16, 4294967295)


@pytest.mark.parametrize("field", sorted(raw_manifest()))
def test_no_field_may_be_missing(field: str) -> None:
    value = raw_manifest()
    del value[field]
    with pytest.raises(NotTrusted):
        parse(value)


@pytest.mark.parametrize("where", ["manifest", "image", "for", "segment"])
def test_no_unknown_field_is_allowed(where: str) -> None:
    value = raw_manifest(images=[image()])
    first = value["images"][0]
    {"manifest": value, "image": first, "for": first["for"], "segment": first["segments"][0]}[where]["x"] = 1
    with pytest.raises(NotTrusted, match="unknown field `x`"):
        parse(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 0),
        ("schema", True),
        ("schema", "1"),
        ("product", ""),
        ("product", "Demo"),
        ("product", "-demo"),
        ("product", "demo\n"),
        ("product", "a" * 17),
        ("product", "demo\u202egpj"),
        ("hardware", []),
        ("hardware", ["A", "A"]),
        ("hardware", ["123456789"]),
        ("hardware", ["A\n"]),
        ("hardware", "AB"),
        ("version", "1.1"),
        ("version", "1.1.0-rc1"),
        ("version", "1.1.0+x"),
        ("version", "01.1.0"),
        ("version", "1.1.65536"),
        ("version", "1.1.٣"),
        ("version", 1),
        ("security_counter", -1),
        ("security_counter", 4294967296),
        ("security_counter", True),
        ("security_counter", None),
        ("channels", []),
        ("channels", ["stable", "stable"]),
        ("channels", ["nightly"]),
        ("channels", ["stable", "engineering"]),
        ("created", "2026-02-30"),
        ("created", "2026-05-01T00:00:00"),
        ("created", "20260501"),
        ("min_tool", "1"),
        ("from_min_version", "1"),
        ("accept_no_recovery", 0),
        ("accept_no_recovery", "false"),
        ("notes", None),
        ("notes", "two\nlines"),
        ("notes", "tab\t"),
        ("notes", "right-to-left \u202e"),
        ("notes", "isolate \u2066"),
        ("notes", "zero width \u200b"),
        ("notes", "line separator \u2028"),
        ("notes", "a\u0308 is not composed"),
        ("notes", "a" * 2049),
        ("images", []),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused(field: str, value: Any) -> None:
    with pytest.raises(NotTrusted):
        parse(raw_manifest(**{field: value}))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"address": 0x0800_0002}, id="misaligned"),
        pytest.param({"address": 0x07FF_FFFC}, id="before the flash"),
        pytest.param({"address": 0x08FF_F000}, id="OTP"),
        pytest.param({"address": 0x1FF0_0000}, id="system memory"),
        pytest.param({"address": 0x2000_0000}, id="RAM"),
        pytest.param({"address": 0x5200_2000}, id="flash registers"),
        pytest.param({"address": -4}, id="negative"),
        pytest.param({"address": True}, id="true as an address"),
        pytest.param({"address": "0x08000000"}, id="text as an address"),
        pytest.param({"address": 0x08FF_EFF0, "length": 17}, id="beyond the end"),
        pytest.param({"length": 0}, id="length 0"),
        pytest.param({"length": 0x00FF_F001}, id="longer than flash"),
        pytest.param({"sha256": SHA_256_OF_PROGRAM.upper()}, id="upper-case hash"),
        pytest.param({"sha256": SHA_256_OF_PROGRAM[:-1]}, id="short hash"),
        pytest.param({"sha256": "md5:abc"}, id="other hash"),
        pytest.param({"file": "main.bin"}, id="file not in images"),
        pytest.param({"file": "images/../root/1.root.json"}, id="file elsewhere"),
        pytest.param({"file": "images/a\u0000"}, id="NUL in file"),
    ],
)
def test_a_segment_that_breaks_a_rule_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NotTrusted):
        parse(raw_manifest(images=[image(segments=[segment(**changes)])]))


def test_a_segment_may_reach_the_last_byte_of_flash_and_not_the_one_after() -> None:
    last = segment(address=0x0800_0000, length=0x00FF_F000)
    assert parse(raw_manifest(images=[image(segments=[last])])).images[0].segments[0].end == 0x08FF_F000


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param([segment(), segment(address=0x0800_03FC)], id="overlap by four bytes"),
        pytest.param([segment(), segment()], id="the same twice"),
        pytest.param([segment(address=0x0800_0400), segment()], id="not in order"),
        pytest.param([], id="none"),
    ],
)
def test_segments_that_do_not_fit_together_are_refused(segments: list[Any]) -> None:
    with pytest.raises(NotTrusted):
        parse(raw_manifest(images=[image(segments=segments)]))


def test_segments_may_touch() -> None:
    touching = [segment(), segment(address=0x0800_0400)]
    assert len(parse(raw_manifest(images=[image(segments=touching)])).images[0].segments) == 2


@pytest.mark.parametrize(
    "chosen",
    [
        {"dev_ids": [], "revisions": [], "rom_versions": []},
        {"dev_ids": [0x1000], "revisions": [], "rom_versions": []},
        {"dev_ids": [0x450, 0x450], "revisions": [], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": ["V", "V"], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": ["v"], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": ["2,1"], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": ["2.1.1"], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": [""], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": [], "rom_versions": [0x10000]},
        {"dev_ids": [0x450], "revisions": [], "rom_versions": [-1]},
        {"dev_ids": list(range(17)), "revisions": [], "rom_versions": []},
        {"dev_ids": [0x450], "revisions": None, "rom_versions": []},
        {"dev_ids": [0x450]},
    ],
)
def test_an_image_must_say_properly_which_silicon_it_is_for(chosen: dict[str, Any]) -> None:
    with pytest.raises(NotTrusted):
        parse(raw_manifest(images=[image(**{"for": chosen})]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revisions", "V"),
        ("revisions", "2.1"),
        ("revisions", "1"),
        ("rom_versions", 0x92),
        ("rom_versions", 0x101),
    ],
)
def test_an_image_may_be_for_any_letter_and_rom_that_st_prints(field: str, value: Any) -> None:
    """Revision 2.1 is the WB55's; bootloader IDs of 16 bits are the C5's (AN2606 table 226)."""
    chosen = {"dev_ids": list(range(16)), "revisions": [], "rom_versions": []} | {field: [value]}
    manifest = parse(raw_manifest(images=[image(**{"for": chosen})]))
    assert getattr(manifest.images[0].for_, field) == (value,)


@pytest.mark.parametrize(
    ("chosen", "revision", "rom_version", "fits"),
    [
        ({}, None, None, True),
        ({}, "V", 0x91, True),
        ({"revisions": ("V", "X")}, "X", None, True),
        ({"revisions": ("V", "X")}, "Y", 0x91, False),
        ({"revisions": ("V", "X")}, None, 0x91, False),
        ({"rom_versions": (0x91,)}, "V", 0x91, True),
        ({"rom_versions": (0x91,)}, "V", 0x90, False),
        ({"rom_versions": (0x91,)}, "V", None, False),
        ({"revisions": ("V",), "rom_versions": (0x91,)}, "V", 0x91, True),
        ({"revisions": ("V",), "rom_versions": (0x91,)}, "V", 0x92, False),
    ],
)
def test_a_restriction_on_what_is_not_known_is_not_met(
    chosen: Any, revision: str | None, rom_version: int | None, fits: bool
) -> None:
    """A device whose revision cannot be told gets an image only if the manifest says that it fits all."""
    for_ = make_image(**chosen).for_
    assert for_.fits(dev_id=0x450, revision=revision, rom_version=rom_version) is fits
    assert not for_.fits(dev_id=0x451, revision=revision, rom_version=rom_version)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"revisions": ("Y",)}, {"revisions": ("V",)}, False),
        ({"revisions": ("Y", "X")}, {"revisions": ("X", "V")}, True),
        ({"revisions": ("Y",)}, {}, True),
        ({"dev_ids": (0x450,)}, {"dev_ids": (0x451,)}, False),
        ({"rom_versions": (0x90,)}, {"rom_versions": (0x91,)}, False),
        (
            {"revisions": ("Y",), "rom_versions": (0x90,)},
            {"revisions": ("V",), "rom_versions": (0x90,)},
            False,
        ),
        ({"revisions": ("Y",), "rom_versions": (0x90,)}, {"revisions": ("Y",)}, True),
    ],
)
def test_two_images_for_the_same_silicon_are_refused(one: Any, other: Any, same: bool) -> None:
    payload = format_manifest(make_manifest(images=(make_image("one", **one), make_image("other", **other))))
    if same:
        with pytest.raises(NotTrusted, match="one and other are for the same silicon"):
            parse_manifest(payload)
    else:
        assert len(parse_manifest(payload).images) == 2


def test_sixteen_images_and_sixteen_segments_are_the_limit() -> None:
    def images(count: int) -> list[Any]:
        return [
            image(name=f"n{i}", **{"for": {"dev_ids": [i], "revisions": [], "rom_versions": []}})
            for i in range(count)
        ]

    def segments(count: int) -> list[Any]:
        return [image(segments=[segment(address=0x0800_0000 + 1024 * i) for i in range(count)])]

    for make in (images, segments):
        assert parse(raw_manifest(images=make(16)))
        with pytest.raises(NotTrusted):
            parse(raw_manifest(images=make(17)))


def test_a_newer_schema_says_which_updater_is_needed() -> None:
    future = {"schema": 2, "min_tool": "3.0.0", "something": ["else"]}
    with pytest.raises(Refused, match=r"needs updater 3\.0\.0 or newer") as refused:
        parse(future)
    assert refused.value.exit_status == 6
    assert "newest updater" in refused.value.advice


def test_a_newer_schema_that_does_not_say_which_updater_still_says_that_one_is_needed() -> None:
    with pytest.raises(Refused, match="needs a newer updater"):
        parse({"schema": 2})


def test_a_min_tool_above_this_updater_is_refused_and_the_same_is_not() -> None:
    assert parse(raw_manifest(min_tool=__version__))
    newer = str(Version.parse(__version__).bump_patch())
    with pytest.raises(Refused, match="needs updater " + newer.replace(".", r"\.")):
        parse(raw_manifest(min_tool=newer))


def test_the_kits_program_has_the_hash_that_is_typed_here() -> None:
    assert make_manifest().images[0].segments[0].sha256 == SHA_256_OF_PROGRAM
    assert len(PROGRAM) == 1024


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(JSON.filter(lambda value: depth(value) <= 8))
def test_canonical_json_is_read_as_it_was_written(value: Any) -> None:
    assert strict_json(canonical_json(value), limit=PAYLOAD_LIMIT_BYTES) == value


@given(data=st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode()))
def test_what_strict_json_accepts_has_one_spelling(data: bytes) -> None:
    try:
        value = strict_json(data, limit=PAYLOAD_LIMIT_BYTES)
    except NotTrusted:
        return
    assert canonical_json(value) == data


@given(field=st.sampled_from(sorted(raw_manifest())), value=JSON)
def test_a_manifest_with_any_value_in_any_field_is_read_exactly_or_refused(field: str, value: Any) -> None:
    payload = canonical_json(raw_manifest(**{field: value}))
    try:
        manifest = parse_manifest(payload)
    except UpdaterError:
        return
    assert format_manifest(manifest) == payload


@given(changes=st.fixed_dictionaries({}, optional={"address": JSON, "length": JSON, "file": JSON}))
def test_a_segment_with_any_values_lies_in_flash_or_is_refused(changes: dict[str, Any]) -> None:
    try:
        manifest = parse(raw_manifest(images=[image(segments=[segment(**changes)])]))
    except NotTrusted:
        return
    part = manifest.images[0].segments[0]
    assert 0x0800_0000 <= part.address < part.end <= 0x08FF_F000
    assert part.address % 4 == 0
