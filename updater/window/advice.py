"""What to try when nothing is connected. Pure; richer advice, from the whole computer, comes in here."""

from __future__ import annotations

from collections.abc import Sequence

from updater.store import Journal
from updater.vendor import Vendor
from updater.window import texts as t
from updater.window.texts import Text, say


def advice(vendor: Vendor, journals: Sequence[Journal]) -> tuple[Text, ...]:
    """In the order in which to try it. After an update that was cut off the way back comes first."""
    back = []
    for journal in journals:
        product = vendor.product(journal.product)
        if product is not None and product.recovery.steps:
            steps = product.recovery.steps
            back.append(say(t.ADVICE_UNFINISHED, product=product.title, steps=steps))
    return (*back[:1], say(t.ADVICE_CABLE), say(t.ADVICE_SOCKET), say(t.ADVICE_POWER))
