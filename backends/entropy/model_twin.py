"""A twin of the live model that got one bit of an event flipped, to see how far that comes."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from kdash.backends.entropy.fed_generator import FedGenerator, spread_between
from kdash.backends.entropy.happenings import Happening

_SATURATED = 15.5  # bits of 32 that differ in a word of the input pool: as much as by chance


class Twin:
    """Follows the model with all that is done to it; nobody, until a bit is flipped."""

    def __init__(self) -> None:
        self._twin: FedGenerator | None = None
        self._flip_next = False
        self.spread: tuple[tuple[int, ...], ...] = ()  # by pool and word: bits that differ
        self.events = 0  # since the flip

    @property
    def follows(self) -> FedGenerator | None:
        """The twin while it follows; None once the bit is everywhere, or before it is flipped."""
        return self._twin

    def flip(self, fed: FedGenerator) -> None:
        """Follow `fed` from here on, with a bit of its next event flipped."""
        self._twin = copy.deepcopy(fed)
        self._flip_next = True
        self.events = 0
        self.spread = spread_between(fed.generator, self._twin.generator)

    def end(self) -> None:
        """Follow it no more."""
        self._twin = None
        self._flip_next = False
        self.spread = ()
        self.events = 0

    def alike(self, fed: FedGenerator) -> Iterator[FedGenerator]:
        """The model, and its twin while there is one."""
        yield fed
        if self._twin is not None:
            yield self._twin

    def feed(self, happening: Happening) -> None:
        """Give it the event that the model got."""
        if self._twin is None:
            return
        number = happening.number ^ self._flip_next
        self._twin.apply(happening.kind, happening.cpu, number, happening.value)
        self._flip_next = False
        self.events += 1

    def look(self, fed: FedGenerator) -> None:
        """See how far the flipped bit has come; once it is everywhere the twin has no use."""
        if self._twin is None:
            return
        self.spread = spread_between(fed.generator, self._twin.generator)
        if sum(self.spread[0]) >= _SATURATED * len(self.spread[0]):
            self._twin = None
