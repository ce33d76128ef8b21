"""The silicon bench's figures add up. What they are is for whoever runs it to see."""

from __future__ import annotations

import pytest

from tests.bench.silicon import Job, measured, silicon_table, whole
from tests.pair.kit import F405, H743, TABLE, Known, row


def a_job(chip: str, rom_version: int, revision: str, kib: int) -> Job:
    return Job(Known(chip, rom_version, revision), tuple(whole(row(chip).flash.sectors, kib)))


@pytest.mark.parametrize("job", [a_job(H743, 0x92, "V", 32), a_job(F405, 0x91, "3", 32)])
def test_the_parts_of_a_job_are_no_longer_than_the_whole(job: Job) -> None:
    cost = measured(job)
    assert cost.kib == 32
    assert 0 < cost.flash < cost.total
    assert cost.flash <= cost.erase + cost.program
    assert cost.erase + cost.program + cost.read <= cost.total
    assert 0 <= cost.slept < cost.total
    assert 0 < cost.overhead < 1


def test_the_flash_of_an_h743_works_as_long_as_its_row_says() -> None:
    """One sector of 900 ms; 1024 flash words of 32 bytes, 100 us each; the bench counts nothing else."""
    assert measured(a_job(H743, 0x92, "V", 32)).flash == pytest.approx(900 + 102.4)


def test_a_stated_supply_makes_words_of_bytes_and_shorter_erases() -> None:
    """64 us a word without it, 16 us with it, and 250 instead of 400 ms for each of two sectors of 16 KB."""
    job = a_job(F405, 0x91, "3", 32)
    slow, fast = measured(job), measured(job, supply_mv=3_300)
    assert slow.flash - fast.flash == pytest.approx(8192 * (0.064 - 0.016) + 2 * (400 - 250))
    assert fast.total < slow.total


def test_the_tables_have_a_line_for_each_row_and_each_quirk(capsys: pytest.CaptureFixture[str]) -> None:
    silicon_table(kib=32, chips=(H743, F405))
    said = capsys.readouterr().out
    head, costs, feature, remedies = said.split("\n\n")
    assert "host overhead, (total - flash) / total" in head
    assert [line.split()[:3] for line in costs.splitlines()[1:3]] == [
        [F405, "91", "32"],
        [H743, "92", "32"],
    ]
    assert [line.split()[0] for line in feature.splitlines()[2:]] == [F405]
    named = [tuple(line.split()[:2]) for line in remedies.splitlines()[1:]]
    about = [(quirk.id, chip) for quirk in TABLE.quirk for chip in quirk.match.chips]
    assert named == [pair for pair in about if pair[1] in (H743, F405)]
    assert "without: the bootloader was still busy after 4 s" in remedies
