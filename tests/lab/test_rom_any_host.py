"""Whatever a host sends, the ROM answers, stalls or hangs; it never breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.bench import Host, rom_of
from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.rom import Dialect, Rom

ROMS: dict[str, Callable[[Dialect], Rom]] = {
    "F405": lambda dialect: rom_of("stm32f405", dialect),
    "H743 with the wedge": lambda dialect: rom_of("stm32h743", dialect, rom_version=0x91),
    "F767 in two banks": lambda dialect: rom_of("stm32f767", dialect, bank_mode="dual"),
    "L476": lambda dialect: rom_of("stm32l476", dialect),
    "G0B1": lambda dialect: rom_of("stm32g0b1", dialect, rom_version=0x92),
    "C562": lambda dialect: rom_of("stm32c562", dialect),
    "H7A3 of 1 MB": lambda dialect: rom_of("stm32h7a3", dialect, flash_kib=1024),
}
ADDRESSES = st.sampled_from(
    [
        0x08000000,
        0x08080000,
        0x08100000,
        0x0810FFFF,
        0x1FFF7800,
        0x08FFF000,
        0x1FFFC000,
        0x5200201C,
        0,
        0xFFFFFFFF,
    ]
)
COMMANDS = st.builds(
    lambda name, address: bytes([name]) + address.to_bytes(4, "little"),
    st.sampled_from([0x21, 0x41]),
    ADDRESSES,
)
LIST = st.builds(
    lambda some: b"\x41" + b"".join(address.to_bytes(4, "little") for address in some),
    st.lists(ADDRESSES, min_size=2, max_size=4),
)
DATA = st.one_of(
    COMMANDS,
    LIST,
    st.sampled_from([b"", b"\x41", b"\x92", b"\0" * 32, b"\0" * 300, b"\0" * 1024, b"\0" * 4096]),
)
OUT = st.tuples(st.just(0x21), st.integers(0, 7), st.sampled_from([0, 1, 2, 3, 900, 65535]), DATA)
IN = st.tuples(
    st.just(0xA1), st.integers(0, 7), st.sampled_from([0, 1, 2, 900]), st.sampled_from([0, 1, 6, 1024, 4096])
)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("which", ROMS)
@settings(deadline=None, max_examples=25)
@given(requests=st.lists(st.one_of(OUT, IN), max_size=30))
def test_no_sequence_of_requests_breaks_the_rom(
    which: str, dialect: Dialect, requests: list[tuple[int, int, int, bytes | int]]
) -> None:
    host = Host(ROMS[which](dialect))
    options = bytes(host.rom.memory.options)
    for request_type, request, value, data in requests:
        with contextlib.suppress(Stalled, TimedOut, Vanished):
            answer = host.rom.control(request_type, request, value, 0, data)
            assert len(answer) <= (data if isinstance(data, int) else 0)
        if host.rom.left_to is not None:  # it is gone: nobody answers any more
            break
    if not host.rom.hung and host.rom.left_to is None:
        assert still_answers(host)
    assert bytes(host.rom.memory.options) == options
    assert not host.rom.hung or host.rom.violations


def still_answers(host: Host) -> bool:
    """Six bytes, once it has stalled as often as it may; or it leaves, if that was what it was told."""
    for _ in range(3):
        try:
            return len(host.read(3)) == 6
        except Stalled:
            continue
        except Vanished:
            return host.rom.left_to is not None
    return False
