"""A list whose rows may stand below headings that fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip

from kdash.widgets.columns import fit, tail
from kdash.widgets.line_table import MARGIN, LineTable
from kdash.widgets.outline import Grouping, Heading
from kdash.widgets.printable import printable

RowT = TypeVar("RowT")

FOLDED, UNFOLDED = "+", "-"  # before a heading, so that no colour or font is needed
LEVEL = 2  # cells that each level stands further to the right
NAMELESS = "(none)"  # a heading over rows that lack what groups them


class _Anchor(NamedTuple):
    """What the cursor stays on: a heading, else a row."""

    heading: Heading | None
    row: int | None


class TreeTable(LineTable[RowT]):
    """A flat list until it is grouped; then rows stand below headings with their number."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "fold", "Fold", show=False, id="list.fold",
                tooltip="Fold the heading, or the one above"),
        Binding("right,l", "unfold", "Open", show=False, id="list.unfold",
                tooltip="Open the heading"),
        Binding("asterisk", "fold_all", "Fold all", show=False, id="list.fold-all",
                tooltip="Open or fold all headings"),
    ]  # fmt: skip

    @property
    def heading(self) -> Heading | None:
        """The heading under the cursor."""
        line = self._rows.shown[self.cursor] if self._rows.shown else 0
        return self._rows.outline.headings[~line] if line < 0 else None

    @property
    def chosen_rows(self) -> list[RowT]:
        """What an action on the line under the cursor is about: its row, or all of a heading."""
        heading = self.heading
        if heading is None:
            return [] if self.current is None else [self.current]
        outline, held, path = self._rows.outline, self._rows.held, heading.path
        depth = len(path)
        return [held[row] for row in self._rows.passing if outline.path_of(row)[:depth] == path]

    @property
    def indent(self) -> int:
        """Rows stand to the right of the headings above them."""
        return len(self._rows.outline.levels) * LEVEL

    def group(self, levels: Sequence[Grouping[RowT]]) -> None:
        """Show rows below headings, the outermost level first; without levels a flat list."""
        keep = self._anchor()._replace(heading=None)
        self._rows.group(levels)
        self._changed(keep)

    # -- where the cursor is ------------------------------------------------------------

    def _current_index(self) -> int | None:
        """The row under the cursor, of a heading the first below it."""
        heading = self.heading
        return heading.first if heading else super()._current_index()

    def _anchor(self) -> _Anchor:
        return _Anchor(self.heading, self._current_index())

    def _line_of(self, anchor: Any) -> int | None:
        """The line of a heading or row, or of the heading that hides the row."""
        if anchor is None or anchor.row is None:
            return None
        heading, row = anchor
        line = None if heading else super()._line_of(row)
        if line is not None or not self._rows.outline.levels:
            return line
        outline = self._rows.outline
        path = heading.path if heading else outline.path_of(row)
        for depth in range(len(path), 0, -1):
            if (number := outline.place_of(path[:depth])) is not None:
                return self._rows.shown.index(~number)
        return None

    def _show_row(self, index: int) -> None:
        outline = self._rows.outline
        path = outline.path_of(index)
        for depth in range(1, len(path) + 1):
            if outline.is_folded(path[:depth]):
                outline.turn(path[:depth])
        self._rows.arrange()
        self._changed(_Anchor(None, index))

    # -- folding ------------------------------------------------------------------------

    def action_choose(self) -> None:
        """Open the row under the cursor; fold or open a heading."""
        if heading := self.heading:
            self._turn(heading)
        else:
            super().action_choose()

    def action_fold(self) -> None:
        """Fold the heading under the cursor, or the one above the row."""
        heading, row = self._anchor()
        if row is None:
            return
        outline = self._rows.outline
        path = outline.path_of(row)
        if heading is not None:
            path = heading.path[:-1] if heading.folded else heading.path
        place = outline.place_of(path) if path else None
        if place is not None:
            self._turn(outline.headings[place])

    def action_unfold(self) -> None:
        """Open the heading under the cursor."""
        heading = self.heading
        if heading is not None and heading.folded:
            self._turn(heading)

    def action_fold_all(self) -> None:
        """Fold every heading where one is open, else open all."""
        outline = self._rows.outline
        if outline.levels:
            keep = self._anchor()._replace(heading=None)
            self._rows.fold_all(folded=not outline.all_folded)
            self._changed(keep)

    def _turn(self, heading: Heading) -> None:
        self._rows.turn(heading.path)
        self._changed(_Anchor(heading, heading.first))

    def on_click(self, event: events.Click) -> None:
        """A click on the heading under the cursor folds or opens it."""
        before = self.cursor
        super().on_click(event)
        if self.heading and self.cursor == before and event.chain == 1 and event.y >= 1:
            self._turn(self.heading)

    # -- drawing ------------------------------------------------------------------------

    def _line(self, line: int, width: int, base: Style, mark: str) -> Strip:
        if line >= 0:
            return super()._line(line, width, base, mark)
        heading = self._rows.outline.headings[~line]
        level = self._rows.outline.levels[heading.depth]
        row = self._rows.held[heading.first]
        label = level.label(row) if level.label else heading.path[-1]
        strong = base + self.get_component_rich_style("line-table--strong", partial=True)
        muted = base + self.get_component_rich_style("line-table--muted", partial=True)
        fold = f"{' ' * LEVEL * heading.depth}{FOLDED if heading.folded else UNFOLDED} "
        count = f"  {heading.size}"
        text = printable(label or NAMELESS).replace("\n", " ")
        room = max(0, width - MARGIN - len(fold) - len(count))
        text = tail(text, room) if level.ends else fit(text, min(cell_len(text), room))
        parts = [Segment(mark.ljust(MARGIN) + fold, base), Segment(text, strong)]
        return Strip([*parts, Segment(count, muted)]).adjust_cell_length(width, base)
