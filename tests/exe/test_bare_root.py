"""The executables need nothing but the C library: they run where nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.demo.make import DemoVendor
from tests.exe.bare import BareRoot, bare_root
from tests.exe.build import Built

pytestmark = pytest.mark.exe


@pytest.fixture(scope="module")
def product_root(tmp_path_factory: pytest.TempPathFactory, product: Built, maker: DemoVendor) -> BareRoot:
    bundle = maker.folder / "bundles" / "demo-widget-1.1.0.fwb"
    return bare_root(tmp_path_factory.mktemp("bare"), product.console, bundle)


@pytest.mark.parametrize("program", ["window", "console", "window_in_folder", "console_in_folder"])
def test_the_demo_updates_its_products(tmp_path: Path, demo: Built, program: str) -> None:
    said = bare_root(tmp_path, getattr(demo, program)).run("demo", "--fast")
    assert said.returncode == 0, said.stderr
    assert "Done. Demo Gadget runs version 1.1.0." in said.stdout + said.stderr


def test_a_product_finds_no_device_and_says_so(product_root: BareRoot) -> None:
    said = product_root.run("devices")
    assert said.returncode in (0, 3), said.stderr  # 0: a device happens to be plugged into this computer
    assert "Traceback" not in said.stderr


def test_a_product_knows_its_vendors_bundle(product_root: BareRoot) -> None:
    said = product_root.run("verify", "/demo-widget-1.1.0.fwb")
    assert (said.returncode, said.stderr) == (0, "")
    assert "demo-widget 1.1.0 is genuine" in said.stdout


def test_of_all_checks_only_the_missing_certificates_fail(tmp_path: Path, demo: Built) -> None:
    root = bare_root(tmp_path, demo.console_in_folder)
    said = root.run("--self-test")
    assert said.returncode == 70
    failed = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == ["certificates"], said.stdout
    complete = root.with_certificates().run("--self-test")
    assert complete.returncode == 0, complete.stdout
