"""What can be plotted over time, and against which fixed range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdash.backends.entropy.facts import Reading
from kdash.widgets.entropy.braille import round_top

RESEED_TOP = 75.0  # seconds; a reseed is due every 60 s, rounded up to 61.44 by the timer wheel


@dataclass(frozen=True, slots=True)
class Series:
    """One of the quantities of a reading over time."""

    name: str  # of Reading.quantities, and word of the command prompt
    title: str
    unit: str
    signal: str  # its name in Reading.unavailable
    steady: Callable[[Reading], float | None] = lambda _: None  # a range that never changes
    least_top: float = 10.0

    def value(self, reading: Reading) -> float | None:
        """What it is in a reading; None where it is not known."""
        return reading.quantities().get(self.name)

    def top(self, reading: Reading, highest: float) -> float:
        """The upper end of the range: fixed where the signal has one, else a round number."""
        if fixed := self.steady(reading):
            return fixed
        return self.least_top if highest <= self.least_top else round_top(highest)

    def absence(self, reading: Reading) -> str:
        """Why there is nothing to plot now; empty when there is."""
        if self.value(reading) is not None:
            return ""
        if self.name == "reseed" and reading.reseed is not None:
            return ""  # known, though no reseed has happened yet
        return reading.unavailable.get(self.signal, "no value yet")


SERIES = (
    Series("irq", "interrupts", "/s", "irq_per_second"),
    Series("reseed", "since the last reseed", " s", "reseed", least_top=RESEED_TOP),
    Series(
        "level", "entropy_avail", " bits", "entropy_avail",
        steady=lambda reading: reading.poolsize,
    ),
    Series("latency", "getrandom 16 B", " ns", "getrandom", least_top=1000.0),
    Series("vdso", "getrandom 16 B, vDSO", " ns", "getrandom", least_top=100.0),
    Series("blocked", "blocked readers", "", "blocked_readers"),
)  # fmt: skip


def series_named(name: str) -> Series | None:
    """The series of that name."""
    return next((series for series in SERIES if series.name == name), None)


def first_series(reading: Reading) -> Series:
    """What tells most at first: the level where it moves, else what does move."""
    order = ("level", "irq", "reseed") if reading.gauge else ("irq", "reseed", "level")
    found = [series for name in order if (series := series_named(name))]
    return next((series for series in found if not series.absence(reading)), found[0])


def number(value: float) -> str:
    """A value in at most six cells: 0.35, 1.2, 82, 1000, 250k, 12M."""
    for least, unit in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(value) >= least:
            return f"{value / (1e3 if unit == 'k' else least):.0f}{unit}"
    places = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    rounded = round(value, places)
    return f"{rounded:.0f}" if rounded == int(rounded) else f"{rounded:.{places}f}"
