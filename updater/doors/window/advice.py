"""What to try when nothing is connected. Pure; the doctor's finding comes in by its name."""

from __future__ import annotations

from collections.abc import Sequence

from updater.doors.window import texts as t
from updater.doors.window.texts import Text, say
from updater.hands.store import Journal
from updater.heads.vendor import Vendor


def advice(
    vendor: Vendor, journals: Sequence[Journal], trouble: str | None, *, is_old: bool = False
) -> tuple[Text, ...]:
    """In the order in which to try it: what the doctor found, the way back after a cut, what often helps.

    `is_old`: the site describes products in words that this program does not know.
    """
    found = [say(t.TROUBLES[trouble])] if trouble is not None and trouble in t.TROUBLES else []
    back = []
    for journal in journals:
        product = vendor.product(journal.product)
        if product is not None and product.recovery.steps:
            steps = product.recovery.steps
            back.append(say(t.ADVICE_UNFINISHED, product=product.title, steps=steps))
    newer = [say(t.ADVICE_NEW_PRODUCT, vendor=vendor.name)] if is_old else []
    return (*found, *back[:1], *newer, say(t.ADVICE_CABLE), say(t.ADVICE_SOCKET), say(t.ADVICE_POWER))
