"""The descriptors that the firmware page shows, taken apart by Microsoft's tables.

Microsoft OS 2.0 Descriptors Specification: tables 4 (platform capability), 9 (descriptor types), 10 to 15
(headers, compatible id, registry property and its types), in embassy-usb's numbers; USB 3.2 section 9.6.2
for the BOS.
"""

from __future__ import annotations

import re
import struct
import uuid
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "firmware-winusb.md").read_text("utf-8")
PLATFORM = uuid.UUID("D8DD60DF-4589-4CC7-9CD2-659D9E648A9F")
WINDOWS_8_1 = 0x06030000
SET, CONFIGURATION, FUNCTION, COMPATIBLE_ID, PROPERTY = range(5)
REG_MULTI_SZ = 7
GUID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}")


def shown(section: int) -> bytes:
    """The bytes of one section, in the order in which they stand there."""
    text = PAGE.split(f"\n## {section}. ")[1].split("\n## ")[0]
    rows = re.findall(r"^    ((?:[0-9A-F]{2} ?)+)(?:  |$)", text, re.MULTILINE)
    return bytes.fromhex("".join(rows))


def features(data: bytes) -> dict[int, bytes]:
    """The feature descriptors by their type; each says its own length."""
    found = {}
    while data:
        length, kind = struct.unpack_from("<HH", data)
        assert 4 < length <= len(data)
        found[kind], data = data[4:length], data[length:]
    return found


def registry_property(data: bytes) -> tuple[int, str, str]:
    """The type, the name and the value of a registry property."""
    kind, name_length = struct.unpack_from("<HH", data)
    name, rest = data[4 : 4 + name_length], data[4 + name_length :]
    (value_length,) = struct.unpack_from("<H", rest)
    assert len(rest) == 2 + value_length
    return kind, name.decode("utf-16-le"), rest[2:].decode("utf-16-le")


def test_the_bos_leads_to_the_descriptor_set() -> None:
    data = shown(2)

    assert struct.unpack_from("<BBHB", data) == (5, 15, len(data), 1)
    assert struct.unpack_from("<BBBB", data, 5) == (28, 16, 5, 0)
    assert uuid.UUID(bytes_le=data[9:25]) == PLATFORM
    version, total, vendor_code, alternate = struct.unpack_from("<IHBB", data, 25)
    assert (version, total, alternate) == (WINDOWS_8_1, len(shown(3)), 0)
    assert f"0x{vendor_code:02X}, the bMS_VendorCode" in PAGE
    assert vendor_code != 0x55  # the identity request
    assert f"`{len(shown(4)).to_bytes(2, 'little').hex(' ').upper()}`" in PAGE


@pytest.mark.parametrize("section", [3, 4])
def test_a_set_begins_with_its_header(section: int) -> None:
    data = shown(section)

    assert struct.unpack_from("<HHIH", data) == (10, SET, WINDOWS_8_1, len(data))
    assert f"{len(data)} bytes" in PAGE


@pytest.mark.parametrize(
    ("section", "headers"), [(3, (SET,)), (4, (SET, CONFIGURATION, FUNCTION))], ids=["whole", "composite"]
)
def test_a_device_or_one_function_of_it_asks_for_winusb(section: int, headers: tuple[int, ...]) -> None:
    data = shown(section)
    lengths = {SET: 10, CONFIGURATION: 8, FUNCTION: 8}

    for header in headers:
        length, kind = struct.unpack_from("<HH", data)
        assert (length, kind) == (lengths[header], header)
        if header != SET:  # its last field: how long it is with all that it holds
            assert struct.unpack_from("<BBH", data, 4) == (0, 0, len(data))
        data = data[length:]
    found = features(data)
    assert set(found) == {COMPATIBLE_ID, PROPERTY}
    assert found[COMPATIBLE_ID] == b"WINUSB\0\0" + bytes(8)
    kind, name, value = registry_property(found[PROPERTY])
    assert (kind, name) == (REG_MULTI_SZ, "DeviceInterfaceGUIDs\0")
    assert value.endswith("\0\0")
    assert GUID.fullmatch(value.rstrip("\0"))
