"""Sections that tell how code may change or continue: alternatives, labels, traps, notes.

Layouts, from the kernel's headers:
    .altinstructions  struct alt_instr, arch/x86/include/asm/alternative.h: 12 bytes up to 6.2,
                      13 with a padding length in 4.x and 5.x, 14 from 6.3 on
    __jump_table      struct jump_entry, include/linux/jump_label.h: 16 bytes
    __ex_table        struct exception_table_entry, arch/x86/include/asm/extable.h: 12 bytes
    __bug_table       struct bug_entry, include/asm-generic/bug.h: 12 bytes, 8 without file names
    .discard.*        notes of objtool.h and annotate.h; the final link drops them
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kdash.backends.stack.branches import NOWHERE, resolve
from kdash.backends.stack.codes import JMP, NOP
from kdash.backends.stack.decode import Code
from kdash.backends.stack.facts import ObjectError
from kdash.backends.stack.hints import Hint, read_hints
from kdash.backends.stack.image import Ints, ObjectImage
from kdash.backends.stack.membership import among
from kdash.backends.stack.section_headers import Section

ALTERNATIVE = "alternative"
JUMP_LABEL = "jump-label"
EXCEPTION = "exception"

_REFERENCE = 4  # bytes of a reference to code in these tables
BUGFLAG_WARNING = 1  # include/linux/bug.h: execution goes on behind the ud2
# arch/x86/include/asm/cpufeatures.h
FEATURE_POPCNT = 4 * 32 + 23
FEATURE_SMAP = 9 * 32 + 20

# include/linux/objtool_types.h, since 6.13
_ANNOTATE_NO_ENDBR = 1
_ANNOTATE_RETPOLINE_SAFE = 2
_ANNOTATE_IGNORE_ALTERNATIVE = 6
_ANNOTATE_INTRA_FUNCTION_CALL = 7
_ANNOTATE_REACHABLE = 8


class Alternative(NamedTuple):
    """One entry of .altinstructions; positions in bytes of the code."""

    original: int
    original_end: int
    new: int  # NOWHERE when the replacement is empty
    new_end: int
    feature: int


class Edge(NamedTuple):
    """A way from one instruction to another that no branch shows."""

    source: int  # index of the instruction
    target: int  # position
    kind: str  # JUMP_LABEL or EXCEPTION


class Malformed(NamedTuple):
    """An entry that makes no sense."""

    message: str
    section: str
    offset: int
    original: int = NOWHERE  # position of the code it is about


@dataclass(slots=True)
class Special:
    """What the special sections say."""

    alternatives: list[Alternative] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    continues: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # ud2 positions
    dead_ends: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # instruction indexes
    reachable: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # instruction indexes
    ignored: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # function positions
    inner_calls: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # positions
    hints: dict[int, Hint] = field(default_factory=dict)  # by position
    retpoline_safe: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # positions
    no_endbr: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # positions


def read_special(image: ObjectImage, code: Code) -> Special:
    """Read all special sections of an image."""
    special = Special()
    for section in image.sections_named(".altinstructions"):
        _read_alternatives(image, code, section, special)
    for section in image.sections_named("__jump_table"):
        _read_jump_labels(image, code, section, special)
    for section in image.sections_named("__ex_table"):
        _read_exceptions(image, code, section, special)
    special.continues = _positions(
        [_warnings(image, code, section) for section in image.sections_named("__bug_table")]
    )
    special.dead_ends = _before(code, _notes(image, code, ".discard.unreachable"))
    special.reachable = _before(code, _notes(image, code, ".discard.reachable"))
    special.ignored = _notes(
        image, code, ".discard.func_stack_frame_non_standard", "__func_stack_frame_non_standard"
    )
    special.inner_calls = _notes(image, code, ".discard.intra_function_calls")
    for section in image.sections_named(".discard.unwind_hints"):
        _read_unwind_hints(image, code, section, special)
    special.retpoline_safe = _notes(image, code, ".discard.retpoline_safe")
    special.no_endbr = _notes(image, code, ".discard.noendbr")
    _leave_out(special, _notes(image, code, ".discard.ignore_alts"))
    _read_annotations(image, code, special)
    return special


def _leave_out(special: Special, originals: Ints) -> None:
    """Forget the alternatives that somebody declared no matter of stacks."""
    ignored = set(originals.tolist())
    special.alternatives = [a for a in special.alternatives if a.original not in ignored]


def _positions(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _notes(image: ObjectImage, code: Code, *names: str) -> Ints:
    """Positions of code that the relocations of a section of notes refer to."""
    parts = [
        resolve(image, code, image.relocations(section)) for section in image.sections_named(*names)
    ]
    found = _positions(parts)
    result: Ints = found[found != NOWHERE]
    return result


def _before(code: Code, positions: Ints) -> Ints:
    """The instructions in front of these positions."""
    return np.searchsorted(code.start, positions) - 1 if len(positions) else positions


def _pairs(image: ObjectImage, code: Code, section: Section) -> tuple[Ints, Ints, Ints]:
    """Entries with two references to code: their offsets, and both positions."""
    relocations = image.relocations(section)
    targets = resolve(image, code, relocations)
    if not len(targets):
        return targets, targets, targets
    offset = relocations.offset
    first = _entries(offset)
    first = first[first + 1 < len(offset)]
    first = first[offset[first + 1] == offset[first] + _REFERENCE]
    return offset[first], targets[first], targets[first + 1]


def _entries(offset: Ints) -> Ints:
    """Which relocations of a table begin an entry.

    Those of one entry follow each other; between entries is more room, and where a linker put
    the tables of several files together there may be padding, too.
    """
    begins = np.ones(len(offset), np.bool_)
    begins[1:] = offset[1:] - offset[:-1] > _REFERENCE
    return np.flatnonzero(begins)


# --- alternatives


def alternative_size(size: int, offsets: Ints) -> int:
    """Bytes of one alternatives entry, told by the distance of the relocations.

    Raises:
        ObjectError: the section fits no known layout.
    """
    sizes: tuple[int, ...] = (12, 13, 14)
    begins = offsets[_entries(offsets)]
    if len(begins) > 1:
        fitting = [s for s in sizes if s == int(np.diff(begins).min())]
    else:
        fitting = [s for s in sizes if size % s == 0]
    if not fitting:
        raise ObjectError(f".altinstructions of {size} bytes fits no known entry size")
    return fitting[0]


def _read_alternatives(image: ObjectImage, code: Code, section: Section, out: Special) -> None:
    content = image.content(section)
    offsets = image.relocations(section).offset
    if not content:
        return
    try:
        stride = alternative_size(len(content), offsets)
    except ObjectError as error:
        out.malformed.append(Malformed(str(error), section.name, 0))
        return
    entries, original, new = _pairs(image, code, section)
    lengths = 12 if stride == 14 else 10
    for entry, first, replacement in zip(
        entries.tolist(), original.tolist(), new.tolist(), strict=True
    ):
        feature = int.from_bytes(content[entry + 8 : entry + 10], "little")
        old_length, new_length = content[entry + lengths], content[entry + lengths + 1]
        if old_length == 0:
            continue
        made = Alternative(
            first,
            first + old_length,
            replacement if new_length else NOWHERE,
            replacement + new_length,
            feature & 0x7FFF,  # bit 15: inverted, up to 6.2
        )
        problem = _alternative_problem(code, made, new_length)
        if problem:
            out.malformed.append(Malformed(problem, section.name, entry, first))
        else:
            out.alternatives.append(made)


def _alternative_problem(code: Code, made: Alternative, new_length: int) -> str:
    starts = code.index_at(np.array([made.original, made.new], np.int64))
    if made.original == NOWHERE or starts[0] < 0:
        return "special: can't find orig instruction"
    if new_length and (made.new == NOWHERE or starts[1] < 0):
        return "special: can't find new instruction"
    ends = [made.original_end] + ([made.new_end] if new_length else [])
    for position, index in zip(ends, code.index_at(np.array(ends, np.int64)), strict=True):
        if index < 0 and not any(position == section.end for section in code.sections):
            return "alternative instruction group ends inside of an instruction"
    return ""


# --- jump labels and exceptions


def _read_jump_labels(image: ObjectImage, code: Code, section: Section, out: Special) -> None:
    entries, sources, targets = _pairs(image, code, section)
    instructions = code.index_at(sources)
    for entry, at, source, target in zip(
        entries.tolist(), sources.tolist(), instructions.tolist(), targets.tolist(), strict=True
    ):
        if source < 0:
            out.malformed.append(
                Malformed("special: can't find orig instruction", section.name, entry, at)
            )
            continue
        kind = int(code.control[source])
        if kind == NOP and target != NOWHERE:
            out.edges.append(Edge(source, target, JUMP_LABEL))
        elif kind == JMP:
            behind = int(code.start[source] + code.length[source])
            out.edges.append(Edge(source, behind, JUMP_LABEL))
        else:
            out.malformed.append(
                Malformed("unsupported instruction at jump label", section.name, entry, at)
            )


def _read_exceptions(image: ObjectImage, code: Code, section: Section, out: Special) -> None:
    entries, sources, targets = _pairs(image, code, section)
    instructions, landings = code.index_at(sources), code.index_at(targets)
    found = (instructions >= 0) & (landings >= 0)
    for at in np.flatnonzero(~found).tolist():
        # What refers to no code at all, as to a section that was dropped, is not looked at.
        which = "orig" if instructions[at] < 0 and sources[at] != NOWHERE else "new"
        if NOWHERE not in (sources[at], targets[at]):
            message = f"special: can't find {which} instruction"
            entry, original = int(entries[at]), int(sources[at])
            out.malformed.append(Malformed(message, section.name, entry, original))
    for source, target in zip(instructions[found].tolist(), targets[found].tolist(), strict=True):
        out.edges.append(Edge(source, target, EXCEPTION))


# --- notes and traps


def _read_unwind_hints(image: ObjectImage, code: Code, section: Section, out: Special) -> None:
    relocations = image.relocations(section)
    positions = resolve(image, code, relocations)
    found = code.index_at(positions)
    hints = read_hints(image.content(section), relocations.offset.tolist())
    for position, index, hint in zip(positions.tolist(), found.tolist(), hints, strict=True):
        if index >= 0:
            out.hints[position] = hint


def _warnings(image: ObjectImage, code: Code, section: Section) -> Ints:
    """Positions of the ud2 instructions of WARN(): execution continues behind them."""
    relocations = image.relocations(section)
    targets = resolve(image, code, relocations)
    offset = relocations.offset
    traps = np.flatnonzero(targets != NOWHERE)
    if not len(traps):
        return targets[:0]
    # The flags end an entry; where none has the name of a file, the room between them tells.
    named = bool(np.any(among(offset[traps] + _REFERENCE, offset)))
    distance = int(np.diff(offset[traps]).min()) if len(traps) > 1 else section.size
    size = 8 if not named and distance % 12 and distance % 8 == 0 else 12
    flags_at = offset[traps] + size - 2
    content = np.frombuffer(image.content(section), np.uint8)
    inside = flags_at < len(content)
    traps, flags_at = traps[inside], flags_at[inside]
    result: Ints = targets[traps[content[flags_at] & BUGFLAG_WARNING != 0]]
    return result


def _read_annotations(image: ObjectImage, code: Code, out: Special) -> None:
    for section in image.sections_named(".discard.annotate_insn"):
        relocations = image.relocations(section)
        targets = resolve(image, code, relocations)
        content = image.content(section)
        kinds = [
            int.from_bytes(content[offset + 4 : offset + 8], "little")
            for offset in relocations.offset.tolist()
        ]
        kind = np.array(kinds, np.int64)
        known = targets != NOWHERE
        reachable = targets[known & (kind == _ANNOTATE_REACHABLE)]
        at = code.index_at(reachable)
        out.reachable = np.concatenate([out.reachable, at[at >= 0]])
        inner = targets[known & (kind == _ANNOTATE_INTRA_FUNCTION_CALL)]
        out.inner_calls = np.concatenate([out.inner_calls, inner])
        safe = targets[known & (kind == _ANNOTATE_RETPOLINE_SAFE)]
        out.retpoline_safe = np.concatenate([out.retpoline_safe, safe])
        no_endbr = targets[known & (kind == _ANNOTATE_NO_ENDBR)]
        out.no_endbr = np.concatenate([out.no_endbr, no_endbr])
        _leave_out(out, targets[known & (kind == _ANNOTATE_IGNORE_ALTERNATIVE)])
