"""Extractions of the Linux 4.3 generator: the Python model, the native path, a plain C loop.

The C loop is built from benchmarks/extract_loop.c. Native path and C loop run in turn; processor
time counts, so that what others do on the machine counts for neither.
"""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Iterator

from c_peer import built
from measurement import Aim, Measurement, tell

from kdash.backends.entropy._native import lib
from kdash.backends.entropy.extract import extract_buf
from kdash.backends.entropy.pool import INPUT_GEOMETRY, OUTPUT_GEOMETRY, Pool, mix_pool_bytes

COUNT = 400_000
PAIRS = 7
WANTED_RATIO = 0.9
WANTED = {  # a second, in Python
    "bytes mixed": 500_000,
    "extractions from the input pool": 2_000,
    "extractions from an output pool": 6_000,
}


def python_rates() -> tuple[float, float, float]:
    """Mixed bytes, extractions from an input pool and from an output pool a second."""
    source, output = Pool("i", INPUT_GEOMETRY, limit=True), Pool("o", OUTPUT_GEOMETRY, limit=True)
    began = time.process_time()
    mix_pool_bytes(source, bytes(range(256)) * 800)
    mixed = 256 * 800 / (time.process_time() - began)
    rates = []
    for pool, count in ((source, 1000), (output, 3000)):
        began = time.process_time()
        for _ in range(count):
            extract_buf(pool, deque())
        rates.append(count / (time.process_time() - began))
    return mixed, rates[0], rates[1]


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Rates of the model, and of native code beside the C loop's."""
    found = zip(*(python_rates() for _ in range(PAIRS if full else 3)), strict=True)
    for (name, wanted), rates in zip(WANTED.items(), found, strict=True):
        yield Measurement(f"4.3 model in Python: {name}", rates, "/s", aim=Aim(wanted, least=True))
    with built("extract_loop") as program:
        ours, theirs = [], []
        for _ in range(PAIRS):
            ours.append(COUNT / lib.kdash_extract_alone(COUNT) * 1e9)
            told = subprocess.run([program, str(COUNT)], capture_output=True, text=True, check=True)
            theirs.append(1e9 / float(told.stdout.split()[0]))
    aim = Aim(WANTED_RATIO, least=True, ratio=True)
    yield Measurement("extraction in native code", tuple(ours), "/s", "C loop", tuple(theirs), aim)


if __name__ == "__main__":
    tell(measure())
