"""Which stretch of time a plot shows, and where its cursor stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kdash.backends.entropy.facts import Extent

STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600)  # seconds a dot column can stand for


class Trend(Protocol):
    """What a plot asks of a history (see kdash.backends.entropy.history)."""

    @property
    def newest(self) -> float:
        """The time of the newest values, seconds."""

    def window(
        self, name: str, end: float, step: float, count: int, hold: float = 0.0
    ) -> Sequence[Extent | None]:
        """A quantity over `count` spans of `step` seconds, the newest holding `end`."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time a plot shows; times are those of the readings, in seconds."""

    zoom: int = 0  # ordinal of STEPS
    end: float | None = None  # the newest time shown; None: now
    cursor: float | None = None  # the time looked at; None: there is no cursor

    @property
    def step(self) -> int:
        """Seconds a dot column stands for."""
        return STEPS[self.zoom]

    def zoomed(self, by: int) -> Timeline:
        """Farther away (positive) or nearer, as far as there are steps."""
        zoom = min(max(0, self.zoom + by), len(STEPS) - 1)
        return replace(self, zoom=zoom)

    def fitting(self, seconds: float, columns: int) -> Timeline:
        """The nearest zoom that shows this many seconds in this many dot columns."""
        enough = (z for z, step in enumerate(STEPS) if step * columns >= seconds)
        return replace(self, zoom=next(enough, len(STEPS) - 1), end=None)

    def moved(self, by: int, now: float, columns: int) -> Timeline:
        """The cursor moved by dot columns; what is shown follows it out of either side.

        Args:
            by: Dot columns, negative into the past.
            now: The time of the newest reading.
            columns: Dot columns there are.
        """
        end = self.end if self.end is not None else now
        cursor = min(now, (end if self.cursor is None else self.cursor) + by * self.step)
        oldest = end - (columns - 1) * self.step
        if cursor < oldest:
            end -= max(oldest - cursor, columns // 4 * self.step)
        elif cursor > end:
            end = min(now, end + max(cursor - end, columns // 4 * self.step))
        return replace(self, cursor=max(0.0, cursor), end=None if end >= now else end)

    def at(self, cursor: float) -> Timeline:
        """The cursor at a time."""
        return replace(self, cursor=max(0.0, cursor))

    def now(self) -> Timeline:
        """Without a cursor, following what comes."""
        return replace(self, end=None, cursor=None)
