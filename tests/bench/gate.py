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
ROOM_BYTES = 32 * 1024
"""For the envelope, the root and the headers."""
ROUNDS = 7
MOST_TIMES_HASHING = 2.0
MOST_TIMES_SIZE = 2.2


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One bundle through the gate. `memory_bytes` counts the file's own bytes too."""

    size_bytes: int
    hash_ms: float
    gate_ms: float
    memory_bytes: int

    @property
    def times_hashing(self) -> float:
        return self.gate_ms / self.hash_ms

    @property
    def times_size(self) -> float:
        return self.memory_bytes / self.size_bytes


def bundle_of(size_bytes: int) -> bytes:
    """A genuine bundle of about this size: no image can be larger than a chip's flash, so it has sixteen."""
    data = random.Random(size_bytes).randbytes((size_bytes - ROOM_BYTES) // IMAGES)
    images = [make_image(f"image-{n}", data, dev_ids=(n,)) for n in range(IMAGES)]
    files = {f"images/image-{n}.bin": data for n in range(IMAGES)}
    return make_bundle(make_manifest(images=tuple(images)), files=files)


def best_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The quickest of some rounds: the others were disturbed by something."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def cost_of(size_bytes: int) -> Cost:
    """Measure one size."""
    made = bundle_of(size_bytes)
    tracemalloc.start()
    try:
        data = bytes(bytearray(made))  # a copy that is counted, as the file that was read
        tracemalloc.reset_peak()
        bundle = open_bundle(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bundle.files) == IMAGES
    return Cost(
        size_bytes=len(data),
        hash_ms=best_ms(lambda: hashlib.sha256(data).digest()),
        gate_ms=best_ms(lambda: open_bundle(data)),
        memory_bytes=peak,
    )


def gate_table() -> None:
    """Print both sizes, the cost of the smallest bundle (signatures and roots alone), and the two limits."""
    small = make_bundle()
    fixed_ms = best_ms(lambda: open_bundle(small))
    print(f"roots and signatures alone ({len(small):,} bytes): {fixed_ms:.1f} ms")
    print("| file | SHA-256 of it | gate | times hashing | without the fixed part | memory, file included |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        cost = cost_of(size)
        rest = (cost.gate_ms - fixed_ms) / cost.hash_ms
        print(
            f"| {cost.size_bytes:,} bytes | {cost.hash_ms:.1f} ms | {cost.gate_ms:.1f} ms "
            f"| {cost.times_hashing:.1f} | {rest:.1f} | {cost.times_size:.2f} times its size |"
        )
    print(f"limits: {MOST_TIMES_HASHING} times hashing, {MOST_TIMES_SIZE} times its size")
