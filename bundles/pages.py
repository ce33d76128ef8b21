"""Landing pages: where an update link leads a person who has no updater yet.

Static, without scripts, cookies or anything from another host; the style's hash stands in the content
security policy. All texts are escaped, and every size and hash is taken from the file itself.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from html import escape

import msgspec
from semver import Version

from updater.heads.links import Link, format_code, format_link
from updater.heads.vendor import Product, Vendor
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Channel

from .files import read_file
from .release import read_draft
from .site import Release, Site

_STYLE = """
:root { color-scheme: light dark }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
a.go { display: inline-block; padding: .7rem 1.2rem; border: 2px solid; border-radius: .4rem }
kbd { font: bold 1.4rem ui-monospace, monospace; overflow-wrap: anywhere }
code { overflow-wrap: anywhere }
small { display: block; overflow-wrap: anywhere }
"""
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title} {version}</title>
<style>{style}</style>
</head>
<body>
<h1>{title} {version}</h1>
{body}
<p>Any question? {vendor} helps: {support}</p>
</body>
</html>
"""
_BODY = """<p>An update for your {title}, from {vendor}.</p>
<p>{notes}</p>
<p>It needs a computer and the device's USB cable; a phone is not enough.</p>
<h2>1. The updater</h2>
{programs}
<h2>2. The update</h2>
<p>Connect the device to the computer with its USB cable, then:</p>
<p><a class="go" href="{link}">Open the updater</a></p>
<p>Nothing happens? Start the updater yourself and give it this code:</p>
<p><kbd>{code}</kbd></p>
<p>In a terminal: <code>updater install {code}</code></p>
<h2>Without internet</h2>
<p><a href="{file}">Save the update as a file</a>, take it to the computer with the device, and
open it with the updater. In a terminal: <code>updater install {name}</code></p>
<small>{name}: {length} bytes, SHA-256 {sha256}</small>
"""
_WITHDRAWN = """<p><strong>This version was withdrawn.</strong> Please do not install it.</p>
<p>{vendor} offers another one, or will soon: <a href="../latest/">the current version</a>.</p>
"""
_PROGRAM = """<p><a href="{file}">Download {name}</a></p>
<small>{name}: {length} bytes, SHA-256 {sha256}</small>
"""
_NO_PROGRAM = "<p>You have it already, or {vendor} gives it to you: {support}</p>\n"


INDEX = "updater/index.json"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """An updater to download. `path` is relative to the site."""

    name: str
    path: str
    length: int
    sha256: str


def offer_programs(site: Site, files: Sequence[tuple[str, bytes]]) -> tuple[Program, ...]:
    """Put the vendor's updaters on the site, for the landing pages; each kept under its hash for ever.

    Raises Refused for a file for which release people have not signed in targets.json.
    """
    signed = site.signed_programs()
    programs = []
    for name, data in files:
        digest = hashlib.sha256(data).hexdigest()
        if name not in signed or signed[name].hashes.get("sha256") != digest:
            whose = "another file of this name" if name in signed else "no program of this name"
            raise Refused(
                f"targets.json lists {whose}: nobody has signed for {name} with the SHA-256 {digest}",
                advice="Draft it with `bundles targets new --program`, let release people sign it, and give "
                "`bundles site trust` before this.",
            )
        path = f"updater/{digest[:16]}/{name}"
        site.write_file(path, data)
        site.write_file(f"targets/{signed[name].get_prefixed_paths()[0]}", data)
        programs.append(Program(name=name, path=path, length=len(data), sha256=digest))
    site.write_file(INDEX, msgspec.json.encode(programs))
    return tuple(programs)


def programs_of(site: Site) -> tuple[Program, ...]:
    """The updaters that the site offers and targets.json lists; none where `site programs` never ran."""
    signed = {(name, one.hashes.get("sha256")) for name, one in site.signed_programs().items()}
    return tuple(one for one in offered_on(site) if (one.name, one.sha256) in signed)


def offered_on(site: Site) -> tuple[Program, ...]:
    """What `site programs` was given last, whether or not people still sign for it."""
    index = site.folder / INDEX
    return parse_index(read_file(index)) if index.exists() else ()


def parse_index(data: bytes) -> tuple[Program, ...]:
    """The list of a site's programs. Raises NotTrusted."""
    try:
        return msgspec.json.decode(data, type=tuple[Program, ...])
    except msgspec.MsgspecError as error:
        raise NotTrusted(
            f"{INDEX} is not a list of programs", advice="Run `bundles site programs` again."
        ) from error


def write_pages(site: Site, vendor: Vendor, only: Collection[tuple[Channel, str]] | None = None) -> int:
    """Write the page of every release on the site, and of each channel's latest. Answers how many.

    `only`: those of these channels and products.
    """
    written = 0
    programs = programs_of(site)
    for release in site.releases():
        if only is not None and (release.channel, release.product) not in only:
            continue
        links = [Link(product=release.product, channel=release.channel, version=release.version)]
        if release.is_current:
            links.append(Link(product=release.product, channel=release.channel, version=None))
        notes = read_draft(site.bundle(release)).manifest.notes
        for link in links:
            html = page(vendor, release, link, notes=notes, programs=programs)
            site.write_file(f"u/{link.tokens}/index.html", html.encode())
            written += 1
    return written


def find_release(site: Site, channel: Channel, product: str, version: Version | None) -> Release:
    """The release of this version, or the channel's current one for None. Raises Usage."""
    for release in site.releases():
        if (release.channel, release.product) == (channel, product) and (
            release.version == version if version else release.is_current
        ):
            return release
    raise Usage(f"{channel} does not list {product} {version or 'at all'}", advice="Check the version.")


def page(
    vendor: Vendor,
    release: Release,
    link: Link,
    *,
    notes: str,
    programs: Sequence[Program] = (),
    base: str = "../../../../",
) -> str:
    """One landing page; `base` leads from it to the site. Raises Usage for an unknown product."""
    product = _product(vendor, release.product)
    name = f"{release.product}-{release.version}.fwb"
    texts = {
        "title": product.title,
        "version": str(release.version),
        "vendor": vendor.name,
        "support": vendor.support,
        "notes": notes,
        "link": format_link(link, vendor.link.scheme),
        "code": format_code(link, product.number),
        "file": f"{base}files/{name}",
        "name": name,
        "length": f"{release.length:,}",
        "sha256": release.sha256,
    }
    safe = {key: escape(text) for key, text in texts.items()}
    offered = [
        _PROGRAM.format(
            name=escape(one.name), file=escape(base + one.path), length=f"{one.length:,}", sha256=one.sha256
        )
        for one in programs
    ]
    safe["programs"] = "".join(offered) or _NO_PROGRAM.format_map(safe)
    body = (_WITHDRAWN if release.withdrawn else _BODY).format_map(safe)
    return _PAGE.format_map(safe | {"body": body, "style": _STYLE, "policy": _POLICY})


def _product(vendor: Vendor, name: str) -> Product:
    product = vendor.product(name)
    if product is None:
        raise Usage(f"vendor.toml has no product {name!r}", advice="Add it, or name the right vendor folder.")
    return product
