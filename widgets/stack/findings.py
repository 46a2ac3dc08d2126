"""The list of findings: level, file, place, rule, and the message when there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.stack.facts import FileReport
from kdash.widgets.line_table import Cell, Column, LineTable
from kdash.widgets.stack.entry import ORDERS, Entry, fields

COLUMNS = (
    Column("level", "", width=1),
    Column("file", "File", share=4),
    Column("function", "Function", share=5),
    Column("kind", "Rule", share=4),
    Column("message", "Message", share=8, needs=100),
)
#: Shown where findings are compared with ours, or with an older run.
OURS = Column("ours", "kdash", share=3, needs=60)
CHANGE = Column("change", "", width=5)
CHANGE_TONES = {"new": "bad", "fixed": "good", "moved": "warning", "same": "muted"}
TONES = {"E": "bad", "W": "warning", "!": "warning"}
SAMPLE = "*"  # behind the name of a bundled object
MARKED = {"found": "level", "file": "file", "function": "function", "rule": "kind"}


def cells(entry: Entry) -> Sequence[Cell]:
    """The cells of one row."""
    mark = SAMPLE if entry.report.sample else ""
    place = entry.place or "(not checked)"
    offset = f"+{entry.finding.offset:#x}" if entry.finding else ""
    return (
        Cell(entry.letter, TONES[entry.letter]),
        Cell(entry.base_name + mark, keep=mark),
        Cell(place, "strong" if entry.finding else "muted", keep=offset),
        Cell(entry.kind),
        Cell(entry.message, "muted"),
    )


def _ours(entry: Entry) -> Cell:
    text = entry.ours
    return Cell(text, "muted" if text.startswith(("same", "not known")) else "accent")


def _change(entry: Entry) -> Cell:
    change = entry.finding.change if entry.finding else ""
    return Cell(change, CHANGE_TONES.get(change, ""))


def _cells_with(
    makers: Sequence[tuple[int, Callable[[Entry], Cell]]],
) -> Callable[[Entry], Sequence[Cell]]:
    """The cells of a row with further ones at some places, the last place first."""

    def all_cells(entry: Entry) -> Sequence[Cell]:
        made = list(cells(entry))
        for place, make in makers:
            made.insert(place, make(entry))
        return made

    return all_cells


class Findings(LineTable[Entry]):
    """The findings in one of the orders of `ORDERS`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Detail", id="list.open", tooltip="Detail of this finding"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        names = tuple(fields(Entry(FileReport(""))))
        super().__init__(COLUMNS, cells, fields=fields, names=names, id=id)
        self.order = "found"
        self.reversed = False

    def compare(self, *, ours: bool, change: bool) -> None:
        """Show what kdash says beside what others say, and what changed since an older run."""
        change_at, ours_at = 1, 4  # behind the level; behind the rule
        columns, makers = list(COLUMNS), []
        if ours:
            columns.insert(ours_at, OURS)
            makers.append((ours_at, _ours))
        if change:
            columns.insert(change_at, CHANGE)
            makers.append((change_at, _change))
        if tuple(columns) != self.columns:
            self._cells = _cells_with(makers)
            self.columns = tuple(columns)
            self.refresh()

    def next_order(self) -> None:
        """Sort by the next field."""
        names = tuple(ORDERS)
        self.order_by(names[(names.index(self.order) + 1) % len(names)])

    def order_by(self, name: str, *, reverse: bool = False) -> None:
        """Sort by one of `ORDERS`."""
        self.order, self.reversed = name, reverse
        marked = MARKED[name] if reverse or name != "found" else ""
        self.sort(ORDERS[name], reverse=reverse, column=marked)

    def turn_round(self) -> None:
        """Reverse the order."""
        self.order_by(self.order, reverse=not self.reversed)
