"""What no path through the program may do, looked for in its text and tried (rows 57, 64, 69)."""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import updater
from updater.doors.cli import build_parser
from updater.hands.host import load_home
from updater.heads.dfu.words import Command
from updater.heads.vendor import parse_vendor
from updater.heads.what import is_handed
from updater.words.errors import Usage

HOUSE = Path(updater.__file__).parent
DEMO = HOUSE / "demo" / "vendor.toml"


def sources() -> Iterator[tuple[Path, str]]:
    """Everything that a product's executable is built from: neither the lab nor the demo."""
    for path in HOUSE.rglob("*.py"):
        if not {"lab", "demo"} & set(path.relative_to(HOUSE).parts):
            yield path, path.read_text("utf-8")


def numbers(text: str) -> set[int]:
    """Every whole number in a program's text."""
    return {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)
            and type(node.value) is int}  # fmt: skip


def test_the_only_commands_that_are_ever_sent_are_set_address_and_erase() -> None:
    """0x92, read unprotect, would erase everything; option bytes have no command and are never written."""
    assert {command.value for command in Command} == {0x21, 0x41}


def test_no_number_of_read_out_protection_level_2_is_in_the_program() -> None:
    """0xCC in the option byte RDP closes an STM32 for ever (RM0433 section 4.5.3)."""
    found = [path.name for path, text in sources() if {0xCC, 0x92} & numbers(text)]
    assert found == []


def test_the_search_would_find_it() -> None:
    assert numbers("x = bytes([0xCC, 0x33])") == {0xCC, 0x33}


def test_verification_of_tls_is_switched_off_nowhere() -> None:
    for path, text in sources():
        names = {token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)}
        assert not {"CERT_NONE", "_create_unverified_context", "disable_warnings"} & names, path
        assert "verify=False" not in text.replace(" ", ""), path


def test_nothing_is_given_to_a_shell_or_opened_by_the_system() -> None:
    for path, text in sources():
        assert "shell=True" not in text.replace(" ", ""), path
        assert "os.startfile" not in text, path
        assert "os.system(" not in text, path


@pytest.mark.parametrize(
    "name", ["verify", "insecure", "root", "url", "repository", "key", "force", "no-verify"]
)
def test_no_option_changes_whom_the_program_believes(name: str) -> None:
    options = [
        option for command in _commands() for action in command._actions for option in action.option_strings
    ]
    assert "--yes" in options
    assert f"--{name}" not in options


def _commands() -> Iterator[argparse.ArgumentParser]:
    for action in build_parser(with_lab=False)._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def test_a_built_product_takes_no_vendor_from_the_environment_and_no_plain_http(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same is tried with built executables: tests/exe."""
    monkeypatch.setenv("UPDATER_VENDOR", str(tmp_path))
    with pytest.raises(Usage, match="cannot be read"):
        load_home()
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert load_home().vendor.name == "Demo Instruments"
    product = DEMO.read_text("utf-8").replace('kind = "demo"', 'kind = "product"')
    with pytest.raises(Usage, match="only https is allowed"):
        parse_vendor(product)


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize(
    "path", [r"\\.\PhysicalDrive0", r"\\.\C:\x.fwb", r"\\?\GLOBALROOT\x.fwb", "//./x.fwb"]
)
def test_a_path_of_devices_is_not_opened_for_the_desktop(path: str, windows: bool) -> None:
    assert not is_handed(path, windows=windows)
