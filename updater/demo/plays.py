"""A vendor's product as a virtual board plays it: what its firmware says of itself, and what it heeds."""

from __future__ import annotations

import struct

from updater.heads.vendor import ByHand, Product, SerialSend, VendorRequest
from updater.lab.application import LabProduct


def plays(product: Product, hardware: str | None = None) -> LabProduct:
    """The product for the lab: its firmware heeds every way of the product, of each kind the first."""
    request = next((way for way in product.ways if isinstance(way, VendorRequest)), None)
    serial = next((way for way in product.ways if isinstance(way, SerialSend)), None)
    kinds = [str(way.__struct_config__.tag) for way in product.ways if not isinstance(way, ByHand)]
    return LabProduct(
        product=product.id,
        hardware=hardware or product.hardware[0],
        title=product.title,
        usb=product.usb[0],
        header_address=product.header.address if product.header else 0,
        enters=tuple(dict.fromkeys(kinds)),
        setup=_packet(request) if request else b"",
        dialogue=tuple((step.sent, step.expected) for step in serial.steps) if serial else (),
    )


def _packet(way: VendorRequest) -> bytes:
    """The setup packet (USB 2.0 table 9-2) and its data."""
    setup = way.bmRequestType, way.bRequest, way.wValue, way.wIndex, len(way.payload)
    return struct.pack("<BBHHH", *setup) + way.payload
