"""The input of `--stdin FILE`: a file, or what a pipe or a terminal gives until its end."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable
from typing import Final

#: Bytes of input taken from a file: it is held in memory.
SERIAL_INPUT: Final = 16 << 20
#: Milliseconds between looks whether a signal or the end of the time has come.
_LOOK: Final = 50
_CHUNK: Final = 1 << 20


def serial_input(
    path: str | None,
    ended: Callable[[], object] = lambda: None,
    timeout: float | None = None,
) -> bytes:
    """What is in a file, for the serial port; nothing without one.

    Args:
        path: the file; of a pipe or a terminal all that comes until its end is taken.
        ended: asked while nothing comes; true: nobody wants it any more.
        timeout: seconds until the end of a pipe must have come.

    Raises:
        GuestError: when it can't be read, is too large, or its end does not come.
    """
    from kdash.backends.kvm.facts import GuestFileError

    if path is None:
        return b""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _read(descriptor, path, ended, timeout)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise GuestFileError(f"--stdin {path}: {reason}") from None


def _read(descriptor: int, path: str, ended: Callable[[], object], timeout: float | None) -> bytes:
    from kdash.backends.kvm.facts import GuestError, GuestFileError

    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    deadline = None if timeout is None else time.monotonic() + timeout
    # A pipe to which nobody has written yet is at no end: it is waited for.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    data = bytearray()
    while len(data) <= SERIAL_INPUT:
        if waits and not poll.poll(_LOOK):
            if ended():
                raise GuestFileError(f"--stdin {path}: ended while waiting for input")
            if deadline is not None and time.monotonic() >= deadline:
                raise GuestFileError(f"--stdin {path}: no end of input within {timeout:g} s")
            continue
        try:
            chunk = os.read(descriptor, min(_CHUNK, SERIAL_INPUT + 1 - len(data)))
        except BlockingIOError:  # somebody else was faster
            continue
        if not chunk:
            return bytes(data)
        data += chunk
    raise GuestError(f"--stdin {path}: more than {SERIAL_INPUT >> 20} MiB of input")
