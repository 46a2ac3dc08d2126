"""The stream of getrandom under the FIPS 140-2 tests, a block a sample, over a sliding window.

A block in 1,250 of a perfect stream fails, so that failures count by their rate. It tells a stream
that is broken and nothing about seeding.
"""

from __future__ import annotations

import math
import os
from collections import deque

from kdash.backends.entropy.facts import StreamRate

FALSE_ALARM = 0.0008  # share of a perfect stream's blocks that fail
WINDOW = 600  # blocks
UNLIKELY = 1e-9  # the chance below which so many failures are no chance
_BLOCK_BYTES = 2500
_NONBLOCK = 1  # GRND_NONBLOCK


class StreamWatch:
    """Draws and tests a block at a time. Imports numpy when it is made."""

    def __init__(self) -> None:
        from kdash.backends.entropy.health.fips140 import WORD_BYTES, Fips140Stream

        self._stream = Fips140Stream()
        self._stream.feed(os.getrandom(WORD_BYTES, _NONBLOCK))  # what the first block is next to
        self._failed: deque[bool] = deque(maxlen=WINDOW)

    def sample(self) -> tuple[int, int]:
        """Test another block; the blocks of the window, and how many of them failed.

        Raises:
            OSError: The generator refuses.
        """
        before = self._stream.result().failures
        self._stream.feed(os.getrandom(_BLOCK_BYTES, _NONBLOCK))
        self._failed.append(self._stream.result().failures > before)
        return len(self._failed), sum(self._failed)


def is_failing(rate: StreamRate) -> bool:
    """Whether so many blocks failed that chance does not explain it."""
    return rate.failures > 0 and _tail(rate.blocks, rate.failures) < UNLIKELY


def _tail(blocks: int, failures: int) -> float:
    """The chance that at least so many of a perfect stream's blocks fail (binomial)."""
    return math.fsum(
        math.comb(blocks, count) * FALSE_ALARM**count * (1 - FALSE_ALARM) ** (blocks - count)
        for count in range(failures, min(blocks, failures + 40) + 1)
    )
