"""A trace instance of our own in tracefs: events of the kernel as lines, as root and on request.

Source: Linux Documentation/trace/ftrace.rst (instances, trace_pipe, trace_clock). tracefs is never
mounted here; the instance goes with whoever made it, or is removed by the next one after a crash.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from kdash.backends.entropy.procfs import Root, Unavailable, reason

TRACING = "sys/kernel/tracing"
_BEFORE_TRACEFS = "sys/kernel/debug/tracing"  # up to 4.0, where debugfs is mounted
_BUFFER_KB = "128"  # a CPU
_CLOCK = "mono"  # CLOCK_MONOTONIC
_PIECE = 1 << 16
_MOST_BYTES = 1 << 22  # of text at one look; what is left the next one finds
_OURS = re.compile(r"kdash-(\d{1,10})-(callers|events|random)")
#: A line of a trace: CPU, seconds, microseconds, event, what it tells.
EVENT_LINE = re.compile(rb".*?\[(\d{1,6})\][^:]*?(\d{1,12})\.(\d{6}): (\w+): (.*)")


class TraceInstance:
    """The lines of some events from `start` on."""

    def __init__(self, root: Root, purpose: str, events: tuple[str, ...], ask: str = "") -> None:
        """Prepare; nothing is made yet.

        Args:
            root: The folder that holds /sys.
            purpose: The end of the instance's name.
            events: "system/event" each, below events/.
            ask: What a user does who wants to see them.
        """
        old = root.exists(f"{_BEFORE_TRACEFS}/events") and not root.exists(f"{TRACING}/events")
        self.tracing = root.path(_BEFORE_TRACEFS if old else TRACING)
        self._purpose = purpose
        self._events = events
        self._ask = ask
        self._instance: Path | None = None
        self._pipe: int | None = None
        self._rest = b""

    @property
    def running(self) -> bool:
        """Whether events are gathered."""
        return self._pipe is not None

    def check(self) -> None:
        """See whether it could be started.

        Raises:
            Unavailable: It could not.
        """
        try:
            if not any(self.tracing.iterdir()):
                raise Unavailable("tracefs is not mounted")
            for event in self._events:
                (self.tracing / "events" / event / "enable").stat()
        except OSError as error:
            raise Unavailable(reason(error)) from None
        if not os.access(self.tracing / "instances", os.W_OK):
            raise Unavailable("needs root")

    def start(self) -> None:
        """Make the instance, after what crashed processes left behind is removed.

        Raises:
            Unavailable: It can't be made; nothing stays behind.
        """
        self.check()
        remove_leftovers(self.tracing)
        instance = self.tracing / "instances" / f"kdash-{os.getpid()}-{self._purpose}"
        try:
            instance.mkdir(exist_ok=True)
            self._instance = instance
            _write(instance / "buffer_size_kb", _BUFFER_KB)
            _write(instance / "trace_clock", _CLOCK)
            for event in self._events:
                _write(instance / "events" / event / "enable", "1")
            self._pipe = os.open(
                instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            self.close()
            raise Unavailable(reason(error)) from None

    def lines(self) -> list[bytes]:
        """The lines that came since the last look.

        Raises:
            Unavailable: It is not running, or can't be read any more.
        """
        if self._pipe is None:
            raise Unavailable(f"on request: {self._ask}" if self._ask else "on request")
        try:
            lines, self._rest = _lines(self._pipe, self._rest)
        except OSError as error:
            self.close()
            raise Unavailable(reason(error)) from None
        return lines

    def close(self) -> None:
        """Take the instance away; more than once does no harm."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
        instance, self._instance = self._instance, None
        self._rest = b""
        if instance is not None:
            _remove(instance)


def remove_leftovers(tracing: Path) -> None:
    """Remove instances whose process has ended without doing so.

    One that is in use, by a process this one can't see, is busy: the kernel keeps it.
    """
    with suppress(OSError):
        for instance in (tracing / "instances").iterdir():
            owner = _OURS.fullmatch(instance.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                with suppress(OSError):
                    instance.rmdir()


def _remove(instance: Path) -> None:
    with suppress(OSError):
        _write(instance / "events/enable", "0")
    with suppress(OSError):
        instance.rmdir()


def _lines(pipe: int, rest: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines there are, and what follows the last of them."""
    text = bytearray(rest)
    while len(text) < _MOST_BYTES:
        try:
            piece = os.read(pipe, _PIECE)
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno == errno.EINTR:
                continue
            raise
        if not piece:
            break
        text += piece
    *lines, last = bytes(text).split(b"\n")
    return lines, last


def _write(path: Path, text: str) -> None:
    """Write a file of tracefs; it is never created."""
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(number, text.encode())
    finally:
        os.close(number)
