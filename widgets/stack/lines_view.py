"""Lines of styled spans, laid out for the width there is; scrolls when they are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kdash.widgets.extent import set_extent
from kdash.widgets.printable import printable
from kdash.widgets.scroll_keys import scroll_keys

TONES = ("heading", "label", "muted", "strong", "accent", "bad", "warning", "site", "current")
MARGIN = 10  # cells before a paragraph, for its label


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text and its tone, one of TONES or none."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Spans:
    """One line: spans from left to right, on a ground of its own where it has a tone."""

    spans: tuple[Span, ...] = ()
    ground: str = ""  # tone that the whole line is drawn on


class LinesView(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws what `lay_out` returns, and of it only the lines on screen."""

    DEFAULT_CSS = """
    LinesView { height: auto; overflow-x: hidden; scrollbar-size: 0 1;
        scrollbar-gutter: stable; }
    LinesView > .lines--heading { background: $panel; text-style: bold; }
    LinesView:focus > .lines--heading { background: $block-cursor-blurred-background; }
    LinesView > .lines--label { color: $text-muted; }
    LinesView > .lines--muted { color: $text-muted; }
    LinesView > .lines--strong { text-style: bold; }
    LinesView > .lines--accent { color: $text-accent; }
    LinesView > .lines--bad { color: $text-error; text-style: bold; }
    LinesView > .lines--warning { color: $text-warning; }
    LinesView > .lines--site { color: $text-accent; text-style: bold; }
    LinesView > .lines--current { background: $surface-lighten-1; text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{tone}" for tone in TONES}

    BINDINGS: ClassVar[list[BindingType]] = scroll_keys(top="home")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Spans] = []
        self._laid_out_for = -1
        self._height_told = -1  # to the layout
        self._base = Style()

    def lay_out(self, width: int) -> list[Spans]:
        """The lines for a width in cells; subclasses say what they are."""
        raise NotImplementedError

    def renew(self) -> None:
        """What is to be shown has changed: lay it out again."""
        self._laid_out_for = -1
        self._lay_out(self.scrollable_content_region.width)
        taller = self._height_changes()
        if taller:
            # Textual keeps heights by the number of requests for a layout, and counts none while
            # one waits: a layout that came in between has kept the height of other lines.
            self._layout_updates += 1
        self.refresh(layout=taller)

    def _height_changes(self) -> bool:
        """Whether other widgets have to make room: laying the screen out is dear."""
        height = self.styles.height
        if not self.display or height is None or not height.is_auto:
            return False
        if self._laid_out_for < 0:
            return True
        most = self.styles.max_height
        limit = int(most.value) if most is not None and most.is_cells else len(self._lines)
        return min(len(self._lines), limit) != min(self._height_told, limit)

    def reveal(self, line: int, *, center: bool = False) -> None:
        """Scroll so that `line` is on screen, in its middle if wanted."""
        height = max(1, self.size.height)
        top = self.scroll_offset.y
        if center:
            self.scroll_to(y=max(0, line - height // 2), animate=False, force=True)
        elif line < top:
            self.scroll_to(y=line, animate=False, force=True)
        elif line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False, force=True)

    def _lay_out(self, width: int) -> None:
        if width == self._laid_out_for or width <= 0:
            return
        self._laid_out_for = width
        self._lines = self.lay_out(width - 1)  # a cell between the text and the bar
        set_extent(self, Size(width, len(self._lines)))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """The number of lines."""
        self._lay_out(width - self.scrollbar_size_vertical)  # the gutter is always kept free
        self._height_told = len(self._lines)
        return self._height_told

    def on_resize(self) -> None:
        """Lines depend on the width."""
        self._lay_out(self.scrollable_content_region.width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the lines of a part of the screen."""
        self._lay_out(self.scrollable_content_region.width)
        self._base = self.rich_style  # Textual works it out anew each time it is asked
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip.blank(width, self._base)
        line = self._lines[at]
        base = self._base
        if line.ground:
            base += self.get_component_rich_style(f"lines--{line.ground}")
        segments = []
        for span in line.spans:
            style = base
            if span.tone:
                tone = self.get_component_rich_style(f"lines--{span.tone}", partial=True)
                style = base + tone
            segments.append(Segment(printable(span.text).replace("\n", " "), style))
        return Strip(segments).adjust_cell_length(width, base)


def labelled(label: str, texts: Sequence[Span], width: int) -> list[Spans]:
    """Paragraphs behind a label, wrapped to `width` cells."""
    lines: list[Spans] = []
    for span in texts:
        for part in wrap(printable(span.text), max(8, width - MARGIN)) or [""]:
            lead = Span(("" if lines else label).ljust(MARGIN), "label")
            lines.append(Spans((lead, Span(part, span.tone))))
    return lines


def spread(left: Iterable[Span], right: str, width: int) -> tuple[Span, ...]:
    """Spans at the left and a text at the right end, which goes first when room is short."""
    spans = tuple(left)
    used = sum(cell_len(printable(span.text)) for span in spans)
    gap = width - used - cell_len(right)
    return (*spans, Span(" " * gap + right, "muted")) if gap > 0 else spans
