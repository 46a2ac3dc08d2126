"""A calm full-pane message: what is the matter and what to do about it."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from kdash.widgets.printable import printable


class Notice(Static):
    """Shows a cause, a remedy and optional detail; all three are data, never markup."""

    DEFAULT_CSS = """
    Notice { width: 1fr; height: auto; padding: 1 2; }
    """

    can_focus = True

    def __init__(self, cause: str, remedy: str = "", detail: str = "") -> None:
        parts = [Content.styled(printable(cause), "bold $text-error")]
        if remedy:
            parts.append(Content(printable(remedy)))
        if detail:
            parts.append(Content.styled(printable(detail), "$text-muted"))
        super().__init__(Content("\n\n").join(parts))
