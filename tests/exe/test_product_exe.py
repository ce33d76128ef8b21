"""A product's executable: what it carries, what it can, and when it is not built at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.exe.build import PROJECT, Built, run_the_spec
from updater.hands.host import today
from updater.heads.vendor import Kind, parse_vendor

pytestmark = pytest.mark.exe

DEMO_SITE_BUNDLE = PROJECT / "updater" / "demo" / "site" / "files" / "demo-widget-1.1.0.fwb"
ONLY_IN_THE_DEMO = ("updater.lab", "updater.demo")
IN_NO_EXECUTABLE = ("bundles", "intelhex", "elftools", "tests", "pytest", "_pytest", "exe")


def carried(built: Built, rooms: tuple[str, ...]) -> set[str]:
    """What of these packages is inside, as modules or as files."""
    prefixes = tuple(f"{room}." for room in rooms)
    return {name for name in built.contents() if f"{name}.".replace("/", ".").startswith(prefixes)}


def test_a_product_carries_its_vendor_and_neither_the_lab_nor_the_demo(product: Built) -> None:
    assert {
        "updater/vendor/vendor.toml",
        "updater/vendor/root.json",
        "updater.doors.cli",
    } <= product.contents()
    assert carried(product, ONLY_IN_THE_DEMO) == set()


def test_a_product_carries_its_driver_package_and_its_doctor_works(product: Built) -> None:
    assert {"updater/vendor/driver/stm32.inf", "updater/vendor/driver/stm32.cat"} <= product.contents()
    said = product.console.run("doctor", "--json")
    assert '"type": "doctor"' in said.stdout, said.stderr
    assert said.returncode in (3, 7, 8), said.stderr  # whatever is plugged into this computer


def test_the_demo_carries_the_lab_and_the_demo_and_no_product(demo: Built) -> None:
    assert {"updater.lab.rom", "updater.demo.show", "updater/demo/vendor.toml"} <= demo.contents()
    assert not [name for name in demo.contents() if name.startswith("updater/vendor/")]


def test_the_only_vendor_in_a_demo_is_one_that_never_writes_to_a_real_device(demo: Built) -> None:
    """A demo vendor's updater refuses real devices: test_a_demo_updater_never_writes_to_a_real_device."""
    descriptors = [name for name in demo.contents() if name.endswith("vendor.toml")]
    assert descriptors == ["updater/demo/vendor.toml"]
    beside = demo.console_in_folder.path.parent / "_internal" / descriptors[0]
    carried = {one.carried_file(descriptors[0]) for one in (demo.window, demo.console)}
    for text in {beside.read_bytes(), *carried}:
        assert parse_vendor(text.decode(), allow_loopback_http=True).kind is Kind.DEMO


@pytest.mark.parametrize("kind", ["demo", "product"])
def test_no_executable_carries_the_release_side_or_the_tests(
    kind: str, request: pytest.FixtureRequest
) -> None:
    built: Built = request.getfixturevalue(kind)
    assert carried(built, IN_NO_EXECUTABLE) == set()


def test_a_bundle_of_its_vendor_is_genuine(product: Built, maker: DemoVendor) -> None:
    bundle = maker.folder / "bundles" / "demo-widget-1.1.0.fwb"
    for program in product.programs():
        said = program.run("verify", str(bundle))
        assert said.returncode == 0, said.stderr
        assert "demo-widget 1.1.0 is genuine" in said.stdout


def test_a_bundle_of_the_demo_vendor_is_not_trusted(product: Built) -> None:
    said = product.console.run("verify", str(DEMO_SITE_BUNDLE))
    assert said.returncode == 5, said.stderr


def test_every_module_of_ours_is_inside_and_tells_so(product: Built) -> None:
    sources = {path.relative_to(PROJECT).with_suffix("") for path in (PROJECT / "updater").rglob("*.py")}
    ours = {".".join(path.parts).removesuffix(".__init__") for path in sources}
    ours -= {one for one in ours if f"{one}.".startswith(("updater.lab.", "updater.demo."))}
    for program in product.programs():
        assert ours <= program.contents()
        said = program.run("--self-test")
        assert said.returncode == 0, said.stdout + said.stderr
        assert "FAILED" not in said.stdout


def test_it_looks_for_real_devices(product: Built) -> None:
    said = product.console.run("devices")
    assert said.returncode in (0, 3), said.stderr  # 0: a device happens to be plugged into this computer


@pytest.mark.parametrize("command", ["demo", "lab"])
def test_the_demo_and_the_lab_are_no_commands_of_it(product: Built, command: str) -> None:
    said = product.console.run(command)
    assert said.returncode == 2
    assert f"invalid choice: '{command}'" in said.stderr


def test_whoever_asks_it_for_virtual_devices_is_not_given_real_ones(product: Built) -> None:
    by_option = product.console.run("--lab", "anywhere", "devices")
    by_variable = product.console.run("devices", UPDATER_LAB="anywhere")
    for said in (by_option, by_variable):
        assert said.returncode == 2
        assert "no virtual devices" in said.stderr


def test_a_missing_vendor_folder_stops_the_build(tmp_path: Path) -> None:
    done = run_the_spec(tmp_path, tmp_path / "nowhere")
    assert done.returncode != 0
    assert f"{tmp_path}/nowhere/vendor.toml cannot be read" in done.stderr


def test_a_demo_vendor_stops_the_build_of_a_product(tmp_path: Path) -> None:
    done = run_the_spec(tmp_path, PROJECT / "updater" / "demo")
    assert done.returncode != 0
    assert 'a product needs "product"' in done.stderr


def test_a_vendor_whose_site_is_not_https_stops_the_build(tmp_path: Path) -> None:
    maker = make_demo(tmp_path / "maker", kind=Kind.PRODUCT, url="http://127.0.0.1:8000/", now=today())
    done = run_the_spec(tmp_path, maker.folder / "vendor")
    assert done.returncode != 0
    assert "only https is allowed" in done.stderr
