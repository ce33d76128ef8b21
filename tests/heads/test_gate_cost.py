"""The gate builds no second file: what it holds beside the file's own bytes does not grow with them."""

from __future__ import annotations

import tracemalloc

from tests.bench.gate import IMAGES, MOST_TIMES_SIZE, bundle_of
from tests.heads.bundle_kit import open_bundle

TWO_MB = 2 * 1024 * 1024


def test_the_gate_holds_the_file_and_hardly_anything_beside_it() -> None:
    data = bundle_of(TWO_MB)
    tracemalloc.start()
    try:
        bundle = open_bundle(data)
        beside = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bundle.files) == IMAGES
    assert len(data) + beside < MOST_TIMES_SIZE * len(data)
    assert beside < 300_000, "manifest, envelope and roots, no image"


def test_the_images_that_come_through_cannot_be_changed() -> None:
    bundle = open_bundle(bundle_of(TWO_MB // 8))
    assert all(view.readonly for view in bundle.files.values())
