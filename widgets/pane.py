"""The frame every pane shares: title, status, sub-views, command words, failure notice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.worker import Worker, WorkerState

from kdash.widgets.command_words import CommandError, CommandWord, meant
from kdash.widgets.notice import Notice
from kdash.widgets.restyle import set_classes

__all__ = ["CommandError", "CommandWord", "Pane", "Tone"]

SLIM = 64  # cells; below this width a pane shows one column of content
LOW = 24  # lines; below this height a pane leaves out what can wait

Tone = Literal["plain", "good", "warning", "bad"]


class Pane(Container):
    """One of the three panes. Subclasses wire a backend to the widgets they compose."""

    NAME: ClassVar[str] = ""  # "VCPU": shown in the tab line
    VIEWS: ClassVar[tuple[str, ...]] = ()  # titles of the sub-views, in order
    WORDS: ClassVar[tuple[CommandWord, ...]] = ()  # words of the command prompt

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "less_than_sign",
            "switch_view(-1)",
            "Previous view",
            show=False,
            id="pane.previous-view",
            tooltip="Show the previous sub-view of this pane",
        ),
        Binding(
            "greater_than_sign",
            "switch_view(1)",
            "Next view",
            show=False,
            id="pane.next-view",
            tooltip="Show the next sub-view of this pane",
        ),
    ]

    class StatusChanged(Message):
        """The few words that stand beside the pane's name in the tab line changed."""

        def __init__(self, pane: Pane, text: str, tone: Tone) -> None:
            super().__init__()
            self.pane = pane
            self.text = text
            self.tone = tone

    class Answered(Message):
        """What there is to say about a command that took a while, or about the pane's begin."""

        def __init__(self, pane: Pane, text: str, *, failed: bool = False) -> None:
            super().__init__()
            self.pane = pane
            self.text = text
            self.failed = failed

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.border_title = self.NAME
        self._view = 0

    @property
    def view(self) -> int:
        """Index into VIEWS of the sub-view shown."""
        return self._view

    def report_status(self, text: str, tone: Tone = "plain") -> None:
        """Show `text` beside this pane's name."""
        self.post_message(self.StatusChanged(self, text, tone))

    def action_switch_view(self, direction: int) -> None:
        """Show the next (1) or previous (-1) sub-view."""
        if self.VIEWS:
            self.show_view((self._view + direction) % len(self.VIEWS))

    def show_view(self, index: int) -> None:
        """Show the sub-view `index`; subclasses react in `view_changed`."""
        self._view = index
        self.border_subtitle = self.VIEWS[index] if self.VIEWS else ""
        self.view_changed(index)

    def view_changed(self, index: int) -> None:
        """The sub-view shown is now `index`."""

    def focus_content(self) -> None:
        """Give the keyboard to the part of the pane that uses it most."""
        for widget in self.query("*"):
            if widget.focusable:
                self.screen.set_focus(widget)
                return

    def run_command(self, line: str) -> str:
        """Carry out one line of the command prompt.

        Returns:
            What to tell the user, empty when the screen says it already.

        Raises:
            CommandError: The line is unknown or can't be carried out now.
        """
        word = meant(line.split(maxsplit=1)[0], self.WORDS).word
        raise CommandError(f"{word} can't be carried out here")

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line, best first."""
        return [word.word for word in self.WORDS if word.word.startswith(line)]

    def on_resize(self, event: events.Resize) -> None:
        """Tell the style sheet how much room there is."""
        set_classes(self, {"-slim": event.size.width < SLIM, "-low": event.size.height < LOW})

    async def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed unexpectedly fails this pane alone."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            await self.show_failure(
                f"{self.NAME}: {type(error).__name__}: {error}",
                "The other panes go on. Restart kdash to start this one again.",
            )

    async def show_failure(self, cause: str, remedy: str, detail: str = "") -> None:
        """Replace the pane's content by what went wrong and what to do; the others go on."""
        self.report_status("unavailable", "bad")
        await self.remove_children()
        await self.mount(Notice(cause, remedy, detail))
