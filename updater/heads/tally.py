"""What a bench of boards leaves on paper: one row for each board, and a label's text.

Pure: outcomes in, dictionaries and text out. The same row is a JSON line and a line of CSV.
"""

from __future__ import annotations

from datetime import datetime
from string import Template

from updater.heads.report import Line, Receipt, error_line, receipt_line
from updater.words.errors import UpdaterError, Usage
from updater.words.facts import DeviceFacts

COLUMNS = (
    "time", "port", "result", "exit", "product", "hardware", "serial", "uid", "from_version", "to_version",
    "identity", "manifest_sha256", "wrote_bytes", "ms", "label", "message",
)  # fmt: skip
"""The columns of the CSV file, in this order for ever; new ones are added at the end."""

LABEL = "$title\nhardware $hardware, version $version\nserial $serial"
"""The label's text unless another one is given."""
LABEL_WORDS = ("title", "product", "hardware", "version", "serial", "uid", "port", "date")
_BEGINS_FORMULA = ("=", "+", "-", "@")


def check_label(template: str) -> None:
    """Raises `Usage` when a label's template names what no board has."""
    try:
        Template(template).substitute(dict.fromkeys(LABEL_WORDS, ""))
    except (KeyError, ValueError) as error:
        raise Usage(
            f"the label cannot be made: {error}",
            advice=f"A label may use: {', '.join('$' + word for word in LABEL_WORDS)}.",
        ) from error


def label_text(template: str, facts: DeviceFacts, at: datetime) -> str:
    """The label of a board that is done; what is not known of it stays empty."""
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
    return Template(template).substitute(words)


def board_row(
    port: str,
    facts: DeviceFacts,
    *,
    at: datetime,
    receipt: Receipt | None = None,
    error: UpdaterError | None = None,
    label: str | None = None,
) -> Line:
    """One board in a row of cells; unknown is None."""
    facts = receipt.device if receipt else facts
    return {
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "port": port,
        "result": receipt.result if receipt else "failed",
        "exit": receipt.exit_status if receipt else error.exit_status if error else None,
        "product": receipt.product if receipt else facts.product,
        "hardware": facts.hardware,
        "serial": facts.serial,
        "uid": facts.uid.hex() if facts.uid else None,
        "from_version": _text(receipt.from_version if receipt else facts.version),
        "to_version": _text(receipt.to_version if receipt else None),
        "identity": receipt.identity if receipt else facts.identity,
        "manifest_sha256": receipt.manifest_sha256 if receipt else None,
        "wrote_bytes": receipt.wrote_bytes if receipt else None,
        "ms": sum(ms for _, ms in receipt.steps) if receipt else None,
        "label": label,
        "message": error.message if error else None,
    }


def board_line(row: Line, *, receipt: Receipt | None, error: UpdaterError | None) -> Line:
    """The row as a JSON line, with all that the receipt or the error says."""
    whole = receipt_line(receipt) if receipt else error_line(error) if error else None
    return {"type": "board", **row, "receipt" if receipt else "error": whole}


def csv_cells(row: Line) -> list[str]:
    """The row for a spreadsheet: in order, and with nothing in it that a spreadsheet would calculate."""
    texts = ["" if row[name] is None else str(row[name]) for name in COLUMNS]
    return [f"'{text}" if text.startswith(_BEGINS_FORMULA) else text for text in texts]


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
