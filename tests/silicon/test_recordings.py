"""What real bootloaders answered to other people's programs, given to our scripts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.silicon.replay import Replay, every_recording, recording
from updater.heads.dfu.layout import parse_layout
from updater.heads.dfu.scripts import (
    Pace,
    Polling,
    erase,
    erase_with_stuck_busy,
    go_to_idle,
    mass_erase,
    read,
    set_address,
    settle,
)
from updater.heads.dfu.words import Out, ProtocolError, Request, Script, TimedOut
from updater.heads.recording import Device, Part, Recording, Step, format_recording, parse_recording, told
from updater.heads.silicon import the_table
from updater.words.facts import RomFacts, Shown

AT_ONCE = Polling(at_once=True)
LISTED = [(name, number) for name in every_recording() for number, _ in enumerate(recording(name).device)]
UPLOADING, BANK_1_ERASE = slice(0, 3), slice(3, 6)
AFTER_THE_CHECK = slice(1, None)


def device(name: str, number: int) -> Device:
    return recording(name).device[number]


def requests(replay: Replay) -> list[Request]:
    return [wish.request for wish in replay.sent if isinstance(wish, Out)]


def a_block(data: bytes, polling: Polling) -> Script[None]:
    """One block of a write, without the address before it."""
    sent = yield Out(Request.DNLOAD, 2, data)
    yield from settle(sent.at_ms, 1_000, polling)


# ------------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize("name", every_recording())
def test_a_recording_says_where_it_is_from_and_is_read_back_as_it_was_written(name: str) -> None:
    one = recording(name)

    assert one.source.strip()
    assert parse_recording(format_recording(one)) == one


@pytest.mark.parametrize("name", every_recording())
def test_what_a_source_does_not_print_is_marked_and_explained(name: str) -> None:
    one = recording(name)
    marked = any(step.reconstructed for part in one.part for step in part.steps)

    assert one.reconstructed is not None or not marked


@given(st.text(), st.binary(max_size=40))
def test_any_words_and_any_bytes_are_read_back(words: str, data: bytes) -> None:
    step = Step(request="UPLOAD", value=2, answer=told(data), ms=0.125)
    part = Part(name=words, failed=words, steps=(step,))
    device = Device(usb="0483:df11", bcd_device=0x2200, product=words, alternates=(words, words))
    one = Recording(title=words, source="a test", device=(device,), part=(part,))

    assert parse_recording(format_recording(one)) == one


@pytest.mark.parametrize(
    "line",
    [
        'surprise = "x"',
        'source = " "',
        '[[part]]\nname = "x"\nsteps = [{ request = "READ_UNPROTECT" }]',
        '[[part]]\nname = "x"\nsteps = [{ request = "UPLOAD", answer = "0" }]',
    ],
)
def test_a_recording_with_a_key_or_word_that_nobody_knows_is_refused(line: str) -> None:
    head = 'schema = 1\ntitle = "x"\n' + ("" if line.startswith("source") else 'source = "x"\n')

    with pytest.raises(msgspec.ValidationError):
        parse_recording(head + line)


# ---------------------------------------------------------------------------------- H743 rev V, ST:234209


def test_a_loader_left_uploading_is_brought_to_idle_as_the_makers_own_tool_does_it() -> None:
    bank_1, _ = recording("st-234209").part
    replay = Replay(bank_1.steps[UPLOADING])

    replay.run(go_to_idle())

    assert replay.is_over
    assert requests(replay) == [Request.ABORT]


def test_an_erase_in_bank_1_blocks_for_the_whole_time_and_is_done_at_the_second_status() -> None:
    bank_1, _ = recording("st-234209").part
    replay = Replay(bank_1.steps[BANK_1_ERASE])

    replay.run(erase(0x0800_0000, 4_000, AT_ONCE))

    assert replay.is_over
    assert replay.now_ms == 905


def test_an_erase_in_bank_2_ends_idle_by_the_two_clear_status() -> None:
    _, bank_2 = recording("st-234209").part
    replay = Replay(bank_2.steps[AFTER_THE_CHECK])

    replay.run(erase_with_stuck_busy(0x0810_0000, 4_000))

    assert replay.is_over
    assert requests(replay) == [Request.DNLOAD, Request.CLRSTATUS, Request.CLRSTATUS]
    assert replay.now_ms >= 4_000


def test_the_remedy_of_bank_2_sends_nothing_more_where_the_erase_has_ended() -> None:
    bank_1, _ = recording("st-234209").part
    replay = Replay(bank_1.steps[BANK_1_ERASE])

    replay.run(erase_with_stuck_busy(0x0800_0000, 4_000))

    assert requests(replay) == [Request.DNLOAD]


# ------------------------------------------------------------------------------- ST:255371 and SF88


@pytest.mark.parametrize(("name", "number"), [("st-255371", 1), ("sf88", 2)])
def test_without_the_remedy_an_erase_in_bank_2_ends_with_our_own_ceiling(name: str, number: int) -> None:
    part = recording(name).part[number]
    replay = Replay(part.steps, for_ever=part.for_ever)

    with pytest.raises(TimedOut, match="still busy"):
        replay.run(erase(0x0810_0000, 4_000))

    assert 4_000 < replay.now_ms < 8_000


@pytest.mark.parametrize(("number", "address"), [(0, 0x080C_0000), (1, 0x080E_0000)])
def test_bank_1_asks_for_a_second_after_the_fact_and_need_not_get_it(number: int, address: int) -> None:
    steps = recording("sf88").part[number].steps

    as_told, at_once = Replay(steps), Replay(steps)
    as_told.run(erase(address, 4_000))
    at_once.run(erase(address, 4_000, AT_ONCE))

    assert (as_told.now_ms, at_once.now_ms) == (1_000, 0)


def test_a_sector_of_bank_1_is_erased_in_978_ms() -> None:
    replay = Replay(recording("st-255371").part[0].steps)

    replay.run(erase(0x0800_0000, 4_000, AT_ONCE))

    assert replay.now_ms == 978


# ---------------------------------------------------------------------------------------------- F7


def test_a_block_on_an_f745_is_done_at_the_second_status() -> None:
    block, _ = recording("fwupd-1944").part
    replay = Replay(block.steps, foreign=True)

    replay.run(a_block(bytes(728), AT_ONCE))

    assert replay.now_ms < 15


def test_an_erase_on_an_f7_takes_351_ms_whatever_its_poll_time_of_100_says() -> None:
    sector, _ = recording("fwupd-2696").part
    replay = Replay(sector.steps)

    replay.run(erase(0x0800_8000, 4_000))

    assert replay.now_ms == 351


def test_a_block_on_an_f7_waits_104_ms_only_if_it_does_as_told() -> None:
    _, block = recording("fwupd-2696").part

    as_told, at_once = Replay(block.steps, foreign=True), Replay(block.steps, foreign=True)
    as_told.run(a_block(bytes(2048), Polling()))
    at_once.run(a_block(bytes(2048), AT_ONCE))

    assert (as_told.now_ms, at_once.now_ms) == (109, 5)


def test_flash_of_an_f7_is_read_by_the_requests_the_makers_own_tool_sends() -> None:
    (upload,) = recording("st-826688").part
    replay = Replay(upload.steps, foreign=True)

    replay.run(go_to_idle())
    data = replay.run(read(0x0800_0000, 1_024, Pace(transfer_size=2_048, write_max_ms=100, polling=AT_ONCE)))

    assert len(data) == 1_024
    theirs = [Request[step.request] for step in upload.steps if step.request in ("ABORT", "DNLOAD")]
    assert requests(replay) == [*theirs, Request.ABORT]


# ------------------------------------------------------------------------------- found in odd states


@pytest.mark.parametrize("name", ["sf231", "gd32-dfu-utils-3"])
def test_a_loader_found_in_its_error_state_is_cleared_once(name: str) -> None:
    replay = Replay(recording(name).part[0].steps)

    replay.run(go_to_idle())

    assert replay.is_over
    assert requests(replay) == [Request.CLRSTATUS]


@pytest.mark.parametrize("name", ["dfu-libusb-4", "ch58x"])
def test_an_idle_loader_is_sent_nothing(name: str) -> None:
    replay = Replay(recording(name).part[0].steps)

    replay.run(go_to_idle())

    assert replay.is_over
    assert requests(replay) == []


def test_a_mass_erase_whose_status_never_comes_is_an_error_and_not_a_success() -> None:
    replay = Replay(recording("sf231").part[1].steps)

    with pytest.raises(TimedOut):
        replay.run(mass_erase(32_000))


def test_the_gd32_asks_for_a_tenth_of_a_second_after_each_command() -> None:
    _, commands = recording("gd32-dfu-utils-3").part

    replay = Replay(commands.steps)
    replay.run(set_address(0x0800_0000))
    replay.run(set_address(0x0800_0000))

    assert replay.now_ms == 200


# --------------------------------------------------------------------------------------- the listings


@pytest.mark.parametrize(("name", "number"), LISTED)
def test_every_listed_name_is_read_and_every_other_one_refused(name: str, number: int) -> None:
    for alternate, text in enumerate(device(name, number).alternates):
        if text.startswith("@"):
            assert parse_layout(text, alternate).sectors
        else:
            with pytest.raises(ProtocolError):
                parse_layout(text, alternate)


@pytest.mark.parametrize(
    ("name", "alternate", "address", "size", "sectors"),
    [
        ("zmk-1711", 0, 0x0800_0000, 512 * 1024, 8),
        ("f722-listing", 0, 0x0800_0000, 512 * 1024, 8),
        ("f722-listing", 2, 0x1FF0_7800, 528, 1),
        ("leia", 0, 0x0800_0000, 2 * 1024 * 1024, 24),
        ("leia", 1, 0x1FFF_C000, 32, 2),
        ("weact-g474", 0, 0x0800_0000, 512 * 1024, 256),
        ("weact-g474", 1, 0x1FFF_7800, 96, 2),
        ("weact-g474", 2, 0x1FFF_7000, 1_024, 1),
        ("ebb42", 2, 0x0800_0000, 128 * 1024, 64),
        ("h7a3", 1, 0x5200_201C, 297, 1),
        ("manta-m8p", 0, 0x0800_0000, 1024 * 1024, 8),
        ("joyeuse", 2, 0x1FFF_7000, 1_024, 1),
        ("cidoo-v65", 0, 0x0800_0000, 128 * 1024, 128),
        ("durgod-k320", 0, 0x0800_0000, 128 * 1024, 64),
        ("spark-core", 1, 0x0000_0000, 2 * 1024 * 1024, 512),
    ],
)
def test_listed_memory_is_as_large_as_its_name_says(
    name: str, alternate: int, address: int, size: int, sectors: int
) -> None:
    region = parse_layout(device(name, 0).alternates[alternate], alternate)

    assert region.address == address
    assert len(region.sectors) == sectors
    assert sum(sector.size for sector in region.sectors) == size


def test_what_an_own_loader_locks_is_not_writable() -> None:
    region = parse_layout(device("openmotion", 0).alternates[0], 0)

    assert [sector.address for sector in region.sectors if sector.writable] == [
        0x0802_0000,
        0x0804_0000,
        0x0806_0000,
        0x0808_0000,
    ]


# ------------------------------------------------------------------------------------ and the table


def shown_by(listed: Device, transfer_size: int) -> RomFacts:
    """A listing as the updater would see it. `dfu-util -l` does not print wTransferSize."""
    regions = (parse_layout(text, number) for number, text in enumerate(listed.alternates))
    return RomFacts(
        serial=listed.serial,
        product_string=listed.product,
        bcd_device=listed.bcd_device or 0,
        transfer_size=listed.transfer_size or transfer_size,
        regions=tuple(regions),
    )


@pytest.mark.parametrize(("name", "number"), [at for at in LISTED if device(*at).chip])
def test_a_listed_device_is_one_of_those_the_table_takes_it_for(name: str, number: int) -> None:
    listed = device(name, number)
    row = the_table().by_id(listed.chip or "")

    assert row is not None
    assert row in the_table().like(shown_by(listed, row.transfer_size.value))


def lookalike(listed: Device) -> str | None:
    shown = Shown(
        serial=listed.serial,
        product_string=listed.product,
        bcd_device=listed.bcd_device or 0,
        alternates=listed.alternates,
    )
    found = the_table().lookalike_of(listed.usb, shown)
    return found.id if found else None


@pytest.mark.parametrize(("name", "number"), [at for at in LISTED if device(*at).alternates])
def test_a_look_alike_is_known_for_what_it_is_and_nothing_else_is_one(name: str, number: int) -> None:
    listed = device(name, number)

    assert lookalike(listed) == listed.lookalike


def test_the_published_serial_of_a_g0b1_follows_from_its_published_uid() -> None:
    listed = device("manta-e3ez", 0)
    row = the_table().by_id("stm32g0b1")

    assert row is not None
    uid = bytes.fromhex("3D002C00 02504B57 35313920")
    assert listed.serial in row.predicted_serials(uid=uid, idcode=0)
