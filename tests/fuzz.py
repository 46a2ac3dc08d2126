"""Runs the property-based and mutation tests with ever new inputs for a given time.

`make fuzz SECONDS=600`. Prints the inputs tried by file and every failure, with the input that
hypothesis shrank it to; a failure is kept in .hypothesis and tried first by the next run of the
test. Exit status 1 with a failure.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Of pytest's --hypothesis-show-statistics, a line a phase of a test.
TRIED = re.compile(r"(\d+) passing, (\d+) failing, and (\d+) invalid")
LONGEST = 900.0  # seconds a file may take


def fuzzed_files() -> list[Path]:
    """Every test file that has inputs made for it."""
    return [
        path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "@given" in path.read_text()
    ]


def inputs_tried(output: str) -> int:
    """How many inputs a run of pytest put to the program."""
    return sum(int(passing) + int(failing) for passing, failing, _ in TRIED.findall(output))


def fuzz(path: Path) -> tuple[int, list[str], str]:
    """Fuzz by the tests of one file; inputs tried, the tests that failed, what pytest said."""
    seed = random.SystemRandom().randrange(1 << 32)
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "--timeout", str(LONGEST),
             "--hypothesis-profile=fuzz", "--hypothesis-show-statistics",
             f"--hypothesis-seed={seed}", str(path)]  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", found.stdout, re.MULTILINE)
    if not inputs_tried(found.stdout) and not failed and " skipped" not in found.stdout:
        failed.append(f"{path}: no input was counted")
    if found.returncode not in (0, 1, 5):
        failed.append(f"{path}: pytest ended with {found.returncode}")
    return inputs_tried(found.stdout), failed, found.stdout


def main() -> int:
    """Go round the files until the time is over, or ctrl+c; what was tried by then is told."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    seconds = parser.parse_args().seconds
    started = time.monotonic()
    tried: Counter[str] = Counter()
    failures: list[str] = []
    files = fuzzed_files()
    with suppress(KeyboardInterrupt):
        go_round(files, started + seconds, tried, failures)
    for name, count in sorted(tried.items()):
        print(f"{count:12,}  {name}")
    left_out = len(files) - len(tried)
    print(
        f"{tried.total():12,}  inputs tried, {len(failures)} failures, "
        f"{time.monotonic() - started:.0f} s"
        + f"; no time for {left_out} of {len(files)} files"
        * (left_out > 0)
    )
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


def go_round(files: list[Path], end: float, tried: Counter[str], failures: list[str]) -> None:
    """Fuzz by one file after the other, again and again, and count into what is given."""
    started = time.monotonic()
    while time.monotonic() < end:
        random.shuffle(files)
        for path in files:
            if time.monotonic() >= end:
                break
            count, failed, output = fuzz(path)
            name = str(path.relative_to(ROOT))
            tried[name] += count
            failures += failed
            print(f"{time.monotonic() - started:7.0f} s  {count:8,} inputs  {name}", flush=True)
            if failed:
                print(output, flush=True)


if __name__ == "__main__":
    sys.exit(main())
