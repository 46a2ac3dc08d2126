"""This machine's interrupts, disk and input events, told by counters every user may read.

Source: proc(5), /proc/interrupts; Linux Documentation/admin-guide/iostats.rst, /proc/diskstats.
Counters tell how many events there were, not when: the events of a window are spread over it
evenly, each line of interrupts for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from kdash.backends.entropy.happenings import Happening, Kind, Window
from kdash.backends.entropy.interrupts import interrupts_by_line
from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable

MOST_HAPPENINGS = 4000  # of one window; the rest is counted as left out
_SHARE = 0.01  # of one CPU, the most that reading counters may take
_LEAST_PAUSE = 0.2  # seconds between two looks
# Drivers whose interrupts are input events too; USB devices that share the line of their
# controller can't be told apart.
KEYBOARDS = ("i8042", "keyboard", "usbhid")
_COUNT_FIELDS = (3, 7, 14)  # reads, writes, discards completed
_LOW = 1 << 20  # of device numbers: MINORBITS of include/linux/kdev_t.h

Key = tuple[Kind, int, int]  # kind, CPU, number


class CounterFeed:
    """Events from the differences of counters between two looks."""

    words = "this machine, counters"

    def __init__(
        self, root: str = "/", monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Prepare; nothing is read before the first call.

        Args:
            root: The folder that holds /proc.
            monotonic_ns: The clock of the windows.
        """
        self._root = Root(root)
        self._monotonic_ns = monotonic_ns
        self._pacing = Pacing(lambda: monotonic_ns() / 1e9, _SHARE, _LEAST_PAUSE)
        self._before: dict[Key, int] | None = None
        self._start_ns: int | None = None

    def __call__(self) -> Window:
        """The window since the last call."""
        now = self._monotonic_ns()
        start = now if self._start_ns is None else self._start_ns
        if now < start:  # a clock that went back begins anew
            self._start_ns, self._before = now, None
            return Window(now, now)
        if self._before is not None and not self._pacing.due:
            return Window(start, start)  # the time goes to the next window, with its events
        self._start_ns = now
        with self._pacing.look():
            counts = self._counts()
        before, self._before = self._before, counts
        if before is None:
            return Window(start, now)
        happenings, left_out = spread_evenly(increases(before, counts), start, now)
        return Window(start, now, happenings, left_out)

    def close(self) -> None:
        """Nothing is held."""

    def _counts(self) -> dict[Key, int]:
        counts: dict[Key, int] = {}
        # Without one of them the others, or the load generator, feed the model.
        with suppress(Unavailable):
            for line in interrupts_by_line(self._root.interrupts()):
                is_input = any(driver in line.action for driver in KEYBOARDS)
                for cpu, count in line.counts:
                    counts[Kind.INTERRUPT, cpu, line.number] = count
                    if is_input:
                        counts[Kind.INPUT, cpu, line.number] = count
        with suppress(Unavailable):
            counts |= disk_counts(self._root.text("proc/diskstats", _LOW))
        return counts


def disk_counts(text: str) -> dict[Key, int]:
    """Requests completed by each whole disk in the text of /proc/diskstats; bad lines are skipped.

    Partitions and devices made of others repeat what their disk counts: of each major number the
    devices that completed something and whose name no other name begins with count.
    """
    found: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        words = line.split()
        numbers = words[:2] + [words[field] for field in _COUNT_FIELDS if field < len(words)]
        if len(words) < 8 or not all(w.isascii() and w.isdigit() and len(w) < 20 for w in numbers):
            continue
        major, minor, *completed = map(int, numbers)
        if words[2].startswith(("loop", "ram", "dm-", "md", "zram")):
            continue  # no request of theirs feeds the generator: they have no disk of their own
        found[words[2]] = (major * _LOW + minor, sum(completed))
    whole = [name for name in found if not _is_partition(name, found)]
    return {(Kind.DISK, 0, found[name][0]): found[name][1] for name in whole}


def _is_partition(name: str, names: Iterable[str]) -> bool:
    stem = name.rstrip("0123456789")
    return stem != name and (stem in names or (stem.endswith("p") and stem[:-1] in names))


def increases(before: Mapping[Key, int], after: Mapping[Key, int]) -> Iterator[tuple[Key, int]]:
    """How much each counter grew; those that are new, gone or fell (hotplug) tell nothing."""
    for key, count in after.items():
        grown = count - before.get(key, count)
        if grown > 0:
            yield key, grown


def spread_evenly(
    increased: Iterable[tuple[Key, int]], start_ns: int, end_ns: int
) -> tuple[list[Happening], int]:
    """The events behind increases of counters, by time, and how many more there were."""
    grown = list(increased)
    total = sum(count for _, count in grown)
    share = min(1.0, MOST_HAPPENINGS / total) if total else 1.0
    span = end_ns - start_ns
    happenings = []
    for (kind, cpu, number), count in grown:
        kept = max(1, int(count * share)) if len(grown) < MOST_HAPPENINGS else int(count * share)
        for ordinal in range(kept):
            at = start_ns + span * (ordinal + 1) // (kept + 1)
            # Equal values would be autorepeat; what was pressed is not told, and not wanted.
            happenings.append(Happening(at, kind, cpu, number, at & 0xFF))
    happenings.sort(key=lambda happening: happening.at_ns)
    return happenings, total - len(happenings)
