"""The reseed clock: generations seen one after another, as time since the last reseed.

It also tells forced reseeds (RNDRESEEDCRNG, a virtual machine fork, a resume) from those the
kernel makes by itself. A forced one leaves the timer of the next one alone: Linux 5.19 on,
drivers/char/random.c, crng_reseed queues its delayed work, which does nothing while it is queued.
"""

from __future__ import annotations

from typing import NamedTuple

from kdash.backends.entropy.facts import Reseed
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.vdso import VdsoFacts

MOST_GENERATIONS = 1 << 32  # a number above is no counter but key material
SHARP_SECONDS = 5.0  # looks further apart don't tell when a reseed happened
RESEED_SECONDS = 60.0  # CRNG_RESEED_INTERVAL; the timer wheel makes it up to 61.44 s at 250 Hz


class Seen(NamedTuple):
    """When a change was seen: it happened after `earliest`, at `latest` at the latest."""

    earliest: float  # seconds, CLOCK_MONOTONIC
    latest: float


class ReseedClock:
    """Turns generations into the time since the last reseed."""

    def __init__(self) -> None:
        self._generation: int | None = None
        self._looked = 0.0  # when the generation was asked for last
        self._since = Seen(0.0, 0.0)  # the last reseed, or the first look
        self._timed: Seen | None = None  # the last reseed the kernel made by itself
        self._seen_change = False
        self.forced = 0  # reseeds that came before the kernel's own was due, as far as seen

    def tick(self, facts: VdsoFacts, now: float) -> Reseed:
        """Take a generation in.

        Args:
            facts: The answer of the probe.
            now: When it was asked, seconds of CLOCK_MONOTONIC.

        Raises:
            Unavailable: The number does not behave as a generation.
        """
        generation = facts.generation
        if generation is None:
            raise Unavailable(facts.missing or "not available")
        if not 0 < generation < MOST_GENERATIONS:
            raise Unavailable("not available: what the vDSO keeps here is no generation")
        if self._generation is not None and generation < self._generation:
            self._generation, self._timed = None, None
            raise Unavailable("not available: the generation fell")
        if self._generation is None:
            self._since, self._seen_change = Seen(now, now), False
        elif generation > self._generation:
            self._changed(generation - self._generation, Seen(self._looked, now))
        self._generation, self._looked = generation, now
        watched = max(0.0, now - self._since.latest)
        return Reseed(generation, watched if self._seen_change else None, "vdso", watched)

    def resume(self, generation: int, seen: Seen) -> None:
        """Go on from a reseed that an earlier process of this boot saw happen.

        Args:
            generation: The one that began then.
            seen: When it began.
        """
        if self._seen_change or self._generation not in (None, generation):
            return  # this process knows more
        if self._generation is None:
            self._generation, self._looked = generation, seen.latest
        self._since, self._seen_change = seen, True

    @property
    def last(self) -> tuple[int, Seen] | None:
        """The generation and when it was seen to begin; None before one was."""
        if self._generation is None or not self._seen_change:
            return None
        return self._generation, self._since

    def _changed(self, reseeds: int, seen: Seen) -> None:
        timed = self._timed
        if timed is None:  # what the first change was due to can't be told
            self.forced += max(0, reseeds - 1 - int((seen.latest - self._looked) // RESEED_SECONDS))
            self._timed = seen
        else:
            due = int((seen.latest - timed.earliest) // _interval(timed.earliest))
            self.forced += max(0, reseeds - due)
            if due:
                self._timed = seen
        self._since = seen
        self._seen_change = seen.latest - seen.earliest <= SHARP_SECONDS


def _interval(uptime: float) -> float:
    """Seconds to the next reseed of the kernel's own, set `uptime` seconds after boot.

    Source: drivers/char/random.c, crng_reseed_interval.
    """
    return RESEED_SECONDS if uptime >= 2 * RESEED_SECONDS else max(1.0, uptime // 2)
