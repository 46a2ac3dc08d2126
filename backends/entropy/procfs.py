"""Reading small files below a root folder, and saying in a few words why one can't be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

RANDOM_SYSCTLS = "proc/sys/kernel/random"
_SMALL = 4096  # bytes; no sysctl or attribute prints more
_LARGE = 1 << 24  # bytes; /proc/interrupts of thousands of CPUs stays below

_MOVING_POOL_BITS = 4096  # poolsize of kernels whose getrandom takes from the input pool

NOT_ON_THIS_KERNEL = "not on this kernel"
_REASONS = {
    errno.ENOENT: NOT_ON_THIS_KERNEL,
    errno.ENOTDIR: NOT_ON_THIS_KERNEL,
    errno.ENODEV: "no such device",
    errno.EACCES: "needs root",
    errno.EPERM: "needs root",
    errno.ENOSYS: NOT_ON_THIS_KERNEL,
}


class Unavailable(Exception):  # noqa: N818 - a state that is shown, not an error
    """A signal can't be had here; the message is the reason, a few words."""


def reason(error: OSError) -> str:
    """Why a file or a call was refused, in a few words."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return os.strerror(error.errno) if error.errno else "can't be read"


class Root:
    """The folder that holds /proc, /sys and /dev: "/", or one that presents another machine."""

    def __init__(self, folder: str | Path = "/") -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """Where a file named from the root without its leading slash lies."""
        return self.folder / name

    def exists(self, name: str) -> bool:
        """Whether there is such a file, as far as one can see."""
        try:
            return self.path(name).exists()
        except OSError:
            return False

    def text(self, name: str, limit: int = _SMALL) -> str:
        """The file's text, at most `limit` bytes of it, decoded as latin-1.

        Raises:
            Unavailable: It can't be read.
        """
        try:
            with self.path(name).open("rb", buffering=0) as file:
                chunks = []
                while limit > 0 and (chunk := file.read(min(limit, 1 << 16))):
                    chunks.append(chunk)
                    limit -= len(chunk)
        except OSError as error:
            raise Unavailable(reason(error)) from None
        return b"".join(chunks).decode("latin-1")

    def integer(self, name: str) -> int:
        """The number the file holds.

        Raises:
            Unavailable: It can't be read, or holds no number.
        """
        text = self.text(name).strip()
        if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 20:
            raise Unavailable("holds no number")
        try:
            return int(text)
        except ValueError:
            raise Unavailable("holds no number") from None

    def interrupts(self) -> str:
        """The text of /proc/interrupts.

        Raises:
            Unavailable: It can't be read.
        """
        return self.text("proc/interrupts", _LARGE)

    def uptime(self) -> float:
        """Seconds since boot.

        Raises:
            Unavailable: It can't be read, or holds no number.
        """
        try:
            seconds = float(self.text("proc/uptime").split()[0])
        except (ValueError, IndexError):
            raise Unavailable("holds no number") from None
        if not 0 <= seconds < 1e12:
            raise Unavailable("holds no number")
        return seconds


def takes_from_input_pool(root: str = "/") -> bool:
    """Whether getrandom of this kernel would drain its input pool: then it is left alone."""
    try:
        return Root(root).integer(f"{RANDOM_SYSCTLS}/poolsize") >= _MOVING_POOL_BITS
    except Unavailable:
        return True  # what can't be told is left alone
