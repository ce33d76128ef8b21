"""The silicon table: what is known of each chip, its revisions and its ROM, with sources.

The rows are data (`*.toml` beside this file, one per group of families; `quirks.toml`; `lookalikes.toml`;
`options.toml`, what option bytes mean).
`chip`, `quirk` and `lookalike` say what a row may state, `table` loads them strictly and finds the right
one, `behaviour` folds a row and its quirks into what the plan does. The lab reads the symptoms, the host
reads the remedies.
"""

from updater.heads.silicon.behaviour import Behaviour, StuckErase
from updater.heads.silicon.cells import BankMode, Fact
from updater.heads.silicon.chip import Chip, OtpArea
from updater.heads.silicon.lookalike import Lookalike
from updater.heads.silicon.options import Option, OptionGroup, decode_options
from updater.heads.silicon.quirk import Quirk, Remedy, Symptom
from updater.heads.silicon.table import Silicon, parse_silicon, the_table

__all__ = [
    "BankMode",
    "Behaviour",
    "Chip",
    "Fact",
    "Lookalike",
    "Option",
    "OptionGroup",
    "OtpArea",
    "Quirk",
    "Remedy",
    "Silicon",
    "StuckErase",
    "Symptom",
    "decode_options",
    "parse_silicon",
    "the_table",
]
