"""How much longer than `python -c pass` the headless commands take to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def main(runs: int = 15) -> None:
    """Print the medians, each command in turn with the bare interpreter."""
    print(f"start of the headless commands over `python -c pass`, medians of {runs} pairs:")
    for command in COMMANDS:
        extra = [seconds(["-m", "kdash", *command]) - seconds(["-c", "pass"]) for _ in range(runs)]
        print(f"  kdash {' '.join(command):<28} +{statistics.median(extra) * 1000:4.0f} ms")
    print("  wanted: at most +150 ms")


if __name__ == "__main__":
    main()
