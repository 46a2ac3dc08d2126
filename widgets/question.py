"""A question that wants yes or no before something is lost."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from kdash.widgets.printable import printable


class Question(ModalScreen[bool]):
    """Asks; the result is whether the answer was yes. The question is data, never markup."""

    DEFAULT_CSS = """
    Question { align: center middle; }
    Question > Vertical { width: auto; max-width: 90%; height: auto; padding: 1 2;
        border: round $accent; background: $surface; }
    Question Static { width: auto; max-width: 100%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="question.yes", tooltip="Do it"),
        Binding("n,escape,q", "answer(False)", "No", id="question.no", tooltip="Leave it"),
    ]

    def __init__(self, question: str, yes: str, no: str) -> None:
        """Make the question.

        Args:
            question: What is about to happen.
            yes: What `y` does, in a few words.
            no: What `n` does.
        """
        super().__init__()
        self._question = Content(printable(question))
        self._answers = Content.assemble(
            ("y ", "bold $text-accent"), printable(yes), "   ",
            ("n ", "bold $text-accent"), printable(no),
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """Show the question over its answers."""
        with Vertical():
            yield Static(self._question)
            yield Static("")
            yield Static(self._answers)

    def action_answer(self, answer: bool) -> None:
        """Close with an answer."""
        self.dismiss(answer)
