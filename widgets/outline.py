"""Rows below headings: a list shown as a tree, some of its branches folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar, overload

from kdash.widgets.row_keys import RowKeys

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


class _Folded(Sequence[Heading]):
    """Folded headings, each made when it is asked for: there may be one a row."""

    def __init__(
        self,
        names: Sequence[str],
        order: Sequence[int],
        firsts: Mapping[int, int],
        sizes: Mapping[int, int],
    ) -> None:
        self._names, self._order, self._firsts, self._sizes = names, order, firsts, sizes

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Heading: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Heading]: ...

    def __getitem__(self, place: int | slice) -> Heading | Sequence[Heading]:
        if isinstance(place, slice):
            return [self[n] for n in range(len(self))[place]]
        number = self._order[place]
        return Heading((self._names[number],), self._firsts[number], self._sizes[number], True)

    def place_of(self, path: Path) -> int | None:
        """Which heading has this path; None where none has."""
        try:
            return self._order.index(self._names.index(path[0]))
        except ValueError:
            return None


class Outline(Generic[RowT]):
    """Arranges rows below headings; keys of rows are asked for once.

    Attributes:
        levels: what groups, the outermost first; none for a flat list.
        headings: of the last arrangement.
    """

    def __init__(self) -> None:
        self.levels: tuple[Grouping[RowT], ...] = ()
        self.headings: Sequence[Heading] = ()
        self._open: list[Heading] = []  # headings as they are made
        self._keys: dict[str, RowKeys[RowT]] = {}  # by the name of the grouping
        self._turned: set[Path] = set()  # headings that are not as `_folded` says
        self._folded = True

    def group(self, levels: Sequence[Grouping[RowT]]) -> None:
        """Group by other levels; all headings are folded."""
        self.levels = tuple(levels)
        self.fold_all(folded=True)

    def forget(self) -> None:
        """Other rows are held."""
        self._keys.clear()

    def exchange(self, rows: Mapping[int, RowT]) -> None:
        """Other rows are held at these indexes."""
        shown = {level.name for level in self.levels}
        self._keys = {name: keys for name, keys in self._keys.items() if name in shown}
        for keys in self._keys.values():
            keys.exchange(rows)

    def foresee(self, groupings: Iterable[Grouping[RowT]], held: Sequence[RowT], most: int) -> bool:
        """Find up to `most` keys of these groupings ahead of time; whether some are left."""
        for grouping in groupings:
            keys = self._keys_by(grouping)
            known = len(keys.numbers)
            if known < len(held):
                keys.extend(held[known : known + most])
                return True
        return False

    def _keys_by(self, grouping: Grouping[RowT]) -> RowKeys[RowT]:
        if grouping.name not in self._keys:
            self._keys[grouping.name] = RowKeys(grouping.key)
        return self._keys[grouping.name]

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
        self.headings = ()
        if not self.levels:
            return passing
        for level in self.levels:
            keys = self._keys_by(level)
            keys.extend(held[len(keys.numbers) :])
        if self._folded and not self._turned:
            self.headings = _Folded(*self._counted(0, passing))
            return list(range(-1, ~len(self.headings), -1))
        self._open = []
        lines: list[int] = []
        self._branch(passing, (), lines)
        self.headings = self._open
        return lines

    def path_of(self, row: int) -> Path:
        """The headings above a row."""
        return tuple(self._keys_by(level).of(row) for level in self.levels)

    def place_of(self, path: Path) -> int | None:
        """Which of `headings` has this path; None where none has."""
        if isinstance(self.headings, _Folded):
            return self.headings.place_of(path) if len(path) == 1 else None
        places = (place for place, one in enumerate(self.headings) if one.path == path)
        return next(places, None)

    @property
    def all_folded(self) -> bool:
        """Whether no heading is open."""
        made_folded = isinstance(self.headings, _Folded)
        return made_folded or all(one.folded for one in self.headings)

    def _counted(
        self, depth: int, rows: Sequence[int]
    ) -> tuple[Sequence[str], list[int], dict[int, int], Counter[int]]:
        """The keys of a level by their numbers, how they stand, their first rows, and how many."""
        level = self.levels[depth]
        column = self._keys_by(level)
        numbers = [column.numbers[row] for row in rows]
        sizes = Counter(numbers)
        firsts = dict(zip(reversed(numbers), reversed(rows), strict=True))
        order = list(sizes)
        if level.largest_first:
            order.sort(key=sizes.__getitem__, reverse=True)
        return column.names, order, firsts, sizes

    def _branch(self, rows: Sequence[int], path: Path, lines: list[int]) -> None:
        depth = len(path)
        headings, last = self._open, depth + 1 == len(self.levels)
        names, order, firsts, sizes = self._counted(depth, rows)
        numbers = self._keys_by(self.levels[depth]).numbers
        below: dict[int, list[int]] = {
            number: [] for number in order if not self.is_folded((*path, names[number]))
        }
        for row in rows:
            if (number := numbers[row]) in below:
                below[number].append(row)
        for number in order:
            own, folded = (*path, names[number]), number not in below
            lines.append(~len(headings))
            headings.append(Heading(own, firsts[number], sizes[number], folded))
            if folded:
                continue
            if last:
                lines += below[number]
            else:
                self._branch(below[number], own, lines)
