"""The words of a pool as a map that shows which of them changed, and how long ago."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from kdash.backends.entropy.facts import PoolState
from kdash.widgets.entropy.tone_lines import Line, Span, wrapped

# Age of a word's last change in steps -> tone and the mark behind the word. The mark carries the
# meaning; the tone only makes it quicker to see.
FRESH = ("accent", "*")
HOT = ("heat-3", "+")
WARM = ("heat-2", "+")
COLD = ("heat-1", " ")
WARM_STEPS = 4
LEGEND = "* changed in the last step  + in the four before"
# Where a step changed every word, what tells is the order: mixing goes through the pool word by
# word, downwards, and the words from add_ptr on are those it wrote last.
LAST_BYTES, BEFORE_BYTES = 16, 48  # 16 bytes: one timer event, or one flush of a fast pool
POINTER_LEGEND = f"* the last {LAST_BYTES} bytes mixed in  + the {BEFORE_BYTES} before"
STRIPS = {"accent": "█", "heat-2": "▒", "heat-1": "░"}
STRIP_LEGEND = (
    f"words of the pools: █ the last {LAST_BYTES} bytes mixed in  ▒ the {BEFORE_BYTES} before  "
    "░ older"
)

FULL_COLUMNS, SHORT_COLUMNS = 8, 16
LABEL = 4  # cells of the row label


def heat(age: int | None) -> tuple[str, str]:
    """Tone and mark of a word that changed `age` steps ago; None for never."""
    if age in (0, 1):
        return FRESH if age == 0 else HOT
    return WARM if age is not None and age <= WARM_STEPS else COLD


def pointer_ages(pool: PoolState) -> list[int]:
    """Ages as `heat` takes them, by how many bytes were mixed in since each word was written."""
    size = len(pool.words)
    bytes_since = ((word - pool.add_ptr) % size for word in range(size))
    recent = LAST_BYTES + BEFORE_BYTES
    return [0 if b < LAST_BYTES else 2 if b < recent else WARM_STEPS + 1 for b in bytes_since]


def strip_lines(pool: PoolState, width: int) -> list[Line]:
    """The words of a pool by age: as few lines of `width` cells as give each word a cell."""
    ages = pointer_ages(pool)
    rows = -(-len(ages) // max(8, width))
    across = -(-len(ages) // rows)
    lines = []
    for first in range(0, len(ages), across):
        row = ages[first : first + across]
        tones = [heat(row[cell * len(row) // width])[0] for cell in range(width)]
        runs = [(tone, len(list(same))) for tone, same in groupby(tones)]
        lines.append(tuple(Span(STRIPS[tone] * length, tone) for tone, length in runs))
    return lines


def strip_legend(width: int) -> list[Line]:
    """What the strips mean, each mark in the tone it has there."""
    tones = {mark: tone for tone, mark in STRIPS.items()}
    return [
        tuple(
            Span(piece, tones.get(piece, "muted"))
            for piece in re.split(f"([{''.join(tones)}])", line.text)
            if piece
        )
        for (line,) in wrapped(STRIP_LEGEND, width)
    ]


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
