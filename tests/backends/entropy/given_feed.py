"""Windows of events that are the same every time, for the live model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kdash.backends.entropy.happenings import Happening, Kind, Window

SECOND = 1_000_000_000  # ns


class GivenFeed:
    """Half seconds of four interrupts, or windows of one's own; after them nothing."""

    words = "given events"

    def __init__(self, windows: Iterable[Window] | None = None) -> None:
        self._windows = iter(half_seconds() if windows is None else windows)
        self._end = Window(0, 0)
        self.closed = 0

    def __call__(self) -> Window:
        """The next window."""
        window = next(self._windows, None)
        if window is None:
            return Window(self._end.end_ns, self._end.end_ns)
        self._end = window
        return window

    def close(self) -> None:
        """Count that it was asked."""
        self.closed += 1


def half_seconds(events: int = 4, cpus: int = 2) -> Iterator[Window]:
    """Half seconds of interrupts, one after the other without end."""
    start = 5 * SECOND
    while True:
        end = start + SECOND // 2
        yield Window(start, end, [
            Happening(start + (end - start) * place // events, Kind.INTERRUPT, place % cpus, 24)
            for place in range(events)
        ])  # fmt: skip
        start = end


def window_of(*happenings: Happening) -> Window:
    """A second of these events."""
    return Window(0, SECOND, happenings)
