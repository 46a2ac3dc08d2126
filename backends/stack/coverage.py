"""What the walk did not reach, and code that no function holds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.codes import BUG, CALL, INVALID, JMP, JMP_INDIRECT, NOP, RET, TRAP
from kdash.backends.stack.events import Events
from kdash.backends.stack.image import (
    STB_LOCAL,
    STT_FUNC,
    STT_NOTYPE,
    STT_SECTION,
    Ints,
)
from kdash.backends.stack.membership import among
from kdash.backends.stack.program import Program
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk

# Code that is only run after it was copied elsewhere, or that nothing of this file runs.
_UNWALKED_SECTIONS = (".altinstr_replacement", ".altinstr_aux", ".static_call.text")
# Calls the compiler puts in front of code that it knows is never reached.
_HANDLERS = ("__asan_handle_no_return", "__ubsan_handle_builtin_unreachable")
_HANDLER_DISTANCE = 5  # instructions
_READINGS = {"sibling-modified": "dynamic-jump", "dynamic-jump": "sibling-modified"}
_STT_FILE = 4
_MODULE = ".gnu.linkonce.this_module"  # section of a module, whose own code is all there is


@dataclass(frozen=True, slots=True)
class Site:
    """A finding that the walk did not make, and the sites it explains."""

    violation: Violation
    related: tuple[tuple[str, int], ...] = ()  # kind and instruction


class Coverage:
    """Judges the code that the walk left out."""

    def __init__(self, program: Program, events: Events, walk: Walk) -> None:
        self.program = program
        self.events = events
        self.walk = walk
        self.covered = self._covered()

    def walked(self) -> list[Site]:
        """What the walk found, each with the other rule that its site may break."""
        return [Site(one, self._other_reading(one)) for one in self.walk.violations]

    def _other_reading(self, found: Violation) -> tuple[tuple[str, int], ...]:
        """An indirect jump with the frame in place: a bad sibling call, or a table not found."""
        other = _READINGS.get(found.kind)
        indirect = self.program.code.control[found.instruction] == JMP_INDIRECT
        return ((other, found.instruction),) if other and indirect else ()

    def sites(self) -> list[Site]:
        """All findings about unreached code, labels and calls without a target."""
        runs = self._runs()
        outside = [run for run in runs if self._holder(int(run[0])) < 0]
        inside = [run for run in runs if self._holder(int(run[0])) >= 0]
        found = self._outside(outside) + self._visited_labels()
        found += [Site(self._unreachable(run)) for run in inside if not self._excused(run)]
        return found + self._bad_calls()

    def _covered(self) -> npt.NDArray[np.bool_]:
        program, code = self.program, self.program.code
        visited = np.array(self.walk.visited[:-1], np.int64) >= 0
        if not len(code):
            return np.zeros(0, np.bool_)
        # Of each instruction, the last event at or before it.
        last = np.cumsum(np.bincount(self.events.instruction, minlength=len(code) + 1))[:-1] - 1
        covered: npt.NDArray[np.bool_] = visited[last]
        for alternative in program.special.alternatives:
            first, end = np.searchsorted(
                code.start, [alternative.original, alternative.original_end]
            ).tolist()
            event = int(self.events.at(np.array([first]))[0])
            if event in self.events.replaced and visited[event]:
                covered[first:end] = True
        if self.walk.ignored:
            roots = program.roots(self._holders(np.arange(len(code))))
            covered |= among(roots, np.array(sorted(self.walk.ignored), np.int64))
        return covered

    def _holders(self, instructions: Ints) -> Ints:
        """The function around each instruction, -1 outside of all."""
        return self.program.functions.containing(self.program.code.start[instructions])

    def _holder(self, instruction: int) -> int:
        return self.program.functions.around_one(int(self.program.code.start[instruction]))

    # --- runs of unreached instructions

    def _runs(self) -> list[Ints]:
        """Contiguous runs of unreached instructions that matter."""
        code = self.program.code
        left = ~self.covered & (code.control != NOP) & (code.control != TRAP)
        for section in code.sections:
            if section.section.name in _UNWALKED_SECTIONS:
                left[section.first : section.last] = False
        left &= ~self._traps_behind_ends()
        chosen = np.flatnonzero(left)
        if not len(chosen):
            return []
        reached = np.cumsum(self.covered)[chosen]
        function = self._holders(chosen)
        section_of = np.searchsorted([s.base for s in code.sections], code.start[chosen], "right")
        cuts = (
            (reached[1:] != reached[:-1])
            | (function[1:] != function[:-1])
            | (section_of[1:] != section_of[:-1])
        )
        return np.split(chosen, np.flatnonzero(cuts) + 1)

    def _traps_behind_ends(self) -> npt.NDArray[np.bool_]:
        """`ud2`, or a jump to one, right behind an instruction that ends the path."""
        program, code = self.program, self.program.code
        traps = code.control == BUG
        jumps = np.flatnonzero(code.control[program.branches.instruction] == JMP)
        target = code.index_at(program.branches.target[jumps])
        to_trap = (target >= 0) & (code.control[target] == BUG)
        traps[program.branches.instruction[jumps[to_trap]]] = True
        behind = np.zeros(len(code), np.bool_)
        behind[1:] = program.ending[:-1]
        result: npt.NDArray[np.bool_] = traps & behind
        return result

    def _excused(self, run: Ints) -> bool:
        """Whether a sanitizer's handler, or an unresolved jump, explains the run."""
        function = int(self.program.roots(self._holders(run[:1]))[0])
        if function in self._unresolved:
            return True
        near = run[:_HANDLER_DISTANCE].tolist()
        return any(
            self.program.code.control[at] == CALL and self.program.callee(at) in _HANDLERS
            for at in near
        )

    @cached_property
    def _unresolved(self) -> set[int]:
        """Functions with a jump that could not be followed."""
        jumps = [
            v.instruction for v in self.walk.violations if v.kind in ("dynamic-jump", "no-start")
        ]
        return set(self.program.roots(self._holders(np.array(jumps, np.int64))).tolist())

    def _unreachable(self, run: Ints) -> Violation:
        at = int(run[0])
        function = self._holder(at)
        if self.program.code.control[at] == INVALID:
            return Violation("decode", self.events.of(at), at, function)
        callee = self._ender(at)
        if callee:
            message = f"{callee}() is missing a __noreturn annotation"
            return Violation(
                "missing-noreturn", self.events.of(at), at, function, message=message, callee=callee
            )
        return Violation("unreachable", self.events.of(at), at, function)

    def _ender(self, at: int) -> str:
        """The callee that never returns right in front of unreached code."""
        before = at - 1
        while before >= 0 and self.program.code.control[before] in (NOP, TRAP):
            before -= 1
        if before >= 0 and self.program.ending[before]:
            return self.program.callee(before)
        return ""

    # --- outside of functions

    @cached_property
    def _labels(self) -> Ints:
        """Positions of global labels outside of all functions, ascending."""
        symbols, code = self.program.image.symbols, self.program.code
        base = code.bases[symbols.section]
        labels = np.flatnonzero(
            (base >= 0)
            & (symbols.bind != STB_LOCAL)
            & ((symbols.type == STT_NOTYPE) | ((symbols.type == STT_FUNC) & (symbols.size == 0)))
        )
        if not len(labels):
            return np.empty(0, np.int64)
        positions = np.unique(base[labels] + symbols.value[labels])
        return positions[self.program.functions.containing(positions) < 0]

    def _called(self, positions: Ints) -> npt.NDArray[np.bool_]:
        branches = self.program.branches
        calls = self.program.code.control[branches.instruction] == CALL
        return among(positions, branches.target[calls])

    def _outside(self, runs: list[Ints]) -> list[Site]:
        if not runs:
            return []
        code = self.program.code
        labels = self._labels
        found: list[Site] = []
        for run in runs:
            if self._is_hole(run):
                continue
            returns = run[code.control[run] == RET].tolist()
            first = self._with_padding(int(run[0]))
            begin = np.searchsorted(labels, code.start[first])
            inside = labels[begin : np.searchsorted(labels, code.start[run[-1]], "right")]
            label_indexes = [i for i in code.index_at(inside).tolist() if i >= 0]
            called = inside[self._called(inside)]
            if returns:
                found += self._returns_outside(run, returns, label_indexes)
            elif len(called):
                at = int(code.index_at(called[:1])[0])
                related = (("unreachable", int(run[0])),)
                found.append(Site(Violation("not-callable", self.events.of(at), at, -1), related))
            else:
                found.append(Site(self._unreachable(run)))
        return found

    def _with_padding(self, at: int) -> int:
        """The first of the NOPs, PAUSE among them, in front of unreached code: a label may be."""
        code = self.program.code
        floor = max(code.section_at(int(code.start[at])).base, self._end_before(at))
        while (
            at > 0
            and code.control[at - 1] == NOP
            and not self.covered[at - 1]
            and code.start[at - 1] >= floor
        ):
            at -= 1
        return at

    def _end_before(self, at: int) -> int:
        """Position behind the functions in front of an instruction outside of all; 0 if none."""
        functions = self.program.functions
        begun = int(np.searchsorted(functions.start, self.program.code.start[at], "right"))
        return int(self._furthest[begun - 1]) if begun else 0

    @cached_property
    def _furthest(self) -> Ints:
        """For each function, ascending by start, the position behind all up to it."""
        return np.maximum.accumulate(self.program.functions.end)

    def _is_hole(self, run: Ints) -> bool:
        """Whether it is what the linker left of a weak function whose symbol it dropped.

        As objtool --link does: in a file linked of several, code that no symbol covers.
        """
        if not self._linked:
            return False
        code = self.program.code
        first, last = int(code.start[run[0]]), int(code.start[run[-1]])
        floor = max(self._end_before(int(run[0])), code.section_at(first).base)
        at = bisect_left(self._named, floor)
        return at == len(self._named) or self._named[at] > last

    @cached_property
    def _linked(self) -> bool:
        """Whether the file was linked of several, as vmlinux.o is, and is no module."""
        image = self.program.image
        files = np.count_nonzero(image.symbols.type == _STT_FILE)
        return bool(files > 1) and not image.sections_named(_MODULE)

    @cached_property
    def _named(self) -> list[int]:
        """Positions of all symbols outside of functions, ascending."""
        symbols = self.program.image.symbols
        base = self.program.code.bases[symbols.section]
        named = (base >= 0) & (symbols.type != STT_SECTION)
        positions = np.unique(base[named] + symbols.value[named])
        found: list[int] = positions[self.program.functions.containing(positions) < 0].tolist()
        return found

    def _returns_outside(self, run: Ints, returns: list[int], labels: list[int]) -> list[Site]:
        found = []
        first = int(run[0])
        begin = self._with_padding(first)
        for at in returns:
            held = labels[bisect_left(labels, begin) : bisect_right(labels, at)]
            related = [("not-callable", label) for label in held]
            related.append(("unreachable", first))
            violation = Violation("return-outside", self.events.of(at), at, -1)
            found.append(Site(violation, tuple(related)))
            behind = int(np.searchsorted(run, at, "right"))
            first = begin = int(run[behind]) if behind < len(run) else at
        return found

    def _visited_labels(self) -> list[Site]:
        """Global labels whose code is reached though no function holds it."""
        code = self.program.code
        labels = self._labels
        if not len(labels):
            return []
        indexes = code.index_at(labels)
        known = (indexes >= 0) & self.covered[indexes]
        labels, indexes = labels[known], indexes[known]
        called = self._called(labels)
        found = []
        following = [*indexes.tolist(), len(code)][1:]
        for position, at, is_called, following_label in zip(
            labels.tolist(), indexes.tolist(), called.tolist(), following, strict=True
        ):
            section = code.section_at(position)
            if section.section.name in _UNWALKED_SECTIONS:
                continue
            end = min(following_label, section.last)
            if self._is_hinted(at, end):
                continue
            if is_called or self._holds_return(at, end):
                found.append(Site(Violation("not-callable", self.events.of(at), at, -1)))
        return found

    def _is_hinted(self, at: int, end: int) -> bool:
        """Whether hints tell of code without a function: its author knows that it is none."""
        hints = self.program.special.hints
        if not hints:
            return False
        start = self.program.code.start
        if any(position in hints for position in start[at:end].tolist()):
            return True
        return self.walk.begin_of(self.events.of(at)) in self.events.hints

    def _holds_return(self, at: int, end: int) -> bool:
        """Whether a return lies from an instruction to the next label, function or end."""
        stop = np.flatnonzero(self._holders(np.arange(at, end)) >= 0)
        end = at + int(stop[0]) if len(stop) else end
        return bool(np.any(self.program.code.control[at:end] == RET))

    # --- calls

    def _bad_calls(self) -> list[Site]:
        """Calls inside the file to a place that has no symbol."""
        program = self.program
        reported = {v.instruction for v in self.walk.violations if v.kind == "no-call-dest"}
        ignored = self.walk.ignored
        return [
            Site(Violation("no-call-dest", self.events.of(at), at, self._holder(at)))
            for at in program.lost_calls.tolist()
            if at not in reported
            and not program.is_noted_inner_call(at)
            and int(program.roots(self._holders(np.array([at])))[0]) not in ignored
        ]
