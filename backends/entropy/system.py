"""The few system calls that ask the generator something, in one object that tests can replace.

None takes from the pool: getrandom is asked for 0 bytes wherever bytes are debited, /dev/random
is opened for reading and polled, never read.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from fcntl import ioctl
from pathlib import Path
from typing import Protocol

from kdash.backends.entropy.uevents import Uevents

GRND_NONBLOCK = 0x1  # include/uapi/linux/random.h
GRND_INSECURE = 0x4
RNDGETENTCNT = 0x80045200


class System(Protocol):
    """What the signals ask of the running kernel. Every call may raise OSError."""

    def getrandom(self, nbytes: int, flags: int) -> int:
        """Ask the generator for bytes; returns how many it gave."""
        ...

    def poll_random(self) -> int:
        """What poll(2) reports for /dev/random, without waiting."""
        ...

    def entropy_count(self) -> int:
        """Bits as RNDGETENTCNT tells them: the number of entropy_avail, without /proc."""
        ...

    def device(self, path: Path) -> tuple[int, int]:
        """Major and minor of a character device; (0, 0) when the file is none."""
        ...

    def readable(self, path: Path) -> bool:
        """Whether this process may open the file for reading."""
        ...

    def monotonic(self) -> float:
        """Seconds, CLOCK_MONOTONIC."""
        ...

    def uevents(self) -> tuple[bytes, ...]:
        """The kernel's object events since the last call."""
        ...

    def close(self) -> None:
        """Let go of what is kept open between calls."""
        ...


class LiveSystem:
    """The kernel this process runs on."""

    def __init__(self, root: str | Path = "/") -> None:
        self._random = Path(root) / "dev/random"
        self._uevents = Uevents() if Path(root) == Path("/") else None

    def getrandom(self, nbytes: int, flags: int) -> int:
        """Ask the generator for bytes; returns how many it gave."""
        return len(os.getrandom(nbytes, flags))

    def poll_random(self) -> int:
        """What poll(2) reports for /dev/random, without waiting."""
        fd = self._open()
        try:
            poller = select.poll()
            poller.register(fd, select.POLLIN | select.POLLOUT)
            return dict(poller.poll(0)).get(fd, 0)
        finally:
            os.close(fd)

    def entropy_count(self) -> int:
        """Bits as RNDGETENTCNT tells them."""
        fd = self._open()
        try:
            return int.from_bytes(ioctl(fd, RNDGETENTCNT, bytes(4)), sys.byteorder, signed=True)
        finally:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self._random, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def device(self, path: Path) -> tuple[int, int]:
        """Major and minor of a character device; (0, 0) when the file is none."""
        status = path.stat()
        if not stat.S_ISCHR(status.st_mode):
            return 0, 0
        return os.major(status.st_rdev), os.minor(status.st_rdev)

    def readable(self, path: Path) -> bool:
        """Whether this process may open the file for reading."""
        return os.access(path, os.R_OK)

    def monotonic(self) -> float:
        """Seconds, CLOCK_MONOTONIC."""
        return time.monotonic()

    def uevents(self) -> tuple[bytes, ...]:
        """The kernel's object events since the last call; none of a presented machine."""
        return self._uevents.read() if self._uevents else ()

    def close(self) -> None:
        """Let go of what is kept open between calls."""
        if self._uevents:
            self._uevents.close()
