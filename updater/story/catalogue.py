"""What products there are: those that came with the updater, and newer ones that people have signed.

The one place from which doors and stories get them (`Hands.home`). A catalogue in the state folder is a hint
and never a permission: it passes the gate each time. One that does not count, wherever it came from, is a
word to the person; what came with the updater goes on being true (docs/decisions/0023).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from updater.hands.channel import UpdateSite
from updater.hands.host import Home
from updater.hands.store import Store
from updater.heads.catalogue import require_newer, with_catalogue
from updater.heads.gate import Catalogue, catalogue_version_in, verify_catalogue
from updater.heads.silicon import the_table
from updater.story.job import Hands
from updater.words.errors import Refused, StorageFailed, UpdaterError
from updater.words.events import Emit, Noticed

_GOES_ON = "The updater works with those that it has. If it says this again, please tell the vendor."


def with_kept(home: Home, store: Store, site: UpdateSite) -> Home:
    """The home with the products of the catalogue that was kept, where it is newer and still counts."""
    envelope = store.catalogue()
    if envelope is None:
        return home
    try:
        kept = _verified(envelope, home, site)
        return _taken(home, kept) if kept.version > home.vendor.catalogue_version else home
    except UpdaterError as error:
        return replace(home, doubt=_not_used("The newer product descriptions that were kept", error))


def newest(hands: Hands, emit: Emit) -> Hands:
    """The hands with the products of the site's catalogue; these very hands where it has no newer one.

    A catalogue that cannot be used is told and stops nobody. Raises `NetworkFailed`, `TlsFailed`,
    `NotTrusted` or `StorageFailed` where the site cannot be asked at all.
    """
    hands.site.look()
    home = with_kept(_as_it_came(hands.home), hands.store, hands.site)  # the site may have had a newer root
    try:
        home = _with_the_sites(home, hands)
    except UpdaterError as error:
        emit(Noticed(_not_used("The product descriptions of the update site", error)))
    return hands if home == hands.home else replace(hands, home=home)


def newest_if_any(hands: Hands, emit: Emit) -> Hands:
    """As `newest`, for those who can go on without the site. Raises nothing."""
    try:
        return newest(hands, emit)
    except UpdaterError:
        return hands


def _with_the_sites(home: Home, hands: Hands) -> Home:
    envelope = hands.site.catalogue()
    if envelope is None:
        return home
    found = _verified(envelope, home, hands.site)
    require_newer(found, max(home.vendor.catalogue_version, _seen(home, hands)))
    if found.version == home.vendor.catalogue_version:
        return home
    home = _taken(home, found)
    with suppress(StorageFailed):  # a memory, no more
        hands.store.keep_catalogue(envelope)
    return home


def _seen(home: Home, hands: Hands) -> int:
    """The version of what was kept, perhaps by a newer updater with words that are not known here."""
    roots, kept = hands.site.known_roots(), hands.store.catalogue()
    return catalogue_version_in(kept or b"", embedded_root=home.embedded_root, known_roots=roots)


def _as_it_came(home: Home) -> Home:
    return replace(home, vendor=home.own or home.vendor, own=None, doubt=None)


def _verified(envelope: bytes, home: Home, site: UpdateSite) -> Catalogue:
    return verify_catalogue(
        envelope,
        embedded_root=home.embedded_root,
        known_roots=site.known_roots(),
        chips=the_table().chip_ids,
    )


def _taken(home: Home, catalogue: Catalogue) -> Home:
    """Always onto what came with the program: what an earlier catalogue had is not mixed in."""
    own = _as_it_came(home).vendor
    return replace(home, vendor=with_catalogue(own, catalogue), own=own, doubt=None)


def _not_used(what: str, error: UpdaterError) -> str:
    """A word to the person; the advice of other errors is about updates, and this stops none."""
    advice = error.advice if isinstance(error, Refused) else _GOES_ON
    return f"{what} are not used: {error.message}. {advice}"
