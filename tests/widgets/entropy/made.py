"""Readings of each era and steps of a pool, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kdash.backends.entropy.facts import (
    Era,
    GetrandomLatency,
    HardwareSource,
    ModelStep,
    Percentiles,
    PoolState,
    Reading,
    Reseed,
)
from kdash.backends.entropy.history import History

MODERN = Reading(
    monotonic=1000.0,
    era=Era.SINCE_5_19,
    ready=True,
    entropy_avail=256,
    poolsize=256,
    meaning="boot progress, complete: the number stays at 256 however much is read",
    gauge=False,
    write_wakeup_threshold=256,
    min_reseed_seconds=60,
    hwrng=HardwareSource("virtio_rng.0", ("virtio_rng.0", "tpm-rng-0"), 1024),
    irq_per_second=12.5,
    irq_per_second_by_cpu=(2.5, 10.0),
    unavailable={"read_wakeup_threshold": "not on this kernel", "hwrng_rate": "needs root"},
    reseed=Reseed(41, 12.3, "vdso"),
    latency=GetrandomLatency(Percentiles(441, 1581), Percentiles(40, 60)),
    random_readable=True,
    uptime_seconds=3900.0,
)

OLD = Reading(
    monotonic=1000.0,
    era=Era.SINCE_3_17,
    ready=True,
    entropy_avail=2300,
    poolsize=4096,
    meaning="an estimate of the bits in the input pool, which reads of /dev/random draw down",
    gauge=True,
    read_wakeup_threshold=64,
    write_wakeup_threshold=896,
    min_reseed_seconds=60,
    irq_per_second=3.0,
    unavailable={"getrandom": "not sampled where that could draw from the pool"},
    blocked_readers=0,
)

BOOTING = replace(
    MODERN, ready=False, entropy_avail=96, meaning="boot progress, 96 of 256 bits gathered"
)
BY_ERA = {
    Era.BEFORE_3_17: replace(OLD, era=Era.BEFORE_3_17),
    Era.SINCE_3_17: OLD,
    Era.SINCE_5_6: replace(OLD, era=Era.SINCE_5_6, read_wakeup_threshold=None),
    Era.SINCE_5_18: replace(MODERN, era=Era.SINCE_5_18, entropy_avail=200),
    Era.SINCE_5_19: MODERN,
    Era.LRNG: replace(MODERN, era=Era.LRNG, meaning="the estimate of another generator"),
    Era.REPLACED: replace(MODERN, era=Era.REPLACED, meaning="/dev/random is not the kernel's"),
    Era.UNKNOWN: replace(
        MODERN, era=Era.UNKNOWN, ready=None, entropy_avail=None, poolsize=None,
        meaning="nothing that could be told", unavailable={"entropy_avail": "no such file"},
    ),
}  # fmt: skip


def trend(readings: Sequence[Reading]) -> History:
    """The history that sampling these readings leaves."""
    kept = History()
    for reading in readings:
        kept.add(reading.monotonic, reading.quantities())
    return kept


def history(last: Reading, rates: tuple[float | None, ...]) -> list[Reading]:
    """Readings a second apart, ending with `last`, with these interrupt rates."""
    first = last.monotonic - len(rates) + 1
    return [
        replace(last, monotonic=first + second, irq_per_second=rate)
        for second, rate in enumerate(rates)
    ]


def pool(bits: float = 1203.0, words: int = 128) -> PoolState:
    """A pool whose words tell their own index."""
    return PoolState(
        "input", tuple(0xAB000000 + i for i in range(words)), int(bits * 8), 12, 32 * words,
        True, 42, 7,
    )  # fmt: skip


def step(index: int, changed: set[int], output: bytes = b"", bits: float = 1203.0) -> ModelStep:
    """A step that changed these words."""
    did = f"extract {len(output)} bytes" if output else "mix 16 bytes, credit 3 bits"
    return ModelStep(index, did, output, pool(bits), frozenset(changed))
