"""A line of text that takes keys in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class TypedLine(Input):
    """An Input whose own bindings are carried out before the next key is looked at.

    Textual hands a key that is no character on to the program first, which carries a binding out
    when characters that were typed behind it, or pasted, are in the line already: ctrl+u would
    delete them, too.
    """

    def on_unmount(self) -> None:
        """Go for good: what Textual's Input subscribes to keeps it as long as the screen."""
        self.screen.text_selection_started_signal.unsubscribe(self)

    async def _on_key(self, event: events.Key) -> None:
        """Carry out what the key is bound to, or take its character."""
        if not event.is_printable:
            active = self.screen.active_bindings.get(event.key)
            if active is not None and active.node is self:
                event.stop()
                event.prevent_default()
                if active.enabled:
                    await self.run_action(active.binding.action)
                return
        await super()._on_key(event)
