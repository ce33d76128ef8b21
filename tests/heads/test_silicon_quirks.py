"""Which quirks are reckoned with, and what their remedies make of the plan; unknown means the worse."""

from __future__ import annotations

import pytest

from tests.heads.silicon_kit import TABLE, row
from updater.heads.dfu.scripts import AS_TOLD, Polling
from updater.heads.silicon import BankMode, Behaviour, Quirk, StuckErase

H743, F405, F767, G0B1, L476 = "stm32h743", "stm32f405", "stm32f767", "stm32g0b1", "stm32l476"
WEDGE = "bank2-erase-wedge"


def behaviour(
    chip: str, rom: int | None = None, revision: str | None = None, bank_mode: BankMode | None = None
) -> Behaviour:
    return TABLE.behaviour(row(chip), rom_version=rom, revision=revision, bank_mode=bank_mode)


def quirks(
    chip: str, rom: int | None = None, revision: str | None = None, bank_mode: BankMode | None = None
) -> set[str]:
    found = TABLE.quirks(row(chip), rom_version=rom, revision=revision, bank_mode=bank_mode)
    return {quirk.id for quirk in found}


# --------------------------------------------------------------------------------------- the H74x, by its ROM


@pytest.mark.parametrize(
    ("rom_version", "revision", "applies"),
    [
        (0x90, "V", True),
        (0x91, "V", True),
        (0x91, None, True),
        (0x91, "Y", True),
        (0x92, "V", False),
        (0x92, None, False),
        (0xD2, "Y", False),
        (0xD3, "V", False),
        (None, "V", True),
        (None, "X", True),
        (None, "Z", True),
        (None, None, True),
        (None, "Y", False),
        (0x93, "V", True),
        (0x93, "Y", False),
    ],
)
def test_the_wedge_is_known_absent_or_assumed(
    rom_version: int | None, revision: str | None, applies: bool
) -> None:
    """A ROM that is not known, or none of the row's, is taken for a faulty one, except on rev Y."""
    found = behaviour(H743, rom_version, revision)
    cure = StuckErase(from_address=0x0810_0000, wait_ms=4000)
    assert found.stuck_erase == (cure if applies else None)
    assert (WEDGE in {limitation.id for limitation in found.limitations}) is applies
    assert found.pace.may_stick is applies


@pytest.mark.parametrize(
    ("rom_version", "revision", "no_mass_erase", "replug"),
    [
        (0xD2, "Y", False, True),
        (0xD3, "Y", True, False),
        (0x90, "V", False, False),
        (0x91, "V", False, False),
        (0x92, "V", False, False),
        (None, "V", False, False),
        (None, "X", False, False),
        (None, "Y", True, True),
        (None, "Z", True, True),
        (None, None, True, True),
    ],
)
def test_what_early_h74x_roms_cannot_do_is_known_or_assumed(
    rom_version: int | None, revision: str | None, no_mass_erase: bool, replug: bool
) -> None:
    """AN2606 table 136: Go is broken in V13.2, mass erase in V13.3; revisions X and V have V9.x."""
    found = behaviour(H743, rom_version, revision)
    assert (found.no_mass_erase is not None, found.replug_to_start) == (no_mass_erase, replug)


@pytest.mark.parametrize(
    ("rom_version", "near"), [(0x90, 16), (0x91, 16), (0x92, 16), (0xD2, 0), (0xD3, 0), (None, 16)]
)
def test_the_stack_rule_is_that_of_the_v9_roms(rom_version: int | None, near: int) -> None:
    assert behaviour(H743, rom_version).replug_if_stack_within == near


def test_the_ends_of_the_h74xs_rams_are_those_of_its_memory_map() -> None:
    """RM0433: ITCM 64 KB, DTCM 128 KB, AXI SRAM 512 KB, SRAM1 to 3 288 KB, SRAM4 64 KB."""
    ends = row(H743).stack_ends
    assert ends is not None
    assert set(ends.value) == {
        0x0000_0000 + 0x1_0000,
        0x2000_0000 + 0x2_0000,
        0x2400_0000 + 0x8_0000,
        0x3000_0000 + 0x4_8000,
        0x3800_0000 + 0x1_0000,
    }


# --------------------------------------------------------------------------------------------- the others


@pytest.mark.parametrize(("mode", "applies"), [("dual", True), ("single", False), (None, True)])
def test_the_f76x_erases_the_wrong_sector_in_two_banks_only(mode: BankMode | None, applies: bool) -> None:
    """An unknown bank mode is assumed to be the bad one."""
    found = behaviour(F767, 0x93, None, mode)
    assert (found.no_sector_erase_in_bank2 is not None) is applies
    if applies:
        assert "erases the wrong sector" in (found.no_sector_erase_in_bank2 or "")


def test_an_f76x_whose_rom_is_not_known_has_the_fault_too() -> None:
    assert behaviour(F767, None, None, "dual").no_sector_erase_in_bank2 is not None
    assert behaviour(F767, 0x99, None, "dual").no_sector_erase_in_bank2 is not None


@pytest.mark.parametrize("chip", ["stm32f746", "stm32f722", "stm32f429", "stm32f469"])
def test_no_other_chip_with_such_sectors_has_that_fault(chip: str) -> None:
    assert behaviour(chip, None, None, "dual").no_sector_erase_in_bank2 is None


@pytest.mark.parametrize("rom_version", [None, 0x31, 0x90, 0x91])
def test_an_f405_has_no_second_bank_and_no_wedge(rom_version: int | None) -> None:
    found = behaviour(F405, rom_version)
    assert (found.stuck_erase, found.no_sector_erase_in_bank2, found.no_mass_erase) == (None, None, None)
    assert found.polling == Polling(at_once=True)


@pytest.mark.parametrize(
    "chip",
    ["stm32l412", "stm32l432", "stm32l452", "stm32l476", "stm32l496", "stm32l4r5", "stm32l4p5"],
)
def test_every_l4_may_stall_three_polls(chip: str) -> None:
    """dfu-util survives three stalled GETSTATUS for the sake of the L4."""
    assert behaviour(chip).polling == Polling(stalls=3)


@pytest.mark.parametrize("rom_version", [None, 0xA3, 0x90, 0x92])
def test_an_l47x_gets_multiples_of_eight_bytes(rom_version: int | None) -> None:
    assert "odd-buffers-are-corrupted" in quirks(L476, rom_version)
    assert behaviour(L476, rom_version).unit_bytes == 8


@pytest.mark.parametrize(("rom_version", "applies"), [(0x92, True), (None, True), (0xD0, False)])
def test_the_g0b1_fails_at_lists_of_sectors(rom_version: int | None, applies: bool) -> None:
    """V9.2 of the G0B1; the G0B0, whose ROM is V13.0, is another ROM of the row."""
    assert ("several-sectors-at-once" in quirks(G0B1, rom_version)) is applies


@pytest.mark.parametrize("chip", ["stm32c531", "stm32c562", "stm32c5a3"])
def test_the_c5_is_never_sent_clrstatus_on_suspicion(chip: str) -> None:
    assert quirks(chip) == {"clrstatus-only-in-error"}
    assert behaviour(chip).polling == AS_TOLD


def test_a_chip_without_quirks_is_waited_for_as_told() -> None:
    found = behaviour("stm32g431")
    assert (quirks("stm32g431"), found.polling, found.unit_bytes) == (set(), AS_TOLD, 8)
    assert (found.replug_to_start, found.replug_if_stack_within) == (False, 0)


# -------------------------------------------------------------------------------------------- for people


def test_a_limitation_has_words_and_all_its_sources() -> None:
    found = {limitation.id: limitation for limitation in behaviour(H743, 0x91, "V").limitations}
    wedge = found[WEDGE]
    assert wedge.text.startswith("When the second half of the flash is erased, this ROM goes on saying")
    assert len(wedge.source) == 3
    assert any("AN2606 table 136" in source for source in wedge.source)
    assert any("ST:234209" in source for source in wedge.source)
    assert wedge.handled


def test_what_is_only_good_to_know_is_not_handled_and_its_source_says_if_it_is_inferred() -> None:
    found = {limitation.id: limitation for limitation in behaviour("stm32h7a3", 0x90).limitations}
    shared = found["h7a3-serial-is-shared"]
    assert not shared.handled
    assert shared.source[0].endswith("(inferred)")
    assert not found["h7a3-wrong-sectors"].source[0].endswith("(inferred)")


@pytest.mark.parametrize(
    ("rom_version", "applies"), [(0x90, True), (None, True), (0x91, False), (0x92, False), (0xD2, False)]
)
def test_a_limitation_of_one_rom_is_told_of_that_one_and_of_an_unknown_one(
    rom_version: int | None, applies: bool
) -> None:
    found = {limitation.id for limitation in behaviour(H743, rom_version, "V").limitations}
    assert ("h74x-one-more-reset" in found) is applies
    assert "h74x-serial-is-shared" in found


def test_no_limitation_is_told_twice() -> None:
    for chip in TABLE.chip:
        for rom in (None, *(rom.id for rom in chip.roms)):
            told = [one.id for one in TABLE.behaviour(chip, rom_version=rom, revision=None).limitations]
            assert len(told) == len(set(told)), chip.id


# ------------------------------------------------------------------------------------- without a remedy


@pytest.mark.parametrize("quirk", TABLE.quirk, ids=lambda quirk: quirk.id)
def test_without_its_remedy_a_quirk_is_still_there(quirk: Quirk) -> None:
    """The symptom stays, so that the lab plays it; only what the updater does is emptied."""
    bare = TABLE.without_remedy(quirk.id)
    by_id = {one.id: one for one in bare.quirk}
    for before in TABLE.quirk:
        after = by_id[before.id]
        if before.id == quirk.id:
            assert (after.symptom, after.match) == (before.symptom, before.match)
            assert not after.remedy.guards_against_damage
            assert after.remedy.source == before.remedy.source
        else:
            assert after == before
    assert bare.chip == TABLE.chip


def test_without_the_cure_the_wedge_is_not_cured() -> None:
    bare = TABLE.without_remedy(WEDGE).behaviour(row(H743), rom_version=0x91, revision="V")
    assert bare.stuck_erase is None
    assert WEDGE in {limitation.id for limitation in bare.limitations}
