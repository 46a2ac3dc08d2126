"""The walk: every way through every function, with the stack state along it.

A work list of (event, state) pairs; an event reached again with a state that may meet the first
one ends the path, with another state it is a finding. A finding that makes the state worthless
goes on with the unknown state, about which nothing more is reported, so that one cause gives
one finding and the code behind it still counts as reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdash.backends.stack import events as ev
from kdash.backends.stack.codes import NOP
from kdash.backends.stack.events import FIRST_OPERATION, Events
from kdash.backends.stack.functions import is_cold
from kdash.backends.stack.program import Program
from kdash.backends.stack.transition import Transitions

_PREFIX_NAMES = ("__pfx_", "__cfi_")  # padding in front of a function, with a symbol of its own


@dataclass(frozen=True, slots=True)
class Violation:
    """A finding in the walk's terms."""

    kind: str
    event: int
    instruction: int
    function: int  # whose walk found it, -1 for none
    state: int = -1  # number of the state found
    expected: int = -1  # number of the state that another path came with
    message: str = ""  # where the rule has several
    callee: str = ""
    arrived: int = -1  # the event a mismatching path jumped from


class Walk:
    """Walks all functions of a program.

    Attributes:
        visited: for each event the number of the state it was first reached with, -1 never.
        violations: what was found, in the order of the walk.
        came_from: for events entered by a jump or edge, the event that led there first.
    """

    def __init__(
        self, program: Program, events: Events, transitions: Transitions, frame_pointer: bool
    ) -> None:
        self.program = program
        self.events = events
        self.transitions = transitions
        self.frame_pointer = frame_pointer
        self.visited = [-1] * (len(events.code) + 1)
        self.came_from: dict[int, int] = {}
        self.violations: list[Violation] = []
        self.ignored = self._ignored_functions()
        self._function = -1
        self._work: list[tuple[int, int, int]] = []
        self._seen: set[tuple[str, int]] = set()
        self._backwards: set[int] = set()  # events walked again with the direction flag set

    def run(self) -> None:
        """Walk from every function that no path has reached yet."""
        functions = self.program.functions
        entry = self.transitions.table.entry
        for function, start in enumerate(self.events.functions.tolist()):
            if start < 0:
                self._report_start(function)
            elif (
                self.visited[start] < 0
                and functions.root[function] == function
                and function not in self.ignored
                and not is_cold(functions.name(function))
            ):
                self._function = function
                self._work.append((start, entry, -1))
                self._follow()

    def _ignored_functions(self) -> set[int]:
        functions = self.program.functions
        found = functions.starting_at(self.program.special.ignored)
        return {int(functions.root[f]) for f in found.tolist() if f >= 0}

    def _report_start(self, function: int) -> None:
        position = int(self.program.functions.start[function])
        at = max(int(np.searchsorted(self.program.code.start, position, "right")) - 1, 0)
        self._add(Violation("no-start", self.events.of(at), at, function))

    def _follow(self) -> None:  # noqa: PLR0912 the hot loop: calls would double its time
        """Empty the work list."""
        code, target = self.events.code, self.events.target
        visited, work = self.visited, self._work
        table = self.transitions.table
        steps, unmodified = table.steps, table.unmodified
        came_from = self.came_from
        while work:
            event, state, source = work.pop()
            if visited[event] < 0:
                came_from[event] = source
            while True:
                before = visited[event]
                if before >= 0:
                    if before == state or not self._goes_on(event, state, source):
                        break
                else:
                    visited[event] = state
                kind = code[event]
                if kind >= FIRST_OPERATION:
                    after = steps[state].get(kind)
                    if after is None:
                        after = self.transitions.step(state, kind)
                    if after < 0:
                        after = self._trouble(event, state, after)
                    state = after
                    event += 1
                elif kind == ev.BRANCH:
                    work.append((target[event], state, event))
                    event += 1
                elif kind == ev.LEADER:
                    event += 1
                elif kind == ev.GOTO:
                    source = event
                    event = target[event]
                    if visited[event] < 0:
                        came_from[event] = source
                elif kind == ev.RETURN:
                    if not unmodified[state] or table.states[state].direction:
                        self._return(event, state)
                    break
                elif kind == ev.STOP or not self._rare(event, kind, state):
                    break
                else:
                    event += 1

    def _goes_on(self, event: int, state: int, source: int) -> bool:
        """Whether a path goes on at an event that was reached before with another state."""
        table, before = self.transitions.table, self.visited[event]
        if table.unknown in (state, before):
            return False
        if table.match[before] != table.match[state]:
            self._mismatch(event, state, before, source)
            return False
        # The direction flag may differ where ways meet, as long as it is clear in the end.
        if not table.states[state].direction or table.states[before].direction:
            return False
        new = event not in self._backwards
        self._backwards.add(event)
        return new

    # --- the less frequent kinds; each tells whether the path goes on with the next event

    def _rare(self, event: int, kind: int, state: int) -> bool:
        if kind in (ev.CHECKED_CALL, ev.FRAME_WRITE):
            return self._frame_rule(event, kind, state)
        if kind in (ev.EDGES, ev.SWITCH):
            for way in reversed(self.events.ways.get(event, [])):
                self._work.append((way.target, state, event))
            return kind == ev.EDGES and event not in self.events.replaced
        if kind == ev.REPLACEMENT_END:
            self._work.append((self.events.target[event], state, event))
            return False
        if kind in (ev.BRANCH_AWAY, ev.GOTO_AWAY):
            self._sibling(event, state)
            return kind == ev.BRANCH_AWAY
        if kind == ev.GOTO_POINTER:
            self._pointer(event, state)
            return False
        if kind == ev.BRANCH_RETURN:
            self._return(event, state)
            return True
        if kind == ev.FUNCTION:
            return self._next_function(event, state)
        if kind in (ev.BRANCH_INTO, ev.GOTO_INTO):
            self._report("fallthrough", event, state, callee=self._into(event))
            return kind == ev.BRANCH_INTO
        if kind in (ev.BRANCH_NOWHERE, ev.GOTO_NOWHERE):
            self._report("no-jump-dest", event, state)
            return kind == ev.BRANCH_NOWHERE
        return self._ending(event, kind, state)

    def _ending(self, event: int, kind: int, state: int) -> bool:
        if kind == ev.SECTION_END:
            self._report_before("end-of-section", event, state)
        elif kind == ev.KERNEL_ENTRY:
            self._report("entry-insn", event, state)
        elif kind == ev.BAD_BYTES:
            self._report("decode", event, state)
        elif kind == ev.CALL_NOWHERE:
            self._inner_call(event, state)
        elif kind == ev.HINT:
            # The author says what the state is; from there on nothing is known for sure.
            self._work.append((event + 1, self.transitions.table.unknown, event))
        return False

    def _inner_call(self, event: int, state: int) -> None:
        """A call that may leave its return address on the stack: nothing is known behind it."""
        if not self.program.is_noted_inner_call(int(self.events.instruction[event])):
            self._report("no-call-dest", event, state)
        unknown = self.transitions.table.unknown
        self._work.append((event + 1, unknown, event))
        if self.events.target[event] >= 0:
            self._work.append((self.events.target[event], unknown, event))

    def _frame_rule(self, event: int, kind: int, state: int) -> bool:
        table = self.transitions.table
        instruction = int(self.events.instruction[event])
        if kind == ev.FRAME_WRITE:
            if state != table.unknown:
                self._report("bp-scratch", event, state)
            return True
        callee = self.program.callee(instruction)
        if self.frame_pointer and not table.framed[state]:
            self._report("call-without-frame", event, state, callee=callee)
        if table.states[state].direction:
            message = f"call to {callee or 'a pointer'}() with DF set"
            self._report("direction-flag", event, state, message=message, callee=callee)
        return not self.program.ending[instruction]

    def _return(self, event: int, state: int) -> None:
        table = self.transitions.table
        if not table.unmodified[state]:
            self._report("return-modified", event, state, expected=table.entry)
        if table.states[state].direction:
            self._report("direction-flag", event, state, message="return with DF set")

    def _sibling(self, event: int, state: int) -> None:
        table = self.transitions.table
        if not table.unmodified[state]:
            callee = self.program.callee(int(self.events.instruction[event]))
            self._report("sibling-modified", event, state, expected=table.entry, callee=callee)

    def _pointer(self, event: int, state: int) -> None:
        table = self.transitions.table
        if table.unmodified[state]:
            return
        instruction = int(self.events.instruction[event])
        indexed = self._is_indexed(instruction)
        kind = "dynamic-jump" if indexed else "sibling-modified"
        self._report(kind, event, state, expected=table.entry)

    def _is_indexed(self, instruction: int) -> bool:
        """Whether an indirect jump picks its target from an array, as switch tables do."""
        from iced_x86 import Decoder, Register

        decoded = Decoder(64, self.program.code.raw(instruction)).decode()
        return bool(decoded.memory_index != Register.NONE)

    def _next_function(self, event: int, state: int) -> bool:
        functions, program = self.program.functions, self.program
        start = program.code.start[self.events.instruction[event]]
        entered = int(functions.starting_at(np.array([start], np.int64))[0])
        own = self._function
        if functions.root[entered] == functions.root[own]:
            return True
        if functions.name(own).startswith(_PREFIX_NAMES):
            return False
        self._report_before("fallthrough", event, state, callee=functions.name(entered))
        return False

    def _into(self, event: int) -> str:
        program = self.program
        instruction = int(self.events.instruction[event])
        at = int(np.searchsorted(program.branches.instruction, instruction))
        entered = int(program.target_function[at])
        return program.functions.name(entered) if entered >= 0 else ""

    # --- reporting

    def _trouble(self, event: int, state: int, result: int) -> int:
        trouble, after = self.transitions.troubles[-result - 1]
        self._report(trouble.kind, event, state, message=trouble.message)
        return after

    def _mismatch(self, event: int, state: int, before: int, source: int) -> None:
        at = int(self.events.instruction[event])
        arrived = self._arrival(event, state, source)
        self._add(
            Violation("state-mismatch", event, at, self._function, state, before, arrived=arrived)
        )

    def _arrival(self, event: int, state: int, source: int) -> int:
        """The event a second path jumped from, -1 when it fell through from the one before."""
        before = event - 1
        after = self.visited[before] if before >= 0 else -1
        if after >= 0:
            kind = self.events.code[before]
            if kind >= FIRST_OPERATION:
                after = self.transitions.table.steps[after].get(kind, after)
            if after == state and kind not in (ev.GOTO, ev.SWITCH, ev.REPLACEMENT_END):
                return -1
        return source

    def _report_before(self, kind: str, event: int, state: int, callee: str = "") -> None:
        """Report at the last instruction in front of an event that is no instruction."""
        code, events = self.program.code, self.events
        at = int(events.instruction[event]) - 1
        floor = code.section_at(int(code.start[at])).first if at >= 0 else 0
        while at > floor and code.control[at] == NOP:
            at -= 1
        self._add(Violation(kind, events.of(at), at, self._function, state, callee=callee))

    def _report(  # noqa: PLR0913 one keyword for each thing a finding may tell
        self,
        kind: str,
        event: int,
        state: int,
        *,
        expected: int = -1,
        message: str = "",
        callee: str = "",
    ) -> None:
        at = int(self.events.instruction[event])
        self._add(Violation(kind, event, at, self._function, state, expected, message, callee))

    def _add(self, violation: Violation) -> None:
        """Keep a violation, once for each kind and instruction."""
        key = (violation.kind, violation.instruction)
        if key not in self._seen:
            self._seen.add(key)
            self.violations.append(violation)
