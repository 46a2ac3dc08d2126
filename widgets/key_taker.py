"""Widgets that take every key for themselves while something is typed into them."""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input


class KeyTaker(Widget):
    """A widget to which every key goes, before all bindings, while it says so."""

    takes_keys = False  # now

    def on_key(self, event: events.Key) -> None:
        """Give a key to `take_key` alone; other classes' `on_key` is for the other times."""
        if self.takes_keys:
            event.stop()
            event.prevent_default()
            self.take_key(event)

    def take_key(self, event: events.Key) -> None:
        """Do what a key means while something is typed."""
        raise NotImplementedError


def takes_keys(widget: Widget | None) -> bool:
    """Whether what is typed belongs to `widget` alone."""
    return isinstance(widget, Input) or (isinstance(widget, KeyTaker) and widget.takes_keys)
