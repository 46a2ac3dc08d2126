"""Violations turned into findings: names, offsets, states in words, source lines, causes."""

from __future__ import annotations

from collections.abc import Iterable

from kdash.backends.stack.causes import cause_of, noreturn_cause
from kdash.backends.stack.codes import CALL
from kdash.backends.stack.coverage import Site
from kdash.backends.stack.facts import MITIGATIONS, Finding, Level, Related, SourceLine
from kdash.backends.stack.fingerprints import AROUND, fingerprint, numbered
from kdash.backends.stack.listing import Listing
from kdash.backends.stack.mitigations import DataReference
from kdash.backends.stack.rules import RULES
from kdash.backends.stack.source_lines import SourceLines
from kdash.backends.stack.special import Malformed
from kdash.backends.stack.state import ENTRY_TEXT, FRAME_TEXT, describe
from kdash.backends.stack.trail import trail
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk

_MOST = 100_000  # findings of one file that are told
_MOST_DETAILED = 500  # findings of one file that get a path and a listing
#: Kinds that one change to a function removes wherever they are in it.
_OF_FUNCTIONS = frozenset(("call-without-frame", "bp-scratch"))
#: Kinds that are about a state: what made it, once, is found wherever the state leads.
_OF_STATES = frozenset(
    ("return-modified", "sibling-modified", "state-mismatch", "uaccess", "direction-flag")
)


class FindingMaker:
    """Makes the findings of one walked file.

    Attributes:
        left_out: findings that there was no room for.
    """

    def __init__(self, file: str, walk: Walk, levels: dict[str, Level | None]) -> None:
        self._file = file
        self._walk = walk
        self._levels = levels
        self._lines = SourceLines(walk.program.image, walk.program.code)
        self._listing = Listing(walk, self._lines)
        self._descriptions: dict[int, str] = {}
        self._made = 0
        self.left_out = 0

    def make(self, sites: list[Site]) -> tuple[Finding, ...]:
        """Findings for all sites whose kind is on, by section and address."""
        chosen = [site for site in sites if self._levels[site.violation.kind] is not None]
        chosen.sort(key=lambda site: (site.violation.instruction, site.violation.kind))
        self.left_out += max(0, len(chosen) - _MOST)
        del chosen[_MOST:]
        return numbered(self._finding(site) for site in chosen)

    def make_malformed(self, entries: list[Malformed]) -> tuple[Finding, ...]:
        """Findings about entries of special sections."""
        return self._in_tables(
            "alternatives",
            ((one.section, one.offset, one.message, one.message, "") for one in entries),
        )

    def make_data(self, entries: list[DataReference]) -> tuple[Finding, ...]:
        """Findings about addresses of code that data hold."""
        return self._in_tables(
            "ibt",
            (
                (
                    one.section,
                    one.offset,
                    f"data relocation to !ENDBR: {one.target}",
                    one.target,
                    one.target.partition("+")[0],
                )
                for one in entries
            ),
        )

    def _in_tables(
        self, kind: str, entries: Iterable[tuple[str, int, str, str, str]]
    ) -> tuple[Finding, ...]:
        """Findings outside of code: section, offset, message, what they share, callee."""
        level = self._levels[kind]
        if level is None:
            return ()
        return numbered(
            Finding(
                self._file,
                section,
                "",
                offset,
                offset,
                kind,
                level,
                message,
                callee=callee,
                cause=cause_of(kind, shared, self._file),
                fingerprint=fingerprint(kind, section, (callee or message,)),
            )
            for section, offset, message, shared, callee in entries
        )

    def _finding(self, site: Site) -> Finding:
        violation = site.violation
        program = self._walk.program
        position = int(program.code.start[violation.instruction])
        section = program.code.section_at(position)
        holder, begin = self._where(position)
        function, offset = holder, begin
        address = position - section.base
        if violation.kind == "no-start":
            # Of the symbol: the instruction around it may lie in front of the function.
            function, offset = program.functions.name(violation.function), 0
            address = int(program.functions.start[violation.function]) - section.base
        level = self._levels[violation.kind]
        source = self._lines.find(position)
        detailed = self._made < _MOST_DETAILED
        self._made += 1
        return Finding(
            self._file,
            section.section.name,
            function,
            offset,
            address,
            violation.kind,
            level if level is not None else Level.ERROR,
            self._message(violation, function),
            self._expected(violation),
            self._found(violation),
            self._callee(violation),
            source,
            self._cause(violation, function, offset, source),
            trail(self._walk, self._listing, violation) if detailed else (),
            tuple(self._related(site)),
            disassembly=self._listing.around(violation.instruction) if detailed else (),
            fingerprint=self._fingerprint(violation, holder or section.section.name),
        )

    def _fingerprint(self, violation: Violation, where: str) -> str:
        at = violation.instruction
        section = self._walk.program.code.section_at(int(self._walk.program.code.start[at]))
        first, last = max(at - AROUND, section.first), min(at + AROUND + 1, section.last)
        texts = (self._listing.text(index) for index in range(first, last))
        return fingerprint(violation.kind, where, texts)

    def source_of(self, position: int) -> SourceLine | None:
        """The source line of a position."""
        return self._lines.find(position)

    def _where(self, position: int) -> tuple[str, int]:
        """The function around a position (empty outside) and the offset in it."""
        functions, code = self._walk.program.functions, self._walk.program.code
        at = functions.around_one(position)
        if at >= 0:
            return functions.name(at), position - int(functions.start[at])
        return "", position - code.section_at(position).base

    def _message(self, violation: Violation, function: str) -> str:
        if violation.kind == "fallthrough" and violation.callee:
            return f"{function or 'code'}() falls through to next function {violation.callee}()"
        return violation.message or RULES[violation.kind].message

    def _expected(self, violation: Violation) -> str:
        if violation.kind in ("call-without-frame", "bp-scratch"):
            return FRAME_TEXT
        if violation.expected >= 0:
            return self._described(violation.expected)
        return ENTRY_TEXT if violation.kind in ("return-modified", "sibling-modified") else ""

    def _found(self, violation: Violation) -> str:
        if violation.state < 0:
            return ""
        return self._described(violation.state)

    def _described(self, state: int) -> str:
        text = self._descriptions.get(state)
        if text is None:
            text = describe(self._walk.transitions.table.states[state])
            self._descriptions[state] = text
        return text

    def _related(self, site: Site) -> list[Related]:
        code = self._walk.program.code
        return [
            Related(kind, self._where(int(code.start[index]))[1]) for kind, index in site.related
        ]

    def _callee(self, violation: Violation) -> str:
        """Whom it is about: where code runs on, the callee that did not return."""
        if self._runs_on(violation):
            return self._walk.program.callee(violation.instruction)
        return violation.callee

    def _cause(
        self, violation: Violation, function: str, offset: int, source: SourceLine | None
    ) -> str:
        """Equal for findings that one change would remove."""
        kind = violation.kind
        callee = self._callee(violation)
        if callee and (kind == "missing-noreturn" or self._runs_on(violation)):
            return noreturn_cause(callee)
        if source is not None and source.file.endswith(".h"):
            return cause_of(kind, source.file, str(source.line))  # a macro or inline function
        if kind in MITIGATIONS:
            return cause_of(kind, self._file)  # how the file was compiled
        if kind in _OF_FUNCTIONS and function:
            return cause_of(kind, self._file, function)
        if kind in _OF_STATES:
            states = self._expected(violation), self._found(violation)
            return cause_of(kind, self._file, function, *states)
        section = self._walk.program.code.section_at(
            int(self._walk.program.code.start[violation.instruction])
        )
        return cause_of(kind, self._file, function or section.section.name, f"{offset:#x}")

    def _runs_on(self, violation: Violation) -> bool:
        """Whether code runs on behind a call, which probably does not return."""
        control = self._walk.program.code.control[violation.instruction]
        return violation.kind in ("fallthrough", "end-of-section") and int(control) == CALL
