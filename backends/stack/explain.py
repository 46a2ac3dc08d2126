"""A function explained: its instructions, each with the stack state before it and its findings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, Finding, Line, ObjectError, SourceLine
from kdash.backends.stack.listing import Listing
from kdash.backends.stack.source_lines import SourceLines
from kdash.backends.stack.walk import Walk

_MOST_LIKE = 3  # names that are suggested for one that is not there


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction."""

    offset: int  # bytes from the start of its part
    line: Line  # with the state before it
    source: SourceLine | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A function, or the cold part of one."""

    name: str
    section: str
    size: int  # bytes
    steps: tuple[Step, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Outline:
    """A function in the list of all."""

    name: str
    section: str
    size: int  # bytes
    findings: int


class Explained:
    """One validated object, of which functions are asked.

    Args:
        path: the object.
        options: how it is validated.

    Raises:
        ObjectError: it can't be validated.
    """

    def __init__(self, path: str, options: CheckOptions | None = None) -> None:
        report, walk = Checker(options).examine(path)
        if walk is None:
            raise ObjectError(report.error)
        self.path = path
        self.report = report
        self._walk = walk
        self._functions = walk.program.functions

    def functions(self) -> list[Outline]:
        """All functions, by section and address; cold parts stand for themselves."""
        counts: dict[tuple[str, str], int] = {}
        for one in self.report.findings:
            key = (one.section, one.function)
            counts[key] = counts.get(key, 0) + 1
        found = []
        for index in range(len(self._functions)):
            name, section = self._functions.name(index), self._section(index)
            size = int(self._functions.end[index] - self._functions.start[index])
            found.append(Outline(name, section, size, counts.get((section, name), 0)))
        return found

    def parts(self, name: str) -> list[Part]:
        """Every function of that name, each with its cold parts behind it.

        Raises:
            LookupError: there is none.
        """
        names = [self._functions.name(index) for index in range(len(self._functions))]
        wanted = [index for index, one in enumerate(names) if one == name]
        if not wanted:
            raise LookupError(self._missing(name, names))
        root = self._functions.root
        cold = [int(i) for at in wanted for i in np.flatnonzero(root == at) if int(i) != at]
        listing = Listing(self._walk)
        sources = SourceLines(self._walk.program.image, self._walk.program.code)
        order = dict.fromkeys([*wanted, *cold])
        return [_part(self._walk, index, listing, sources, self._sites()) for index in order]

    def _missing(self, name: str, names: Iterable[str]) -> str:
        like = difflib.get_close_matches(name, set(names), _MOST_LIKE)
        hint = f"; there is {', '.join(like)}" if like else ""
        return f"no function '{name}' in {self.path}{hint}"

    def _section(self, index: int) -> str:
        code = self._walk.program.code
        return code.section_at(int(self._functions.start[index])).section.name

    def _sites(self) -> dict[tuple[str, int], list[Finding]]:
        """Findings by section and address."""
        sites: dict[tuple[str, int], list[Finding]] = {}
        for one in self.report.findings:
            sites.setdefault((one.section, one.address), []).append(one)
        return sites


def _part(
    walk: Walk,
    index: int,
    listing: Listing,
    sources: SourceLines,
    sites: dict[tuple[str, int], list[Finding]],
) -> Part:
    functions, code = walk.program.functions, walk.program.code
    start, end = int(functions.start[index]), int(functions.end[index])
    first, last = np.searchsorted(code.start, np.array([start, end], np.int64)).tolist()
    inside = code.section_at(start)
    section = inside.section.name
    steps = []
    for at, line in enumerate(listing.span(first, last), first):
        position = int(code.start[at])
        here = tuple(sites.get((section, position - inside.base), ()))
        steps.append(Step(position - start, line, sources.find(position), here))
    return Part(functions.name(index), section, end - start, tuple(steps))
