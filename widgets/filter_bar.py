"""The line in which a filter is typed; it belongs to one list and hides when left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

from kdash.widgets.line_table import LineTable
from kdash.widgets.printable import printable
from kdash.widgets.typed_line import TypedLine

LINE = 80  # cells, before the bar has been on screen
Values = Callable[[], Sequence[str]]


class _Words(Suggester):
    """Completes the last word of a filter: field names, then what the caller offers."""

    def __init__(self, table: LineTable[Any], values: Values) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._table = table
        self._values = values

    async def get_suggestion(self, value: str) -> str | None:
        head, blank, word = value.rpartition(" ")
        mark = "!" if word.startswith("!") else ""
        stem = word.removeprefix("!")
        if not stem:
            return None
        offers = (*(f"{name}:" for name in self._table.field_names), *self._values())
        hit = next((offer for offer in offers if offer.startswith(stem)), None)
        return None if hit is None else f"{head}{blank}{mark}{hit}"


class FilterBar(TypedLine):
    """Filters its table while the user types; Enter keeps the filter, Esc drops it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; border: none; display: none; background: $surface; }
    FilterBar.-textual-compact { padding: 0 0 0 1; }
    FilterBar:focus { border: none; }
    FilterBar.-open { display: block; }
    FilterBar > .filter-bar--unknown { color: $text-warning; }
    FilterBar > .filter-bar--slash { color: $text-accent; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"filter-bar--unknown", "filter-bar--slash"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "Drop the filter", id="filter.drop", tooltip="Show every row"),
        Binding("tab", "complete", "Complete", show=False, id="filter.complete",
                tooltip="Take the suggestion; without one, back to the list"),
        Binding("down", "keep", "To the list", show=False, id="filter.keep",
                tooltip="Keep the filter and go to the list (Enter does the same)"),
    ]  # fmt: skip

    class Applied(Message):
        """The rows shown are those that pass the filter `text`."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

        @property
        def control(self) -> FilterBar:
            """The bar, for `@on` selectors."""
            return self.bar

    def __init__(
        self, table: LineTable[Any], *, values: Values = tuple, id: str | None = None
    ) -> None:
        """Make a closed bar.

        Args:
            table: The list to filter.
            values: Further words to complete, such as "kind:unreachable".
            id: Textual's widget id.
        """
        super().__init__(
            placeholder="filter: text, field:value, !not, regex",
            compact=True,
            select_on_focus=False,
            suggester=_Words(table, values),
            id=id,
        )
        self._table = table
        self._unknown: list[str] = []  # lines that say which field is none

    def open(self, prefix: str = "") -> None:
        """Show the bar and put the cursor into it, behind `prefix`."""
        self.add_class("-open")
        if prefix and not self.value.endswith(prefix):
            self.value = f"{self.value} {prefix}".strip()
        self.cursor_position = len(self.value)
        self.screen.set_focus(self)  # at once: the next key may be on its way already

    def set_filter(self, text: str) -> None:
        """Filter by `text` without taking the keyboard; the empty text drops the filter."""
        self.value = text
        self.set_class(bool(text.strip()), "-open")

    def watch_value(self, value: str) -> None:
        """Apply the filter as it is typed."""
        self._table.filter(value)
        self._tell_unknown()
        self.post_message(self.Applied(self, value))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the slash that says what the line is, as the prompt has its colon."""
        strips = super().render_lines(crop)
        if strips and crop.x == crop.y == 0:
            style = self.get_component_rich_style("filter-bar--slash")
            strips[0] = Strip.join([Strip([Segment("/", style)], 1), strips[0].crop(1)])
        return strips

    def render_line(self, y: int) -> Strip:
        """Below what is typed: which field there is not, and which there are."""
        if not 0 < y <= len(self._unknown):
            return super().render_line(y)
        base = self.rich_style
        style = base + self.get_component_rich_style("filter-bar--unknown", partial=True)
        text = self._unknown[y - 1]
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, base)

    def on_resize(self) -> None:
        """Lines below what is typed depend on the width."""
        self._tell_unknown()

    def _tell_unknown(self) -> None:
        unknown, known = self._table.unknown_fields, self._table.field_names
        text = f"no field {', '.join(unknown)}; there are {', '.join(known)}" if unknown else ""
        self._unknown = wrap(printable(text), self.size.width or LINE)
        self.styles.height = 1 + len(self._unknown)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        event.stop()
        self.action_keep()

    def action_keep(self) -> None:
        """Go back to the list; an empty filter needs no line."""
        self.set_class(bool(self.value.strip()), "-open")
        self.screen.set_focus(self._table)

    def action_complete(self) -> None:
        """Take the suggestion, or go back to the list."""
        if self._suggestion and self._suggestion != self.value:
            self.value = self._suggestion
            self.cursor_position = len(self.value)
        else:
            self.action_keep()

    def action_drop(self) -> None:
        """Show every row again."""
        self.set_filter("")
        self.screen.set_focus(self._table)
