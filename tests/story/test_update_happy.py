"""The main job, as a customer and as support see it."""

from __future__ import annotations

import pytest

from tests.desk import Desk


@pytest.mark.parametrize("product", ["demo-widget", "demo-gadget"])
def test_a_link_brings_a_device_to_the_newest_version(desk: Desk, product: str) -> None:
    desk.plug_in(product)
    said = desk.install(desk.published.link(product))
    assert said.exit == 0, said.out
    assert said.last["result"] == "confirmed"
    assert (said.last["from_version"], said.last["to_version"]) == ("1.0.0", "1.1.0")
    assert said.last["device"]["version"] == "1.1.0"
    assert said.last["verified"] == "read-back"
    assert said.last["identity"] == "application"
    assert desk.holds(f"{product}-1.1.0")
    assert desk.board()["state"] == "application"


def test_the_first_field_story_a_rev_v_board_that_never_heard_of_us(desk: Desk) -> None:
    """New H743 lots stopped at 49 % of the erase; the board comes in by its BOOT pin and is a stranger."""
    desk.plug_in(runs=None, revision="V", rom_version=0x91, in_rom=True)
    refused = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
    assert refused.exit == 3
    assert "--as" in refused.last["advice"]
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")), "--as", "demo-widget:A")
    assert said.exit == 0, said.out
    assert said.last["identity"] == "person"
    assert said.last["result"] == "confirmed"
    assert desk.holds("demo-widget-1.1.0")


def test_devices_says_silicon_rom_and_the_limitation_that_applies(desk: Desk) -> None:
    desk.plug_in(revision="V", rom_version=0x91)
    (line,) = desk.updater("devices", "--json").lines
    limitations = line.pop("limitations")
    serial = line.pop("serial")
    assert line == {
        "type": "device",
        "name": "Demo Widget",
        "mode": "application",
        "product": "demo-widget",
        "hardware": "A",
        "version": "1.0.0",
        "security_counter": 1,
        "identity": "application",
        "chip": "stm32h743",
        "dev_id": "0x450",
        "revision": "V",
        "revision_from": "application",
        "rom_version": "0x91",
        "rom_version_from": "application",
        "port": "1-1",
        "usb": "1209:0001",
        "problem": None,
        "chips": ["stm32h743"],
        "flash_kib": None,
        "bank_mode": None,
        "refused": None,
    }
    assert len(serial) == 24
    assert [one["id"] for one in limitations if one["handled"]] == ["bank2-erase-wedge"]
    assert "h74x-serial-is-shared" in [one["id"] for one in limitations]
    assert all(one["source"] for one in limitations)


def test_a_device_in_its_rom_is_told_by_its_header_and_its_silicon_by_the_rom_itself(desk: Desk) -> None:
    desk.plug_in(revision="Y", rom_version=0xD2, in_rom=True)
    (line,) = desk.updater("devices", "--json").lines
    assert (line["mode"], line["product"], line["identity"]) == ("rom", "demo-widget", "header")
    assert (line["revision"], line["revision_from"]) == ("Y", "rom-serial")
    assert (line["rom_version"], line["rom_version_from"]) == ("0xD2", "rom-id")
    assert [one["id"] for one in line["limitations"] if one["handled"]] == ["go-is-broken"]


def test_nothing_to_do_leaves_the_device_alone(desk: Desk) -> None:
    desk.plug_in(runs="1.1.0")
    said = desk.install(desk.published.link("demo-widget"))
    assert (said.exit, said.last["result"]) == (0, "nothing-to-do")
    assert said.last["control_transfers"] == 0


def test_again_reinstalls_and_finds_that_nothing_differs(desk: Desk) -> None:
    desk.plug_in(runs="1.1.0")
    said = desk.install(desk.published.link("demo-widget"), "--again")
    assert (said.exit, said.last["result"]) == (0, "confirmed")
    assert (said.last["erased_sectors"], said.last["wrote_bytes"]) == (0, 0)


def test_only_the_sectors_that_differ_are_written_but_the_vector_table_always(desk: Desk) -> None:
    """Both releases of the gadget differ in both of its sectors; spoil only the second one."""
    desk.plug_in("demo-gadget", runs="1.1.0")
    desk.scribble(0x4000, b"\x00\x00\x00\x00")
    said = desk.install(desk.published.link("demo-gadget"), "--again")
    assert (said.exit, said.last["erased_sectors"]) == (0, 2)
    assert desk.holds("demo-gadget-1.1.0")


def test_a_dry_run_shows_the_plan_and_touches_nothing(desk: Desk) -> None:
    desk.plug_in()
    before = desk.flash()
    said = desk.install(desk.published.link("demo-widget"), "--dry-run")
    assert (said.exit, said.last["result"]) == (0, "dry-run")
    (plan,) = [line for line in said.lines if line["type"] == "plan"]
    assert plan["erase"] == [
        {"address": "0x08000000", "size": 131072},
        {"address": "0x08100000", "size": 131072},
    ]
    assert plan["recovery"] == "boot-button"
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


def test_a_bundle_file_needs_no_network(desk: Desk) -> None:
    desk.plug_in()
    desk.published.web.folder = None
    asked = len(desk.published.web.asked)
    said = desk.install(str(desk.published.bundle_path("demo-widget-1.1.0")))
    assert (said.exit, said.last["result"]) == (0, "confirmed")
    assert len(desk.published.web.asked) == asked


def test_a_landing_page_a_short_code_and_a_version_mean_the_same(desk: Desk) -> None:
    desk.plug_in()
    made = desk.updater("link", "demo-widget", "--version", "1.1.0", "--json").last
    for what in (made["page"], made["code"], "1.1.0"):
        said = desk.install(what, "--dry-run")
        assert said.exit == 0, (what, said.out)
        assert said.last["to_version"] == "1.1.0"


def test_the_one_question_is_asked_and_no_means_no(desk: Desk) -> None:
    desk.plug_in()
    link = desk.published.link("demo-widget")
    for answer in ("n\n", "\n", ""):
        said = desk.updater("install", link, stdin=answer)
        assert said.exit == 12
        assert desk.board()["state"] == "application"
    assert desk.updater("install", link, stdin="y\n").exit == 0
    assert desk.holds("demo-widget-1.1.0")


def test_the_receipt_is_kept_and_names_every_step(desk: Desk) -> None:
    desk.plug_in()
    said = desk.install(desk.published.link("demo-widget"))
    names = [entry["step"] for entry in said.last["steps"]]
    assert names == ["download", "check", "enter", "read", "erase", "write", "verify", "leave", "confirm"]
    (kept,) = desk.state.rglob("receipts/*.json")
    assert '"result": "confirmed"' in kept.read_text("utf-8")
