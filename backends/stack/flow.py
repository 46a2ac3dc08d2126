"""The control flow of the function around a finding: blocks, edges, the way that offends."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Final

import numpy as np

from kdash.backends.stack import events as ev
from kdash.backends.stack.check import Checker
from kdash.backends.stack.codes import NOP
from kdash.backends.stack.events import FIRST_OPERATION
from kdash.backends.stack.facts import CheckOptions, Flow, FlowBlock, FlowEdge, ObjectError
from kdash.backends.stack.listing import Listing
from kdash.backends.stack.source_lines import SourceLines
from kdash.backends.stack.trail import edge_between, jumps_to
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk

_MOST: Final = 400  # blocks shown
_AROUND: Final = 40  # instructions before and behind a finding outside of functions
#: What follows these is run after them, whatever else they lead to.
_GOES_ON: Final = (
    ev.LEADER, ev.BRANCH, ev.BRANCH_AWAY, ev.CHECKED_CALL, ev.FUNCTION, ev.BRANCH_NOWHERE,
    ev.BRANCH_INTO, ev.BRANCH_RETURN, ev.FRAME_WRITE, ev.HINT, ev.CALL_NOWHERE,
)  # fmt: skip
_LEAVES: Final = {
    ev.RETURN: "returns",
    ev.STOP: "ends here: never goes on",
    ev.GOTO_POINTER: "goes where a pointer says",
    ev.KERNEL_ENTRY: "enters or leaves the kernel",
    ev.BAD_BYTES: "can't be decoded from here on",
    ev.GOTO_NOWHERE: "goes to no instruction",
    ev.BRANCH_NOWHERE: "may go to no instruction",
    ev.BRANCH_RETURN: "may return",
}


def flow_around(path: str, options: CheckOptions, section: str, address: int, kind: str) -> Flow:
    """The control flow around a finding of a file.

    Args:
        path: of the object.
        options: it was validated with.
        section: of the finding.
        address: of the finding, in bytes from the section's start.
        kind: of the finding.

    Raises:
        ObjectError: the object can't be validated, or has no code there.
    """
    report, walk = Checker(options).examine(path)
    if walk is None:
        raise ObjectError(report.error)
    code = walk.program.code
    base = next((one.base for one in code.sections if one.section.name == section), -1)
    inside = base >= 0 and address < code.section_at(base).end - base
    if not inside:
        raise ObjectError(f"{path} has no code at {section}+{address:#x}: changed meanwhile?")
    at = int(np.searchsorted(code.start, base + address, "right")) - 1
    found = [one for one in walk.violations if one.instruction == at]
    same = [one for one in found if one.kind == kind] or found
    return _Maker(walk, at, same[0] if same else None).make()


@dataclass(slots=True)
class _Leg:
    """An edge between instructions."""

    source: int
    target: int
    kind: str
    feature: str = ""
    marks: set[str] = field(default_factory=set)  # "on_path", "offending"


class _Maker:
    def __init__(self, walk: Walk, site: int, violation: Violation | None) -> None:
        self._walk = walk
        self._site = site
        self._listing = Listing(walk, SourceLines(walk.program.image, walk.program.code))
        self._code = walk.program.code
        self._name = ""
        self._spans: list[tuple[int, int]] = []  # in the order in which they are drawn
        self._span_at = np.full(len(self._code) + 1, -1, np.int32)  # of every instruction
        for span in self._own_spans():
            self._add_span(*span)
        self._legs: dict[tuple[int, int], _Leg] = {}
        self._leaves: dict[int, str] = {}
        self._violation = violation

    def make(self) -> Flow:
        done = 0
        while done < len(self._spans):  # replacements add spans of their own
            self._read(*self._spans[done])
            done += 1
        self._mark_path()
        return self._drawn()

    def _own_spans(self) -> list[tuple[int, int]]:
        """Ranges of instructions: the function and its cold parts."""
        functions, code = self._walk.program.functions, self._code
        position = np.array([int(code.start[self._site])], np.int64)
        own = int(functions.containing(position)[0])
        if own < 0:
            section = code.section_at(int(position[0]))
            self._name = section.section.name
            first = max(section.first, self._site - _AROUND)
            return [(first, min(section.last, self._site + _AROUND + 1))]
        root = int(functions.root[own])
        self._name = functions.name(root)
        parts = [root, *(i for i in np.flatnonzero(functions.root == root).tolist() if i != root)]
        bounds = [(int(functions.start[one]), int(functions.end[one])) for one in parts]
        spans = [tuple(np.searchsorted(code.start, pair).tolist()) for pair in bounds]
        return [(first, last) for first, last in spans if last > first]

    # --- edges between instructions

    def _read(self, first: int, last: int) -> None:
        events = self._walk.events
        start, end = events.at(np.array([first, last], np.int64)).tolist()
        for event in range(int(start), int(end)):
            self._read_event(event, last)

    def _read_event(self, event: int, last: int) -> None:
        events = self._walk.events
        at, kind = int(events.instruction[event]), events.code[event]
        if kind >= FIRST_OPERATION or kind == ev.SECTION_END:
            return
        if kind in (ev.BRANCH, ev.GOTO):
            self._leg(at, events.target[event], "branch")
        for way in events.ways.get(event, ()):
            edge, feature = edge_between(self._walk, event, way.target)
            self._leg(at, way.target, edge, feature)
        leaving = self._how_left(kind, at)
        if leaving:
            self._leaves[at] = leaving
        behind = at + 1
        ends = kind not in (*_GOES_ON, ev.EDGES, ev.REPLACEMENT_END) or (
            kind == ev.CHECKED_CALL and bool(self._walk.program.ending[at])
        )
        jumps = kind in (ev.BRANCH, ev.BRANCH_AWAY, ev.BRANCH_INTO, ev.BRANCH_RETURN)
        if kind == ev.REPLACEMENT_END:
            self._leg(at - 1, events.target[event], "alternative")
        elif not ends and jumps and behind < last:
            self._leg_to(at, behind, "next")
        if ends:
            self._legs.setdefault((at, -1), _Leg(at, -1, "end"))

    def _how_left(self, kind: int, at: int) -> str:
        if kind in (ev.GOTO_AWAY, ev.BRANCH_AWAY, ev.GOTO_INTO, ev.BRANCH_INTO):
            may = "may go" if kind in (ev.BRANCH_AWAY, ev.BRANCH_INTO) else "goes"
            return f"{may} to {self._walk.program.callee(at) or 'another function'}()"
        if kind == ev.CHECKED_CALL:
            return _LEAVES[ev.STOP] if bool(self._walk.program.ending[at]) else ""
        return _LEAVES.get(kind, "")

    def _leg(self, source: int, target: int, kind: str, feature: str = "") -> None:
        """An edge to an event."""
        if target >= 0:
            self._leg_to(source, int(self._walk.events.instruction[target]), kind, feature)

    def _leg_to(self, source: int, target: int, kind: str, feature: str = "") -> None:
        if target < len(self._code):
            self._legs.setdefault((source, target), _Leg(source, target, kind, feature))
            if self._span_of(target) < 0:
                self._add_replacement(target)

    def _add_replacement(self, target: int) -> None:
        program = self._walk.program
        position = np.array([int(self._code.start[target])], np.int64)
        held = int(program.replacement_of(position)[0])
        if held >= 0:
            one = program.replacements[held]
            bounds = np.searchsorted(self._code.start, (one.new, one.new_end)).tolist()
            self._add_span(int(bounds[0]), int(bounds[1]))

    def _add_span(self, first: int, last: int) -> None:
        """Draw a range of instructions; those that another range has stay there."""
        within = self._span_at[first:last]
        within[within < 0] = len(self._spans)
        self._spans.append((first, last))

    def _span_of(self, at: int) -> int:
        return int(self._span_at[at])

    # --- the path to the finding

    def _mark_path(self) -> None:
        violation = self._violation
        if violation is None or violation.state < 0:
            return
        instruction = self._walk.events.instruction
        jumps = jumps_to(self._walk, violation)[1:]
        for source, target in jumps:
            leg = self._legs.get((int(instruction[source]), int(instruction[target])))
            if leg is None:  # the end of a replacement stands behind its last instruction
                leg = self._legs.get((int(instruction[source]) - 1, int(instruction[target])))
            if leg is not None:
                leg.marks.add("on_path")
                if (source, target) == jumps[-1] and violation.arrived >= 0:
                    leg.marks.add("offending")

    # --- blocks

    def _drawn(self) -> Flow:
        every = self._heads()
        end_of = self._ends(every)
        heads = [at for at in every if not self._is_padding(at, end_of[at])]
        shown = self._around_site(heads)
        number = {at: n for n, at in enumerate(shown)}
        ends = [end_of[at] for at in shown]
        block_of = {
            at: n for n, pair in enumerate(zip(shown, ends, strict=True)) for at in range(*pair)
        }
        blocks = tuple(self._block(*pair) for pair in zip(shown, ends, strict=True))
        edges: list[FlowEdge] = []
        for leg in self._legs.values():
            if leg.target < 0 or leg.target not in number:
                continue
            block = block_of.get(leg.source)
            if block is not None:
                marks = dict.fromkeys(leg.marks, True)
                edges.append(
                    FlowEdge(
                        block, leg.source - shown[block], number[leg.target], leg.kind,
                        leg.feature, **marks,
                    )
                )  # fmt: skip
        edges += self._fallthroughs(shown, ends, number)
        edges.sort(key=lambda one: (one.source, one.line, one.target))
        offending = tuple(self._offending(edges, blocks))
        return Flow(self._name, blocks, offending, max(0, len(heads) - _MOST))

    def _around_site(self, heads: list[int]) -> list[int]:
        """As many blocks as are shown, the site's among them."""
        own = max((n for n, at in enumerate(heads) if at <= self._site), key=heads.__getitem__,
                  default=0)  # fmt: skip
        first = max(0, min(own - _MOST // 2, len(heads) - _MOST))
        return heads[first : first + _MOST]

    def _heads(self) -> list[int]:
        """First instructions of blocks, span by span."""
        heads: list[int] = []
        targets = {leg.target for leg in self._legs.values() if leg.target >= 0}
        behind = {leg.source + 1 for leg in self._legs.values() if self._splits(leg)}
        places = sorted(targets | behind)
        for first, last in self._spans:
            inside = places[bisect_right(places, first) : bisect_left(places, last)]
            heads += [first, *inside]
        return list(dict.fromkeys(heads))

    def _ends(self, heads: Iterable[int]) -> dict[int, int]:
        """Where the block of each first instruction ends: at the next block, or with its span."""
        order = sorted(heads)
        ends = {}
        for head, following in zip_longest(order, order[1:]):
            last = self._spans[self._span_of(head)][1]
            ends[head] = last if following is None else min(following, last)
        return ends

    def _is_padding(self, head: int, end: int) -> bool:
        """Whether a block is nothing but NOPs that no path reaches."""
        idle = bool(np.all(self._code.control[head:end] == NOP))
        return idle and not self._listing.state_text(head)

    def _splits(self, leg: _Leg) -> bool:
        """Whether a block ends where the edge leaves: jumps do so, faults and patches not."""
        return leg.kind in ("branch", "jump-table", "next", "end")

    def _fallthroughs(
        self, heads: list[int], ends: list[int], number: dict[int, int]
    ) -> list[FlowEdge]:
        """Edges to what follows, where nothing said so yet."""
        found = []
        jumping = {
            leg.source for leg in self._legs.values() if leg.kind in ("branch", "jump-table")
        }
        for block, (head, end) in enumerate(zip(heads, ends, strict=True)):
            last = end - 1
            known = (last, end) in self._legs or (last, -1) in self._legs
            if (
                known
                or last in jumping
                or end not in number
                or self._span_of(end) != self._span_of(head)
            ):
                continue
            found.append(FlowEdge(block, last - head, number[end], "next"))
        return found

    def _offending(self, edges: list[FlowEdge], blocks: tuple[FlowBlock, ...]) -> list[FlowEdge]:
        """A mismatch that fell through offends by the edge into the site's block."""
        violation = self._violation
        if violation is None or violation.kind != "state-mismatch" or violation.arrived >= 0:
            return edges
        site = next((n for n, one in enumerate(blocks) if one.lines and one.lines[0].site), -1)
        return [
            replace(one, offending=True, on_path=True)
            if one.target == site and one.kind == "next"
            else one
            for one in edges
        ]

    def _block(self, head: int, end: int) -> FlowBlock:
        site = self._site if head <= self._site < end else -1
        lines = self._listing.span(head, end, site)
        leaves = [self._leaves[at] for at in range(head, end) if at in self._leaves]
        leaves += self._run_on(end)
        return FlowBlock(self._label(head), lines, "; ".join(dict.fromkeys(leaves)))

    def _run_on(self, end: int) -> list[str]:
        """What is behind a block that nothing ends, at the end of a function or section."""
        last = end - 1
        if self._span_of(last) < 0 or self._span_of(end) == self._span_of(last):
            return []
        if any(leg.source == last and leg.kind != "exception" for leg in self._legs.values()):
            return []
        position = int(self._code.start[last])
        if end >= self._code.section_at(position).last:
            return ["runs off the end of the section"]
        section_end = self._code.section_at(position).last
        while end < section_end - 1 and self._code.control[end] == NOP:
            end += 1
        return [f"runs on into {self._listing.place(int(self._code.start[end]))}"]

    def _label(self, at: int) -> str:
        place = self._listing.place(int(self._code.start[at]))
        own = place.removeprefix(self._name)
        return own if own.startswith("+") else "+0x0" if place == self._name else place
