"""Rows below headings: a list shown as a tree, some of its branches folded."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Generic, NamedTuple, TypeVar

RowT = TypeVar("RowT")

Path = tuple[str, ...]  # the keys of a heading and of those above it


@dataclass(frozen=True, slots=True)
class Grouping(Generic[RowT]):
    """What rows have in common below one heading."""

    name: str  # as a command takes it: "file"
    key: Callable[[RowT], str]  # equal for the rows of a heading
    label: Callable[[RowT], str] | None = None  # of a heading, by its first row; None: its key
    largest_first: bool = False  # else headings stand in the order of their first rows
    ends: bool = False  # the end of a heading tells more than its beginning, as of a path


class Heading(NamedTuple):
    """One heading, and what is below it."""

    path: Path
    first: int  # index of its first row
    size: int  # rows below it
    folded: bool

    @property
    def depth(self) -> int:
        """Headings above it."""
        return len(self.path) - 1


class Outline(Generic[RowT]):
    """Arranges rows below headings; keys of rows are asked for once.

    Attributes:
        levels: what groups, the outermost first; none for a flat list.
        headings: of the last arrangement.
    """

    def __init__(self) -> None:
        self.levels: tuple[Grouping[RowT], ...] = ()
        self.headings: list[Heading] = []
        self._keys: list[list[str]] = []  # by level, then row
        self._turned: set[Path] = set()  # headings that are not as `_folded` says
        self._folded = True

    def group(self, levels: Sequence[Grouping[RowT]]) -> None:
        """Group by other levels; all headings are folded."""
        self.levels = tuple(levels)
        self.forget()
        self.fold_all(folded=True)

    def forget(self) -> None:
        """Other rows are held."""
        self._keys = [[] for _ in self.levels]

    def exchange(self, rows: Mapping[int, RowT]) -> None:
        """Other rows are held at these indexes."""
        for level, keys in zip(self.levels, self._keys, strict=True):
            for index, row in rows.items():
                if index < len(keys):
                    keys[index] = level.key(row)

    def turn(self, path: Path) -> None:
        """Fold a heading that is open, open one that is folded."""
        self._turned ^= {path}

    def fold_all(self, *, folded: bool) -> None:
        """Fold or open every heading."""
        self._folded = folded
        self._turned.clear()

    def is_folded(self, path: Path) -> bool:
        """Whether what is below a heading is hidden."""
        return self._folded != (path in self._turned)

    def arrange(self, held: Sequence[RowT], passing: list[int]) -> list[int]:
        """Lines for the rows: their indexes, and ~n for heading n of `headings`."""
        self.headings = []
        if not self.levels:
            return passing
        for level, keys in zip(self.levels, self._keys, strict=True):
            key = level.key
            keys.extend([key(row) for row in held[len(keys) :]])
        lines: list[int] = []
        collecting = gc.isenabled()
        gc.disable()  # as many tuples as headings are made, and none of them is garbage
        try:
            self._branch(passing, (), lines)
        finally:
            if collecting:
                gc.enable()
        return lines

    def path_of(self, row: int) -> Path:
        """The headings above a row."""
        return tuple(keys[row] for keys in self._keys)

    def _branch(self, rows: Sequence[int], path: Path, lines: list[int]) -> None:
        depth = len(path)
        headings, last = self.headings, depth + 1 == len(self.levels)
        every = self._keys[depth]
        keys = [every[row] for row in rows]
        sizes = Counter(keys)
        firsts = dict(zip(reversed(keys), reversed(rows), strict=True))
        order: Collection[str] = sizes
        if self.levels[depth].largest_first:
            order = sorted(sizes, key=sizes.__getitem__, reverse=True)
        if self._folded and not self._turned:  # all at once: there may be one heading a row
            first = len(headings)
            own_paths = map(path.__add__, zip(order)) if path else zip(order)
            rest = map(firsts.__getitem__, order), map(sizes.__getitem__, order), repeat(True)
            headings += map(Heading._make, zip(own_paths, *rest, strict=False))
            lines += range(~first, ~len(headings), -1)
            return
        below: dict[str, list[int]] = {key: [] for key in sizes if not self.is_folded((*path, key))}
        for row, key in zip(rows, keys, strict=True):
            if key in below:
                below[key].append(row)
        for key in order:
            own, folded = (*path, key), key not in below
            lines.append(~len(headings))
            headings.append(Heading(own, firsts[key], sizes[key], folded))
            if folded:
                continue
            if last:
                lines += below[key]
            else:
                self._branch(below[key], own, lines)
