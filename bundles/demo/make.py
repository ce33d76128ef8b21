"""A whole vendor in one folder, as `bundles demo DIR` makes it: keys, bundles, and the published site.

For trying, tests and the demo that ships with the updater. The passphrase lies beside the keys and
nothing ever expires: never use such a vendor for a product.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Signer

from updater.heads.vendor import Kind, Vendor, parse_vendor
from updater.words.errors import StorageFailed, Usage
from updater.words.facts import Channel

from ..keys import load_public, load_signer, new_key, public_file, write_private
from ..pages import write_pages
from ..recipe import parse_recipe
from ..release import build
from ..release import sign as sign_bundle
from ..root import DEMO_EXPIRES, check_root, dump, new_root, new_targets
from ..root import sign as sign_draft
from ..site import Site

DEFAULT_URL = "http://127.0.0.1:8000/"
RELEASES = ("demo-widget-1.0.0", "demo-widget-1.1.0", "demo-gadget-1.0.0", "demo-gadget-1.1.0")
"""In the order of publishing: the last of each product is the channel's current one."""

_HERE = Path(__file__).parent
_KEYS = ("root-1", "root-2", "root-3", "release-1", "release-2", "release-3", "online")
_BIN_BITS = 1  # the demo site is committed: two files a channel instead of 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoVendor:
    """Where the parts of a made vendor lie."""

    folder: Path
    vendor: Vendor
    root: bytes

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def bundle(self, release: str) -> bytes:
        """The signed bundle PRODUCT-VERSION."""
        return (self.folder / "bundles" / f"{release}.fwb").read_bytes()

    def signer(self, name: str) -> Signer:
        """One of the made keys, by name."""
        secret = (self.keys / "passphrase.txt").read_bytes().strip()
        return load_signer(self.keys / f"{name}.pem", secret)


def make_demo(folder: Path, *, kind: Kind = Kind.DEMO, url: str = DEFAULT_URL, now: datetime) -> DemoVendor:
    """Make the vendor in an empty or new folder. Raises Usage when something is there already."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Usage(f"{folder} is not empty", advice="Name a new folder.")
        for name in ("keys", "vendor", "bundles"):
            (folder / name).mkdir(parents=True)
        return _make(folder, kind, url, now)
    except OSError as error:
        raise StorageFailed(f"{folder} cannot be written: {error.strerror or error}") from error


def _make(folder: Path, kind: Kind, url: str, now: datetime) -> DemoVendor:
    text = (_HERE / "vendor.toml").read_text(encoding="utf-8")
    text = text.replace('kind = "demo"', f'kind = "{kind}"', 1).replace(DEFAULT_URL, url, 1)
    vendor = parse_vendor(text, allow_loopback_http=True)
    (folder / "vendor" / "vendor.toml").write_text(text, encoding="utf-8", newline="\n")
    signers = _make_keys(folder / "keys")
    root, targets = _ceremony(folder / "keys", signers, now)
    (folder / "vendor" / "root.json").write_bytes(root)
    site = Site(folder=folder / "site", online=signers["online"], now=now, until=DEMO_EXPIRES)
    site.create([root], targets, bin_bits=_BIN_BITS)
    for release in RELEASES:
        recipe_file = _HERE / "recipes" / f"{release}.toml"
        bundle = build(parse_recipe(recipe_file.read_bytes()), recipe_file.parent, [root])
        for name in ("release-1", "release-2"):
            bundle = sign_bundle(bundle, signers[name])
        (folder / "bundles" / f"{release}.fwb").write_bytes(bundle)
        site.set_current(Channel.STABLE, bundle)
    site.publish(unrehearsed=True)
    write_pages(site, vendor)
    return DemoVendor(folder=folder, vendor=vendor, root=root)


def _make_keys(folder: Path) -> dict[str, Signer]:
    secret = secrets.token_urlsafe(24).encode()
    (folder / "passphrase.txt").write_bytes(secret + b"\n")
    signers: dict[str, Signer] = {}
    for name in _KEYS:
        pem, public = new_key(name, secret)
        write_private(folder / f"{name}.pem", pem)
        public_file(folder / f"{name}.pem").write_bytes(public)
        signers[name] = load_signer(folder / f"{name}.pem", secret)
    return signers


def _ceremony(folder: Path, signers: Mapping[str, Signer], now: datetime) -> tuple[bytes, bytes]:
    """The signed root and targets."""
    public = {name: load_public(folder / f"{name}.pub.pem") for name in _KEYS}
    root = new_root(
        root_keys=[public[name] for name in _KEYS[:3]],
        root_threshold=2,
        release_keys=[public[name] for name in _KEYS[3:6]],
        release_threshold=2,
        online_key=public["online"],
        expires=DEMO_EXPIRES,
    )
    targets = new_targets(root.signed, public["online"], DEMO_EXPIRES)
    for number in ("1", "2"):
        sign_draft(root, root.signed, "root", signers[f"root-{number}"])
        sign_draft(targets, root.signed, "targets", signers[f"release-{number}"])
    check_root(root, now, until=DEMO_EXPIRES)
    return dump(root), dump(targets)
