"""The continuous health tests of SP 800-90B on bytes: repetition count, adaptive proportion.

Source: NIST SP 800-90B (2018) section 4.4; false-alarm rate 2^-20 a test.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kdash.backends.entropy.health_facts import AdaptiveProportion, RepetitionCount

ALPHA_BITS = 20  # the false-alarm rate is 2 to the power of minus this
WINDOW = 512  # bytes; section 4.4.2, more than two values

_Bytes = npt.NDArray[np.uint8]


def repetition_cutoff(min_entropy: float) -> int:
    """The run length that fails, for min-entropy in bits per byte (section 4.4.1)."""
    return 1 + math.ceil(ALPHA_BITS / min_entropy)


def proportion_cutoff(min_entropy: float, window: int = WINDOW) -> int:
    """The count in a window that fails (section 4.4.2): 1 + the binomial's quantile."""
    chance = 2.0**-min_entropy
    above, allowed = 0.0, 2.0**-ALPHA_BITS
    for count in range(window, -1, -1):  # from the thin end, where sums are exact
        above += _binomial(window, count, chance)
        if above > allowed:
            return min(1 + count, window)
    return 1


def _binomial(trials: int, count: int, chance: float) -> float:
    if chance >= 1.0:
        return 1.0 if count == trials else 0.0
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(ways + count * math.log(chance) + (trials - count) * math.log1p(-chance))


class RepetitionStream:
    """Takes a stream in pieces and finds its longest run of one value."""

    def __init__(self, min_entropy: float) -> None:
        self._cutoff = repetition_cutoff(min_entropy)
        self._last: int | None = None
        self._run = 0  # length of the run the stream ends in
        self._longest = 0
        self._failures = 0

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the stream."""
        if not data:
            return
        values = np.frombuffer(data, np.uint8)
        if self._last is not None and values[0] == self._last:
            head = _head_run(values)
            self._close(self._run, self._run + head)
            self._run += head
            values = values[head:]
        if len(values):
            lengths = _long_runs(values)
            self._longest = max(self._longest, 1, int(lengths.max(initial=0)))
            self._failures += int(np.count_nonzero(lengths >= self._cutoff))
            self._run = _head_run(values[::-1])
            self._last = int(values[-1])

    def result(self) -> RepetitionCount:
        """What was found so far; a run that goes on beyond the cutoff counts once."""
        return RepetitionCount(self._cutoff, self._longest, self._failures)

    def _close(self, before: int, after: int) -> None:
        """A run that reached `before` in the last piece goes on to `after`."""
        self._longest = max(self._longest, after)
        self._failures += before < self._cutoff <= after


def _head_run(values: _Bytes) -> int:
    """How long the run is that the values begin with."""
    different = np.flatnonzero(values != values[0])
    return int(different[0]) if len(different) else len(values)


def _long_runs(values: _Bytes) -> npt.NDArray[np.intp]:
    """Lengths of the runs of two and more."""
    again = np.flatnonzero(values[1:] == values[:-1])
    if not len(again):
        return again
    ends = np.flatnonzero(np.append(np.diff(again) != 1, True))
    return np.diff(ends, prepend=-1) + 1


class ProportionStream:
    """Takes a stream in pieces and counts each window's first value in it."""

    def __init__(self, min_entropy: float) -> None:
        self._cutoff = proportion_cutoff(min_entropy)
        self._rest = b""
        self._windows = 0
        self._most = 0
        self._failures = 0

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the stream."""
        data = self._rest + data
        whole = len(data) - len(data) % WINDOW
        self._rest = data[whole:]
        if not whole:
            return
        windows = np.frombuffer(data, np.uint8, whole).reshape(-1, WINDOW)
        equal = np.packbits(windows == windows[:, :1], axis=1).view(np.uint64)
        counts = np.bitwise_count(equal).sum(axis=1, dtype=np.int64)
        self._windows += len(windows)
        self._most = max(self._most, int(counts.max()))
        self._failures += int(np.count_nonzero(counts >= self._cutoff))

    def result(self) -> AdaptiveProportion:
        """What was found so far; bytes behind the last whole window are not tested."""
        return AdaptiveProportion(WINDOW, self._cutoff, self._windows, self._most, self._failures)
