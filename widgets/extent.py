"""How much there is to scroll through, told without a layout pass where none is needed."""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView


def set_extent(view: ScrollView, size: Size) -> None:
    """Let `view` scroll through `size` cells.

    Textual lays the whole screen out whenever a virtual size is assigned. For a list that
    grows ten times a second that costs more than all drawing, and it matters only where a
    scroll bar comes or goes.

    Args:
        view: Its height must not depend on its content.
        size: Cells of all that it holds.
    """
    barred = size.height > view.container_size.height
    if not view.container_size or barred != view.show_vertical_scrollbar:
        view.virtual_size = size
        return
    if size == view.virtual_size:
        return
    view.set_reactive(ScrollView.virtual_size, size)
    if barred:
        view.vertical_scrollbar.window_virtual_size = size.height
    view.scroll_y = min(view.scroll_y, view.max_scroll_y)
