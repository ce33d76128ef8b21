"""Whose updater this is: vendor.toml, the one file a product maker writes.

Unknown keys are refused, so that a misspelt safety setting cannot be silently ignored.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from updater.words.errors import Usage
from updater.words.facts import RESERVED_PRODUCT

ProductId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,15}\Z")]
Hardware = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,7}\Z")]
UsbId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{4}:[0-9a-f]{4}\Z")]
Scheme = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{1,31}\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Address = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Milliseconds = Annotated[int, Meta(ge=1, le=600_000)]
HexBytes = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{2}( ?[0-9A-Fa-f]{2})*\Z", max_length=1024)]
LineText = Annotated[str, Meta(min_length=1, max_length=256)]
CatalogueVersion = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
ToolVersion = Annotated[str, Meta(pattern=r"\A[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}\Z")]

_REPOSITORY = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[::1\])(?::[0-9]{1,5})?/(?:[A-Za-z0-9._~-]+/)*", re.ASCII
)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_TAKEN_SCHEMES = frozenset(
    {"http", "https", "file", "ftp", "ftps", "mailto", "data", "javascript", "vbscript", "about", "tel", "ws"}
)


class Kind(StrEnum):
    """A demo vendor never writes to a real device; a product vendor does."""

    DEMO = "demo"
    PRODUCT = "product"


class RecoveryKind(StrEnum):
    """How a device comes back into a bootloader when its program is gone."""

    EMPTY_CHECK = "empty-check"
    BOOT_BUTTON = "boot-button"
    RESIDENT_LOADER = "resident-loader"
    NONE = "none"


class LinkScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scheme of this vendor's update links, without "://"."""

    scheme: Scheme


class _Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A way into the bootloader, asked of the running application.

    `within_ms`: until then the application must have left USB. How long the bootloader may take from there
    on is the silicon table's to say.
    """

    within_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000


class DfuDetach(_Way, frozen=True, kw_only=True, tag="dfu-detach"):
    """The application has a DFU run-time interface and answers DFU_DETACH (DFU 1.1 section 5.1)."""


class VendorRequest(_Way, frozen=True, kw_only=True, tag="vendor-request"):
    """The application takes a control request of the vendor's own; the keys are those of USB 2.0 table 9-2.

    Only from the host to the device and only of type "vendor": no standard or class request is sent so.
    """

    bmRequestType: Annotated[int, Meta(ge=0x40, le=0x43)] = 0x40
    bRequest: Annotated[int, Meta(ge=0, le=0xFF)]
    wValue: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0
    wIndex: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0
    data: HexBytes | None = None

    @property
    def payload(self) -> bytes:
        """The bytes of the data stage."""
        return bytes.fromhex(self.data or "")


class Touch1200(_Way, frozen=True, kw_only=True, tag="touch-1200"):
    """The application's serial port is opened with 1200 baud and closed again, which it takes as a wish."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent to the serial port after a pause, and what must be heard before the next; text or hex."""

    send: LineText | None = None
    send_hex: HexBytes | None = None
    expect: LineText | None = None
    expect_hex: HexBytes | None = None
    pause_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0

    def __post_init__(self) -> None:
        if (self.send is None) == (self.send_hex is None):
            raise ValueError("one of `send` and `send_hex` is needed")
        if self.expect is not None and self.expect_hex is not None:
            raise ValueError("`expect` and `expect_hex` exclude each other")

    @property
    def sent(self) -> bytes:
        """The bytes to send."""
        return self.send.encode() if self.send is not None else bytes.fromhex(self.send_hex or "")

    @property
    def expected(self) -> bytes:
        """The bytes that must occur in the answer; empty where none is waited for."""
        return self.expect.encode() if self.expect is not None else bytes.fromhex(self.expect_hex or "")


class SerialSend(_Way, frozen=True, kw_only=True, tag="serial-send"):
    """The application hears the wish on its serial port: commands of its own, one after the other."""

    steps: Annotated[tuple[Exchange, ...], Meta(min_length=1, max_length=16)]
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 115_200


class ByHand(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="by-hand", tag_field="kind"
):
    """A person does it, with these steps. Whatever arrives then is a stranger until it has proved itself.

    `within_ms`: so long a bootloader is waited for on the same port.
    """

    steps: Text
    within_ms: Milliseconds = 180_000

    def __post_init__(self) -> None:
        if not self.steps.strip():
            raise ValueError("say in words what the person does")


AskedWay = DfuDetach | VendorRequest | Touch1200 | SerialSend
Way = AskedWay | ByHand
"""How a device comes from its application into the bootloader."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in flash the product header lies."""

    address: Address


class OtpRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in one-time-programmable memory a record lies that has the fields of the product header."""

    address: Address


class Recovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to get back after an update that was cut off, with the steps in words."""

    kind: RecoveryKind
    steps: str = ""


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flash that an update must leave as it is."""

    address: Address
    length: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]

    @property
    def end(self) -> int:
        return self.address + self.length


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product of the vendor.

    `number` stands in short codes and is never used again; `usb` are the application's "vid:pid";
    `chips` name rows of the silicon table; `ways` are tried in this order. `flash_kib` and `bank_mode` say
    what the product's part has where a bootloader cannot be believed; `supply_mv` is the chip's supply.
    `security_floor`: firmware with a lower security counter is never installed.
    """

    id: ProductId
    number: Annotated[int, Meta(ge=1, le=255)]
    title: Text
    usb: tuple[UsbId, ...]
    chips: Annotated[tuple[Text, ...], Meta(min_length=1)]
    hardware: Annotated[tuple[Hardware, ...], Meta(min_length=1)]
    ways: tuple[Way, ...] = ()
    header: Header | None = None
    otp_record: OtpRecord | None = None
    recovery: Recovery = Recovery(kind=RecoveryKind.NONE)
    back_within_ms: Milliseconds = 10_000
    supply_mv: Annotated[int, Meta(ge=1600, le=3700)] | None = None
    flash_kib: Annotated[int, Meta(ge=8, le=16_384)] | None = None
    bank_mode: Literal["single", "dual"] | None = None
    security_floor: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 0
    keep: tuple[Keep, ...] = ()


class Engineering(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engineer's updater may do besides. `write`: files that nobody signed (`updater write`)."""

    write: bool = False


class InCatalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which signed catalogue has these products (docs/decisions/0023): one of a higher version is newer.

    `min_tool`: the oldest updater that knows every key, way and chip in them.
    """

    version: CatalogueVersion
    min_tool: ToolVersion


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """vendor.toml. `repository` is the update site's address and ends with "/"."""

    schema: Annotated[int, Meta(ge=1, le=1)]
    kind: Kind
    name: Text
    support: Text
    repository: str
    link: LinkScheme
    products: tuple[Product, ...] = msgspec.field(name="product")
    engineering: Engineering | None = None
    catalogue: InCatalogue | None = None

    def product(self, id: str) -> Product | None:
        """The product with this id."""
        return next((product for product in self.products if product.id == id), None)

    @property
    def numbers(self) -> dict[int, str]:
        """Product ids by number, for short codes."""
        return {product.number: product.id for product in self.products}

    @property
    def catalogue_version(self) -> int:
        """The version of the catalogue that has these products; 0 where none was ever made of them."""
        return self.catalogue.version if self.catalogue else 0


def parse_vendor(text: str, *, allow_loopback_http: bool = False) -> Vendor:
    """Read vendor.toml.

    `allow_loopback_http` lets a product vendor's repository be http on this computer, for tests of an
    updater that is not frozen; a demo vendor's always may. Raises `Usage` with the path of the key.
    """
    try:
        vendor = msgspec.convert(tomllib.loads(text), Vendor)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise _wrong(str(error)) from error
    _check_repository(vendor, allow_loopback_http or vendor.kind is Kind.DEMO)
    if vendor.link.scheme in _TAKEN_SCHEMES:
        raise _wrong(f"{vendor.link.scheme!r} belongs to other programs - at `$.link.scheme`")
    if not vendor.products:
        raise _wrong("at least one product is needed - at `$.product`")
    if wrong := wrong_with_products(vendor.products):
        raise _wrong(wrong)
    return vendor


def wrong_with_products(products: Iterable[Product]) -> str | None:
    """The first rule that several products break, in words and with its place; also a catalogue's."""
    seen: set[object] = set()
    for index, product in enumerate(products):
        where = f"at `$.product[{index}]"
        if product.id == RESERVED_PRODUCT:
            return f"{RESERVED_PRODUCT!r} is a reserved word and no product - {where}.id`"
        for key, value in (("id", product.id), ("number", product.number)):
            if value in seen:
                return f"{value!r} is another product's already - {where}.{key}`"
            seen.add(value)
        if product.recovery.kind is RecoveryKind.BOOT_BUTTON and not product.recovery.steps.strip():
            return f"say in words what the person does - {where}.recovery.steps`"
    return None


def _check_repository(vendor: Vendor, http_on_loopback: bool) -> None:
    where = "at `$.repository`"
    found = _REPOSITORY.fullmatch(vendor.repository)
    if found is None:
        raise _wrong(f'expected https://HOST/ with a "/" at the end, got {vendor.repository!r} - {where}')
    if found["scheme"] == "http" and not (http_on_loopback and found["host"] in _LOOPBACK):
        raise _wrong(f"only https is allowed, got {vendor.repository!r} - {where}")


def _wrong(why: str) -> Usage:
    return Usage(
        f"vendor.toml is wrong: {why}", advice="Correct vendor.toml; docs/integration.md has its keys."
    )
