"""How much longer than `python -c pass` the headless commands take to start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measurement import Aim, Measurement, tell

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    ["--version"],
    ["--help"],
    ["vcpu", "--help"],
    ["stack", "--help"],
    ["entropy", "--help"],
    ["doctor", "--help"],
    ["vcpu", "run"],
    ["stack", "explain", "unreachable"],
)


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    return time.perf_counter() - begin


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Each command in turn with the bare interpreter: what it takes more."""
    for command in COMMANDS:
        extra = [
            1000 * (seconds(["-m", "kdash", *command]) - seconds(["-c", "pass"]))
            for _ in range(15 if full else 5)
        ]
        yield Measurement(
            f"start of kdash {' '.join(command)}, beyond Python's", tuple(extra), "ms", aim=Aim(150)
        )


if __name__ == "__main__":
    tell(measure())
