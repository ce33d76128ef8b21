"""Whose updater this is, for those who have no hands yet. Imports are late, as in `cli`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from updater.hands.host import Home


def known_home(state: str | None) -> Home:
    """The vendor with the products that this account knows. Only reads the state folder (`state`: another).

    Raises `Usage` where the vendor folder cannot be read.
    """
    from updater.hands.host import load_home, state_folder
    from updater.hands.store import peek_store

    home = load_home()
    store = peek_store(state_folder(state), home.embedded_root)
    if store.catalogue() is None:
        return home
    from updater.hands.channel import UpdateSite
    from updater.story.catalogue import with_kept

    return with_kept(home, store, UpdateSite(home.vendor, home.embedded_root, store.channel_folder))
