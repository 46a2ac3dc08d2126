"""A scrolling block of toned lines that redraws only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kdash.widgets.double_g import DoubleG
from kdash.widgets.extent import set_extent
from kdash.widgets.printable import printable

TONES = (
    "label", "muted", "strong", "accent", "changed", "good", "warning", "bad", "cursor", "focused",
)  # fmt: skip


GROUNDS = frozenset({"cursor", "focused"})  # tones that lie under a line


@lru_cache(maxsize=256)
def _without_ground(style: Style, ground: bool) -> Style:
    # A partial style would do, but colours relative to their background, such as $text-muted,
    # come out white in one.
    if ground:
        return Style(bgcolor=style.bgcolor)
    return Style(color=style.color, bold=style.bold or None)


class Piece(NamedTuple):
    """Text in one tone; the text is already printable."""

    text: str
    tone: str = ""


class Line(NamedTuple):
    """One line: its pieces, and the tone that lies under all of them."""

    pieces: tuple[Piece, ...] = ()
    tone: str = ""

    @property
    def text(self) -> str:
        """The line without tones."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def width(self) -> int:
        """Cells the line takes."""
        return cell_len(self.text)


def taught(text: str, width: int) -> list[Line]:
    """What an empty part says, in lines of at most `width` cells."""
    return [Line((Piece(line, "muted"),)) for line in wrap(text, max(1, width))]


class Tones(Container):
    """Holds the tones of the parts in it.

    Component classes cost a style each in every widget that has them, whenever the style sheet is
    applied: here they are once, not once a part.
    """

    DEFAULT_CSS = """
    Tones > .tones--label { color: $text-muted; }
    Tones > .tones--muted { color: $text-muted; }
    Tones > .tones--strong { text-style: bold; }
    Tones > .tones--accent { color: $text-accent; }
    Tones > .tones--changed { color: $text-accent; text-style: bold; }
    Tones > .tones--good { color: $text-success; }
    Tones > .tones--warning { color: $text-warning; }
    Tones > .tones--bad { color: $text-error; text-style: bold; }
    Tones > .tones--cursor { background: $surface-lighten-1; }
    Tones > .tones--focused { background: $block-cursor-blurred-background; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tones--{tone}" for tone in TONES}

    def tone(self, name: str) -> Style:
        """The style of a tone, to be put over another."""
        style = self.get_component_rich_style(f"tones--{name}")
        if name == "focused" and (style.bgcolor is None or style.bgcolor.is_default):
            return Style(reverse=True)  # a terminal's own 16 colours have no shade for it
        return _without_ground(style, name in GROUNDS)


class LinePart(DoubleG, ScrollView, can_focus=True):
    """Base of the parts of the VCPU pane; stands in a `Tones`. Subclasses use `set_lines`."""

    DEFAULT_CSS = """
    LinePart { scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="part.down", tooltip="Next line"),
        Binding("k,up", "move(-1)", "Up", show=False, id="part.up", tooltip="Previous line"),
        Binding("g", "half_top", "Top (gg)", show=False, id="part.top", tooltip="gg: first line"),
        Binding("home", "edge(-1)", "Top", show=False, id="part.home", tooltip="First line"),
        Binding("G,end", "edge(1)", "Bottom", show=False, id="part.end", tooltip="Last line"),
        Binding(
            "ctrl+d,pagedown", "half_page(1)", "Page down", show=False, id="part.page-down",
            tooltip="Half a page down",
        ),
        Binding(
            "ctrl+u,pageup", "half_page(-1)", "Page up", show=False, id="part.page-up",
            tooltip="Half a page up",
        ),
    ]  # fmt: skip

    def __init__(self, title: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._title: tuple[str, str] = ("", "")
        self._base = Style()
        self.set_title(title)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines now held, on screen or not."""
        return self._lines

    @property
    def room(self) -> Size:
        """Cells for content, beside a scroll bar that may come."""
        return self.scrollable_content_region.size

    def copy_text(self) -> str:
        """What `y` copies: every line, unless a subclass has a cursor."""
        return "\n".join(line.text.rstrip() for line in self._lines)

    def set_title(self, title: str, note: str = "") -> None:
        """Name the part, and put data beside the name; both are text, never markup."""
        if self._title != (title, note):
            self._title = (title, note)
            text = Content(f" {title}  {printable(note)} " if note else f" {title} ")
            self.border_title = text

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show other lines; only those that differ are drawn again."""
        old, self._lines = self._lines, tuple(lines)
        if len(old) != len(self._lines):
            set_extent(self, Size(self.room.width, len(self._lines)))
        width = self.size.width
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        for y in range(top, min(bottom, max(len(old), len(self._lines)))):
            before = old[y] if y < len(old) else None
            after = self._lines[y] if y < len(self._lines) else None
            if before != after:
                self.refresh(Region(0, y - top, width, 1))

    def lay_out(self) -> None:
        """Make the lines anew for the room there is; subclasses override."""

    def on_resize(self) -> None:
        """Lines depend on the width."""
        self.lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Lines may show a cursor, or say what keys do.

        Textual sets this behind the handlers of Focus and Blur: they would lay out too early.
        """
        super().watch_has_focus(has_focus)
        self.lay_out()

    # -- scrolling ----------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Scroll by lines."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False)

    def action_half_page(self, direction: int) -> None:
        """Scroll by half a page."""
        self.action_move(direction * max(1, self.size.height // 2))

    def action_edge(self, direction: int) -> None:
        """Scroll to the first or the last line."""
        self.scroll_to(y=0 if direction < 0 else len(self._lines), animate=False)

    def to_first_line(self) -> None:
        """Go to the first line."""
        self.action_edge(-1)

    # -- drawing ------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the lines of a part of the screen."""
        if not self._lines:
            self.lay_out()  # the first picture need not wait for the first Resize message
        self._base = self.rich_style  # Textual works it out anew each time it is asked
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.room.width
        base = self._base
        place = y + self.scroll_offset.y
        if place >= len(self._lines):
            return Strip.blank(width, base)
        line, tones = self._lines[place], self._tones
        if line.tone:
            under = "focused" if line.tone == "cursor" and self.has_focus else line.tone
            base += tones.tone(under)
        segments = [
            Segment(text, base + tones.tone(tone) if tone else base) for text, tone in line.pieces
        ]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def _tones(self) -> Tones:
        return next(node for node in self.ancestors if isinstance(node, Tones))
