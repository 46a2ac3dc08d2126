"""Every benchmark beside its peer in one run (`make bench`, `make bench-full`).

Prints each figure as it is known and keeps the table of all so far: bench.json and bench.md in
build/, with what the machine is. What can't be measured here, fails, or has no time left has its
reason in its place; so has what an interrupt leaves out.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from machine_facts import machine_facts
from measurement import Measurement, MissingError
from results import Results, write

LIMIT = 450.0  # seconds: `make bench` ends within 8 minutes
ON_KVM = ("vcpu_rates", "stops", "recording", "gdb_steps", "interface_rates")
BENCHMARKS = (
    "first_screen",
    "command_start",
    "vcpu_rates",
    "recording",
    "interface_rates",
    "stack_browser",
    "extraction",
    "stream_health",
    "sampling",
    "gdb_steps",
    "stops",
    "stack_speed",  # the last: its packages may have to be fetched first
)
FULL = (*BENCHMARKS, "stack_truth", "linux_boot")

Take = Callable[[Sequence[Measurement]], object]


class OverError(KeyboardInterrupt):
    """The time of this run is over: the clock interrupts it, as a user would."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OverError in the block after so long; never where it is infinite."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise OverError

    handler = signal.signal(signal.SIGALRM, over)
    limit = 0.0 if seconds == float("inf") else max(seconds, 1e-3)
    timer = signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def measured(name: str, *, full: bool) -> Iterator[Measurement]:
    """The measurements of one benchmark; a failure is one as well."""
    if name in ON_KVM and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        yield Measurement(name, missing="/dev/kvm can't be opened (`kdash doctor` says why)")
        return
    try:
        yield from importlib.import_module(name).measure(full=full)
    except MissingError as error:
        yield Measurement(name, missing=_reason(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the others go on whatever it is
        yield Measurement(name, missing=_reason(f"{type(error).__name__}: {error}"))


def _reason(text: str) -> str:
    """One line without the places of this machine."""
    line = " ".join(text.split())[:300]
    for place in (Path(__file__).resolve().parents[1], Path.home()):
        line = line.replace(f"{place}/", "")
    return line


def run(
    names: Sequence[str], *, full: bool, limit: float, take: Take = len
) -> tuple[list[Measurement], int]:
    """Take all of them, printing each.

    Args:
        names: modules of benchmarks.
        full: more rounds, all files.
        limit: seconds after which a run is ended, whatever it is doing.
        take: called with all that is known whenever that is more.

    Returns:
        What was measured, with a line for each that was not; 130 when interrupted, else 0.
    """
    found: list[Measurement] = []
    left = list(names)

    def add(one: Measurement) -> None:
        found.append(one)
        print(one, flush=True)
        take(found)

    why, status = "", 0
    end = time.monotonic() + limit
    try:
        with at_most(limit):
            for name in names:
                if time.monotonic() > end:  # a callback of C swallows what a signal raises in it
                    raise OverError
                for one in measured(name, full=full):
                    add(one)
                left.remove(name)
    except OverError:
        why = f"the {limit:.0f} s of this run were over"
    except KeyboardInterrupt:
        why, status = "the run was interrupted", 130
    for name in left:
        add(Measurement(name, missing=why))
    return found, status


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine = machine_facts()
    for name, value in machine.items():
        print(f"{name}: {value}")
    date = f"{datetime.now(UTC):%Y-%m-%d}"

    def keep(found: Sequence[Measurement]) -> None:
        write(Results(date, machine, found), given.folder, "bench")

    limit = float("inf") if given.full else LIMIT
    _, status = run(tuple(given.names) or known, full=given.full, limit=limit, take=keep)
    print(f"written: {given.folder}/bench.json, {given.folder}/bench.md")
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
