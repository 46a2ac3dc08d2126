"""Everything about one finding, in as many parts as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from kdash.backends.stack.facts import Finding, Flow, Line, Rule, SourceLine
from kdash.widgets.restyle import set_classes
from kdash.widgets.stack.advice import Advice
from kdash.widgets.stack.disassembly import Disassembly
from kdash.widgets.stack.entry import Entry
from kdash.widgets.stack.flow import FlowView
from kdash.widgets.stack.head import Head
from kdash.widgets.stack.steps import Steps

VIEWS = ("Overview", "Code", "Path", "Flow", "Rule")
WITH_FLOW = ("Code", "Flow")  # views that show more once the control flow is known
TALL = 16  # lines; from here on the overview shows the path as a list
TALLER = 24  # lines; from here on also what the rule protects


class Detail(Vertical):
    """The finding under the cursor. Sub-views give one part all the room."""

    DEFAULT_CSS = """
    Detail { height: 1fr; }
    Detail Head { max-height: 8; }
    Detail Disassembly { height: 1fr; min-height: 3; }
    Detail Steps { height: 1; }
    Detail Advice { display: none; }
    Detail.-tall Steps { height: auto; max-height: 6; }
    Detail.-taller Advice { display: block; max-height: 9; }

    Detail.-code Steps, Detail.-flow Steps { height: 1; max-height: 1; }
    Detail.-path Disassembly, Detail.-rule Disassembly,
    Detail.-code Advice, Detail.-path Advice, Detail.-rule Steps { display: none; }
    Detail.-code Head, Detail.-path Head, Detail.-rule Head { height: 1; }
    Detail.-path Steps { height: 1fr; max-height: 100%; }
    Detail.-rule Advice { display: block; height: 1fr; max-height: 100%; }

    Detail FlowView { display: none; }
    Detail.-flow FlowView { display: block; height: 1fr; max-height: 100%; }
    Detail.-flow Disassembly, Detail.-flow Advice { display: none; }
    Detail.-flow Head { height: 1; }

    Detail.-plain Disassembly, Detail.-plain FlowView, Detail.-plain Steps { display: none; }
    Detail.-plain Advice { display: block; }
    """

    class FlowWanted(Message):
        """The control flow around a finding is to be shown."""

        def __init__(self, finding: Finding) -> None:
            super().__init__()
            self.finding = finding

    class SourcesWanted(Message):
        """What stands in source lines is to be shown."""

        def __init__(self, finding: Finding, places: frozenset[SourceLine]) -> None:
            super().__init__()
            self.finding = finding
            self.places = places

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._head = Head()
        self._code = Disassembly()
        self._steps = Steps()
        self._flow = FlowView()
        self._advice = Advice()
        self._entry: Entry | None = None
        self._view = 0
        self._flow_of: Finding | None = None  # whose control flow is shown, or asked for

    def compose(self) -> ComposeResult:
        """Lay out the parts below each other."""
        yield self._head
        yield self._code
        yield self._steps
        yield self._flow
        yield self._advice

    @property
    def entry(self) -> Entry | None:
        """The row that is shown."""
        return self._entry

    def show(
        self, entry: Entry | None, rule: Rule | None, note: str = "", same_cause: int = 0
    ) -> None:
        """Show another finding, or nothing.

        Args:
            entry: The row under the cursor.
            rule: The rule it violates.
            note: For the end of the title line: "3 of 12".
            same_cause: Findings that have its root cause, itself included.
        """
        self._head.show(entry, note)
        before = self._entry
        if entry is before:
            return
        self._entry = entry
        finding = entry.finding if entry else None
        if before and finding is not None and finding is before.finding:
            return  # another verdict on the same finding
        self.set_class(finding is None, "-plain")
        self._code.show(finding)
        self._steps.show(finding)
        self._advice.show(entry, rule, same_cause)
        if finding is not None:
            self._ask_for_sources(finding, finding.disassembly)
        self._ask_for_flow()

    def show_view(self, index: int) -> None:
        """Give one part all the room; 0 is the overview."""
        self._view = index
        shown = {f"-{name.lower()}": n == index and n > 0 for n, name in enumerate(VIEWS)}
        set_classes(self, shown)
        self._code.tell_states(VIEWS[index] == "Code")
        self._ask_for_flow()

    def _ask_for_flow(self) -> None:
        finding = self._entry.finding if self._entry else None
        if VIEWS[self._view] not in WITH_FLOW or finding is None or finding is self._flow_of:
            return
        self._flow_of = finding
        self._flow.tell("working out the control flow")
        self.call_later(self._want_flow, finding)

    def _ask_for_sources(self, finding: Finding, lines: Iterable[Line]) -> None:
        places = {finding.source, *(line.source for line in lines)} - {None}
        if places:
            self.call_later(self._want_sources, finding, frozenset(places))

    def _want_sources(self, finding: Finding, places: frozenset[SourceLine]) -> None:
        if self._entry is not None and self._entry.finding is finding:
            self.post_message(self.SourcesWanted(finding, places))

    def show_sources(self, finding: Finding, texts: Mapping[SourceLine, str]) -> None:
        """Show what stands in the source lines that were asked for."""
        if texts and self._entry is not None and self._entry.finding is finding:
            self._head.show_sources(texts)
            self._code.show_sources(texts)

    def _want_flow(self, finding: Finding) -> None:
        """A message goes no higher than who makes it, so that it has to be made here."""
        self.post_message(self.FlowWanted(finding))

    def show_flow(self, finding: Finding, flow: Flow | str) -> None:
        """Show the control flow that was asked for, or why there is none."""
        if self._entry is None or self._entry.finding is not finding:
            return
        if isinstance(flow, str):
            self._flow.tell(flow)
            return
        self._flow.show(flow)
        own = tuple(line for block in flow.blocks for line in block.lines)
        if own and not flow.cut:
            self._code.show_all(own)
            self._ask_for_sources(finding, own)

    def step(self, by: int) -> None:
        """Go along the path: an earlier (-1) or later (1) step."""
        self._steps.action_step(by)

    def focus_part(self) -> None:
        """Give the keyboard to the largest part."""
        for part in (self._code, self._flow, self._steps, self._advice):
            if part.display:
                self.screen.set_focus(part)
                return

    @on(Steps.Moved)
    def _moved(self, event: Steps.Moved) -> None:
        event.stop()
        self._code.show_step(event.step)
        self._flow.show_step(event.step)

    def on_resize(self, event: events.Resize) -> None:
        """Show as many parts as there is room for."""
        height = event.size.height
        set_classes(self, {"-tall": height >= TALL, "-taller": height >= TALLER})
