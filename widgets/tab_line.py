"""The top line: one tab a pane with its key, its name and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from kdash.widgets.pane import Tone
from kdash.widgets.printable import printable

STYLES: dict[Tone, str] = {
    "plain": "$text-muted",
    "good": "$text-success",
    "warning": "$text-warning",
    "bad": "$text-error",
}


@dataclass(frozen=True, slots=True)
class Tab:
    """What one tab shows."""

    key: str  # "1"
    name: str  # "VCPU"
    status: str = ""
    tone: Tone = "plain"


class TabLine(Static):
    """Shows the panes and which is active; a click on one asks for it."""

    DEFAULT_CSS = """
    TabLine { dock: top; height: 1; background: $panel; text-wrap: nowrap; }
    """

    class Selected(Message):
        """The pane with this ordinal was asked for."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._tabs = [Tab(str(i + 1), name) for i, name in enumerate(names)]
        self._active = 0
        self._ends: list[int] = []

    def on_mount(self) -> None:
        """Draw for the first time."""
        self._draw()

    def set_active(self, index: int) -> None:
        """Mark the active pane."""
        self._active = index
        self._draw()

    def set_status(self, index: int, text: str, tone: Tone) -> None:
        """Change the few words behind a pane's name."""
        tab = self._tabs[index]
        self._tabs[index] = Tab(tab.key, tab.name, text, tone)
        self._draw()

    def on_resize(self) -> None:
        """More or less of it may fit."""
        self._draw()

    def _draw(self) -> None:
        self._ends = []
        line = Content("")
        for tab, status, active in self._fitted(self.app.size.width):
            mark = "▸" if active else " "
            name = Content.styled(f"{mark}{tab.key} {tab.name} ", "bold" if active else "")
            told = Content.styled(f"{status} " if status else "", STYLES[tab.tone])
            line = Content.assemble(line, name, told, " ")
            self._ends.append(line.cell_length)
        self.update(line, layout=False)  # it is one line high whatever it says

    def _fitted(self, width: int) -> list[tuple[Tab, str, bool]]:
        """The tabs and what they say: where room is short the active one alone, and that cut."""
        tabs = [(tab, printable(tab.status), i == self._active) for i, tab in enumerate(self._tabs)]
        if sum(map(_cells, tabs)) <= width:
            return tabs
        tabs = [(tab, status if active else "", active) for tab, status, active in tabs]
        over = sum(map(_cells, tabs)) - width
        if over <= 0:
            return tabs
        return [
            (tab, _cut(status, cell_len(status) - over), active) for tab, status, active in tabs
        ]

    def on_click(self, event: events.Click) -> None:
        """Ask for the pane whose tab was clicked."""
        for index, end in enumerate(self._ends):
            if event.x < end:
                self.post_message(self.Selected(index))
                return


def _cells(tab: tuple[Tab, str, bool]) -> int:
    """Cells of a tab with the blanks behind its parts; the last one's may be cut off."""
    return len(tab[0].key) + len(tab[0].name) + 4 + (cell_len(tab[1]) + 1 if tab[1] else 0)


def _cut(text: str, cells: int) -> str:
    return f"{set_cell_size(text, cells - 1)}…" if text and cells > 1 else ""
