"""One series over time: labelled axes round a braille line."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.backends.entropy.facts import Reading
from kdash.widgets.entropy.braille import ACROSS, braille_rows, columns_of
from kdash.widgets.entropy.series import Series, number
from kdash.widgets.entropy.tone_lines import Line, Span

LABELS = 6  # cells of the labels left of the axis
HINT = "  p: next plot"
LEAST_HEIGHT = 5  # lines below which a plot can't be read


def plot_lines(
    series: Series, readings: Sequence[Reading], step: float, width: int, height: int
) -> list[Line]:
    """Draw `series` of `readings` (oldest first) in `width` x `height` cells.

    A signal that can't be had takes one line, which says why.

    Args:
        series: What to plot.
        readings: The history, oldest first.
        step: Seconds between two readings: what one dot column stands for.
        width: Cells, axis and labels included.
        height: Lines, title and time axis included.
    """
    if readings and series.absence(readings[-1]) and not series.values(readings):
        return [_title(series, readings, width)]
    across = max(4, width - LABELS - 1)
    rows = max(1, height - 3)
    samples = [(reading.monotonic, series.value(reading)) for reading in readings]
    now = readings[-1].monotonic if readings else 0.0
    top = series.top(readings)
    columns = columns_of(samples, now, step, across * ACROSS)
    drawn = braille_rows(columns, 0.0, top, across, rows)
    lines = [_title(series, readings, width)]
    for place, row in enumerate(drawn):
        label = number(top) if place == 0 else "0" if place == rows - 1 else ""
        lines.append((Span(f"{label:>{LABELS}}"), Span("┤" if label else "│", "muted"),
                      Span(row, "accent")))  # fmt: skip
    return [*lines, *_time_axis(across, step)]


def _title(series: Series, readings: Sequence[Reading], width: int) -> Line:
    values = series.values(readings)
    name = Span(series.title, "strong")
    if not values:
        return (name, Span(f": {_no_values(series, readings)}", "muted"))
    now = series.value(readings[-1])
    told = f"  now {number(now)}{series.unit}" if now is not None else "  now: no value"
    extent = f"  min {number(min(values))}  max {number(max(values))}"
    spare = width - len(series.title) - len(told)
    if spare < len(extent):
        return (name, Span(told))
    hint = HINT if spare >= len(extent) + len(HINT) else ""
    return (name, Span(told), Span(extent), Span(hint, "muted"))


def _no_values(series: Series, readings: Sequence[Reading]) -> str:
    if not readings:
        return "no reading yet"
    reseed = readings[-1].reseed
    if series.name == "reseed" and reseed is not None:
        return f"none seen yet, watched for {reseed.at_least:.0f} s"
    return series.absence(readings[-1])


def _time_axis(across: int, step: float) -> list[Line]:
    seconds = (across * ACROSS - 1) * step
    middle = across // 2
    line = list("─" * across)
    line[middle] = line[-1] = "┴"
    left, half = _ago(seconds), _ago(seconds * (across - middle) / across)
    labels = left.ljust(middle) + half
    labels = labels.ljust(across - 3) + "now"
    return [
        (Span(f"{'':>{LABELS}}"), Span("└" + "".join(line), "muted")),
        (Span(f"{'':>{LABELS + 1}}"), Span(labels, "muted")),
    ]


def _ago(seconds: float) -> str:
    return f"-{seconds:.0f} s" if seconds < 600 else f"-{seconds / 60:.0f} min"
