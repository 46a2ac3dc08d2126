"""Disassembly for people: made only around what is shown."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kdash.backends.stack.codes import CALL, JCC, JMP, RET
from kdash.backends.stack.events import FIRST_OPERATION
from kdash.backends.stack.facts import Line, SourceLine
from kdash.backends.stack.image import (
    R_X86_64_PC32,
    R_X86_64_PLT32,
    STT_NOTYPE,
    STT_SECTION,
)
from kdash.backends.stack.printable import printable
from kdash.backends.stack.source_lines import SourceLines
from kdash.backends.stack.state import describe
from kdash.backends.stack.walk import Walk

if TYPE_CHECKING:
    from iced_x86 import Formatter

_MOST_TEXTS = 4096  # instructions whose texts are kept
CONTEXT = 12  # instructions shown before and after a site


class Listing:
    """Formats instructions of a walked program.

    Args:
        walk: the program.
        sources: its line tables, where the listing is to tell where source lines begin.
    """

    def __init__(self, walk: Walk, sources: SourceLines | None = None) -> None:
        self.walk = walk
        self._sources = sources
        self.program = walk.program
        self.code = walk.program.code
        self._texts: dict[int, str] = {}

    @cached_property
    def _formatter(self) -> Formatter:
        from iced_x86 import Formatter, FormatterSyntax

        formatter = Formatter(FormatterSyntax.INTEL)
        formatter.hex_prefix, formatter.hex_suffix = "0x", ""
        formatter.space_after_operand_separator = True
        formatter.branch_leading_zeros = False
        formatter.uppercase_hex = False
        formatter.show_branch_size = False
        formatter.rip_relative_addresses = True
        return formatter

    @cached_property
    def _labels(self) -> dict[int, str]:
        """Names of symbols in code, by position; functions win over labels."""
        symbols = self.program.image.symbols
        base = self.code.bases[symbols.section]
        named = np.flatnonzero((base >= 0) & (symbols.type <= 2) & (symbols.name > 0))
        order = named[np.lexsort((symbols.type[named] != STT_NOTYPE,))]
        return {
            int(base[index] + symbols.value[index]): self.program.image.symbol_name(int(index))
            for index in order.tolist()
        }

    def around(self, site: int, count: int = CONTEXT) -> tuple[Line, ...]:
        """Lines for the instructions around one, within its section."""
        section = self.code.section_at(int(self.code.start[site]))
        first, last = max(site - count, section.first), min(site + count + 1, section.last)
        return self.span(first, last, site)

    def span(self, first: int, last: int, site: int = -1) -> tuple[Line, ...]:
        """Lines for a range of instructions of one section."""
        base = self.code.section_at(int(self.code.start[first])).base if last > first else 0
        lines = []
        source: SourceLine | None = None
        for index in range(first, last):
            position = int(self.code.start[index])
            before, source = source, self._sources.find(position) if self._sources else None
            lines.append(
                Line(
                    position - base,
                    self.code.raw(index),
                    self.text(index),
                    site=index == site,
                    state=self.state_text(index),
                    symbol=printable(self._labels.get(position, "")),
                    source=source if source != before else None,
                )
            )
        return tuple(lines)

    def state_text(self, index: int) -> str:
        """The stack state in front of an instruction, empty where it was never reached."""
        state = state_before(self.walk, index)
        return describe(self.walk.transitions.table.states[state]) if state >= 0 else ""

    def text(self, index: int) -> str:
        """One instruction as text, with the names that its relocation gives."""
        text = self._texts.get(index)
        if text is None:
            if len(self._texts) == _MOST_TEXTS:
                self._texts.clear()
            text = self._texts[index] = self._formatted(index)
        return text

    def _formatted(self, index: int) -> str:
        from iced_x86 import Decoder

        position = int(self.code.start[index])
        decoded = Decoder(64, self.code.raw(index), ip=position).decode()
        control = int(self.code.control[index])
        relocation = int(self.program.relocations.by_instruction[index])
        if decoded.is_jcc_short_or_near or decoded.is_jmp_short_or_near or decoded.is_call_near:
            mnemonic = self._formatter.format_mnemonic(decoded)
            return f"{mnemonic} {self._branch_target(index, relocation)}"
        text = self._formatter.format(decoded)
        if relocation >= 0 and control not in (CALL, JMP, JCC, RET):
            return f"{text}  # {self._referred(index, relocation)}"
        if decoded.is_ip_rel_memory_operand:
            return f"{text}  # {self._at(index, decoded.ip_rel_memory_address)}"
        return text

    def _at(self, index: int, position: int) -> str:
        """A position that an instruction reaches without a relocation: in its own section."""
        section = self.code.section_at(int(self.code.start[index]))
        if section.base <= position < section.end:
            return self.place(position)
        return "outside of the section"

    def _branch_target(self, index: int, relocation: int) -> str:
        branches = self.program.branches
        at = int(np.searchsorted(branches.instruction, index))
        if at < len(branches.instruction) and branches.instruction[at] == index:
            target = int(branches.target[at])
            if branches.external[at] < 0 and target >= 0:
                return self.place(target)
        if relocation >= 0:
            return self._referred(index, relocation)
        return "outside of the section"

    def _referred(self, index: int, relocation: int) -> str:
        relocations, image = self.program.relocations, self.program.image
        symbol = int(relocations.symbol[relocation])
        addend = int(relocations.addend[relocation])
        if relocations.type[relocation] in (R_X86_64_PC32, R_X86_64_PLT32):
            behind = int(self.code.start[index] + self.code.length[index])
            addend += behind - int(relocations.position[relocation])
        name = printable(image.symbol_name(symbol))
        plain = addend == 0 and image.symbols.type[symbol] != STT_SECTION
        return name if plain else f"{name}{'+' if addend >= 0 else '-'}{abs(addend):#x}"

    def place(self, position: int) -> str:
        """A position in words: `function+0x1d`, or the section's name outside functions."""
        functions = self.program.functions
        function = functions.around_one(position)
        if function >= 0:
            name, start = functions.name(function), int(functions.start[function])
        else:
            section = self.code.section_at(position)
            name, start = section.section.name, section.base
        distance = position - start
        return printable(name) + (f"+{distance:#x}" if distance or function < 0 else "")


def state_before(walk: Walk, index: int) -> int:
    """Number of the state in front of an instruction, -1 where it was never reached."""
    events = walk.events
    event = events.of(index)
    state = walk.visited[event]
    if state < 0 or int(events.instruction[event]) == index:
        return state
    kind = events.code[event]
    if kind < FIRST_OPERATION:
        return state
    after = walk.transitions.table.steps[state].get(kind, state)
    return after if after >= 0 else walk.transitions.troubles[-after - 1][1]
