"""What a rule protects, how to respond to a finding, and which sites share its cause."""

from __future__ import annotations

from itertools import zip_longest

from rich.cells import cell_len

from kdash.backends.stack.facts import Rule
from kdash.widgets.stack.entry import Entry
from kdash.widgets.stack.lines_view import MARGIN, LinesView, Span, Spans, labelled

UNREADABLE_WHY = "This file was not checked; a file that can be read is, whatever others are."
UNREADABLE_HOW = "Give an x86-64 relocatable object (.o, .ko) that can be read."


class Advice(LinesView):
    """Paragraphs with a label each."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entry: Entry | None = None
        self._rule: Rule | None = None
        self._same_cause = 0

    def show(self, entry: Entry | None, rule: Rule | None, same_cause: int = 0) -> None:
        """Show another finding's rule, and how many findings have its cause."""
        self._same_cause = same_cause
        self._entry = entry
        self._rule = rule
        self.renew()
        self.scroll_home(animate=False)

    def lay_out(self, width: int) -> list[Spans]:
        """Why the rule is there, what to do, and related sites."""
        entry = self._entry
        if entry is None:
            return []
        if entry.finding is None:
            why = labelled("why", [Span(UNREADABLE_WHY)], width)
            return why + labelled("do", [Span(UNREADABLE_HOW)], width)
        lines: list[Spans] = []
        if self._rule is not None:
            lines += labelled("protects", [Span(self._rule.protects)], width)
            lines += labelled("do", [Span(self._rule.respond)], width)
        if self._same_cause > 1:
            told = f"{self._same_cause} findings have this root cause; c shows them alone"
            lines += labelled("cause", [Span(told)], width)
        related = [f"{site.kind} at +{site.offset:x}" for site in entry.finding.related]
        if related:
            lines += labelled("related", [Span(", ".join(related))], width)
        if self._rule is not None and self._rule.bad:
            lines += _examples(self._rule, width)
        return lines + labelled("rules", [Span(_frame_pointer(entry), "muted")], width)


def _examples(rule: Rule, width: int) -> list[Spans]:
    """What breaks the rule and what mends it, side by side where there is room."""
    bad, good = rule.bad.splitlines(), rule.good.splitlines()
    left = max(map(cell_len, bad)) + 3
    if MARGIN + left + max(map(cell_len, good)) <= width:
        titles = Spans((Span("example".ljust(MARGIN), "label"), Span("bad".ljust(left), "bad"),
                        Span("good", "strong")))  # fmt: skip
        pairs = zip_longest(bad, good, fillvalue="")
        return [titles] + [
            Spans((Span(" " * MARGIN), Span(one.ljust(left)), Span(other))) for one, other in pairs
        ]
    lines: list[Spans] = []
    for title, tone, example in (("bad", "bad", bad), ("good", "strong", good)):
        lines.append(Spans((Span(title.ljust(MARGIN), tone), Span(example[0]))))
        lines += [Spans((Span(" " * MARGIN), Span(text))) for text in example[1:]]
    return lines


def _frame_pointer(entry: Entry) -> str:
    state = "on" if entry.report.frame_pointer else "off"
    reason = entry.report.frame_pointer_reason
    return f"frame pointer rules {state}" + (
        f": {reason.removeprefix(f'{state}: ')}" if reason else ""
    )
