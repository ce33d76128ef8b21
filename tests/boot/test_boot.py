"""The STM32F405 images run: in QEMU they say who they are and go where the ROM would be.

What cannot be seen here: the ROM itself (the board in QEMU has none), USB, and anything of the STM32H743
(QEMU has no such chip).
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.boot.firmware import build, committed, flash_image, need_the_compiler
from tests.boot.qemu import Machine, NoLineError, boot_and_read_line, loader
from tests.tools import need

pytestmark = pytest.mark.boot

STANDIN_ADDRESS = 0x08080000  # the second half of the flash, which the demo firmware does not use


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_the_gadget_boots_and_says_its_version(version: str, tmp_path: Path) -> None:
    need("qemu-system-arm")
    flash = flash_image(committed(f"demo-gadget-{version}"), tmp_path / "flash.bin")
    assert boot_and_read_line(flash) == f"demo-gadget {version} (hardware A, security counter 1)"


def test_the_gadget_finds_the_voice_of_its_own_version(tmp_path: Path) -> None:
    need("qemu-system-arm")
    with Machine(flash_image(committed("demo-gadget-1.1.0"), tmp_path / "flash.bin")) as machine:
        machine.read_line()
        # 16 waves of 64 samples and 32 of 40, five times: (1,024 + 1,280) x 5
        assert machine.read_line() == "voice 1.1.0, 11520 samples"


def test_an_erased_flash_says_nothing(tmp_path: Path) -> None:
    need("qemu-system-arm")
    flash = tmp_path / "flash.bin"
    flash.write_bytes(b"\xff" * 0x100000)
    # The initial stack pointer and the reset vector are 0xFFFFFFFF: the core locks up, and QEMU gives up.
    with pytest.raises(NoLineError, match="Lockup"):
        boot_and_read_line(flash, deadline_s=5)


def wait_for_log(log: Path, text: str, deadline_s: float = 30) -> str:
    """QEMU's log as soon as it holds a text; at the deadline, the log as it is."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if log.exists() and text in log.read_text("utf-8", "replace"):
            break
        time.sleep(0.05)
    return log.read_text("utf-8", "replace")


def test_r_resets_the_gadget_and_takes_it_to_the_system_memory(tmp_path: Path) -> None:
    need("qemu-system-arm")
    flash = flash_image(committed("demo-gadget-1.0.0"), tmp_path / "flash.bin")
    log = tmp_path / "qemu.log"
    with Machine(flash, ["-d", "int,unimp,guest_errors,cpu_reset", "-D", str(log)]) as machine:
        machine.read_line()
        machine.read_line()
        machine.send(b"xR")  # another letter does nothing
        assert machine.read_line() == "restarting in the ROM bootloader"
        # QEMU's board has nothing at 0x1FFF0000: fetching the ROM's stack pointer is a bus fault,
        # and that is as far as one can see.
        seen = wait_for_log(log, "BFAR 0x1fff0000")
    after_reset = seen.rpartition("CPU Reset")[2]
    assert "BFAR 0x1fff0000" in after_reset
    remap = after_reset.find("Changing the memory mapping")  # QEMU says so when SYSCFG_MEMRMP is written
    assert 0 <= remap < after_reset.find("BFAR 0x1fff0000")


def build_with_standin(folder: Path) -> tuple[Path, Path]:
    """The gadget with only the ROM's address changed, and the stand-in for that address."""
    build(folder, cflags=f"-DROM_VECTOR_TABLE={STANDIN_ADDRESS:#x}u")
    source, elf, raw = (
        Path(__file__).with_name("standin_rom.S"),
        folder / "standin.elf",
        folder / "standin.bin",
    )
    link = ["-nostdlib", "-Wl,--build-id=none", f"-Wl,-Ttext={STANDIN_ADDRESS:#x}", "-Wl,-e,vectors"]
    subprocess.run(["arm-none-eabi-gcc", *link, "-o", str(elf), str(source)], check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(raw)], check=True)
    return flash_image(folder / "demo-gadget-1.0.0.hex", folder / "flash.bin"), raw


def test_the_jump_enters_a_stand_in_rom_on_its_own_stack_and_comes_back_through_one_more_reset(
    tmp_path: Path,
) -> None:
    need("qemu-system-arm")
    need_the_compiler()
    flash, standin = build_with_standin(tmp_path)
    log = tmp_path / "qemu.log"
    extra = [*loader(standin, STANDIN_ADDRESS), "-d", "int,cpu_reset", "-D", str(log)]
    with Machine(flash, extra) as machine:
        machine.read_line()
        machine.read_line()
        before = log.read_text("utf-8", "replace").count("CPU Reset")
        machine.send(b"R")
        assert machine.read_line() == "restarting in the ROM bootloader"
        assert machine.read_line() == "stand-in ROM with its own stack"
        # The request held once: the second reset leads into the firmware.
        assert machine.read_line() == "demo-gadget 1.0.0 (hardware A, security counter 1)"
        assert log.read_text("utf-8", "replace").count("CPU Reset") - before == 2
