"""Jump tables of switch statements, found for the indirect jumps that use them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdash.backends.stack.branches import Branches, CodeRelocations
from kdash.backends.stack.codes import JMP, JMP_INDIRECT
from kdash.backends.stack.decode import Code
from kdash.backends.stack.functions import Functions
from kdash.backends.stack.image import (
    R_X86_64_64,
    R_X86_64_PC32,
    R_X86_64_PLT32,
    STT_OBJECT,
    ObjectImage,
    Relocations,
)
from kdash.backends.stack.section_headers import Section

_MOST_STEPS = 400  # instructions to look back for the table
_MOST_ENTRIES = 65536  # of one table
_MOST_TARGETS = 1 << 20  # of all tables of a file


@dataclass(frozen=True, slots=True)
class Table:
    """Where a jump table lies."""

    section: Section
    offset: int  # bytes from the section's start


class SwitchTables:
    """Finds the jump table of an indirect jump and reads its entries."""

    def __init__(
        self,
        image: ObjectImage,
        code: Code,
        functions: Functions,
        relocations: CodeRelocations,
        branches: Branches,
    ) -> None:
        self._image = image
        self._code = code
        self._functions = functions
        self._relocations = relocations
        self._branches = branches
        self._heads: dict[int, set[int]] = {}
        self._read: dict[tuple[Table, int], list[int]] = {}  # by table and function

    def targets(self, jumps: list[int], stops: frozenset[int]) -> dict[int, list[int]]:
        """The positions each indirect jump may go to, for those with a table.

        Args:
            jumps: instruction indexes of the indirect jumps.
            stops: all instructions that end the search backwards.
        """
        tables: dict[int, Table] = {}
        for jump in jumps:
            table = self._find(jump, stops)
            if table is not None:
                tables[jump] = table
                self._heads.setdefault(table.section.index, set()).add(table.offset)
        found: dict[int, list[int]] = {}
        left = _MOST_TARGETS
        for jump, table in tables.items():
            targets = self._read_once(jump, table)[:left]
            left -= len(targets)
            if targets:
                found[jump] = targets
        return found

    def _read_once(self, jump: int, table: Table) -> list[int]:
        key = (table, self._root(int(self._code.start[jump])))
        if key not in self._read:
            self._read[key] = self._entries(jump, table, _MOST_ENTRIES)
        return self._read[key]

    def _root(self, position: int) -> int:
        own = self._functions.around_one(position)
        return own if own < 0 else int(self._functions.root[own])

    def _find(self, jump: int, stops: frozenset[int]) -> Table | None:
        code = self._code
        position = int(code.start[jump])
        function = self._root(position)
        if function < 0:
            return None
        own = self._functions.around_one(position)
        floor = int(self._functions.start[own])
        at = jump
        for _ in range(_MOST_STEPS):
            relocation = int(self._relocations.by_instruction[at])
            if relocation >= 0:
                table = self._table_of(at, relocation)
                if table is not None and self._entries(jump, table, 1):
                    return table
            at -= 1
            if at < 0 or code.start[at] < floor or at in stops or self._leaves(at, jump):
                return None
        return None

    def _leaves(self, at: int, jump: int) -> bool:
        """Whether a jump on the way back goes anywhere but forward to before `jump`."""
        if self._code.control[at] not in (JMP, JMP_INDIRECT):
            return False
        found = int(np.searchsorted(self._branches.instruction, at))
        target = int(self._branches.target[found]) if found < len(self._branches.target) else -1
        return not int(self._code.start[at]) < target <= int(self._code.start[jump])

    def _table_of(self, instruction: int, relocation: int) -> Table | None:
        """The anonymous read-only data that an instruction refers to."""
        image, code = self._image, self._code
        symbol = int(self._relocations.symbol[relocation])
        index = int(image.symbols.section[symbol])
        if index <= 0:
            return None
        section = image.sections[index]
        if not section.name.startswith(".rodata") or ".str1." in section.name:
            return None
        offset = int(image.symbols.value[symbol]) + int(self._relocations.addend[relocation])
        if self._relocations.type[relocation] in (R_X86_64_PC32, R_X86_64_PLT32):
            behind = code.start[instruction] + code.length[instruction]
            offset += int(behind - self._relocations.position[relocation])
        if not 0 <= offset < section.size:
            return None
        if image.symbols.type[symbol] == STT_OBJECT and "c_jump_table" not in section.name:
            return None
        return Table(section, offset)

    def _entries(self, jump: int, table: Table, limit: int) -> list[int]:
        """Targets of consecutive entries inside of the jump's function."""
        relocations = self._image.relocations(table.section)
        heads = self._heads.get(table.section.index, set())
        function = self._root(int(self._code.start[jump]))
        at = int(np.searchsorted(relocations.offset, table.offset))
        step = 8 if at < len(relocations) and relocations.type[at] == R_X86_64_64 else 4
        offset = table.offset
        targets: list[int] = []
        while at < len(relocations) and len(targets) < limit:
            if relocations.offset[at] != offset or (offset != table.offset and offset in heads):
                break
            target = self._entry(relocations, at, offset - table.offset)
            if target < 0 or self._root(target) != function:
                break
            if self._code.index_at(np.array([target], np.int64))[0] < 0:
                break
            targets.append(target)
            at += 1
            offset += step
        return targets

    def _entry(self, relocations: Relocations, at: int, into: int) -> int:
        """Position that one entry means, -1 if it is no code."""
        symbol = int(relocations.symbol[at])
        index = int(self._image.symbols.section[symbol])
        base = int(self._code.bases[index])
        place = int(self._image.symbols.value[symbol]) + int(relocations.addend[at])
        kind = int(relocations.type[at])
        if kind in (R_X86_64_PC32, R_X86_64_PLT32):
            place -= into  # the table holds distances from its own start
        elif kind != R_X86_64_64:
            return -1
        if base < 0 or not 0 <= place < int(self._code.sizes[index]):
            return -1
        return base + place
