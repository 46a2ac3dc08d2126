"""Which function an instruction belongs to: FUNC symbols, aliases, cold parts.

A cold part (`X.cold`, `X.cold.N`, moved to .text.unlikely by the compiler) and its parent are
one function. The parent is the function that jumps into it: names repeat in linked modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kdash.backends.stack.decode import Code
from kdash.backends.stack.image import STT_FUNC, Ints, ObjectImage


@dataclass(frozen=True, slots=True)
class Functions:
    """FUNC symbols with a size, sorted by position; aliases and equal starts merged."""

    image: ObjectImage
    start: Ints  # positions
    end: Ints
    symbol: Ints  # index of the (first) symbol
    nested: bool  # some lie inside others
    instruction: Ints  # index of the first instruction, -1 when the start is inside of one
    root: Ints = field(repr=False)  # the function a cold part belongs to; itself otherwise

    def __len__(self) -> int:
        return len(self.start)

    def name(self, index: int) -> str:
        """The name of a function's symbol."""
        return self.image.symbol_name(int(self.symbol[index]))

    def containing(self, positions: Ints) -> Ints:
        """The innermost function around each position, -1 outside of all."""
        if not len(self.start):
            return np.full(len(positions), -1, np.int64)
        found = np.searchsorted(self.start, positions, "right") - 1
        inside = (found >= 0) & (positions < self.end[found])
        result = np.where(inside, found, -1)
        if self.nested:
            for at in np.flatnonzero(~inside & (found >= 0)).tolist():
                around = np.flatnonzero((self.start <= positions[at]) & (self.end > positions[at]))
                if len(around):
                    result[at] = around[-1]
        return result

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
    nested = bool(np.any(end[:-1] > start[1:]))
    return Functions(image, start, end, chosen, nested, code.index_at(start), np.arange(len(start)))


def join_cold_parts(functions: Functions, sources: Ints, targets: Ints) -> None:
    """Give every cold part the function that jumps into it as its root.

    Args:
        functions: the functions; `root` is filled in place.
        sources: for each jump inside the file, the function it is in (-1: none).
        targets: for each such jump, the function it goes to.
    """
    across = np.flatnonzero((sources != targets) & (sources >= 0) & (targets >= 0))
    for at in across.tolist():
        source, target = int(sources[at]), int(targets[at])
        if functions.root[target] != target:
            continue
        if is_cold(functions.name(target)) and not is_cold(functions.name(source)):
            functions.root[target] = source


def is_cold(name: str) -> bool:
    """Whether a symbol names the cold part of a function."""
    return ".cold" in name
