"""The conversations: what each command says and asks, whoever listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from semver import Version

from updater.doors.terminal import Face
from updater.hands.channel import UpdateSite
from updater.hands.desktop import kept_awake
from updater.hands.host import DRIVER_FOLDER, Home, read_file
from updater.hands.mending import REPLUG, install_driver, install_rules
from updater.hands.store import Store
from updater.heads.gate import verify_bundle
from updater.heads.links import (
    Link,
    format_code,
    format_link,
    format_page,
    is_code,
    number_in,
    parse_code,
    parse_link,
    parse_page,
)
from updater.heads.policy import OpenedFrom
from updater.heads.report import Line, Receipt, diagnosis_line, offer_line, receipt_line
from updater.heads.udev import rules_file, rules_text
from updater.heads.vendor import Vendor
from updater.heads.what import SHORTCUT_LIMIT_BYTES, is_bundle, is_shortcut, link_in_shortcut, tidy
from updater.story.catalogue import newest_if_any
from updater.story.checkup import Surroundings, examine_at
from updater.story.devices import look_around, no_device, product_of
from updater.story.dossier import as_text, as_zip, newest_transcript, report_parts, write_report
from updater.story.job import Hands, Prepared, Request
from updater.story.offers import offer_for
from updater.story.supply import remember
from updater.story.update import check_may_write, dry_run, find_with_newest, perform, prepare
from updater.words.errors import Cancelled, DeviceIs, NotConfirmed, StorageFailed, Usage
from updater.words.events import Emit
from updater.words.facts import Channel, parse_version

BUNDLE_LIMIT_BYTES = 64 * 1024 * 1024
IN_PLACE = "The bytes are in place. Unplug the device and plug it in again."


def show_devices(hands: Hands, face: Face, *, explain: bool) -> int:
    """`updater devices`: who is connected, and how we know."""
    if hands.home.doubt:
        face.say(f"Note: {hands.home.doubt}")
    vendor, journals = hands.home.vendor, hands.store.journals()
    found = look_around(hands.bus, vendor, hands.silicon, journals)
    if not found:
        raise no_device(vendor, journals)
    face.devices([one.facts for one in found], explain=explain)
    return 0


def check(hands: Hands, face: Face, request: Request) -> int:
    """`updater check`: is there a release for the connected device?"""
    hands, one = find_with_newest(hands, request, face.emit)
    product = product_of(one.facts, hands.home.vendor).id
    found = offer_for(hands, request, product, one.facts)
    offer = found.offer if found else None
    newer = offer is not None and (one.facts.version is None or offer.version > one.facts.version)
    line = offer_line(
        product,
        installed=one.facts.version,
        offered=offer.version if offer and newer else None,
        notes=None,
        size=offer.length if offer and newer else None,
    )
    was = one.facts.version or "an unknown version"
    text = f"{one.facts.name} has {was}; "
    if offer is None:
        text += "a newer release is handed out step by step, and it is not this device's turn yet."
    elif newer:
        text += f"version {offer.version} is offered ({offer.length:,} bytes)."
    else:
        text += "that is the newest."
    if found and newer and found.note:
        text += f" {found.note}"
    face.line(line, text)
    return 0


def verify(home: Home, site: UpdateSite, store: Store, path: Path, now: datetime, face: Face) -> int:
    """`updater verify`: the gate, in words. What the bundle proves is remembered."""
    data = read_file(path, limit=BUNDLE_LIMIT_BYTES)
    roots = site.known_roots()
    bundle = verify_bundle(data, embedded_root=home.embedded_root, known_roots=roots, now=now)
    remember(site, store, bundle)
    face.bundle(bundle)
    return 0


def show_link(home: Home, face: Face, product_id: str, channel: Channel, version: Version | None) -> int:
    """`updater link`: what support sends to a customer."""
    product = home.vendor.product(product_id)
    if product is None:
        known = ", ".join(one.id for one in home.vendor.products)
        raise Usage(f"there is no product {product_id!r}", advice=f"This updater knows: {known}.")
    link = Link(product=product_id, channel=channel, version=version)
    said = {
        "link": format_link(link, home.vendor.link.scheme),
        "page": format_page(link, home.vendor.repository),
        "code": format_code(link, product.number),
    }
    face.line({"type": "link", **said}, "\n".join(f"{name:<5} {text}" for name, text in said.items()))
    return 0


def report(where: Surroundings, face: Face, *, output: Path | None, transcript: Path | None) -> int:
    """`updater report`: what a vendor's support wants to see, on the screen or as one file to mail.

    A name that ends in .txt gets one text, any other a zip.
    """
    if transcript is not None:
        write_report(transcript, newest_transcript(where.store).encode())
        text = f"The transcript of the last update that failed is in {transcript}."
        face.line({"type": "transcript", "file": str(transcript)}, text)
        if output is None:
            return 0
    parts = report_parts(where)
    if output is None:
        text = as_text(parts)
        face.line({"type": "report", "file": None, "text": text, "inside": []}, text.rstrip())
        return 0
    face.say(f"This goes into {output}:")
    for part in parts:
        face.say(f"  {part.name:<44} {len(part.text.encode()):>9,} bytes")
    write_report(output, as_text(parts).encode() if output.suffix.lower() == ".txt" else as_zip(parts))
    inside = [{"name": part.name, "bytes": len(part.text.encode())} for part in parts]
    text = f"The report is in {output}. Read it, and send it to {where.home.vendor.support}."
    face.line({"type": "report", "file": str(output), "text": None, "inside": inside}, text)
    return 0


def doctor(where: Surroundings, face: Face, *, fix: bool) -> int:
    """`updater doctor`: one next step, and what was looked at; with `fix` it is done, after a question."""
    diagnosis = examine_at(where)
    finding = diagnosis.finding
    lines = [f"{name:<22} {text}" for name, text in diagnosis.looked_at]
    lines += ["", finding.what, f"What to do: {finding.next_step}"]
    lines += [f"Also: {one.what}" for one in diagnosis.others]
    face.line(diagnosis_line(diagnosis), "\n".join(lines))
    if not fix:
        return finding.exit_status
    wanted = next((one.fix for one in (finding, *diagnosis.others) if one.fix), None)
    if wanted is None:
        face.say("There is nothing here that the updater can fix by itself.")
        return finding.exit_status
    if wanted == "udev-rules":
        _fix_rules(where, face)
    else:
        _fix_driver(where, face)
    return 0


def _fix_rules(where: Surroundings, face: Face) -> None:
    vendor = where.home.vendor
    face.say(f"These rules would be written into {rules_file(vendor)}:\n{rules_text(vendor).rstrip()}")
    face.confirm("Install them? Your system asks for an administrator's password.")
    face.say(f"The rules are in {install_rules(vendor)}. {REPLUG}")


def _fix_driver(where: Surroundings, face: Face) -> None:
    names = ", ".join(name for name, _ in where.home.driver)
    face.say(f"The driver package of {where.home.vendor.name} would be installed: {names}")
    face.confirm("Install it? Windows asks for your permission.")
    face.say(install_driver(where.home, where.store.folder.parent / DRIVER_FOLDER))


def knowing_code(hands: Hands, what: str | None, emit: Emit) -> Hands:
    """The hands; where WHAT is a short code of a product that they do not know, with the site's catalogue."""
    known = (None, *hands.home.vendor.numbers)
    return hands if number_in(what or "") in known else newest_if_any(hands, emit)


def request_for(what: str | None, vendor: Vendor) -> Request:
    """What `install WHAT` means: a link, a bundle file, a landing page, a short code, a version, or nothing.

    Raises `Usage`.
    """
    if what is None:
        return Request(opened_from=OpenedFrom.CHANNEL)
    if link := link_for(what, vendor):
        return request_of(link)
    if is_shortcut(what):
        address = link_in_shortcut(read_file(Path(what), limit=SHORTCUT_LIMIT_BYTES))
        return request_of(link_for(address, vendor) or parse_link(address, vendor.link.scheme))
    if is_bundle(what) or _is_file(what):
        _ask_which(what)
        data = read_file(Path(what), limit=BUNDLE_LIMIT_BYTES)
        return Request(opened_from=OpenedFrom.FILE, data=data)
    try:
        return Request(opened_from=OpenedFrom.CHANNEL, version=parse_version(what))
    except ValueError:
        return request_of(parse_code(what, vendor.numbers))


def link_of(what: str, vendor: Vendor) -> Link | None:
    """What a text selects that is a link, a page or a short code, and not a file. Raises `Usage`."""
    if is_bundle(what) or is_shortcut(what) or _is_file(what):
        return None
    return link_for(what, vendor) or parse_code(what, vendor.numbers)


def link_for(text: str, vendor: Vendor) -> Link | None:
    """What an update link or a landing page selects, also a pasted one; None for all else. Raises `Usage`."""
    text = tidy(text)
    if text.startswith(f"{vendor.link.scheme}:"):
        return parse_link(text, vendor.link.scheme)
    if text.startswith(("http://", "https://")):
        return parse_page(text, vendor.repository)
    return None


def _ask_which(name: str) -> None:
    """A file that is called like a version or a short code: which of the two was meant? Raises `Usage`."""
    if not is_code(name):
        try:
            parse_version(name)
        except ValueError:
            return
    raise Usage(
        f"{name} is the name of a file here, and also a short code or a version",
        advice=f"For the file, write it with its folder: {Path.cwd() / name}",
    )


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, or not a name at all
        return False


def request_of(link: Link) -> Request:
    """What a link asks for, wherever it was written."""
    return Request(
        opened_from=OpenedFrom.LINK, channel=link.channel, version=link.version, product=link.product
    )


def install(
    hands: Hands, face: Face, request: Request, *, yes: bool, dry: bool = False, say_where: bool = True
) -> int:
    """`updater install`: prepare, ask once, perform, and keep the receipt."""
    prepared = prepare(hands, request, face.emit)
    if prepared.plan is None or dry:
        if prepared.plan is not None:
            face.plan(prepared.plan)
        receipt = dry_run(hands, prepared) if prepared.plan else perform(hands, prepared, face.emit)
        face.receipt(receipt, None)
        return receipt.exit_status
    face.plan(prepared.plan)
    check_may_write(hands)
    _ask_once(face, prepared, yes=yes)
    with stopped_at_work(), awake(hands):
        receipt = perform(hands, prepared, face.emit)
    # from here on the device is done: neither Ctrl-C nor a closed pipe changes what is true
    with suppress(KeyboardInterrupt, OSError, ValueError):
        kept_at = kept(hands.store, receipt_name(hands.now, receipt), receipt_line(receipt), face)
        face.receipt(receipt, kept_at if say_where else None)
        if receipt.exit_status == NotConfirmed.exit_status:
            face.say(NotConfirmed.advice)
    return receipt.exit_status


@contextmanager
def stopped_at_work() -> Iterator[None]:
    """Ctrl-C in one of the short moments of which the story cannot say how the device is."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Cancelled(
            "the command was stopped",
            advice="Look at the device with `updater devices`, and run the same command again.",
            device_is=DeviceIs.UNKNOWN,
        ) from error


def awake(hands: Hands) -> AbstractContextManager[None]:
    """This computer does not fall asleep by itself in here; with virtual devices it may."""
    return nullcontext() if hands.virtual else kept_awake()


def _ask_once(face: Face, prepared: Prepared, *, yes: bool) -> None:
    for wanted in prepared.verdict.confirmations:
        face.typed(wanted)
    face.confirm(f"Update {prepared.product.title} now?", yes=yes)


def receipt_name(now: datetime, receipt: Receipt) -> str:
    """How a receipt is called in the state folder; several boards may be done in the same second."""
    return f"{now:%Y%m%d-%H%M%S}-{receipt.product}-{receipt.to_version}-on-{receipt.device.port}"


def kept(store: Store, name: str, line: Line, face: Face) -> str | None:
    """Keep a receipt and say where. The device is done: a full disk is worth a word, no more."""
    try:
        return str(store.keep_receipt(name, line))
    except StorageFailed as error:
        face.say(f"Note: the receipt could not be kept: {error.message}")
        return None


def keep_and_tell(hands: Hands, face: Face, line: Line, words: Iterable[str], *, work: str | None) -> None:
    """Say what was done, and keep it under the name of the work; None when nothing was written."""
    name = f"{hands.now:%Y%m%d-%H%M%S-%f}-{work}"
    kept_at = kept(hands.store, name, line, face) if work else None
    face.line(line, "\n".join(words))
    if kept_at:
        face.say(f"The receipt was kept as {kept_at}")


def with_options(request: Request, *, device: str | None, as_product: str | None, again: bool) -> Request:
    """The request with what was said beside WHAT."""
    return replace(request, device=device, as_product=as_product, again=again)
