"""Rows below headings: a list shown as a tree, some of its branches folded."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
        """Other rows are held, or some have changed."""
        self._keys = [[] for _ in self.levels]

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
        gc.disable()  # as many lists as headings are made, and none of them is garbage
        try:
            self._branch(passing, (), lines)
        finally:
            if collecting:
                gc.enable()
        return lines

    def path_of(self, row: int) -> Path:
        """The headings above a row."""
        return tuple(keys[row] for keys in self._keys)

    def _branch(self, rows: list[int], path: Path, lines: list[int]) -> None:
        depth = len(path)
        headings, last = self.headings, depth + 1 == len(self.levels)
        usual, turned = self._folded, self._turned
        groups = self._groups(depth, rows)
        if usual and not turned:  # all at once: there may be as many headings as rows
            first = len(headings)
            made = (((*path, key), below[0], len(below), True) for key, below in groups.items())
            headings += map(Heading._make, made)
            lines += range(~first, ~len(headings), -1)
            return
        for key, below in groups.items():
            own = (*path, key)
            folded = usual != (own in turned) if turned else usual
            lines.append(~len(headings))
            headings.append(Heading(own, below[0], len(below), folded))
            if folded:
                continue
            if last:
                lines += below
            else:
                self._branch(below, own, lines)

    def _groups(self, depth: int, rows: list[int]) -> Mapping[str, list[int]]:
        keys = self._keys[depth]
        groups: dict[str, list[int]] = {}
        for row in rows:
            key = keys[row]
            if key in groups:
                groups[key].append(row)
            else:
                groups[key] = [row]
        if self.levels[depth].largest_first:
            return dict(sorted(groups.items(), key=lambda group: -len(group[1])))
        return groups
