"""The folder of boards: what is kept, what is refused, and who may be in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.bench import F405, FLASH, H743, UID, WIDGET, files, firmware, image
from updater.lab.clock import VirtualClock
from updater.lab.record import BoardState, FaultKind, Power
from updater.lab.shelf import add_board, load_records, open_lab, remove_board
from updater.words.errors import StorageFailed, Usage
from updater.words.facts import Segment


def test_a_board_is_four_files(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405, segments=firmware())
    assert files(tmp_path / "board1") == {"board.toml", "flash.bin", "otp.bin", "options.bin"}
    assert (tmp_path / "board1" / "flash.bin").read_bytes() == image().ljust(1024 * 1024, b"\xff")
    assert (tmp_path / "board1" / "otp.bin").read_bytes() == b"\xff" * 528
    assert (tmp_path / "board1" / "options.bin").read_bytes() == b"\xff\xaa" + b"\xff" * 14, (
        "RDP AA, as delivered (RM0090)"
    )


def test_a_chip_without_otp_has_an_empty_file(tmp_path: Path) -> None:
    add_board(tmp_path, chip=H743)
    assert (tmp_path / "board1" / "otp.bin").read_bytes() == b""
    assert (tmp_path / "board1" / "flash.bin").stat().st_size == 2 * 1024 * 1024


def test_everything_that_was_said_of_a_board_is_there_again(tmp_path: Path) -> None:
    record = add_board(
        tmp_path,
        chip=H743,
        name="north",
        revision="Y",
        rom_version=0xD3,
        uid=UID,
        port="2-1.4",
        power=Power.BUS,
        boot_button=False,
        product=WIDGET,
        segments=firmware(),
    )
    with open_lab(tmp_path, VirtualClock()) as lab:
        lab.board("north").set_fault(FaultKind.STICK_BUSY_AT, 0x08100000)
    (again,) = load_records(tmp_path)
    assert again.state is BoardState.APPLICATION
    assert again.fault is not None
    assert (again.fault.kind, again.fault.value, again.fault.seen) == (FaultKind.STICK_BUSY_AT, 0x08100000, 0)
    assert (again.uid, again.port, again.power, again.boot_button) == (UID, "2-1.4", Power.BUS, False)
    assert (again.revision, again.rom_version, again.product) == ("Y", 0xD3, WIDGET)
    assert record.name == "north"


def test_the_part_that_was_chosen_is_there_again(tmp_path: Path) -> None:
    add_board(
        tmp_path, chip="stm32f767", flash_kib=1024, reads_size=True, bank_mode="dual", segments=firmware()
    )
    add_board(tmp_path, chip=F405, looks_like="daisy-bootloader")
    with open_lab(tmp_path, VirtualClock()) as lab:
        part, alike = lab.boards
        assert part.memory.bank_mode == "dual"
        assert [sector.size // 1024 for sector in part.memory.flash.region.sectors] == (
            [16, 16, 16, 16, 64, 128, 128, 128] * 2
        )
        assert part.memory.read(0x1FF0F440, 4) == b"\xff\xff\x00\x04"
        assert alike.lookalike is not None
        assert alike.lookalike.id == "daisy-bootloader"
    again = load_records(tmp_path)
    assert [(each.flash_kib, each.reads_size, each.looks_like) for each in again] == [
        (1024, True, None),
        (None, False, "daisy-bootloader"),
    ]


def test_a_board_whose_option_bytes_divide_its_flash_otherwise_is_damaged(tmp_path: Path) -> None:
    """1 MB of an F42x in two banks is a part that no source describes."""
    add_board(tmp_path, chip="stm32f429", flash_kib=1024)
    options = bytearray((tmp_path / "board1" / "options.bin").read_bytes())
    options[9] |= 0x40  # DB1M, bit 14 at 0x1FFFC008
    (tmp_path / "board1" / "options.bin").write_bytes(options)
    with pytest.raises(StorageFailed, match="board1 is damaged"), open_lab(tmp_path, VirtualClock()):
        pass


def test_names_ports_and_uids_differ_by_themselves(tmp_path: Path) -> None:
    made = [add_board(tmp_path, chip=F405) for _ in range(11)]
    assert [board.name for board in made] == [f"board{number}" for number in range(1, 12)]
    assert [board.port for board in made] == [f"1-{number}" for number in range(1, 12)]
    assert len({board.uid for board in made}) == 11
    assert [board.name for board in load_records(tmp_path)] == [board.name for board in made]


def test_a_blank_board_starts_in_its_rom_and_one_with_firmware_runs_it(tmp_path: Path) -> None:
    assert add_board(tmp_path, chip=F405).state is BoardState.ROM
    assert add_board(tmp_path, chip=F405, segments=firmware()).state is BoardState.APPLICATION
    assert add_board(tmp_path, chip=F405, segments=firmware(), in_rom=True).state is BoardState.ROM


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"chip": "stm32f999"}, "no chip is called stm32f999"),
        ({"chip": H743, "revision": "Q"}, "no revision Q"),
        ({"chip": H743, "rom_version": 0x31}, "no ROM 0x31"),
        ({"chip": F405, "uid": b"short"}, "24 hex digits"),
        ({"chip": F405, "name": "../up"}, "no name for a board"),
        ({"chip": F405, "name": "taken"}, "already a board taken"),
        ({"chip": F405, "port": "1-1"}, "plugged into port 1-1"),
        ({"chip": F405, "port": "one"}, "no port path"),
        ({"chip": F405, "port": "1--2"}, "no port path"),
        ({"chip": F405, "port": "01-2"}, "no port path"),
        ({"chip": F405, "port": "1-2_0"}, "no port path"),
        ({"chip": F405, "segments": (Segment(address=FLASH + 1024 * 1024, data=b"\0"),)}, "does not fit"),
    ],
)
def test_a_board_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, object], says: str) -> None:
    add_board(tmp_path, chip=F405, name="taken")
    with pytest.raises(Usage, match=says):
        add_board(tmp_path, **wrong)  # type: ignore[arg-type] # wrong on purpose
    assert files(tmp_path) == {".lock", "taken"}


def test_what_was_written_is_kept_even_when_the_command_fails(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405)

    def fail_halfway() -> None:
        with open_lab(tmp_path, VirtualClock()) as lab:
            lab.boards[0].memory.flash.program(FLASH, b"\0\0\0\0")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    with open_lab(tmp_path, VirtualClock()) as lab:
        assert lab.boards[0].memory.flash.read(FLASH, 5) == b"\0\0\0\0\xff"
    assert files(tmp_path / "board1") == {"board.toml", "flash.bin", "otp.bin", "options.bin"}


def test_a_hanging_rom_still_hangs_for_the_next_command(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405)
    with open_lab(tmp_path, VirtualClock()) as lab:
        rom = lab.boards[0].rom
        assert rom is not None
        rom.hung = True
    with open_lab(tmp_path, VirtualClock()) as lab:
        rom = lab.boards[0].rom
        assert rom is not None
        assert rom.hung
        lab.boards[0].replug(boot=True)
    with open_lab(tmp_path, VirtualClock()) as lab:
        rom = lab.boards[0].rom
        assert rom is not None
        assert not rom.hung


def test_a_second_process_is_kept_out_with_exit_13(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405)
    script = f"""
import sys
from pathlib import Path
from updater.words.errors import StorageFailed
from updater.lab.clock import VirtualClock
from updater.lab.shelf import open_lab
try:
    with open_lab(Path({str(tmp_path)!r}), VirtualClock()):
        pass
except StorageFailed as error:
    print(error.message)
    sys.exit(error.exit_status)
"""
    command = [sys.executable, "-c", script]
    with open_lab(tmp_path, VirtualClock()):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 13
    assert "another process is using the lab folder" in second.stdout
    assert subprocess.run(command, check=False).returncode == 0


def test_a_folder_that_is_not_there_is_storage_failed(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="no lab folder"), open_lab(tmp_path / "x", VirtualClock()):
        pass


@pytest.mark.parametrize(
    ("file", "contents", "says"),
    [
        ("board.toml", b"schema = 2\n", "unknown schema"),
        ("board.toml", b"nonsense", "board.toml"),
        ("board.toml", b"\xff\xfe", "board.toml"),
        ("flash.bin", b"\xff", "has 1 bytes, not 1048576"),
        ("otp.bin", None, "otp.bin cannot be read"),
    ],
)
def test_a_damaged_board_is_named(tmp_path: Path, file: str, contents: bytes | None, says: str) -> None:
    add_board(tmp_path, chip=F405)
    path = tmp_path / "board1" / file
    path.unlink() if contents is None else path.write_bytes(contents)
    with pytest.raises(StorageFailed, match=says), open_lab(tmp_path, VirtualClock()):
        pass


def test_a_removed_board_is_gone_and_an_unknown_one_is_a_usage_error(tmp_path: Path) -> None:
    add_board(tmp_path, chip=F405)
    remove_board(tmp_path, "board1")
    assert files(tmp_path) == {".lock"}
    with pytest.raises(Usage, match="no board board1"):
        remove_board(tmp_path, "board1")


def test_a_copied_folder_is_a_board(tmp_path: Path) -> None:
    add_board(tmp_path / "a", chip=F405, segments=firmware())
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "board1").rename(tmp_path / "b" / "moved")
    (record,) = load_records(tmp_path / "b")
    assert (record.name, record.chip) == ("moved", F405)
