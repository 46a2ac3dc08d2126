"""A place of a validated object that somebody else names: what stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdash.backends.stack.facts import Line, PathStep, SourceLine
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
        self._listing = Listing(walk)
        self._lines = SourceLines(walk.program.image, walk.program.code)
        self._warnings = set(walk.program.special.continues.tolist())
        names = (walk.program.functions.name(index) for index in range(len(walk.program.functions)))
        self._functions = {name: index for index, name in enumerate(names)}

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
                return -1, -1
            functions = self._program.functions
            return int(functions.start[index]), int(functions.end[index])
        for one in self._program.code.sections:
            if one.section.name == section:
                return one.base, one.end
        return -1, -1
