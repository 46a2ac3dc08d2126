"""Every benchmark beside its peer in one run (`make bench`, `make bench-full`).

Prints each figure as it is known, then writes the table: bench.json and bench.md in build/, with
what the machine is. What can't be measured here, or fails, has its reason in its place; what is
known so far is also written when the run is interrupted, or has no time left.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from machine_facts import machine_facts
from measurement import Measurement
from results import Results, write

LIMIT = 450.0  # seconds: `make bench` ends within 8 minutes
BENCHMARKS = (
    "first_screen",
    "command_start",
    "vcpu_rates",
    "stops",
    "recording",
    "gdb_steps",
    "interface_rates",
    "stack_speed",
    "stack_browser",
    "extraction",
    "stream_health",
    "sampling",
)
FULL = (*BENCHMARKS, "stack_truth", "linux_boot")


def measured(name: str, *, full: bool) -> Iterator[Measurement]:
    """The measurements of one benchmark; a failure is one as well."""
    try:
        yield from importlib.import_module(name).measure(full=full)
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the others go on whatever it is
        yield Measurement(name, missing=f"{type(error).__name__}: {error}")


def run(names: tuple[str, ...], *, full: bool, limit: float) -> tuple[list[Measurement], int]:
    """Take all of them, printing each; what was measured, and 130 when interrupted."""
    found: list[Measurement] = []
    end = time.monotonic() + limit
    try:
        for name in names:
            if time.monotonic() > end:
                found.append(Measurement(name, missing=f"the {limit:.0f} s of this run were over"))
                print(found[-1], flush=True)
                continue
            for one in measured(name, full=full):
                found.append(one)
                print(one, flush=True)
    except KeyboardInterrupt:
        return found, 130
    return found, 0


def main() -> int:
    """Run them and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--full", action="store_true", help="all modules, all peers")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="of the table (build)")
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help="some alone")
    given = parser.parse_args()
    known = FULL if given.full else BENCHMARKS
    if unknown := set(given.names) - set(FULL):
        parser.error(f"no benchmark {min(unknown)!r}; there are {', '.join(FULL)}")
    machine = machine_facts()
    for name, value in machine.items():
        print(f"{name}: {value}")
    limit = float("inf") if given.full else LIMIT
    found, status = run(tuple(given.names) or known, full=given.full, limit=limit)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    data, text = write(Results(date, machine, found), given.folder, "bench")
    print(f"written: {data}, {text}")
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
