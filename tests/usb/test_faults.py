"""A sample of the fault matrix over the kernel's USB stack, vhci and libusb, on real sectors in real time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.tools import need
from tests.usb.guest import run_in_guest
from tests.usb.inside import ENDINGS, TRIALS, Death, Ending, Trial
from updater.demo.plays import plays
from updater.heads.gate import verify_bundle
from updater.heads.vendor import Kind
from updater.lab.clock import VirtualClock
from updater.lab.record import BoardState, FaultKind
from updater.lab.shelf import add_board, load_records, open_lab
from updater.words.facts import Segment

pytestmark = pytest.mark.usb

DEADLINE_S = 400
F405, H743 = "demo-gadget", "demo-widget"
SILICON: dict[str, dict[str, Any]] = {F405: {}, H743: {"revision": "V", "rom_version": 0x91}}
KILLED = -9


class Case(NamedTuple):
    """What goes wrong on which board, and how the first command must end."""

    board: str
    fault: tuple[FaultKind, int] | None = None
    dies: Death = Death.NOBODY
    ends: int = 9


CASES = {
    "F405-cut": Case(F405, (FaultKind.CUT_AFTER, 90)),
    "F405-status": Case(F405, (FaultKind.STATUS_AT, 100)),
    "H743-stall": Case(H743, (FaultKind.STALL_AT, 180)),
    "F405-updater-killed": Case(F405, dies=Death.UPDATER, ends=KILLED),
    "F405-server-killed": Case(F405, dies=Death.SERVER),
    "H743-server-saves": Case(H743, dies=Death.SERVER_SAVES),
}
HALF_WRITTEN = ("F405-cut", "H743-server-saves")


@dataclass(frozen=True)
class Results:
    """What the guest left behind."""

    folder: Path
    vendor: DemoVendor
    endings: dict[str, Ending]

    def said(self, case: str, turn: str) -> str:
        return (self.folder / case / f"{turn}.txt").read_text("utf-8", errors="replace")

    def last(self, case: str, turn: str) -> Any:
        return json.loads(self.said(case, turn).splitlines()[-1])

    def holds(self, flash: Path, release: str) -> bool:
        contents = flash.read_bytes()
        parts = segments(self.vendor, release)
        return all(contents[part.address - 0x08000000 :][: len(part.data)] == part.data for part in parts)


def segments(vendor: DemoVendor, release: str) -> tuple[Segment, ...]:
    bundle = verify_bundle(vendor.bundle(release), embedded_root=vendor.root, now=datetime.now(UTC))
    return bundle.segments(bundle.manifest.images[0])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Each case on a board of its own; after what went wrong the same command once more."""
    need("qemu-system-x86_64")
    folder = tmp_path_factory.mktemp("faults")
    vendor = make_demo(folder / "vendor", kind=Kind.PRODUCT, now=datetime.now(UTC))
    trials = [_trial(folder, vendor, name) for name in CASES]
    (folder / TRIALS).write_text(json.dumps([asdict(trial) for trial in trials]), "utf-8")
    script = f'UPDATER_VENDOR="{vendor.folder}/vendor" exec "$PYTHON" -m tests.usb.inside "$RESULTS"'
    run = run_in_guest(script, results=folder, deadline_s=DEADLINE_S)
    print(run.output, f"the guest took {run.seconds:.0f} s")
    assert run.exit_status == 0, run.output
    endings = [Ending(**one) for one in json.loads((folder / ENDINGS).read_text("utf-8"))]
    return Results(folder, vendor, {one.name: one for one in endings})


def _trial(folder: Path, vendor: DemoVendor, name: str) -> Trial:
    """A board that runs version 1.0.0, its fault set, and the command that brings it version 1.1.0."""
    case = CASES[name]
    product = vendor.vendor.product(case.board)
    assert product is not None
    lab_folder = folder / name / "lab"
    add_board(
        lab_folder,
        chip=product.chips[0],
        name=case.board,
        product=plays(product),
        segments=segments(vendor, f"{case.board}-1.0.0"),
        **SILICON[case.board],
    )
    if case.fault:
        with open_lab(lab_folder, VirtualClock()) as lab:
            lab.board(case.board).set_fault(*case.fault)
    bundle = vendor.folder / "bundles" / f"{case.board}-1.1.0.fwb"
    return Trial(
        name=name,
        command=["install", str(bundle), "--yes", "--json"],
        dies=case.dies,
        replugs=case.fault is not None and case.fault[0] is FaultKind.CUT_AFTER,
    )


@pytest.mark.parametrize("name", CASES)
def test_the_first_command_does_not_finish_and_says_so(results: Results, name: str) -> None:
    case, status = CASES[name], results.endings[name].first
    assert status == case.ends, results.said(name, "first")
    if status != KILLED:
        error = results.last(name, "first")
        assert (error["error"], error["exit"]) == ("NotFinished", status)


@pytest.mark.parametrize("name", CASES)
def test_the_same_command_completes_the_update(results: Results, name: str) -> None:
    board, said = CASES[name].board, results.said(name, "second")
    assert results.endings[name].second == 0, said
    assert results.last(name, "second")["result"] == "confirmed", said
    lab = results.folder / name / "lab"
    assert results.holds(lab / board / "flash.bin", f"{board}-1.1.0")
    assert [record.state for record in load_records(lab)] == [BoardState.APPLICATION]


@pytest.mark.parametrize("name", HALF_WRITTEN)
def test_in_between_the_flash_is_neither_old_nor_new_and_nothing_in_it_can_start(
    results: Results, name: str
) -> None:
    board, middle = CASES[name].board, results.folder / name / "middle.bin"
    assert not results.holds(middle, f"{board}-1.0.0")
    assert not results.holds(middle, f"{board}-1.1.0")
    assert middle.read_bytes()[:8] == b"\xff" * 8
