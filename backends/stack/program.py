"""An object file ready for the walk: code, functions, branches and what special sections say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.architecture import architecture
from kdash.backends.stack.branches import (
    NOWHERE,
    Branches,
    CodeRelocations,
    find_branches,
    read_code_relocations,
)
from kdash.backends.stack.codes import (
    BUG,
    CALL,
    CALL_INDIRECT,
    JCC,
    JMP,
    JMP_INDIRECT,
    NOP,
    RET,
)
from kdash.backends.stack.decode import Code
from kdash.backends.stack.functions import Functions, find_functions, join_cold_parts
from kdash.backends.stack.hints import HintKind
from kdash.backends.stack.image import STT_FUNC, Ints, ObjectImage
from kdash.backends.stack.membership import among
from kdash.backends.stack.noreturn import DeadEnds, ending_instructions, noreturn_names
from kdash.backends.stack.special import Alternative, Special, read_special
from kdash.backends.stack.switch_tables import SwitchTables
from kdash.backends.stack.uaccess import is_uaccess_safe

RETURN_THUNKS = ("__x86_return_thunk",)
INDIRECT_THUNKS = (
    "__x86_indirect_thunk_",
    "__x86_indirect_jump_thunk_",
    "__x86_indirect_call_thunk_",
)
ENTRY_CALLS = ("__fentry__", "mcount")  # made before a frame can exist
# Returns that lie inside of another instruction, against speculation (arch/x86/lib/retpoline.S).
EMBEDDED = ("retbleed_return_thunk", "srso_safe_ret")


@dataclass(slots=True)
class Externals:
    """Undefined symbols that branches go to, by what they mean."""

    return_thunks: Ints
    indirect_thunks: Ints
    entry_calls: Ints
    noreturn: set[int]


class Program:
    """Everything the walk reads, made once for a file.

    Args:
        image: the object.
        noreturn: names that never return besides the known ones.
    """

    def __init__(self, image: ObjectImage, noreturn: tuple[str, ...] = ()) -> None:
        self.image = image
        self.architecture = architecture(image.machine)
        self.code: Code = self.architecture.decode(image)
        self.functions: Functions = find_functions(image, self.code)
        self.relocations: CodeRelocations = read_code_relocations(image, self.code)
        self.branches: Branches = find_branches(image, self.code, self.relocations)
        self.special: Special = read_special(image, self.code)
        self._names = noreturn_names(image, noreturn)
        self.externals = self._name_externals()
        self._thunk_jumps()
        self._redirect_replacements()
        self._join_cold_parts()
        self.switches = self._find_switches()
        self.ending = self._find_ending()

    def _name_externals(self) -> Externals:
        used = np.zeros(len(self.image.symbols.name) + 1, np.bool_)
        used[self.branches.external] = True
        symbols = np.flatnonzero(used[:-1])
        names = list(zip(symbols.tolist(), self.image.raw_names(symbols), strict=True))

        def chosen(wanted: Iterable[str]) -> list[int]:
            raw = {name.encode("utf-8", "surrogateescape") for name in wanted}
            return [symbol for symbol, name in names if name in raw]

        prefixes = tuple(name.encode() for name in INDIRECT_THUNKS)
        return Externals(
            np.array(chosen(RETURN_THUNKS), np.int64),
            np.array([s for s, name in names if name.startswith(prefixes)], np.int64),
            np.array(chosen(ENTRY_CALLS + EMBEDDED), np.int64),
            set(chosen(self._names)),
        )

    def calls_one_of(self, symbols: Ints) -> npt.NDArray[np.bool_]:
        """Which branches go to one of these external symbols."""
        wanted = np.zeros(len(self.image.symbols.name) + 1, np.bool_)
        wanted[symbols] = True
        result: npt.NDArray[np.bool_] = wanted[self.branches.external]
        return result

    def _thunk_jumps(self) -> None:
        """Give jumps to thunks the meaning of the instruction they stand for."""
        control, branches = self.code.control, self.branches
        kind = control[branches.instruction]
        returns = self.calls_one_of(self.externals.return_thunks) | self._embedded
        returns &= kind == JMP
        indirect = self.calls_one_of(self.externals.indirect_thunks)
        control[branches.instruction[returns]] = RET
        control[branches.instruction[indirect & (kind == JMP)]] = JMP_INDIRECT
        control[branches.instruction[indirect & (kind == CALL)]] = CALL_INDIRECT

    @cached_property
    def _embedded(self) -> npt.NDArray[np.bool_]:
        """Which branches go to a return inside of another instruction."""
        symbols = self.image.symbols
        at = np.array(self.image.symbols_named(*EMBEDDED), np.int64)
        at = at[symbols.section[at] > 0]
        base = self.code.bases[symbols.section[at]]
        return among(self.branches.target, (base + symbols.value[at])[base >= 0])

    def entry_calls(self) -> Ints:
        """Calls that need no frame, by instruction."""
        chosen = self.calls_one_of(self.externals.entry_calls) | self._embedded
        result: Ints = self.branches.instruction[chosen]
        return result

    @cached_property
    def replacements(self) -> list[Alternative]:
        """Alternatives with a replacement, sorted by where it lies."""
        return sorted((a for a in self.special.alternatives if a.new >= 0), key=lambda a: a.new)

    def replacement_of(self, positions: Ints) -> Ints:
        """Index into `replacements` of the one around each position, -1 outside of all."""
        if not self.replacements or not len(positions):
            return np.full(len(positions), -1, np.int64)
        new = np.array([a.new for a in self.replacements], np.int64)
        end = np.array([a.new_end for a in self.replacements], np.int64)
        found = np.searchsorted(new, positions, "right") - 1
        return np.where((found >= 0) & (positions < end[found]), found, -1)

    def _redirect_replacements(self) -> None:
        """A jump to the end of its replacement goes behind the original instructions."""
        self.origin = self.code.start[self.branches.instruction]
        held = self.replacement_of(self.origin)
        for at in np.flatnonzero(held >= 0).tolist():
            alternative = self.replacements[held[at]]
            # For its function, the replacement is where the original is.
            self.origin[at] = alternative.original
            if self.branches.target[at] == alternative.new_end:
                self.branches.target[at] = alternative.original_end

    def _join_cold_parts(self) -> None:
        kind = self.code.control[self.branches.instruction]
        inside = (self.branches.target >= 0) & ((kind == JMP) | (kind == JCC))
        self.source_function = self.functions.containing(self.origin)
        self.target_function = self.functions.containing(self.branches.target)
        starts = np.append(self.functions.start, NOWHERE - 1)
        at_start = starts[self.target_function] == self.branches.target
        #: For each branch the function that it enters at its start, -1 if none.
        self.entered: Ints = np.where(at_start, self.target_function, -1)
        edges = self.special.edges
        join_cold_parts(
            self.functions,
            self.functions.containing(
                self.code.start[np.array([edge.source for edge in edges], np.int64)]
            ),
            self.functions.containing(np.array([edge.target for edge in edges], np.int64)),
        )
        join_cold_parts(self.functions, self.source_function[inside], self.target_function[inside])

    def roots(self, functions: Ints) -> Ints:
        """The root of each function, -1 kept."""
        if not len(self.functions):
            return np.full(len(functions), -1, np.int64)
        return np.where(functions >= 0, self.functions.root[functions], -1)

    def _find_switches(self) -> dict[int, list[int]]:
        jumps = np.flatnonzero(self.code.control == JMP_INDIRECT).tolist()
        if not jumps:
            return {}
        tables = SwitchTables(
            self.image, self.code, self.functions, self.relocations, self.branches
        )
        return tables.targets(jumps, frozenset(jumps))

    def _find_ending(self) -> npt.NDArray[np.bool_]:
        """For each instruction whether the path ends with it though it looks as if not."""
        code, branches, special = self.code, self.branches, self.special
        source, target = self.roots(self.source_function), self.roots(self.target_function)
        start = self.entered
        kind = code.control[branches.instruction]
        out = ((kind == JMP) | (kind == JCC)) & (source != target)
        jumps = np.flatnonzero(code.control == JMP_INDIRECT)
        jumps = jumps[~among(jumps, np.array(sorted(self.switches), np.int64))]
        known = self.externals.noreturn
        siblings = (
            np.concatenate([self.origin[out], code.start[jumps]]),
            np.concatenate([start[out], np.full(len(jumps), -1, np.int64)]),
            [symbol in known for symbol in branches.external[out].tolist()] + [False] * len(jumps),
        )
        returns = code.start[code.control == RET]
        dead_ends = DeadEnds(self.functions, self._names, returns, siblings)
        ending = np.zeros(len(code), np.bool_)
        named = self.calls_one_of(np.array(sorted(known), np.int64))
        calls = ending_instructions(branches, self.entered, dead_ends, named)
        ending[calls[code.control[calls] == CALL]] = True
        ending[code.control == BUG] = True
        ending[special.dead_ends] = True
        ending[special.reachable] = False
        continues = code.index_at(special.continues)
        ending[continues[continues >= 0]] = False
        return ending

    def callee(self, instruction: int) -> str:
        """The name of what a direct call or jump goes to, empty if it has none."""
        at = int(np.searchsorted(self.branches.instruction, instruction))
        if at >= len(self.branches.instruction) or self.branches.instruction[at] != instruction:
            return ""
        if self.branches.external[at] >= 0:
            return self.image.symbol_name(int(self.branches.external[at]))
        found = int(self.entered[at])
        return self.functions.name(found) if found >= 0 else ""

    @cached_property
    def lost_calls(self) -> Ints:
        """Calls inside the file to a place without a symbol, or noted so; ascending."""
        branches, symbols = self.branches, self.image.symbols
        kind = self.code.control[branches.instruction]
        calls = np.flatnonzero((kind == CALL) & (branches.external < 0))
        noted = among(self.code.start[branches.instruction[calls]], self.special.inner_calls)
        if len(calls):
            base = self.code.bases[symbols.section]
            named = (base + symbols.value)[(base >= 0) & (symbols.type <= STT_FUNC)]
            inside = self.entered[calls] < 0
            calls = calls[noted | (inside & ~among(branches.target[calls], named))]
        result: Ints = branches.instruction[calls]
        return result

    @cached_property
    def uaccess_safe(self) -> frozenset[int]:
        """Functions of the file that may run with user memory open."""
        functions = self.functions
        return frozenset(at for at in range(len(functions)) if is_uaccess_safe(functions.name(at)))

    def is_hinted(self, instruction: int) -> bool:
        """Whether a hint tells the state before an instruction."""
        code = self.code
        if not 0 <= instruction < len(code):
            return False
        hint = self.special.hints.get(int(code.start[instruction]))
        return hint is not None and hint.kind is not HintKind.SAVE

    def is_noted_inner_call(self, instruction: int) -> bool:
        """Whether the author said that a call stays inside its function."""
        return int(self.code.start[instruction]) in self.special.inner_calls

    def count_frames(self) -> tuple[int, int]:
        """Functions that begin with a frame pointer prologue, and functions that call."""
        code = self.code
        entry = self.entry_calls()
        calls = (code.control == CALL) | (code.control == CALL_INDIRECT)
        calls[entry] = False
        holder = self.roots(self.functions.containing(code.start[calls]))
        calling = len(set(holder[holder >= 0].tolist()))
        skipped = set(entry.tolist())
        prologues = sum(
            self._has_prologue(int(first), skipped)
            for first, root in zip(
                self.functions.instruction.tolist(), self.functions.root.tolist(), strict=True
            )
            if first >= 0
        )
        return prologues, calling

    def _has_prologue(self, at: int, skipped: set[int]) -> bool:
        code = self.code
        count = len(code)
        end = min(at + 4, count)
        while at < end and (
            code.control[at] == NOP or at in skipped or code.raw(at) == b"\xf3\x0f\x1e\xfa"
        ):
            at += 1
        if at >= count or code.raw(at) != b"\x55":
            return False
        # The compiler may put other instructions in between.
        return any(code.raw(i) in _SET_UP for i in range(at + 1, min(at + 6, count)))


_SET_UP = (b"\x48\x89\xe5", b"\x48\x8b\xec", b"\x48\x8d\x2c\x24")
