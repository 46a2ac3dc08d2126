"""The words of a pool as a map that shows which of them changed, and how long ago."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from kdash.widgets.entropy.tone_lines import Line, Span

# Age of a word's last change in steps -> tone and the mark behind the word. The mark carries the
# meaning; the tone only makes it quicker to see.
FRESH = ("accent", "*")
HOT = ("heat-3", "+")
WARM = ("heat-2", "+")
COLD = ("heat-1", " ")
WARM_STEPS = 4
LEGEND = "* changed in the last step  + in the four before"

FULL_COLUMNS, SHORT_COLUMNS = 8, 16
LABEL = 4  # cells of the row label


def heat(age: int | None) -> tuple[str, str]:
    """Tone and mark of a word that changed `age` steps ago; None for never."""
    if age in (0, 1):
        return FRESH if age == 0 else HOT
    return WARM if age is not None and age <= WARM_STEPS else COLD


def full_width(columns: int = FULL_COLUMNS) -> int:
    """Cells the map needs to show whole words."""
    return LABEL + columns * 9


def map_lines(
    words: Sequence[int], ages: Sequence[int | None], width: int, height: int
) -> list[Line]:
    """Draw every word: all eight digits where they fit, else the two highest.

    Args:
        words: The pool, u32 each.
        ages: Steps since each word changed, None for never.
        width: Cells there are.
        height: Lines there are.
    """
    rows = -(-len(words) // FULL_COLUMNS)
    if width >= full_width() and height >= rows:
        return _grid(words, ages, FULL_COLUMNS, digits=8, label=True)
    labelled = width >= LABEL + SHORT_COLUMNS * 3
    columns = SHORT_COLUMNS if width >= SHORT_COLUMNS * 3 else max(1, width // 3)
    return _grid(words, ages, columns, digits=2, label=labelled)


def _grid(
    words: Sequence[int], ages: Sequence[int | None], columns: int, *, digits: int, label: bool
) -> list[Line]:
    lines = []
    for first in range(0, len(words), columns):
        spans = [Span(f"{first:>{LABEL - 1}} ", "muted")] if label else []
        row = slice(first, first + columns)
        cells = [
            (*heat(age), f"{word:08x}"[:digits])
            for word, age in zip(words[row], ages[row], strict=True)
        ]
        for tone, same in groupby(cells, key=itemgetter(0)):  # one span for neighbours alike
            spans.append(Span("".join(text + mark for _, mark, text in same), tone))
        lines.append(tuple(spans))
    return lines
