"""What a bench of boards leaves on paper: one row for each board, and a label's text.

Pure: outcomes in, dictionaries and text out. The same row is a JSON line and a line of CSV.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from string import Template

from updater.heads.otp.layout import Layout
from updater.heads.otp.report import OtpIssue, OtpReceipt, otp_receipt_line
from updater.heads.report import Line, Receipt, error_line, receipt_line
from updater.words.errors import UpdaterError, Usage
from updater.words.facts import DeviceFacts

COLUMNS = (
    "time", "port", "result", "exit", "product", "hardware", "serial", "uid", "from_version", "to_version",
    "identity", "manifest_sha256", "wrote_bytes", "ms", "label", "message", "otp", "otp_row", "otp_key",
)  # fmt: skip
"""The columns of the CSV file, in this order for ever; new ones are added at the end."""

LABEL = "$title\nhardware $hardware, version $version\nserial $serial"
"""The label's text unless another one is given."""
LABEL_WORDS = ("title", "product", "hardware", "version", "serial", "uid", "port", "date")
_VALUE = re.compile(r"(?<!\$)\{([a-z][a-z0-9_-]*)\}")
"""A value of the OTP layout, by the name of its field."""
_BEGINS_FORMULA = ("=", "+", "-", "@")


def check_label(template: str, fields: Iterable[str] = ()) -> None:
    """Raises `Usage` when a label's template names what no board has. `fields`: of the OTP layout."""
    known = [f"${word}" for word in LABEL_WORDS] + [f"{{{name}}}" for name in fields]
    advice = f"A label may use: {', '.join(known)}."
    for name in _VALUE.findall(template):
        if f"{{{name}}}" not in known:
            raise Usage(
                f"the label cannot be made: no OTP layout gives it a value {{{name}}} that is not secret",
                advice=advice,
            )
    try:
        Template(template).substitute(dict.fromkeys(LABEL_WORDS, ""))
    except (KeyError, ValueError) as error:
        raise Usage(f"the label cannot be made: {error}", advice=advice) from error


def label_fields(layout: Layout) -> list[str]:
    """The values that a label may say."""
    return [field.name for field in layout.valued if not field.secret]


def label_for(layout: Layout) -> str:
    """The label's text for boards that get values of their own, unless another one is given.

    A serial number of the layout stands there instead of USB's: two of them would be one too many.
    """
    own = [one.name for one in layout.valued if not one.secret and one.constant is None and not one.uid]
    usual = [line for line in LABEL.splitlines() if line.split()[0] not in own]
    return "\n".join([*usual, *(f"{name} {{{name}}}" for name in own)])


def label_text(
    template: str, facts: DeviceFacts, at: datetime, values: Mapping[str, str | None] | None = None
) -> str:
    """The label of a board that is done; what is not known of it stays empty. `values`: of the OTP layout."""
    words = {
        "title": facts.name,
        "product": facts.product or "",
        "hardware": facts.hardware or "",
        "version": str(facts.version or ""),
        "serial": facts.serial or "",
        "uid": facts.uid.hex() if facts.uid else "",
        "port": facts.port,
        "date": f"{at:%Y-%m-%d}",
    }
    given = values or {}
    template = _VALUE.sub(lambda found: (given.get(found[1]) or "").replace("$", "$$"), template)
    return Template(template).substitute(words)


def board_row(
    port: str,
    facts: DeviceFacts,
    *,
    at: datetime,
    receipt: Receipt | None = None,
    error: UpdaterError | None = None,
    label: str | None = None,
    otp: OtpReceipt | None = None,
    issue: OtpIssue | None = None,
) -> Line:
    """One board in a row of cells; unknown is None.

    `otp` is what was burnt after the firmware, `issue` the values that are on the books for this board.
    Where there are a receipt and an error, the firmware is done and the burning is not.
    """
    facts = otp.device if otp else receipt.device if receipt else facts
    return {
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "port": port,
        "result": _result(receipt, error, otp),
        "exit": error.exit_status if error else _exit(receipt, otp),
        "product": receipt.product if receipt else facts.product,
        "hardware": facts.hardware,
        "serial": facts.serial,
        "uid": facts.uid.hex() if facts.uid else None,
        "from_version": _text(receipt.from_version if receipt else facts.version),
        "to_version": _text(receipt.to_version if receipt else None),
        "identity": receipt.identity if receipt else facts.identity,
        "manifest_sha256": receipt.manifest_sha256 if receipt else None,
        "wrote_bytes": receipt.wrote_bytes if receipt else None,
        "ms": sum(ms for one in (receipt, otp) if one for _, ms in one.steps) if receipt else None,
        "label": label,
        "message": error.message if error else None,
        "otp": otp.result if otp else "failed" if receipt and error else None,
        "otp_row": issue.row if issue else None,
        "otp_key": issue.key if issue else None,
    }


def _result(receipt: Receipt | None, error: UpdaterError | None, otp: OtpReceipt | None) -> str:
    if error is not None or receipt is None:
        return "failed"
    if otp is not None and otp.exit_status:
        return otp.result
    return receipt.result


def _exit(receipt: Receipt | None, otp: OtpReceipt | None) -> int | None:
    return (receipt.exit_status or (otp.exit_status if otp else 0)) if receipt else None


def board_line(
    row: Line, *, receipt: Receipt | None, error: UpdaterError | None, otp: OtpReceipt | None = None
) -> Line:
    """The row as a JSON line, with all that the receipts or the error say."""
    wholes: Line = {"receipt": receipt_line(receipt)} if receipt else {}
    if otp is not None:
        wholes["otp_receipt"] = otp_receipt_line(otp)
    if error is not None or receipt is None:
        wholes["error"] = error_line(error) if error else None
    return {"type": "board", **row, **wholes}


def csv_cells(row: Line) -> list[str]:
    """The row for a spreadsheet: in order, and with nothing in it that a spreadsheet would calculate."""
    texts = ["" if row[name] is None else str(row[name]) for name in COLUMNS]
    return [f"'{text}" if text.startswith(_BEGINS_FORMULA) else text for text in texts]


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
