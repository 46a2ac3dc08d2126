"""Borders between the parts that a person can move, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

LEAST_LINES: Final = 2  # of a part: its title and a line
LEAST_CELLS: Final = 20  # of a column
COLUMN: Final = "column"  # the border between two columns


class Border(NamedTuple):
    """A border and the cells in which the mouse takes hold of it."""

    name: str  # the part above it, or COLUMN
    x: int
    y: int
    width: int
    height: int
    below: str = ""  # the part below it

    def holds(self, x: int, y: int) -> bool:
        """Whether the mouse is on it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def stacked(parts: Sequence[tuple[str, int]], moved: Mapping[str, int]) -> dict[str, int]:
    """Lines for each part of a column.

    Args:
        parts: Names and the lines they would have, from above; those without any stay so.
        moved: Lines by which the border below a part was moved down.
    """
    heights = dict(parts)
    shown = [name for name, lines in parts if lines > 0]
    for upper, lower in pairwise(shown):
        by = moved.get(upper, 0)
        by = max(by, min(0, LEAST_LINES - heights[upper]))
        by = min(by, max(0, heights[lower] - LEAST_LINES))
        heights[upper] += by
        heights[lower] -= by
    return heights


def column(left: int, width: int, moved: Mapping[str, int]) -> int:
    """Cells of the left column, which would have `left` of `width`."""
    least = min(LEAST_CELLS, left)
    most = max(left, width - LEAST_CELLS)
    return max(least, min(left + moved.get(COLUMN, 0), most))


def border_of(
    borders: Sequence[Border], part: str, end: tuple[int, int], *, sideways: bool
) -> Border | None:
    """The border that moves when `part` shall: the one below it, else the one above.

    Args:
        borders: All there are.
        part: Its name.
        end: The cell below its lower left corner: where it stands beside another part, the border
            below them both is there.
        sideways: The border between the columns is meant.
    """
    if sideways:
        return next((one for one in borders if one.name == COLUMN), None)
    under = next((one for one in borders if one.name == part), None)
    above = next((one for one in borders if one.below == part), None)
    return under or above or next((one for one in borders if one.holds(*end)), None)
