"""The Stack pane: validates objects in worker processes and lets the findings be browsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.panes import stack_words as words
from kdash.panes.stack_checking import Check
from kdash.panes.stack_finding import FindingKeys
from kdash.widgets.pane import CommandWord
from kdash.widgets.stack.browser import OF_LIST
from kdash.widgets.stack.detail import VIEWS

__all__ = ["Check", "StackPane"]


class StackPane(FindingKeys):
    """Findings as they come, what is decided about them, and each one in detail."""

    NAME: ClassVar[str] = "Stack"
    VIEWS: ClassVar[tuple[str, ...]] = VIEWS
    WORDS: ClassVar[tuple[CommandWord, ...]] = words.WORDS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open", show=False, id="stack.open",
                tooltip="Check other objects, found by their folder or name"),
    ]  # fmt: skip

    def focus_content(self) -> None:
        """The list has the keyboard."""
        if self.browser_shown:
            self.screen.set_focus(self.browser.main_part)
        else:
            super().focus_content()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a finding there is none to decide about."""
        if action in OF_LIST and not (self.browser_shown and self.browser.findings.total_count):
            return False
        return super().check_action(action, parameters)

    def view_changed(self, index: int) -> None:
        """The sub-views belong to the detail."""
        if self.browser_shown:
            self.browser.show_view(index)

    def action_open(self) -> None:
        """Look for other objects to check by the same rules."""
        from kdash.panes.stack_files import object_dialog

        def check(path: Path) -> None:
            self.start(replace(self.check, paths=(path,)))

        self.app.push_screen(object_dialog(self.check.paths, check))

    def run_command(self, line: str) -> str:
        """Carry out one line of the command prompt."""
        from kdash.panes.stack_commands import carry_out

        return carry_out(self, line)

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line, best first."""
        if " " not in line or not self.browser_shown:
            return super().complete(line)
        from kdash.panes.stack_commands import complete

        return complete(self, line)
