"""The bottom line: the keys that fit, help and quit always among them."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer

PADDING = 3  # cells around a key and behind what it does
ALWAYS = ("help", "quit")  # actions: how to learn the other keys, and to leave


class KeyLine(Footer):
    """A footer that leaves out whole keys where its line is short."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._all = 0  # cells that all keys take
        self._width = 0  # that the keys shown were chosen for

    def compose(self) -> ComposeResult:
        """Yield the keys that fit, the first ones of the pane before its others."""
        keys = list(super().compose())
        self._all = sum(map(_cells, keys))
        self._width = self.app.size.width
        left = self._width - sum(_cells(key) for key in keys if _stays(key))
        for key in keys:
            if not _stays(key):
                if _cells(key) > left:
                    continue
                left -= _cells(key)
            yield key

    def on_resize(self, event: events.Resize) -> None:
        """More or fewer keys may fit."""
        if event.size.width != self._width and self._all > min(event.size.width, self._width):
            self.call_after_refresh(self.recompose)


def _stays(key: Widget) -> bool:
    return getattr(key, "action", "") in ALWAYS


def _cells(key: Widget) -> int:
    return len(getattr(key, "key_display", "")) + len(getattr(key, "description", "")) + PADDING
