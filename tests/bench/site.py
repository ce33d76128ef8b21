"""What a check costs a customer, and one more release the vendor, by how many releases are published."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import cast

from semver import Version
from tuf.api.metadata import TargetFile, Targets

from bundles.announce import path_of
from bundles.demo.make import DemoVendor, make_demo
from bundles.expiry import CHANNEL_LIFE
from bundles.root import CHANNELS
from bundles.site import BIN_BITS, Site
from tests.attacks.kit import catalogue_of
from tests.bundles.conftest import FolderFetcher
from updater.hands.channel import UpdateSite
from updater.hands.fetch import SiteFetcher
from updater.words.facts import Channel

FIRST_BYTES, FIRST_REQUESTS = 200_000, 8
SAME_REQUESTS = 3
_VERSIONS_A_PRODUCT = 10


def site_table(*, counts: Sequence[int]) -> None:
    """Print one line for each number of published releases."""
    print("releases  first check          again  after one more release       publish one more")
    for count in counts:
        # a process each, so that the largest memory is that of this one
        job = get_context("spawn").Process(target=_line, args=(count,))
        job.start()
        job.join()


def _line(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-site-") as folder:
        now = datetime.now(UTC)
        demo = make_demo(Path(folder) / "demo", now=now)
        site = Site(folder=Path(folder) / "site", now=now, online=demo.signer("online"))
        targets = (demo.site / "metadata/1.targets.json").read_bytes()
        site.create([demo.root], targets, bin_bits=BIN_BITS)
        _fill(site, count - 1)
        site.set_current(Channel.STABLE, demo.bundle("demo-widget-1.0.0"))
        site.set_catalogue(catalogue_of(demo))
        site.publish(unrehearsed=True)
        state = Path(folder) / "state"
        first, again = _check(site, demo, state), _check(site, demo, state)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        site.set_current(Channel.STABLE, demo.bundle("demo-widget-1.1.0"))
        site.publish(unrehearsed=True)
        took_s = time.perf_counter() - began
        after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        changed = _check(site, demo, state)
    print(
        f"{count:8,}  {first[0]:7,} B {first[1]} requests  {again[1]}"
        f"      {changed[0]:7,} B {changed[1]} requests"
        f"          {took_s:.2f} s, {after_kib / 1024:.0f} MiB in all (before it {before_kib / 1024:.0f})",
        flush=True,
    )
    assert first[0] <= FIRST_BYTES, "more than a first check may cost"
    assert first[1] <= FIRST_REQUESTS
    assert again[1] <= SAME_REQUESTS


def _check(site: Site, demo: DemoVendor, state: Path) -> tuple[int, int]:
    """Bytes and requests of one look for newer products and for the widget's newest release."""
    fetcher = FolderFetcher(site.folder, demo.vendor.repository)
    client = UpdateSite(demo.vendor, demo.root, state, fetcher=cast(SiteFetcher, fetcher))
    client.catalogue()
    client.offer("demo-widget", Channel.STABLE, None)
    return fetcher.sent_bytes, len(fetcher.asked)


def _fill(site: Site, count: int) -> None:
    """List so many releases, of ten versions a product; their files are not needed for a check."""
    bins: dict[str, Targets] = {}
    succinct = site._bins(CHANNELS[0])
    for number in range(count):
        product, minor = f"product-{number // _VERSIONS_A_PRODUCT}", number % _VERSIONS_A_PRODUCT
        digest = {"sha256": sha256(str(number).encode()).hexdigest()}
        for name in (f"1.{minor}.0", "current") if minor == _VERSIONS_A_PRODUCT - 1 else (f"1.{minor}.0",):
            target = TargetFile(300_000, digest, path_of(Channel.STABLE, product, name))
            said = {"version": str(Version(1, minor, 0)), "security_counter": 1}
            target.unrecognized_fields["custom"] = said
            role = succinct.get_role_for_target(target.path)
            if role not in bins:
                bins[role] = site._targets(role)
            bins[role].targets[target.path] = target
    for role, bin_ in bins.items():
        bin_.version += 1
        site._put(role, bin_, CHANNEL_LIFE)
