"""The self-test: it looks at every part, and says which one is broken."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from updater.doors.cli import run
from updater.doors.selftest import late_imports
from updater.words.errors import UsbFailed

PARTS = ["imports", "usb", "signatures", "vendor", "silicon", "certificates", "window", "words"]


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_part_of_this_program_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--self-test", "--json"])
    *checks, last = lines_of(capsys)
    assert [one["name"] for one in checks] == PARTS
    failed = [] if find_spec("_tkinter") else ["window"]  # Debian has it in a package of its own
    assert last == {"type": "self-test", "exit": 70 if failed else 0, "failed": failed}, checks
    assert status == last["exit"]


def test_a_broken_part_is_named_and_the_others_are_still_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_library() -> None:
        raise UsbFailed("the libusb library cannot be loaded")

    monkeypatch.setattr("updater.hands.usbio._libusb", no_library)
    monkeypatch.setattr("updater.doors.selftest.THEY_IMPORT_LATE", ("a_module_that_was_left_out",))
    for variable, place in (("SSL_CERT_FILE", tmp_path / "none.pem"), ("SSL_CERT_DIR", tmp_path)):
        monkeypatch.setenv(variable, str(place))
    monkeypatch.setattr("truststore._openssl._CA_FILE_CANDIDATES", [])
    assert run(["--self-test"]) == 70
    said = capsys.readouterr().out
    assert "FAILED  usb           the libusb library cannot be loaded\n" in said
    assert "FAILED  imports       a_module_that_was_left_out cannot be imported" in said
    assert "FAILED  certificates  this computer's store of certificates is empty" in said
    assert "ok      signatures" in said
    assert "Not all is well with: imports, usb, certificates" in said


@pytest.mark.parametrize("more", [["devices"], ["--link", "x"], ["--lab", "."]])
def test_it_goes_with_nothing_else(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--self-test", *more]) == 2
    assert "takes no command" in capsys.readouterr().err


def test_what_functions_import_is_found_and_what_type_checkers_read_is_not() -> None:
    found = set(late_imports("updater.doors.equipment"))
    assert {"updater.hands.usbio", "updater.hands.channel", "platformdirs"} <= found | set(
        late_imports("updater.hands.host")
    )
    assert "updater.story.checkup" in found
    assert "updater.words.facts" not in found


def test_a_language_that_was_left_out_is_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("updater.doors.selftest.LANGUAGES", ("de", "sv"))
    assert run(["--self-test"]) == 70
    assert "FAILED  words         the window does not speak sv\n" in capsys.readouterr().out
