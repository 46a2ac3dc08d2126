"""What the Entropy pane asks of its sampler and its model, and what it says of a reading."""

from __future__ import annotations

from typing import Protocol

from kdash.backends.entropy.facts import ModelStep, PoolState, Reading
from kdash.backends.entropy.model_facts import ModelState
from kdash.backends.wording import counted
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

    def trace_random_events(self, on: bool) -> None:
        """Add up the events of the kernel's pools from now on, or stop; raises likewise."""

    def measure_hwrng(self) -> None:
        """Measure the raw hardware source; raises what the backend does."""

    def stop(self) -> None:
        """End the thread."""


class Model(Protocol):
    """What the pane needs of a model (see kdash.backends.entropy.live_model)."""

    speed: int
    usual_nodes: int  # of the per-node design when it is switched to

    def advance(self) -> list[ModelStep]:
        """Take in what happened since the last time."""

    @property
    def may_rest(self) -> bool:
        """Whether it need not take in every event while nobody watches."""

    def catch_up(self) -> list[ModelStep]:
        """Set its clock on over a rest."""

    def skip(self) -> None:
        """Leave out what happened since the last time."""

    def step(self) -> ModelStep:
        """Take one event in."""

    def extract(self, nbytes: int) -> ModelStep:
        """Extract from the input pool."""

    def mix(self, data: bytes) -> ModelStep:
        """Mix into the input pool."""

    def credit(self, bits: int) -> ModelStep:
        """Credit or debit the input pool."""

    def set_speed(self, speed: int) -> None:
        """Set the factor between the clocks; raises ValueError out of range, as those below."""

    def set_load(self, kind: str, rate: float) -> None:
        """Make up events."""

    def read_at(self, device: str, rate: float, nbytes: int | None = None) -> None:
        """Let a simulated process read."""

    def set_nodes(self, nodes: int) -> None:
        """Switch to another design."""

    def restart(self, seed: bytes | None) -> None:
        """Boot anew."""

    def feed_from(self, name: str) -> None:
        """Take events from elsewhere; raises ValueError where they can't be had."""

    def flip(self) -> None:
        """Follow how a flipped bit spreads."""

    def unflip(self) -> None:
        """Follow it no more."""

    def state(self) -> PoolState:
        """The input pool now."""

    def snapshot(self) -> ModelState:
        """The whole model now."""

    def close(self) -> None:
        """Give back what its feed holds."""


def status(reading: Reading) -> tuple[str, Tone]:
    """The few words beside the pane's name, and their tone."""
    if reading.ready is False:
        return "not seeded", "bad"
    if reading.alerts:
        return counted(len(reading.alerts), "alert"), "bad"
    avail, size = reading.entropy_avail, reading.poolsize
    if reading.gauge and avail is not None and size is not None:
        low = reading.write_wakeup_threshold
        return f"{avail}/{size}", "warning" if low is not None and avail < low < size else "good"
    return ("ready", "good") if reading.ready else ("unknown", "warning")
