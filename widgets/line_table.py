"""A table for long lists: draws only the lines on screen, whatever the number of rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kdash.widgets.filter import predicate
from kdash.widgets.printable import printable

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A width of 0 takes what the fixed columns leave."""

    key: str  # field name in filters, for sorting
    title: str
    width: int = 0  # cells
    right: bool = False  # align to the right


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of one cell and its tone: good, warning, bad, muted, accent, strong or none."""

    text: str
    tone: str = ""


class LineTable(ScrollView, Generic[RowT], can_focus=True):
    """Rows of any type; `cells` turns the rows on screen, and only those, into text."""

    DEFAULT_CSS = """
    LineTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    LineTable > .line-table--header { color: $text-muted; text-style: bold; }
    LineTable > .line-table--cursor { background: $surface-lighten-1; }
    LineTable:focus > .line-table--cursor { background: $block-cursor-blurred-background; }
    LineTable > .line-table--good { color: $text-success; }
    LineTable > .line-table--warning { color: $text-warning; }
    LineTable > .line-table--bad { color: $text-error; text-style: bold; }
    LineTable > .line-table--muted { color: $text-muted; }
    LineTable > .line-table--accent { color: $text-accent; text-style: bold; }
    LineTable > .line-table--strong { text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line-table--{name}"
        for name in ("header", "cursor", "good", "warning", "bad", "muted", "accent", "strong")
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "cursor(1)", "Down", show=False, id="list.down", tooltip="Next row"),
        Binding("k,up", "cursor(-1)", "Up", show=False, id="list.up", tooltip="Previous row"),
        Binding("g", "half_top", "Top (gg)", show=False, id="list.top", tooltip="gg: first row"),
        Binding("home", "top", "Top", show=False, id="list.home", tooltip="First row"),
        Binding("G,end", "bottom", "Bottom", show=False, id="list.bottom", tooltip="Last row"),
        Binding(
            "ctrl+d,pagedown", "page(1)", "Page down", show=False, id="list.page-down",
            tooltip="Half a page down",
        ),
        Binding(
            "ctrl+u,pageup", "page(-1)", "Page up", show=False, id="list.page-up",
            tooltip="Half a page up",
        ),
        Binding("enter", "choose", "Open", show=False, id="list.open", tooltip="Open this row"),
    ]  # fmt: skip

    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        """The cursor is on another row; `row` is None when the list is empty."""

        def __init__(self, table: LineTable[RowT], row: RowT | None) -> None:
            super().__init__()
            self.table = table
            self.row = row

        @property
        def control(self) -> LineTable[RowT]:
            """The table, for `@on` selectors."""
            return self.table

    class Chosen(Highlighted):
        """The row under the cursor was opened with Enter or a double click."""

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[RowT], Sequence[Cell]],
        *,
        fields: Callable[[RowT], Mapping[str, str]] | None = None,
        follow: bool = False,
        id: str | None = None,
    ) -> None:
        """Make an empty table.

        Args:
            columns: From left to right.
            cells: The cells of one row, one a column.
            fields: What filters search, by field name; the cells by column key unless given.
            follow: Keep the cursor on the newest row while it stands there.
            id: Textual's widget id.
        """
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._cells = cells
        self._fields = fields or self._fields_of_cells
        self._follow = follow
        self._rows: list[RowT] = []
        self._shown: list[int] = []  # indexes into _rows, in display order
        self._passes: Callable[[Mapping[str, str]], bool] | None = None
        self._sort: tuple[Callable[[RowT], object], bool] | None = None
        self._half_top = False

    # -- data ---------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """Rows shown, after the filter."""
        return len(self._shown)

    @property
    def total_count(self) -> int:
        """Rows held, before the filter."""
        return len(self._rows)

    @property
    def current(self) -> RowT | None:
        """The row under the cursor."""
        return self._rows[self._shown[self.cursor]] if self._shown else None

    def set_rows(self, rows: Iterable[RowT]) -> None:
        """Show other rows; the cursor keeps its place in the list where it can."""
        self._rows = list(rows)
        self._rebuild(keep=None)

    def append_rows(self, rows: Iterable[RowT]) -> None:
        """Add rows at the end; with a sort order they are put in their place."""
        added = list(rows)
        first = len(self._rows)
        self._rows.extend(added)
        if self._sort is not None:
            self._rebuild(keep=self.current)
            return
        at_end = self.cursor >= len(self._shown) - 1
        was_empty = not self._shown
        self._shown.extend(first + i for i, row in enumerate(added) if self._passing(row))
        self._resize()
        if self._follow and at_end and self._shown:
            self.cursor = len(self._shown) - 1
        elif was_empty and self._shown:
            self.post_message(self.Highlighted(self, self.current))

    def filter(self, text: str) -> None:
        """Show only the rows that pass the filter `text` (see kdash.widgets.filter)."""
        names = frozenset(self._fields(self._rows[0])) if self._rows else frozenset()
        known = names | {column.key for column in self.columns}
        self._passes = predicate(text, known) if text.strip() else None
        self._rebuild(keep=self.current)

    def sort(self, key: Callable[[RowT], object] | None, *, reverse: bool = False) -> None:
        """Order the rows by `key`, or as they came with None."""
        self._sort = None if key is None else (key, reverse)
        self._rebuild(keep=self.current)

    def _fields_of_cells(self, row: RowT) -> Mapping[str, str]:
        return {
            column.key: cell.text
            for column, cell in zip(self.columns, self._cells(row), strict=True)
        }

    def _passing(self, row: RowT) -> bool:
        return self._passes is None or self._passes(self._fields(row))

    def _rebuild(self, keep: RowT | None) -> None:
        shown = [i for i, row in enumerate(self._rows) if self._passing(row)]
        if self._sort is not None:
            key, reverse = self._sort
            shown.sort(key=lambda i: key(self._rows[i]), reverse=reverse)  # type: ignore[arg-type, return-value]
        self._shown = shown
        self._resize()
        place = self.cursor
        if keep is not None:
            place = next((p for p, i in enumerate(shown) if self._rows[i] is keep), place)
        place = max(0, min(place, len(shown) - 1))
        if place == self.cursor:
            self.post_message(self.Highlighted(self, self.current))
        self.cursor = place
        self._reveal()

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._shown) + 1)
        self.refresh()

    # -- cursor -------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, len(self._shown) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Redraw the two lines concerned and tell who listens."""
        for place in (old, new):
            self._refresh_place(place)
        self._reveal()
        self.post_message(self.Highlighted(self, self.current))

    def _refresh_place(self, place: int) -> None:
        y = place + 1 - self.scroll_offset.y
        if y >= 1:
            self.refresh(Region(0, y, self.size.width, 1))

    def _reveal(self) -> None:
        visible = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False, force=True)

    def action_cursor(self, by: int) -> None:
        """Move the cursor by rows."""
        self.cursor += by

    def action_page(self, direction: int) -> None:
        """Move half a page."""
        self.cursor += direction * max(1, (self.size.height - 1) // 2)

    def action_top(self) -> None:
        """First row."""
        self.cursor = 0

    def action_bottom(self) -> None:
        """Last row."""
        self.cursor = len(self._shown) - 1

    def action_half_top(self) -> None:
        """First of the two `g` that go to the first row."""
        if self._half_top:
            self.cursor = 0
        self._half_top = not self._half_top

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self._shown:
            self.post_message(self.Chosen(self, self.current))

    def on_key(self, event: events.Key) -> None:
        """Any other key forgets a single `g`."""
        if event.key != "g":
            self._half_top = False

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row clicked; a second click opens it."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y >= 1 and place < len(self._shown):
            self.cursor = place
            if event.chain == 2:
                self.action_choose()

    # -- drawing ------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Keep the cursor in view when the pane changes its size."""
        self._resize()
        self._reveal()

    def widths(self, available: int) -> list[int]:
        """Cells for each column when `available` cells are to be shared."""
        gaps = len(self.columns) - 1
        fixed = sum(column.width for column in self.columns)
        flexible = [i for i, column in enumerate(self.columns) if column.width == 0]
        left = max(0, available - fixed - gaps)
        bounds = [left * n // max(1, len(flexible)) for n in range(len(flexible) + 1)]
        return [
            column.width or bounds[bisect_left(flexible, i) + 1] - bounds[bisect_left(flexible, i)]
            for i, column in enumerate(self.columns)
        ]

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen: the header, a row, or nothing."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if y == 0:
            style = base + self.get_component_rich_style("line-table--header")
            titles = [Cell(column.title) for column in self.columns]
            return self._strip(titles, width, style)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._shown):
            return Strip.blank(width, base)
        if place == self.cursor:
            base += self.get_component_rich_style("line-table--cursor")
        return self._strip(self._cells(self._rows[self._shown[place]]), width, base)

    def _strip(self, cells: Sequence[Cell], width: int, base: Style) -> Strip:
        segments: list[Segment] = []
        for column, cell, cells_wide in zip(self.columns, cells, self.widths(width), strict=True):
            style = base
            if cell.tone:
                tone = self.get_component_rich_style(f"line-table--{cell.tone}", partial=True)
                style = base + tone
            text = fit(printable(cell.text).replace("\n", " "), cells_wide, right=column.right)
            segments += (Segment(text, style), Segment(" ", base))
        return Strip(segments[:-1]).adjust_cell_length(width, base)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: padded, or cut with an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    padding = " " * (width - length)
    return padding + text if right else text + padding
