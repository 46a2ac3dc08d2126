"""The rows behind a list: which are shown, in which order, quickly for a hundred thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from kdash.widgets.filter import Fields, Term, parse, search_text, select, unknown_fields
from kdash.widgets.outline import Grouping, Outline, Path

RowT = TypeVar("RowT")
SortKey = Callable[[RowT], Any]  # what it returns has to be comparable


class Rows(Generic[RowT]):
    """Rows with a filter, an order, and headings above them if they are grouped.

    `passing` holds the indexes into `held` of the rows that pass the filter, in order, `shown`
    the lines displayed: such indexes, and ~n for heading n of `outline.headings`.

    The text that filters search is made of each row once, when first needed: `index_some` does
    it ahead of time. Rows that come later are sorted in, not everything again.
    """

    def __init__(
        self,
        fields: Callable[[RowT], Fields],
        names: Sequence[str],
        numbers: Iterable[str] = (),
    ) -> None:
        """Start empty.

        Args:
            fields: What filters search in a row; the same names in the same order for every row.
            names: Names of the fields that are known before the first row.
            numbers: Those of them that filters compare as whole numbers.
        """
        self.held: list[RowT] = []
        self.passing: list[int] = []
        self.shown: list[int] = []
        self.outline: Outline[RowT] = Outline()
        self.groupings: Sequence[Grouping[RowT]] = ()  # those that may be asked for
        self._fields = fields
        self._names = tuple(names)
        self._numbers = frozenset(numbers)
        self._named = False
        self._texts: list[str] = []
        self._stale: set[int] = set()  # rows that are no longer those of their texts
        self._filter = ""
        self._terms: tuple[Term, ...] = ()
        self._key: SortKey[RowT] | None = None
        self._reverse = False
        self._keys: list[Any] = []
        self._order: Sequence[int] = range(0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields a filter can ask for."""
        return self._names

    @property
    def sorted(self) -> bool:
        """Whether the rows stand in another order than they came."""
        return self._key is not None or self._reverse

    def replace(self, rows: Iterable[RowT]) -> None:
        """Hold these rows and no others."""
        self.held = []
        self._texts = []
        self._stale.clear()
        self._keys = []
        self._order = range(0)
        self.passing = []
        self.outline.forget()
        self.extend(rows)

    def extend(self, rows: Iterable[RowT]) -> None:
        """Hold these rows too."""
        first = len(self.held)
        self.held.extend(rows)
        self._learn_names()
        added: Sequence[int] = range(first, len(self.held))
        self.passing.extend(self._passing(added) if self._terms else added)
        if self.sorted:
            self._keys.extend(self._keys_from(first))
            self._order = self._sorted([*self._order, *added])
            self.passing = self._sorted(self.passing)
        else:
            self._order = range(len(self.held))
        self.arrange()

    def exchange(self, rows: Mapping[int, RowT]) -> None:
        """Hold other rows at these indexes; they are filtered and sorted anew."""
        for index, row in rows.items():
            self.held[index] = row
            if index < len(self._texts):
                self._stale.add(index)
            if self._key is not None and index < len(self._keys):
                self._keys[index] = self._key(row)
        self.outline.exchange(rows)
        if self.sorted:
            self._order = self._sorted(range(len(self.held)))
        self.passing = self._passing(self._order)
        self.arrange()

    def group(self, levels: Sequence[Grouping[RowT]]) -> None:
        """Show rows below headings, the outermost level first; without levels a flat list."""
        self.outline.group(levels)
        self.arrange()

    def turn(self, path: Path) -> None:
        """Fold a heading that is open, open one that is folded."""
        self.outline.turn(path)
        self.arrange()

    def fold_all(self, *, folded: bool) -> None:
        """Fold or open every heading."""
        self.outline.fold_all(folded=folded)
        self.arrange()

    def arrange(self) -> None:
        """Make the lines from the rows that pass."""
        self.shown = self.outline.arrange(self.held, self.passing)

    def filter(self, text: str) -> None:
        """Show the rows that pass the filter `text`; the empty filter shows all."""
        before, self._filter = self._terms, text
        self._terms = parse(text, self._names, self._numbers)
        narrowed = _narrows(before, self._terms)
        self.passing = self._passing(self.passing if narrowed else self._order)
        self.arrange()

    def unknown_fields(self) -> tuple[str, ...]:
        """Names that the filter takes for fields and that are none."""
        if not self._terms:
            return ()
        self._index_all()
        return unknown_fields(self._terms, self._texts)

    def sort(self, key: SortKey[RowT] | None, *, reverse: bool = False) -> None:
        """Order the rows by `key`, equal ones as they came; with None all as they came."""
        if key is not self._key or len(self._keys) != len(self.held):
            self._key = key
            self._keys = self._keys_from(0)
        self._reverse = reverse
        came = range(len(self.held))
        self._order = self._sorted(came) if self.sorted else came
        self.passing = self._passing(self._order)
        self.arrange()

    def index_some(self, count: int) -> bool:
        """Make the search text of up to `count` more rows; whether some are still missing."""
        fields = self._fields
        for index in list(islice(self._stale, count)):
            self._texts[index] = search_text(fields(self.held[index]))
            self._stale.discard(index)
            count -= 1
        stop = min(len(self.held), len(self._texts) + count)
        self._texts.extend(search_text(fields(row)) for row in self.held[len(self._texts) : stop])
        return bool(self._stale) or stop < len(self.held)

    def foresee(self, count: int) -> bool:
        """Find up to `count` keys of the groupings; whether some are still missing."""
        return self.outline.foresee(self.groupings, self.held, count)

    def _index_all(self) -> None:
        self.index_some(len(self.held) + len(self._stale))

    def _keys_from(self, first: int) -> list[Any]:
        if self._key is None:
            return list(range(first, len(self.held)))
        key = self._key
        return [key(row) for row in self.held[first:]]

    def _sorted(self, places: Iterable[int]) -> list[int]:
        return sorted(places, key=self._keys.__getitem__, reverse=self._reverse)

    def _passing(self, places: Sequence[int]) -> list[int]:
        if not self._terms:
            return list(places)
        self._index_all()
        return select(self._terms, self._names, self._texts, places)

    def _learn_names(self) -> None:
        if self.held and not self._named:
            self._named = True
            self._names = tuple(self._fields(self.held[0]))
            self._terms = parse(self._filter, self._names, self._numbers)


def _narrows(before: tuple[Term, ...], after: tuple[Term, ...]) -> bool:
    """Whether every row that passes `after` passes `before`."""
    return len(before) <= len(after) and all(map(_implies, after, before))


def _implies(new: Term, old: Term) -> bool:
    if new == old:
        return True
    plain = new.pattern is None and old.pattern is None and not new.inverse and not old.inverse
    return plain and old.field in ("", new.field) and old.text in new.text
