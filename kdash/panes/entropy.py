"""The Entropy pane: wires its backend to its widgets."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from kdash.settings import Settings
from kdash.widgets.notice import Notice
from kdash.widgets.pane import Pane


class EntropyPane(Pane):
    """To be wired."""

    NAME: ClassVar[str] = "Entropy"

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings

    def compose(self) -> ComposeResult:
        """Lay out the pane."""
        yield Notice("Entropy")
