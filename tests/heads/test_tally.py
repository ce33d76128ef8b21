"""What a bench of boards leaves on paper."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from updater.heads.tally import COLUMNS, LABEL, board_row, check_label, csv_cells, label_text
from updater.words.errors import NotFinished, Usage
from updater.words.facts import DeviceFacts, Mode

AT = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)
BOARD = DeviceFacts(
    name="Gadget", port="1-2.3", usb="1209:0002", mode=Mode.APPLICATION, product="gadget", hardware="B",
    serial="0042", version=Version(1, 2, 0), uid=bytes(range(12)),
)  # fmt: skip


def test_the_label_says_what_the_board_is() -> None:
    assert label_text(LABEL, BOARD, AT) == "Gadget\nhardware B, version 1.2.0\nserial 0042"
    assert label_text("$date $uid $port", BOARD, AT) == "2026-03-01 000102030405060708090a0b 1-2.3"


@pytest.mark.parametrize("template", ["$batch", "$", "a $5 label", "${title"])
def test_a_label_that_asks_for_what_no_board_has_is_refused(template: str) -> None:
    with pytest.raises(Usage) as refused:
        check_label(template)
    assert "$serial" in refused.value.advice


def test_a_label_may_say_values_of_the_layout_beside_what_the_board_says() -> None:
    template = "$title {serial} ${serial} {serial}$$"
    check_label(template, ["serial"])
    values = {"serial": "$uid", "key": None}
    assert label_text(template, BOARD, AT, values) == "Gadget $uid 0042 $uid$", "a value is no template"
    for wrong in ("{key}", "{serial} {batch}"):
        with pytest.raises(Usage, match="no OTP layout gives it a value"):
            check_label(wrong, ["serial"])
    with pytest.raises(Usage, match="no OTP layout"):
        check_label("{serial}")


def test_the_columns_are_a_contract() -> None:
    assert COLUMNS == (
        "time", "port", "result", "exit", "product", "hardware", "serial", "uid", "from_version",
        "to_version", "identity", "manifest_sha256", "wrote_bytes", "ms", "label", "message", "otp",
        "otp_row", "otp_key",
    )  # fmt: skip


def test_a_board_that_failed_has_a_row_too() -> None:
    row = board_row("1-2.3", BOARD, at=AT, error=NotFinished("cut off"))
    cells = dict(zip(COLUMNS, csv_cells(row), strict=True))
    assert cells["time"] == "2026-03-01T14:05:09Z"
    assert (cells["result"], cells["exit"], cells["message"]) == ("failed", "9", "cut off")
    assert (cells["from_version"], cells["to_version"], cells["ms"]) == ("1.2.0", "", "")


@given(st.text())
def test_no_cell_begins_like_a_formula(serial: str) -> None:
    """A serial number comes from a device, and a spreadsheet calculates what begins with one of these."""
    row = board_row("1-1", BOARD, at=AT) | {"serial": serial}
    cell = csv_cells(row)[COLUMNS.index("serial")]
    assert cell.endswith(serial)
    assert not cell.startswith(("=", "+", "-", "@"))
