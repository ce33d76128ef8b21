"""Update links, landing-page addresses and short codes: three tokens, which only select.

A link never carries a host, a path, a hash, a key or an option. Every form is accepted only as it would
be written again from its tokens; people who type a short code get some leeway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from semver import Version

from updater.words.errors import Usage
from updater.words.facts import RESERVED_PRODUCT, Channel, parse_version

LINK_LIMIT_CHARS = 120
LATEST = "latest"

_TOKENS_RULE = (
    rf"(?P<product>(?!{RESERVED_PRODUCT}/)[a-z0-9][a-z0-9-]{{0,31}})/(?P<channel>stable|beta)/"
    r"(?P<version>latest|[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5})"
)
_TOKENS = re.compile(_TOKENS_RULE, re.ASCII)
_ANY_LINK = re.compile(rf"[a-z][a-z0-9-]{{1,31}}://v1/{_TOKENS_RULE}/?", re.ASCII)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_MODULUS = 1021  # the largest prime that two characters hold: finds every wrong or swapped character
_CODE_CHARS_LIMIT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link selects. `version` is None for the newest."""

    product: str
    channel: Channel
    version: Version | None

    @property
    def tokens(self) -> str:
        """PRODUCT/CHANNEL/VERSION."""
        return f"{self.product}/{self.channel}/{self.version or LATEST}"


def check_shape(text: str) -> None:
    """Refuse what is no update link of any vendor. Raises `Usage`.

    For the moment before anything else is known, the vendor included: no parser of options, no file and no
    library sees a text that has not passed here.
    """
    if len(text) > LINK_LIMIT_CHARS or not _ANY_LINK.fullmatch(text):
        raise _not_ours(text, "an update link")


def parse_tokens(text: str) -> Link:
    """Read PRODUCT/CHANNEL/VERSION, exactly as `Link.tokens` writes it. Raises `Usage`."""
    link = _parse(text, "", "what a link selects")
    if link.tokens != text:
        raise _not_ours(text, "what a link selects")
    return link


def format_link(link: Link, scheme: str) -> str:
    """SCHEME://v1/PRODUCT/CHANNEL/VERSION. Raises `Usage` when the tokens are not a link's."""
    return f"{scheme}://v1/{_checked(link).tokens}"


def parse_link(text: str, scheme: str) -> Link:
    """Read an update link of this vendor's scheme; one final "/" may follow. Raises `Usage`."""
    if len(text) > LINK_LIMIT_CHARS:
        raise _not_ours(text, "an update link")
    return _parse(text, f"{scheme}://v1/", "an update link")


def format_page(link: Link, site: str) -> str:
    """The landing page's address on the vendor's site. Raises `Usage` when the tokens are not a link's."""
    return f"{_base(site)}u/{_checked(link).tokens}/"


def parse_page(text: str, site: str) -> Link:
    """Read a landing page's address; nothing opens it. Only the vendor's own site counts. Raises `Usage`."""
    return _parse(text, f"{_base(site)}u/", "the address of an update page")


def format_code(link: Link, number: int) -> str:
    """The short code, "XXXX-XXXX-X", for the product with this number in vendor.toml (1 to 255).

    Bits: number (8), channel (1: beta), latest (1), unless latest three numbers in groups of 7 bits,
    highest group first, each after a continue bit; zeros up to a multiple of 5. Crockford's base32 of
    these, and two characters for the whole as a number modulo 1021. Raises `Usage`.
    """
    _checked(link)
    if not 1 <= number <= 255:
        raise Usage(f"{number} is not the number of a product: they go from 1 to 255")
    code = _encode(number, link.channel, link.version)
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def parse_code(text: str, products: Mapping[int, str]) -> Link:
    """Read a short code as a person typed it: any case, O for 0, I or L for 1, "-" or blanks anywhere.

    `products` are the vendor's product ids by number. Raises `Usage`; a wrong code is never guessed at.
    """
    number, channel, version = _decode(text)
    if number not in products:
        raise Usage(
            "this code is for a product that this updater does not know",
            advice="Get the newest updater from the vendor, or ask for the update as a file.",
        )
    return Link(product=products[number], channel=channel, version=version)


def is_code(text: str) -> bool:
    """Whether this is a short code, written without a mistake, whoever's product it is for."""
    return number_in(text) is not None


def number_in(text: str) -> int | None:
    """The product number in a short code, whether there is such a product or not; None for another text."""
    try:
        return _decode(text)[0]
    except Usage:
        return None


def _decode(text: str) -> tuple[int, Channel, Version | None]:
    """What a code says: product number, channel, version. Raises `Usage`."""
    code = _cleaned(text)
    bits = "".join(f"{_CROCKFORD.index(char):05b}" for char in code[:-2])
    channel = Channel.BETA if bits[8:9] == "1" else Channel.STABLE
    number = int(bits[:8], 2)
    version = None if bits[9:10] == "1" else _version_in(bits[10:])
    if number == 0 or _encode(number, channel, version) != code:
        raise _mistyped()
    return number, channel, version


def _parse(text: str, prefix: str, what: str) -> Link:
    tokens = text.removeprefix(prefix).removesuffix("/")
    found = _TOKENS.fullmatch(tokens) if text.startswith(prefix) else None
    if found is None:
        raise _not_ours(text, what)
    try:
        version = None if found["version"] == LATEST else parse_version(found["version"])
    except ValueError:
        raise _not_ours(text, what) from None
    return Link(product=found["product"], channel=Channel(found["channel"]), version=version)


def _checked(link: Link) -> Link:
    if not _TOKENS.fullmatch(link.tokens):
        raise Usage(f"{link.tokens!r} cannot be put into a link")
    return link


def _base(site: str) -> str:
    return site if site.endswith("/") else site + "/"


def _encode(number: int, channel: Channel, version: Version | None) -> str:
    """The characters of a code, check included, without "-"."""
    bits = f"{number:08b}{channel is Channel.BETA:b}{version is None:b}"
    if version is not None:
        bits += "".join(_groups(part) for part in (version.major, version.minor, version.patch))
    bits += "0" * (-len(bits) % 5)
    value = int(bits, 2)
    return _base32(value, len(bits) // 5) + _base32(value % _CHECK_MODULUS, 2)


def _groups(part: int) -> str:
    """A number as groups of 7 bits, highest first, each after a bit that says whether one follows."""
    groups = [f"0{part & 0x7F:07b}"]
    while part := part >> 7:
        groups.append(f"1{part & 0x7F:07b}")
    return "".join(reversed(groups))


def _version_in(bits: str) -> Version:
    """Three numbers from groups; what is wrong with the padding, writing the code again will show."""
    parts: list[int] = []
    part = 0
    for at in range(0, len(bits) - 7, 8):
        part = part << 7 | int(bits[at + 1 : at + 8], 2)
        if bits[at] == "0":
            parts.append(part)
            part = 0
    if len(parts) != 3 or max(parts) > 0xFFFF:
        raise _mistyped()
    return Version(*parts)


def _cleaned(text: str) -> str:
    """The characters of a code, if there are enough of them and each is one."""
    if not text.isascii():
        raise _mistyped()
    code = text.upper().translate(str.maketrans("OIL", "011", "- "))
    if not 4 <= len(code) <= _CODE_CHARS_LIMIT or any(char not in _CROCKFORD for char in code):
        raise _mistyped()
    return code


def _base32(value: int, length: int) -> str:
    return "".join(_CROCKFORD[value >> 5 * at & 31] for at in reversed(range(length)))


def _not_ours(text: str, what: str) -> Usage:
    return Usage(
        f"this is not {what} of this vendor: {text[:LINK_LIMIT_CHARS]!r}",
        advice="Copy it again, completely, from the message in which you received it.",
    )


def _mistyped() -> Usage:
    return Usage(
        "this is no code, link, file or version that this updater understands, or it is mistyped",
        advice="Compare it with the message in which you received it.",
    )
