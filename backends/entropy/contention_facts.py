"""What readers of shared pools cost each other: frozen facts, standard library only."""

from __future__ import annotations

from dataclasses import dataclass

MEASURED = "measured"
SIMULATED = "calibrated to Kleen's statement"


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the threads' time went, each from 0 to 1."""

    spin: float  # waiting for a lock
    hold: float  # holding one
    think: float  # the rest


@dataclass(frozen=True, slots=True)
class Point:
    """One number of threads on one design."""

    design: str  # "1 pool", "2 pools", "getrandom"
    threads: int
    pools: int
    reads_per_second: float  # of 16 bytes, the median of the runs
    best_reads_per_second: float
    cpu_ns_per_read: float  # median
    cpu_share: float  # processor time of the threads over threads x time; 1: never preempted
    shares: Shares | None  # None: not seen (getrandom)
    runs: int
    origin: str  # MEASURED or SIMULATED


@dataclass(frozen=True, slots=True)
class Contention:
    """All points of one experiment."""

    cpus: int  # this process may run on
    nodes: int  # NUMA nodes of this host
    points: tuple[Point, ...]
    planned: int = 0  # points of the whole experiment; 0: not told
