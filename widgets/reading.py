"""Text that is longer than a line: read as a whole, scrolled, copied, put away."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from kdash.widgets.double_g import DoubleG
from kdash.widgets.printable import printable


class ReadingBox(DoubleG, VerticalScroll, inherit_bindings=False):
    """Scrolls what is in it by the keys of lists."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "by(1)", "Down", show=False, id="reading.down", tooltip="Next line"),
        Binding("k,up", "by(-1)", "Up", show=False, id="reading.up", tooltip="Previous line"),
        Binding("g", "half_top", "Top (gg)", show=False, id="reading.top",
                tooltip="gg: first line"),
        Binding("home", "edge(-1)", "Top", show=False, id="reading.home", tooltip="First line"),
        Binding("G,end", "edge(1)", "Bottom", show=False, id="reading.end", tooltip="Last line"),
        Binding("ctrl+d,pagedown,space", "page(1)", "Page down", show=False,
                id="reading.page-down", tooltip="Half a page down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False, id="reading.page-up",
                tooltip="Half a page up"),
    ]  # fmt: skip

    def action_by(self, lines: int) -> None:
        """Scroll by lines."""
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def action_page(self, direction: int) -> None:
        """Scroll by half a page."""
        self.action_by(direction * max(1, self.size.height // 2))

    def action_edge(self, direction: int) -> None:
        """Scroll to the first or the last line."""
        self.scroll_to(y=0 if direction < 0 else self.virtual_size.height, animate=False)

    def to_first_line(self) -> None:
        """Go to the first line."""
        self.action_edge(-1)


class Reading(ModalScreen[None]):
    """Shows a text over the panes. It is data, never markup."""

    DEFAULT_CSS = """
    Reading { align: center middle; }
    Reading ReadingBox { width: 90%; max-width: 100; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1; }
    Reading ReadingBox.-failed { border: round $error; }
    Reading Static { width: 1fr; height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close", id="reading.close", tooltip="Put it away"),
        Binding("y", "copy", "Copy", id="reading.copy", tooltip="Copy all of it"),
    ]

    def __init__(self, title: str, text: str, *, failed: bool = False) -> None:
        super().__init__()
        self._title = printable(title)
        self._text = printable(text)
        self._failed = failed

    def compose(self) -> ComposeResult:
        """Show the text in a box as high as it needs."""
        with ReadingBox(classes="-failed" if self._failed else "") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "Esc closes   y copies   j k scroll"
            yield Static(Content(self._text))

    def action_copy(self) -> None:
        """Copy the whole text."""
        self.app.copy_to_clipboard(self._text)
        self.notify("the whole text", title="Copied", timeout=2)
