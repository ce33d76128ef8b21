"""Make the folder of good and bad bundles: `python -m tests.attacks.make_cases DIR`.

The keys exist only while this runs, so no case can be added to a folder that is there: a new
folder is made, with all cases. `tests/heads/golden` is another thing and is never made again.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Targets

from tests.heads.bundle_kit import (
    BOTH,
    EXPIRES,
    PROGRAM,
    PROGRAM_V,
    make_bundle,
    make_envelope,
    make_image,
    make_manifest,
    make_members,
    make_root,
    raw_manifest,
    root_1,
    signer,
)
from updater.heads.container import write_container
from updater.heads.manifest import canonical_json, format_manifest
from updater.heads.trust import PAYLOAD_TYPE, format_envelope

MALLORY = ("mallory-1", "mallory-2")
CHANGED = 0x0800_0000


class Case(NamedTuple):
    """`row` of the matrix; the gate's answer: "genuine" or the error's class, and words of its message."""

    row: int
    name: str
    error: str
    says: str
    data: bytes
    known: tuple[bytes, ...] = ()


def cases() -> Iterator[Case]:
    """All of them."""
    yield Case(7, "good", "genuine", "release-1, release-2", make_bundle())
    yield from _signatures()
    yield from _roots()
    yield from _containers()
    yield from _manifests()


def _refused(row: int, name: str, says: str, data: bytes, *known: bytes) -> Case:
    return Case(row, name, "NotTrusted", says, data, known)


def _envelope(change: dict[str, Any], *signed_by: str) -> bytes:
    """A bundle whose envelope has these fields instead."""
    value = json.loads(make_envelope(format_manifest(make_manifest()), signed_by or BOTH))
    return make_bundle(envelope=canonical_json(value | change))


def _signature(name: str) -> dict[str, str]:
    one: dict[str, str] = json.loads(make_envelope(format_manifest(make_manifest()), (name,)))["signatures"][
        0
    ]
    return one


def _signatures() -> Iterator[Case]:
    other = json.loads(make_envelope(format_manifest(make_manifest(security_counter=9)), ()))["payload"]
    first, second = _signature("release-1"), _signature("release-2")
    keyid = first["keyid"]
    garbage = {"keyid": signer("release-3").public_key.keyid, "sig": "Z2FyYmFnZQ=="}
    yield _refused(
        1, "changed-image", "not what was signed", make_bundle(files={"images/main.bin": PROGRAM_V})
    )
    yield _refused(2, "changed-manifest", "carries 0 of the 2", _envelope({"payload": other}))
    yield _refused(3, "one-signature", "carries 1 of the 2", make_bundle(signed_by=("release-1",)))
    yield _refused(
        4, "release-and-online-key", "carries 1 of the 2", make_bundle(signed_by=("release-1", "online"))
    )
    yield _refused(
        5, "same-signature-twice", "Multiple signatures", _envelope({"signatures": [first, first]})
    )
    yield _refused(
        5,
        "same-keyid-twice",
        "Multiple signatures",
        _envelope({"signatures": [first, second | {"keyid": keyid}]}),
    )
    yield _refused(6, "no-signatures", "carries 0 of the 2", make_bundle(signed_by=()))
    value = json.loads(make_envelope(format_manifest(make_manifest())))
    del value["signatures"]
    yield _refused(6, "signatures-missing", "missing required", make_bundle(envelope=canonical_json(value)))
    empty = [first | {"sig": ""}, second | {"sig": ""}]
    yield _refused(6, "empty-signatures", "carries 0 of the 2", _envelope({"signatures": empty}))
    beside = _envelope({"signatures": [first, second, garbage]})
    yield Case(7, "garbage-beside-two-signatures", "genuine", "release-1, release-2", beside)
    payload = format_manifest(make_manifest())
    other_kind = make_envelope(payload, BOTH, payload_type="application/vnd.in-toto+json")
    yield _refused(8, "other-payload-type", "of another kind", make_bundle(envelope=other_kind))
    pasted = json.loads(other_kind) | {"payloadType": PAYLOAD_TYPE}
    yield _refused(8, "payload-type-pasted", "carries 0 of", make_bundle(envelope=canonical_json(pasted)))
    yield _refused(9, "signatures-of-tuf-metadata", "carries 0 of the 2", make_bundle(envelope=_from_tuf()))
    odd = SSlibKey("f" * 64, "rsa", "rsassa-pss-sha256", {"public": "no key"})
    unknown = make_root(2, odd_keys={"e" * 64: odd})
    signed = _envelope({"signatures": [first, {"keyid": "e" * 64, "sig": "AAAA"}]})
    yield _refused(16, "unusable-key", "carries 1 of the 2", signed, unknown)


def _from_tuf() -> bytes:
    targets = Metadata(Targets(expires=EXPIRES))
    envelope = Envelope(targets.signed_bytes, PAYLOAD_TYPE, {})
    for name in BOTH:
        signature = targets.sign(signer(name), append=True)
        envelope.signatures[signature.keyid] = signature
    return format_envelope(envelope)


def _roots() -> Iterator[Case]:
    forged = make_root(2, root_keys=MALLORY, release_keys=MALLORY, signed_by=MALLORY)
    third = make_root(3, release_keys=("dora", "emil"))
    new_only = make_root(
        2, root_keys=("root-4", "root-5"), release_keys=MALLORY, signed_by=("root-4", "root-5")
    )
    without = make_root(2, release_keys=("release-2", "release-3"))
    one, two, three = root_1(), without, third

    def by(names: tuple[str, ...], roots: dict[int, bytes]) -> bytes:
        return make_bundle(signed_by=names, roots=roots)

    yield _refused(10, "forged-root", "carries 0 of the 2", by(MALLORY, {1: one, 2: forged}))
    yield Case(10, "forged-root-beside", "genuine", "release-1, release-2", by(BOTH, {1: one, 2: forged}))
    yield _refused(11, "root-behind-a-gap", "carries 0 of the 2", by(("dora", "emil"), {1: one, 3: three}))
    yield Case(11, "root-repeated", "genuine", "release-2, release-3",
               by(("release-2", "release-3"), {1: one, 2: two, 3: two}))  # fmt: skip
    yield _refused(12, "root-by-new-keys-only", "carries 0 of the 2", by(MALLORY, {1: one, 2: new_only}))
    yield _refused(13, "revoked-key-known", "carries 1 of the 2", make_bundle(), without)
    yield _refused(13, "revoked-key-in-bundle", "carries 1 of the 2", by(BOTH, {1: one, 2: without}))
    yield Case(14, "revoked-key-never-seen", "genuine", "release-1, release-2", make_bundle())
    yield Case(17, "poisoned-known-root", "genuine", "release-2, release-3",
               by(("release-2", "release-3"), {1: one, 2: two}), (b"poison", forged))  # fmt: skip


def _zip(members: Mapping[str, bytes] | list[tuple[str, bytes]], **how: Any) -> bytes:
    """An ordinary zip program's file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = how.get("comment", b"")
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.extra = 0, how.get("extra", b"")
            info.compress_type = how.get("method", zipfile.ZIP_STORED)
            archive.writestr(info, data)
    return buffer.getvalue()


def _containers() -> Iterator[Case]:
    good, members = make_bundle(), make_members()
    yield _refused(35, "prefix", "not an update bundle", b"MZ" + good)
    yield _refused(35, "suffix", "packed again", good + b"\0")
    yield _refused(35, "comment", "packed again", _zip(members, comment=b"hello"))
    yield _refused(35, "extra-field", "update file", _zip(members, extra=b"\x34\x12\x02\x00ab"))
    yield _refused(35, "two-joined", "packed again", good + good)
    for name, path in {
        "case-twin": "images/Main.bin",
        "nul": "images/a\x00.bin",
        "traversal": "images/../../evil",
        "absolute": "/evil",
        "drive": "C:\\evil",
        "stream": "images/main.bin:evil",
        "device": "images/con",
    }.items():
        yield _refused(36, f"name-{name}", "", _zip([*members.items(), (path, b"x")]))
    twice = bytearray(_zip([*members.items(), ("images/maim.bin", PROGRAM_V)]))
    yield _refused(
        36, "duplicate", "two members", bytes(twice).replace(b"images/maim.bin", b"images/main.bin")
    )
    yield _refused(37, "deflated", "", _zip(members, method=zipfile.ZIP_DEFLATED))
    for name, at, value in (
        ("zip64", 4, 45), ("encrypted", 6, 1), ("data-descriptor", 6, 8), ("lying-crc", 14, 1)
    ):  # fmt: skip
        changed = bytearray(good)
        struct.pack_into("<H", changed, at, value)
        yield _refused(38 if at == 14 else 37, name, "packed again", bytes(changed))
    huge = bytearray(good)
    struct.pack_into("<LL", huge, 18, 0xFFFF_FFFF, 0xFFFF_FFFF)
    yield _refused(37, "lying-size", "cut off", bytes(huge))
    overlap = bytearray(good)
    second = overlap.index(b"PK\1\2", overlap.index(b"PK\1\2") + 1)
    struct.pack_into("<L", overlap, second + 42, 0)
    yield _refused(37, "overlap", "packed again", bytes(overlap))
    many = members | {f"images/{number}": b"" for number in range(95)}
    yield _refused(37, "97-and-more-members", "more than 96", _zip(many))


def _manifests() -> Iterator[Case]:
    more = {"images/main.bin": PROGRAM, "images/more.bin": b"x"}
    yield _refused(39, "extra-image", "does not speak", make_bundle(files=more))
    yield _refused(39, "missing-image", "not in the file", make_bundle(files={}))
    good = format_manifest(make_manifest())
    for name, payload in {
        "duplicate-key": b'{"schema":1,' + good[1:],
        "float": good.replace(b'"schema":1', b'"schema":1.0'),
        "nan": good.replace(b'"schema":1', b'"schema":NaN'),
        "5000-digits": good.replace(b'"security_counter":3', b'"security_counter":' + b"9" * 5000),
        "deep": b"[" * 60_000,
        "bom": b"\xef\xbb\xbf" + good,
        "surrogate": good.replace(b"Fixes", b"\\ud800"),
        "space": good.replace(b":", b": ", 1),
        "true-as-number": good.replace(b'"schema":1', b'"schema":true'),
    }.items():
        yield _refused(40, f"json-{name}", "", make_bundle(payload=payload))
    yield _refused(41, "unknown-field", "unknown field", make_bundle(payload=_payload(colour="blue")))
    missing = raw_manifest()
    del missing["notes"]
    yield _refused(41, "missing-field", "missing required", make_bundle(payload=canonical_json(missing)))
    too_new = _payload(schema=2, min_tool="99.0.0")
    yield Case(41, "schema-2", "Refused", "needs updater 99.0.0 or newer", make_bundle(payload=too_new))
    needy = make_bundle(payload=_payload(min_tool="99.0.0"))
    yield Case(41, "newer-tool-needed", "Refused", "needs updater 99.0.0 or newer", needy)
    for name, address in {
        "option-bytes": 0x1FFF_C000, "otp": 0x1FF0_F000, "ram": 0x2000_0000, "misaligned": CHANGED + 2
    }.items():  # fmt: skip
        value = raw_manifest()
        value["images"][0]["segments"][0]["address"] = address
        yield _refused(42, f"image-in-{name}", "breaks a rule", make_bundle(payload=canonical_json(value)))
    twice = raw_manifest()
    twice["images"][0]["segments"] *= 2
    yield _refused(42, "image-overlap", "overlaps", make_bundle(payload=canonical_json(twice)))
    for name, notes in {"bidi": "safe \u202e txt.exe", "newline": "two\nlines"}.items():
        yield _refused(43, f"notes-{name}", "is not allowed", make_bundle(payload=_payload(notes=notes)))
    yield _refused(
        43, "product-bidi", "breaks a rule", make_bundle(payload=_payload(product="demo\u202egpj"))
    )
    yield _refused(43, "product-upper-case", "breaks a rule", make_bundle(payload=_payload(product="Demo")))
    both = (make_image("one"), make_image("other"))
    files = {"images/one.bin": PROGRAM, "images/other.bin": PROGRAM}
    rivals = make_bundle(make_manifest(images=both), files=files)
    yield _refused(44, "two-images-for-one-chip", "for the same silicon", rivals)


def _payload(**changes: Any) -> bytes:
    return canonical_json(raw_manifest(**changes))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir()
    (folder / "root.json").write_bytes(root_1())
    lines = [
        "# Made by tests/attacks/make_cases.py. The gate's answer to each file, with root.json embedded.\n"
    ]
    for case in cases():
        name = f"{case.name}_{'good' if case.error == 'genuine' else 'refuse'}.fwb"
        assert not (folder / name).exists(), name
        (folder / name).write_bytes(case.data)
        known = []
        for number, root in enumerate(case.known):
            known.append(f"{case.name}-known-{number}.json")
            (folder / known[-1]).write_bytes(root)
        words = json.dumps({"row": case.row, "error": case.error, "says": case.says, "known": known})
        pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in json.loads(words).items())
        lines.append(f'"{name}" = {{ {pairs} }}\n')
    (folder / "cases.toml").write_text("".join(lines), "utf-8", newline="\n")
    print(f"{len(lines) - 1} cases")


if __name__ == "__main__":
    assert write_container(make_members())
    main()
