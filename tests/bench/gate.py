"""What the gate costs: its time beside hashing the file once, and its memory beside the file's size."""

from __future__ import annotations

import hashlib
import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, open_bundle
from updater.heads.container import FILE_LIMIT_BYTES

SIZES = (2 * 1024 * 1024, FILE_LIMIT_BYTES)
IMAGES = 16
"""No image can be larger than a chip's flash, so the largest file needs several."""
ROOM_BYTES = 32 * 1024
"""For the envelope, the root and the headers."""
LONGEST_S = 2.0
"""How long one figure is sought: the quickest round counts, the others were disturbed by something."""
MOST_TIMES_HASHING = 2.0
MOST_TIMES_SIZE = 2.2


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One bundle through the gate. `memory_bytes` counts the file's own bytes too."""

    size_bytes: int
    images: int
    hash_ms: float
    gate_ms: float
    memory_bytes: int

    @property
    def times_hashing(self) -> float:
        return self.gate_ms / self.hash_ms

    @property
    def times_size(self) -> float:
        return self.memory_bytes / self.size_bytes


def bundle_of(size_bytes: int, count: int = IMAGES) -> bytes:
    """A genuine bundle of about this size, with so many images."""
    data = random.Random(size_bytes).randbytes((size_bytes - ROOM_BYTES) // count)
    images = [make_image(f"image-{n}", data, dev_ids=(n,)) for n in range(count)]
    files = {f"images/image-{n}.bin": data for n in range(count)}
    return make_bundle(make_manifest(images=tuple(images)), files=files)


def best_ms(*works: Callable[[], object]) -> tuple[float, ...]:
    """The quickest round of each, in turns, so that what disturbs one disturbs the other too."""
    best = [float("inf")] * len(works)
    until = time.perf_counter() + LONGEST_S * len(works)
    while time.perf_counter() < until:
        for n, work in enumerate(works):
            began = time.perf_counter()
            work()
            best[n] = min(best[n], time.perf_counter() - began)
    return tuple(one * 1000 for one in best)


def cost_of(size_bytes: int, count: int = IMAGES) -> Cost:
    """Measure one size."""
    made = bundle_of(size_bytes, count)
    tracemalloc.start()
    try:
        data = bytes(bytearray(made))  # a copy that is counted, as the file that was read
        tracemalloc.reset_peak()
        bundle = open_bundle(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bundle.files) == count
    hash_ms, gate_ms = best_ms(lambda: hashlib.sha256(data).digest(), lambda: open_bundle(data))
    return Cost(size_bytes=len(data), images=count, hash_ms=hash_ms, gate_ms=gate_ms, memory_bytes=peak)


def gate_table() -> None:
    """Print both sizes, the cost of the smallest bundle (signatures and roots alone), and the two limits.

    The gate hashes each image, makes the check sums of the zip headers, and verifies the embedded root's two
    signatures and the bundle's two. The hash is of the whole file once, by the same library.
    """
    small = make_bundle()
    (fixed_ms,) = best_ms(lambda: open_bundle(small))
    print(f"four signatures, root and manifest alone ({len(small):,} bytes): {fixed_ms:.2f} ms")
    print("| file | images | SHA-256 of it | gate | times hashing | memory, file included |")
    print("|---|---|---|---|---|---|")
    for size, count in ((SIZES[0], 1), (SIZES[0], IMAGES), (SIZES[1], IMAGES)):
        cost = cost_of(size, count)
        print(
            f"| {cost.size_bytes:,} bytes | {cost.images} | {cost.hash_ms:.2f} ms | {cost.gate_ms:.2f} ms "
            f"| {cost.times_hashing:.2f} | {cost.times_size:.2f} times its size |"
        )
    print(f"limits: {MOST_TIMES_HASHING} times hashing, {MOST_TIMES_SIZE} times its size")
