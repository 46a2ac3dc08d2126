"""Widgets that take every key for themselves while something is typed into them."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input


class KeyTaker(Widget):
    """A widget to which every key goes, before all bindings, while it says so."""

    takes_keys = False  # now


def takes_keys(widget: Widget | None) -> bool:
    """Whether what is typed belongs to `widget` alone."""
    return isinstance(widget, Input) or (isinstance(widget, KeyTaker) and widget.takes_keys)
