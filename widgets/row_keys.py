"""The keys that rows are grouped by, numbered, so that a hundred thousand are counted at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

RowT = TypeVar("RowT")


class RowKeys(Generic[RowT]):
    """The keys of rows, each found once: equal keys have equal numbers.

    Attributes:
        numbers: of each row's key, by the row's index.
    """

    def __init__(self, key: Callable[[RowT], str]) -> None:
        self.numbers: list[int] = []
        self._key = key
        self._known: dict[str, int] = {}
        self._names: list[str] = []

    @property
    def names(self) -> Sequence[str]:
        """The keys by their numbers."""
        if len(self._names) < len(self._known):
            self._names = list(self._known)
        return self._names

    def extend(self, rows: Iterable[RowT]) -> None:
        """Take in the rows that follow those known."""
        known = self._known
        number_of = known.setdefault
        self.numbers += [number_of(key, len(known)) for key in map(self._key, rows)]

    def exchange(self, rows: Mapping[int, RowT]) -> None:
        """Take in other rows at these indexes, as far as these are known."""
        for index, row in rows.items():
            if index < len(self.numbers):
                self.numbers[index] = self._known.setdefault(self._key(row), len(self._known))

    def of(self, row: int) -> str:
        """The key of a row."""
        return self.names[self.numbers[row]]
