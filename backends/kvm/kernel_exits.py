"""Exits that the kernel deals with itself, counted by its tracepoint kvm:kvm_exit.

A trace instance of our own (Linux Documentation/trace/ftrace.rst, "Instances") with a histogram
of exit reasons (Documentation/trace/histogram.rst), limited to this process' threads and those
they start (set_event_pid with the option event-fork). Nothing is written to a ring buffer.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from kdash.backends.kvm.kernel_exit_names import exit_name
from kdash.backends.kvm.state_facts import KernelExits

#: Where tracefs is mounted (Documentation/trace/ftrace.rst).
ROOTS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
EVENT: Final = Path("events/kvm/kvm_exit")
TRIGGER: Final = "hist:keys=isa,exit_reason"
_LINE: Final = re.compile(r"\{ isa:\s*(\d+), exit_reason:\s*(\d+)\s*\} hitcount:\s*(\d+)")


class NotHereError(Exception):
    """In-kernel exits can't be counted; the message says why."""


def parse_histogram(text: str) -> tuple[tuple[str, int], ...]:
    """Exits by name, most frequent first, of the file `hist` of the event."""
    counts: dict[str, int] = {}
    for isa, reason, count in _LINE.findall(text):
        name = exit_name(int(isa), int(reason))
        counts[name] = counts.get(name, 0) + int(count)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def find_root(roots: Iterable[Path] = ROOTS) -> Path:
    """The tracefs that has the tracepoint.

    Raises:
        NotHereError: saying what is missing.
    """
    refused = False
    for root in roots:
        try:
            if (root / EVENT / "id").exists():
                return root
            if next(root.iterdir(), None) is not None and not (root / "events").exists():
                continue
        except PermissionError:
            refused = True
        except OSError:
            continue
    if refused:
        raise NotHereError("needs root: tracefs is not readable by this user")
    raise NotHereError("not here: this kernel shows no tracepoint kvm:kvm_exit in tracefs")


class ExitTrace:
    """Counts the exits of this process' VCPUs from now on.

    Args:
        root: of tracefs; looked for unless given.

    Raises:
        NotHereError: when they can't be counted; nothing stays behind.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = root or find_root()
        self._instance: Path | None = root / "instances" / f"kdash-{os.getpid()}-{id(self):x}"
        try:
            self._make(self._instance)
        except OSError as error:
            self._instance = None
            raise _reason(error) from None
        try:
            self._arm(self._instance)
        except OSError as error:
            self.close()
            raise _reason(error) from None

    def _make(self, instance: Path) -> None:
        instance.mkdir()

    def _remove(self, instance: Path) -> None:
        instance.rmdir()

    def _arm(self, instance: Path) -> None:
        (instance / "options/event-fork").write_text("1")
        threads = " ".join(sorted(os.listdir("/proc/self/task"), key=int))
        (instance / "set_event_pid").write_text(threads)
        (instance / EVENT / "trigger").write_text(TRIGGER)

    def read(self) -> KernelExits:
        """The counts since it was made."""
        if self._instance is None:
            return KernelExits((), "closed")
        try:
            return KernelExits(parse_histogram((self._instance / EVENT / "hist").read_text()))
        except OSError as error:
            return KernelExits((), str(_reason(error)))

    def close(self) -> None:
        """Take the instance away; more than once does no harm."""
        instance, self._instance = self._instance, None
        if instance is None:
            return
        with suppress(OSError):
            (instance / EVENT / "trigger").write_text(f"!{TRIGGER}")
        with suppress(OSError):
            self._remove(instance)


def _reason(error: OSError) -> NotHereError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotHereError("needs root: a trace instance can't be made by this user")
    if error.errno in (errno.EINVAL, errno.ENOENT):
        return NotHereError("not here: the kernel has no histogram triggers (CONFIG_HIST_TRIGGERS)")
    return NotHereError(f"not here: tracefs: {error.strerror}")
