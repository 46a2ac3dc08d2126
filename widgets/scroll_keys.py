"""The keys that scroll lines of text, the same wherever there are some."""

from __future__ import annotations

from textual.binding import Binding, BindingType


def scroll_keys(top: str = "g,home") -> list[BindingType]:
    """Bindings to the actions of a ScrollView.

    Args:
        top: The keys that go to the first line, where `g` begins or means something else.
    """
    return [
        Binding("j,down", "scroll_down", "Down", show=False, id="lines.down",
                tooltip="Scroll down"),
        Binding("k,up", "scroll_up", "Up", show=False, id="lines.up", tooltip="Scroll up"),
        Binding("ctrl+d,pagedown", "page_down", "Page down", show=False, id="lines.page-down",
                tooltip="Scroll a page down"),
        Binding("ctrl+u,pageup", "page_up", "Page up", show=False, id="lines.page-up",
                tooltip="Scroll a page up"),
        Binding(top, "scroll_home", "Top", show=False, id="lines.top", tooltip="First line"),
        Binding("G,end", "scroll_end", "Bottom", show=False, id="lines.bottom",
                tooltip="Last line"),
    ]  # fmt: skip
