"""Whatever is wrong has its own error, exit status and advice, and the device is as it was."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from bundles.demo.make import make_demo
from bundles.recipe import parse_recipe
from bundles.release import build, sign
from tests.desk import Desk, Said
from tests.hands.web import LOGIN_PAGE
from updater.heads.container import read_container, write_container

RECIPES = Path(__file__).parents[2] / "bundles" / "demo" / "recipes"


def refused(desk: Desk, said: Said, exit_status: int, error: str) -> None:
    """The contract of every failure before the first erase."""
    assert (said.exit, said.last["type"], said.last["error"]) == (exit_status, "error", error), said.out
    assert said.last["exit"] == exit_status
    assert said.last["message"]
    assert len(said.last["advice"]) > 10
    assert said.last["device_is"] in ("untouched", "runs-old")
    if desk.lab.exists():
        assert desk.holds("demo-widget-1.0.0")
        assert desk.board()["state"] == "application"


def a_file(folder: Path, data: bytes) -> str:
    path = folder / "given.fwb"
    path.write_bytes(data)
    return str(path)


def signed(desk: Desk, recipe: str, change: Callable[[str], str], *names: str) -> bytes:
    """A bundle from a changed recipe, signed with the demo vendor's own keys."""
    text = change((RECIPES / recipe).read_text("utf-8"))
    vendor = desk.published.vendor
    bundle = build(parse_recipe(text.encode()), RECIPES, [vendor.root])
    for name in names:
        key: Signer = vendor.signer(name)
        bundle = sign(bundle, key)
    return bundle


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_bundle(desk: Desk, tmp_path: Path, length: int) -> None:
    desk.plug_in()
    good = desk.published.vendor.bundle("demo-widget-1.1.0")
    refused(desk, desk.install(a_file(tmp_path, good[:length])), 5, "NotTrusted")


def test_an_altered_image(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    members = read_container(desk.published.vendor.bundle("demo-widget-1.1.0"))
    name = next(name for name in members if name.startswith("images/"))
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]
    refused(desk, desk.install(a_file(tmp_path, write_container(members))), 5, "NotTrusted")


def test_a_bundle_of_another_vendor(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    other = make_demo(tmp_path / "other", now=datetime.now(UTC))
    given = a_file(tmp_path, other.bundle("demo-widget-1.1.0"))
    refused(desk, desk.install(given), 5, "NotTrusted")


def test_one_signature_of_two(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    bundle = signed(desk, "demo-widget-1.1.0.toml", lambda text: text, "release-1")
    said = desk.install(a_file(tmp_path, bundle))
    refused(desk, said, 5, "NotTrusted")
    assert "1" in said.last["message"]
    assert "2" in said.last["message"]


def test_a_bundle_for_another_product(desk: Desk) -> None:
    desk.plug_in()
    refused(desk, desk.install(str(desk.published.bundle_path("demo-gadget-1.1.0"))), 4, "WrongDevice")


def test_a_link_for_another_product(desk: Desk) -> None:
    desk.plug_in()
    refused(desk, desk.install(desk.published.link("demo-gadget")), 4, "WrongDevice")


def test_an_older_security_counter_than_was_seen(desk: Desk, tmp_path: Path) -> None:
    """The proof that a newer counter exists is kept when it is installed, and outlives the device's word."""
    desk.plug_in()
    newer = signed(
        desk,
        "demo-widget-1.1.0.toml",
        lambda text: text.replace("security_counter = 1", "security_counter = 2").replace(
            "header_address", "# header_address"
        ),
        "release-1",
        "release-2",
    )
    assert desk.install(a_file(tmp_path, newer)).exit == 0
    shutil.rmtree(desk.lab)
    desk.plug_in()
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
    refused(desk, said, 6, "Refused")
    assert "security" in said.last["message"]


def test_an_older_version_by_link_is_refused_and_by_file_it_must_be_typed(desk: Desk) -> None:
    desk.plug_in(runs="1.1.0")
    said = desk.install(desk.published.link("demo-widget", "1.0.0"))
    assert (said.exit, said.last["error"]) == (6, "Refused")
    file = str(desk.published.bundle_path("demo-widget-1.0.0"))
    said = desk.install(file, stdin="yes\n")
    assert (said.exit, said.last["error"]) == (12, "Cancelled")
    assert desk.holds("demo-widget-1.1.0")
    assert desk.install(file, stdin="1.0.0\n").exit == 0
    assert desk.holds("demo-widget-1.0.0")


@pytest.mark.parametrize(
    "link",
    [
        "demo-update://v1/demo-widget/stable/9.9.9",
        "demo-update://v1/no-such-product/stable/latest",
    ],
)
def test_a_link_to_what_does_not_exist(desk: Desk, link: str) -> None:
    desk.plug_in()
    said = desk.install(link)
    assert said.exit in (4, 6)
    assert said.last["error"] in ("WrongDevice", "NoSuchRelease")
    assert desk.holds("demo-widget-1.0.0")


@pytest.mark.parametrize(
    "link",
    [
        "demo-update://v1/demo-widget/stable/latest --yes",
        "demo-update://v1/demo-widget/stable/1.0",
        "demo-update://evil.example/demo-widget/stable/latest",
        "demo-update://v2/demo-widget/stable/latest",
        "http://evil.example/u/demo-widget/stable/latest/",
        "ABCD-EFGH",
    ],
)
def test_a_link_that_is_not_one(desk: Desk, link: str) -> None:
    desk.plug_in()
    asked = len(desk.published.web.asked)
    refused(desk, desk.install(link), 2, "Usage")
    assert len(desk.published.web.asked) == asked


def test_no_device(desk: Desk) -> None:
    desk.plug_in()
    assert desk.updater("lab", "unplug", "board1").exit == 0
    for said in (desk.install(desk.published.link("demo-widget")), desk.updater("devices", "--json")):
        assert (said.exit, said.last["error"]) == (3, "NoDevice")


def test_two_devices_and_none_chosen(desk: Desk) -> None:
    desk.plug_in()
    desk.plug_in("demo-gadget", name="board2")
    link = desk.published.link("demo-widget")
    said = desk.install(link)
    refused(desk, said, 3, "SeveralDevices")
    assert "1-1" in said.last["message"]
    assert "1-2" in said.last["message"]
    assert desk.install(link, "--device", "1-1").exit == 0
    assert desk.holds("demo-gadget-1.0.0", "board2")


def test_a_site_that_cannot_be_reached(desk: Desk) -> None:
    desk.plug_in()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    desk.change_vendor(lambda text: text.replace(desk.published.web.url, f"http://127.0.0.1:{port}/"))
    refused(desk, desk.install(desk.published.link("demo-widget")), 7, "NetworkFailed")


def test_a_login_page_instead_of_the_site(desk: Desk) -> None:
    desk.plug_in()
    desk.published.web.everywhere = LOGIN_PAGE
    said = desk.install(desk.published.link("demo-widget"))
    refused(desk, said, 7, "NetworkFailed")
    assert "log in" in said.last["advice"] or "login" in said.last["message"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a system with /dev/full")
def test_a_full_disk_is_found_before_the_device_is_touched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC out of the real fsync path: every new file of the state folder is /dev/full."""
    desk.plug_in()
    link = desk.published.link("demo-widget")
    assert desk.install(link, "--dry-run").exit == 0  # the site's metadata is cached

    def full(*, dir: Path, prefix: str) -> tuple[int, str]:
        name = str(Path(dir) / f"{prefix}x")
        return os.open("/dev/full", os.O_WRONLY), name

    monkeypatch.setattr("updater.hands.store.tempfile.mkstemp", full)
    said = desk.install(link)
    refused(desk, said, 13, "StorageFailed")
    assert "space" in said.last["message"].lower()


def test_a_state_folder_that_cannot_be_made(desk: Desk, tmp_path: Path) -> None:
    desk.plug_in()
    (tmp_path / "file").write_text("in the way")
    desk.state = tmp_path / "file" / "state"
    refused(desk, desk.install(desk.published.link("demo-widget")), 13, "StorageFailed")


def test_two_updaters_at_once(desk: Desk) -> None:
    from updater.hands.store import open_store

    desk.plug_in()
    with open_store(desk.state, desk.published.vendor.root):
        refused(desk, desk.install(desk.published.link("demo-widget")), 13, "StorageFailed")


def test_a_bundle_changed_on_its_way_is_refused(desk: Desk) -> None:
    """The server sends another file of the same length under the name that the metadata lists."""
    desk.plug_in()
    web = desk.published.web
    good = desk.published.vendor.bundle("demo-widget-1.1.0")
    (target,) = [
        path
        for path in (desk.published.vendor.site / "targets").rglob("*.current.fwb")
        if path.read_bytes() == good
    ]
    from tests.hands.web import Page

    path = "/" + target.relative_to(desk.published.vendor.site).as_posix()
    web.pages[path] = Page(good[:-1] + bytes([good[-1] ^ 1]))
    refused(desk, desk.install(desk.published.link("demo-widget")), 5, "NotTrusted")


def test_a_chip_that_the_product_is_not_made_with(desk: Desk) -> None:
    """A stranger in its ROM whose layout says F405 cannot be talked into being a widget."""
    desk.plug_in("demo-gadget", runs=None, in_rom=True)
    file = str(desk.published.bundle_path("demo-widget-1.1.0"))
    said = desk.install(file, "--as", "demo-widget:A")
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert desk.flash() == b"\xff" * len(desk.flash())


def test_a_person_cannot_overrule_what_the_device_proves(desk: Desk) -> None:
    desk.plug_in()
    said = desk.install(str(desk.published.bundle_path("demo-gadget-1.1.0")), "--as", "demo-gadget:A")
    refused(desk, said, 4, "WrongDevice")


def test_an_update_without_a_way_back_is_refused(desk: Desk) -> None:
    desk.plug_in()
    desk.change_vendor(lambda text: text.replace('kind = "boot-button"', 'kind = "none"'))
    refused(desk, desk.install(desk.published.link("demo-widget")), 6, "Refused")


def test_an_expired_root_offline_is_a_typed_confirmation_and_from_a_link_a_refusal(desk: Desk) -> None:
    """The demo's root expires in 2999; the computer's clock stands a thousand years later."""
    desk.plug_in()
    late = datetime(3100, 1, 1, tzinfo=UTC)
    file = str(desk.published.bundle_path("demo-widget-1.1.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("updater.hands.host.today", lambda: late)
        said = desk.install(file, stdin="no\n")
        assert (said.exit, said.last["error"]) == (12, "Cancelled")
        assert "expired" in said.err
        refused(desk, desk.install(desk.published.link("demo-widget")), 6, "Refused")
        said = desk.install(file, stdin="demo-widget\n")
        assert said.exit == 0
        assert "3100-01-01" in said.err


def test_a_clock_years_behind_is_named_online_because_nothing_would_ever_look_expired(desk: Desk) -> None:
    desk.plug_in()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("updater.hands.host.today", lambda: datetime(2003, 4, 5, tzinfo=UTC))
        said = desk.install(desk.published.link("demo-widget"))
        refused(desk, said, 5, "NotTrusted")
        assert "2003-04-05" in said.last["message"]
        said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
        assert said.exit == 0
        assert "2003-04-05" in said.err
