"""Which bytes are burnt: exactly the wanted ones over blank ones, or a refusal; never one beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from updater.heads.dfu.layout import parse_layout
from updater.heads.dfu.scripts import drive, write
from updater.heads.dfu.words import Answer, In, Out, Wish
from updater.heads.otp.plan import (
    Lock,
    OtpContents,
    OtpPlan,
    Patch,
    alternate_of,
    check_patches,
    is_written_once,
    make_otp_plan,
    otp_area,
    parse_patches,
)
from updater.heads.otp.words import describe, dump
from updater.heads.silicon import Behaviour, Chip, the_table
from updater.heads.vendor import Product
from updater.lab.clock import VirtualClock
from updater.lab.flash import Memory, blank_options, size_of
from updater.lab.rom import Dialect, Rom
from updater.lab.symptoms import behaves
from updater.words.errors import Refused, Usage, WrongDevice
from updater.words.facts import DeviceFacts, IdentityFrom, Mode, Segment

F746, F405, G474, U575 = "stm32f746", "stm32f405", "stm32g474", "stm32u575"
ROWS = (F746, F405, G474, U575)
"""Units of 8, 4, 8 and 16 bytes; the first two with lock bytes, the others with ECC."""
WITH_OTP = [chip.id for chip in the_table().chip if chip.otp]


def row(chip: str) -> Chip:
    found = the_table().by_id(chip)
    assert found is not None
    return found


def behaviour(chip: str) -> Behaviour:
    return the_table().behaviour(row(chip), rom_version=None, revision=None)


def blank(chip: str, *patches: Patch, locked: tuple[int, ...] = ()) -> OtpContents:
    """A new part's memory, with these bytes burnt already and these blocks locked."""
    area = otp_area(row(chip))
    data, locks = bytearray(b"\xff" * area.bytes), bytearray(b"\xff" * area.lock_bytes)
    for patch in patches:
        data[patch.offset : patch.end] = patch.data
    for block in locked:
        locks[block] = 0
    return OtpContents(bytes(data), bytes(locks))


FACTS = DeviceFacts(
    name="Demo Widget",
    port="1-2",
    usb="1209:0001",
    mode=Mode.ROM,
    product="demo-widget",
    hardware="A",
    identity=IdentityFrom.APPLICATION,
)


def widget(chip: str) -> Product:
    return Product(
        id="demo-widget", number=1, title="Demo Widget", usb=("1209:0001",), chips=(chip,), hardware=("A",)
    )


def plan_for(chip: str, before: OtpContents, *patches: Patch) -> OtpPlan:
    return make_otp_plan(FACTS, widget(chip), behaviour(chip), patches, before)


# ------------------------------------------------------------------------------------------ OFFSET:BYTES


@pytest.mark.parametrize(
    ("text", "patch"),
    [
        ("0x20:0123456789ABCDEF", Patch(0x20, bytes.fromhex("0123456789abcdef"))),
        ("32:00", Patch(32, b"\0")),
        ("0X3fF:aA", Patch(0x3FF, b"\xaa")),
        ("010:ff", Patch(10, b"\xff")),
    ],
)
def test_an_offset_is_decimal_or_hexadecimal_and_bytes_are_hex_digits(text: str, patch: Patch) -> None:
    assert parse_patches([text]) == (patch,)


@pytest.mark.parametrize("text", ["", ":", "0x20", "0x20:", "0x20:1", "0x20:123", "-1:00", "0x:00", "1:0x00"])
def test_anything_else_is_not_guessed_at(text: str) -> None:
    with pytest.raises(Usage, match="is not OFFSET:BYTES") as caught:
        parse_patches(["0:00", text])
    assert "--hex 0x20:0123456789ABCDEF" in caught.value.advice


# ------------------------------------------------------------------------------------------------ the plan


def test_the_whole_plan_for_eight_bytes_on_an_f746() -> None:
    """The editor of ST-LINK Utility could not do this; the way out was one binary per board."""
    wanted = Patch(0x20, bytes.fromhex("0123456789ABCDEF"))
    plan = plan_for(F746, blank(F746), wanted)
    area = otp_area(row(F746))
    assert (area.at, area.bytes, area.block_bytes) == (0x1FF0_F000, 1024, 64)
    assert plan == OtpPlan(
        product="demo-widget",
        title="Demo Widget",
        hardware="A",
        identity=IdentityFrom.APPLICATION,
        chip=F746,
        chip_title="STM32F745/746/750/756",
        area=area,
        before=blank(F746),
        patches=(wanted,),
        changes=(wanted,),
        runs=(Segment(address=0x1FF0_F020, data=bytes.fromhex("0123456789ABCDEF")),),
        spent=(),
        pace=behaviour(F746).pace,
    )
    assert (plan.blocks, plan.changed_bytes, plan.write_bytes) == ((0,), 8, 8)
    assert plan.after == blank(F746, wanted)


def test_the_plan_in_words() -> None:
    before = blank(F746, Patch(0x1C, b"\x11"))
    plan = plan_for(F746, before, Patch(0x1C, b"\x11\x22"), Patch(0x41, b"\x00"))
    assert describe(plan) == [
        "Demo Widget, hardware A: 2 bytes into the OTP memory of its STM32F745/746/750/756",
        "region:   1,024 bytes at 0x1FF0F000, in blocks of 64",
        "0x001D:   old     FF",
        "          new     22",
        "0x0041:   old     FF",
        "          new     00",
        "result:   0x0010  FF FF FF FF FF FF FF FF FF FF FF FF 11 22 FF FF",
        "result:   0x0040  FF 00 FF FF FF FF FF FF FF FF FF FF FF FF FF FF",
        "blocks:   0, 1; lock bytes are not touched",
        "if cut:   run the same command; bytes that are there by then are skipped",
        "for ever: this can never be undone",
    ]


def test_what_is_beside_the_wanted_bytes_in_a_unit_is_sent_as_ff_whatever_it_holds() -> None:
    before = blank(F746, Patch(0x22, b"\x00\x37"))
    plan = plan_for(F746, before, Patch(0x21, b"\x12"))
    assert plan.runs == (Segment(address=0x1FF0_F020, data=b"\xff\x12\xff\xff\xff\xff\xff\xff"),)


def test_neighbouring_units_go_in_one_piece_and_others_by_themselves() -> None:
    plan = plan_for(F405, blank(F405), Patch(3, b"\x01\x02"), Patch(0x1FF, b"\x03"))
    assert plan.runs == (
        Segment(address=0x1FFF_7800, data=b"\xff\xff\xff\x01\x02\xff\xff\xff"),
        Segment(address=0x1FFF_79FC, data=b"\xff\xff\xff\x03"),
    )


def test_bytes_that_are_there_already_are_skipped_even_in_a_locked_block() -> None:
    before = blank(F746, Patch(0, b"\x01\x02"), locked=(0,))
    plan = plan_for(F746, before, Patch(0, b"\x01\x02\xff"))
    assert (plan.changes, plan.runs, plan.after) == ((), (), before)


def test_on_an_ecc_chip_the_plan_names_the_bytes_that_are_spent_with_the_others() -> None:
    plan = plan_for(G474, blank(G474), Patch(0x12, b"\x01\x02"))
    assert plan.spent == ((0x10, 2), (0x14, 4))
    assert "spent:    4 bytes at 0x0014 stay blank and can never be written after this" in describe(plan)
    assert plan_for(F746, blank(F746), Patch(0x12, b"\x01\x02")).spent == ()


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        (Patch(0x400, b"\0"), "offsets 0x400 to 0x400 are not all among the 1,024 bytes of OTP data"),
        (Patch(0x3FF, b"\0\0"), "offsets 0x3FF to 0x400 are not all among"),
        (Patch(0x20, b"\x81"), "holds 0x01 and cannot become 0x81: a 0 never becomes a 1 again"),
        (Patch(0x20, b"\xff"), "holds 0x01 and cannot become 0xFF: a 0 never becomes a 1 again"),
        (Patch(0x20, b"\x00"), "holds 0x01 and cannot become 0x00: only blank bytes are written"),
        (Patch(0x40, b"\x00"), "block 1 is locked: its lock byte is 0x00, not 0xFF"),
    ],
)
def test_what_cannot_be_burnt_is_refused_with_the_reason(patch: Patch, why: str) -> None:
    before = blank(F746, Patch(0x20, b"\x01"), locked=(1,))
    with pytest.raises(Refused, match=why) as caught:
        plan_for(F746, before, patch)
    assert caught.value.exit_status == 6


def test_a_lock_byte_that_is_neither_ff_nor_00_does_not_count_as_open() -> None:
    before = replace(blank(F746), locks=b"\x7f" + b"\xff" * 15)
    assert before.lock(0) is Lock.UNCLEAR
    with pytest.raises(Refused, match="its lock byte is 0x7F"):
        plan_for(F746, before, Patch(0, b"\0"))


def test_a_byte_that_is_given_twice_is_refused() -> None:
    with pytest.raises(Refused, match="the byte at offset 0x22 is given twice"):
        check_patches(otp_area(row(F746)), [Patch(0x22, b"\1"), Patch(0x20, b"\1\2\3")])


def test_a_used_unit_of_an_ecc_chip_is_refused() -> None:
    before = blank(G474, Patch(0x10, b"\x01"))
    with pytest.raises(Refused, match="the 8 bytes at offset 0x10 were written before"):
        plan_for(G474, before, Patch(0x14, b"\x02"))


def test_a_chip_that_the_product_is_not_made_with_is_refused() -> None:
    with pytest.raises(WrongDevice, match="is not made with one"):
        make_otp_plan(FACTS, widget(F405), behaviour(F746), [Patch(0, b"\0")], blank(F746))


def test_a_chip_that_is_only_listed_is_never_written() -> None:
    listed = next(chip for chip in the_table().chip if chip.otp and chip.geometry is None)
    with pytest.raises(Refused, match="is only listed"):
        plan_for(listed.id, blank(listed.id), Patch(0, b"\0"))


# ----------------------------------------------------------------------------- any contents, any patches


@st.composite
def memories(draw: st.DrawFn) -> tuple[str, OtpContents, tuple[Patch, ...]]:
    """A row, what its OTP memory holds (mostly blank), and what somebody wants, lawful or not."""
    chip = draw(st.sampled_from(ROWS))
    area = otp_area(row(chip))
    small = st.binary(min_size=1, max_size=20)
    places = st.integers(0, 96) | st.integers(area.bytes - 24, area.bytes + 3)
    used = draw(st.lists(st.tuples(places.filter(lambda at: at < area.bytes), small), max_size=3))
    locks = draw(st.lists(st.sampled_from([0, 1, area.bytes // area.block_bytes - 1]), max_size=1))
    before = blank(
        chip,
        *(Patch(at, data[: area.bytes - at]) for at, data in used),
        locked=tuple(locks) if area.lock_bytes else (),
    )
    wanted = draw(st.lists(st.tuples(places, small), min_size=1, max_size=3))
    return chip, before, tuple(Patch(at, data) for at, data in wanted)


def is_lawful(chip: str, before: OtpContents, patches: tuple[Patch, ...]) -> bool:
    """Told from the reference manuals: in the data, each byte once, blank or equal, open, unit unused."""
    area, unit = otp_area(row(chip)), behaviour(chip).unit_bytes
    offsets = [at for patch in patches for at in range(patch.offset, patch.end)]
    if len(set(offsets)) != len(offsets) or max(offsets) >= area.bytes:
        return False
    for patch in patches:
        for at, new in zip(range(patch.offset, patch.end), patch.data, strict=True):
            if before.data[at] == new:
                continue
            start = at // unit * unit
            is_used = any(byte != 0xFF for byte in before.data[start : start + unit])
            is_locked = area.lock_bytes and before.locks[at // area.block_bytes] != 0xFF
            if before.data[at] != 0xFF or is_locked or (not area.lock_bytes and is_used):
                return False
    return True


def after_all(before: OtpContents, patches: tuple[Patch, ...]) -> bytes:
    data = bytearray(before.data)
    for patch in patches:
        data[patch.offset : patch.end] = patch.data
    return bytes(data)


@given(memories())
def test_either_exactly_the_wanted_bytes_change_or_it_is_refused(
    case: tuple[str, OtpContents, tuple[Patch, ...]],
) -> None:
    """Bits only fall: what the memory holds afterwards is the AND of what it held and what was sent."""
    chip, before, patches = case
    if not is_lawful(chip, before, patches):
        with pytest.raises(Refused):
            plan_for(chip, before, *patches)
        return
    plan = plan_for(chip, before, *patches)
    area, unit = plan.area, behaviour(chip).unit_bytes
    data = bytearray(before.data)
    wanted = {at for patch in patches for at in range(patch.offset, patch.end)}
    for run in plan.runs:
        assert area.at <= run.address
        assert run.end <= area.end, "never into the lock bytes"
        assert run.address % unit == 0
        assert len(run.data) % unit == 0
        for at, sent in enumerate(run.data, start=run.address - area.at):
            assert sent == 0xFF or (at in wanted and data[at] == 0xFF)
            data[at] &= sent
    assert bytes(data) == after_all(before, patches) == plan.after.data
    assert plan.after.locks == before.locks


def sent_to_a_rom(plan: OtpPlan, dialect: Dialect) -> tuple[bytes, list[str]]:
    """What the OTP memory of a virtual ROM holds after the plan, and what no host may ever send."""
    silicon = row(plan.chip)
    otp = bytearray(plan.before.data + plan.before.locks)
    clock = VirtualClock()
    rom = Rom(
        memory=Memory(
            silicon,
            flash=bytearray(size_of(silicon, "flash")),
            otp=otp,
            options=blank_options(silicon),
            rom_id=0,
        ),
        behaves=behaves(the_table(), silicon, rom_version=0, revision="?"),
        transfer_size=silicon.transfer_size.value,
        clock=clock,
        dialect=dialect,
    )

    def perform(wish: Wish) -> Answer:
        data = b""
        if isinstance(wish, Out):
            rom.control(0x21, wish.request, wish.value, 0, wish.data)
        elif isinstance(wish, In):
            data = rom.control(0xA1, wish.request, wish.value, 0, wish.length)
        return Answer(data, clock.now_ms())

    for run in plan.runs:
        drive(write(run.address, run.data, plan.pace), perform)
    return bytes(otp), rom.violations


@pytest.mark.parametrize("dialect", Dialect)
@settings(deadline=None)
@given(memories())
def test_a_virtual_rom_that_is_sent_the_plan_holds_exactly_the_wanted_bytes(
    dialect: Dialect, case: tuple[str, OtpContents, tuple[Patch, ...]]
) -> None:
    chip, before, patches = case
    if not is_lawful(chip, before, patches):
        return
    holds, violations = sent_to_a_rom(plan_for(chip, before, *patches), dialect)
    assert holds == after_all(before, patches) + before.locks
    assert violations == []


TWENTY = bytes.fromhex("0102030405060708090a0b0c0d0e0f1011121314")


@pytest.mark.parametrize("chip", ROWS)
def test_a_write_that_was_cut_behind_any_byte_is_completed_or_told(chip: str) -> None:
    """Twenty bytes across the units of each geometry. Without ECC the rest is burnt; with it, whole units."""
    patch, unit = Patch(0x1E, TWENTY), behaviour(chip).unit_bytes
    for count in range(len(TWENTY) + 1):
        before = blank(chip, Patch(0x1E, TWENTY[:count]))
        is_in_a_unit = count and (0x1E + count) % unit and count < len(TWENTY)
        if is_in_a_unit and not before.locks:
            with pytest.raises(Refused, match="were written before") as caught:
                plan_for(chip, before, patch)
            assert f"at offset 0x{(0x1E + count) // unit * unit:X}" in caught.value.message
        else:
            plan = plan_for(chip, before, patch)
            assert plan.after.data == blank(chip, patch).data
            assert plan.changed_bytes == len(TWENTY) - count


@pytest.mark.parametrize("chip", ROWS)
def test_a_byte_whose_bits_had_fallen_in_part_is_told_and_not_written_over(chip: str) -> None:
    for count, wanted in enumerate(TWENTY):
        held = wanted | 0xC0
        before = blank(chip, Patch(0x1E, TWENTY[:count] + bytes([held])))
        with pytest.raises(Refused, match=f"offset 0x{0x1E + count:X} holds 0x{held:02X} and cannot become"):
            plan_for(chip, before, Patch(0x1E, TWENTY))


# ------------------------------------------------------------------------------------------------ the table

_512_IN_32 = (512, 32, 16)
_1024_IN_64 = (1024, 64, 16)
_1024_IN_8 = (1024, 8, 0)
GEOMETRY = {
    # RM0033, RM0090, RM0383, RM0390: 16 blocks of 32 bytes, and a lock byte for each
    "stm32f2": (0x1FFF7800, 0x1FFF7A00, *_512_IN_32),
    "stm32f4": (0x1FFF7800, 0x1FFF7A00, *_512_IN_32),
    "stm32f72": (0x1FF07800, 0x1FF07A00, *_512_IN_32),  # RM0431
    "stm32f74": (0x1FF0F000, 0x1FF0F400, *_1024_IN_64),  # RM0385
    "stm32f76": (0x1FF0F000, 0x1FF0F400, *_1024_IN_64),  # RM0410
    # RM0351, RM0444, RM0440, RM0434, RM0490: 128 double words, each written once, no lock bytes
    "stm32l4": (0x1FFF7000, 0, *_1024_IN_8),
    "stm32g0": (0x1FFF7000, 0, *_1024_IN_8),
    "stm32g4": (0x1FFF7000, 0, *_1024_IN_8),
    "stm32wb": (0x1FFF7000, 0, *_1024_IN_8),
    "stm32c0": (0x1FFF7000, 0, *_1024_IN_8),
    "stm32u0": (0x1FFF6800, 0, *_1024_IN_8),  # RM0503
    "stm32l5": (0x0BFA0000, 0, 512, 8, 0),  # RM0438: 64 double words
    "stm32u5": (0x0BFA0000, 0, 512, 16, 0),  # RM0456: 32 quad words
    "stm32h7a3": (0x08FFF000, 0, 1024, 16, 0),  # RM0455; its locks are bits of a register
}


@pytest.mark.parametrize("chip", WITH_OTP)
def test_the_geometry_is_that_of_the_familys_manual(chip: str) -> None:
    (family,) = (name for name in GEOMETRY if chip.startswith(name))
    area = otp_area(row(chip))
    assert (area.at, area.lock_at, area.bytes, area.block_bytes, area.lock_bytes) == GEOMETRY[family]


@pytest.mark.parametrize("chip", the_table().chip, ids=lambda chip: chip.id)
def test_every_row_has_its_otp_memory_or_a_refusal_with_the_reason(chip: Chip) -> None:
    if chip.otp:
        assert otp_area(chip) == chip.otp
    elif chip.no_otp:
        with pytest.raises(WrongDevice) as caught:
            otp_area(chip)
        assert chip.no_otp.source in caught.value.message
    else:
        with pytest.raises(Refused, match="no public source says"):
            otp_area(chip)


def test_an_h743_is_refused_in_the_words_of_its_row() -> None:
    with pytest.raises(WrongDevice) as caught:
        otp_area(row("stm32h743"))
    assert "has no one-time-programmable memory (ST:169834" in caught.value.message
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("chip", WITH_OTP)
def test_no_program_unit_reaches_out_of_the_data(chip: str) -> None:
    area, unit = otp_area(row(chip)), behaviour(chip).unit_bytes
    assert area.at % unit == 0
    assert area.bytes % unit == 0
    assert area.bytes % area.block_bytes == 0
    assert not area.lock_bytes or (
        area.lock_at >= area.end and area.lock_bytes == area.bytes // area.block_bytes
    )


@pytest.mark.parametrize("chip", WITH_OTP)
def test_what_the_host_takes_for_written_once_is_what_the_lab_plays(chip: str) -> None:
    assert is_written_once(otp_area(row(chip))) == row(chip).lab.once_per_erase.value


@pytest.mark.parametrize(
    ("chip", "alternate"), [(F746, 2), (F405, 2), ("stm32f722", 2), ("stm32l476", 2), ("stm32g0b1", None)]
)
def test_the_alternate_that_holds_the_memory_is_chosen_else_it_is_reached_by_address(
    chip: str, alternate: int | None
) -> None:
    """The F722's string has data and locks in one sector; the G0B1's three alternates carry one name."""
    assert alternate_of(otp_area(row(chip)), row(chip).regions) == alternate


@pytest.mark.parametrize(
    ("chip", "shown"),
    [
        ("stm32l552", "@OTP Memory   /0x1FFF7000/01*512 e"),
        ("stm32h7a3", "@OTP Memory   /0x1FF7000/01*1024 e"),
    ],
)
def test_a_bootloader_that_shows_its_otp_memory_elsewhere_is_refused(chip: str, shown: str) -> None:
    regions = (row(chip).regions[0], parse_layout(shown, 2))
    with pytest.raises(Refused, match="this bootloader shows its OTP memory at 0x"):
        alternate_of(otp_area(row(chip)), regions)


# ------------------------------------------------------------------------------------------- what is shown


def test_the_memory_is_shown_block_by_block_with_what_is_blank_in_one_line() -> None:
    contents = blank(F405, Patch(0x22, b"\x01\x02"), locked=(1, 15))
    assert dump(otp_area(row(F405)), contents) == [
        "block 0 (0x0000), open, blank",
        "block 1 (0x0020), locked for ever",
        "  0x0020  FF FF 01 02 FF FF FF FF FF FF FF FF FF FF FF FF",
        "  0x0030  FF FF FF FF FF FF FF FF FF FF FF FF FF FF FF FF",
        "blocks 2 to 14 (0x0040), open, blank",
        "block 15 (0x01E0), locked for ever, blank",
        "lock bytes at 0x1FFF7A00: FF 00 FF FF FF FF FF FF FF FF FF FF FF FF FF 00",
    ]


def test_a_chip_without_lock_bytes_is_shown_by_its_units() -> None:
    assert dump(otp_area(row(G474)), blank(G474, Patch(9, b"\x77"))) == [
        "block 0 (0x0000), blank",
        "block 1 (0x0008)",
        "  0x0008  FF 77 FF FF FF FF FF FF",
        "blocks 2 to 127 (0x0010), blank",
    ]
