"""What the live model has before it: events of the machine, made-up ones, reads; and their cost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence

from kdash.backends.entropy.happenings import Happening, Kind
from kdash.backends.entropy.model_load import NS, LoadSource, Reader
from kdash.backends.entropy.pool import EXTRACT_BYTES

# What an operation costs in this Python, microseconds.
_COST = {Kind.INTERRUPT: 6.0, Kind.DISK: 25.0, Kind.INPUT: 25.0}
_EXTRACTION_COST = {"/dev/random": 500.0, "/dev/urandom": 200.0, "getrandom": 200.0}

Due = Happening | LoadSource | Reader


class Agenda:
    """Happenings of a feed, and who makes up events or reads, by the model's clock."""

    def __init__(self, load: Mapping[Kind, LoadSource], readers: Mapping[str, Reader]) -> None:
        """Begin with no happening.

        Args:
            load: Makes up events, by kind.
            readers: Read, by device; one that waits is left out until it goes on.
        """
        self._load = load
        self._readers = readers
        self._pending: deque[tuple[int, Happening]] = deque()

    def __bool__(self) -> bool:
        """Whether a happening of the feed is pending."""
        return bool(self._pending)

    def clear(self) -> None:
        """Forget the happenings of the feed."""
        self._pending.clear()

    def queue(
        self, kept: Sequence[Happening], window: tuple[int, int], now_ns: int, end_ns: int
    ) -> None:
        """Repeat the happenings of a window until the model's clock reaches `end_ns`.

        Args:
            kept: Happenings within the window, by time.
            window: Where it begins, on the clock of the feed, and how long it is.
            now_ns: The model's clock, where the first repetition begins if none is pending.
            end_ns: Of the model's clock.
        """
        start_ns, span = window
        base = max(now_ns, self._pending[-1][0] if self._pending else 0)
        while base < end_ns and kept:
            for one in kept:
                at = base + one.at_ns - start_ns
                if at >= end_ns:
                    break
                self._pending.append((at, one))
            base += span

    def take(self, end_ns: int | None) -> tuple[int, Due] | None:
        """What comes next before `end_ns`, and when; None for nothing."""
        arrival = min(self._arrivals(), key=lambda found: found[0], default=None)
        if self._pending and (arrival is None or self._pending[0][0] <= arrival[0]):
            if end_ns is not None and self._pending[0][0] >= end_ns:
                return None
            return self._pending.popleft()
        if arrival is None or (end_ns is not None and arrival[0] >= end_ns):
            return None
        return arrival

    def _arrivals(self) -> Iterator[tuple[int, LoadSource | Reader]]:
        for source in self._load.values():
            if source.arrivals.next_ns is not None:
                yield source.arrivals.next_ns, source
        for reader in self._readers.values():
            if reader.arrivals.next_ns is not None and reader.waiting_since is None:
                yield reader.arrivals.next_ns, reader

    def cost(self, kept: Collection[Happening], span: int) -> float:
        """Microseconds that a second of the model's clock costs, if it goes on like a window."""
        seconds = span / NS
        kinds = Counter(one.kind for one in kept)
        cost = sum(_COST[kind] * number for kind, number in kinds.items()) / seconds
        cost += sum(_COST[kind] * source.arrivals.rate for kind, source in self._load.items())
        for reader in self._readers.values():
            if reader.waiting_since is None:
                extractions = -(-reader.nbytes // EXTRACT_BYTES)
                cost += reader.arrivals.rate * extractions * _EXTRACTION_COST[reader.device]
        return cost
