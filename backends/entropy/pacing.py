"""How often something that costs time may be looked at, so that it stays a small share of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pacing:
    """A look that took long is followed by a pause that is longer."""

    def __init__(
        self, monotonic: Callable[[], float], share: float, least_pause: float = 0.0
    ) -> None:
        """Prepare.

        Args:
            monotonic: The clock, seconds.
            share: Of one CPU, the most that looking may take.
            least_pause: Seconds between two looks, however short they are.
        """
        self._monotonic = monotonic
        self._share = share
        self._least_pause = least_pause
        self._not_before = float("-inf")

    @property
    def due(self) -> bool:
        """Whether it may be looked at again."""
        return self._monotonic() >= self._not_before

    @contextmanager
    def look(self) -> Iterator[float]:
        """Time a look; gives when it began."""
        start = self._monotonic()
        try:
            yield start
        finally:
            took = self._monotonic() - start
            self._not_before = start + max(took / self._share, self._least_pause)
