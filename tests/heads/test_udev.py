"""The udev rules: one text, in the program and in the guide."""

from __future__ import annotations

from pathlib import Path

import msgspec

from updater.heads.udev import covers, rules_file, rules_text
from updater.heads.vendor import Vendor

GUIDE = Path(__file__).parents[2] / "docs" / "linux.md"


def vendor(*ways: dict[str, object], usb: tuple[str, ...] = ("1209:0001",)) -> Vendor:
    product = {
        "id": "your-box",
        "number": 1,
        "title": "Your Box",
        "usb": usb,
        "chips": ["stm32h743"],
        "hardware": ["A"],
        "ways": ways,
    }
    described = {
        "schema": 1,
        "kind": "product",
        "name": "Your Company",
        "support": "support@your-company.example",
        "repository": "https://updates.your-company.example/",
        "link": {"scheme": "your-update"},
        "product": [product],
    }
    return msgspec.convert(described, Vendor)


def shown_in_the_guide() -> list[str]:
    """The blocks of rules in docs/linux.md: one for each kind of product."""
    blocks = GUIDE.read_text("utf-8").split("    # /etc/udev/rules.d/70-your-update.rules\n")[1:]
    return [
        "".join(line[4:] for line in block.splitlines(True)[: block.count("SUBSYSTEM")]) for block in blocks
    ]


def test_the_guide_shows_the_rules_that_the_program_installs() -> None:
    over_usb, over_serial = shown_in_the_guide()

    assert over_usb == rules_text(vendor({"kind": "dfu-detach"}))
    assert over_serial == rules_text(vendor({"kind": "touch-1200"}))
    assert rules_file(vendor()) == "/etc/udev/rules.d/70-your-update.rules"


def test_a_product_with_two_faces_has_a_rule_for_each_and_the_bootloader_one() -> None:
    text = rules_text(vendor(usb=("1209:0001", "1209:0002")))

    assert [line.count("0483") for line in text.splitlines()] == [1, 0, 0]
    assert all(covers(text, usb) for usb in ("0483:df11", "1209:0001", "1209:0002"))
    assert not covers(text, "1209:0003")


def test_rules_of_others_count_when_they_give_access() -> None:
    assert covers('ATTRS{idVendor}=="0483", ATTRS{idProduct}=="df11", MODE="0666"', "0483:df11")
    assert covers('SUBSYSTEM=="usb", ATTR{idVendor}=="0483", MODE="664", GROUP="plugdev"', "0483:df11")
    assert not covers('# ATTRS{idVendor}=="0483", ATTRS{idProduct}=="df11", MODE="0666"', "0483:df11")
    assert not covers('ATTRS{idVendor}=="0483", ATTRS{idProduct}=="df11", SYMLINK+="dfu"', "0483:df11")
