"""Typing into the guest from the VCPU pane: serial port and keyboard."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.kvm.facts import RunState
from kdash.panes.vcpu_guest import GuestPane
from kdash.widgets.vcpu.console import ConsolePart


class ConsoleKeys(GuestPane):
    """What is typed into the serial part or the text screen goes to the guest."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority, so that what is typed ahead reaches the guest.
        Binding("i", "type_in", "Type", show=False, id="vcpu.type", priority=True,
                tooltip="Give the keyboard to the guest: text screen, else serial port; "
                "ctrl+] takes it back"),
    ]  # fmt: skip

    def action_type_in(self) -> None:
        """Give the keyboard to the guest, in a view of its own where its part has no place."""
        part = self._parts.console
        if not part.display:
            self.show_view(self.VIEWS.index(part.id or ""))
        self.screen.set_focus(part)
        part.action_type()

    def on_console_part_typed(self, event: ConsolePart.Typed) -> None:
        """Send what was typed."""
        if self._session is not None:
            to_keyboard = event.part is self._parts.screen_text
            send = self._session.send_keys if to_keyboard else self._session.send_serial
            self.follow(send(event.data))

    def on_console_part_typing_changed(self, event: ConsolePart.TypingChanged) -> None:
        """Say who has the keyboard, and that a guest that stands reads nothing."""
        typing = event.part.takes_keys
        self._parts.status.say_typing(typing)
        stands = self._shown is not None and self._shown.state is not RunState.RUNNING
        if typing and stands and self._shown is not None:
            ended = self._shown.state is RunState.ENDED
            self.notify(
                "It has ended; R restarts it." if ended else "It reads them when it runs.",
                title="The guest stands still", timeout=4,
            )  # fmt: skip
