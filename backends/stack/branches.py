"""Where every direct jump and call goes: a position in the file or an external symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdash.backends.stack.codes import CALL, JCC, JMP
from kdash.backends.stack.decode import Code
from kdash.backends.stack.image import (
    Ints,
    ObjectImage,
    Relocations,
)

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class CodeRelocations:
    """The relocations inside of code, by instruction."""

    instruction: Ints  # ascending
    position: Ints
    type: Ints
    symbol: Ints
    addend: Ints
    by_instruction: Ints  # for every instruction its (last) relocation, -1 without


@dataclass(frozen=True, slots=True)
class Branches:
    """Direct jumps and calls, ascending by instruction."""

    instruction: Ints
    target: Ints  # a position; -1 when the target is not code of this file
    external: Ints  # symbol outside of this file's code that it goes to, -1 if none


def read_code_relocations(image: ObjectImage, code: Code) -> CodeRelocations:
    """Attribute the relocations of all executable sections to their instructions."""
    parts = [
        (image.relocations(section.section), section.base)
        for section in code.sections
        if len(image.relocations(section.section))
    ]
    by_instruction = np.full(len(code), -1, np.int64)
    if not parts:
        none = np.empty(0, np.int64)
        return CodeRelocations(none, none, none, none, none, by_instruction)
    position = np.concatenate([r.offset + base for r, base in parts])
    instruction = np.searchsorted(code.start, position, "right") - 1
    by_instruction[instruction] = np.arange(len(position))
    return CodeRelocations(
        instruction,
        position,
        np.concatenate([r.type for r, _ in parts]),
        np.concatenate([r.symbol for r, _ in parts]),
        np.concatenate([r.addend for r, _ in parts]),
        by_instruction,
    )


def find_branches(image: ObjectImage, code: Code, relocations: CodeRelocations) -> Branches:
    """Resolve all direct jumps and calls.

    A relocation in the instruction's bytes decides; without one, the displacement does.
    """
    control = code.control
    instruction = np.flatnonzero((control == JCC) | (control == JMP) | (control == CALL))
    after = code.start[instruction] + code.length[instruction]
    # The four bytes up to the end, wherever they lie: the code ends with a gap.
    words = np.ndarray((max(len(code.data) - 3, 0),), "<i4", code.data.data, strides=(1,))
    near = words[np.maximum(after - 4, 0)].astype(np.int64)
    rel8 = code.data[after - 1].astype(np.int8).astype(np.int64)
    # No form with a 32-bit displacement is shorter than 5 bytes.
    target = after + np.where(code.length[instruction] < 5, rel8, near)
    external = np.full(len(instruction), -1, np.int64)

    relocation = relocations.by_instruction[instruction]
    held = np.flatnonzero(relocation >= 0)
    chosen = relocation[held]
    symbol = relocations.symbol[chosen]
    section = image.symbols.section[symbol]
    base = code.bases[section]
    behind = after[held] - relocations.position[chosen]
    place = image.symbols.value[symbol] + relocations.addend[chosen] + behind
    inside = (base >= 0) & (place >= 0) & (place <= code.sizes[section])
    target[held] = np.where(inside, base + place, NOWHERE)
    external[held] = np.where(base >= 0, -1, symbol)

    # Without a relocation a branch stays in its section.
    free = np.flatnonzero(relocation < 0)
    if len(free):
        bases = np.array([s.base for s in code.sections], np.int64)
        ends = np.array([s.end for s in code.sections], np.int64)
        own = np.searchsorted(bases, code.start[instruction[free]], "right") - 1
        outside = (target[free] < bases[own]) | (target[free] > ends[own])
        target[free[outside]] = NOWHERE
    return Branches(instruction, target, external)


def resolve(image: ObjectImage, code: Code, relocations: Relocations) -> Ints:
    """Positions that the relocations of a table refer to, -1 where it is no code."""
    section = image.symbols.section[relocations.symbol]
    base = code.bases[section]
    place = image.symbols.value[relocations.symbol] + relocations.addend
    inside = (base >= 0) & (place >= 0) & (place <= code.sizes[section])
    return np.where(inside, base + place, NOWHERE)
