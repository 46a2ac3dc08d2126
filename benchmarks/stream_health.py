"""How fast streams are tested, beside rngtest where it is installed.

MB/s of the FIPS 140-2 tests with the repetition count and adaptive proportion tests, which run on
every byte, in one process on one core; rngtest makes the FIPS 140-2 tests alone.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from random import Random

from measurement import Aim, Measurement, tell

from kdash.backends.entropy.health.continuous import ProportionStream, RepetitionStream
from kdash.backends.entropy.health.fips140 import Fips140Stream
from kdash.backends.entropy.health.stream import PIECE

BYTES = 20_000_004
ROUNDS = 5
WANTED = 20  # MB/s


def kdash_rate(data: bytes) -> float:
    """MB/s of the three tests together."""
    streams = (Fips140Stream(), RepetitionStream(1.0), ProportionStream(1.0))
    began = time.perf_counter()
    for start in range(0, len(data), PIECE):
        for stream in streams:
            stream.feed(data[start : start + PIECE])
    return len(data) / 1e6 / (time.perf_counter() - began)


def rngtest_rate(data: bytes) -> float:
    """MB/s of rngtest, its start and the pipe to it counted in."""
    began = time.perf_counter()
    subprocess.run(["rngtest"], input=data, capture_output=True, check=False)
    return len(data) / 1e6 / (time.perf_counter() - began)


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """The rates, taken in turn."""
    data = Random(1).randbytes(BYTES)
    peer = shutil.which("rngtest") is not None
    ours, theirs = [], []
    for _ in range(3 * ROUNDS if full else ROUNDS):
        ours.append(kdash_rate(data))
        if peer:
            theirs.append(rngtest_rate(data))
    yield Measurement(
        "stream health: FIPS 140-2, repetition count, adaptive proportion", tuple(ours), "MB/s",
        "rngtest (FIPS 140-2 alone)", tuple(theirs), Aim(WANTED, least=True),
    )  # fmt: skip
    if not peer:
        missing = "rngtest is not installed (Debian package rng-tools5)"
        yield Measurement("stream health by rngtest", missing=missing)


if __name__ == "__main__":
    tell(measure())
