"""Who calls getrandom, told by tracefs, as root and on request alone.

It is the one signal that has to change something: the events of a trace instance of our own.

Source: Linux Documentation/trace/ftrace.rst (instances, trace_pipe), trace event
syscalls:sys_enter_getrandom, whose arguments are printed in hexadecimal, with 0x or without
(kernel/trace/trace_syscalls.c, print_syscall_enter). Calls through the vDSO are seen only when they
fetch a key. Process ids are those of the machine, not of this process' namespace.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from kdash.backends.entropy.facts import GetrandomCaller
from kdash.backends.entropy.procfs import Root, Unavailable, reason

TRACING = "sys/kernel/tracing"
EVENT = "events/syscalls/sys_enter_getrandom"
MOST_CALLERS = 50  # that are told one by one
PROBE = b"kdash-probe"  # the name of our own process that times calls
_BUFFER_KB = "128"  # a CPU
_PIECE = 1 << 16
_MOST_BYTES = 1 << 22  # of text at one look; what is left the next one finds
_OURS = re.compile(r"kdash-(\d{1,10})(-.*)?")
_CALL = re.compile(
    rb"\s*(\S.{0,15})-(\d{1,10})\s+(?:\(.*?\)\s+)?\[\d+\][^:]*\d:\s+"
    rb"sys_getrandom\(\w+: [0-9a-fx]+, \w+: (?:0x)?([0-9a-f]{1,16}), "
)


class CallerTrace:
    """Counts the calls of each process from `start` on, in an instance that goes with it."""

    def __init__(self, root: Root) -> None:
        self._tracing = root.path(TRACING)
        self._instance: Path | None = None
        self._pipe: int | None = None
        self._rest = b""

    @property
    def running(self) -> bool:
        """Whether calls are being counted."""
        return self._pipe is not None

    def check(self) -> None:
        """See whether it could be started.

        Raises:
            Unavailable: It could not.
        """
        try:
            if not any(self._tracing.iterdir()):
                raise Unavailable("tracefs is not mounted")
            (self._tracing / EVENT / "enable").stat()
        except OSError as error:
            raise Unavailable(reason(error)) from None
        if not os.access(self._tracing / "instances", os.W_OK):
            raise Unavailable("needs root")

    def start(self) -> None:
        """Make the instance, after what crashed processes left behind is removed.

        Raises:
            Unavailable: It can't be made; nothing stays behind.
        """
        self.check()
        remove_leftovers(self._tracing)
        instance = self._tracing / "instances" / f"kdash-{os.getpid()}-callers"
        try:
            instance.mkdir(exist_ok=True)
            self._instance = instance
            _write(instance / "buffer_size_kb", _BUFFER_KB)
            _write(instance / EVENT / "enable", "1")
            self._pipe = os.open(
                instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            self.close()
            raise Unavailable(reason(error)) from None

    def read(self, without: Container[int] = ()) -> tuple[GetrandomCaller, ...]:
        """Who called since the last look, the most frequent first.

        Args:
            without: Processes to leave out.

        Raises:
            Unavailable: It can't be told.
        """
        if self._pipe is None:
            raise Unavailable("on request")
        try:
            lines, self._rest = _lines(self._pipe, self._rest)
        except OSError as error:
            self.close()
            raise Unavailable(reason(error)) from None
        return callers_of(lines, without)

    def close(self) -> None:
        """Take the instance away; more than once does no harm."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
        instance, self._instance = self._instance, None
        self._rest = b""
        if instance is not None:
            _remove(instance)


def callers_of(lines: list[bytes], without: Container[int] = ()) -> tuple[GetrandomCaller, ...]:
    """Count the calls in lines of a trace; lines that tell nothing else are skipped."""
    counts: dict[tuple[int, str], tuple[int, int]] = {}
    for line in lines:
        found = _CALL.match(line)
        if found is None or (pid := int(found[2])) in without or found[1] == PROBE:
            continue
        key = pid, found[1].decode("latin-1")
        calls, nbytes = counts.get(key, (0, 0))
        counts[key] = calls + 1, nbytes + int(found[3], 16)
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(
        GetrandomCaller(pid, name, calls, nbytes)
        for (pid, name), (calls, nbytes) in ordered[:MOST_CALLERS]
    )


def remove_leftovers(tracing: Path) -> None:
    """Remove instances whose process has ended without doing so."""
    with suppress(OSError):
        for instance in (tracing / "instances").iterdir():
            owner = _OURS.fullmatch(instance.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                _remove(instance)


def _remove(instance: Path) -> None:
    with suppress(OSError):
        _write(instance / EVENT / "enable", "0")
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
