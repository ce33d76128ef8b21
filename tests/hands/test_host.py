"""This computer: the vendor folder's driver package, and by what names its person goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.demo.make import DemoVendor
from updater.hands.host import load_home, owner


def test_a_driver_package_in_the_vendor_folder_comes_along_unchanged(
    demo_vendor: DemoVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vendor.toml", "root.json"):
        (tmp_path / name).write_bytes((demo_vendor.folder / "vendor" / name).read_bytes())
    (tmp_path / "driver").mkdir()
    for name in ("stm32.inf", "STM32.CAT", "notes.txt", "setup.exe"):
        (tmp_path / "driver" / name).write_bytes(f"{name}\r\n".encode())
    monkeypatch.setenv("UPDATER_VENDOR", str(tmp_path))

    assert load_home().driver == (("STM32.CAT", b"STM32.CAT\r\n"), ("stm32.inf", b"stm32.inf\r\n"))


def test_a_vendor_folder_without_one_brings_none(
    demo_vendor: DemoVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDATER_VENDOR", str(demo_vendor.folder / "vendor"))

    assert load_home().driver == ()


def test_the_names_of_an_account_come_from_all_places_that_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("USERNAME", "Ada"),
        ("USERPROFILE", r"C:\Users\Ada"),
        ("COMPUTERNAME", "ENGINE"),
        ("HOSTNAME", "engine.byron.example"),
        ("HOME", "/home/ada"),
    ):
        monkeypatch.setenv(name, value)

    known = owner()

    assert "Ada" in known.people
    assert {"ENGINE", "engine.byron.example", "engine"} <= set(known.computers)
    assert {"/home/ada", r"C:\Users\Ada"} <= set(known.homes)
    assert "" not in (*known.people, *known.computers, *known.homes)
