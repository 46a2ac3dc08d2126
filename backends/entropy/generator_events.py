"""Gathers what happened to the generator: forced reseeds, machine forks, what the kernel logged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from kdash.backends.entropy.facts import GeneratorEvent, HardwareSource
from kdash.backends.entropy.hwrng import NONE
from kdash.backends.entropy.uevents import is_vm_fork

MOST_EVENTS = 64
SAME_SECONDS = 10.0  # one thing told by two sources comes within
FORK = "vm-fork"
FORCED = "forced-reseed"
_RESEEDING = frozenset({FORK, "resume", "seeded"})  # the kernel reseeds at once, on purpose


class EventGatherer:
    """The events so far, each thing once, whoever told it."""

    def __init__(self) -> None:
        self._events: deque[GeneratorEvent] = deque(maxlen=MOST_EVENTS)
        self._shown: tuple[GeneratorEvent, ...] = ()
        self._source: HardwareSource | None = None
        self.vm_forks = 0

    @property
    def events(self) -> tuple[GeneratorEvent, ...]:
        """The newest events, by time."""
        return self._shown

    def add(self, events: Iterable[GeneratorEvent]) -> None:
        """Take in what the kernel logged."""
        for event in events:
            self._add(event)

    def announced(self, messages: Iterable[bytes], now: float) -> None:
        """Take in object events of the kernel."""
        for message in messages:
            if is_vm_fork(message):
                self._add(GeneratorEvent(now, FORK, "the hypervisor announced a new generation"))

    def reseeded(self, forced: int, now: float) -> None:
        """Take in reseeds that came before they were due."""
        if forced > 0 and not self._known(now, _RESEEDING):
            times = "" if forced == 1 else f" ({forced} times)"
            self._add(GeneratorEvent(now, FORCED, f"reseeded before it was due{times}"))

    def hardware(self, source: HardwareSource | None, now: float) -> None:
        """Take in the hardware source in use, None where it can't be told."""
        if source is None:
            return
        before, self._source = self._source, source
        if before is None or before.current == source.current:
            return
        text = f"hardware source: {before.current}, now {source.current}"
        lost = source.current == NONE
        self._add(GeneratorEvent(now, "hwrng-lost" if lost else "hwrng-changed", text))

    def last(self, kind: str) -> GeneratorEvent | None:
        """The newest event of a kind."""
        return next((event for event in reversed(self._shown) if event.kind == kind), None)

    def _known(self, when: float, kinds: frozenset[str]) -> bool:
        return any(
            event.kind in kinds and abs(event.monotonic - when) <= SAME_SECONDS
            for event in self._events
        )

    def _add(self, event: GeneratorEvent) -> None:
        if event.kind == FORK:
            if self._known(event.monotonic, frozenset({FORK})):
                return
            self.vm_forks += 1
        self._events.append(event)
        self._shown = tuple(sorted(self._events, key=lambda known: known.monotonic))
