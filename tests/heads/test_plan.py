"""The plan as a value: compared whole, in the safe order, or a refusal that says why."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semver import Version

from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, open_bundle
from updater.dfu.scripts import Pace, Polling
from updater.errors import DeviceIs, Refused, WrongDevice
from updater.facts import DeviceFacts, IdentityFrom, Mode, Sector, Segment
from updater.manifest import Bundle, Image, ManifestSegment
from updater.plan import Plan, SectorPlan, describe, make_plan
from updater.silicon import Behaviour, the_table
from updater.vendor import DfuDetach, Header, Keep, Product, Recovery, RecoveryKind

H743, F405 = "stm32h743", "stm32f405"
FLASH = 0x0800_0000
KIB = 1024
BUTTON = Recovery(kind=RecoveryKind.BOOT_BUTTON, steps="Hold the button while you plug it in.")


def program(length: int, *, sp: int = 0x2000_1000, reset: int = 0x0800_0201) -> bytes:
    """A vector table, and behind it bytes that tell their own place."""
    body = b"".join((0x5A00_0000 | at).to_bytes(4, "little") for at in range(8, length + 4, 4))
    return (sp.to_bytes(4, "little") + reset.to_bytes(4, "little") + body)[:length]


def widget(**changes: Any) -> Product:
    values: dict[str, Any] = {
        "id": "demo-widget",
        "number": 1,
        "title": "Demo Widget",
        "usb": ("1209:0001",),
        "chips": (H743, F405),
        "hardware": ("A", "B"),
        "ways": (DfuDetach(),),
        "header": Header(address=0x0800_0400),
        "recovery": BUTTON,
    }
    return Product(**values | changes)


def facts(**changes: Any) -> DeviceFacts:
    values: dict[str, Any] = {
        "name": "Demo Widget",
        "port": "1-2",
        "usb": "1209:0001",
        "mode": Mode.APPLICATION,
        "product": "demo-widget",
        "hardware": "A",
        "version": Version(1, 0, 0),
        "identity": IdentityFrom.APPLICATION,
        "revision": "V",
        "rom_version": 0x92,
    }
    return DeviceFacts(**values | changes)


def behaviour(chip: str, rom_version: int | None = None, revision: str | None = None) -> Behaviour:
    """What to do with the largest part of this chip: its size is not in doubt here."""
    row = the_table().by_id(chip)
    assert row is not None
    sizes = msgspec.structs.replace(row.sizes_kib, value=row.sizes_kib.value[-1:])
    row = msgspec.structs.replace(row, sizes_kib=sizes)
    return the_table().behaviour(row, rom_version=rom_version, revision=revision)


FIXED = behaviour(H743, 0x92, "V")
FAULTY = behaviour(H743, 0x91, "V")
OLD = behaviour(F405)


def bundle(*images: tuple[Image, bytes]) -> Bundle:
    """A bundle through the real gate, each image with one file."""
    manifest = make_manifest(images=tuple(image for image, _ in images))
    files = {image.segments[0].file: data for image, data in images}
    return open_bundle(make_bundle(manifest, files=files))


def one_image(data: bytes, *, address: int = FLASH, dev_ids: tuple[int, ...] = (0x450, 0x413)) -> Bundle:
    return bundle((make_image("main", data, address=address, dev_ids=dev_ids), data))


BASE = one_image(program(KIB))


def with_segments(*segments: tuple[int, bytes]) -> Bundle:
    """The same bundle with its image made of these bytes at these addresses."""
    parts = tuple(
        ManifestSegment(address=at, length=len(data), sha256="0" * 64, file=f"images/{number}.bin")
        for number, (at, data) in enumerate(segments)
    )
    image = make_image("main", b"", dev_ids=(0x450, 0x413))
    image = Image(name=image.name, for_=image.for_, segments=parts)
    files = {f"images/{number}.bin": data for number, (_, data) in enumerate(segments)}
    return replace(BASE, manifest=make_manifest(images=(image,)), files=files)


# ---------------------------------------------------------------------------------------------- whole plans


def test_the_whole_plan_for_an_h743_with_the_faulty_rom() -> None:
    """1 MiB and 100 bytes: eight sectors of bank 1, and the first of bank 2 with its cure."""
    data = program(0x10_0064)
    plan = make_plan(facts(rom_version=0x91), one_image(data), widget(), FAULTY)
    bank_1 = tuple(
        SectorPlan(
            sector=Sector(address=at, size=0x2_0000),
            erase_max_ms=4000,
            stuck_wait_ms=None,
            body=(Segment(address=at, data=data[at - FLASH : at - FLASH + 0x2_0000]),),
        )
        for at in (
            0x0802_0000,
            0x0804_0000,
            0x0806_0000,
            0x0808_0000,
            0x080A_0000,
            0x080C_0000,
            0x080E_0000,
        )
    )
    assert plan == Plan(
        product="demo-widget",
        title="Demo Widget",
        hardware="A",
        from_version=Version(1, 0, 0),
        to_version=Version(1, 1, 0),
        identity=IdentityFrom.APPLICATION,
        chip="stm32h743",
        image="main",
        image_because="the bundle has this one image",
        sectors=(
            SectorPlan(
                sector=Sector(address=0x0800_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_0020, data=data[0x20:0x2_0000]),),
            ),
            *bank_1,
            SectorPlan(
                sector=Sector(address=0x0810_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=4000,
                body=(Segment(address=0x0810_0000, data=data[0x10_0000:] + b"\xff" * 28),),
            ),
        ),
        granule=Segment(address=0x0800_0000, data=data[:32]),
        pace=Pace(transfer_size=1024, write_max_ms=100, polling=Polling(at_once=True), may_stick=True),
        keep=(),
        lost_bytes=0x2_0000 - 128,
        recovery=BUTTON,
        ways=(DfuDetach(),),
        reenumerate_within_ms=5000,
        back_within_ms=10_000,
        estimate_ms=plan.estimate_ms,
    )
    assert plan.write_bytes == 0x10_0080
    assert 8 * 2000 + 4000 < plan.estimate_ms < 60_000


def test_the_whole_plan_for_an_f405_found_in_its_rom() -> None:
    """A program in the first two sectors and a table at 0x08020000, found by a person's word."""
    data, table = program(0x4006), bytes(range(10))
    stranger = facts(
        mode=Mode.ROM,
        version=None,
        hardware="B",
        identity=IdentityFrom.PERSON,
        revision=None,
        rom_version=None,
    )
    keep = Keep(address=0x080E_0000, length=0x2_0000)
    plan = make_plan(stranger, with_segments((FLASH, data), (0x0802_0000, table)), widget(keep=(keep,)), OLD)
    assert plan == Plan(
        product="demo-widget",
        title="Demo Widget",
        hardware="B",
        from_version=None,
        to_version=Version(1, 1, 0),
        identity=IdentityFrom.PERSON,
        chip="stm32f405",
        image="main",
        image_because="the bundle has this one image",
        sectors=(
            SectorPlan(
                sector=Sector(address=0x0800_0000, size=0x4000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_0008, data=data[8:0x4000]),),
            ),
            SectorPlan(
                sector=Sector(address=0x0800_4000, size=0x4000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_4000, data=data[0x4000:] + b"\xff\xff"),),
            ),
            SectorPlan(
                sector=Sector(address=0x0802_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0802_0000, data=table + b"\xff\xff"),),
            ),
        ),
        granule=Segment(address=0x0800_0000, data=data[:8]),
        pace=Pace(transfer_size=2048, write_max_ms=1000, polling=Polling(at_once=True)),
        keep=((0x080E_0000, 0x2_0000),),
        lost_bytes=0x4000 - 8 + 0x2_0000 - 12,
        recovery=BUTTON,
        ways=(),
        reenumerate_within_ms=5000,
        back_within_ms=10_000,
        estimate_ms=plan.estimate_ms,
    )
    assert plan.write_bytes == 0x4008 + 12


def test_only_a_running_application_is_asked_to_enter_its_bootloader() -> None:
    assert make_plan(facts(), BASE, widget(), FIXED).ways == (DfuDetach(),)
    assert make_plan(facts(mode=Mode.ROM), BASE, widget(), FIXED).ways == ()


@pytest.mark.parametrize(
    ("which", "waits"), [(FIXED, None), (FAULTY, 4000), (behaviour(H743), 4000), (OLD, None)]
)
def test_only_sectors_that_stick_have_a_wait(which: Behaviour, waits: int | None) -> None:
    far = 0x0812_0000 if which.chip.id == H743 else 0x080E_0000
    plan = make_plan(facts(), with_segments((FLASH, program(KIB)), (far, b"\1" * 64)), widget(), which)
    assert [step.stuck_wait_ms for step in plan.sectors] == [None, waits]


# ------------------------------------------------------------------------------------------- the safe order


def test_the_vector_sector_comes_first_and_its_granule_last_and_not_in_the_body() -> None:
    plan = make_plan(facts(), one_image(program(300 * KIB)), widget(), FIXED)
    assert [step.sector.address for step in plan.sectors] == [0x0800_0000, 0x0802_0000, 0x0804_0000]
    assert plan.parts[-1] == plan.granule == Segment(address=FLASH, data=program(32))
    assert [hex(part.address) for part in plan.parts] == ["0x8000020", "0x8020000", "0x8040000", "0x8000000"]


@pytest.mark.parametrize(("which", "granule"), [(FIXED, 32), (OLD, 8)])
def test_an_image_of_one_granule_has_no_body(which: Behaviour, granule: int) -> None:
    plan = make_plan(facts(), one_image(program(granule, reset=FLASH + 1)), widget(), which)
    assert plan.sectors[0].body == ()
    assert plan.parts == (plan.granule,)
    assert plan.write_bytes == granule


def test_a_short_end_is_filled_with_the_value_of_erased_flash() -> None:
    plan = make_plan(facts(), one_image(program(KIB + 4)), widget(), FIXED)
    assert plan.sectors[0].body[0].data == program(KIB + 4)[32:] + b"\xff" * 28


def test_a_segment_in_the_middle_of_a_program_unit_is_filled_on_both_sides() -> None:
    plan = make_plan(
        facts(), with_segments((FLASH, program(KIB)), (0x0800_1008, b"\xaa" * 8)), widget(), FIXED
    )
    assert plan.sectors[0].body[1] == Segment(
        address=0x0800_1000, data=b"\xff" * 8 + b"\xaa" * 8 + b"\xff" * 16
    )


# ---------------------------------------------------------------------------------------- what differs only

BIG = make_plan(facts(), one_image(program(300 * KIB)), widget(), FIXED)


def contents(plan: Plan, **changed: bytes) -> dict[int, bytes]:
    """What the sectors hold when all is written, except the named ones ("s1" is the second)."""
    held = {step.sector.address: step.content_with(*step.body) for step in plan.sectors}
    first = plan.sectors[0]
    held[first.sector.address] = first.content_with(*first.body, plan.granule)
    return held | {plan.sectors[int(name[1:])].sector.address: data for name, data in changed.items()}


BLANK = b"\xff" * 0x2_0000


def addresses(plan: Plan) -> list[str]:
    return [hex(step.sector.address) for step in plan.sectors]


def test_where_all_is_right_nothing_is_erased_or_written() -> None:
    nothing = BIG.narrowed(contents(BIG))
    assert (nothing.sectors, nothing.parts) == ((), ())
    assert (nothing.write_bytes, nothing.lost_bytes, nothing.estimate_ms) == (0, 0, 0)
    assert (
        replace(nothing, sectors=BIG.sectors, lost_bytes=BIG.lost_bytes, estimate_ms=BIG.estimate_ms) == BIG
    )


def test_where_one_other_sector_differs_the_vector_sector_is_written_too() -> None:
    narrowed = BIG.narrowed(contents(BIG, s2=BLANK))
    assert addresses(narrowed) == ["0x8000000", "0x8040000"]
    assert narrowed.parts[-1] == BIG.granule
    assert narrowed.write_bytes == 128 * KIB + 44 * KIB
    assert narrowed.lost_bytes == 84 * KIB
    assert narrowed.estimate_ms < BIG.estimate_ms


def test_where_only_the_vector_sector_differs_only_it_is_written() -> None:
    assert addresses(BIG.narrowed(contents(BIG, s0=BLANK))) == ["0x8000000"]


def test_a_granule_alone_that_differs_is_a_difference() -> None:
    first = BIG.sectors[0]
    assert addresses(BIG.narrowed(contents(BIG, s0=first.content_with(*first.body)))) == ["0x8000000"]


def test_where_all_differ_the_plan_stays_as_it_was() -> None:
    assert BIG.narrowed(contents(BIG, s0=BLANK, s1=BLANK, s2=BLANK)) == BIG


def test_bytes_behind_the_image_are_no_difference() -> None:
    tail = contents(BIG)[0x0804_0000][:-4] + b"old!"
    assert BIG.narrowed(contents(BIG, s2=tail)).sectors == ()


@pytest.mark.parametrize("at", [0, 31, 32, 0x1_FFFF])
def test_a_single_bit_anywhere_in_the_image_is_a_difference(at: int) -> None:
    data = bytearray(contents(BIG)[FLASH])
    data[at] ^= 1
    assert addresses(BIG.narrowed(contents(BIG, s0=bytes(data)))) == ["0x8000000"]


def test_a_sector_that_could_not_be_read_in_full_is_a_difference() -> None:
    assert addresses(BIG.narrowed(contents(BIG, s1=b""))) == ["0x8000000", "0x8020000"]


# ----------------------------------------------------------------------------------- the image for the chip

FOR_Y, FOR_V = program(KIB), program(2 * KIB)
BY_REVISION = bundle(
    (make_image("old", FOR_Y, revisions=("Y", "X")), FOR_Y),
    (make_image("new", FOR_V, revisions=("V",)), FOR_V),
)
BY_ROM = bundle(
    (make_image("fixed", FOR_Y, rom_versions=(0x92,)), FOR_Y),
    (make_image("faulty", FOR_V, rom_versions=(0x90, 0x91)), FOR_V),
)
BY_CHIP = bundle(
    (make_image("one", FOR_Y, dev_ids=(0x450,)), FOR_Y), (make_image("two", FOR_V, dev_ids=(0x413,)), FOR_V)
)


@pytest.mark.parametrize(
    ("images", "revision", "rom_version", "which", "name", "because"),
    [
        (BY_REVISION, "V", None, FIXED, "new", "of 2 images it is the one for revision V"),
        (BY_REVISION, "Y", 0xD2, FIXED, "old", "of 2 images it is the one for revision Y"),
        (BY_ROM, None, 0x92, FIXED, "fixed", "of 2 images it is the one for ROM 0x92"),
        (BY_ROM, "V", 0x90, FAULTY, "faulty", "of 2 images it is the one for ROM 0x90"),
        (BY_CHIP, None, None, FIXED, "one", "of 2 images it is the one for this chip"),
        (BY_CHIP, None, None, OLD, "two", "of 2 images it is the one for this chip"),
        (BASE, None, None, OLD, "main", "the bundle has this one image"),
    ],
)
def test_the_image_is_the_one_for_the_silicon_and_the_plan_says_why(
    images: Bundle, revision: str | None, rom_version: int | None, which: Behaviour, name: str, because: str
) -> None:
    plan = make_plan(facts(revision=revision, rom_version=rom_version), images, widget(), which)
    assert (plan.image, plan.image_because) == (name, because)


@pytest.mark.parametrize(
    ("images", "revision", "rom_version", "which", "words"),
    [
        (BY_REVISION, None, 0x91, FAULTY, "revision unknown, ROM 0x91"),
        (BY_REVISION, "Z", None, FAULTY, "revision Z, ROM version unknown"),
        (BY_ROM, "V", None, FAULTY, "revision V, ROM version unknown"),
        (BY_ROM, "V", 0xD3, FIXED, "revision V, ROM 0xD3"),
        (BY_REVISION, "V", None, OLD, "STM32F405/407/415/417"),
    ],
)
def test_silicon_that_no_image_is_for_is_the_wrong_device(
    images: Bundle, revision: str | None, rom_version: int | None, which: Behaviour, words: str
) -> None:
    """What is not known does not meet a restriction: nothing is guessed."""
    with pytest.raises(WrongDevice, match="the bundle has no image for this device's chip") as refused:
        make_plan(facts(revision=revision, rom_version=rom_version), images, widget(), which)
    assert words in refused.value.message
    assert (refused.value.exit_status, refused.value.device_is) == (4, DeviceIs.UNTOUCHED)


def test_two_images_for_one_chip_are_never_chosen_between() -> None:
    twice = (make_image("a", dev_ids=(0x450,)), make_image("b", dev_ids=(0x450,)))
    ambiguous = replace(BASE, manifest=make_manifest(images=twice))
    with pytest.raises(WrongDevice, match="the bundle has 2 images for this device's chip"):
        make_plan(facts(), ambiguous, widget(), FIXED)


# --------------------------------------------------------------------------------------------- the refusals


def test_a_chip_that_the_product_is_not_made_with_is_the_wrong_device() -> None:
    with pytest.raises(WrongDevice, match=r"chip is a STM32F405.*, but Demo Widget is not made with one"):
        make_plan(facts(), BASE, widget(chips=(H743,)), OLD)


@pytest.mark.parametrize(
    ("address", "data", "words"),
    [
        (
            FLASH + 0x20_0000 - 32,
            b"\0" * 64,
            "from 0x081FFFE0 to 0x08200020, but this chip's flash is from 0x08000000",
        ),
        (0x0820_0000, b"\0" * 4, "from 0x08200000 to 0x08200020"),
        (0x0830_0000, b"\0" * 4, "to 0x08200000"),
    ],
)
def test_an_image_that_does_not_fit_the_flash_is_refused(address: int, data: bytes, words: str) -> None:
    with pytest.raises(WrongDevice, match=words):
        make_plan(facts(), with_segments((FLASH, program(KIB)), (address, data)), widget(), FIXED)


def test_an_image_for_the_bigger_chip_does_not_fit_the_smaller() -> None:
    big = with_segments((FLASH, program(KIB)), (0x0810_0000, b"\0" * 4))
    assert make_plan(facts(), big, widget(), FIXED)
    with pytest.raises(WrongDevice, match="this chip's flash is from 0x08000000 to 0x08100000"):
        make_plan(facts(), big, widget(), OLD)


def test_two_segments_in_one_program_unit_are_refused() -> None:
    split = with_segments((FLASH, program(KIB)), (FLASH + KIB + 32, b"\1" * 8), (FLASH + KIB + 48, b"\2" * 8))
    with pytest.raises(WrongDevice, match="two parts in one program unit at 0x08000420"):
        make_plan(facts(), split, widget(), FIXED)
    assert make_plan(facts(), split, widget(), OLD)


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([(FLASH + 0x2_0000, program(KIB))], "does not begin with a vector table at 0x08000000"),
        ([(FLASH + 32, program(KIB))], "does not begin with a vector table at 0x08000000"),
        ([(FLASH, program(KIB, sp=0xFFFF_FFFF))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0x0800_1000))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0x2000_1001))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0800_0400))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0xFFFF_FFFF))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0800_0C01))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0900_0001))], "does not point to a program inside the image"),
        ([(FLASH, b"\xff" * KIB)], "does not point to a program inside the image"),
    ],
)
def test_an_image_that_could_not_start_is_refused(segments: list[tuple[int, bytes]], words: str) -> None:
    with pytest.raises(WrongDevice, match=words):
        make_plan(facts(), with_segments(*segments), widget(), FIXED)


@pytest.mark.parametrize("sp", [0x1000_0000, 0x2002_0000, 0x2408_0000, 0x3004_8000, 0x3800_0400])
def test_a_stack_may_lie_in_any_ram(sp: int) -> None:
    assert make_plan(facts(), one_image(program(2 * KIB, sp=sp)), widget(), FIXED)


def test_a_reset_vector_may_point_into_a_later_segment() -> None:
    loader = program(KIB, reset=0x0804_0001)
    assert make_plan(facts(), with_segments((FLASH, loader), (0x0804_0000, b"\1" * 64)), widget(), FIXED)


@pytest.mark.parametrize(
    ("address", "length"),
    [(0x0801_FFFC, 4), (0x0800_8000, 4), (0x0801_0000, 0x4_0000), (0x0800_0000, 0x20_0000)],
)
def test_a_keep_region_in_a_touched_sector_is_refused(address: int, length: int) -> None:
    keep = Keep(address=address, length=length)
    with pytest.raises(
        Refused, match=re.escape("the sector at 0x08000000, in which this product keeps")
    ) as refused:
        make_plan(facts(), BASE, widget(keep=(keep,)), FIXED)
    assert refused.value.exit_status == 6


def test_a_keep_region_in_the_last_touched_sector_is_refused_by_that_sectors_address() -> None:
    keep = Keep(address=0x0805_FFFF, length=1)
    with pytest.raises(Refused, match="0x08040000"):
        make_plan(facts(), one_image(program(300 * KIB)), widget(keep=(keep,)), FIXED)


def test_a_keep_region_that_reaches_into_a_touched_sector_from_below_is_refused() -> None:
    keep = Keep(address=0x0802_0000, length=0x2_0004)
    with pytest.raises(Refused, match="0x08040000"):
        make_plan(
            facts(),
            with_segments((FLASH, program(KIB)), (0x0804_1000, b"\1" * 64)),
            widget(keep=(keep,)),
            FIXED,
        )


def test_a_keep_region_in_the_next_sector_stays_and_stands_in_the_plan() -> None:
    keep = Keep(address=0x0802_0000, length=0x2_0000)
    plan = make_plan(facts(), BASE, widget(keep=(keep,)), FIXED)
    assert plan.keep == ((0x0802_0000, 0x2_0000),)
    assert addresses(plan) == ["0x8000000"]


def test_a_recovery_that_the_chip_has_not_is_refused() -> None:
    with pytest.raises(Refused, match=r"recovers by itself .*, but a STM32H742.* does not do that"):
        make_plan(facts(), BASE, widget(recovery=Recovery(kind=RecoveryKind.EMPTY_CHECK)), FIXED)


@pytest.mark.parametrize("kind", [RecoveryKind.RESIDENT_LOADER, RecoveryKind.NONE])
def test_any_other_recovery_stands_in_the_plan(kind: RecoveryKind) -> None:
    assert make_plan(facts(), BASE, widget(recovery=Recovery(kind=kind)), FIXED).recovery.kind is kind


# ------------------------------------------------------------------------------------------- in plain words


def test_the_plan_in_words() -> None:
    keep = Keep(address=0x081E_0000, length=0x2_0000)
    plan = make_plan(facts(), one_image(program(130 * KIB)), widget(keep=(keep,)), FIXED)
    seconds = round(plan.estimate_ms / 1000)
    lines = describe(plan)
    lost = lines.pop(5)
    assert lost.startswith("lost:     129,024 bytes")
    assert lines == [
        "Demo Widget, hardware A: version 1.0.0 -> 1.1.0",
        "image:    main (the bundle has this one image)",
        "erase:    2 sectors: 128 KiB at 0x08000000, 128 KiB at 0x08020000",
        "write:    133,120 bytes; every byte is read back and compared",
        f"time:     about {seconds} s",
        "kept:     131,072 bytes at 0x081E0000",
        "if cut:   bring the device into its bootloader, then run the same command:",
        "          Hold the button while you plug it in.",
    ]


def test_the_plan_for_a_stranger_says_that_nothing_is_proved() -> None:
    stranger = facts(mode=Mode.ROM, version=None, hardware=None, identity=IdentityFrom.PERSON)
    words = describe(make_plan(stranger, BASE, widget(recovery=Recovery(kind=RecoveryKind.NONE)), FIXED))
    assert words[0] == "Demo Widget: version unknown -> 1.1.0"
    assert "identity: not proven; you said which product this is" in words
    assert words[-1] == "if cut:   this device cannot be recovered by you. Do not unplug it."


def test_the_plan_that_has_nothing_to_do_says_so() -> None:
    assert "erase:    nothing" in describe(BIG.narrowed(contents(BIG)))


# -------------------------------------------------------------------------------------------- for any image

PATTERN = program(400 * KIB)


@st.composite
def images(draw: st.DrawFn) -> tuple[Behaviour, list[tuple[int, bytes]]]:
    """A chip, and segments that lie in its flash, in order, no two of them in one program unit."""
    which = draw(st.sampled_from([FIXED, FAULTY, OLD]))
    unit, end = which.chip.program_unit_bytes.value, which.chip.flash.sectors[-1].end
    length = draw(st.integers(32, 300 * KIB))
    segments = [(FLASH, program(8, reset=FLASH + 1) + PATTERN[8:length])]
    for _ in range(draw(st.integers(0, 3))):
        free = segments[-1][0] + len(segments[-1][1])
        free += -free % unit
        at = free + draw(st.sampled_from([0, 4, 32, 1000, 60_000]) | st.integers(0, 900_000)) & ~3
        size = draw(st.sampled_from([1, 4, 31, 32, 2048, 0x2_0000]) | st.integers(1, 300_000))
        if at + size + unit > end:
            break
        segments.append((at, PATTERN[:size]))
    return which, segments


@settings(max_examples=150, deadline=None)
@given(images())
def test_the_parts_cover_exactly_the_padded_image(made: tuple[Behaviour, list[tuple[int, bytes]]]) -> None:
    which, segments = made
    chip = which.chip
    unit, flash = chip.program_unit_bytes.value, chip.flash.sectors
    plan = make_plan(facts(), with_segments(*segments), widget(), which)

    size = flash[-1].end - FLASH
    wanted, covered = bytearray(b"\xff" * size), bytearray(size)
    for at, data in segments:
        first, last = (at - FLASH) // unit * unit, -(-(at + len(data) - FLASH) // unit) * unit
        covered[first:last] = b"\1" * (last - first)
        wanted[at - FLASH : at - FLASH + len(data)] = data
    got, painted = bytearray(b"\xff" * size), bytearray(size)
    for part in plan.parts:
        first, last = part.address - FLASH, part.end - FLASH
        assert 0 <= first < last <= size
        assert first % 4 == 0
        assert painted.find(1, first, last) < 0, "two parts overlap"
        painted[first:last] = b"\1" * (last - first)
        got[first:last] = part.data
    assert painted == covered
    assert got == wanted

    assert plan.sectors[0].sector == flash[0]
    assert all(a.sector.address < b.sector.address for a, b in pairwise(plan.sectors))
    assert {step.sector for step in plan.sectors} <= set(flash)
    touched = {step.sector.address for step in plan.sectors}
    for sector in flash:
        used = covered.find(1, sector.address - FLASH, sector.end - FLASH) >= 0
        assert (sector.address in touched) == used
    for step in plan.sectors:
        for run in step.body:
            assert step.sector.address <= run.address < run.end <= step.sector.end
            assert run.address >= plan.granule.end
            assert (run.address - FLASH) % unit == 0
            assert len(run.data) % unit == 0
    assert plan.granule.address == FLASH
    assert len(plan.granule.data) == chip.granule_bytes
    assert plan.write_bytes == covered.count(1)
    assert plan.lost_bytes == sum(step.sector.size for step in plan.sectors) - plan.write_bytes
    held = {sector.address: bytes(wanted[sector.address - FLASH : sector.end - FLASH]) for sector in flash}
    assert plan.narrowed(held).sectors == ()
