"""Instructions that write rsp, or a part of it, in ways that no stack operation has.

Two-byte opcodes (cmov, bsf, imul), operands of 8, 16 and 32 bits, exchanges with rax: whatever
they write, nobody can tell where the CFA is behind them. An instruction's opcode tells where its
register stands; prefixes, opcode maps and ModRM as in the Intel SDM, volume 2, chapter 2.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.codes import NONE, code_tables
from kdash.backends.stack.decode import Code
from kdash.backends.stack.image import Ints
from kdash.backends.stack.state import RSP

# Where the register that is written stands: in ModRM's reg or r/m, or in the opcode itself.
_NOWHERE, _IN_REG, _IN_RM, _IN_OPCODE, _UNKNOWN = range(5)
_MOST_PREFIXES: Final = 4  # more than these no assembler makes
_OPCODE_MAPS: Final = 2  # the one-byte one is 0, that of 0f is 1, those behind have three bytes

_PREFIX: Final = np.zeros(256, np.bool_)
_PREFIX[[0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3]] = True
_PREFIX[0x40:0x50] = True  # REX
_LEADS: Final = _PREFIX.copy()
_LEADS[0x0F] = True  # to another opcode map


class _Forms:
    """For each of the decoder's codes where the register stands, learnt as codes are met."""

    def __init__(self) -> None:
        size = len(code_tables().control)
        self.place = np.full(size, _UNKNOWN, np.uint8)
        self.opcode_bytes = np.zeros(size, np.uint64)
        self.byte_wide = np.zeros(size, np.bool_)

    def learn(self, codes: npt.NDArray[np.uint16]) -> None:
        """Look up the codes of a file that no file before had."""
        from iced_x86 import EncodingKind, OpCodeInfo

        tables, places, byte_wide = code_tables(), _places(), _byte_wide()
        met = np.flatnonzero(np.bincount(codes, minlength=len(self.place)))
        for code in met[self.place[met] == _UNKNOWN].tolist():
            self.place[code] = _NOWHERE
            # Stack operations are looked at already, jumps and calls write no register.
            if tables.stack[code] or tables.control[code] != NONE or not tables.writes_first[code]:
                continue
            known = OpCodeInfo(code)
            if known.encoding == EncodingKind.LEGACY:
                self.place[code] = places.get(known.op0_kind, _NOWHERE)
                self.opcode_bytes[code] = min(known.table, _OPCODE_MAPS) + 1
                self.byte_wide[code] = known.op0_kind in byte_wide


def find_stack_pointer_writes(code: Code) -> Ints:
    """Indexes of the instructions that write rsp besides the stack operations, ascending."""
    forms = _forms()
    forms.learn(code.code)
    place = forms.place[code.code]
    candidates = _able(code, np.flatnonzero(place != _NOWHERE))
    if not len(candidates):
        return candidates
    place, kind = place[candidates], code.code[candidates]
    buffer = code.data
    every = np.ndarray(
        (len(buffer) - 7,), np.dtype("<u8"), buffer=buffer.data, offset=0, strides=(1,)
    )
    words = every[code.start[candidates]]
    rex = _strip_prefixes(words)
    words >>= (forms.opcode_bytes[kind] - 1) * 8
    opcode, modrm = words & 0xFF, (words >> 8) & 0xFF
    found = (place == _IN_OPCODE) & (opcode & 7 == RSP) & (rex & 1 == 0)
    found |= (place == _IN_REG) & ((modrm >> 3) & 7 == RSP) & (rex & 4 == 0)
    found |= (place == _IN_RM) & (modrm >= 0xC0) & (modrm & 7 == RSP) & (rex & 1 == 0)
    # Without a REX prefix the fourth byte register is ah.
    found &= ~forms.byte_wide[kind] | (rex != 0)
    result: Ints = candidates[found]
    return result


def _able(code: Code, candidates: Ints) -> Ints:
    """Those of many instructions whose first bytes don't rule rsp out already."""
    buffer = code.data
    pairs = np.ndarray(
        (len(buffer) - 1,), np.dtype("<u2"), buffer=buffer.data, offset=0, strides=(1,)
    )
    start = code.start[candidates]
    pair = pairs[start]
    able = _pairs()[pair]
    # Behind a prefix, or where another opcode map begins, the next two bytes tell.
    later = np.flatnonzero(able & _LEADS[pair & 0xFF])
    able[later] = _pairs()[pairs[start[later] + 1]]
    left: Ints = candidates[able]
    return left


@cache
def _pairs() -> npt.NDArray[np.bool_]:
    """By two bytes, the first lowest, whether they may be an opcode and a ModRM that name rsp.

    True also where the first is a prefix, or leads to another opcode map, or holds a register.
    """
    first = np.arange(256)
    more = _LEADS | (first == 0x38) | (first == 0x3A) | (first & 7 == RSP)
    named = ((first >> 3) & 7 == RSP) | ((first >= 0xC0) & (first & 7 == RSP))
    found: npt.NDArray[np.bool_] = (more[None, :] | named[:, None]).reshape(-1)
    return found


def _strip_prefixes(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Drop the prefixes of instructions, in place; their REX prefixes, 0 where there is none."""
    rex = np.zeros(len(words), np.uint8)
    left = np.flatnonzero(_PREFIX[words & 0xFF])
    for _ in range(_MOST_PREFIXES):
        if not len(left):
            break
        prefix = (words[left] & 0xFF).astype(np.uint8)
        rex[left] = np.where(prefix & 0xF0 == 0x40, prefix, 0)
        words[left] >>= 8
        left = left[_PREFIX[words[left] & 0xFF]]
    return rex


@cache
def _forms() -> _Forms:
    return _Forms()


@cache
def _places() -> dict[int, int]:
    from iced_x86 import OpCodeOperandKind as Kind

    in_rm = (Kind.R8_OR_MEM, Kind.R16_OR_MEM, Kind.R32_OR_MEM, Kind.R64_OR_MEM)
    kinds = {
        _IN_REG: (Kind.R8_REG, Kind.R16_REG, Kind.R32_REG, Kind.R64_REG),
        _IN_RM: (*in_rm, Kind.R16_RM, Kind.R32_RM, Kind.R64_RM),
        _IN_OPCODE: (Kind.R8_OPCODE, Kind.R16_OPCODE, Kind.R32_OPCODE, Kind.R64_OPCODE),
    }
    return {int(kind): place for place, held in kinds.items() for kind in held}


@cache
def _byte_wide() -> frozenset[int]:
    from iced_x86 import OpCodeOperandKind as Kind

    return frozenset((Kind.R8_REG, Kind.R8_OR_MEM, Kind.R8_OPCODE))
