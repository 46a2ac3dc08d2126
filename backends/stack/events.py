"""The instructions that matter to the walk, as flat lists; all others are passed over.

An event is a stack operation (its bytes as a number, `stack_ops.operation_keys`), an
instruction that changes the flow, or a place where paths may start or meet. Between two events
nothing changes. Numbers below `FIRST_OPERATION` are kinds, above they are bytes of operations:
no stack operation's first byte is as low as that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.branches import NOWHERE
from kdash.backends.stack.codes import (
    CALL,
    CALL_INDIRECT,
    ENTRY,
    INVALID,
    JCC,
    JMP,
    JMP_INDIRECT,
    RET,
    code_tables,
)
from kdash.backends.stack.flag_ops import KEEPS_ACCESS
from kdash.backends.stack.hints import Hint, HintKind
from kdash.backends.stack.image import Ints
from kdash.backends.stack.membership import among
from kdash.backends.stack.program import Program
from kdash.backends.stack.special import FEATURE_POPCNT, FEATURE_SMAP

(
    LEADER,  # nothing happens here, but a path may begin
    BRANCH,  # conditional jump inside of the function
    GOTO,  # jump inside of the function
    RETURN,
    STOP,  # the path ends: ud2, a call that never returns
    BRANCH_AWAY,  # conditional sibling call
    GOTO_AWAY,  # sibling call
    GOTO_POINTER,  # indirect jump without a table
    SWITCH,  # indirect jump with a table
    CHECKED_CALL,  # call, where calls are checked
    FUNCTION,  # a function starts here
    EDGES,  # alternatives, jump labels, exceptions: further ways from here
    REPLACEMENT_END,  # behind the last instruction of a replacement
    SECTION_END,
    KERNEL_ENTRY,
    BAD_BYTES,
    BRANCH_NOWHERE,
    GOTO_NOWHERE,
    BRANCH_INTO,  # conditional jump into the middle of another function
    GOTO_INTO,
    BRANCH_RETURN,  # conditional jump to the return thunk
    FRAME_WRITE,  # rbp is overwritten
    HINT,  # an unwind hint: the state is what the author says
    CALL_NOWHERE,  # call to a place in this file without a symbol, or noted as one inside
) = range(24)
FIRST_OPERATION = 0x40
# Operations as their bytes: std; stac, clac; pushf, popf.
_STD = 0xFD
_ACCESS = (0xCB010F, 0xCA010F)
_FLAGS = (0x9C, 0x9D)

_ORDER = 8  # events of one instruction, in this order:
_AT_REPLACEMENT_END, _AT_SECTION_END, _AT_FUNCTION, _AT_HINT, _AT_EDGES, _AT_ITSELF = range(6)
_AT_BEGIN = _AT_HINT  # where a path to an instruction begins


@dataclass(frozen=True, slots=True)
class Way:
    """One further way from an event."""

    target: int  # event
    kind: str  # special.ALTERNATIVE, JUMP_LABEL, EXCEPTION, or jump-table
    feature: int = -1  # CPU feature of an alternative


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a file, in the order of their positions."""

    code: list[int]  # kind or operation
    target: list[int]  # event that a jump goes to
    instruction: Ints  # index of the instruction
    keys: Ints
    ways: dict[int, list[Way]]  # of SWITCH and EDGES events
    replaced: frozenset[int]  # EDGES events whose original instructions are never run
    hints: dict[int, Hint]  # of HINT events
    saves: list[int]  # events before which the state is saved for a later hint, ascending
    functions: Ints  # event behind the FUNCTION event of each function, -1 without

    def at(self, instructions: Ints) -> Ints:
        """The events where paths to these instructions begin."""
        return np.searchsorted(self.keys, instructions * _ORDER + _AT_BEGIN)

    def of(self, instruction: int) -> int:
        """The last event at or before an instruction."""
        return int(np.searchsorted(self.keys, instruction * _ORDER + _AT_ITSELF, "right")) - 1


class _Maker:
    def __init__(self, program: Program, frame_pointer: bool, uaccess: bool) -> None:
        self.program = program
        self.frame_pointer = frame_pointer
        self.uaccess = uaccess
        count = len(program.code)
        self.code = np.zeros(count, np.uint64)
        self.chosen = np.zeros(count + 1, np.bool_)
        self.goes = np.full(count, -1, np.int64)  # key that a jump goes to

    def make(self) -> Events:
        program = self.program
        self._stack_operations()
        self._control()
        self._branches()
        leaders = self._leaders()
        self.chosen[leaders] = True
        self.chosen[-1] = False
        own = np.flatnonzero(self.chosen)
        extra_keys, extra_codes, extra_goes = self._extras()
        keys = np.concatenate([own * _ORDER + _AT_ITSELF, extra_keys])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        codes = np.concatenate([self.code[own], extra_codes])[order]
        goes = np.concatenate([self.goes[own], extra_goes])[order]
        target = np.where(goes >= 0, np.searchsorted(keys, goes), -1)
        first = program.functions.instruction
        named = codes.tolist()
        if self.uaccess:
            self._mark_kept_flags(named, keys)
        return Events(
            named,
            target.tolist(),
            keys // _ORDER,
            keys,
            self._ways(keys),
            self._replaced(keys),
            *self._hints(keys),
            np.where(first >= 0, np.searchsorted(keys, first * _ORDER + _AT_BEGIN), -1),
        )

    def _stack_operations(self) -> None:
        code = self.program.code
        processor = self.program.architecture
        operations = processor.stack_operations(code, self.program.functions, self.uaccess)
        if self.frame_pointer:
            writes = processor.frame_pointer_writes(code, operations)
            self.code[writes] = FRAME_WRITE
            self.chosen[writes] = True
        self.code[operations] = processor.operation_keys(code, operations)
        self.chosen[operations] = True

    def _control(self) -> None:
        code, ending = self.program.code, self.program.ending
        kinds = {RET: RETURN, ENTRY: KERNEL_ENTRY, INVALID: BAD_BYTES, JMP_INDIRECT: GOTO_POINTER}
        for control, kind in kinds.items():
            at = np.flatnonzero(code.control == control)
            self.code[at] = kind
            self.chosen[at] = True
        # In a function iret returns to where it is; elsewhere it leaves the kernel.
        iret = np.flatnonzero(np.isin(code.code, code_tables().iret))
        self.code[iret[self.program.functions.containing(code.start[iret]) < 0]] = KERNEL_ENTRY
        if self.frame_pointer or self._sets_flags():
            calls = (code.control == CALL) | (code.control == CALL_INDIRECT)
            calls[self.program.entry_calls()] = False
            at = np.flatnonzero(calls)
            self.code[at] = CHECKED_CALL
            self.chosen[at] = True
        lost = self.program.lost_calls
        self.code[lost] = CALL_NOWHERE
        self.chosen[lost] = True
        at = np.flatnonzero(ending & (self.code != CHECKED_CALL))
        self.code[at] = STOP
        self.chosen[at] = True
        switches = np.array(list(self.program.switches), np.int64)
        self.code[switches] = SWITCH

    def _sets_flags(self) -> bool:
        """Whether calls must be checked for a flag that is set."""
        if bool(np.any(self.code == _STD)):
            return True
        return self.uaccess and (
            bool(np.any(among(self.code, _ACCESS))) or bool(self.program.uaccess_safe)
        )

    def _mark_kept_flags(self, codes: list[int], keys: Ints) -> None:
        """Mark what is pushed and popped in alternatives, where AC goes with the flags."""
        start = self.program.code.start
        for made in self.program.special.alternatives:
            spans = [(made.original, made.original_end)]
            if made.new != NOWHERE:
                spans.append((made.new, made.new_end))
            for first, end in spans:
                bounds = np.searchsorted(start, [first, end]) * _ORDER
                for at in range(*np.searchsorted(keys, bounds).tolist()):
                    if codes[at] in _FLAGS:
                        codes[at] |= KEEPS_ACCESS

    def _hints(self, keys: Ints) -> tuple[dict[int, Hint], list[int]]:
        """Hints by their events, and the events of those that save the state."""
        hints = self.program.special.hints
        at = self.program.code.index_at(np.array(list(hints), np.int64))
        made: dict[int, Hint] = {}
        saves = []
        begins = np.searchsorted(keys, at * _ORDER + _AT_BEGIN).tolist()
        for event, hint in zip(begins, hints.values(), strict=True):
            if hint.kind is HintKind.SAVE:
                saves.append(event)
            else:
                made[event] = hint
        return made, sorted(saves)

    def _branches(self) -> None:
        program = self.program
        branches, code = program.branches, program.code
        control = code.control[branches.instruction]
        plain = np.flatnonzero((control == JCC) | (control == JMP))
        instruction = branches.instruction[plain]
        conditional = control[plain] == JCC
        target = branches.target[plain]
        to = code.index_at(target)
        source = program.roots(program.source_function[plain])
        goal = program.roots(program.target_function[plain])
        across = (source >= 0) & (goal >= 0) & (source != goal)
        start = program.entered[plain] >= 0
        external = branches.external[plain]
        kind = np.where(conditional, BRANCH, GOTO)
        lost = (to < 0) & (external < 0)
        kind[lost] = np.where(conditional[lost], BRANCH_NOWHERE, GOTO_NOWHERE)
        away = (external >= 0) | (across & start & ~lost)
        if program.special.hints:
            # Code that no function holds, and whose author tells its state: another routine.
            hinted = among(target, np.array(list(program.special.hints), np.int64))
            away |= hinted & (source >= 0) & (goal < 0)
        kind[away] = np.where(conditional[away], BRANCH_AWAY, GOTO_AWAY)
        into = across & ~start & ~lost
        kind[into] = np.where(conditional[into], BRANCH_INTO, GOTO_INTO)
        returns = program.calls_one_of(program.externals.return_thunks)[plain]
        kind[returns] = BRANCH_RETURN  # the unconditional ones are RET already
        stopped = program.ending[instruction]
        self.code[instruction] = np.where(stopped, STOP, kind)
        self.chosen[instruction] = True
        inner = (kind == BRANCH) | (kind == GOTO)
        self.goes[instruction[inner]] = to[inner] * _ORDER + _AT_BEGIN
        inside = np.searchsorted(branches.instruction, program.lost_calls)
        entered = code.index_at(branches.target[inside])
        known = entered >= 0
        self.goes[program.lost_calls[known]] = entered[known] * _ORDER + _AT_BEGIN

    def _leaders(self) -> Ints:
        """Where paths begin, and what comes behind an end."""
        program = self.program
        code = program.code
        flow = self.code[:]
        ends = (flow > 0) & (flow < FIRST_OPERATION)
        for kind in (CHECKED_CALL, FRAME_WRITE, BRANCH, BRANCH_AWAY, BRANCH_INTO):
            ends &= flow != kind
        ends |= program.ending
        positions = [code.start[:0]]
        for alternative in program.special.alternatives:
            at = [alternative.original, alternative.original_end]
            at += [alternative.new, alternative.new_end] if alternative.new != NOWHERE else []
            positions.append(np.array(at, np.int64))
        positions.append(np.array([edge.target for edge in program.special.edges], np.int64))
        tables = [np.array(targets, np.int64) for targets in program.switches.values()]
        found = code.index_at(np.concatenate(positions + tables))
        sources = np.array([edge.source for edge in program.special.edges], np.int64)
        first = program.functions.instruction
        hints = code.index_at(np.array(list(program.special.hints), np.int64))
        parts = [
            np.flatnonzero(ends) + 1,
            found[found >= 0],
            sources,
            first[first >= 0],
            hints[hints >= 0],
            self.goes[self.goes >= 0] // _ORDER,
            np.array([section.first for section in code.sections], np.int64),
        ]
        return np.concatenate(parts)

    def _extras(self) -> tuple[Ints, npt.NDArray[np.uint64], Ints]:
        """Events that are no instructions: keys, codes, and the instructions they go to."""
        program = self.program
        code = program.code
        made: dict[int, tuple[int, int]] = {}
        for section in code.sections:
            made[section.last * _ORDER + _AT_SECTION_END] = (SECTION_END, -1)
        first = program.functions.instruction
        for at in first[first >= 0].tolist():
            made[at * _ORDER + _AT_FUNCTION] = (FUNCTION, -1)
        for alternative in program.special.alternatives:
            made[self._edges_key(alternative.original)] = (EDGES, -1)
            if alternative.new != NOWHERE:
                end = self._key(alternative.new_end) // _ORDER * _ORDER + _AT_REPLACEMENT_END
                made.setdefault(end, (REPLACEMENT_END, self._key(alternative.original_end)))
        for edge in program.special.edges:
            made[edge.source * _ORDER + _AT_EDGES] = (EDGES, -1)
        for position, hint in program.special.hints.items():
            if hint.kind is not HintKind.SAVE:
                made[self._key(position)] = (HINT, -1)
        keys = np.array(list(made), np.int64)
        codes = np.array([kind for kind, _ in made.values()], np.uint64)
        return keys, codes, np.array([goes for _, goes in made.values()], np.int64)

    def _key(self, position: int) -> int:
        """Key of the events at a position, which may be the end of a section."""
        return int(self._keys([position])[0])

    def _edges_key(self, position: int) -> int:
        """Key of the EDGES event at a position."""
        return self._key(position) + _AT_EDGES - _AT_BEGIN

    def _keys(self, positions: list[int]) -> Ints:
        """Keys of the events at many positions, -1 where no instruction starts or section ends."""
        found = self.program.code.index_at(np.array(positions, np.int64))
        keys = np.where(found >= 0, found * _ORDER + _AT_BEGIN, -1)
        ends = {section.end: section.last for section in self.program.code.sections}
        for at in np.flatnonzero(found < 0).tolist():
            if positions[at] in ends:
                keys[at] = ends[positions[at]] * _ORDER + _AT_SECTION_END
        return keys

    def _ways(self, keys: Ints) -> dict[int, list[Way]]:
        special = self.program.special
        sources: list[int] = []  # keys
        targets: list[int] = []  # positions
        kinds: list[tuple[str, int]] = []
        originals = self._keys([made.original for made in special.alternatives]).tolist()
        for made, source in zip(special.alternatives, originals, strict=True):
            sources.append(source + _AT_EDGES - _AT_BEGIN)
            targets.append(made.new if made.new != NOWHERE else made.original_end)
            kinds.append(("alternative", made.feature))
        for edge in special.edges:
            sources.append(edge.source * _ORDER + _AT_EDGES)
            targets.append(edge.target)
            kinds.append((edge.kind, -1))
        for jump, positions in self.program.switches.items():
            own = sorted(set(positions))
            sources += [jump * _ORDER + _AT_ITSELF] * len(own)
            targets += own
            kinds += [("jump-table", -1)] * len(own)
        goals = self._keys(targets)
        found = np.searchsorted(keys, goals).tolist()
        starts = np.searchsorted(keys, np.array(sources, np.int64)).tolist()
        ways: dict[int, list[Way]] = {}
        for start, goal, target, (kind, feature) in zip(
            starts, goals.tolist(), found, kinds, strict=True
        ):
            if goal >= 0:
                ways.setdefault(start, []).append(Way(target, kind, feature))
        return ways

    def _replaced(self, keys: Ints) -> frozenset[int]:
        # As objtool does: the way without POPCNT is left out, on so few machines it is run.
        # A way that opens user memory in one alternative must close it in the next.
        left_out = (FEATURE_POPCNT, FEATURE_SMAP) if self.uaccess else (FEATURE_POPCNT,)
        return frozenset(
            int(np.searchsorted(keys, self._edges_key(made.original)))
            for made in self.program.special.alternatives
            if made.feature in left_out
        )


def make_events(program: Program, frame_pointer: bool, uaccess: bool = False) -> Events:
    """Pick the events of a program.

    Args:
        program: the file.
        frame_pointer: whether calls and writes to rbp are events, too.
        uaccess: whether stac and clac are events, too.
    """
    return _Maker(program, frame_pointer, uaccess).make()
