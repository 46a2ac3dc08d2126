"""`kdash entropy contention`: what one lock for all readers costs, measured or simulated."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from kdash.backends.entropy.contention_facts import MEASURED
from kdash.backends.wording import counted
from kdash.commands.argument_parser import Parser
from kdash.commands.entropy_parser import Stopped
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.entropy.contention_facts import Contention, Point, Shares

EPILOG = """\
Measured: threads of this process, one a processor, read 16 bytes time after time from pools of
the Linux 4.3 generator in user space: from one pool behind one lock, from fewer, from one each;
and with getrandom of the running kernel. Nothing is taken from the kernel's pools where that
would be felt: on kernels whose estimate moves getrandom is left out.

Simulated: machines larger than this one, by a queueing model calibrated to the two statements
published in 2015: four sockets spent more than 80 % of their time waiting, two were acceptable.

examples:
  kdash entropy contention
  kdash entropy contention --runs 3 --format json
  kdash entropy contention --simulate 4,120,1    four sockets, 120 threads, one pool for all
  kdash entropy contention --simulate 4,120,4    the same with a pool a node
  kdash entropy contention --simulate 4,120,120  the same with a pool a processor

Exit status: 0, 2 usage, 3 when threads can't be started, 130 after ctrl+c with what is known.
"""
# What a simulation has not: it is no run, and nothing took processor time.
OF_MEASUREMENTS = ("best_reads_per_second", "cpu_ns_per_read", "cpu_share", "runs")
MOST_THREADS = 4096  # as the simulation's own
MOST_DIGITS = 9
SEED, RUNS, SECONDS = 1, 10, 0.1
OF_RUNS, OF_TIME = ("best", "CPU ns", "CPU"), ("spin", "hold", "think")
MARK = 0.8  # of the time: where the published machine stood


def run(argv: list[str]) -> int:
    """Carry out `kdash entropy contention` and return the exit status."""
    parser = contention_parser()
    arguments = parser.parse_args(argv)
    simulated = arguments.simulate is not None
    for option in ("threads", "runs", "seconds") if simulated else ("seed",):
        if getattr(arguments, option) is not None:
            parser.error(f"--{option} goes {'without' if simulated else 'with'} --simulate")
    try:
        if simulated:
            return _simulate(arguments)
        return _measure(arguments)
    except ValueError as error:
        sys.stderr.write(f"kdash entropy contention: {error}\n")
        return ExitStatus.USAGE
    except BrokenPipeError:  # whoever read the output
        raise
    except OSError as error:
        sys.stderr.write(f"kdash entropy contention: {error.strerror or error}\n")
        return ExitStatus.ENVIRONMENT


def contention_parser() -> Parser:
    """`kdash entropy contention`."""
    parser = Parser(
        "entropy contention", "Measure or simulate readers that share a lock.", EPILOG, formats=True
    )
    parser.add_argument(
        "--simulate", type=_machine, metavar="SOCKETS,THREADS,NODES",
        help=f"simulate a machine: threads in all, at most {MOST_THREADS:,}, and pools: one for"
        " all, one a node, one a thread",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help=f"of the simulation ({SEED})")
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="measure 1 to N threads (the processors)"
    )
    parser.add_argument(
        "--runs", type=_positive, metavar="N",
        help=f"runs a point, whose best and median are told ({RUNS})",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, metavar="S", help=f"how long a run takes ({SECONDS})"
    )
    return parser


def _machine(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not SOCKETS,THREADS,NODES, as in 4,120,1")
    if max(map(len, parts)) > MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r}: at most {MOST_THREADS:,} of each")
    sockets, threads, nodes = map(int, parts)
    return sockets, threads, nodes


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 9,999")
    return int(text)


def _simulate(arguments: argparse.Namespace) -> int:
    from kdash.backends.entropy.queueing import simulate

    seed = SEED if arguments.seed is None else arguments.seed
    point = simulate(*arguments.simulate, seed=seed)
    sockets, threads, nodes = arguments.simulate
    if nodes not in (1, threads) and max(nodes, sockets) % min(nodes, sockets):
        sys.stderr.write(
            f"kdash entropy contention: {counted(nodes, 'pool')} do not divide "
            f"{counted(sockets, 'socket')} evenly: threads of different sockets share a pool\n"
        )
    if arguments.format == "json":
        found = {"sockets": sockets, "threads": threads, "nodes": nodes}
        sys.stdout.write(json.dumps(found | {"points": [_json(point)]}) + "\n")
    else:
        sys.stdout.write(
            f"simulated, {point.origin}: {counted(sockets, 'socket')}, "
            f"{counted(threads, 'thread')}, {counted(nodes, 'pool')}\n\n"
        )
        sys.stdout.write(_table((point,), measured=False))
    return ExitStatus.OK


def _measure(arguments: argparse.Namespace) -> int:
    from kdash.backends.entropy.contention import experiment

    found: Contention | None = None
    runs = arguments.runs or RUNS
    seconds = SECONDS if arguments.seconds is None else arguments.seconds
    try:
        for found in experiment(arguments.threads, runs=runs, seconds=seconds):
            _tell_progress(found)
    except Stopped:
        if found is not None:
            _print(found, arguments.format)  # what is known so far
        raise
    if found is not None:
        _print(found, arguments.format)
    return ExitStatus.OK


def _tell_progress(found: Contention) -> None:
    if sys.stderr.isatty():
        point = found.points[-1]
        done = f"{len(found.points)} of {found.planned}"
        told = f"measured {done}: {counted(point.threads, 'thread')}, {point.design}"
        sys.stderr.write(f"\r\x1b[K{told}")


def _print(found: Contention, form: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if form == "json":
        points = [_json(point) for point in found.points]
        sys.stdout.write(
            json.dumps({"cpus": found.cpus, "host_nodes": found.nodes, "points": points}) + "\n"
        )
        return
    sys.stdout.write(
        f"measured on {counted(found.cpus, 'processor')}, {counted(found.nodes, 'NUMA node')}: "
        "reads of 16 bytes\n\n"
    )
    sys.stdout.write(_table(found.points, measured=True))
    ratio = _split_over_shared(found.points)
    if ratio:
        sys.stdout.write(f"\n{ratio}\n")


def _json(point: Point) -> dict[str, object]:
    left_out = () if point.origin == MEASURED else OF_MEASUREMENTS
    found = asdict(point).items()
    return {key: value for key, value in found if value is not None and key not in left_out}


def _table(points: tuple[Point, ...], *, measured: bool) -> str:
    rows = [("threads", "design", "reads/s", *(OF_RUNS if measured else ()), *OF_TIME)]
    rows += [
        (
            f"{point.threads:,}", point.design, f"{point.reads_per_second:,.0f}",
            *(_run_cells(point) if measured else ()), *_share_cells(point.shares),
        )
        for point in points
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 1 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    notes = [
        f"{counted(point.threads, 'thread')} on {point.design}: more than {MARK:.0%} of the time "
        "is spent waiting for the lock"
        for point in points
        if point.shares is not None and point.shares.spin > MARK
    ]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _run_cells(point: Point) -> tuple[str, str, str]:
    best, each = point.best_reads_per_second, point.cpu_ns_per_read
    return f"{best:,.0f}", f"{each:,.0f}", f"{point.cpu_share:.0%}"


def _share_cells(shares: Shares | None) -> tuple[str, str, str]:
    if shares is None:
        return "-", "-", "-"
    return f"{shares.spin:.1%}", f"{shares.hold:.1%}", f"{shares.think:.1%}"


def _split_over_shared(points: tuple[Point, ...]) -> str:
    """What a pool each gains over one for all, at the most threads that have both."""
    most = max(point.threads for point in points)
    by_pools = {point.pools: point for point in points if point.threads == most}
    one, each = by_pools.get(1), by_pools.get(most)
    if most == 1 or one is None or each is None or not one.reads_per_second:
        return ""
    best = each.best_reads_per_second / one.best_reads_per_second
    median = each.reads_per_second / one.reads_per_second
    return f"{most} pools over 1 with {most} threads: x{best:.1f} best, x{median:.1f} median"
