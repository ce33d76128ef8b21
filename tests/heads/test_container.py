"""The bundle file: one spelling, and nothing else is read."""

from __future__ import annotations

import io
import struct
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from updater.heads.container import (
    ENVELOPE_LIMIT_BYTES,
    FILE_LIMIT_BYTES,
    MEMBER_LIMIT,
    ROOT_LIMIT,
    ROOT_LIMIT_BYTES,
    images_of,
    read_container,
    roots_of,
    write_container,
)
from updater.words.errors import NotTrusted, UpdaterError, Usage

MEMBERS = {
    "images/main.bin": b"program",
    "root/10.root.json": b"ten",
    "manifest.dsse": b"{}",
    "root/2.root.json": b"two",
    "images/boot.bin": b"",
}
IN_ORDER = ["manifest.dsse", "root/2.root.json", "root/10.root.json", "images/boot.bin", "images/main.bin"]
GOOD = write_container(MEMBERS)


def stdlib_zip(
    members: list[tuple[str, bytes]],
    *,
    comment: bytes = b"",
    extra: bytes = b"",
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """The same archive from the standard library's writer."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        for name, data in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 0
            info.extra = extra
            info.compress_type = method
            archive.writestr(info, data)
    return buffer.getvalue()


ORDERED = [(name, MEMBERS[name]) for name in IN_ORDER]


def test_what_is_written_is_read_again() -> None:
    assert read_container(GOOD) == MEMBERS


def test_the_bytes_are_those_of_the_standard_librarys_zip_writer() -> None:
    assert stdlib_zip(ORDERED) == GOOD


def test_ordinary_zip_programs_can_look_inside() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == IN_ORDER


def test_the_order_in_which_members_are_given_does_not_matter() -> None:
    assert write_container(dict(reversed(MEMBERS.items()))) == GOOD


def test_roots_come_in_the_order_of_their_numbers() -> None:
    assert roots_of(MEMBERS) == (b"two", b"ten")
    assert images_of(MEMBERS) == {"images/main.bin": b"program", "images/boot.bin": b""}


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"<html>Please log in</html>", id="a login page"),
        pytest.param(GOOD[:-1], id="one byte short"),
        pytest.param(GOOD[:20], id="cut in the first header"),
        pytest.param(GOOD[:60], id="cut in the first member"),
        pytest.param(b"\0" + GOOD, id="prefix"),
        pytest.param(GOOD + b"\0", id="suffix"),
        pytest.param(GOOD + GOOD, id="two archives joined"),
        pytest.param(stdlib_zip(ORDERED, comment=b"hello"), id="comment"),
        pytest.param(stdlib_zip(ORDERED, extra=b"\x34\x12\x02\x00ab"), id="extra field"),
        pytest.param(stdlib_zip(ORDERED, method=zipfile.ZIP_DEFLATED), id="deflated"),
        pytest.param(stdlib_zip(ORDERED[::-1]), id="other order"),
        pytest.param(stdlib_zip([*ORDERED, ("images/a\x00.bin", b"")]), id="NUL in a name"),
    ],
)
def test_any_other_spelling_is_refused(hostile: bytes) -> None:
    with pytest.raises(
        NotTrusted, match=r"not an update bundle|cut off|damaged, or was packed again|not the name"
    ):
        read_container(hostile)


def test_a_member_that_is_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = stdlib_zip([*ORDERED, ("images/main.bin", b"other")])
    with pytest.raises(NotTrusted, match=r"two members named 'images/main\.bin'"):
        read_container(twice)


@pytest.mark.parametrize(
    ("offset_in_local_header", "value"),
    [
        pytest.param(4, 45, id="version needed for ZIP64"),
        pytest.param(6, 1, id="encrypted"),
        pytest.param(6, 8, id="sizes in a data descriptor"),
        pytest.param(8, 8, id="says deflated"),
        pytest.param(10, 1, id="time"),
        pytest.param(14, 1, id="CRC"),
        pytest.param(18, 1, id="compressed size"),
        pytest.param(28, 1, id="length of the extra field"),
    ],
)
def test_a_local_header_that_differs_from_the_central_one_is_refused(
    offset_in_local_header: int, value: int
) -> None:
    changed = bytearray(GOOD)
    struct.pack_into("<H", changed, offset_in_local_header, value)
    with pytest.raises(NotTrusted, match=r"damaged, or was packed again|is missing|not the name"):
        read_container(bytes(changed))


def test_members_that_overlap_are_refused() -> None:
    """The second central entry points at the first member (CVE-2024-0450)."""
    changed = bytearray(GOOD)
    second = changed.index(b"PK\1\2", changed.index(b"PK\1\2") + 1)
    struct.pack_into("<L", changed, second + 42, 0)
    with pytest.raises(NotTrusted, match="damaged, or was packed again"):
        read_container(bytes(changed))


def test_a_size_of_four_gigabytes_is_refused_before_anything_is_read() -> None:
    changed = bytearray(GOOD)
    struct.pack_into("<LL", changed, 18, 0xFFFF_FFFF, 0xFFFF_FFFF)
    with pytest.raises(NotTrusted, match="cut off"):
        read_container(bytes(changed))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "images/../../evil",
        "images/a..b",
        "/images/main.bin",
        "C:\\evil",
        "images\\main.bin",
        "images/a:b",
        "images/Main.bin",
        "images/",
        "images/a/b",
        "images/main.bin.",
        "images/con",
        "images/nul.bin",
        "images/com1.bin",
        "images/" + "a" * 65,
        "images/ä",
        "root/0.root.json",
        "root/01.root.json",
        "root/x.root.json",
        "readme.txt",
        "MANIFEST.DSSE",
    ],
)
def test_no_other_name_is_allowed(name: str) -> None:
    with pytest.raises(NotTrusted, match="is not the name of anything in a bundle"):
        read_container(stdlib_zip([*ORDERED, (name, b"")]))
    with pytest.raises(Usage, match="is not the name of anything in a bundle"):
        write_container({**MEMBERS, name: b""})


def test_a_bundle_without_a_manifest_is_refused() -> None:
    with pytest.raises(NotTrusted, match=r"manifest\.dsse is missing"):
        read_container(stdlib_zip([("images/main.bin", b"program")]))


def envelope_only(**more: bytes) -> dict[str, bytes]:
    return {"manifest.dsse": b"{}", **more}


def members(count: int) -> dict[str, bytes]:
    return envelope_only(**{f"images/{n}": b"" for n in range(count - 1)})


def roots(count: int) -> dict[str, bytes]:
    return envelope_only(**{f"root/{n}.root.json": b"" for n in range(1, count + 1)})


def root_of(size: int) -> dict[str, bytes]:
    return envelope_only(**{"root/1.root.json": bytes(size)})


def envelope_of(size: int) -> dict[str, bytes]:
    return {"manifest.dsse": bytes(size)}


@pytest.mark.parametrize(
    ("at_limit", "above"),
    [
        pytest.param(members(MEMBER_LIMIT), members(MEMBER_LIMIT + 1), id="members"),
        pytest.param(roots(ROOT_LIMIT), roots(ROOT_LIMIT + 1), id="root files"),
        pytest.param(root_of(ROOT_LIMIT_BYTES), root_of(ROOT_LIMIT_BYTES + 1), id="root file"),
        pytest.param(envelope_of(ENVELOPE_LIMIT_BYTES), envelope_of(ENVELOPE_LIMIT_BYTES + 1), id="envelope"),
    ],
)
def test_every_limit_holds_to_the_byte(at_limit: dict[str, bytes], above: dict[str, bytes]) -> None:
    assert read_container(write_container(at_limit)) == at_limit
    with pytest.raises(NotTrusted):
        read_container(stdlib_zip(list(above.items())))
    with pytest.raises(Usage):
        write_container(above)


def test_a_file_may_be_64_mib_and_not_a_byte_more() -> None:
    overhead = len(write_container(envelope_only(**{"images/a": b""})))
    largest = write_container(envelope_only(**{"images/a": bytes(FILE_LIMIT_BYTES - overhead)}))
    assert len(largest) == 64 * 1024 * 1024
    assert len(read_container(largest)["images/a"]) == FILE_LIMIT_BYTES - overhead
    with pytest.raises(NotTrusted, match="larger"):
        read_container(largest + b"\0")
    with pytest.raises(Usage, match="larger"):
        write_container(envelope_only(**{"images/a": bytes(FILE_LIMIT_BYTES - overhead + 1)}))


def test_a_flood_of_members_is_refused_quickly() -> None:
    flood = stdlib_zip([(f"images/{n}", b"") for n in range(5_000)])
    started = time.perf_counter()
    with pytest.raises(NotTrusted):
        read_container(flood)
    assert time.perf_counter() - started < 1


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_is_accepted(at: int, byte: int) -> None:
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        assert read_container(changed) == MEMBERS
    except NotTrusted:
        assert changed != GOOD
    else:
        assert changed == GOOD


@given(data=st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"PK\3\4" + tail))
def test_random_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(UpdaterError):
        read_container(data)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text("abcz019", min_size=1, max_size=8).map("images/{}".format), st.binary(max_size=40), max_size=6
    )
)
def test_whatever_is_accepted_is_written_back_the_same(images: dict[str, bytes]) -> None:
    bundle = write_container({"manifest.dsse": b"{}", **images})
    assert write_container(read_container(bundle)) == bundle
