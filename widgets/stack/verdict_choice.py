"""Asks for a verdict on findings: one key decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from kdash.widgets.printable import printable

TEXTS = {
    "to-fix": ("f", "to fix", "a defect of the code"),
    "false-positive": ("p", "false positive", "the code is right, the rule is not"),
    "toolchain": ("t", "toolchain", "a defect of compiler or assembler"),
    "wont-fix": ("w", "won't fix", "known, and stays"),
    "": ("x", "no verdict", "take it back"),
}
HINT = "a capital letter takes a note, too:  until 90d the reason"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen."""

    word: str  # one of VERDICTS, "" to take the verdict back
    noted: bool = False  # a note is to be typed first


class VerdictChoice(ModalScreen[Choice | None]):
    """One line a verdict; the result is None when left."""

    DEFAULT_CSS = """
    VerdictChoice { align: center middle; }
    VerdictChoice > Vertical { width: auto; max-width: 90%; height: auto; padding: 1 2;
        border: round $accent; background: $surface; }
    VerdictChoice Static { width: auto; max-width: 100%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"choose({word!r})", title, show=False, id=f"verdict.{word or 'none'}",
                    tooltip=f"{title.capitalize()}: {meaning}")
            for word, (key, title, meaning) in TEXTS.items()
        ),
        *(
            Binding(key.upper(), f"choose({word!r}, True)", title, show=False,
                    id=f"verdict.noted-{word}", tooltip=f"{title.capitalize()}, with a note")
            for word, (key, title, _) in TEXTS.items() if word
        ),
        Binding("escape,q", "leave", "Leave", id="verdict.leave", tooltip="Decide nothing"),
    ]  # fmt: skip

    def __init__(self, subject: str) -> None:
        """Ask about `subject`, in a few words; it is data, never markup."""
        super().__init__()
        self._subject = Content.styled(printable(subject), "bold")

    def compose(self) -> ComposeResult:
        """Show the choices below what they are about."""
        with Vertical():
            yield Static(self._subject)
            yield Static("")
            for word, (key, title, meaning) in TEXTS.items():
                line = Content.assemble(
                    (f"{key} ", "bold $text-accent"), f"{title:<16}", (meaning, "$text-muted")
                )
                yield Static(line, name=word, classes="choice")
            yield Static("")
            yield Static(Content.styled(HINT, "$text-muted"))

    def action_choose(self, word: str, noted: bool = False) -> None:
        """Close with a choice."""
        self.dismiss(Choice(word, noted))

    def on_click(self, event: events.Click) -> None:
        """A click on a line chooses it, a click beside the box leaves."""
        widget = event.widget
        if widget is not None and widget.has_class("choice"):
            self.dismiss(Choice(widget.name or ""))
        elif widget is self:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
