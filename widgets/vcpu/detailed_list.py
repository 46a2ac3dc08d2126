"""A list, below it on demand all of the row under the cursor, and a filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from kdash.widgets.filter_bar import FilterBar
from kdash.widgets.line_table import LineTable
from kdash.widgets.printable import printable

_Row = TypeVar("_Row")


class DetailedList(Vertical, Generic[_Row]):
    """Enter shows and hides the detail; a binding of the subclass to `close_detail` hides it.

    Args:
        table: the list.
        detail: all of a row, on one or a few lines.
    """

    DEFAULT_CSS = """
    DetailedList .detail { display: none; height: auto; max-height: 5; color: $text-muted; }
    DetailedList.-detail .detail { display: block; }
    """

    def __init__(
        self, table: LineTable[_Row], detail: Callable[[_Row], str], *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._list = table
        self._detail_of = detail
        self.filter_bar = FilterBar(table)

    def compose(self) -> ComposeResult:
        """Lay out the list, the detail and the filter."""
        yield self._list
        yield Static("", classes="detail", markup=False)
        yield self.filter_bar

    def open_filter(self, prefix: str = "") -> None:
        """Ask for a filter."""
        self.filter_bar.open(prefix)
        self.screen.set_focus(self.filter_bar)  # at once: the next key may be waiting already

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        """Show or hide the detail of the row."""
        event.stop()
        self.toggle_class("-detail")
        self.draw_detail(event.row)

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        """The detail goes with the cursor."""
        event.stop()
        if self.has_class("-detail"):
            self.draw_detail(event.row)

    def draw_detail(self, row: _Row | None) -> None:
        """Draw all of a row, or nothing."""
        text = "" if row is None else printable(self._detail_of(row))
        self.query_one(".detail", Static).update(Content(text))

    def check_action(
        self,
        action: str,
        parameters: tuple[object, ...],  # noqa: ARG002 - part of the interface
    ) -> bool | None:
        """Without a detail to hide, Esc is for others."""
        return action != "close_detail" or self.has_class("-detail")

    def action_close_detail(self) -> None:
        """Hide the detail."""
        self.remove_class("-detail")
