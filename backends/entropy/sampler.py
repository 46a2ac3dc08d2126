"""Sampling the live generator in a thread of its own, with the latest reading in a slot."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from pathlib import Path

from kdash.backends.entropy.facts import Era, Reading
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.system import System
from kdash.backends.entropy.vdso import NoVdso, VdsoChild, VdsoSource

HISTORY = 600  # readings kept; ten minutes at one a second
SHORTEST_INTERVAL = 0.25  # seconds


class EntropySampler:
    """Takes a reading every `interval` seconds from `start` to `stop`.

    `interval` may be set while it runs; the wait that has begun ends first.
    """

    def __init__(
        self,
        root: str | Path = "/",
        interval: float = 1.0,
        *,
        system: System | None = None,
        vdso: VdsoSource | None = None,
        history: int = HISTORY,
    ) -> None:
        """Prepare; the thread starts with `start`.

        Args:
            root: The folder that holds /proc, /sys and /dev.
            interval: Seconds between readings, at least 0.25.
            system: Who answers the system calls; the running kernel by default.
            vdso: Who tells the reseed generation; by default a child process, where `root` is
                this machine's.
            history: Readings kept.
        """
        self.interval = max(interval, SHORTEST_INTERVAL)
        self._reader = SignalReader(root, system, vdso or default_vdso(root))
        self._readings: deque[Reading] = deque(maxlen=history)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start sampling; does nothing while it runs already."""
        if self._thread is not None:
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="entropy-sampler", daemon=True)
        self._thread.start()

    def latest(self) -> Reading | None:
        """The newest reading, None before the first."""
        try:
            return self._readings[-1]
        except IndexError:
            return None

    def history(self) -> tuple[Reading, ...]:
        """The readings kept, oldest first."""
        while True:
            try:
                return tuple(self._readings)
            except RuntimeError:  # the thread added one meanwhile
                continue

    def stop(self) -> None:
        """Stop sampling and end what was started; the readings stay."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._reader.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._readings.append(self._read())
            self._stop.wait(self.interval)

    def _read(self) -> Reading:
        """A reading whatever happens: what nobody foresaw is shown as a reading's own failure."""
        try:
            return self._reader.read()
        except Exception as error:  # noqa: BLE001 - a source that fails must not end the view
            return failed_reading(self.latest(), error)


def failed_reading(before: Reading | None, error: Exception) -> Reading:
    """A reading that says only that sampling failed, on top of what is known to last."""
    blank = Reading(
        monotonic=time.monotonic(),
        era=before.era if before else Era.UNKNOWN,
        ready=None,
        entropy_avail=None,
        poolsize=before.poolsize if before else None,
        meaning="nothing at this moment: taking the sample failed; the next one is on its way",
        gauge=False,
    )
    cause = f"{type(error).__name__}: {error}"
    return dataclasses.replace(blank, unavailable={"sample": cause})


def default_vdso(root: str | Path) -> VdsoSource:
    """The isolated probe for this machine; nobody for a presented one."""
    return VdsoChild() if Path(root) == Path("/") else NoVdso()
