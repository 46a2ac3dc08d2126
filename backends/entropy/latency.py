"""What a call of getrandom costs, in nanoseconds, measured a few calls at a time.

The timing loop is native: the interpreter around a call would cost ten times the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

_CALLS = 32  # a sample; some microseconds each way in
_WINDOW = 1024  # calls the percentiles are of


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
        self._vdso = (vdso_address, state, state_bytes)
        self._calls: dict[str, deque[int]] = {
            name: deque(maxlen=_WINDOW) for name in ("syscall", "vdso")
        }

    def sample(self) -> dict[str, tuple[int, int] | None]:
        """Time some calls; returns the median and the 99th percentile of the window, ns."""
        self._time("syscall", (0, 0, 0))
        if self._vdso[0]:
            self._time("vdso", self._vdso)
        return {name: percentiles(calls) for name, calls in self._calls.items()}

    def _time(self, name: str, way: tuple[int, int, int]) -> None:
        ffi = self._native.ffi
        times = ffi.new("uint32_t[]", _CALLS)
        timed = self._native.lib.kdash_time_getrandom(*way, times, _CALLS)
        self._calls[name].extend(times[0:timed])


def percentiles(calls: Collection[int]) -> tuple[int, int] | None:
    """The median and the 99th percentile; None of nothing."""
    if not calls:
        return None
    ordered = sorted(calls)
    last = len(ordered) - 1
    return ordered[last // 2], ordered[last * 99 // 100]
