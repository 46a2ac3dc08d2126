"""This machine's interrupts and disk events with the times they had, through tracefs as root.

Source: trace events irq:irq_handler_entry (include/trace/events/irq.h) and block:block_rq_complete
(include/trace/events/block.h).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from kdash.backends.entropy.happenings import Happening, Kind, Window
from kdash.backends.entropy.machine_feed import KEYBOARDS, MOST_HAPPENINGS
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.trace_instance import EVENT_LINE, TraceInstance

NS = 1_000_000_000
EVENTS = ("irq/irq_handler_entry", "block/block_rq_complete")
_INTERRUPT = re.compile(rb"irq=(\d{1,9}) name=(.*)")
_DISK = re.compile(rb"(\d{1,4}),(\d{1,7}) ")


class TracedFeed:
    """The machine's events since the last look, with the times they had."""

    words = "this machine, traced"

    def __init__(self, root: Root, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Begin tracing.

        Raises:
            Unavailable: It can't be done.
        """
        self._trace = TraceInstance(root, "events", EVENTS)
        self._trace.start()
        self._monotonic_ns = monotonic_ns
        self._before = monotonic_ns()

    def __call__(self) -> Window:
        """The window since the last call; without events once tracing has failed."""
        start = self._before
        try:
            lines = self._trace.lines()
        except Unavailable:
            lines = []
        now = self._before = max(start, self._monotonic_ns())
        return window_of(lines, start, now)

    def close(self) -> None:
        """End tracing."""
        self._trace.close()


def window_of(lines: Iterable[bytes], start_ns: int, end_ns: int) -> Window:
    """The events of a trace that lie in a window, by time; the others are counted as left out."""
    found = sorted(
        (event for line in lines for event in happenings_of(line)), key=lambda event: event.at_ns
    )
    kept = [event for event in found if start_ns <= event.at_ns <= end_ns]
    within = kept[:MOST_HAPPENINGS]
    return Window(start_ns, end_ns, within, len(found) - len(within))


def happenings_of(line: bytes) -> tuple[Happening, ...]:
    """The events of a line of the trace: a keyboard's interrupt is an input event too."""
    found = EVENT_LINE.fullmatch(line)
    if found is None:
        return ()
    when = int(found[2]) * NS + int(found[3]) * 1000
    cpu = int(found[1])
    if found[4] == b"irq_handler_entry" and (fields := _INTERRUPT.match(found[5])):
        number = int(fields[1])
        interrupt = Happening(when, Kind.INTERRUPT, cpu, number)
        name = fields[2].decode("latin-1")
        if any(word in name for word in KEYBOARDS):
            return interrupt, Happening(when, Kind.INPUT, cpu, number, when & 0xFF)
        return (interrupt,)
    if found[4] == b"block_rq_complete" and (fields := _DISK.match(found[5])):
        return (Happening(when, Kind.DISK, cpu, int(fields[1]) << 20 | int(fields[2])),)
    return ()
