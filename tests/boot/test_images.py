"""The committed images, read as data: header, vectors, segments, and the code of the way into the ROM."""

from __future__ import annotations

import re
import struct
import subprocess

import pytest
from intelhex import IntelHex

from tests.boot.firmware import NAMES, committed, content
from tests.tools import need

pytestmark = pytest.mark.boot

WIDGETS = ("demo-widget-1.0.0", "demo-widget-1.1.0")
GADGETS = ("demo-gadget-1.0.0", "demo-gadget-1.1.0")


def load(name: str) -> IntelHex:
    return IntelHex(str(committed(name)))


@pytest.mark.parametrize("name", NAMES)
def test_the_product_header_is_at_0x400_and_says_what_the_file_name_says(name: str) -> None:
    raw = content(load(name), 0x08000400, 44)
    magic, schema, length, product, hardware, *version, zero, counter = struct.unpack("<4sHH16s8s4HI", raw)
    assert magic == b"FWID"
    assert (schema, length) == (1, 44)
    assert product == name[: -len("-1.0.0")].encode().ljust(16, b"\0")
    assert hardware == b"A\0\0\0\0\0\0\0"
    assert ".".join(map(str, version)) == name[-len("1.0.0") :]
    assert (zero, counter) == (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_initial_stack_pointer_is_in_ram_and_below_its_end_minus_16(name: str) -> None:
    (stack_pointer,) = struct.unpack("<I", content(load(name), 0x08000000, 4))
    # Both chips have 128 KiB at 0x20000000. AN2606: the STM32H743's ROM 9.0 starts nothing whose
    # stack pointer is higher than that; the same 16 bytes hold the request to enter the ROM.
    assert 0x20000000 < stack_pointer < 0x20020000 - 16
    assert stack_pointer % 8 == 0  # the procedure call standard


@pytest.mark.parametrize(
    ("name", "vectors"), [(n, 16 + 150) for n in WIDGETS] + [(n, 16 + 82) for n in GADGETS]
)
def test_every_vector_is_thumb_code_behind_the_product_header(name: str, vectors: int) -> None:
    image = load(name)
    handlers = struct.unpack(f"<{vectors - 1}I", content(image, 0x08000004, 4 * (vectors - 1)))
    code_end = next(end for start, end in image.segments() if start == 0x08000400)
    for handler in handlers:
        assert handler % 2 == 1
        assert 0x08000400 + 44 <= handler < code_end
    assert image.segments()[0] == (0x08000000, 0x08000000 + 4 * vectors)


@pytest.mark.parametrize("name", WIDGETS)
def test_the_widget_has_its_voice_in_bank_2(name: str) -> None:
    image = load(name)
    assert [start for start, _ in image.segments()] == [0x08000000, 0x08000400, 0x08100000]
    magic, *version, zero, count = struct.unpack("<4s4HI", content(image, 0x08100000, 16))
    assert magic == b"VOIC"
    assert ".".join(map(str, version)) == name[-len("1.0.0") :]
    assert zero == 0
    assert image.segments()[2] == (0x08100000, 0x08100000 + 16 + 2 * count)


@pytest.mark.parametrize("name", GADGETS)
def test_the_gadget_reaches_into_its_second_sector_and_stays_in_flash(name: str) -> None:
    start, end = load(name).segments()[-1]
    assert start < 0x08004000 < end < 0x08008000  # sectors 0 and 1 of an STM32F405 have 16 KiB each


def test_the_voice_is_a_sine_wave() -> None:
    first_wave = struct.unpack("<64h", content(load("demo-widget-1.0.0"), 0x08100010, 128))
    # sin(0), sin(30 degrees is between steps), sin(90), sin(180), sin(270) at 8192 full scale
    assert [first_wave[step] for step in (0, 16, 32, 48)] == [0, 8192, 0, -8192]
    # sin(45 degrees) x 8192 = 5792.6; Bhaskara's approximation is off by less than 0.2 %
    assert first_wave[8] == pytest.approx(5792.6, rel=0.002)


def disassembly(name: str, start: int, length: int) -> list[str]:
    """Thumb instructions of an image, one per line, as GNU objdump writes them."""
    span = [f"--start-address={start:#x}", f"--stop-address={start + length:#x}"]
    command = ["arm-none-eabi-objdump", "-D", "-b", "ihex", "-m", "arm", "-M", "force-thumb", *span]
    answer = subprocess.run([*command, str(committed(name))], check=True, capture_output=True, text=True)
    return [line for line in answer.stdout.splitlines() if re.match(r"\s*[0-9a-f]+:\t", line)]


def literals(image: IntelHex, code: list[str]) -> set[int]:
    """The constants that these instructions load from behind the code."""
    places = [re.search(r"ldr.*\[pc, #\d+\].*\(0x([0-9a-f]+)\)", line) for line in code]
    return {struct.unpack("<I", content(image, int(p[1], 16), 4))[0] for p in places if p is not None}


def first_function_called(name: str) -> list[str]:
    """The instructions of the function that the reset handler calls first, as far as its jump."""
    (reset,) = struct.unpack("<I", content(load(name), 0x08000004, 4))
    called = next(
        m for line in disassembly(name, reset - 1, 16) if (m := re.search(r"\tbl\t0x([0-9a-f]+)", line))
    )
    code = disassembly(name, int(called[1], 16), 160)
    end = next(number for number, line in enumerate(code) if re.search(r"\tbx\tr\d", line))
    return code[: end + 1]


def position(code: list[str], pattern: str) -> int:
    return next(number for number, line in enumerate(code) if re.search(pattern, line))


# AN2606: where the ROM's vector table is.
@pytest.mark.parametrize(
    ("name", "rom"), [(n, 0x1FF09800) for n in WIDGETS] + [(n, 0x1FFF0000) for n in GADGETS]
)
def test_the_reset_handler_first_compares_the_request_and_jumps_through_the_rom_s_vectors(
    name: str, rom: int
) -> None:
    need("arm-none-eabi-objdump")
    code = first_function_called(name)
    constants = literals(load(name), code)
    assert {0xB007D0F5, 0x4FF82F0A} <= constants  # the request and its inverse
    assert rom in constants
    assert position(code, r"\tcmp\t") < position(code, r"\tmsr\tMSP, r\d") < position(code, r"\tbx\tr\d")


@pytest.mark.parametrize("name", WIDGETS)
def test_the_widget_makes_the_rom_s_vectors_current_before_the_jump(name: str) -> None:
    need("arm-none-eabi-objdump")
    code = first_function_called(name)
    # VTOR is 0xE000ED08; #3336 is 0xD08, added to 0xE000E000
    assert (
        position(code, r"#3758153728.*0xe000e000")
        < position(code, r"\tstr.*#3336\]")
        < position(code, r"\tmsr\tMSP")
    )
