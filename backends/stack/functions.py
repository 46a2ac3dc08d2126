"""Which function an instruction belongs to: FUNC symbols, aliases, cold parts.

A cold part (`X.cold`, `X.cold.N`, moved to .text.unlikely by the compiler) and its parent are
one function. The parent is the function that jumps into it: names repeat in linked modules.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kdash.backends.stack.decode import Code
from kdash.backends.stack.image import STT_FUNC, Ints, ObjectImage

_DEEPEST = 64  # functions inside of functions


@dataclass(frozen=True)
class Functions:
    """FUNC symbols with a size, sorted by position; aliases and equal starts merged."""

    image: ObjectImage
    start: Ints  # positions
    end: Ints
    symbol: Ints  # index of the (first) symbol
    around: Ints  # the function that each lies in, -1 for most
    instruction: Ints  # index of the first instruction, -1 when the start is inside of one
    root: Ints = field(repr=False)  # the function a cold part belongs to; itself otherwise

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def names(self) -> list[bytes]:
        """The names of all functions as they stand in the file."""
        return self.image.raw_names(self.symbol)

    @cached_property
    def cold(self) -> list[bool]:
        """Which functions are the cold part of another one, by their names."""
        return [b".cold" in name for name in self.names]

    def name(self, index: int) -> str:
        """The name of a function's symbol."""
        return self.image.symbol_name(int(self.symbol[index]))

    def containing(self, positions: Ints) -> Ints:
        """The innermost function around each position, -1 outside of all."""
        if not len(self.start):
            return np.full(len(positions), -1, np.int64)
        found = np.searchsorted(self.start, positions, "right") - 1
        result = np.where((found >= 0) & (positions < self.end[found]), found, -1)
        if self._nested:
            self._look_outwards(positions, found, result)
        return result

    @cached_property
    def _nested(self) -> bool:
        return bool(np.any(self.around >= 0))

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int], list[int]]:
        return self.start.tolist(), self.end.tolist(), self.around.tolist()

    def around_one(self, position: int) -> int:
        """The same for one position, fast."""
        start, end, around = self._bounds
        at = bisect_right(start, position) - 1
        for _ in range(_DEEPEST):
            if at < 0 or position < end[at]:
                break
            at = around[at]
        return at if at >= 0 and position < end[at] else -1

    def _look_outwards(self, positions: Ints, found: Ints, result: Ints) -> None:
        """Behind the end of a function inside of another one, the outer one holds."""
        left = np.flatnonzero((result < 0) & (found >= 0))
        outer = found[left]
        for _ in range(_DEEPEST):
            outer = np.where(outer >= 0, self.around[outer], -1)
            inside = (outer >= 0) & (positions[left] < self.end[outer])
            result[left[inside]] = outer[inside]
            keep = ~inside & (outer >= 0)
            left, outer = left[keep], outer[keep]
            if not len(left):
                return

    def starting_at(self, positions: Ints) -> Ints:
        """The function that starts at each position, -1 where none does."""
        if not len(self.start):
            return np.full(len(positions), -1, np.int64)
        found = np.searchsorted(self.start, positions)
        found[found == len(self.start)] = 0
        return np.where(self.start[found] == positions, found, -1)


def find_functions(image: ObjectImage, code: Code) -> Functions:
    """The functions of all executable sections."""
    symbols = image.symbols
    base = code.bases[symbols.section]
    room = code.sizes[symbols.section] - symbols.value
    chosen = np.flatnonzero(
        (symbols.type == STT_FUNC)
        & (base >= 0)
        & (symbols.size > 0)
        & (symbols.value >= 0)
        & (room > 0)
    )
    start = base[chosen] + symbols.value[chosen]
    end = start + np.minimum(symbols.size[chosen], room[chosen])
    order = np.lexsort((chosen, -end, start))
    start, end, chosen = start[order], end[order], chosen[order]
    if len(start):
        first = np.concatenate(([True], start[1:] != start[:-1]))
        start, end, chosen = start[first], end[first], chosen[first]
    around = _enclosing(start, end)
    return Functions(image, start, end, chosen, around, code.index_at(start), np.arange(len(start)))


def _enclosing(start: Ints, end: Ints) -> Ints:
    """For each function, ascending by start, the innermost one that it lies in."""
    around = np.full(len(start), -1, np.int64)
    if not bool(np.any(end[:-1] > start[1:])):
        return around
    opened: list[int] = []
    for at, (first, last) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        while opened and end[opened[-1]] <= first:
            opened.pop()
        if opened and last <= end[opened[-1]]:
            around[at] = opened[-1]
        opened.append(at)
    return around


def join_cold_parts(functions: Functions, sources: Ints, targets: Ints) -> None:
    """Give every cold part the function that jumps into it as its root.

    Args:
        functions: the functions; `root` is filled in place.
        sources: for each jump inside the file, the function it is in (-1: none).
        targets: for each such jump, the function it goes to.
    """
    if not any(functions.cold):
        return
    cold, root = np.array(functions.cold, np.bool_), functions.root
    across = np.flatnonzero((sources != targets) & (sources >= 0) & (targets >= 0))
    across = across[cold[targets[across]] & ~cold[sources[across]]]
    for source, target in zip(sources[across].tolist(), targets[across].tolist(), strict=True):
        if root[target] == target:
            root[target] = source
