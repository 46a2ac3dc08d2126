"""Covers everything where the terminal is too small for any pane, and says what is needed."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class TooSmall(Static):
    """Hidden as long as there is room; what lies below goes on and is there again with the room."""

    DEFAULT_CSS = """
    TooSmall { display: none; position: absolute; overlay: screen; width: 100vw; height: 100vh;
        background: $background; content-align: center middle; text-align: center; }
    TooSmall.-shown { display: block; }
    """

    def __init__(self, columns: int, lines: int) -> None:
        """Make it for a program that needs so many `columns` and `lines`."""
        super().__init__()
        self._needed = (columns, lines)

    @property
    def is_shown(self) -> bool:
        """Whether it covers everything."""
        return self.has_class("-shown")

    def on_mount(self) -> None:
        """Look at the size there is; the application tells every other one."""
        self.fit(*self.app.size)

    def fit(self, columns: int, lines: int) -> None:
        """Show or hide itself on a terminal of this size."""
        needed_columns, needed_lines = self._needed
        short = columns < needed_columns or lines < needed_lines
        self.set_class(short, "-shown")
        if short:
            self.update(
                Content.assemble(
                    ("too small", "bold $text-warning"),
                    f"\n{columns}x{lines}; kdash needs {needed_columns}x{needed_lines}\n",
                    ("enlarge the terminal, or q to quit", "$text-muted"),
                )
            )
