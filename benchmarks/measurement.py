"""What every benchmark gives: figures of this project, of its peer taken in turn, and the aim."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class MissingError(Exception):
    """Something that a figure needs is not to be had: one line."""


class Statistic(Enum):
    """Which figure of several runs counts."""

    MEDIAN = "median"
    LATE = "95 %"  # 95 of 100 are not above it
    MOST = "most"

    def of(self, values: tuple[float, ...]) -> float:
        """The figure of these values, at least one."""
        if self is Statistic.MEDIAN:
            return statistics.median(values)
        if self is Statistic.MOST or len(values) < 2:
            return max(values)
        return statistics.quantiles(values, n=20)[-1]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure, or its ratio to the peer's, should be."""

    limit: float
    least: bool = False  # the least it should be; else the most
    ratio: bool = False  # of the ratio to the peer; else of our own figure

    def __str__(self) -> str:
        subject = "ratio " if self.ratio else ""
        return f"{subject}{'at least' if self.least else 'at most'} {number(self.limit)}"

    def beside(self, value: float) -> str:
        """A value as it is shown: as precisely as it takes to tell it from the limit."""
        near = value != self.limit and number(value) == number(self.limit)
        return f"{value:,.5g}" if near else number(value)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure with its peer's; or why it was not taken."""

    subject: str
    ours: tuple[float, ...] = ()  # every run
    unit: str = ""
    peer: str = ""
    theirs: tuple[float, ...] = ()  # in turn with ours where there are as many
    aim: Aim | None = None
    statistic: Statistic = Statistic.MEDIAN
    missing: str = ""  # why there is no figure
    floor: bool = False  # the peer tells what the machine itself takes: a ratio says nothing

    @property
    def value(self) -> float:
        """Our figure."""
        return self.statistic.of(self.ours)

    @property
    def peer_value(self) -> float | None:
        """The peer's figure."""
        return self.statistic.of(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's: the median over pairs where both ran in turn."""
        if self.floor or not self.theirs or not all(self.theirs):
            return None
        if self.statistic is Statistic.MEDIAN and len(self.ours) == len(self.theirs):
            pairs = zip(self.ours, self.theirs, strict=True)
            return statistics.median(own / other for own, other in pairs)
        return self.value / self.statistic.of(self.theirs)

    @property
    def value_told(self) -> str:
        """Our figure as it is shown."""
        return number(self.value) if self.aim is None else self.aim.beside(self.value)

    @property
    def ratio_told(self) -> str:
        """The ratio as it is shown; empty without one."""
        if self.ratio is None:
            return ""
        return number(self.ratio) if self.aim is None else self.aim.beside(self.ratio)

    @property
    def met(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        if self.aim is None or self.missing:
            return None
        value = self.ratio if self.aim.ratio else self.value
        if value is None:
            return None
        return value >= self.aim.limit if self.aim.least else value <= self.aim.limit

    @property
    def verdict(self) -> str:
        """The aim in a word: met, missed, or nothing."""
        return "" if self.met is None else "met" if self.met else "missed"

    def __str__(self) -> str:
        if self.missing:
            return f"{self.subject}: not measured: {self.missing}"
        told = [f"{self.subject}: {self.value_told} {self.unit}".rstrip()]
        if len(self.ours) > 1:
            told[0] += f" ({spread(self)})"
        if self.peer_value is not None:
            told.append(f"{self.peer} {number(self.peer_value)}")
        if self.ratio is not None:
            told.append(f"ratio {self.ratio_told}")
        if self.aim is not None:
            told.append(f"aim {self.aim}: {self.verdict or 'no peer'}")
        return ", ".join(told)


def tell(measurements: Iterable[Measurement]) -> None:
    """Print each as it is known, and why there are no more."""
    try:
        for one in measurements:
            print(one, flush=True)
    except MissingError as error:
        raise SystemExit(f"not measured: {error}") from error


def spread(measurement: Measurement) -> str:
    """Which figure of how many it is, and from where to where they go."""
    least, most = min(measurement.ours), max(measurement.ours)
    return (
        f"{measurement.statistic.value} of {len(measurement.ours)}, {number(least)} to"
        f" {number(most)}"
    )


def number(value: float) -> str:
    """Three figures that count, thousands set apart."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
