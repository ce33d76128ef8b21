"""Whatever a host sends, the ROM answers, stalls or hangs; it never breaks."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.bench import CHIPS, Host, rom_of
from updater.dfu.words import Stalled, TimedOut
from updater.lab.rom import Dialect

ADDRESSES = st.sampled_from(
    [0x08000000, 0x08100000, 0x0810FFFF, 0x1FFF7800, 0x1FFFC000, 0x5200201C, 0, 0xFFFFFFFF]
)
COMMANDS = st.builds(
    lambda name, address: bytes([name]) + address.to_bytes(4, "little"),
    st.sampled_from([0x21, 0x41]),
    ADDRESSES,
)
DATA = st.one_of(COMMANDS, st.sampled_from([b"", b"\x41", b"\x92", b"\0" * 32, b"\0" * 1024, b"\0" * 4096]))
OUT = st.tuples(st.just(0x21), st.integers(0, 7), st.sampled_from([0, 1, 2, 3, 900, 65535]), DATA)
IN = st.tuples(
    st.just(0xA1), st.integers(0, 7), st.sampled_from([0, 1, 2, 900]), st.sampled_from([0, 1, 6, 1024, 4096])
)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("chip", CHIPS)
@settings(deadline=None, max_examples=60)
@given(requests=st.lists(st.one_of(OUT, IN), max_size=30))
def test_no_sequence_of_requests_breaks_the_rom(
    chip: str, dialect: Dialect, requests: list[tuple[int, int, int, bytes | int]]
) -> None:
    host = Host(rom_of(chip, dialect, rom_version={"stm32h743": 0x91}.get(chip)))
    for request_type, request, value, data in requests:
        with contextlib.suppress(Stalled, TimedOut):
            answer = host.rom.control(request_type, request, value, 0, data)
            assert len(answer) <= (data if isinstance(data, int) else 0)
    if not host.rom.hung:
        assert len(host.read(3)) == 6
    assert set(host.rom.memory.options) == {0xFF}
    assert not host.rom.hung or host.rom.violations
