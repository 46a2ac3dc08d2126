"""The list of findings: level, file, place, rule, and the message when there is room."""

from __future__ import annotations

from collections.abc import Sequence
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
