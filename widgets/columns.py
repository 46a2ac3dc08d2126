"""Columns of a list: their share of the width, and text cut to fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A width of 0 takes its share of what the fixed columns leave."""

    key: str  # field name in filters, for sorting
    title: str
    width: int = 0  # cells
    right: bool = False  # align to the right
    share: int = 1  # of the room left, against the other columns of width 0
    needs: int = 0  # cells the table must have for this column to be shown


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of one cell and its tone: good, warning, bad, muted, accent, strong or none."""

    text: str
    tone: str = ""
    keep: str = ""  # end of the text that stays when it is cut


@lru_cache(maxsize=64)
def widths(columns: tuple[Column, ...], available: int) -> tuple[int, ...]:
    """Cells for each column when `available` cells are to be shared; 0 hides one."""
    shown = [column for column in columns if column.needs <= available]
    fixed = sum(column.width for column in shown)
    left = max(0, available - fixed - max(0, len(shown) - 1))
    shares = [0 if c.width or c not in shown else c.share for c in columns]
    total = max(1, sum(shares))
    ends = [left * end // total for end in accumulate(shares, initial=0)]
    return tuple(
        (column.width or end - start) if column in shown else 0
        for column, start, end in zip(columns, ends, ends[1:], strict=False)
    )


def fit(text: str, width: int, *, right: bool = False, keep: str = "") -> str:
    """`text` in exactly `width` cells: padded, or cut with an ellipsis.

    Args:
        text: What to show.
        width: In cells.
        right: Pad on the left.
        keep: The end of `text` that is not cut off, if there is room for it.
    """
    length = cell_len(text)
    if length > width:
        end = keep if text.endswith(keep) and cell_len(keep) < width else ""
        room = width - cell_len(end) - 1
        return set_cell_size(text.removesuffix(end), room) + "…" + end if width else ""
    padding = " " * (width - length)
    return padding + text if right else text + padding


def tail(text: str, width: int) -> str:
    """`text` in at most `width` cells: its end, which tells more of a path than its beginning."""
    over = cell_len(text) - width
    if over <= 0:
        return text
    kept = text[over + 1 :]
    while kept and cell_len(kept) >= width:
        kept = kept[1:]
    return f"…{kept}" if width > 0 else ""
