"""The walk: every way through every function, with the stack state along it.

A work list of (event, state) pairs; an event reached again with a state that may meet the first
one ends the path, with another state it is a finding. A finding that makes the state worthless
goes on with the unknown state, about which nothing more is reported, so that one cause gives
one finding and the code behind it still counts as reached.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

import numpy as np

from kdash.backends.stack import events as ev
from kdash.backends.stack.codes import NOP, TRAP
from kdash.backends.stack.events import FIRST_OPERATION, Events
from kdash.backends.stack.hints import HintKind, hint_state
from kdash.backends.stack.image import Ints
from kdash.backends.stack.operations import Op, Operation
from kdash.backends.stack.program import Program
from kdash.backends.stack.state import ENTRY, NO_BASE
from kdash.backends.stack.transition import Transitions, apply_operation
from kdash.backends.stack.uaccess import is_uaccess_safe
from kdash.backends.stack.violations import Violation, Violations

_RETURN_ADDRESS = Operation(Op.PUSH, amount=8)
_OF_CALLABLE = frozenset(("undefined-state", "uaccess", "direction-flag", "bp-scratch"))
_PREFIX_NAMES = ("__pfx_", "__cfi_")  # padding in front of a function, with a symbol of its own


class Walk:
    """Walks all functions of a program.

    Code outside of functions is walked from its unwind hints; the rules of callable functions
    don't hold for it.

    Attributes:
        visited: for each event the number of the state it was first reached with, -1 never.
        violations: what was found, in the order of the walk.
        came_from: for events entered by a jump or edge, the event that led there first.
    """

    def __init__(
        self,
        program: Program,
        events: Events,
        transitions: Transitions,
        frame_pointer: bool,
        uaccess: bool = False,
    ) -> None:
        self.program = program
        self.events = events
        self.transitions = transitions
        self.frame_pointer = frame_pointer
        self.uaccess = uaccess
        self.visited = [-1] * (len(events.code) + 1)
        self.came_from: dict[int, int] = {}
        self.violations = Violations()
        self.ignored = self._ignored_functions()
        self._function = -1
        self._work: list[tuple[int, int, int]] = []
        self._again: set[tuple[int, int]] = set()  # events walked once more, with which flags

    def run(self) -> None:
        """Walk from every function that no path has reached yet, then from the hints."""
        functions = self.program.functions
        table = self.transitions.table
        entry, safe = table.entry, frozenset[int]()
        if self.uaccess:
            safe = self.program.uaccess_safe
        open_entry = table.number(ENTRY._replace(uaccess=True, uaccess_safe=True))
        roots, cold = functions.root.tolist(), functions.cold
        for function, start in enumerate(self.events.functions.tolist()):
            if start < 0:
                self._report_start(function)
            elif (
                self.visited[start] < 0
                and roots[function] == function
                and function not in self.ignored
                and not cold[function]
            ):
                self._function = function
                self._work.append((start, open_entry if function in safe else entry, -1))
                self._follow()
        for event in sorted(self.events.hints):
            self._walk_from_hint(event)

    def begin_of(self, event: int) -> int:
        """The event that the walk reached this one from at first: a function's or a hint's."""
        while (source := self.came_from.get(event)) != -1:
            if source is None:
                event -= 1
                if event < 0 or self.visited[event] < 0:
                    return event + 1
            else:
                event = source
        return event

    def _walk_from_hint(self, event: int) -> None:
        """Code that no function holds, or that only a hint makes known."""
        if self.visited[event] >= 0 or self.events.hints[event].kind is HintKind.RESTORE:
            return
        functions, program = self.program.functions, self.program
        start = program.code.start[self.events.instruction[event]]
        holder = int(functions.containing(np.array([start], np.int64))[0])
        self._function = -1 if holder < 0 else int(functions.root[holder])
        if self._function not in self.ignored:
            self._work.append((event, self.transitions.table.unknown, -1))
            self._follow()

    def _ignored_functions(self) -> set[int]:
        functions = self.program.functions
        found = functions.starting_at(self.program.special.ignored)
        return {int(functions.root[f]) for f in found.tolist() if f >= 0}

    def _report_start(self, function: int) -> None:
        position = int(self.program.functions.start[function])
        at = max(int(np.searchsorted(self.program.code.start, position, "right")) - 1, 0)
        self.violations.add(Violation("no-start", self.events.of(at), at, function))

    def _follow(self) -> None:  # noqa: PLR0912 the hot loop: calls would double its time
        """Empty the work list."""
        code, target = self.events.code, self.events.target
        visited, work = self.visited, self._work
        table = self.transitions.table
        steps, may_return = table.steps, table.may_return
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
                    if not may_return[state]:
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
        # Flags may differ where ways meet, as long as they are clear in the end.
        flags = table.flags[state]
        if flags == table.flags[before] or (event, flags) in self._again:
            return False
        self._again.add((event, flags))
        new, old = table.states[state], table.states[before]
        return new.uaccess != old.uaccess or new.direction != old.direction

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
            if self.transitions.table.states[state].base != NO_BASE:
                self._report_before("end-of-section", event, state)
        elif kind == ev.KERNEL_ENTRY:
            return self._kernel_entry(event, state)
        elif kind == ev.BAD_BYTES:
            self._report("decode", event, state)
        elif kind == ev.CALL_NOWHERE:
            self._inner_call(event, state)
        elif kind == ev.HINT:
            self._work.append((event + 1, self._hinted(event, state), event))
        return False

    def _hinted(self, event: int, state: int) -> int:
        """The state that a hint gives; flags stay as they are."""
        table = self.transitions.table
        hint = self.events.hints[event]
        if hint.kind is HintKind.RESTORE:
            given = table.states[self._saved(event)]
        else:
            given = hint_state(hint)
        old = table.states[state]
        if given.unknown:
            return table.unknown
        return table.number(
            given._replace(
                direction=old.direction,
                uaccess=old.uaccess,
                uaccess_stack=old.uaccess_stack,
                uaccess_safe=old.uaccess_safe,
            )
        )

    def _saved(self, event: int) -> int:
        """The state at the nearest save in front of a hint that restores it."""
        saves = self.events.saves
        at = bisect_left(saves, event) - 1
        state = self.visited[saves[at]] if at >= 0 else -1
        return state if state >= 0 else self.transitions.table.unknown

    def _kernel_entry(self, event: int, state: int) -> bool:
        """A sysret or its kind: the path ends, unless a hint tells how it goes on."""
        if self._function < 0:
            return False
        if self.program.is_hinted(int(self.events.instruction[event]) + 1):
            return True
        self._report("entry-insn", event, state)
        return False

    def _inner_call(self, event: int, state: int) -> None:
        """A call inside: noted, it is a push and a jump; else nothing is known behind it."""
        table, target = self.transitions.table, self.events.target[event]
        after = table.unknown
        if self.program.is_noted_inner_call(int(self.events.instruction[event])):
            old = table.states[state]
            if not old.unknown:
                _, pushed = apply_operation(old, _RETURN_ADDRESS)
                after = table.number(pushed)
        else:
            self._report("no-call-dest", event, state)
            self._work.append((event + 1, after, event))
        if target >= 0:
            self._work.append((target, after, event))

    def _frame_rule(self, event: int, kind: int, state: int) -> bool:
        table = self.transitions.table
        instruction = int(self.events.instruction[event])
        if kind == ev.FRAME_WRITE:
            known = state != table.unknown and not table.states[state].switched
            if known and self._function >= 0:
                self._report("bp-scratch", event, state)
            return True
        callee = self.program.callee(instruction)
        if self.frame_pointer and not table.framed[state] and self._function >= 0:
            self._report("call-without-frame", event, state, callee=callee)
        self._check_flags(event, state, callee)
        return not self.program.ending[instruction]

    def _check_flags(self, event: int, state: int, callee: str) -> None:
        """Flags at a call, a sibling call included."""
        now = self.transitions.table.states[state]
        named = f"call to {callee}()" if callee else "call to {dynamic}()"
        if now.uaccess and not is_uaccess_safe(callee):
            message = f"{named} with UACCESS enabled"
            self._report("uaccess", event, state, message=message, callee=callee)
        if now.direction:
            message = f"{named} with DF set"
            self._report("direction-flag", event, state, message=message, callee=callee)

    def _return(self, event: int, state: int) -> None:
        table = self.transitions.table
        now = table.states[state]
        if not table.unmodified[state] and self._function >= 0:
            self._report("return-modified", event, state, expected=table.entry)
        if now.uaccess and not now.uaccess_safe:
            self._report("uaccess", event, state, message="return with UACCESS enabled")
        if now.uaccess_safe and not now.uaccess:
            message = "return with UACCESS disabled from a UACCESS-safe function"
            self._report("uaccess", event, state, message=message)
        if now.direction:
            self._report("direction-flag", event, state, message="return with DF set")

    def _sibling(self, event: int, state: int) -> None:
        table = self.transitions.table
        if table.may_return[state]:
            return
        callee = self.program.callee(int(self.events.instruction[event]))
        if not table.unmodified[state] and self._function >= 0:
            self._report("sibling-modified", event, state, expected=table.entry, callee=callee)
        self._check_flags(event, state, callee)

    def _pointer(self, event: int, state: int) -> None:
        table = self.transitions.table
        if table.may_return[state] or self._function < 0:
            return
        if not table.unmodified[state]:
            indexed = self._is_indexed(int(self.events.instruction[event]))
            kind = "dynamic-jump" if indexed else "sibling-modified"
            self._report(kind, event, state, expected=table.entry)
        self._check_flags(event, state, "")

    def _is_indexed(self, instruction: int) -> bool:
        """Whether an indirect jump picks its target from an array, as switch tables do."""
        from iced_x86 import Decoder, Register

        decoded = Decoder(64, self.program.code.raw(instruction)).decode()
        return bool(decoded.memory_index != Register.NONE)

    def _next_function(self, event: int, state: int) -> bool:
        functions, program = self.program.functions, self.program
        own = self._function
        if own < 0:
            return True
        start = program.code.start[self.events.instruction[event]]
        entered = int(functions.starting_at(np.array([start], np.int64))[0])
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
        if not self._is_excused(trouble.kind, int(self.events.instruction[event])):
            self._report(trouble.kind, event, state, message=trouble.message)
        return after

    def _is_excused(self, kind: str, instruction: int) -> bool:
        """Rules of frame pointers, of callable functions, and what a hint says right behind."""
        if kind in ("duplicate-save", "duplicate-setup"):
            return not self.frame_pointer
        if kind == "bp-scratch" and not self.frame_pointer:
            return True
        if kind in _OF_CALLABLE and self._function < 0:
            return True
        return self.program.is_hinted(instruction + 1)

    def _mismatch(self, event: int, state: int, before: int, source: int) -> None:
        at = int(self.events.instruction[event])
        if self.program.is_hinted(at):
            return  # whatever comes, the hint says what it is
        arrived = self._arrival(event, state, source)
        self.violations.add(
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

    @cached_property
    def _not_padding(self) -> Ints:
        """For each instruction the last one up to it that is no NOP and no int3."""
        control = self.program.code.control
        own = np.where((control == NOP) | (control == TRAP), -1, np.arange(len(control)))
        return np.maximum.accumulate(own)

    def _report_before(self, kind: str, event: int, state: int, callee: str = "") -> None:
        """Report at the last instruction in front of an event that is no instruction."""
        code, events = self.program.code, self.events
        at = int(events.instruction[event]) - 1
        if at >= 0:
            floor = code.section_at(int(code.start[at])).first
            at = max(int(self._not_padding[at]), floor)
        self.violations.add(
            Violation(kind, events.of(at), at, self._function, state, callee=callee)
        )

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
        self.violations.add(
            Violation(kind, event, at, self._function, state, expected, message, callee)
        )
