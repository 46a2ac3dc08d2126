"""What a finding says: place, message, the state that was expected and the one found."""

from __future__ import annotations

from collections.abc import Mapping

from kdash.backends.stack.facts import OWN, Finding, SourceLine, Verdict
from kdash.widgets.columns import fit, tail
from kdash.widgets.printable import printable
from kdash.widgets.stack.entry import Entry, is_imported
from kdash.widgets.stack.lines_view import MARGIN, LinesView, Span, Spans, labelled, spread

CHANGES = {
    "new": "new: the older run does not have it",
    "fixed": "fixed: the older run has it, this one does not",
    "moved": "moved: the older run has it elsewhere",
    "same": "the older run has it, too",
}


class Head(LinesView):
    """A title line, and below it what is wrong in words."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entry: Entry | None = None
        self._note = ""
        self._sources: Mapping[SourceLine, str] = {}  # what stands there, as far as known

    def show(self, entry: Entry | None, note: str) -> None:
        """Show another finding; `note` stands at the end of the title line."""
        if entry is not self._entry:
            self.scroll_home(animate=False)
        if self._entry is None or entry is None or entry.finding is not self._entry.finding:
            self._sources = {}
        self._entry = entry
        self._note = note
        self.renew()

    def show_sources(self, texts: Mapping[SourceLine, str]) -> None:
        """Show what stands in the source line of the finding."""
        self._sources = texts
        self.renew()

    def lay_out(self, width: int) -> list[Spans]:
        """Title, message, expected, found, source."""
        entry = self._entry
        if entry is None:
            return []
        tone = {"E": "bad", "W": "warning"}.get(entry.letter, "warning")
        title = (
            Span(f"{entry.letter} ", tone),
            Span(entry.kind, "strong"),
            Span(f"  {entry.place or entry.base_name}"),
        )
        lines = [Spans(spread(title, self._note, width), "heading")]
        if entry.finding is None:
            return lines + labelled("error", [Span(entry.report.error, "strong")], width)
        source = entry.finding.source
        text = self._sources.get(source, "") if source else ""
        return lines + _facts(entry, entry.finding, width, text)


def _facts(entry: Entry, finding: Finding, width: int, text: str) -> list[Spans]:
    what = finding.message if not finding.callee else f"{finding.message} (callee {finding.callee})"
    theirs = "what" if finding.origin == OWN else printable(finding.origin)[: MARGIN - 1]
    lines = labelled(theirs, [Span(what, "strong")], width)
    if finding.expected:
        lines += labelled("expected", [Span(finding.expected)], width)
    if finding.found:
        lines += labelled("found", [Span(finding.found, "accent")], width)
    if finding.change:
        was = f": {finding.was}" if finding.was else ""
        lines += labelled("change", [Span(CHANGES[finding.change] + was)], width)
    if is_imported(finding):
        agreement = finding.verdict.removeprefix(f"{OWN} ") or "finds it, too"
        tone = "muted" if finding.agrees else "accent"
        lines += labelled(OWN, [Span(agreement, tone)], width)
    if entry.verdict is not None:
        lines += labelled("verdict", [_verdict(entry, entry.verdict)], width)
    source, *rest = _whereabouts(entry, finding, width)
    code = Span(fit(printable(text), max(0, width - MARGIN)), "strong")
    return [*lines, source, *([Spans((Span(" " * MARGIN), code))] if text else ()), *rest]


def _verdict(entry: Entry, verdict: Verdict) -> Span:
    """What the user decided, why and for how long."""
    until = f" until {verdict.expires}" if verdict.expires else ""
    until = f", but only{until}: it counts no more" if entry.expired else until
    note = f": {verdict.note}" if verdict.note else ""
    return Span(f"{verdict.word}{until}{note}", "warning" if entry.expired else "accent")


def _whereabouts(entry: Entry, finding: Finding, width: int) -> list[Spans]:
    """Source line and object, on one line if they fit."""
    room = width - MARGIN
    file = f"sample {entry.base_name}" if entry.report.sample else finding.file
    at = f"+{finding.address:#x}" if finding.placed else ""
    where = f"  {finding.section}{at}"
    if finding.source is None:
        return labelled(
            "object", [Span(tail(printable(file), room - len(where)) + where, "muted")], width
        )
    source = f"{finding.source.file}:{finding.source.line}"
    if len(f"{source}  [{file}{where}]") <= room:
        spans = (Span(f"{'source':<{MARGIN}}", "label"), Span(f"{source}  "))
        return [Spans((*spans, Span(f"[{file}{where}]", "muted")))]
    lines = labelled("source", [Span(tail(printable(source), room))], width)
    return lines + labelled(
        "object", [Span(tail(printable(file), room - len(where)) + where, "muted")], width
    )
