"""What feeds the live model: this machine's events, a load generator, simulated readers.

The machine's events are counted (/proc/interrupts by CPU and line, /proc/diskstats by disk), so
that their number is real and their times are spread evenly over the time between two looks. With a
seed the machine is left out and every event is determined.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from kdash.backends.entropy.interrupts import InterruptTable, parse_table
from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable

NS = 1_000_000_000
MOST_WAITING = 5_000  # events; what a machine makes beyond is counted and left out
MOST_LOAD = 100_000  # events a second
MOST_READS = 1_000  # a second, of each kind of reader
SEEDED_LOAD = 100.0  # events a second of a seeded feed, until told otherwise
READ_BYTES = 16  # of one simulated read
_SHARE = 0.01  # of one CPU, the most that counting may take
_LEAST_PAUSE = 0.25  # seconds between two looks at the counters
_PAUSED_NS = 5 * NS  # a longer time without a look is a pause, whose events are not made up for
KEYBOARDS = ("i8042", "keyboard", "usbhid")  # drivers whose interrupts are input events
_DISKSTATS = "proc/diskstats"


class Kind(Enum):
    """What happens to the model."""

    CLOCK = "clock"  # nothing but time
    INTERRUPT = "interrupt"
    DISK = "disk"
    INPUT = "input"
    RANDOM = "/dev/random"
    URANDOM = "/dev/urandom"
    GETRANDOM = "getrandom"


READERS = {"random": Kind.RANDOM, "urandom": Kind.URANDOM, "getrandom": Kind.GETRANDOM}


@dataclass(frozen=True, slots=True)
class Sample:
    """One event, or one read."""

    monotonic_ns: int
    number: int  # interrupt line, disk (dev_t), input code; bytes of a read; its low 32 bits count
    kind: Kind = Kind.CLOCK
    cpu: int = 0


class Source(Protocol):
    """Where the machine's events come from."""

    def since(self, now_ns: int) -> list[Sample]:
        """The events between the last look and this one."""

    def close(self) -> None:
        """Let go of what was opened."""


class MachineEvents:
    """This machine's events since the last look, from its counters."""

    def __init__(self, root: Root, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._pacing = Pacing(monotonic, _SHARE, _LEAST_PAUSE)
        self._interrupts: InterruptTable | None = None
        self._disks: dict[int, int] | None = None
        self._looked_ns = 0

    def since(self, now_ns: int) -> list[Sample]:
        """The events between the last look and this one; none of the first."""
        if not self._pacing.due:
            return []
        with self._pacing.look():
            interrupts, disks = self._read_interrupts(), self._read_disks()
        counted = [*self._counted(interrupts), *self._completed(disks)]
        paused = now_ns - self._looked_ns > _PAUSED_NS
        start, self._looked_ns = self._looked_ns, now_ns
        self._interrupts, self._disks = interrupts, disks
        return [] if paused else list(_spread(counted, start, now_ns))

    def close(self) -> None:
        """Nothing is kept open."""

    def _counted(self, now: InterruptTable | None) -> Iterator[tuple[int, Kind, int, int]]:
        """(how many, kind, interrupt line, CPU) where a count rose."""
        before = self._interrupts
        if before is None or now is None:
            return
        for line, (counts, name) in now.items():
            was = before.get(line)
            if was is None or len(was[0]) != len(counts):
                continue
            kind = Kind.INPUT if any(word in name for word in KEYBOARDS) else Kind.INTERRUPT
            for cpu, (new, old) in enumerate(zip(counts, was[0], strict=True)):
                if new > old:
                    yield new - old, kind, line, cpu

    def _completed(self, now: dict[int, int] | None) -> Iterator[tuple[int, Kind, int, int]]:
        for disk, count in (now or {}).items():
            done = count - (self._disks or {}).get(disk, count)
            if done > 0:
                yield done, Kind.DISK, disk, 0

    def _read_interrupts(self) -> InterruptTable | None:
        try:
            return parse_table(self._root.interrupts())
        except Unavailable:
            return None

    def _read_disks(self) -> dict[int, int] | None:
        try:
            return parse_diskstats(self._root.text(_DISKSTATS, 1 << 20))
        except Unavailable:
            return None


def parse_diskstats(text: str) -> dict[int, int]:
    """Completed requests by dev_t; odd lines are left out (Documentation: iostats.rst)."""
    found = {}
    for line in text.splitlines():
        words = line.split()[:8]
        if len(words) == 8 and all(words[place].isdecimal() for place in (0, 1, 3, 7)):
            major, minor = int(words[0][:9]), int(words[1][:9])
            found[major << 20 | minor] = int(words[3][:19]) + int(words[7][:19])
    return found


def _spread(counted: list[tuple[int, Kind, int, int]], start: int, end: int) -> Iterator[Sample]:
    """That many events of each sort, evenly between two times."""
    for count, kind, number, cpu in counted:
        kept = min(count, MOST_WAITING)
        for place in range(kept):
            yield Sample(start + (end - start) * (2 * place + 1) // (2 * kept), number, kind, cpu)


class EventFeed:
    """Gives the model its events in the order of their times.

    Attributes:
        dropped: Events that were too many to feed.
    """

    def __init__(
        self,
        machine: Source | None = None,
        *,
        seed: int | None = None,
        cpus: int = 2,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare.

        Args:
            machine: The machine whose events count; with a seed none.
            seed: Determines every event of the load generator.
            cpus: Processors the load generator raises interrupts on.
            clock: Nanoseconds, CLOCK_MONOTONIC.
        """
        self._machine = machine if seed is None else None
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 - a load, no secret
        self._cpus = max(1, cpus)
        self._clock = clock
        # A seeded feed has a time of its own, from 0 on.
        self._offset = -clock() if seed is not None else 0
        self._looked = self._now()
        self._waiting: deque[Sample] = deque()
        self._load = 0.0
        self._next_load = 0
        self._reads: dict[str, float] = {}
        self._next_read: dict[str, int] = {}
        self.dropped = 0
        if seed is not None:
            self._load = SEEDED_LOAD

    def __call__(self) -> Sample:
        """The next event; when none is due the load's next one, else the clock alone."""
        self._fill()
        if self._waiting:
            return self._waiting.popleft()
        if self._load:
            return self._loaded()
        return Sample(self._now(), 0)

    @property
    def pending(self) -> int:
        """How many events are due."""
        self._fill()
        return len(self._waiting)

    @property
    def machine(self) -> Source | None:
        """Where the machine's events come from; None: they don't count."""
        return self._machine

    def use(self, machine: Source) -> None:
        """Take the machine's events from elsewhere; a seeded feed takes none."""
        self.close()
        if self.seed is None:
            self._machine = machine

    def close(self) -> None:
        """Let go of what the machine's events were read from."""
        if self._machine is not None:
            self._machine.close()

    @property
    def load(self) -> float:
        """Events a second that the load generator makes."""
        return self._load

    @property
    def reads(self) -> dict[str, float]:
        """Reads a second by the name of the reader, of READERS."""
        return dict(self._reads)

    def set_load(self, events_per_second: float) -> None:
        """Let the load generator make so many interrupts, disk and input events."""
        self._load = min(max(0.0, events_per_second), float(MOST_LOAD))
        self._next_load = self._now()

    def set_reads(self, reader: str, reads_per_second: float) -> None:
        """Let a simulated reader, of READERS, read so often; 0 ends it."""
        self._reads.pop(reader, None)
        if reads_per_second > 0:
            self._reads[reader] = min(reads_per_second, float(MOST_READS))
            self._next_read[reader] = self._now()

    def _now(self) -> int:
        return self._clock() + self._offset

    def _fill(self) -> None:
        """Take in what is due by now."""
        now = self._now()
        if now - self._looked > _PAUSED_NS:
            self._skip(now - self._looked)
            now = self._now()
        self._looked = now
        due = self._machine.since(now) if self._machine else []
        while self._load and self._next_load <= now and len(due) < MOST_WAITING:
            due.append(self._loaded())
        for reader, rate in self._reads.items():
            while self._next_read[reader] <= now and len(due) < 2 * MOST_WAITING:
                due.append(Sample(self._next_read[reader], READ_BYTES, READERS[reader]))
                self._next_read[reader] += int(NS / rate)
        due.sort(key=lambda sample: sample.monotonic_ns)
        room = MOST_WAITING - len(self._waiting)
        self.dropped += max(0, len(due) - room)
        self._waiting.extend(due[:room])

    def _skip(self, pause: int) -> None:
        """Leave a pause out: a seeded feed stood still, a live one has missed what happened."""
        if self.seed is not None:
            self._offset -= pause
            return
        self._next_load += pause
        for reader in self._next_read:
            self._next_read[reader] += pause

    def _loaded(self) -> Sample:
        """The load generator's next event."""
        pick = self._random.random()
        when = self._next_load
        self._next_load += max(1, int(self._random.expovariate(self._load) * NS))
        cpu = self._random.randrange(self._cpus)
        if pick < 0.80:
            return Sample(when, 32 + self._random.randrange(8), Kind.INTERRUPT, cpu)
        if pick < 0.95:
            return Sample(when, 8 << 20, Kind.DISK)
        return Sample(when, 1 + self._random.randrange(80), Kind.INPUT)


def machine_feed(root: str = "/", seed: int | None = None) -> EventFeed:
    """The feed of this machine; with a seed one that it determines instead."""
    return EventFeed(MachineEvents(Root(root)), seed=seed)
