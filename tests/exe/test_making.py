"""What the build makes itself: the icon, the version resource, the list of parts. Builds nothing."""

from __future__ import annotations

import ast
import struct

import pytest

from exe.icon import ICO, PNG, SIZES, ico, png
from exe.parts import Part, UnknownPart, cyclonedx, licences, parts_of
from exe.version import version_resource
from tests.exe.build import PROJECT
from updater.heads.vendor import parse_vendor

PARSED = parse_vendor((PROJECT / "updater/demo/vendor.toml").read_text("utf-8"), allow_loopback_http=True)


def test_the_icon_is_what_the_script_draws() -> None:
    assert PNG.read_bytes() == png(64)
    small = {size: png(size) for size in SIZES[:3]}
    file = ico(small)
    assert struct.unpack_from("<HHH", file) == (0, 1, 3)
    for n, (size, data) in enumerate(small.items()):
        width, height, *_, length, offset = struct.unpack_from("<BBBBHHII", file, 6 + 16 * n)
        assert (width, height, file[offset : offset + length]) == (size, size, data)
    assert struct.unpack_from("<HHH", ICO.read_bytes()) == (0, 1, len(SIZES))


def test_the_version_resource_quotes_whatever_a_vendor_is_called() -> None:
    text = version_resource(PARSED, "1.2.3", file_name="Updater.exe")
    words = {
        call.args[0].value: call.args[1].value
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "StringStruct"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[1], ast.Constant)
    }
    assert words["FileDescription"] == "Demo Instruments Updater (demo)"
    assert (words["ProductVersion"], words["OriginalFilename"]) == ("1.2.3", "Updater.exe")
    assert "filevers=(1, 2, 3, 0)" in text


@pytest.mark.exe
def test_a_part_that_nobody_knows_stops_the_build() -> None:
    with pytest.raises(UnknownPart, match="nobodys_module"):
        parts_of([("nobodys_module", "/nowhere/nobodys_module.py", "PYMODULE")], [])
    with pytest.raises(UnknownPart, match=r"libnobody\.so"):
        parts_of([], [("libnobody.so", "/nowhere/libnobody.so", "BINARY")])


@pytest.mark.exe
def test_parts_are_found_by_what_goes_in_and_not_by_what_is_installed() -> None:
    inside = [("semver.version", "semver/version.py", "PYMODULE"), ("json", "json/__init__.py", "PYMODULE")]
    parts = parts_of(inside, [])
    assert [one.name for one in parts] == ["pyinstaller", "python", "semver"]
    assert parts[2].licence == "BSD-3-Clause"
    assert "Redistribution and use in source and binary forms" in parts[2].texts[0]


def test_the_two_lists_say_the_same() -> None:
    part = Part("thing", "1.0", "pkg:pypi/thing@1.0", "MIT", True, ("the terms",))
    text = licences([part], "our terms")
    assert "  thing 1.0: MIT\n" in text
    assert text.index("our terms") < text.index("the terms")
    listed = ast.literal_eval(cyclonedx([part], name="Updater", version="2.0").replace("true", "True"))
    assert listed["components"][0] == {
        "type": "library",
        "bom-ref": "pkg:pypi/thing@1.0",
        "name": "thing",
        "version": "1.0",
        "purl": "pkg:pypi/thing@1.0",
        "licenses": [{"expression": "MIT"}],
    }
