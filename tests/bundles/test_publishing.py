"""Publishing in the open: cut off at any file, from two jobs at once, to some devices, and taken back."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from semver import Version
from tuf.api.metadata import Metadata

from bundles import expiry
from bundles.announce import WITHDRAWN_LIMIT, Staging, withdraw
from bundles.cli import main
from bundles.demo.make import DemoVendor
from bundles.pages import write_pages
from bundles.release import build, sign
from bundles.site import Site
from tests.bundles.conftest import NOW, Look
from tests.bundles.test_rehearse import RECIPES, recipe
from updater.words.errors import Refused, StorageFailed, Usage
from updater.words.facts import Channel

STABLE, BETA = Channel.STABLE, Channel.BETA


class Cut(BaseException):
    """The power went."""


@pytest.fixture
def today(site: Site) -> Site:
    """The site on this computer's day: an updater looks at the clock."""
    return dataclasses.replace(site, now=datetime.now(UTC))


def release(demo: DemoVendor, version: str, **changes: Any) -> bytes:
    """A signed widget of this version, with the bytes of 1.1.0 (a recipe without a header to check)."""
    made = msgspec.structs.replace(recipe(), version=Version.parse(version), header_address=None, **changes)
    bundle = build(made, RECIPES, [demo.root])
    for name in ("release-1", "release-2"):
        bundle = sign(bundle, demo.signer(name))
    return bundle


def said(site: Site, name: str = "current") -> dict[str, Any]:
    entry = site._entry(STABLE, "demo-widget", name)
    assert entry is not None
    return dict(entry.custom or {})


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int, work: Callable[[], object]) -> bool:
    """Do `work`, but at the file of this number the power goes; whether it came so far."""
    replace, done = os.replace, 0

    def cutting(source: Path, target: Path) -> None:
        nonlocal done
        done += 1
        if done == number:
            raise Cut
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cutting)
        try:
            work()
        except Cut:
            return True
    return False


def test_cut_off_at_any_file_updaters_see_the_old_state_or_the_new_one(
    today: Site, demo_vendor: DemoVendor, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the same commands, given again, finish it; the customer's updater looks in between every time."""
    new, number = release(demo_vendor, "1.2.0"), 0
    assert look(today) == "1.1.0"

    def work() -> None:
        today.set_current(STABLE, new)
        write_pages(today, demo_vendor.vendor)
        today.publish(unrehearsed=True)

    while cut_at(monkeypatch, number := number + 1, work):
        assert look(today) == "1.1.0"
    assert number > 12, "a bundle thrice, two bins, pages, snapshot and timestamp"
    assert look(today) == "1.2.0"


@pytest.mark.parametrize("name", ["refresh", "trust"])
def test_cut_off_while_it_is_signed_anew_updaters_go_on(
    name: str, today: Site, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = (today.folder / "metadata/1.targets.json").read_bytes()
    work = {"refresh": today.refresh, "trust": lambda: today.trust([], targets)}[name]
    number = 0
    while cut_at(monkeypatch, number := number + 1, work):
        assert look(today) == "1.1.0"
    assert look(today) == "1.1.0"
    assert number > 2


def test_what_a_slow_client_has_begun_to_read_stays(today: Site, demo_vendor: DemoVendor) -> None:
    before = {path for path in today.folder.rglob("*") if path.is_file()}
    for version in ("1.2.0", "1.3.0"):
        today.set_current(STABLE, release(demo_vendor, version))
        today.publish(unrehearsed=True)
    today.withdraw(STABLE, "demo-widget", Version(1, 3, 0))
    today.publish()
    assert before <= {path for path in today.folder.rglob("*") if path.is_file()}


def _set(folder: Path, online: Any, bundle: bytes) -> None:
    site = Site(folder=folder, online=online, now=datetime.now(UTC))
    site.set_current(STABLE, bundle)
    site.publish(unrehearsed=True)


def test_two_jobs_at_once_lose_nothing(today: Site, demo_vendor: DemoVendor, look: Look) -> None:
    online = demo_vendor.signer("online")
    versions = [f"1.2.{number}" for number in range(3)]
    fork = multiprocessing.get_context("fork")
    jobs = [
        fork.Process(target=_set, args=(today.folder, online, release(demo_vendor, version)))
        for version in versions
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert look(today) in versions
    for version in versions:
        assert said(today, version)["version"] == version


def test_a_job_that_waits_too_long_says_who_is_in_its_way(today: Site) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with today._alone():
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(StorageFailed, match="another `bundles` is at work"):
            dataclasses.replace(today, patience_s=0.0).refresh()
    finally:
        done.set()
        thread.join()


def test_refreshing_shows_nothing_new(today: Site, demo_vendor: DemoVendor, look: Look) -> None:
    today.set_current(STABLE, release(demo_vendor, "1.2.0"))
    waiting = today.refresh()
    assert waiting
    assert all(name.startswith("stable-") for name in waiting)
    assert look(today) == "1.1.0"
    today.publish(unrehearsed=True)
    assert look(today) == "1.2.0"
    assert today.refresh() == []


def test_refreshing_moves_the_dates_on(site: Site) -> None:
    site.refresh()
    later = dataclasses.replace(site, now=NOW + timedelta(days=13))
    later.refresh()
    timestamp = Metadata.from_file(str(site.folder / "metadata/timestamp.json")).signed
    assert timestamp.expires - NOW == timedelta(days=13 + 14)


def test_a_release_goes_to_some_devices_first_and_the_others_keep_theirs(
    today: Site, demo_vendor: DemoVendor
) -> None:
    new = release(demo_vendor, "1.2.0")
    today.set_current(STABLE, new, Staging(percent=10))
    assert said(today) == {
        "version": "1.2.0",
        "security_counter": 1,
        "rollout": {"percent": 10, "salt": "1.2.0"},
        "previous": "1.1.0",
    }
    today.set_current(STABLE, new, Staging(percent=50))
    assert said(today)["previous"] == "1.1.0"
    assert said(today)["rollout"] == {"percent": 50, "salt": "1.2.0"}
    today.set_current(STABLE, new)
    assert said(today) == {"version": "1.2.0", "security_counter": 1}


def test_a_step_on_the_way_must_be_listed_and_must_fit(today: Site, demo_vendor: DemoVendor) -> None:
    new = release(demo_vendor, "2.0.0", from_min_version=Version(1, 5, 0))
    with pytest.raises(Refused, match=r"1\.1\.0 is no step to 2\.0\.0"):
        today.set_current(STABLE, new, Staging(step=Version(1, 1, 0)))
    today.set_current(STABLE, new, Staging(step=Version(1, 5, 0)))
    with pytest.raises(Refused, match=r"to 1\.5\.0, which it does not list"):
        today.publish(unrehearsed=True)
    today.set_current(STABLE, release(demo_vendor, "1.5.0"))
    today.set_current(STABLE, new, Staging(step=Version(1, 5, 0)))
    today.publish(unrehearsed=True)
    assert said(today)["step"] == "1.5.0"
    assert said(today)["from_min_version"] == "1.5.0"


def test_a_withdrawn_release_stays_withdrawn_and_another_takes_its_place(
    today: Site, demo_vendor: DemoVendor, look: Look
) -> None:
    bad = release(demo_vendor, "1.2.0")
    today.set_current(STABLE, bad)
    today.publish(unrehearsed=True)
    assert look(today) == "1.2.0"
    today.withdraw(STABLE, "demo-widget", Version(1, 2, 0), Version(1, 1, 0))
    today.publish()
    assert look(today) == "1.1.0"
    assert said(today) == {"version": "1.1.0", "security_counter": 1, "withdrawn": ["1.2.0"]}
    assert said(today, "1.2.0")["withdrawn"] == ["1.2.0"]
    with pytest.raises(Refused, match="was withdrawn"):
        today.set_current(STABLE, bad)
    with pytest.raises(Refused, match="withdrawn already"):
        today.withdraw(STABLE, "demo-widget", Version(1, 2, 0))
    today.set_current(STABLE, release(demo_vendor, "1.2.1"))
    assert said(today)["withdrawn"] == ["1.2.0"], "the next release does not forget"


def test_what_is_withdrawn_is_not_where_others_are_led(today: Site, demo_vendor: DemoVendor) -> None:
    today.set_current(STABLE, release(demo_vendor, "1.2.0"), Staging(percent=10))
    today.withdraw(STABLE, "demo-widget", Version(1, 1, 0))
    assert "previous" not in said(today)


def test_only_what_is_listed_can_be_withdrawn(today: Site) -> None:
    with pytest.raises(Usage, match=r"stable does not list demo-widget 9\.9\.9"):
        today.withdraw(STABLE, "demo-widget", Version(9, 9, 9))


def test_the_list_of_withdrawn_versions_has_the_length_that_updaters_read() -> None:
    full = {"withdrawn": [f"1.0.{number}" for number in range(WITHDRAWN_LIMIT)]}
    with pytest.raises(Refused, match="256 versions are withdrawn already"):
        withdraw(full, "2.0.0")


def test_the_alarm_has_a_status_of_its_own(
    demo_vendor: DemoVendor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cron mails what it says; nobody's 2999 rings it, a timestamp that nobody renews does."""
    shutil.copytree(demo_vendor.site, tmp_path / "site")
    where = ["expiring", "--site", str(tmp_path / "site")]
    assert main(where) == 0
    said = capsys.readouterr().out.splitlines()
    assert "2999-12-31  root.json" in said
    told = {line.split("  ")[1].split(".")[0].split("-")[0] for line in said}
    assert told == {"root", "targets", "snapshot", "timestamp", "stable", "beta"}
    assert len(said) == len(told), "one line for each channel, however many files it has"
    Site(
        folder=tmp_path / "site",
        online=demo_vendor.signer("online"),
        now=datetime.now(UTC) - timedelta(days=12),
    ).refresh()
    assert main(where) == expiry.ALARM_STATUS == 20
    assert "run `bundles refresh`" in capsys.readouterr().err


def test_the_key_ceremony_goes_by_the_command_line(
    demo_vendor: DemoVendor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One release key is revoked: drafted, looked at, signed by two, taken over by the site."""
    assert main(["demo", str(tmp_path / "demo")]) == 0
    keys, old, new = tmp_path / "demo/keys", tmp_path / "demo/vendor/root.json", tmp_path / "2.root.json"
    secret = ["--passphrase-file", str(keys / "passphrase.txt")]
    soon = ["--expires", "12months"]
    assert main(["root", "revoke", "release-1", "--old", str(old), *soon, "-o", str(new)]) == 0
    assert "CHANGE: release-1 is no release key any more." in capsys.readouterr().out
    assert main(["root", "check", str(new)]) == 2, "without the one before it nobody sees the change"
    check = ["root", "check", str(new), "--previous", str(old)]
    assert main(check) == 5
    for name in ("root-1", "root-3"):
        one = ["--key", str(keys / f"{name}.pem"), *secret, "--previous", str(old), "--yes"]
        assert main(["root", "sign", str(new), *one]) == 0
    assert main(check) == 0
    site, online = tmp_path / "demo/site", ["--online-key", str(keys / "online.pub.pem")]
    targets = tmp_path / "targets.json"
    before = ["--previous", str(site / "metadata/1.targets.json")]
    assert main(["targets", "new", "--root", str(new), *online, *soon, *before, "-o", str(targets)]) == 0
    for name in ("release-2", "release-3"):
        one = ["--root", str(new), "--key", str(keys / f"{name}.pem"), *secret, "--yes"]
        assert main(["targets", "sign", str(targets), *one]) == 0
    trust = ["site", "trust", "--site", str(site), "--root", str(new), "--targets", str(targets)]
    assert main([*trust, "--key", str(keys / "online.pem"), *secret]) == 0
    assert "stable demo-widget 1.1.0 lacks signatures" in capsys.readouterr().err
    assert (site / "metadata/2.root.json").read_bytes() == new.read_bytes()


def test_a_second_engineer_compares_before_signing(
    demo_vendor: DemoVendor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "widget.fwb"
    bundle.write_bytes(demo_vendor.bundle("demo-widget-1.1.0"))
    assert main(["compare", str(bundle), str(RECIPES / "demo-widget-1.1.0.toml")]) == 0
    assert capsys.readouterr().out.startswith("the same: manifest sha256 ")
    assert main(["compare", str(bundle), str(RECIPES / "demo-widget-1.0.0.toml")]) == 5
    told = capsys.readouterr()
    assert "version: the bundle says 1.1.0, the rebuild 1.0.0" in told.out
    assert "the bytes differ, first at byte" in told.out
    assert "Do not sign it" in told.err
