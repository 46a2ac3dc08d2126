"""Which instructions may change the stack state: picked in bulk by code and ModRM byte.

ModRM, SIB and REX as in the Intel SDM, volume 2, chapter 2. Only forms with a REX.W prefix in
first place address the 64-bit rsp and rbp; of the others those that write rsp all the same
are `stack_pointer_writes.py`'s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.codes import (
    ACCESS,
    ALWAYS,
    EXCHANGE,
    LEA,
    LOAD,
    REG_RM,
    RM_IMM,
    RM_REG,
    STORE,
    code_tables,
)
from kdash.backends.stack.decode import Code
from kdash.backends.stack.functions import Functions
from kdash.backends.stack.image import Ints
from kdash.backends.stack.membership import among
from kdash.backends.stack.stack_pointer_writes import find_stack_pointer_writes
from kdash.backends.stack.state import CALLEE_SAVED, RBP, RSP

Mask = npt.NDArray[np.bool_]

_CALLEE_SAVED = np.zeros(16, np.bool_)
_CALLEE_SAVED[list(CALLEE_SAVED)] = True


def find_stack_operations(code: Code, functions: Functions, uaccess: bool = False) -> Ints:
    """Indexes of the instructions that may change the stack state, ascending.

    Args:
        code: the instructions.
        functions: the functions they are in.
        uaccess: whether stac and clac count, too.
    """
    tables = code_tables()
    group = tables.stack[code.code]
    candidates = np.flatnonzero(group != 0)
    group = group[candidates]
    start = code.start[candidates]
    rex = code.data[start]
    able = (group == ALWAYS) | (group == ACCESS) | ((rex & 0xF8) == 0x48)
    candidates, group, start, rex = candidates[able], group[able], start[able], rex[able]
    modrm = code.data[start + 2]
    sib = code.data[start + 3]
    wide = (rex & 0xF8) == 0x48
    register_form = wide & (modrm >= 0xC0)
    memory_form = wide & (modrm < 0xC0)
    reg = ((modrm >> 3) & 7) | ((rex & 4) << 1)
    rm = (modrm & 7) | ((rex & 1) << 3)
    at_rsp = memory_form & (rm == RSP) & (sib & 0x3F == 0x24) & (rex & 2 == 0)
    at_rbp = memory_form & (rm == RBP) & (modrm >= 0x40)
    on_stack = at_rsp | at_rbp
    to_rsp = register_form & (rm == RSP)

    realigns = tables.aligns[code.code[candidates]] & to_rsp
    swaps = register_form & (
        ((group == STORE) & (rm == RSP) & (reg != RBP))
        | ((group == LOAD) & (reg == RSP) & (rm != RBP))
    )
    jumps_stack = (group == LEA) & memory_form & (reg == RSP) & ~on_stack
    careful = _in_functions_with(start, realigns | swaps | jumps_stack, functions)

    tracked = _CALLEE_SAVED[reg] | careful
    chosen = group == ALWAYS
    if uaccess:
        chosen |= group == ACCESS
    chosen |= ((group == RM_IMM) | (group == RM_REG)) & to_rsp
    chosen |= (group == REG_RM) & wide & (reg == RSP)
    chosen |= (group == EXCHANGE) & register_form & ((rm == RSP) | (reg == RSP))
    copies_rsp = (reg == RSP) & ((rm == RBP) | careful)
    chosen |= (group == STORE) & register_form & ((rm == RSP) | copies_rsp)
    chosen |= (group == STORE) & on_stack & tracked
    loads_rsp = (rm == RSP) & ((reg == RBP) | careful)
    chosen |= (group == LOAD) & register_form & ((reg == RSP) | loads_rsp)
    chosen |= (group == LOAD) & ((on_stack & tracked) | (memory_form & (reg == RSP)))
    chosen |= (group == LEA) & memory_form & ((reg == RSP) | ((reg == RBP) & on_stack))
    chosen |= (group == LEA) & at_rsp & careful
    result: Ints = candidates[chosen]
    others = find_stack_pointer_writes(code)
    return np.sort(np.concatenate([result, others])) if len(others) else result


def _in_functions_with(start: Ints, marked: Mask, functions: Functions) -> Mask:
    """Which instructions are in a function (cold parts apart) that holds a marked one."""
    if not len(functions) or not bool(marked.any()):
        return np.zeros(len(start), np.bool_)
    holder = functions.containing(start[marked])
    holder = holder[holder >= 0]
    own = functions.containing(start)
    careful = np.zeros(len(functions) + 1, np.bool_)
    careful[functions.root[holder]] = True
    result: Mask = careful[functions.root[own]] & (own >= 0)
    return result


def find_frame_pointer_writes(code: Code, operations: Ints) -> Ints:
    """Instructions besides the stack operations that overwrite rbp or a part of it.

    Costs a second decoding of all code: only for the frame pointer rules.
    """
    from iced_x86 import Decoder, Register

    registers = {int(r) for r in (Register.RBP, Register.EBP, Register.BP, Register.BPL)}
    writes = code_tables().writes_first.tolist()
    chosen: list[int] = []
    for section in code.sections:
        content = code.data[section.base : section.end].tobytes()
        for index, instruction in enumerate(Decoder(64, content), section.first):
            if int(instruction.op0_register) in registers and writes[instruction.code]:
                chosen.append(index)
    found = np.array(chosen, np.int64)
    return found[~among(found, operations)]


def operation_keys(code: Code, operations: Ints) -> npt.NDArray[np.uint64]:
    """The instructions' bytes as one number each, the first byte lowest, zeros behind.

    Longer ones than 8 bytes are cut: what is left tells the opcode and the registers.
    """
    if not len(operations):
        return np.empty(0, np.uint64)
    buffer = code.data
    words = np.ndarray(
        (len(buffer) - 7,), np.dtype("<u8"), buffer=buffer.data, offset=0, strides=(1,)
    )
    length = np.minimum(code.length[operations], 8).astype(np.uint64)
    word = words[code.start[operations]]
    unused = (np.uint64(64) - length * np.uint64(8)).astype(np.uint64)
    return (word << unused) >> unused
