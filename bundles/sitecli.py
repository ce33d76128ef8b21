"""The commands that work on an update site, or on the host that shows it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from updater.hands.host import Home
from updater.heads.links import Link, format_code, format_link, format_page
from updater.words.errors import Usage
from updater.words.facts import Channel, parse_version

from . import expiry, pages, root, sitecheck, upload
from .announce import Staging
from .asking import Commands, add_key, now, signer_of, vendor_in
from .files import read_file, write_file
from .record import record_file
from .release import read_draft
from .site import BIN_BITS, Site


def _site_new(chosen: argparse.Namespace) -> None:
    roots = [read_file(file) for file in chosen.root]
    _site(chosen).create(roots, read_file(chosen.targets), bin_bits=BIN_BITS)
    print(f"{chosen.site} is an update site; `bundles publish` makes it visible")


def _site_trust(chosen: argparse.Namespace) -> None:
    roots = [read_file(file) for file in chosen.root]
    short = _site(chosen).trust(roots, read_file(chosen.targets))
    print("the site shows the new root and targets")
    for release in short:
        print(
            f"bundles: {release} lacks signatures under the new root: sign and set it again", file=sys.stderr
        )


def _site_programs(chosen: argparse.Namespace) -> None:
    site = Site(folder=chosen.site, now=now())
    offered = pages.offer_programs(site, [(file.name, read_file(file)) for file in chosen.file])
    for one in offered:
        print(f"{one.name}: {one.length} bytes, sha256 {one.sha256}, at {one.path}")
    print("`bundles publish --vendor DIR --all-pages` puts them onto the landing pages")


def _channel_set(chosen: argparse.Namespace) -> None:
    staging = Staging(percent=chosen.percent, step=parse_version(chosen.step) if chosen.step else None)
    record = chosen.rehearsal or record_file(chosen.bundle)
    rehearsal = read_file(record) if chosen.rehearsal or record.exists() else None
    manifest = _site(chosen).set_current(
        Channel(chosen.channel), read_file(chosen.bundle), staging, rehearsal
    )
    to = "" if staging.percent == 100 else f" for {staging.percent} of 100 devices"
    print(
        f"{chosen.channel} of {manifest.product} is {manifest.version}{to} after the next `bundles publish`"
    )
    if rehearsal is None:
        print("bundles: there is no record of a rehearsal beside this bundle", file=sys.stderr)


def _withdraw(chosen: argparse.Namespace) -> None:
    back_to = parse_version(chosen.back_to) if chosen.back_to else None
    channel, version = Channel(chosen.channel), parse_version(chosen.version)
    _site(chosen).withdraw(channel, chosen.product, version, back_to)
    print(f"{chosen.product} {version} is withdrawn from {channel} after the next `bundles publish`")


def _publish(chosen: argparse.Namespace) -> None:
    site = _site(chosen)
    changed = None if chosen.all_pages else site.changed()
    written = pages.write_pages(site, vendor_in(chosen.vendor), changed) if chosen.vendor else 0
    site.publish(unrehearsed=chosen.unrehearsed)
    pages_words = f"{written} landing pages written" if chosen.vendor else "no landing pages without --vendor"
    print(f"published; {pages_words}")
    if chosen.vendor:
        for one in set(pages.offered_on(site)) - set(pages.programs_of(site)):
            print(
                f"bundles: no page offers {one.name}: targets.json does not list this file", file=sys.stderr
            )
    for sentence in site.expiring():
        print(f"bundles: {sentence}", file=sys.stderr)


def _refresh(chosen: argparse.Namespace) -> None:
    site = _site(chosen)
    waiting = site.refresh()
    print("what is published is signed anew")
    if waiting:
        print(f"bundles: {len(waiting)} changed files wait for `bundles publish`", file=sys.stderr)
    for sentence in site.expiring():
        print(f"bundles: {sentence}", file=sys.stderr)


def _expiring(chosen: argparse.Namespace) -> int:
    site = Site(folder=chosen.site, now=now())
    print("\n".join(site.dates()))
    alarms = site.expiring(online=True)
    for sentence in alarms:
        print(f"bundles: {sentence}", file=sys.stderr)
    return expiry.ALARM_STATUS if alarms else 0


def _site_check(chosen: argparse.Namespace) -> int:
    home = None
    if chosen.vendor:
        home = Home(vendor_in(chosen.vendor), read_file(chosen.vendor / "root.json"))
    checked = sitecheck.SiteCheck(chosen.url, now()).run(home)
    print("\n".join(sitecheck.lines(checked)))
    return sitecheck.FINDINGS_STATUS if checked.findings else 0


def _upload(chosen: argparse.Namespace) -> None:
    scheme = upload.scheme_of(chosen.url)
    if scheme not in upload.TESTED:
        print(f"bundles: uploading to {scheme}:// was never tested", file=sys.stderr)
    sent = upload.upload(chosen.folder, chosen.url, told=lambda name: print(name, flush=True))
    print(f"{sent} files uploaded")


def _fetch(chosen: argparse.Namespace) -> None:
    print(f"{upload.fetch(chosen.url, chosen.folder)} files fetched")


def _link(chosen: argparse.Namespace) -> None:
    vendor = vendor_in(chosen.vendor)
    product = vendor.product(chosen.product)
    if product is None:
        raise Usage(f"vendor.toml has no product {chosen.product!r}", advice="Check its name.")
    version = parse_version(chosen.version) if chosen.version else None
    link = Link(product=product.id, channel=Channel(chosen.channel), version=version)
    print(f"link: {format_link(link, vendor.link.scheme)}")
    print(f"page: {format_page(link, vendor.repository)}")
    print(f"code: {format_code(link, product.number)}")
    if chosen.page is None:
        return
    if chosen.site is None:
        raise Usage("a page says sizes and hashes of the site's files", advice="Name the site with --site.")
    site = Site(folder=chosen.site, now=now())
    release = pages.find_release(site, link.channel, product.id, version)
    notes = read_draft(site.bundle(release)).manifest.notes
    programs = pages.programs_of(site)
    html = pages.page(vendor, release, link, notes=notes, programs=programs, base=vendor.repository)
    chosen.page.mkdir(parents=True, exist_ok=True)
    write_file(chosen.page / "index.html", html.encode())
    print(f"written: {chosen.page / 'index.html'}")


def _site(chosen: argparse.Namespace) -> Site:
    return Site(folder=chosen.site, online=signer_of(chosen), now=now())


def add_site_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Everything that works on a site, or on the host that shows it."""
    verbs = commands.add_parser("site", help="begin an update site").add_subparsers(
        required=True, metavar="VERB"
    )
    new = verbs.add_parser("new", help="begin a site in a new folder")
    new.add_argument(
        "--root", type=Path, nargs="+", required=True, metavar="FILE", help="all signed roots, oldest first"
    )
    new.add_argument("--targets", type=Path, required=True, metavar="FILE", help="the signed targets.json")
    _add_site(new)
    new.set_defaults(run=_site_new)
    trust = verbs.add_parser("trust", help="take over new roots and targets.json")
    trust.add_argument(
        "--root", type=Path, nargs="*", default=[], metavar="FILE", help="the signed roots after the site's"
    )
    trust.add_argument("--targets", type=Path, required=True, metavar="FILE", help="the signed targets.json")
    _add_site(trust)
    trust.set_defaults(run=_site_trust)
    programs = verbs.add_parser("programs", help="offer your updater for download on the landing pages")
    programs.add_argument("file", type=Path, nargs="+", metavar="FILE")
    programs.add_argument("--site", type=Path, required=True, metavar="DIR", help="the update site's folder")
    programs.set_defaults(run=_site_programs)
    _add_channel(commands)
    _add_publish(commands)
    _add_watching(commands)
    _add_moving(commands)
    _add_link(commands)


def _add_channel(commands: Commands[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("channel", help="say which release is current").add_subparsers(
        required=True, metavar="VERB"
    )
    set_ = verbs.add_parser("set", help="make a signed bundle the current release of a channel")
    set_.add_argument("channel", choices=[*map(str, root.CHANNELS)])
    set_.add_argument("bundle", type=Path, metavar="FILE.fwb")
    set_.add_argument("--percent", type=int, default=100, metavar="N", help="of the devices; the others wait")
    set_.add_argument("--step", metavar="VERSION", help="what devices that are too old for it install first")
    set_.add_argument("--rehearsal", type=Path, metavar="FILE", help="its record, if not beside the bundle")
    _add_site(set_)
    set_.set_defaults(run=_channel_set)
    out = commands.add_parser("withdraw", help="nobody shall install this version any more")
    out.add_argument("channel", choices=[*map(str, root.CHANNELS)])
    out.add_argument("product", metavar="PRODUCT")
    out.add_argument("version", metavar="VERSION")
    out.add_argument("--back-to", metavar="VERSION", help="make this one current instead")
    _add_site(out)
    out.set_defaults(run=_withdraw)


def _add_publish(commands: Commands[argparse.ArgumentParser]) -> None:
    publish = commands.add_parser("publish", help="make all changes of the site visible")
    publish.add_argument(
        "--vendor", type=Path, metavar="DIR", help="write landing pages from its vendor.toml"
    )
    publish.add_argument(
        "--all-pages", action="store_true", help="also those of releases that did not change"
    )
    publish.add_argument("--unrehearsed", action="store_true", help="also releases that nobody rehearsed")
    _add_site(publish)
    publish.set_defaults(run=_publish)
    refresh = commands.add_parser("refresh", help="sign anew what is published, and nothing else; for cron")
    _add_site(refresh)
    refresh.set_defaults(run=_refresh)


def _add_watching(commands: Commands[argparse.ArgumentParser]) -> None:
    alarm = commands.add_parser(
        "expiring", help=f"what expires when; exit status {expiry.ALARM_STATUS} when somebody has to act"
    )
    alarm.add_argument("--site", type=Path, required=True, metavar="DIR", help="the update site's folder")
    alarm.set_defaults(run=_expiring)
    check = commands.add_parser(
        "site-check", help=f"test a live host; exit status {sitecheck.FINDINGS_STATUS} with findings"
    )
    check.add_argument("url", metavar="URL", help="the repository address of vendor.toml")
    check.add_argument("--vendor", type=Path, metavar="DIR", help="also check as its updater does")
    check.set_defaults(run=_site_check)


def _add_moving(commands: Commands[argparse.ArgumentParser]) -> None:
    out = commands.add_parser("upload", help="copy a site to a web server or object store")
    out.add_argument("folder", type=Path, metavar="DIR")
    out.add_argument("url", metavar="URL", help="s3://BUCKET/FOLDER, sftp://USER@HOST/FOLDER, or a folder")
    out.set_defaults(run=_upload)
    back = commands.add_parser("fetch", help="copy a site from where it was uploaded into a folder")
    back.add_argument("url", metavar="URL")
    back.add_argument("folder", type=Path, metavar="DIR")
    back.set_defaults(run=_fetch)


def _add_link(commands: Commands[argparse.ArgumentParser]) -> None:
    link = commands.add_parser("link", help="print an update link, its page and its code; write the page")
    link.add_argument("product", metavar="PRODUCT")
    link.add_argument("--channel", choices=[*map(str, root.CHANNELS)], default=Channel.STABLE)
    link.add_argument("--version", metavar="VERSION", help="default: always the latest")
    link.add_argument("--vendor", type=Path, required=True, metavar="DIR", help="its vendor.toml")
    link.add_argument("--page", type=Path, metavar="DIR", help="write DIR/index.html")
    link.add_argument("--site", type=Path, metavar="DIR", help="the update site, for the page")
    link.set_defaults(run=_link)


def _add_site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", type=Path, required=True, metavar="DIR", help="the update site's folder")
    add_key(parser)
