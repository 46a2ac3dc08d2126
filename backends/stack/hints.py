"""Unwind hints: what the author of assembly says of the stack (`.discard.unwind_hints`).

The layout is struct unwind_hint: a relative address, an offset, a register and a type, each of
include/linux/objtool.h (4.14 to 6.3) or objtool_types.h (from 6.4 on). Two numberings of the
types exist, and an object doesn't say which it has: the entries themselves tell them apart.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from kdash.backends.stack.state import (
    ENTRY,
    INDIRECT_RBP,
    INDIRECT_RSP,
    NO_BASE,
    RBP,
    RSP,
    UNKNOWN,
    State,
)


class HintKind(Enum):
    """What a hint says."""

    UNDEFINED = auto()  # nothing is known, on purpose
    END_OF_STACK = auto()  # no frame is below
    CALL = auto()  # the CFA is register + offset
    REGISTERS = auto()  # all registers of an interrupted context are there
    PARTIAL_REGISTERS = auto()  # those that an interrupt pushes
    FUNCTION = auto()  # as at the entry of a function
    SAVE = auto()
    RESTORE = auto()  # the state of the SAVE in front


class Hint(NamedTuple):
    """One hint: what the state is before the instruction it stands at."""

    kind: HintKind
    base: int = NO_BASE  # state.py's registers
    offset: int = 0  # bytes


class Entry(NamedTuple):
    """One entry as it stands in the section."""

    offset: int
    register: int
    type: int
    tail: int  # the bytes behind the type: `end`, from 6.3 on `signal`


#: ORC_REG_* of arch/x86/include/asm/orc_types.h: DX, DI, BP, SP, R10, R13, [BP], [SP].
_BASES: Final = {2: 2, 3: 7, 4: RBP, 5: RSP, 6: 10, 7: 13, 8: INDIRECT_RBP, 9: INDIRECT_RSP}
_SHORT: Final = 8  # bytes of an entry up to 4.18: no byte behind the type
_LONG: Final = 12

_SINCE_6_4: Final = (
    *(HintKind.UNDEFINED, HintKind.END_OF_STACK, HintKind.CALL, HintKind.REGISTERS),
    *(HintKind.PARTIAL_REGISTERS, HintKind.FUNCTION, HintKind.SAVE, HintKind.RESTORE),
)
_UP_TO_6_3: Final = (
    *(HintKind.CALL, HintKind.REGISTERS, HintKind.PARTIAL_REGISTERS, HintKind.FUNCTION),
    *(HintKind.CALL, HintKind.SAVE, HintKind.RESTORE),
)


def read_hints(content: bytes, offsets: list[int]) -> list[Hint]:
    """The hints of a section, one for each of the offsets that its relocations name."""
    stride = _stride(len(content), offsets)
    entries = [_entry(content, offset, stride) for offset in offsets]
    types = _SINCE_6_4 if stride > _SHORT and _is_since_6_4(entries) else _UP_TO_6_3
    return [_hint(entry, types) for entry in entries]


def hint_state(hint: Hint) -> State:
    """The stack state that a hint (no RESTORE) stands for."""
    match hint.kind:
        case HintKind.FUNCTION:
            return ENTRY
        case HintKind.UNDEFINED:
            return UNKNOWN
        case HintKind.REGISTERS | HintKind.PARTIAL_REGISTERS:
            return State(hint.base, hint.offset, 0, registers=True)
        case HintKind.CALL if hint.base != NO_BASE:
            size = hint.offset if hint.base == RSP else 0
            return State(hint.base, hint.offset, size)
        case _:
            return State(NO_BASE, 0, 0)


def _stride(size: int, offsets: list[int]) -> int:
    if len(offsets) > 1:
        return offsets[1] - offsets[0]
    return _LONG if size >= _LONG else _SHORT


def _entry(content: bytes, offset: int, stride: int) -> Entry:
    entry = content[offset : offset + stride].ljust(_LONG, b"\0")
    return Entry(
        int.from_bytes(entry[4:6], "little", signed=True),
        entry[6],
        entry[7],
        int.from_bytes(entry[8:_LONG], "little"),
    )


def _is_since_6_4(entries: list[Entry]) -> bool:
    """Whether the types are those of Linux 6.4 and newer."""
    verdicts = {_tells_6_4(entry) for entry in entries}
    return False not in verdicts


def _tells_6_4(entry: Entry) -> bool | None:
    """What one entry tells; None where it may be either.

    Up to 6.3, an empty hint is a CALL (0) without a register whose `end` is set, and ENTRY (4),
    SAVE and RESTORE (3 and 4, then 5 and 6) have no register. Since then, UNDEFINED (0) and
    END_OF_STACK (1) have neither, and hints of registers (3, 4) set `signal`.
    """
    match entry.type:
        case 0:
            return not entry.register and not entry.tail
        case 1:
            return not entry.register
        case 2:
            return None if entry.offset else False
        case 3:
            return bool(entry.register) and (entry.offset != 8 or bool(entry.tail))
        case 4 | 5:
            return bool(entry.register)
        case 7:
            return True
        case _:
            return None


def _hint(entry: Entry, types: tuple[HintKind, ...]) -> Hint:
    kind = types[entry.type] if entry.type < len(types) else HintKind.UNDEFINED
    if types is _UP_TO_6_3:
        kind = _early_kind(entry, kind)
    return Hint(kind, _BASES.get(entry.register, NO_BASE), entry.offset)


def _early_kind(entry: Entry, kind: HintKind) -> HintKind:
    """Types that meant something else before: SAVE and RESTORE were 3 and 4 up to 5.6."""
    if entry.type == 3 and not entry.register:
        # From 5.7 to 5.11 it told a return address with more below it: a return may follow.
        return HintKind.FUNCTION if entry.offset else HintKind.SAVE
    if entry.type == 4 and not entry.register and not entry.tail:
        return HintKind.RESTORE
    return kind
