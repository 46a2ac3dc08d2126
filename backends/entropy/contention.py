"""Measures what one lock for all readers costs, and what a pool and lock for each saves.

Native threads (contention.c) read 16 bytes time after time from pools of the Linux 4.3 generator
in user space, each pool behind a ticket lock of its own; or call getrandom of the running kernel.
More threads than processors would wait for holders that do not run: their number is capped.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdash.backends.entropy._native import ffi, lib
from kdash.backends.entropy.contention_facts import MEASURED, Contention, Point, Shares
from kdash.backends.entropy.procfs import takes_from_input_pool

RUNS = 10
RUN_SECONDS = 0.1
EACH = 8  # threads up to which each number is measured
LEAST_RUN_SECONDS, MOST_RUN_SECONDS = 0.01, 10.0
GETRANDOM = "getrandom"
_NODES = Path("/sys/devices/system/node")


@dataclass(frozen=True, slots=True)
class Plan:
    """One point to measure."""

    threads: int
    pools: int  # 0: getrandom of the running kernel


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    cpu_ns: float
    cpu_share: float


def cpus() -> tuple[int, ...]:
    """The processors this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def host_nodes(folder: Path = _NODES) -> int:
    """NUMA nodes of this host; 1 where the kernel tells none."""
    try:
        return max(1, sum(1 for entry in folder.iterdir() if entry.name[4:].isdigit()))
    except OSError:
        return 1


def plans(most_threads: int, *, kernel: bool = True) -> tuple[Plan, ...]:
    """One to all threads, on one pool for all, on half as many pools, on one each.

    Above EACH threads their number doubles, so that a host of hundreds of processors is measured
    in minutes.
    """
    found = []
    counts = [*range(1, min(most_threads, EACH + 1))]
    while counts and counts[-1] >= EACH and 2 * counts[-1] < most_threads:
        counts.append(2 * counts[-1])
    for threads in (*counts, most_threads):
        pools = sorted({1, max(1, threads // 2), threads})
        found += [Plan(threads, count) for count in pools]
        if kernel:
            found.append(Plan(threads, 0))
    return tuple(found)


def measure(
    plan: Plan,
    *,
    runs: int = RUNS,
    seconds: float = RUN_SECONDS,
    step: Callable[[], None] = lambda: None,
) -> Point:
    """Measure one point; takes about (runs + 1) x seconds.

    Args:
        plan: Threads and pools.
        runs: How many runs the best and the median are taken of, at least 1.
        seconds: How long a run is.
        step: Called between runs; may raise to cancel.

    Raises:
        ValueError: More threads than processors, or a length out of range.
        OSError: The threads could not be started.
    """
    places = cpus()
    _check_threads(plan.threads, places)
    if not 0 <= plan.pools <= plan.threads:
        raise ValueError(f"{plan.pools} pools for {plan.threads} threads: at most one each")
    if not LEAST_RUN_SECONDS <= seconds <= MOST_RUN_SECONDS or runs < 1:
        raise ValueError(f"a run takes {LEAST_RUN_SECONDS:g} to {MOST_RUN_SECONDS:g} seconds")
    done = []
    for _ in range(runs):
        step()
        done.append(_run(plan, places, seconds))
    step()
    rates = [run.rate for run in done]
    return Point(
        design=_design(plan),
        threads=plan.threads,
        pools=plan.pools,
        reads_per_second=statistics.median(rates),
        best_reads_per_second=max(rates),
        cpu_ns_per_read=statistics.median(run.cpu_ns for run in done),
        cpu_share=statistics.median(run.cpu_share for run in done),
        shares=_shares(plan, places, seconds) if plan.pools else None,
        runs=runs,
        origin=MEASURED,
    )


def experiment(
    most_threads: int | None = None,
    *,
    runs: int = RUNS,
    seconds: float = RUN_SECONDS,
    kernel: bool = True,
    step: Callable[[], None] = lambda: None,
) -> Iterator[Contention]:
    """Measure all points, telling what there is after each.

    Raises:
        ValueError: As `measure`.
        OSError: As `measure`.
    """
    threads = len(cpus()) if most_threads is None else most_threads
    _check_threads(threads, cpus())
    points: list[Point] = []
    planned = plans(threads, kernel=kernel and not takes_from_input_pool())
    for plan in planned:
        points.append(measure(plan, runs=runs, seconds=seconds, step=step))
        yield Contention(len(cpus()), host_nodes(), tuple(points), len(planned))


def _check_threads(threads: int, places: tuple[int, ...]) -> None:
    most = min(len(places), lib.KDASH_MOST_THREADS)
    if not 1 <= threads <= most:
        raise ValueError(
            f"{threads} threads: 1 to {most} here, one for each processor, since threads that "
            "share one would wait for a holder that does not run"
        )


def _design(plan: Plan) -> str:
    if not plan.pools:
        return GETRANDOM
    return "1 pool" if plan.pools == 1 else f"{plan.pools} pools"


def _contend(
    plan: Plan, places: tuple[int, ...], seconds: float, *, stamped: bool
) -> tuple[list[Any], float]:
    """What each thread did, and the seconds they had: fewer where a signal came."""
    length = ffi.new("uint64_t *", int(seconds * 1e9))
    contenders = ffi.new("struct kdash_contender[]", plan.threads)
    for index in range(plan.threads):
        contenders[index].cpu = places[index]
        contenders[index].pool = index % plan.pools if plan.pools else 0
    source = lib.KDASH_POOLS if plan.pools else lib.KDASH_GETRANDOM
    error = lib.kdash_contend(source, plan.threads, max(1, plan.pools), length, stamped, contenders)
    if error:
        raise OSError(error, f"{plan.threads} threads can't be started: {os.strerror(error)}")
    return list(contenders), max(1, length[0]) / 1e9


def _run(plan: Plan, places: tuple[int, ...], seconds: float) -> _Run:
    contenders, took = _contend(plan, places, seconds, stamped=False)
    reads = sum(one.reads for one in contenders)
    cpu_ns = sum(one.cpu_ns for one in contenders)
    return _Run(reads / took, cpu_ns / max(1, reads), cpu_ns / (took * 1e9 * plan.threads))


def _shares(plan: Plan, places: tuple[int, ...], seconds: float) -> Shares:
    contenders, _ = _contend(plan, places, seconds, stamped=True)
    total = max(1, sum(one.total for one in contenders))
    spin = min(1.0, sum(one.wait for one in contenders) / total)
    hold = min(1.0 - spin, sum(one.hold for one in contenders) / total)
    return Shares(spin, hold, 1.0 - spin - hold)
