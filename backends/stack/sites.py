"""A place of a validated object that somebody else names: what stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdash.backends.stack.facts import Finding, Line, PathStep, SourceLine
from kdash.backends.stack.image import STT_SECTION
from kdash.backends.stack.listing import Listing, state_before
from kdash.backends.stack.source_lines import SourceLines
from kdash.backends.stack.state import describe
from kdash.backends.stack.trail import trail
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk


@dataclass(frozen=True, slots=True)
class Place:
    """One instruction of a walked object."""

    section: str
    offset: int  # bytes from the function's start, else from the section's
    address: int  # bytes from the section's start
    source: SourceLine | None
    disassembly: tuple[Line, ...]
    state: str = ""  # of the stack in front of it; empty where it is never reached
    path: tuple[PathStep, ...] = ()  # a way that leads there
    behind_warning: bool = False  # the ud2 of a WARN() stands in front of it


class Sites:
    """Looks places up in one walked object."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._program = walk.program
        self._lines = SourceLines(walk.program.image, walk.program.code)
        self._listing = Listing(walk, self._lines)
        self._warnings = set(walk.program.special.continues.tolist())
        names = (walk.program.functions.name(index) for index in range(len(walk.program.functions)))
        self._functions = {name: index for index, name in enumerate(names)}

    def code_of(self, finding: Finding) -> tuple[tuple[str, int], ...]:
        """The places in code that a finding of ours is about: sections and addresses.

        One in a table, or in the replacement of an alternative, is about the original code too.
        """
        special = self._program.special
        positions = [
            one.original
            for one in special.malformed
            if (one.section, one.offset) == (finding.section, finding.address) and one.original >= 0
        ]
        at = self.position(finding.section, finding.address)
        if at >= 0:
            positions += [
                one.original for one in special.alternatives if one.new <= at < one.new_end
            ]
        return ((finding.section, finding.address), *map(self._place, positions))

    def called(self, section: str, address: int) -> tuple[str, int, int] | None:
        """The code that the call at a place goes to inside of the object; None for nowhere.

        Returns:
            Section, address, and the address of the next function or end of the section.
        """
        branches, code = self._program.branches, self._program.code
        at = code.index_at(np.array([self.position(section, address)], np.int64))
        found = np.flatnonzero(branches.instruction == at[0])
        target = int(branches.target[found[0]]) if len(found) else -1
        if target < 0:
            return None
        functions = self._program.functions.start
        behind = functions[functions > target]
        end = code.section_at(target).end
        end = min(end, int(behind.min())) if len(behind) else end
        name, first = self._place(target)
        return name, first, first + end - target

    def extent(self, function: str, section: str) -> tuple[str, int, int] | None:
        """Section and addresses of the first byte and behind the last; None if it is not there."""
        start, end = self._extent(function, section)
        if start < 0:
            return None
        name, address = self._place(start)
        return name, address, address + end - start

    def position(self, section: str, address: int) -> int:
        """The position of an address of a section of code; -1 where there is none."""
        for one in self._program.code.sections:
            if one.section.name == section and one.base + address < one.end:
                return one.base + address
        return -1

    def _place(self, position: int) -> tuple[str, int]:
        inside = self._program.code.section_at(position)
        return inside.section.name, position - inside.base

    def look(self, function: str, section: str, offset: int | None) -> Place | None:
        """What stands at a place; None where there is no such function, section or byte.

        Args:
            function: name of the function, or "".
            section: name of the section, where there is no function.
            offset: bytes from the start of either; None for its first instruction.
        """
        start, end = self._extent(function, section)
        position = start + (offset or 0)
        if start < 0 or not start <= position < end:
            return None
        code = self._program.code
        at = int(np.searchsorted(code.start, position, "right")) - 1
        inside = code.section_at(position)
        return Place(
            inside.section.name,
            position - start,
            position - inside.base,
            self._lines.find(position),
            self._listing.around(at),
            *self._reached(at),
            at > 0 and int(code.start[at - 1]) in self._warnings,
        )

    def _reached(self, at: int) -> tuple[str, tuple[PathStep, ...]]:
        """The state in front of an instruction, and a way that leads there."""
        state = state_before(self._walk, at)
        if state < 0:
            return "", ()
        reached = Violation("", self._walk.events.of(at), at, -1, state)
        text = describe(self._walk.transitions.table.states[state])
        return text, trail(self._walk, self._listing, reached)

    def _extent(self, function: str, section: str) -> tuple[int, int]:
        """Positions of the first byte and behind the last; -1 where there is none."""
        if function:
            index = self._functions.get(function)
            if index is None:
                return self._labelled(function)
            functions = self._program.functions
            return int(functions.start[index]), int(functions.end[index])
        for one in self._program.code.sections:
            if one.section.name == section:
                return one.base, one.end
        return -1, -1

    def _labelled(self, name: str) -> tuple[int, int]:
        """The extent of code that a symbol without a size names: up to the next symbol."""
        image, code = self._program.image, self._program.code
        symbols = image.symbols
        base = code.bases[symbols.section]
        for index in image.symbols_named(name):
            if base[index] >= 0:
                start = int(base[index] + symbols.value[index])
                named = (base >= 0) & (symbols.type != STT_SECTION)
                positions = base[named] + symbols.value[named]
                behind = positions[positions > start]
                end = code.section_at(start).end
                return start, min(end, int(behind.min())) if len(behind) else end
        return -1, -1
