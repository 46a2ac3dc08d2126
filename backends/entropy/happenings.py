"""Events that feed the live Linux 4.3 model, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """Which function of drivers/char/random.c an event goes to."""

    INTERRUPT = "irq"  # add_interrupt_randomness
    DISK = "disk"  # add_disk_randomness
    INPUT = "input"  # add_input_randomness


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a machine."""

    at_ns: int  # on the clock of the feed
    kind: Kind
    cpu: int  # where it was handled
    number: int  # interrupt number, dev_t or input code
    value: int = 0  # of an input event


@dataclass(frozen=True, slots=True)
class Window:
    """What happened since the window before."""

    start_ns: int
    end_ns: int  # not before `start_ns`
    happenings: Sequence[Happening] = ()  # by time, all within
    left_out: int = 0  # events that are not in `happenings`


class Feed(Protocol):
    """Tells what happened since it was last asked."""

    @property
    def words(self) -> str:
        """Where its events come from, a few words."""

    def __call__(self) -> Window:
        """The window since the last call; the first call gives an empty one."""

    def close(self) -> None:
        """Give back what it holds; more than once does no harm."""


class ClockFeed:
    """No events, time alone: for a model that the load generator feeds."""

    words = "load generator alone"

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._before: int | None = None

    def __call__(self) -> Window:
        """The window since the last call."""
        now = self._monotonic_ns()
        start = now if self._before is None else min(self._before, now)
        self._before = now
        return Window(start, now)

    def close(self) -> None:
        """Nothing is held."""
