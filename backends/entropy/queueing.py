"""Simulates readers that share locks on machines larger than this one.

A closed queueing model: a fixed number of threads think, then read 16 bytes, which takes two
passages of their node's lock, first come first served. A passage holds the lock for a time of its
own, plus the hand-off of the lock's cache line from the thread that held it before, whether that
one hands it over or left it free, plus a tax for each thread that waits and polls the line. The
figures are calibrated so that both statements published about the Linux 4.3 generator hold (Andi
Kleen, 2015): a machine of four sockets spent more than 80 % of its processor time contending for
the lock, one of two sockets was acceptable.

Waiting is everything but thinking and holding: queue, hand-off and tax. Two sockets are close to
where the lock is full, so what they wait follows from how much the thinking times differ: 3 % of
the time where by 3 %, 7 % where by half; the spread below gives 4 %. Four sockets don't depend on
it.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kdash.backends.entropy.contention_facts import SIMULATED, Point, Shares
from kdash.backends.wording import counted

THREADS_A_SOCKET = 30
MOST_SOCKETS, MOST_THREADS = 64, 4096
READS = 20_000  # that are counted
_WARM_UP = 0.1  # share of the reads before those, in which the queues fill
_PASSAGES = 2  # of the lock, a read
_CHECKED = 4096  # events between two calls of `step`


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds, but for the spread."""

    think: float = 120e-6  # between two reads of a thread
    think_spread: float = 0.07  # of it, up to which a time lies above or below, uniformly
    hold: float = 520e-9
    hand_off_near: float = 180e-9  # of the lock, inside a socket
    hand_off_far: float = 600e-9  # across sockets
    tax: float = 20e-9  # for each waiting thread


class _Lock:
    """A lock, first come first served."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, float]] = deque()  # thread, when it came
        self.busy = False
        self.last = -1  # the thread that held it last


class _Machine:
    """Threads in sockets, and a lock for each node, or for each group of threads."""

    def __init__(
        self, sockets: int, threads: int, nodes: int, calibration: Calibration, seed: int
    ) -> None:
        self._calibration = calibration
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._socket = [thread * sockets // threads for thread in range(threads)]
        locks = [_Lock() for _ in range(nodes)]
        if nodes <= sockets:
            self._lock = [locks[socket * nodes // sockets] for socket in self._socket]
        else:
            self._lock = [locks[thread * nodes // threads] for thread in range(threads)]
        self._passages = [_PASSAGES] * threads
        self._events = [(self._think(), thread, False) for thread in range(threads)]
        heapq.heapify(self._events)
        self.now = 0.0
        self.reads = 0
        self.spin = self.hold = self.think = 0.0

    def forget(self) -> None:
        """Count from now on."""
        self.reads = 0
        self.spin = self.hold = self.think = 0.0

    def run(self, reads: int, step: Callable[[], None]) -> None:
        """Go on until so many reads are counted."""
        events = 0
        while self.reads < reads:
            events += 1
            if events % _CHECKED == 0:
                step()
            self.now, thread, releases = heapq.heappop(self._events)
            if releases:
                self._release(thread)
            else:
                self._arrive(thread)

    def _think(self) -> float:
        given = self._calibration
        return given.think * (1 + given.think_spread * (2 * self._random.random() - 1))

    def _arrive(self, thread: int) -> None:
        lock = self._lock[thread]
        if lock.busy:
            lock.queue.append((thread, self.now))
        else:
            self._hold(lock, thread, self.now)

    def _hold(self, lock: _Lock, thread: int, came: float) -> None:
        given = self._calibration
        cost = given.tax * len(lock.queue)
        if lock.last not in (-1, thread):  # its cache line comes over
            near = self._socket[lock.last] == self._socket[thread]
            cost += given.hand_off_near if near else given.hand_off_far
        lock.busy, lock.last = True, thread
        self.spin += self.now - came + cost
        self.hold += given.hold
        heapq.heappush(self._events, (self.now + cost + given.hold, thread, True))

    def _release(self, thread: int) -> None:
        lock = self._lock[thread]
        lock.busy = False
        if lock.queue:
            self._hold(lock, *lock.queue.popleft())
        self._passages[thread] -= 1
        if self._passages[thread]:
            self._arrive(thread)
            return
        self._passages[thread] = _PASSAGES
        self.reads += 1
        think = self._think()
        self.think += think
        heapq.heappush(self._events, (self.now + think, thread, False))


def simulate(  # noqa: PLR0913 - two are for tests and for cancelling
    sockets: int,
    threads: int,
    nodes: int,
    *,
    calibration: Calibration | None = None,
    seed: int = 1,
    reads: int = READS,
    step: Callable[[], None] = lambda: None,
) -> Point:
    """One point: threads spread over sockets, which share `nodes` pools and locks.

    Args:
        sockets: 1 to 64.
        threads: In all, at least one a socket, at most 4,096.
        nodes: Pools, 1 to the number of threads: up to one a socket, each for whole sockets; above,
            each for as many threads in turn, up to one a thread, which is one a processor.
        calibration: Times; those that meet the published statements by default.
        seed: The same seed gives the same point.
        reads: How many reads are counted.
        step: Called now and then; may raise to cancel.

    Raises:
        ValueError: A number out of range.
    """
    if not 1 <= sockets <= MOST_SOCKETS:
        raise ValueError(f"{sockets:,} sockets: 1 to {MOST_SOCKETS}")
    if not sockets <= threads <= MOST_THREADS:
        raise ValueError(f"{threads:,} threads: {sockets} (one a socket) to {MOST_THREADS:,}")
    if not 1 <= nodes <= threads:
        raise ValueError(f"{nodes:,} pools: 1 to {threads:,}, the number of threads")
    machine = _Machine(sockets, threads, nodes, calibration or Calibration(), seed)
    machine.run(int(reads * _WARM_UP), step)
    began = machine.now
    machine.forget()
    machine.run(reads, step)
    busy = machine.spin + machine.hold + machine.think
    rate = machine.reads / (machine.now - began)
    return Point(
        design=counted(nodes, "pool"),
        threads=threads,
        pools=nodes,
        reads_per_second=rate,
        best_reads_per_second=rate,
        cpu_ns_per_read=1e9 * threads / rate,
        cpu_share=1.0,
        shares=Shares(machine.spin / busy, machine.hold / busy, machine.think / busy),
        runs=1,
        origin=SIMULATED,
    )
