"""OTP by the layout that a release carries: signed, so every customer's updater may follow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.desk import Desk, Said, program
from tests.story.otp_desk import DATA_BYTES, F746, RUNS, new, otp
from tests.story.test_otp_lock import LAYOUT

NEWER = program("1.1.0")
COUNTED = """
schema = 1
product = "gizmo"
[[field]]
name = "n"
type = "u32"
offset = 0
counter = 1000
"""


def by_release(desk: Desk, command: str, *more: str, otp: str | None = LAYOUT, stdin: str = "") -> Said:
    """A customer's updater, a gizmo, and a release that carries this layout."""
    desk.sells(F746)
    if not (desk.lab / "board1").exists():
        desk.plug_in_gizmo(F746, RUNS)
    bundle = desk.bundle(NEWER, otp=otp)
    return desk.updater("otp", command, "--layout", bundle, *more, "--json", stdin=stdin)


def test_values_are_burnt_shown_and_locked_by_the_layout_in_a_release(desk: Desk) -> None:
    planned = by_release(desk, "plan", "--set", "serial=17")
    assert (planned.exit, otp(desk)) == (0, new())
    said = by_release(desk, "write", "--set", "serial=0x34333231", "--yes")
    assert (said.exit, said.last["result"], said.last["layout"]) == (0, "written", "gizmo 1.1.0")
    shown = by_release(desk, "show").last["fields"]
    assert [(one["name"], one["value"]) for one in shown][:2] == [("format", "1"), ("serial", "875770417")]
    said = by_release(desk, "lock", "--block", "0", stdin="lock block 0\n")
    assert (said.exit, said.last["result"]) == (0, "written")
    assert otp(desk)[DATA_BYTES:] == b"\x00" + b"\xff" * 15


def test_a_release_without_a_layout_says_so(desk: Desk) -> None:
    said = by_release(desk, "show", otp=None)
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "gizmo 1.1.0 has no OTP layout" in said.last["message"]


def test_a_layout_that_was_changed_in_the_file_never_reaches_the_parser(desk: Desk) -> None:
    desk.sells(F746)
    desk.plug_in_gizmo(F746, RUNS)
    bundle = Path(desk.bundle(NEWER, otp=LAYOUT))
    bundle.write_bytes(bundle.read_bytes().replace(b'name = "serial"', b'name = "serjal"'))
    for command in (("show",), ("write", "--set", "serial=1", "--yes")):
        said = desk.updater("otp", *command, "--layout", str(bundle), "--json")
        assert (said.exit, said.last["error"], said.last["device_is"]) == (5, "NotTrusted", "untouched")
    assert otp(desk) == new()


@pytest.mark.parametrize(
    ("layout", "exit", "why"),
    [
        (LAYOUT.replace('"gizmo"', '"gadget"'), 6, "carries an OTP layout for gadget"),
        (LAYOUT.replace('"u32"', '"u31"'), 6, "is not one that this updater can read"),
        (LAYOUT.replace("lock = [0, 2]", "lock = [16]"), 6, "block 16 to lock"),
        (COUNTED, 2, "nothing says where the numbers are kept"),
    ],
)
def test_a_signed_layout_that_cannot_be_followed_is_refused(
    desk: Desk, layout: str, exit: int, why: str
) -> None:
    said = by_release(desk, "write", "--yes", otp=layout)
    assert (said.exit, said.last["device_is"]) == (exit, "untouched")
    assert why in said.last["message"]
    assert otp(desk) == new()


def test_numbers_of_a_release_are_counted_in_the_ledger_that_is_named(desk: Desk) -> None:
    """The next release is another file, and its numbers go on where the last one's ended."""
    ledger = desk.state.parent / "numbers.ledger"
    assert by_release(desk, "write", "--ledger", str(ledger), "--yes", otp=COUNTED).exit == 0
    assert otp(desk) == new((0, "e8030000"))
    desk.updater("lab", "remove", "board1")
    desk.plug_in_gizmo(F746, RUNS, name="board2")
    bundle = desk.bundle(program("1.2.0"), otp=COUNTED)
    said = desk.updater("otp", "write", "--layout", bundle, "--ledger", str(ledger), "--yes", "--json")
    assert said.exit == 0
    assert (desk.lab / "board2" / "otp.bin").read_bytes() == new((0, "e9030000"))


def test_without_a_name_the_release_of_the_channel_is_asked(desk: Desk) -> None:
    desk.plug_in("demo-gadget", runs="1.0.0")
    said = desk.updater("otp", "show", "--layout", "--json")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert said.last["message"] == "demo-gadget 1.1.0 has no OTP layout"


def test_a_release_below_the_security_counter_of_the_device_burns_nothing(desk: Desk) -> None:
    """The kit's releases have counter 3; this vendor's floor is above it."""
    desk.sells(F746, security_floor=9)
    desk.plug_in_gizmo(F746, RUNS)
    bundle = desk.bundle(NEWER, otp=LAYOUT)
    said = desk.updater("otp", "write", "--layout", bundle, "--set", "serial=1", "--yes", "--json")
    assert (said.exit, said.last["error"]) == (6, "Refused")
    assert "from before a security fix" in said.last["message"]
    assert otp(desk) == new()
