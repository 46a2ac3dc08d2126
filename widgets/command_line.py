"""The command prompt of a pane: `:`, completion with Tab, history with the arrows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Static

from kdash.widgets.printable import printable
from kdash.widgets.typed_line import TypedLine

MOST_LINES = 3  # of an answer that stands below the panes
Complete = Callable[[str], Sequence[str]]


class _Completions(Suggester):
    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(self._complete(value)), None)


class _Prompt(TypedLine):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", id="prompt.complete",
                tooltip="Complete; again: the next that fits"),
        Binding("up", "history(-1)", "Older", show=False, id="prompt.older", tooltip="Older line"),
        Binding("down", "history(1)", "Newer", show=False, id="prompt.newer", tooltip="Newer line"),
        Binding("shift+tab", "complete(-1)", show=False, id="prompt.complete-back",
                tooltip="Complete; again: the one before"),
        Binding("escape", "leave", "Leave", id="prompt.leave", tooltip="Leave the prompt"),
    ]  # fmt: skip

    def __init__(self, history: Sequence[str], text: str, complete: Complete) -> None:
        super().__init__(
            text, compact=True, select_on_focus=False, suggester=_Completions(complete)
        )
        self._complete = complete
        self._offers: list[str] = []  # what Tab goes through
        self._history = history
        self._place = len(history)
        self.ended = False  # entered or left

    async def _on_key(self, event: events.Key) -> None:
        """Take a key; Enter ends the line before the next one is looked at.

        Keys that were typed ahead and come for a line that has ended are given to whoever has the
        focus.
        """
        if self.ended:
            event.stop()
            event.prevent_default()
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self.screen.query_one(CommandLine).enter(self.value)
        else:
            await super()._on_key(event)

    def action_complete(self, by: int = 1) -> None:
        """Complete the line; pressed again, show the next line that fits."""
        if len(self._offers) > 1 and self.value in self._offers:
            place = self._offers.index(self.value) + by
        else:
            self._offers = list(self._complete(self.value))
            place = 0 if by > 0 else -1
        if self._offers:
            self.value = self._offers[place % len(self._offers)]
            self.cursor_position = len(self.value)

    def action_history(self, by: int) -> None:
        """Show an older or a newer line."""
        self._place = max(0, min(self._place + by, len(self._history)))
        lines = [*self._history, ""]
        self.value = lines[self._place]
        self.cursor_position = len(self.value)

    def action_leave(self) -> None:
        """Close the prompt."""
        self.screen.query_one(CommandLine).close()


class CommandLine(Horizontal):
    """Hidden until opened; shows the answer to the last command until the next key.

    An answer of more than a few lines is shown over the panes, to be read as a whole.
    """

    DEFAULT_CSS = """
    CommandLine { height: auto; display: none; background: $surface; }
    CommandLine.-open, CommandLine.-answer { display: block; }
    CommandLine .colon { width: auto; display: none; color: $text-accent; }
    CommandLine .answer { width: 1fr; height: auto; }
    CommandLine Input { width: 1fr; height: 1; border: none; padding: 0; }
    CommandLine.-open .colon { display: block; }
    CommandLine.-open .answer { display: none; }
    """

    class Submitted(Message):
        """A command line was entered."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    class Closed(Message):
        """The prompt was left without a command."""

    def __init__(self) -> None:
        super().__init__()
        self._before: Widget | None = None  # what had the focus when the prompt was opened
        self.told = ""  # the answer on screen

    def compose(self) -> ComposeResult:
        """Lay out the colon, the input and the answer."""
        yield Static(":", classes="colon", markup=False)
        yield Static("", classes="answer", markup=False)

    async def open(
        self, complete: Complete, text: str = "", *, history: Sequence[str] = ()
    ) -> None:
        """Show the prompt.

        Args:
            complete: Gives lines that begin as the one typed.
            text: What is typed already.
            history: Older lines, the newest last.
        """
        await self.query(_Prompt).remove()
        self._before = self.screen.focused
        prompt = _Prompt(history, text, complete)
        await self.mount(prompt, after=".colon")
        self.add_class("-open")
        self.screen.set_focus(prompt)  # at once: the next key may be waiting already

    @property
    def is_open(self) -> bool:
        """Whether a line is being typed."""
        return self.has_class("-open")

    def close(self) -> None:
        """Hide the prompt."""
        self.remove_class("-open")
        if isinstance(self.screen.focused, _Prompt):
            # At once: the next key may be waiting already.
            before = self._before
            self.screen.set_focus(before if before and before.is_attached else None)
        prompts = self.query(_Prompt)
        for prompt in prompts:
            prompt.ended = True
        prompts.remove()
        self.post_message(self.Closed())

    def answer(self, text: str, *, failed: bool = False, title: str = "") -> None:
        """Show what came of a command; an empty text hides the line.

        Args:
            text: What to tell.
            failed: It is a mistake.
            title: What it is about, where it needs a box of its own.
        """
        content = Content.styled(printable(text), "$text-error" if failed else "")
        lines = content.get_height({}, max(1, self.app.size.width)) if text else 0
        if lines > MOST_LINES:
            from kdash.widgets.reading import Reading  # most answers are short

            self.app.push_screen(Reading(title or "Answer", text, failed=failed))
            lines = 0
        if lines > 1:
            self.app.clear_notifications()  # they would stand over it
        self.told = text if lines else ""
        self.query_one(".answer", Static).update(content if lines else "")
        self.set_class(bool(lines), "-answer")

    def enter(self, text: str) -> None:
        """Hand the line on."""
        line = text.strip()
        self.close()
        if line:
            self.post_message(self.Submitted(line))
