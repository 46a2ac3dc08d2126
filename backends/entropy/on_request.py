"""Signals that cost or change something, had when somebody asks for them alone."""

from __future__ import annotations

import os

from kdash.backends.entropy.facts import GetrandomCaller, HardwareRate, RandomEvents
from kdash.backends.entropy.getrandom_callers import CallerTrace
from kdash.backends.entropy.hwrng_rate import RateMeter
from kdash.backends.entropy.procfs import Root
from kdash.backends.entropy.random_trace import RandomTrace
from kdash.backends.entropy.system import System
from kdash.backends.entropy.vdso import VdsoSource


class OnRequest:
    """The raw source's rate, the callers of getrandom, the kernel's random:* events.

    What was not asked for raises `Unavailable` with "on request", or why it can't be had.
    """

    def __init__(self, root: Root, system: System, vdso: VdsoSource) -> None:
        self._rate = RateMeter(root, system)
        self._callers = CallerTrace(root)
        self._events = RandomTrace(root)
        self._vdso = vdso

    def measure_hwrng(self) -> None:
        """Measure the raw hardware source in the background; a later reading tells the rate.

        Raises:
            Unavailable: It can't be read.
        """
        self._rate.start()

    def wait_for_hwrng(self, seconds: float) -> None:
        """Wait until the raw source has been measured, at most so long."""
        self._rate.wait(seconds)

    def hwrng_rate(self) -> HardwareRate:
        """How fast the raw source was when it was measured last."""
        return self._rate.rate()

    def trace_callers(self, on: bool) -> None:
        """Count the callers of getrandom from now on, in a trace instance of our own, or stop.

        Raises:
            Unavailable: They can't be counted.
        """
        if not on:
            self._callers.close()
        elif not self._callers.running:
            self._callers.start()

    def callers(self) -> tuple[GetrandomCaller, ...]:
        """Who called getrandom since the last look."""
        if not self._callers.running:
            self._callers.check()
        ours = {os.getpid(), self._vdso.process_id or 0}  # the probe times calls
        return self._callers.read(ours)

    def trace_random_events(self, on: bool = True) -> None:
        """Add up the kernel's random:* events from now on, in a trace instance of our own, or stop.

        Raises:
            Unavailable: They can't be gathered, or this kernel has none.
        """
        if not on:
            self._events.close()
        elif not self._events.running:
            self._events.start()

    def random_events(self) -> RandomEvents:
        """What the kernel's pools did since the last look."""
        if not self._events.running:
            self._events.check()
        return self._events.read()

    def close(self) -> None:
        """Take away what was made for this."""
        self._callers.close()
        self._events.close()
