"""The path from a function's entry to a finding, one line a step."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.stack.facts import OWN, Finding, PathStep
from kdash.widgets.columns import fit
from kdash.widgets.printable import printable
from kdash.widgets.stack.lines_view import LinesView, Span, Spans

EDGES = {
    "fallthrough": "next",
    "branch": "jump taken",
    "call": "returns from call",
    "jump-table": "switch table",
    "alternative": "alternative",
    "jump-label": "jump label",
    "exception": "exception table",
}

FEATURE = "X86_FEATURE_"  # every feature's name begins so

BEFORE = 20  # cells before and behind the instruction


class Steps(LinesView):
    """Shows the steps with the current one marked; one line high it shows that one alone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "Next step", show=False, id="steps.down",
                tooltip="Next step of the path"),
        Binding("k,up", "step(-1)", "Previous step", show=False, id="steps.up",
                tooltip="Previous step of the path"),
    ]  # fmt: skip

    class Moved(Message):
        """Another step of the path is looked at."""

        def __init__(self, step: PathStep) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._finding: Finding | None = None
        self.current = 0

    def show(self, finding: Finding | None) -> None:
        """Show another finding's path, from its end."""
        self._finding = finding
        self.current = max(0, len(finding.path) - 1) if finding else 0
        self.renew()
        self.call_after_refresh(self._follow)

    def action_step(self, by: int) -> None:
        """Look at an earlier (-1) or later (1) step."""
        path = self._finding.path if self._finding else ()
        if not path:
            return
        self.current = max(0, min(self.current + by, len(path) - 1))
        self.renew()
        self._follow()
        self.post_message(self.Moved(path[self.current]))

    def _follow(self) -> None:
        self.reveal(self.current)

    def on_resize(self) -> None:
        """Keep the current step on screen."""
        self.call_after_refresh(self._follow)

    def lay_out(self, width: int) -> list[Spans]:
        """Number, offset, instruction and how it was reached."""
        finding = self._finding
        if finding is None:
            return []
        if not finding.path:
            return [Spans((Span(f"path      {_pathless(finding)}", "muted"),))]
        total = len(finding.path)
        longest = max(cell_len(printable(step.text)) for step in finding.path)
        edges = max(cell_len(printable(_edge(n, step))) for n, step in enumerate(finding.path))
        text_room = min(longest, max(12, (width - BEFORE) // 2, width - BEFORE - edges))
        rooms = text_room, max(0, width - BEFORE - text_room)
        return [self._step(n, step, total, *rooms) for n, step in enumerate(finding.path)]

    def _step(
        self, number: int, step: PathStep, total: int, text_room: int, edge_room: int
    ) -> Spans:
        current = number == self.current
        counter = f"path {number + 1}/{total}" if current else f"{number + 1}".rjust(6)
        edge = fit(printable(_edge(number, step)), edge_room)
        spans = (
            Span(f"{counter:<10}", "strong" if current else "muted"),
            Span(f"{f'+{step.offset:x}':>6}  "),
            Span(fit(printable(step.text), text_room) + "  ", "strong" if current else ""),
            Span(edge.rstrip(), "muted" if step.edge == "fallthrough" else "accent"),
        )
        return Spans(spans, "current" if current else "")


def _pathless(finding: Finding) -> str:
    """Why there is no path."""
    if finding.origin == OWN or (finding.disassembly and finding.placed):
        return "none: no path from a function's entry"
    return "not known"


def _edge(number: int, step: PathStep) -> str:
    """How a step was reached, in words."""
    if number == 0 and step.edge == "fallthrough":
        return "entry"
    edge = EDGES.get(step.edge, step.edge)
    return f"{edge} {step.feature.removeprefix(FEATURE)}" if step.feature else edge
