"""The words of DFU: golden bytes typed from DFU 1.1, AN3156 and published descriptor dumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.heads.dfu.words import (
    Answer,
    Command,
    Functional,
    ProtocolError,
    Request,
    State,
    Status,
    StatusCode,
)

ROM_FUNCTIONAL = bytes.fromhex("09 21 0B FF 00 00 04 1A 01")
"""H743 ROM: download, upload, will detach; 255 ms; 1024 bytes; DfuSe 1.1a."""
DFU_1_0_FUNCTIONAL = bytes.fromhex("07 21 07 E8 03 40 00")
CDC_HEADER = bytes.fromhex("05 24 00 10 01")
HID = bytes.fromhex("09 21 11 01 00 01 22 3F 00")


def test_the_requests_have_the_numbers_of_table_3_2() -> None:
    assert {request.name: int(request) for request in Request} == {
        "DETACH": 0,
        "DNLOAD": 1,
        "UPLOAD": 2,
        "GETSTATUS": 3,
        "CLRSTATUS": 4,
        "GETSTATE": 5,
        "ABORT": 6,
    }


def test_the_commands_are_those_of_an3156_and_read_unprotect_is_not_among_them() -> None:
    assert {command.name: int(command) for command in Command} == {"SET_ADDRESS": 0x21, "ERASE": 0x41}


def test_the_states_have_the_numbers_of_section_6_1_2() -> None:
    assert [state.name for state in sorted(State)] == [
        "appIDLE",
        "appDETACH",
        "dfuIDLE",
        "dfuDNLOAD_SYNC",
        "dfuDNBUSY",
        "dfuDNLOAD_IDLE",
        "dfuMANIFEST_SYNC",
        "dfuMANIFEST",
        "dfuMANIFEST_WAIT_RESET",
        "dfuUPLOAD_IDLE",
        "dfuERROR",
    ]
    assert [int(state) for state in sorted(State)] == list(range(11))


def test_the_status_codes_have_the_numbers_of_section_6_1_2() -> None:
    assert [int(code) for code in StatusCode] == list(range(16))
    assert (StatusCode.errTARGET, StatusCode.errVENDOR, StatusCode.errUNKNOWN) == (1, 11, 14)
    assert (StatusCode.errADDRESS, StatusCode.errPROG, StatusCode.errSTALLEDPKT) == (8, 6, 15)


@pytest.mark.parametrize(
    ("data", "code", "poll_ms", "state", "words"),
    [
        ("00 00 00 00 02 00", 0, 0, 2, "dfuIDLE, OK"),
        ("00 E8 03 00 04 00", 0, 1000, 4, "dfuDNBUSY, OK"),
        ("00 00 00 00 05 00", 0, 0, 5, "dfuDNLOAD-IDLE, OK"),
        ("0E 00 00 00 0A 00", 14, 0, 10, "dfuERROR, errUNKNOWN"),
        ("0B 64 00 00 0A 07", 11, 100, 10, "dfuERROR, errVENDOR"),
        ("05 00 00 00 08 00", 5, 0, 8, "dfuMANIFEST-WAIT-RESET, errCHECK_ERASED"),
        ("00 FF FF FF 04 00", 0, 16_777_215, 4, "dfuDNBUSY, OK"),
        ("00 01 02 03 09 00", 0, 0x030201, 9, "dfuUPLOAD-IDLE, OK"),
        ("00 00 00 00 0F 00", 0, 0, 15, "State 15, OK"),
        ("FF 00 00 00 FF FF", 255, 0, 255, "State 255, StatusCode 255"),
    ],
)
def test_six_bytes_are_a_status(data: str, code: int, poll_ms: int, state: int, words: str) -> None:
    status = Status.parse(Answer(bytes.fromhex(data), 12.5))
    assert status == (code, poll_ms, state, 12.5)
    assert str(status) == words


@pytest.mark.parametrize("length", [0, 1, 5, 7, 64])
def test_any_other_number_of_bytes_is_no_status(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"^GETSTATUS answered {length} bytes instead of 6$"):
        Status.parse(Answer(bytes(length), 0.0))


def test_the_functional_descriptor_of_an_h743_is_read() -> None:
    found = Functional.find(ROM_FUNCTIONAL)
    assert found == (0x0B, 255, 1024, 0x011A)
    assert found is not None
    assert found.will_detach


def test_a_functional_descriptor_of_dfu_1_0_has_no_version() -> None:
    found = Functional.find(DFU_1_0_FUNCTIONAL)
    assert found == (0x07, 1000, 64, 0)
    assert found is not None
    assert not found.will_detach


def test_other_descriptors_around_it_are_stepped_over() -> None:
    assert Functional.find(CDC_HEADER + ROM_FUNCTIONAL + CDC_HEADER) == (0x0B, 255, 1024, 0x011A)


def test_the_first_of_several_counts() -> None:
    assert Functional.find(ROM_FUNCTIONAL + DFU_1_0_FUNCTIONAL) == (0x0B, 255, 1024, 0x011A)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x09",
        b"\x00\x21" * 20,
        b"\x01\x21\x0b\xff\x00\x00\x04\x1a\x01",
        CDC_HEADER,
        ROM_FUNCTIONAL[:-1],
        ROM_FUNCTIONAL[:7],
        CDC_HEADER[:-1] + ROM_FUNCTIONAL,
        bytes.fromhex("08 21 0B FF 00 00 04 1A"),
    ],
    ids=[
        "nothing",
        "a lone length",
        "length 0",
        "length 1",
        "another type",
        "one byte short",
        "cut to the length of DFU 1.0",
        "behind a cut descriptor",
        "of a length that no standard has",
    ],
)
def test_garbage_holds_no_functional_descriptor(garbage: bytes) -> None:
    assert Functional.find(garbage) is None


def test_a_hid_descriptor_has_the_same_type_and_so_the_interface_class_must_be_looked_at_first() -> None:
    assert Functional.find(HID) is not None


@given(st.binary(max_size=300))
def test_no_bytes_break_the_search(data: bytes) -> None:
    found = Functional.find(data)
    assert found is None or (0 <= found.attributes <= 0xFF and 0 <= found.transfer_size <= 0xFFFF)
