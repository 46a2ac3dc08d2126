"""One series over time: labelled axes round a braille line, in a band of least to greatest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from kdash.backends.entropy.facts import Extent, Reading
from kdash.widgets.entropy.braille import ACROSS, BLANK, braille_bars, braille_rows
from kdash.widgets.entropy.series import Series, number
from kdash.widgets.entropy.timeline import Timeline, Trend
from kdash.widgets.entropy.tone_lines import Line, Span

LABELS = 6  # cells of the labels left of the axis
HINTS = ("  {next}: next", "  + -: zoom", "  arrows: cursor")
LEAST_HEIGHT = 5  # lines below which a plot can't be read
CURSOR = "▲"


@dataclass(frozen=True, slots=True)
class Plot:
    """What is plotted."""

    series: Series
    reading: Reading  # the newest
    trend: Trend
    timeline: Timeline
    interval: float  # seconds between two readings
    key: str = "p"  # that plots the next series

    def columns(self, count: int) -> Sequence[Extent | None]:
        """What the series was, a dot column each, oldest first."""
        hold = 1.5 * self.interval if self.interval > self.timeline.step else self.timeline.step
        return self.trend.window(self.series.name, self.end, self.timeline.step, count, hold)

    @property
    def now(self) -> float:
        """The time of the newest reading."""
        return self.reading.monotonic

    @property
    def end(self) -> float:
        """The newest time shown."""
        return self.now if self.timeline.end is None else self.timeline.end


def dot_columns(width: int) -> int:
    """Dot columns a plot `width` cells wide has."""
    return max(4, width - LABELS - 1) * ACROSS


def plot_lines(plot: Plot, width: int, height: int) -> list[Line]:
    """Draw a plot in `width` x `height` cells, title and axes included.

    A signal that can't be had, and of which nothing is remembered, takes one line that says why.
    """
    count = dot_columns(width)
    columns = plot.columns(count)
    known = [extent for extent in columns if extent is not None]
    if plot.series.absence(plot.reading) and not known:
        return [_title(plot, known, None, width)]
    across = count // ACROSS
    rows = max(1, height - 3)
    top = plot.series.top(plot.reading, max((extent.high for extent in known), default=0.0))
    cursor = _cursor_column(plot, count)
    at_cursor = columns[cursor] if cursor is not None else None
    lines = [_title(plot, known, at_cursor, width)]
    cell = None if cursor is None else cursor // ACROSS
    for place, row in enumerate(_drawn(columns, top, across, rows, cell)):
        label = number(top) if place == 0 else "0" if place == rows - 1 else ""
        lines.append((Span(f"{label:>{LABELS}}"), Span("┤" if label else "│", "muted"), *row))
    return [*lines, *_time_axis(plot, across, cell)]


def _drawn(
    columns: Sequence[Extent | None], top: float, across: int, rows: int, cursor: int | None
) -> list[Line]:
    """The rows of the plot: the mean as a line that stands out from the band it lies in."""
    means = braille_rows([e.mean if e else None for e in columns], 0.0, top, across, rows)
    bands = braille_bars([(e.low, e.high) if e else None for e in columns], 0.0, top, across, rows)
    drawn = []
    for line, band in zip(means, bands, strict=True):
        cells = [
            (
                chr(ord(mean) | ord(bar)),
                "cursor" if x == cursor else "accent" if ord(mean) > BLANK else "muted",
            )
            for x, (mean, bar) in enumerate(zip(line, band, strict=True))
        ]
        runs = groupby(cells, key=lambda cell: cell[1])
        drawn.append(tuple(Span("".join(c for c, _ in run), tone) for tone, run in runs))
    return drawn


def _cursor_column(plot: Plot, count: int) -> int | None:
    """The dot column of the cursor; None where it is not in sight."""
    time, step = plot.timeline.cursor, plot.timeline.step
    if time is None:
        return None
    column = count - 1 - (int(plot.end // step) - int(time // step))
    return column if 0 <= column < count else None


def _title(plot: Plot, known: Sequence[Extent], at_cursor: Extent | None, width: int) -> Line:
    series = plot.series
    name = Span(series.title, "strong")
    if plot.timeline.cursor is not None:
        told = _told(series, at_cursor)
        return (name, Span(f"  {_ago(plot.now - plot.timeline.cursor)}: {told}"))
    if not known:
        return (name, Span(f": {_no_values(plot)}", "muted"))
    now = series.value(plot.reading)
    told = f"  now {number(now)}{series.unit}" if now is not None else "  now: no value"
    low, high = min(e.low for e in known), max(e.high for e in known)
    extent = f"  min {number(low)}  max {number(high)}"
    spare = width - len(series.title) - len(told)
    if spare < len(extent):
        return (name, Span(told))
    spare -= len(extent)
    hints = ""
    for hint in (one.format(next=plot.key) for one in HINTS):
        hints += hint if len(hints) + len(hint) <= spare else ""
    return (name, Span(told), Span(extent), Span(hints, "muted"))


def _told(series: Series, extent: Extent | None) -> str:
    """What the series was where the cursor stands."""
    if extent is None:
        return "nothing known"
    mean = f"{number(extent.mean)}{series.unit}"
    if extent.low == extent.high:
        return mean
    return f"mean {mean}  min {number(extent.low)}  max {number(extent.high)}"


def _no_values(plot: Plot) -> str:
    reseed = plot.reading.reseed
    if plot.timeline.end is not None:
        return "nothing known of that time"
    if plot.series.name == "reseed" and reseed is not None:
        return f"none seen yet, watched for {reseed.at_least:.0f} s"
    return plot.series.absence(plot.reading)


def _time_axis(plot: Plot, across: int, cursor: int | None) -> list[Line]:
    step = plot.timeline.step
    seconds = (across * ACROSS - 1) * step
    middle = across // 2
    line = list("─" * across)
    line[middle] = line[-1] = "┴"
    if cursor is not None:
        line[cursor] = CURSOR
    back = plot.now - plot.end
    left, half = _ago(back + seconds), _ago(back + seconds * (across - middle) / across)
    right = "now" if plot.timeline.end is None else _ago(back)
    labels = left.ljust(middle) + half
    labels = labels.ljust(across - len(right)) + right
    return [
        (Span(f"{'':>{LABELS}}"), Span("└" + "".join(line), "muted")),
        (Span(f"{'':>{LABELS + 1}}"), Span(labels, "muted")),
    ]


def _ago(seconds: float) -> str:
    if seconds < 600:
        return f"-{max(0.0, seconds):.0f} s"
    minutes = seconds / 60
    return f"-{minutes:.0f} min" if minutes < 300 else f"-{minutes / 60:.1f} h"
