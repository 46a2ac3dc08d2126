"""What a call of getrandom costs, in nanoseconds, measured a few calls at a time.

The timing loop is native: the interpreter around a call would cost ten times the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

CALL_BYTES = 16  # of the calls whose percentiles are told
SIZES = (16, 256, 4096)  # bytes a call, whose throughput is told
_CALLS = 32  # a sample; some microseconds each way in
_SIZED_CALLS = 2  # a sample, of each larger size
_WINDOW = 1024  # calls the percentiles are of
_SIZED_WINDOW = 64
_INTERRUPTED = 50  # of so many calls one is left out of the mean: an interrupt came in between


class LatencyWindow:
    """The most recent calls through each way in."""

    def __init__(self, vdso_address: int = 0, state: int = 0, state_bytes: int = 0) -> None:
        """Prepare.

        Args:
            vdso_address: Where getrandom lies in the vDSO; 0 for none.
            state: Address of the opaque state it is given.
            state_bytes: Size of that state.

        Raises:
            ImportError: The native part is not built.
        """
        from kdash.backends.entropy import _native

        self._native = _native
        self._ways = {"syscall": (0, 0, 0)}
        if vdso_address:
            self._ways["vdso"] = (vdso_address, state, state_bytes)
        self._calls: dict[tuple[str, int], deque[int]] = {
            (way, size): deque(maxlen=_WINDOW if size == CALL_BYTES else _SIZED_WINDOW)
            for way in self._ways
            for size in SIZES
        }

    def sample(self) -> dict[str, tuple[int, int] | None]:
        """Time some calls; the median and 99th percentile of the window by way in, ns."""
        for (way, size), calls in self._calls.items():
            calls.extend(self._time(way, size, _CALLS if size == CALL_BYTES else _SIZED_CALLS))
        return {way: percentiles(self._calls[way, CALL_BYTES]) for way in self._ways}

    def costs(self) -> list[tuple[int, float | None, float | None]]:
        """For each size in bytes the mean time of a call by system call and vDSO, ns."""
        return [(size, self._cost("syscall", size), self._cost("vdso", size)) for size in SIZES]

    def _cost(self, way: str, size: int) -> float | None:
        return typical(self._calls.get((way, size), ()))

    def _time(self, way: str, size: int, calls: int) -> list[int]:
        times = self._native.ffi.new("uint32_t[]", calls)
        timed = self._native.lib.kdash_time_getrandom(*self._ways[way], size, times, calls)
        return list(times[0:timed])


def percentiles(calls: Collection[int]) -> tuple[int, int] | None:
    """The median and the 99th percentile; None of nothing."""
    if not calls:
        return None
    ordered = sorted(calls)
    last = len(ordered) - 1
    return ordered[last // 2], ordered[last * 99 // 100]


def typical(calls: Collection[int]) -> float | None:
    """The mean of all but the longest calls; None of nothing.

    Not the median: the vDSO fills a batch with one call in six and hands it out with the others.
    """
    if not calls:
        return None
    ordered = sorted(calls)
    kept = ordered[: len(ordered) - len(ordered) // _INTERRUPTED]
    return sum(kept) / len(kept)
