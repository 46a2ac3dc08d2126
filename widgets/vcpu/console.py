"""A part that can be typed into: what is typed goes to the guest."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.widgets.key_taker import KeyTaker
from kdash.widgets.vcpu.keystrokes import pasted_bytes, serial_bytes
from kdash.widgets.vcpu.part import LinePart

LEAVE = "ctrl+right_square_bracket"  # as in telnet and virsh console
LABEL = "keys go to the guest, ctrl+] leaves"  # in the status line
SHORT = "ctrl+] leaves"  # in a title, which may be narrow
HOW = "i types"  # the pane's key that gives the keyboard to the guest
WANTED = f"waits for a key: {HOW}"


class ConsolePart(LinePart, KeyTaker):
    """Enter hands the keyboard to the guest, ctrl+] takes it back."""

    DEFAULT_CSS = """
    ConsolePart.-typing { border-top: solid $accent; border-title-color: $text-accent; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "type", "Type", show=False, id="console.type",
                tooltip="Give the keyboard to the guest; ctrl+] takes it back"),
    ]  # fmt: skip

    class Typed(Message):
        """Something was typed or pasted for the guest."""

        def __init__(self, part: ConsolePart, data: bytes, key: str = "") -> None:
            super().__init__()
            self.part = part
            self.data = data  # as a serial terminal sends it
            self.key = key  # Textual's name of the key; empty for what was pasted

        @property
        def control(self) -> ConsolePart:
            """The part, for `@on` selectors."""
            return self.part

    class TypingChanged(Message):
        """The guest got the keyboard, or lost it."""

        def __init__(self, part: ConsolePart) -> None:
            super().__init__()
            self.part = part

    wanted = False  # the guest waits for a key that is typed here

    def want_keys(self, wanted: bool) -> None:
        """The guest waits for what is typed here, or no longer."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.lay_out()

    def action_type(self) -> None:
        """Give the keyboard to the guest."""
        self._set_typing(True)

    def _set_typing(self, typing: bool) -> None:
        if self.takes_keys == typing:
            return
        self.takes_keys = typing
        self.set_class(typing, "-typing")
        self.lay_out()
        self.refresh_bindings()
        self.post_message(self.TypingChanged(self))

    def note(self, usual: str) -> str:
        """What stands beside the title: who has the keyboard, how to give it, and `usual`."""
        if self.takes_keys:
            return SHORT
        if self.wanted:
            return WANTED
        return ", ".join(filter(None, (usual, "Enter types" if self.has_focus else "")))

    def take_key(self, event: events.Key) -> None:
        """Send a key to the guest; nothing else sees it."""
        if event.key == LEAVE:
            self._set_typing(False)
        elif data := serial_bytes(event.key, event.character):
            self.post_message(self.Typed(self, data, event.key))

    def on_paste(self, event: events.Paste) -> None:
        """Send what is pasted to the guest."""
        if self.takes_keys and event.text:
            event.stop()
            self.post_message(self.Typed(self, pasted_bytes(event.text)))

    def on_blur(self) -> None:
        """Another part got the keyboard, by the mouse."""
        self._set_typing(False)

    def on_click(self, event: events.Click) -> None:
        """A double click gives the keyboard to the guest."""
        if event.chain == 2:
            self._set_typing(True)
