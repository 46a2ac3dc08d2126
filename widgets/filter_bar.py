"""The line in which a filter is typed; it belongs to one list and hides when left."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from kdash.widgets.line_table import LineTable


class FilterBar(Input):
    """Filters its table while the user types; Enter keeps the filter, Esc drops it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; border: none; padding: 0; display: none; background: $surface; }
    FilterBar:focus { border: none; }
    FilterBar.-open { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "Drop the filter", id="filter.drop", tooltip="Show every row"),
    ]

    class Changed(Message):
        """The filter text is now `text`."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

    def __init__(self, table: LineTable[Any], *, id: str | None = None) -> None:
        super().__init__(placeholder="filter: text, field:value, !not, regex", compact=True, id=id)
        self._table = table

    def open(self, prefix: str = "") -> None:
        """Show the bar and put the cursor into it, behind `prefix`."""
        self.add_class("-open")
        if prefix and not self.value.endswith(prefix):
            self.value = f"{self.value} {prefix}".strip()
        self.cursor_position = len(self.value)
        self.focus()

    def watch_value(self, value: str) -> None:
        """Apply the filter as it is typed."""
        self._table.filter(value)
        self.post_message(self.Changed(self, value))

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the list."""
        if not self.value:
            self.remove_class("-open")
        self._table.focus()

    def action_drop(self) -> None:
        """Show every row again."""
        self.value = ""
        self.remove_class("-open")
        self._table.focus()
