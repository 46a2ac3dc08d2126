"""This machine's interrupts and disk events with the times they had, through tracefs as root.

Source: trace events irq:irq_handler_entry (include/trace/events/irq.h) and block:block_rq_complete
(include/trace/events/block.h).
"""

from __future__ import annotations

import re

from kdash.backends.entropy.machine_feed import KEYBOARDS, NS, Kind, Sample
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.trace_instance import TraceInstance

EVENTS = ("irq/irq_handler_entry", "block/block_rq_complete")
_LINE = re.compile(rb".*?\[(\d{1,6})\][^:]*?(\d{1,12})\.(\d{6}): (\w+): (.*)")
_INTERRUPT = re.compile(rb"irq=(\d{1,9}) name=(.*)")
_DISK = re.compile(rb"(\d{1,4}),(\d{1,7}) ")


class TracedEvents:
    """The machine's events since the last look."""

    def __init__(self, root: Root) -> None:
        """Begin tracing.

        Raises:
            Unavailable: It can't be done.
        """
        self._trace = TraceInstance(root, "events", EVENTS)
        self._trace.start()

    def since(self, now_ns: int) -> list[Sample]:  # noqa: ARG002 - each has a time of its own
        """The events that came; none once tracing has failed."""
        try:
            lines = self._trace.lines()
        except Unavailable:
            return []
        return [sample for line in lines if (sample := sample_of(line)) is not None]

    def close(self) -> None:
        """End tracing."""
        self._trace.close()


def sample_of(line: bytes) -> Sample | None:
    """The event of a line of the trace; None where it tells none of these."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    when = int(found[2]) * NS + int(found[3]) * 1000
    if found[4] == b"irq_handler_entry" and (fields := _INTERRUPT.match(found[5])):
        name = fields[2].decode("latin-1")
        kind = Kind.INPUT if any(word in name for word in KEYBOARDS) else Kind.INTERRUPT
        return Sample(when, int(fields[1]), kind, int(found[1]))
    if found[4] == b"block_rq_complete" and (fields := _DISK.match(found[5])):
        return Sample(when, int(fields[1]) << 20 | int(fields[2]), Kind.DISK, int(found[1]))
    return None
