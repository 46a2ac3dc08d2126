"""Line plots in braille characters, two dots a cell across and four down (Unicode U+2800)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

BLANK = 0x2800
ACROSS = 2  # dots a cell has
DOWN = 4
# Bits of the eight dots, by [column][row from the top] (Unicode chart "Braille Patterns").
BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def dot_row(value: float, bottom: float, top: float, dots: int) -> int:
    """Where `value` stands among `dots` dots counted from the top; outside the range: clamped.

    Raises:
        ValueError: The range is empty.
    """
    if not top > bottom:
        raise ValueError(f"an empty range: {bottom} to {top}")
    share = (min(max(value, bottom), top) - bottom) / (top - bottom)
    return dots - 1 - round(share * (dots - 1))


def braille_rows(
    values: Sequence[float | None], bottom: float, top: float, width: int, height: int
) -> list[str]:
    """Draw a line through `values` against a fixed range.

    Args:
        values: One a dot column, oldest first; None and NaN leave a gap. The newest 2 * width
            are drawn, at the right edge.
        bottom: What the lowest dot stands for.
        top: What the highest dot stands for.
        width: In cells.
        height: In cells.

    Returns:
        `height` strings of `width` braille characters.
    """
    cells = [[0] * width for _ in range(height)]
    shown = values[-ACROSS * width :]
    first = ACROSS * width - len(shown)
    before: int | None = None
    for x, value in enumerate(shown, start=first):
        if value is None or math.isnan(value):
            before = None
            continue
        row = dot_row(value, bottom, top, DOWN * height)
        for y in _joined(before, row):
            cells[y // DOWN][x // ACROSS] |= BITS[x % ACROSS][y % DOWN]
        before = row
    return ["".join(chr(BLANK + cell) for cell in line) for line in cells]


def _joined(before: int | None, row: int) -> Iterable[int]:
    """The dots of one column that lead from the row of the column before to `row`."""
    if before is None or before == row:
        return (row,)
    return range(before + 1, row + 1) if before < row else range(row, before)


def braille_bars(
    spans: Sequence[tuple[float, float] | None], bottom: float, top: float, width: int, height: int
) -> list[str]:
    """Draw an upright bar from least to greatest for each dot column, as `braille_rows` does."""
    cells = [[0] * width for _ in range(height)]
    shown = spans[-ACROSS * width :]
    for x, span in enumerate(shown, start=ACROSS * width - len(shown)):
        if span is None:
            continue
        low, high = (dot_row(value, bottom, top, DOWN * height) for value in span)
        for y in range(high, low + 1):
            cells[y // DOWN][x // ACROSS] |= BITS[x % ACROSS][y % DOWN]
    return ["".join(chr(BLANK + cell) for cell in line) for line in cells]


def round_top(value: float, least: float = 10.0, steps: Sequence[float] = (1, 2, 5)) -> float:
    """The least of 1, 2, 5, 10, 20, 50 ... that is not below `value` nor `least`.

    Args:
        value: What is to be reached, finite.
        least: What is reached in any case.
        steps: From 1 to below 10, rising; these times a power of ten are the tops there are.

    Raises:
        ValueError: A value without end.
    """
    wanted = max(value, least)
    if not math.isfinite(wanted):
        raise ValueError(f"no scale reaches {value}")
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * n for n in (*steps, 10, 20) if power * n >= wanted)
