"""Disassembly around a finding's site, with the stack state before every instruction."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len

from kdash.backends.stack.facts import Finding, Line, PathStep, SourceLine
from kdash.widgets.columns import fit, tail
from kdash.widgets.printable import printable
from kdash.widgets.stack.lines_view import LinesView, Span, Spans

SITE = "▶"  # the instruction the finding is about
STEP = "»"  # the step of the path that is looked at
ON_PATH = "│"  # an instruction the path to the finding goes through
BYTES_FROM = 88  # cells; below this width the instruction's bytes are left out
BYTES = 23  # cells for eight bytes in hexadecimal
Place = tuple[int, str]  # offset in its function, else in its section; and the instruction there
TEXT_SHARE = 0.6  # of the room, at most, for the instruction; the state gets the rest


class Disassembly(LinesView):
    """One line an instruction: mark, offset, instruction, and the state before it.

    Offsets count from the symbol above (`+1d`), before the first one from the section (`4d`). A
    state that is the same as on the line before is drawn quietly.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._finding: Finding | None = None
        self._whole: tuple[Line, ...] = ()  # the function, where it is known
        self._tells_states = False  # below the site: what was expected and found
        self._path: frozenset[Place] = frozenset()
        self._step: Place | None = None
        self._sources: Mapping[SourceLine, str] = {}  # what stands there, as far as known

    def show(self, finding: Finding | None) -> None:
        """Show another finding's surroundings, its site in the middle."""
        self._finding = finding
        self._sources = {}
        self._whole = ()
        path = finding.path if finding else ()
        self._path = frozenset((step.offset, step.text) for step in path)
        self._step = None
        self.renew()
        self.call_after_refresh(self.center)

    def show_all(self, lines: tuple[Line, ...]) -> None:
        """Show the whole function that the finding is in."""
        self._whole = lines
        self.renew()
        self.call_after_refresh(self.center)

    def show_sources(self, texts: Mapping[SourceLine, str]) -> None:
        """Show what stands in source lines, beside the marks of where they begin."""
        self._sources = texts
        self.renew()
        self.call_after_refresh(self.center)

    def tell_states(self, tell: bool) -> None:
        """Tell below the site what state was expected and which was found."""
        if tell is not self._tells_states:
            self._tells_states = tell
            self.renew()

    def show_step(self, step: PathStep) -> None:
        """Mark the instruction of the step that is looked at."""
        self._step = step.offset, step.text
        self.renew()
        self.call_after_refresh(self.center)

    def center(self) -> None:
        """Scroll to the step looked at, else to the site."""
        marks = {line.spans[0].text[:1]: n for n, line in enumerate(self._lines) if line.spans}
        line = marks.get(STEP, marks.get(SITE))
        if line is not None:
            self.reveal(line, center=True)

    def on_resize(self) -> None:
        """Keep the site in the middle."""
        self.call_after_refresh(self.center)

    def lay_out(self, width: int) -> list[Spans]:
        """One line an instruction, one a symbol, under a heading."""
        finding = self._finding
        shown = self._whole or (finding.disassembly if finding else ())
        if finding is None or not shown:
            return [Spans((Span("  no disassembly for this one", "muted"),))] if finding else []
        has_bytes = width >= BYTES_FROM
        room = width - 10 - (BYTES + 1 if has_bytes else 0)
        longest = max(cell_len(printable(line.text)) for line in shown)
        text = min(longest + 2, int(room * TEXT_SHARE))
        columns = (BYTES if has_bytes else 0, text, max(0, room - text - 1))
        lines: list[Spans] = []
        base = finding.address - finding.offset if finding.function else None
        state = ""
        source: SourceLine | None = None
        for line in shown:
            if line.symbol:
                base = line.offset
                lines.append(Spans((Span(f"   {line.symbol}:", "strong"),)))
            if line.source and line.source != source:
                source = line.source
                lines.append(self._source_mark(source, width))
            lines.append(self._instruction(line, base, state, columns))
            if line.site and self._tells_states:
                lines += _states(finding, width - room + columns[1] + 1)
            state = line.state
        return lines

    def _source_mark(self, source: SourceLine, width: int) -> Spans:
        text = printable(self._sources.get(source, ""))
        room = width - 3
        place = tail(printable(f"{source.file}:{source.line}"), room // 2 if text else room)
        code = fit(text, max(0, room - cell_len(place) - 2))
        return Spans((Span(f"   {place}  ", "label"), Span(code, "accent")))

    def _instruction(
        self, line: Line, base: int | None, before: str, columns: tuple[int, int, int]
    ) -> Spans:
        inside = base is not None and line.offset >= base
        at = line.offset - base if inside and base is not None else line.offset
        mark, tone = self._mark(line, at)
        offset = f"+{at:x}" if inside else f"{at:x}"
        spans = [Span(f"{mark} ", tone or "accent"), Span(f"{offset:>6}  ", tone or "muted")]
        if columns[0]:
            spans.append(Span(fit(line.code.hex(" "), columns[0]) + " ", "muted"))
        spans.append(Span(fit(printable(line.text), columns[1]) + " ", tone))
        if line.state:
            quiet = line.state == before and not line.site
            spans.append(Span(fit(brief(line.state), columns[2]), "muted" if quiet else tone))
        else:
            spans.append(Span("not reached", "muted"))
        return Spans(tuple(spans), "current" if mark == STEP else "")

    def _mark(self, line: Line, at: int) -> tuple[str, str]:
        if (at, line.text) == self._step:
            return STEP, "site" if line.site else ""
        if line.site:
            return SITE, "site"
        return (ON_PATH if (at, line.text) in self._path else " "), ""


def brief(state: str) -> str:
    """A stack state in fewer cells: "CFA=rbp+16, rbp@CFA-16"."""
    return state.replace("CFA is ", "CFA=").replace(" saved at ", "@")


def _states(finding: Finding, column: int) -> list[Spans]:
    """Below the site: the state that was expected, and the one that was found."""
    pairs = (("expected", finding.expected, "muted"), ("found", finding.found, "bad"))
    return [
        Spans((Span(name.rjust(column - 2) + "  ", tone), Span(brief(state), tone)))
        for name, state, tone in pairs
        if state
    ]
