"""The bottom line: the keys that fit, help and quit always among them."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

ALWAYS = ("help", "quit")  # actions: how to learn the other keys, and to leave


@dataclass(frozen=True, slots=True)
class ShownKey:
    """One key of the line."""

    key: str  # "question_mark"
    display: str  # "?"
    does: str  # "Help"
    action: str  # "help"
    enabled: bool
    tooltip: str

    @property
    def cells(self) -> int:
        """How wide it is: a blank on both sides of the key and one behind what it does."""
        return cell_len(self.display) + cell_len(self.does) + 3


class KeyLine(Widget):
    """Shows keys and what they do; leaves out whole ones where its line is short.

    One widget that draws all keys: they change whenever the keyboard goes elsewhere, and a widget
    a key takes longer to be made and styled than all else that such a change asks for.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    KeyLine {
        dock: bottom; height: 1; background: $panel; color: $footer-foreground; text-wrap: nowrap;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[ShownKey] = []  # left to right
        self._all: list[ShownKey] = []
        self._hovered: ShownKey | None = None

    def on_mount(self) -> None:
        """Follow the keys of what has the keyboard."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if self.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._look)

    def _look(self) -> None:
        """Take the keys from what has the keyboard now, the first ones of the pane first."""
        if not self.is_attached:
            return
        first: dict[str, ShownKey] = {}  # by action: one of its keys is enough
        for _, binding, enabled, tooltip in self.screen.active_bindings.values():
            if binding.show and binding.action not in first:
                display = self.app.get_key_display(binding)
                does = binding.description
                first[binding.action] = ShownKey(
                    binding.key, display, does, binding.action, enabled, tooltip or does
                )
        self._all = [*first.values()]
        self._fit(self.app.size.width)

    def _fit(self, width: int) -> None:
        left = width - sum(key.cells for key in self._all if key.action in ALWAYS)
        keys = []
        for key in self._all:
            if key.action not in ALWAYS:
                if key.cells > left:
                    continue
                left -= key.cells
            keys.append(key)
        if keys != self.shown:
            self.shown = keys
            self.refresh()

    def render(self) -> Content:
        """Draw the keys; one that can't be used now is dim."""
        parts = []
        for key in self.shown:
            under = " on $block-hover-background" if key is self._hovered else ""
            dim = "" if key.enabled else "dim "
            parts += [
                Content.styled(f" {key.display} ", f"{dim}bold $footer-key-foreground{under}"),
                Content.styled(f"{key.does} ", f"{dim}$footer-description-foreground{under}"),
            ]
        return Content.assemble(*parts)

    def key_at(self, x: int) -> ShownKey | None:
        """The key that stands in this cell of the line."""
        end = 0
        for key in self.shown:
            end += key.cells
            if x < end:
                return key
        return None

    def on_resize(self, event: events.Resize) -> None:
        """More or fewer keys may fit."""
        self._fit(event.size.width)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Do what the key under the mouse does."""
        key = self.key_at(event.x)
        if key is None:
            return
        if key.enabled:
            self.app.simulate_key(key.key)
        else:
            self.app.bell()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Mark the key under the mouse, and say more about it."""
        self._hover(self.key_at(event.x))

    def on_leave(self) -> None:
        """The mouse went elsewhere."""
        self._hover(None)

    def _hover(self, key: ShownKey | None) -> None:
        if key is not self._hovered:
            self._hovered = key
            self.tooltip = Content(key.tooltip) if key else None
            self.refresh()
