"""What is inside is named inside: the licences of all parts, and the list for programs."""

from __future__ import annotations

import json

import pytest

from tests.exe.build import Built

pytestmark = pytest.mark.exe


def test_the_list_names_what_the_programs_carry(product: Built) -> None:
    components = json.loads(product.made("sbom.cdx.json"))["components"]
    named = {one["name"] for one in components}
    assert {"python", "libusb", "pyusb", "cryptography", "tuf", "pyinstaller", "requests"} <= named
    assert named.isdisjoint({"pytest", "intelhex", "pyelftools", "mypy"})
    assert all(one["version"] and one["purl"].startswith("pkg:") and one["licenses"] for one in components)
    refs = [one["bom-ref"] for one in components]
    assert len(refs) == len(set(refs))


def test_what_was_compiled_into_a_package_is_named_too(product: Built) -> None:
    components = json.loads(product.made("sbom.cdx.json"))["components"]
    (cryptography,) = (one for one in components if one["name"] == "cryptography")
    assert "openssl" in {one["name"] for one in cryptography["components"]}


def test_every_part_has_its_terms_in_the_licence_file(product: Built) -> None:
    text = product.made("licences.txt")
    for one in json.loads(product.made("sbom.cdx.json"))["components"]:
        assert f"\n  {one['name']} " in text
        assert f"\n{one['name']}: " in text
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text
    assert "Apache License" in text


def test_both_are_inside_every_program(product: Built, demo: Built) -> None:
    for built in (product, demo):
        for carried in (built.window.contents(), built.console.contents(), built.beside()):
            assert {"updater/licences.txt", "updater/sbom.cdx.json"} <= carried
