"""How fast the hardware source gives bytes, measured on request alone, by reading them.

Reading /dev/hwrng takes nothing from the kernel's generator; the bytes are dropped. It may block
where the driver does, so it is read in a thread of its own that nobody waits for.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from kdash.backends.entropy.facts import HardwareRate
from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL, Root, Unavailable
from kdash.backends.entropy.system import System

DEVICE = "dev/hwrng"
SECONDS = 1.0  # of reading
PATIENCE = 10.0  # seconds after which a source that gives nothing is told so
ON_REQUEST = "on request: kdash entropy --hwrng, in the pane :hwrng"
_PIECE = 1024  # bytes


class RateMeter:
    """Measures the rate when asked, and keeps what was found."""

    def __init__(self, root: Root, system: System) -> None:
        self._root = root
        self._system = system
        self._thread: threading.Thread | None = None
        self._found: HardwareRate | None = None
        self._refused = ""
        self._begun = 0.0

    @property
    def busy(self) -> bool:
        """Whether it is being measured."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Measure; does nothing while that goes on already.

        Raises:
            Unavailable: The device is not there, or not for this user.
        """
        self._check()
        if not self.busy:
            self._refused, self._begun = "", self._system.monotonic()
            self._found = None
            self._thread = threading.Thread(target=self._run, name="hwrng-rate", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until it has been measured, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def rate(self) -> HardwareRate:
        """What was measured last.

        Raises:
            Unavailable: Nothing was; the reason says what to do.
        """
        if self._found is not None:
            return self._found
        self._check()
        if self.busy:
            waited = self._system.monotonic() - self._begun
            late = f", which gave nothing for {waited:.0f} s" if waited > PATIENCE else ""
            raise Unavailable(f"being measured{late}")
        raise Unavailable(self._refused or ON_REQUEST)

    def _check(self) -> None:
        if not self._root.exists(DEVICE):
            raise Unavailable(NOT_ON_THIS_KERNEL)
        if not self._system.readable(self._root.path(DEVICE)):
            raise Unavailable("needs root")

    def _run(self) -> None:
        try:
            self._found = measure_rate(self._system.monotonic, self._root.path(DEVICE))
        except OSError as error:
            self._found, self._refused = None, f"the hardware source fails: {error.strerror}"


def measure_rate(
    monotonic: Callable[[], float], device: Path, seconds: float = SECONDS
) -> HardwareRate:
    """Read the device for some seconds.

    It waits for each piece, as polling for what is there would measure the polling.

    Raises:
        OSError: It can't be read, or has ended.
    """
    number = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = now = monotonic()
        nbytes = 0
        while now - start < seconds:
            piece = len(os.read(number, _PIECE))
            now = monotonic()
            if not piece:
                break
            nbytes += piece
    finally:
        os.close(number)
    if not nbytes:
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
    took = max(now - start, 1e-6)
    return HardwareRate(nbytes / took, nbytes, took, now)
