"""A table for long lists: draws only the lines on screen, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Generic, Self, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from kdash.widgets.columns import Cell, Column, fit, widths
from kdash.widgets.double_g import DoubleG
from kdash.widgets.extent import set_extent
from kdash.widgets.filter import Fields
from kdash.widgets.printable import printable
from kdash.widgets.rows import Rows, SortKey

__all__ = ["Cell", "Column", "LineTable", "fit"]

RowT = TypeVar("RowT")

MARK = "▸"  # stands before the row under the cursor, so that colour alone doesn't tell
MARGIN = 2  # cells for the mark
IDLE = 0.05  # seconds between two slices of work done ahead
MOST_STRIPS = 1000  # lines that are kept drawn, for when the list is scrolled
SLICE = 2000  # rows whose search text is made in one slice


class LineTable(DoubleG, ScrollView, Generic[RowT], can_focus=True, inherit_bindings=False):
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
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False, id="list.page-down",
                tooltip="Half a page down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False, id="list.page-up",
                tooltip="Half a page up"),
        Binding("enter", "choose", "Open", show=False, id="list.open", tooltip="Open this row"),
    ]  # fmt: skip

    cursor: reactive[int] = reactive(0, repaint=False)  # the two lines concerned are enough

    class Event(Message):
        """Something happened to a row; `row` is None when the list is empty."""

        def __init__(self, table: LineTable[Any], row: Any | None) -> None:
            super().__init__()
            self.table = table
            self.row = row

        @property
        def control(self) -> LineTable[Any]:
            """The table, for `@on` selectors."""
            return self.table

    class Highlighted(Event):
        """The cursor is on another row."""

    class Chosen(Event):
        """The row under the cursor was opened with Enter or a double click."""

    def __init__(  # noqa: PLR0913 - what a list is made of
        self,
        columns: Sequence[Column],
        cells: Callable[[RowT], Sequence[Cell]],
        *,
        fields: Callable[[RowT], Fields] | None = None,
        names: Sequence[str] = (),
        numbers: Sequence[str] = (),
        follow: bool = False,
        id: str | None = None,
    ) -> None:
        """Make an empty table.

        Args:
            columns: From left to right.
            cells: The cells of one row, one a column.
            fields: What filters search, by field name; the cells by column key unless given.
            names: Of those fields, where a filter may come before the first row.
            numbers: Of those fields that filters compare as whole numbers.
            follow: Keep the cursor on the newest row while it stands there.
            id: Textual's widget id.
        """
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._cells = cells
        self._rows: Rows[RowT] = Rows(
            fields or self._fields_of_cells,
            names or [column.key for column in self.columns],
            numbers,
        )
        self._follow = follow
        self._placeholder = ""
        self._sort_mark = ("", "")
        self._ahead: Timer | None = None
        self._base = Style()
        self._strips: dict[tuple[int, bool, int, Style], Strip] = {}  # lines drawn

    @property
    def indent(self) -> int:
        """Cells that rows and their titles stand further to the right."""
        return 0

    # -- data ---------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """Rows shown, after the filter."""
        return len(self._rows.passing)

    @property
    def line_count(self) -> int:
        """Lines shown: rows, and the headings above them."""
        return len(self._rows.shown)

    @property
    def total_count(self) -> int:
        """Rows held, before the filter."""
        return len(self._rows.held)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the fields a filter can ask for."""
        return self._rows.names

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Names that the filter takes for fields and that are none."""
        return self._rows.unknown_fields()

    @property
    def current(self) -> RowT | None:
        """The row under the cursor."""
        index = self._current_index()
        return None if index is None else self._rows.held[index]

    @property
    def shown_rows(self) -> Iterable[RowT]:
        """The rows that pass the filter, in order."""
        return (self._rows.held[place] for place in self._rows.passing)

    @property
    def placeholder(self) -> str:
        """The line shown while there is no row to show."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        self._placeholder = text
        if not self._rows.shown:
            self.refresh()

    def set_rows(self, rows: Iterable[RowT]) -> None:
        """Show other rows; the cursor keeps its place in the list where it can."""
        self._rows.replace(rows)
        self._changed(keep=None)

    def append_rows(self, rows: Iterable[RowT]) -> None:
        """Add rows at the end; with a sort order they are put in their place."""
        keep, before = self._anchor(), self.row_count
        self._rows.extend(rows)
        if self._rows.sorted or self._rows.outline.levels or not before:
            self._changed(keep)
            return
        at_end = self.cursor >= before - 1
        self._grow()
        self.refresh(self._region(before, self.row_count - before))
        if self._follow and at_end:
            self.cursor = self.row_count - 1
        self._work_ahead()

    @property
    def first(self) -> RowT | None:
        """The row that came first, whether it passes the filter or not."""
        return self._rows.held[0] if self._rows.held else None

    def prepend_rows(self, rows: Iterable[RowT]) -> None:
        """Add rows before the first; the cursor stays on its row."""
        current = self.current
        self._rows.replace([*rows, *self._rows.held])
        self._changed(keep=None)
        if current is not None:
            self.select(lambda row: row is current)

    def filter(self, text: str) -> None:
        """Show only the rows that pass the filter `text` (see kdash.widgets.filter)."""
        keep = self._anchor()
        self._rows.filter(text)
        self._changed(keep)

    def sort(self, key: SortKey[RowT] | None, *, reverse: bool = False, column: str = "") -> None:
        """Order the rows by `key`, or as they came with None; mark the title of `column`."""
        keep = self._anchor()
        self._rows.sort(key, reverse=reverse)
        self._sort_mark = (column, "▼" if reverse else "▲")
        self._changed(keep)

    def exchange_rows(self, rows: Mapping[int, RowT]) -> None:
        """Hold other rows at these indexes of all that are held."""
        keep = self._anchor()
        self._rows.exchange(rows)
        self._changed(keep)

    def select(self, wanted: Callable[[RowT], bool]) -> bool:
        """Put the cursor on the first row that is `wanted`; whether there is one."""
        held = self._rows.held
        index = next((one for one in self._rows.passing if wanted(held[one])), None)
        if index is not None:
            self._show_row(index)
        return index is not None

    def _show_row(self, index: int) -> None:
        self.cursor = self._rows.shown.index(index)

    def _fields_of_cells(self, row: RowT) -> Fields:
        return {
            column.key: cell.text
            for column, cell in zip(self.columns, self._cells(row), strict=True)
        }

    def _current_index(self) -> int | None:
        return self._rows.shown[self.cursor] if self._rows.shown else None

    def _anchor(self) -> Any:
        """What the cursor stays on when other lines are shown."""
        return self._current_index()

    def _line_of(self, anchor: Any) -> int | None:
        """The line on which an anchor stands now."""
        with suppress(ValueError):
            return self._rows.shown.index(anchor)
        return None

    def _changed(self, keep: Any) -> None:
        """Other lines are shown: keep the cursor on the anchor `keep`, else at its place."""
        line = self._line_of(keep)
        place = self.cursor if line is None else line
        self._grow()
        self.refresh()
        place = self.validate_cursor(place)
        if place == self.cursor:
            self._reveal()
            self.post_message(self.Highlighted(self, self.current))
        else:
            self.cursor = place
        self._work_ahead()

    def _grow(self) -> None:
        set_extent(self, Size(self.size.width, self.line_count + 1))

    def _work_ahead(self) -> None:
        """Make search texts while nobody waits, so that the first filter is quick too."""
        if self._ahead is None and self.total_count > SLICE and self.is_attached:
            self._ahead = self.set_interval(IDLE, self._one_slice)

    def _one_slice(self) -> None:
        busy = self._rows.index_some(SLICE) or self._rows.foresee(10 * SLICE)
        if not busy and self._ahead is not None:
            self._ahead.stop()
            self._ahead = None

    # -- cursor -------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, self.line_count - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Redraw the two lines concerned and tell who listens."""
        self._reveal()
        for place in (old, new):
            self.refresh(self._region(place, 1))
        self.post_message(self.Highlighted(self, self.current))

    def _region(self, place: int, count: int) -> Region:
        """The part of the screen on which `count` rows from `place` on stand."""
        top = max(1, place + 1 - self.scroll_offset.y)
        bottom = min(self.size.height, place + count + 1 - self.scroll_offset.y)
        return Region(0, top, self.size.width, max(0, bottom - top))

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
        self.cursor = self.line_count - 1

    def to_first_line(self) -> None:
        """Go to the first row."""
        self.action_top()

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self._rows.shown:
            self.post_message(self.Chosen(self, self.current))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row clicked; a second click opens it."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y >= 1 and place < self.line_count:
            self.cursor = place
            if event.chain == 2:
                self.action_choose()

    # -- drawing ------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Rows may have come before there was a screen."""
        self._work_ahead()

    def on_resize(self) -> None:
        """Keep the cursor in view when the pane changes its size."""
        self._grow()
        self._reveal()

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Draw anew; as a whole with nothing kept: what lines show has changed, or its style."""
        if not regions:
            self._strips.clear()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the lines of a part of the screen."""
        if len(self._strips) > MOST_STRIPS:
            self._strips.clear()
        self._base = self.rich_style  # Textual works it out anew each time it is asked
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen: the header, a row, or nothing."""
        width = self.scrollable_content_region.width
        base = self._base
        if y == 0:
            style = base + self.get_component_rich_style("line-table--header")
            return self._strip([Cell(self._title(c)) for c in self.columns], width, style)
        place = y - 1 + self.scroll_offset.y
        if place >= self.line_count:
            return self._blank(y, width, base)
        marked = place == self.cursor
        if marked:
            base += self.get_component_rich_style("line-table--cursor")
        line = self._rows.shown[place]
        strip = self._strips.get(key := (line, marked, width, base))
        if strip is None:
            strip = self._strips[key] = self._line(line, width, base, MARK if marked else "")
        return strip

    def _line(self, line: int, width: int, base: Style, mark: str) -> Strip:
        """Draw one of the lines shown."""
        return self._strip(self._cells(self._rows.held[line]), width, base, mark)

    def _title(self, column: Column) -> str:
        key, arrow = self._sort_mark
        return f"{column.title} {arrow}".strip() if key == column.key else column.title

    def _blank(self, y: int, width: int, base: Style) -> Strip:
        if y != 1 or self._rows.shown:
            return Strip.blank(width, base)
        muted = base + self.get_component_rich_style("line-table--muted", partial=True)
        text = fit(printable(self._placeholder), max(0, width - MARGIN))
        return Strip([Segment(" " * MARGIN + text, muted)]).adjust_cell_length(width, base)

    def _strip(self, cells: Sequence[Cell], width: int, base: Style, mark: str = "") -> Strip:
        margin = MARGIN + self.indent
        segments = [Segment(mark.ljust(margin), base)]
        shares = widths(self.columns, width - margin)
        for column, cell, cells_wide in zip(self.columns, cells, shares, strict=True):
            if not cells_wide:
                continue
            style = base
            if cell.tone:
                tone = self.get_component_rich_style(f"line-table--{cell.tone}", partial=True)
                style = base + tone
            text = printable(cell.text).replace("\n", " ")
            text = fit(text, cells_wide, right=column.right, keep=cell.keep)
            segments += (Segment(text, style), Segment(" ", base))
        return Strip(segments[:-1]).adjust_cell_length(width, base)
