"""What the kernel logs about its generator: read from /dev/kmsg, each record once.

Source: Documentation/ABI/testing/dev-kmsg (one record a read, EAGAIN at the end, EPIPE where
records were overwritten); the messages are those of drivers/char/random.c and
drivers/char/hw_random/core.c of Linux 3.13 to 6.18. Every open file has a position of its own:
reading takes nothing from anybody.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress

from kdash.backends.entropy.facts import GeneratorEvent
from kdash.backends.entropy.procfs import Root, Unavailable, reason

KMSG = "dev/kmsg"
_RECORD_BYTES = 8192  # the longest record a read returns
_MOST_READS = 20_000  # at one look; what is left the next one finds
_MOST_TEXT = 160  # of a message that is shown
_HEAD = re.compile(rb"(\d+),\d+,(\d+),[^;]*;(.*)")
_SEQUENCE = re.compile(rb"\d{1,6},(\d{1,18}),")
_MESSAGES = (  # (part of the message, kind)
    (b"crng reseeded due to virtual machine fork", "vm-fork"),
    (b"crng reseeded on system resumption", "resume"),
    (b"crng init done", "seeded"),
    (b"nonblocking pool is initialized", "seeded"),
    (b"uninitialized", "unseeded-read"),
    (b"hwrng: no data available", "hwrng-silent"),
)
_FACILITY_BITS = 3  # of the priority; records of user space never have facility 0


class KernelLog:
    """Follows the kernel log from its oldest record on."""

    def __init__(self, root: Root) -> None:
        self._path = root.path(KMSG)
        self._file: int | None = None
        self._next: int | None = 0  # the number of the record that should come; None: not asked
        self._last = b""  # what was read last
        self.overwritten = 0  # records that were gone before they could be read

    def read(self) -> tuple[GeneratorEvent, ...]:
        """The events logged since the last call, oldest first.

        Raises:
            Unavailable: The log can't be read.
        """
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return tuple(self._events(self._file))
        except OSError as error:
            self.close()
            raise Unavailable(reason(error)) from None

    def close(self) -> None:
        """Let go of the log."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)

    def _events(self, file: int) -> list[GeneratorEvent]:
        events: list[GeneratorEvent] = []
        for _ in range(_MOST_READS):
            try:
                records = os.read(file, _RECORD_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:  # overwritten before they were read
                    self._next = _number(self._last, 1) if self._last else self._next
                    continue
                raise
            if not records:
                break
            if self._next is not None:
                self.overwritten += max(0, (_number(records) or 0) - self._next)
                self._next = None
            self._last = records
            if b"r" in records:
                events += filter(None, map(event_of, records.splitlines()))
        return events


def _number(record: bytes, after: int = 0) -> int | None:
    """The record's sequence number, or that of one so many later; None where it has none."""
    found = _SEQUENCE.match(record)
    return int(found[1]) + after if found else None


def event_of(record: bytes) -> GeneratorEvent | None:
    """The event a record of the log tells; None where it is about something else.

    Args:
        record: "priority,sequence,microseconds,flags;message".
    """
    kind = next((kind for part, kind in _MESSAGES if part in record), None)
    head = _HEAD.match(record) if kind else None
    if kind is None or head is None or int(head[1][:10]) >> _FACILITY_BITS:
        return None
    text = head[3].decode("latin-1")[:_MOST_TEXT]
    return GeneratorEvent(int(head[2][:18]) / 1e6, kind, text)
