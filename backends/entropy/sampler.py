"""Sampling the live generator in a thread of its own, with the latest reading in a slot."""

from __future__ import annotations

import dataclasses
import threading
import time
from contextlib import suppress
from pathlib import Path

from kdash.backends.entropy import history_file
from kdash.backends.entropy.facts import Era, Reading
from kdash.backends.entropy.history import History
from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL, Unavailable
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.system import LiveSystem, System
from kdash.backends.entropy.vdso import NoVdso, VdsoChild, VdsoSource

SAVED_EVERY = 60.0  # seconds between two times the history is put into its file
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
        kept: Path | None = None,
    ) -> None:
        """Prepare; the thread starts with `start`.

        Args:
            root: The folder that holds /proc, /sys and /dev.
            interval: Seconds between readings, at least 0.25.
            system: Who answers the system calls; the running kernel by default.
            vdso: Who tells the reseed generation; by default a child process, where `root` is
                this machine's.
            kept: The file that holds the history for the next dashboard of this boot; None
                keeps it nowhere.
        """
        self.interval = max(interval, SHORTEST_INTERVAL)
        system = system or LiveSystem(root)
        self._clock = system.monotonic
        self._reader = SignalReader(root, system, vdso or default_vdso(root), kept)
        self.history = History()
        self._kept = kept
        self._boot_id = ""
        self._saved = 0.0
        self._saved_reseed: int | None = None  # the generation whose beginning the file tells
        self._keeping = ""  # why the history is not kept
        self._latest: Reading | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None  # what ended the thread

    def start(self) -> None:
        """Start sampling; does nothing while it runs already."""
        if self._thread is not None:
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="entropy-sampler", daemon=True)
        self._thread.start()

    def latest(self) -> Reading | None:
        """The newest reading, None before the first.

        Raises:
            RuntimeError: Sampling has ended by something nobody foresaw, which it names.
        """
        if self._error is not None:
            kind = type(self._error).__name__
            raise RuntimeError(f"sampling ended: {kind}: {self._error}") from self._error
        return self._latest

    def trace_callers(self, on: bool) -> None:
        """Count the callers of getrandom from now on, or stop.

        Raises:
            Unavailable: They can't be counted.
        """
        self._reader.on_request.trace_callers(on)

    def trace_random_events(self, on: bool) -> None:
        """Add up the events random:* of the kernel's pools from now on, or stop.

        Raises:
            Unavailable: They can't be gathered, or this kernel has none.
        """
        latest = self._latest
        if on and latest and latest.unavailable.get("random_events") == NOT_ON_THIS_KERNEL:
            raise Unavailable(NOT_ON_THIS_KERNEL)
        self._reader.on_request.trace_random_events(on)

    def measure_hwrng(self) -> None:
        """Measure the raw hardware source; a later reading tells the rate.

        Raises:
            Unavailable: It can't be read.
        """
        self._reader.on_request.measure_hwrng()

    def stop(self) -> None:
        """Stop sampling, put the history into its file and end what was started."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            self._save()
        self._reader.close()

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - told by `latest`, whatever it is
            self._error = error

    def _sample(self) -> None:
        while not self._stop.is_set():
            reading = self._read()
            first = self._latest is None  # the view should not wait for what follows
            if self._kept is not None and reading.boot_id and not self._boot_id and not first:
                self._load(self._kept, reading)
            if why := self._not_kept(reading):
                told = reading.unavailable | {"history": why}
                reading = dataclasses.replace(reading, unavailable=told)
            self.history.add(reading.monotonic, reading.quantities())
            self._latest = reading
            reseeded = self._reader.memory.generation not in (None, self._saved_reseed)
            if reseeded or reading.monotonic - self._saved >= SAVED_EVERY:
                self._save()
            self._stop.wait(self.interval)

    def _not_kept(self, reading: Reading) -> str:
        """Why the next start will know nothing of this one; empty where it will."""
        if self._kept is not None and not (reading.boot_id or self._boot_id):
            return "not kept for the next start: which boot this is can't be told"
        return self._keeping

    def _load(self, path: Path, reading: Reading) -> None:
        """Go on from what an earlier dashboard of this boot left."""
        self._boot_id, self._saved = reading.boot_id, reading.monotonic
        try:
            before, _ = history_file.load(path, reading.boot_id, reading.monotonic)
        except history_file.NoHistoryError:
            return  # it begins now; the file is written anew
        self.history.merge(before)

    def _save(self) -> None:
        """Put the history into its file, with what another dashboard put there meanwhile."""
        if self._kept is None or not self._boot_id or self._latest is None:
            return
        self._saved = now = self._clock()
        whole = self.history.copy()
        memory = self._reader.memory
        self._saved_reseed = memory.generation
        with suppress(history_file.NoHistoryError):
            other, remembered = history_file.load(self._kept, self._boot_id, now)
            whole.merge(other)
            if memory.generation is None:  # another dashboard saw a reseed, this one not yet
                memory = dataclasses.replace(remembered, hwrng=memory.hwrng or remembered.hwrng)
        try:
            history_file.save(self._kept, self._boot_id, whole, memory)
        except OSError as error:
            self._keeping = f"not kept for the next start: {error.strerror}"
        else:
            self._keeping = ""

    def _read(self) -> Reading:
        """A reading whatever happens: what nobody foresaw is shown as a reading's own failure."""
        try:
            return self._reader.read()
        except Exception as error:  # noqa: BLE001 - a source that fails must not end the view
            return failed_reading(self._latest, error)


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
