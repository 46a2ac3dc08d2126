"""What the Entropy pane asks of its sampler and its model, and what it says of a reading."""

from __future__ import annotations

from typing import Protocol

from kdash.backends.entropy.facts import ModelStep, PoolState, Reading
from kdash.widgets.entropy.timeline import Trend
from kdash.widgets.pane import Tone


class Sampler(Protocol):
    """What the pane needs of a sampler (see kdash.backends.entropy.sampler)."""

    interval: float  # seconds between two readings; may be set while it runs

    @property
    def history(self) -> Trend:
        """What the quantities of the readings were over time."""

    def start(self) -> None:
        """Begin sampling in a thread."""

    def latest(self) -> Reading | None:
        """The newest reading."""

    def trace_callers(self, on: bool) -> None:
        """Count the callers of getrandom from now on, or stop; raises what the backend does."""

    def measure_hwrng(self) -> None:
        """Measure the raw hardware source; raises what the backend does."""

    def stop(self) -> None:
        """End the thread."""


class Model(Protocol):
    """What the pane needs of a model (see kdash.backends.entropy.live_model)."""

    speed: int  # seconds of its clock in one of the feed's

    def catch_up(self) -> list[ModelStep]:
        """Take in what has happened by now."""

    def trace_events(self, on: bool) -> None:
        """Take the machine's events from tracefs, or count them; raises what the backend does."""

    def close(self) -> None:
        """Let go of what feeds it."""

    def feed_words(self) -> str:
        """What feeds it, in words."""

    def set_load(self, events_per_second: int) -> None:
        """Let the load generator make so many events."""

    def set_reads(self, reader: str, reads_per_second: int) -> None:
        """Let a simulated reader read so often."""

    def step(self) -> ModelStep:
        """Take one event in."""

    def extract(self, nbytes: int) -> ModelStep:
        """Extract from the input pool."""

    def mix(self, data: bytes) -> ModelStep:
        """Mix into the input pool."""

    def credit(self, bits: int) -> ModelStep:
        """Credit or debit the input pool."""

    def state(self) -> PoolState:
        """The input pool now."""


def status(reading: Reading) -> tuple[str, Tone]:
    """The few words beside the pane's name, and their tone."""
    if reading.ready is False:
        return "not seeded", "bad"
    avail, size = reading.entropy_avail, reading.poolsize
    if reading.gauge and avail is not None and size is not None:
        low = reading.write_wakeup_threshold
        return f"{avail}/{size}", "warning" if low is not None and avail < low < size else "good"
    return ("ready", "good") if reading.ready else ("unknown", "warning")
