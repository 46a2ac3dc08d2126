"""Extractions of the Linux 4.3 generator: the Python model, the native path, a plain C loop.

The C loop is built from benchmarks/extract_loop.c. Native path and C loop run in turn; processor
time counts, so that what others do on the machine counts for neither.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

from kdash.backends.entropy._native import lib
from kdash.backends.entropy.extract import extract_buf
from kdash.backends.entropy.pool import INPUT_GEOMETRY, OUTPUT_GEOMETRY, Pool, mix_pool_bytes

FOLDER = Path(__file__).resolve().parent
COUNT = 400_000
PAIRS = 7
WANTED_RATIO = 0.9
WANTED_MIXED, WANTED_INPUT, WANTED_OUTPUT = 500_000, 2_000, 6_000  # a second, in Python


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


def main() -> None:
    """Print the rates and ratios."""
    mixed, from_input, from_output = python_rates()
    print(
        f"4.3 model in Python: {mixed:,.0f} bytes mixed a second (wanted {WANTED_MIXED:,}), "
        f"extractions a second: {from_input:,.0f} input pool (wanted {WANTED_INPUT:,}), "
        f"{from_output:,.0f} output pool (wanted {WANTED_OUTPUT:,})"
    )
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "extract_loop")
        source = str(FOLDER / "extract_loop.c")
        subprocess.run(["gcc", "-O2", "-std=gnu11", "-o", program, source], check=True)
        ours, theirs = [], []
        for _ in range(PAIRS):
            ours.append(lib.kdash_extract_alone(COUNT) / COUNT)
            told = subprocess.run([program, str(COUNT)], capture_output=True, text=True, check=True)
            theirs.append(float(told.stdout.split()[0]))
    median = statistics.median(c / own for own, c in zip(ours, theirs, strict=True))
    print(
        f"native extraction: {min(ours):.0f} ns, plain C loop {min(theirs):.0f} ns, "
        f"rate over the C loop's {min(theirs) / min(ours):.2f} best, {median:.2f} median "
        f"(wanted {WANTED_RATIO})"
    )


if __name__ == "__main__":
    main()
