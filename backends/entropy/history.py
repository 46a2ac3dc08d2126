"""What quantities were over time: rings of ever longer slots, each with least, mean and greatest.

Times are those of CLOCK_MONOTONIC, which goes on from boot whoever looks, so that what several
processes of one boot saw fits together and a change of the wall clock moves nothing.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from kdash.backends.entropy.facts import QUANTITIES, Extent

TIERS = ((1.0, 900), (10.0, 1080), (60.0, 1440))  # (seconds a slot, slots): 15 min, 3 h, 24 h
LONGEST = max(seconds * slots for seconds, slots in TIERS)  # seconds there is a history of
Column: TypeAlias = "array[float] | array[int]"
_FREE = -1  # the number of a slot nothing was put in


class Sums(NamedTuple):
    """One quantity in the slots of a ring."""

    low: array[float]
    high: array[float]
    total: array[float]
    counted: array[float]

    def take(self, place: int, other: Sums) -> None:
        """Take in what another one has in a slot."""
        if not other.counted[place]:
            return
        low, high = other.low[place], other.high[place]
        if self.counted[place]:
            low, high = min(low, self.low[place]), max(high, self.high[place])
        self.low[place], self.high[place] = low, high
        if other.counted[place] > self.counted[place]:
            self.total[place], self.counted[place] = other.total[place], other.counted[place]


class Ring:
    """The newest `slots` slots of `seconds` each; slot n holds the time from n * seconds on."""

    def __init__(self, seconds: float, slots: int, names: Sequence[str] = QUANTITIES) -> None:
        self.seconds = seconds
        self.slots = slots
        self.numbers = array("q", [_FREE]) * slots  # which slot lies at each place
        self.sums = {
            name: Sums(*(array("d", bytes(8 * slots)) for _ in Sums._fields)) for name in names
        }

    def add(self, when: float, values: Mapping[str, float]) -> None:
        """Put values into the slot of their time; older ones than are kept are let go."""
        number = int(when // self.seconds)
        place = number % self.slots
        if number < self.numbers[place]:
            return
        if number > self.numbers[place]:
            self._clear(place, number)
        for name, value in values.items():
            low, high, total, counted = self.sums[name]
            if not counted[place]:
                low[place] = high[place] = value
            elif value < low[place]:
                low[place] = value
            elif value > high[place]:
                high[place] = value
            total[place] += value
            counted[place] += 1

    def extent(self, name: str, first: int, last: int) -> Extent | None:
        """What the quantity was in the slots `first` to `last`; None where nothing is known."""
        sums, numbers = self.sums[name], self.numbers
        places = [
            place
            for number in range(max(0, first), last + 1)
            if numbers[place := number % self.slots] == number and sums.counted[place] > 0
        ]
        if not places:
            return None
        low = min(sums.low[place] for place in places)
        high = max(sums.high[place] for place in places)
        total = sum(sums.total[place] for place in places)
        mean = total / sum(sums.counted[place] for place in places)
        return Extent(low, min(max(mean, low), high), high)

    def merge(self, other: Ring) -> None:
        """Take in the slots of a ring of the same shape; taking them in again changes nothing.

        Of a slot that both have, the extremes are those of both, the mean that of more samples:
        what the other counted may have been counted here as well.
        """
        for place, number in enumerate(other.numbers):
            if number > self.numbers[place]:
                self._clear(place, number)
            if number != self.numbers[place] or number < 0:
                continue
            for name, sums in other.sums.items():
                self.sums[name].take(place, sums)

    def _clear(self, place: int, number: int) -> None:
        self.numbers[place] = number
        for sums in self.sums.values():
            sums.counted[place] = sums.total[place] = 0.0


class History:
    """Quantities over time, added by one thread and looked at by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rings = tuple(Ring(seconds, slots) for seconds, slots in TIERS)
        self._newest = -math.inf

    @property
    def newest(self) -> float:
        """The time of the newest values; minus infinity before there are some."""
        return self._newest

    def add(self, when: float, values: Mapping[str, float]) -> None:
        """Put what was measured into every ring.

        Args:
            when: Seconds, CLOCK_MONOTONIC.
            values: By name, of QUANTITIES; what is no finite number is left out.
        """
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        if not known or when < 0:
            return
        with self._lock:
            for ring in self.rings:
                ring.add(when, known)
            self._newest = max(self._newest, when)

    def window(
        self, name: str, end: float, step: float, count: int, hold: float = 0.0
    ) -> list[Extent | None]:
        """A quantity over `count` spans of `step` seconds each, oldest first.

        The spans begin at multiples of `step`, so that what is drawn of them stays as it is when
        time goes on. The rings with the shortest slots that reach back far enough are asked.

        Args:
            name: Of QUANTITIES.
            end: The time the newest span holds.
            step: Seconds a span.
            count: Spans.
            hold: Seconds for which what was known last goes on where nothing was measured.
        """
        newest = int(end // step)
        first = newest - count + 1
        with self._lock:
            ring = self._ring(first * step, step)
            found = [
                ring.extent(name, *_slots(number, step, ring.seconds))
                for number in range(first, newest + 1)
            ]
        return _held(found, int(hold // step))

    def merge(self, other: History) -> None:
        """Take in what another history knows and this one does not."""
        with self._lock:
            for mine, theirs in zip(self.rings, other.rings, strict=True):
                mine.merge(theirs)
            self._newest = max(self._newest, other.newest)

    def columns(self) -> list[Column]:
        """All there is, in a fixed order, for keeping it."""
        found: list[Column] = []
        for ring in self.rings:
            found.append(ring.numbers)
            for name in QUANTITIES:
                found += ring.sums[name]
        return found

    def copy(self) -> History:
        """This history as it is now."""
        other = History()
        with self._lock:
            for mine, theirs in zip(self.columns(), other.columns(), strict=True):
                theirs[:] = mine  # type: ignore[assignment]
        other._newest = self._newest
        return other

    def settle(self, now: float) -> None:
        """Let go of slots that lie in the future, and find the newest of the rest."""
        finest = self.rings[0]
        for ring in self.rings:
            latest = int(now // ring.seconds)
            for place, number in enumerate(ring.numbers):
                if not 0 <= number <= latest or number % ring.slots != place:
                    ring.numbers[place] = _FREE
        newest = max(finest.numbers)
        self._newest = min(now, newest * finest.seconds) if newest != _FREE else -math.inf

    def _ring(self, start: float, step: float) -> Ring:
        """The ring to ask about the time from `start` on, in spans of `step` seconds.

        Where no slot is longer than a span any would do; the shortest that reach back tell most.
        """
        if not self._newest >= 0:
            return self.rings[0]
        for ring in self.rings:
            reaches = (int(self._newest // ring.seconds) - ring.slots + 1) * ring.seconds
            if reaches <= start:
                return ring
        return min(self.rings, key=lambda ring: abs(math.log(ring.seconds / step)))


def _slots(number: int, step: float, seconds: float) -> tuple[int, int]:
    """The first and last slot of `seconds` that begin in span `number`, or else hold it."""
    first = math.ceil(number * step / seconds)
    last = math.ceil((number + 1) * step / seconds) - 1
    return (first, last) if last >= first else (int(number * step // seconds),) * 2


def _held(found: list[Extent | None], most: int) -> list[Extent | None]:
    """Fill gaps of at most `most` spans with what was there before them."""
    before: Extent | None = None
    gap = 0
    for place, extent in enumerate(found):
        if extent is not None:
            if before is not None and 0 < gap <= most:
                found[place - gap : place] = [before] * gap
            before, gap = extent, 0
        else:
            gap += 1
    return found
