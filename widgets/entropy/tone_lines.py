"""A view made of short lines in a few tones: redraws only the lines that changed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kdash.widgets.printable import printable
from kdash.widgets.scroll_keys import scroll_keys

TONES = ("good", "warning", "bad", "muted", "accent", "strong", "heat-1", "heat-2", "heat-3",
         "cursor")  # fmt: skip


class Span(NamedTuple):
    """A piece of a line and its tone, one of TONES or none."""

    text: str
    tone: str = ""


Line = tuple[Span, ...]


def plain(line: Line) -> str:
    """The text of a line without its tones."""
    return "".join(span.text for span in line)


def wrapped(text: str, width: int, tone: str = "", *, indent: str = "") -> list[Line]:
    """`text` as lines of at most `width` cells, the ones after the first indented."""
    lines = textwrap.wrap(printable(text), max(8, width), subsequent_indent=indent)
    return [(Span(line, tone),) for line in lines]


class ToneLines(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws what `lines` returns for the room there is; scrolls when that is too little."""

    DEFAULT_CSS = """
    ToneLines { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    ToneLines > .tone-lines--good { color: $text-success; }
    ToneLines > .tone-lines--warning { color: $text-warning; }
    ToneLines > .tone-lines--bad { color: $text-error; text-style: bold; }
    ToneLines > .tone-lines--muted { color: $text-muted; }
    ToneLines > .tone-lines--accent { color: $text-accent; text-style: bold; }
    ToneLines > .tone-lines--cursor { color: $text-accent; text-style: reverse; }
    ToneLines > .tone-lines--strong { text-style: bold; }
    ToneLines > .tone-lines--heat-1 { color: $text-muted; }
    ToneLines > .tone-lines--heat-2 { color: $text; }
    ToneLines > .tone-lines--heat-3 { color: $text-accent; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone-lines--{tone}" for tone in TONES}

    BINDINGS: ClassVar[list[BindingType]] = scroll_keys()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._styles: dict[str, Style] = {}
        self._base: Style | None = None

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What to draw in `width` x `height` cells; subclasses say it.

        More lines than `height` are scrolled.
        """
        raise NotImplementedError

    @property
    def text(self) -> str:
        """What is drawn now, without colours."""
        return "\n".join(printable(plain(line)) for line in self._lines)

    def redraw(self) -> None:
        """Ask for the lines again and draw those that differ from what is on screen."""
        region = self.scrollable_content_region
        if not self.is_on_screen:
            return  # `on_show` catches up
        if not region.width or not region.height:
            return
        width = region.width - self.show_vertical_scrollbar  # a cell between the text and the bar
        before, self._lines = self._lines, tuple(self.lines(width, region.height))
        size = Size(region.width, len(self._lines))
        if size != self.virtual_size:
            # The height is that of the room, so that nothing has to be laid out anew but, as the
            # bar sees to, where it comes or goes.
            self.set_reactive(ToneLines.virtual_size, size)
            self._scroll_update(size)  # a ScrollView looks at its bar only when it is resized
        for y, (old, new) in enumerate(zip_longest(before, self._lines)):
            if old != new:
                self.refresh_line(y)

    def on_mount(self) -> None:
        """Draw anew once a scroll bar has taken or given back its column."""
        self.watch(self, "show_vertical_scrollbar", self._bar_toggled, init=False)

    def _bar_toggled(self) -> None:
        self.call_after_refresh(self.redraw)

    def on_show(self) -> None:
        """Draw what came while nothing could be seen."""
        self.redraw()

    def on_resize(self) -> None:
        """Lay the lines out for the new room."""
        self._lines = ()
        self.redraw()
        self.refresh()

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        self._styles.clear()
        super().notify_style_update()

    def _style(self, tone: str) -> Style:
        if tone not in self._styles:
            # Whole, not partial: colours like $text-muted are mixed with what lies below them.
            self._styles[tone] = self.get_component_rich_style(f"tone-lines--{tone}")
        return self._styles[tone]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw some lines of the screen."""
        self._base = self.rich_style  # Textual works it out anew each time it is asked
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.scrollable_content_region.width
        base = self._base or self.rich_style
        place = y + self.scroll_offset.y
        if place >= len(self._lines):
            return Strip.blank(width, base)
        segments = []
        for text, tone in self._lines[place]:
            style = self._style(tone) if tone else base
            segments.append(Segment(printable(text).replace("\n", " "), style))
        return Strip(segments).adjust_cell_length(width, base)
