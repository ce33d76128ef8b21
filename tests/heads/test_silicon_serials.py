"""What a ROM's USB serial number is made of: every published example, and what it proves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.heads.silicon_kit import TABLE, row, words

UID = words(0x0020_0032, 0x3438_510E, 0x3137_3439)
"""The UID of an H745 whose ROM showed 200364500000 (ST:263112)."""


# ----------------------------------------------------------------------------------------- published examples


@pytest.mark.parametrize(
    ("chip", "uid", "idcode", "serial"),
    [
        ("stm32h743", UID, 0x2003_6450, "200364500000"),
        ("stm32h743", bytes(12), 0x1003_6450, "100364500000"),
        ("stm32f405", words(0x002D_0030, 0x3334_510B, 0x3231_3533), 0, "325E35633334"),
        ("stm32g0b1", bytes.fromhex("3D002C00 02504B57 35313920"), 0, "20653172574B"),
        ("stm32u575", words(0x0058_0027, 0x3331_500B, 0x2033_3153), 0, "208B317A3331"),
    ],
    ids=["H745 rev V, ST:263112", "H743 rev Y, ST:221810", "libopencm3 issue 760", "Klipper", "ST:848193"],
)
def test_a_serial_whose_uid_is_published_is_foretold(chip: str, uid: bytes, idcode: int, serial: str) -> None:
    assert row(chip).predicted_serials(uid=uid, idcode=idcode)[0] == serial


@pytest.mark.parametrize(
    ("chip", "total", "second", "serial"),
    [
        ("stm32f412", 0x365A_3750, 0x3537_0000, "365A375A3537"),
        ("stm32f413", 0x365A_3750, 0x3537_0000, "365A375A3537"),
        ("stm32f767", 0x356F_3453, 0x3438_0000, "356F345D3438"),
        ("stm32c071", 0x356F_3453, 0x3438_0000, "356F34533438"),
        ("stm32h723", 0x3560_376F, 0x3431_0000, "3560376F3431"),
        ("stm32h7a3", 0x336D_396B, 0x3434_0000, "336D396B3434"),
        ("stm32f429", 0x3264_3359, 0x3336_0000, "326433593336"),
    ],
    ids=["F412", "F413", "F765", "C071", "H72x", "H7A3", "F42x"],
)
def test_the_sum_is_shown_as_it_is_or_with_0x0a(chip: str, total: int, second: int, serial: str) -> None:
    """Of these the sum of first and third word is published, not the words."""
    for w0 in (0, 1, total):
        uid = words(w0, second | 0x1234, (total - w0) & 0xFFFF_FFFF)
        assert serial in row(chip).predicted_serials(uid=uid, idcode=0)


def test_an_f303_shows_the_third_word_twice() -> None:
    """206E33742033: its last four digits are the upper half of the third word, not of the second."""
    uid = words(0x003B_0024, 0xFFFF_FFFF, 0x2033_3350)
    assert row("stm32f303xc").predicted_serials(uid=uid, idcode=0) == ("206E33742033",)


@pytest.mark.parametrize(
    ("chip", "serial"),
    [
        ("stm32f446", "STM32FxSTM32"),
        ("stm32f722", "STM32FxSTM32"),
        ("stm32f105", "STM32"),
        ("stm32f072", "FFFFFFFEFFFF"),
        ("stm32f042", "FFFFFFFEFFFF"),
    ],
)
def test_some_roms_show_a_constant(chip: str, serial: str) -> None:
    assert row(chip).predicted_serials(uid=UID, idcode=0x1000_6421) == (serial,)
    assert row(chip).serial_contradiction(serial, uid=UID, idcode=0) is None
    assert row(chip).serial_contradiction("325E35633334", uid=UID, idcode=0) is not None


def test_the_constant_of_an_early_h7a3_is_the_sum_over_empty_memory() -> None:
    """ROM V9.0 shows FFFFFFFEFFFF (ST:86584); the later ones show the UID's sum. Either is believed."""
    h7a3 = row("stm32h7a3")
    assert row("stm32f405").predicted_serials(uid=b"\xff" * 12, idcode=0)[0] == "FFFFFFFEFFFF"
    foretold = h7a3.predicted_serials(uid=UID, idcode=0)
    assert foretold[0] == "3157346B3438"
    for shown in ("3157346B3438", "FFFFFFFEFFFF"):
        assert h7a3.serial_contradiction(shown, uid=UID, idcode=0) is None
    assert h7a3.serial_contradiction("3157346B3439", uid=UID, idcode=0) is not None


def test_a_random_serial_foretells_nothing_and_contradicts_nothing() -> None:
    l496 = row("stm32l496")
    assert l496.predicted_serials(uid=UID, idcode=0x1000_6461) == ()
    assert l496.serial_contradiction("123456789ABC", uid=UID, idcode=0x1000_6461) is None


def test_a_rule_that_nobody_knows_foretells_nothing() -> None:
    unknown = [chip for chip in TABLE.chip if chip.serial.value == "unknown"]
    assert len(unknown) > 5
    for chip in unknown:
        assert chip.predicted_serials(uid=UID, idcode=0x1000_6000) == ()
        assert chip.serial_contradiction("123456789ABC", uid=UID, idcode=0) is None


def test_a_rule_that_is_only_inferred_contradicts_nobody() -> None:
    inferred = [row for row in TABLE.chip if row.serial.standing == "inferred"]
    foretelling = [row for row in inferred if row.predicted_serials(uid=UID, idcode=0)]
    assert foretelling
    for chip in foretelling:
        assert chip.serial_contradiction("000000000000", uid=UID, idcode=0) is None


# ---------------------------------------------------------------------------------------------------- carries


def test_where_sources_disagree_about_a_carry_both_serials_are_possible() -> None:
    """The lower halves of these words add up to more than 16 bits: 3231FFFF + 002D0001."""
    uid = words(0x002D_0001, 0x3334_0000, 0x3231_FFFF)
    f405 = row("stm32f405")
    assert f405.predicted_serials(uid=uid, idcode=0) == ("325F00003334", "325E00003334")
    for shown in ("325F00003334", "325E00003334"):
        assert f405.serial_contradiction(shown, uid=uid, idcode=0) is None
    assert f405.serial_contradiction("326000003334", uid=uid, idcode=0) is not None


def test_the_added_0x0a_can_carry_too() -> None:
    uid = words(0, 0x3334_0000, 0x3231_FFFA)
    assert row("stm32f412").predicted_serials(uid=uid, idcode=0) == ("323200043334", "323100043334")


def test_a_sum_beyond_32_bits_loses_its_top_bit() -> None:
    assert row("stm32f405").predicted_serials(uid=words(0xFFFF_FFFF, 0, 1), idcode=0)[0] == "000000000000"


@settings(deadline=None)
@given(w0=st.integers(0, 0xFFFF_FFFF), w1=st.integers(0, 0xFFFF_FFFF), w2=st.integers(0, 0xFFFF_FFFF))
def test_without_a_carry_there_is_one_serial_of_twelve_digits(w0: int, w1: int, w2: int) -> None:
    foretold = row("stm32f405").predicted_serials(uid=words(w0, w1, w2), idcode=0)
    carries = (w0 & 0xFFFF) + (w2 & 0xFFFF) > 0xFFFF
    assert len(foretold) == (2 if carries else 1)
    for serial in foretold:
        assert len(serial) == 12
        assert serial == serial.upper()
        assert serial[8:] == f"{w1 >> 16:04X}"


# ----------------------------------------------------------------------------------- the revision in a serial


@pytest.mark.parametrize(
    ("idcode", "serial", "letter"),
    [
        (0x2003_6450, "200364500000", "V"),
        (0x1003_6450, "100364500000", "Y"),
        (0x2001_6450, "200164500000", "X"),
        (0x1001_6450, "100164500000", "Z"),
        (0x1000_6450, "100064500000", "A"),
    ],
)
def test_the_serial_of_an_h743_is_its_idcode_and_tells_the_revision(
    idcode: int, serial: str, letter: str
) -> None:
    h743 = row("stm32h743")
    assert h743.predicted_serials(uid=UID, idcode=idcode)[0] == serial
    rev_id = h743.rev_id_of(serial)
    assert rev_id == idcode >> 16
    assert h743.letter(rev_id) == letter


def test_only_the_first_eight_digits_of_an_idcode_serial_count() -> None:
    """The rest is a register that a debugger may have written to."""
    h743 = row("stm32h743")
    assert h743.rev_id_of("20036450BEEF") == 0x2003
    assert h743.serial_contradiction("20036450beef", uid=UID, idcode=0x2003_6450) is None


@pytest.mark.parametrize("serial", [None, "", "2003645", "200364830000", "STM32FxSTM32", "zzzzzzzzzzzz"])
def test_any_other_serial_tells_no_revision(serial: str | None) -> None:
    assert row("stm32h743").rev_id_of(serial) is None


def test_no_other_chips_serial_tells_a_revision() -> None:
    for chip in TABLE.chip:
        if chip.id != "stm32h743":
            assert chip.rev_id_of(f"20036{chip.dev_id.value:03X}0000") is None


def test_a_serial_that_was_not_foretold_is_a_contradiction_in_words() -> None:
    assert row("stm32h743").serial_contradiction("100364500000", uid=UID, idcode=0x2003_6450) == (
        "its bootloader has serial 100364500000, but 200364500000 was to be expected"
    )
    uid = words(0x002D_0030, 0x3334_510B, 0x3231_3533)
    f405 = row("stm32f405")
    assert f405.serial_contradiction("325e35633334", uid=uid, idcode=0) is None
    assert f405.serial_contradiction("325E35633335", uid=uid, idcode=0) is not None
    assert f405.serial_contradiction(None, uid=uid, idcode=0) is not None


def test_no_serial_is_said_to_be_unique_as_long_as_no_source_says_so() -> None:
    """Three words go in and twelve digits come out: two chips may share one."""
    assert [chip.id for chip in TABLE.chip if chip.serial_is_unique.value] == []
