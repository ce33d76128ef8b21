"""The command line as a contract: exit statuses, JSON, standard streams."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest
import usb.core

from tests.desk import Desk
from updater import __version__
from updater.doors.cli import run
from updater.doors.console import install, request_for
from updater.doors.terminal import JsonFace
from updater.lab.backend import LabBackend
from updater.words.errors import Cancelled, Refused


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["install", "--no-such-option"],
        ["verify"],
        ["--link"],
        ["--link", "demo-update://v1/demo-widget/stable/latest", "--yes"],
        ["--link", "--help"],
        ["--link", "/etc/passwd"],
        ["link", "no-such-product"],
        ["link", "demo-widget", "--version", "1"],
        ["verify", "/no/such/file.fwb"],
        ["lab", "list"],
    ],
)
def test_what_cannot_be_understood_is_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPDATER_LAB", raising=False)
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert "What to do: " in said.err


@pytest.mark.parametrize(("stdin", "end"), [("", "[y/N] \n"), ("n", "[y/N] \n"), ("n\n", "[y/N] ")])
def test_where_the_input_ends_what_comes_next_has_its_own_line(
    stdin: str, end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(Cancelled, match="not answered with yes"):
        JsonFace().confirm("Update now?")
    assert capsys.readouterr().err == f"Update now? {end}"


def test_the_version_is_printed_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from updater.doors.cli import run\n"
        "try: run(['--version'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'usb', 'tuf', 'requests', 'cryptography', 'msgspec', 'tqdm', 'semver'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ran.stderr == ""
    assert ran.stdout == f"updater {__version__}\n"


def test_with_json_even_a_usage_error_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "--json", "--nonsense"]) == 2
    assert capsys.readouterr().out.startswith('{"type": "error", "exit": 2, "error": "Usage"')


def test_results_go_to_stdout_and_everything_else_to_stderr(desk: Desk) -> None:
    desk.plug_in()
    said = desk.updater("install", desk.published.link("demo-widget"), "--yes")
    assert said.exit == 0
    assert said.out.startswith("Done. Demo Widget runs version 1.1.0.\n")
    assert "The plan:" in said.err
    assert "Done" not in said.err


def test_json_lines_keep_the_contract_of_install(desk: Desk) -> None:
    desk.plug_in()
    lines = desk.install(desk.published.link("demo-widget")).lines
    kinds = [line["type"] for line in lines]
    assert kinds[-1] == "receipt"
    assert kinds.count("plan") == 1
    plan = next(line for line in lines if line["type"] == "plan")
    assert set(plan) == {
        "type", "product", "from_version", "to_version", "image", "image_because", "erase",
        "erase_whole_flash_because", "write_bytes", "keep", "lost_bytes", "recovery", "estimate_ms",
        "replug_because",
    }  # fmt: skip
    assert set(lines[-1]) == {
        "type", "exit", "result", "device", "product", "from_version", "to_version", "manifest_sha256",
        "signed_by", "root_version", "identity", "verified", "wrote_bytes", "erased_sectors",
        "control_transfers", "steps", "clock",
    }  # fmt: skip
    for line in lines:
        if line["type"] == "progress":
            assert set(line) == {"type", "step", "done", "total", "remaining_ms", "quiet_ms"}
            assert line["total"] is None or 0 <= line["done"] <= line["total"]


def test_progress_of_every_step_with_a_total_reaches_it_and_never_goes_back(desk: Desk) -> None:
    desk.plug_in()
    last: dict[str, tuple[int, int | None]] = {}
    for line in desk.install(desk.published.link("demo-widget")).lines:
        if line["type"] == "progress":
            before = last.get(line["step"], (0, None))[0]
            assert line["done"] >= before
            last[line["step"]] = (line["done"], line["total"])
    assert all(total is None or done == total for done, total in last.values()), last
    assert set(last) == {
        "download", "check", "enter", "read", "erase", "write", "verify", "leave", "confirm",
    }  # fmt: skip


def test_verify_says_who_signed_and_for_what(desk: Desk) -> None:
    path = str(desk.published.bundle_path("demo-widget-1.1.0"))
    (line,) = desk.updater("verify", path, "--json").lines
    assert set(line) == {
        "type", "exit", "product", "version", "security_counter", "channels", "hardware", "images",
        "otp", "signed_by", "threshold", "root_version", "manifest_sha256",
    }  # fmt: skip
    assert (line["exit"], line["product"], line["version"]) == (0, "demo-widget", "1.1.0")
    assert line["signed_by"] == ["release-1", "release-2"]
    assert line["threshold"] == 2
    assert {image["address"] for image in line["images"]} >= {"0x08000000", "0x08100000"}
    assert all(image["for"]["dev_ids"] == ["0x450"] for image in line["images"])


def test_verify_of_an_altered_bundle_is_exit_5(desk: Desk) -> None:
    data = desk.published.vendor.bundle("demo-widget-1.1.0")
    path = desk.state.parent / "altered.fwb"
    path.write_bytes(data[:-1])
    said = desk.updater("verify", str(path), "--json")
    assert (said.exit, said.last["error"]) == (5, "NotTrusted")


def test_check_names_what_is_offered_or_that_nothing_is(desk: Desk) -> None:
    desk.plug_in()
    (line,) = desk.updater("check", "--json").lines
    assert line["type"] == "offer"
    assert (line["installed"], line["offered"]) == ("1.0.0", "1.1.0")
    assert line["size"] == len(desk.published.vendor.bundle("demo-widget-1.1.0"))
    assert desk.install(desk.published.link("demo-widget")).exit == 0
    assert desk.updater("check", "--json").last["offered"] is None


def test_a_link_from_the_handler_asks_and_end_of_file_is_a_no(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registered handler passes `--link LINK` and nothing else; lab and state come by environment."""
    desk.plug_in()
    monkeypatch.setenv("UPDATER_LAB", str(desk.lab))
    monkeypatch.setenv("UPDATER_STATE", str(desk.state))
    ran = subprocess.run(
        [sys.executable, "-m", "updater", "--link", desk.published.link("demo-widget")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 12
    assert "Update Demo Widget now?" in ran.stderr
    assert desk.holds("demo-widget-1.0.0")


def test_a_demo_updater_never_writes_to_a_real_device(desk: Desk) -> None:
    """The same backend, but not called virtual: as if it were the kernel's USB."""
    desk.plug_in()
    with desk.hands(virtual=False) as hands:
        request = request_for(desk.published.link("demo-widget"), hands.home.vendor)
        with pytest.raises(Refused, match="demo updater"):
            install(hands, JsonFace(), request, yes=True)
    assert desk.holds("demo-widget-1.0.0")
    assert desk.board()["state"] == "application"


def test_no_secret_and_no_traceback_is_shown_for_a_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("updater.hands.host.load_home", lambda: 1 / 0)
    assert run(["link", "demo-widget", "--json"]) == 70
    said = capsys.readouterr()
    assert '"error": "Bug"' in said.out
    assert "ZeroDivisionError" in said.err


def test_check_says_why_a_device_cannot_be_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plug_in()

    def closed(_self: LabBackend, _device: object) -> None:
        raise usb.core.USBError("Access denied", -3, errno.EACCES)

    monkeypatch.setattr(LabBackend, "open_device", closed)
    said = desk.updater("check", "--json")
    assert (said.exit, said.last["error"]) == (8, "CannotOpen")


def test_a_screen_that_does_not_know_a_letter_is_no_bug(desk: Desk) -> None:
    desk.plug_in()
    desk.change_vendor(lambda text: text.replace("Demo Widget", "Żółw"))
    ran = subprocess.run(
        [sys.executable, "-m", "updater", "--lab", str(desk.lab), "--state", str(desk.state), "devices"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "runs        its application" in ran.stdout
