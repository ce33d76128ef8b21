"""Landing pages: where an update link leads a person who has no updater yet.

Static, without scripts, cookies or anything from another host. All texts are escaped.
"""

from __future__ import annotations

from html import escape

from updater.heads.links import Link, format_code, format_link
from updater.heads.vendor import Vendor
from updater.words.errors import Usage

from .site import Release, Site

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title} {version}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }}
a.go {{ display: inline-block; padding: .6rem 1.2rem; border: 2px solid; border-radius: .4rem }}
code {{ font-size: 1.1rem; font-weight: bold; overflow-wrap: anywhere }}
</style>
</head>
<body>
<h1>{title} {version}</h1>
<p>An update from {vendor}. It needs a computer with the updater on it; a phone is not enough.</p>
<p>Connect the device to that computer with its USB cable, then:</p>
<p><a class="go" href="{link}">Open the updater</a></p>
<p>Nothing happens? Open a terminal (on Windows: the Command Prompt) and type:<br>
<code>updater install {code}</code></p>
<p>No internet on that computer? <a href="{file}">Save the update as a file</a>, take it there, and type:<br>
<code>updater install {name}</code></p>
<p>No updater yet, or any question? {vendor} helps: {support}</p>
</body>
</html>
"""


def write_pages(site: Site, vendor: Vendor) -> int:
    """Write the page of every release on the site, and of each channel's latest. Answers how many."""
    written = 0
    for release in site.releases():
        links = [Link(product=release.product, channel=release.channel, version=release.version)]
        if release.is_current:
            links.append(Link(product=release.product, channel=release.channel, version=None))
        for link in links:
            site.write_page(link.tokens, page(vendor, release, link))
            written += 1
    return written


def page(vendor: Vendor, release: Release, link: Link) -> str:
    """One landing page. Raises Usage for a product that vendor.toml does not know."""
    product = vendor.product(release.product)
    if product is None:
        raise Usage(
            f"vendor.toml has no product {release.product!r}",
            advice="Add it, or name the right vendor folder.",
        )
    name = f"{release.product}-{release.version}.fwb"
    texts = {
        "title": product.title,
        "version": str(release.version),
        "vendor": vendor.name,
        "support": vendor.support,
        "link": format_link(link, vendor.link.scheme),
        "code": format_code(link, product.number),
        "file": f"../../../../files/{name}",
        "name": name,
    }
    return _PAGE.format_map({key: escape(text) for key, text in texts.items()})
