"""gg, the two keys to the first line, for all that scrolls or has a cursor."""

from __future__ import annotations

from textual import events


class DoubleG:
    """Mixed into a widget that binds `g` to the action `half_top` and has `to_first_line`."""

    _half_top = False

    def to_first_line(self) -> None:
        """Go to the first line."""
        raise NotImplementedError

    def action_half_top(self) -> None:
        """Take one of the two `g`; the second goes to the first line."""
        if self._half_top:
            self.to_first_line()
        self._half_top = not self._half_top

    def on_key(self, event: events.Key) -> None:
        """Any other key forgets a single `g`."""
        if event.key != "g":
            self._half_top = False
