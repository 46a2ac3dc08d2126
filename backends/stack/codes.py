"""Look-up tables from the decoder's instruction codes to what the walk needs to know.

Opcode groups are those of the Intel SDM, volume 2, appendix A.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What an instruction does to the flow of control.
NONE, JCC, JMP, JMP_INDIRECT, CALL, CALL_INDIRECT, RET, BUG, ENTRY, INVALID, NOP, TRAP = range(12)

# How an instruction may change the stack state, as far as its code tells; the ModRM byte
# decides the rest (`stack_ops.py`).
ALWAYS, RM_IMM, STORE, LOAD, LEA, RM_REG, REG_RM, EXCHANGE, ACCESS = range(1, 10)

_CONTROL = (
    (JCC, r"J(?!MP)\w+_REL(?:8|32)_64|J[ER]CXZ_REL8_64|LOOP\w*_REL8_64_\w+"),
    (JMP, r"JMP_REL(?:8|32)_64"),
    (JMP_INDIRECT, r"JMP_RM64"),
    (CALL, r"CALL_REL32_64"),
    (CALL_INDIRECT, r"CALL_RM64|CALL_M16(?:16|32|64)"),
    (RET, r"RETN[QW](?:_IMM16)?"),
    (BUG, r"UD2|UD1_R(?:16|32|64)_RM\d\d"),
    (ENTRY, r"SYSCALL|SYSENTER|SYSRET[DQ]|SYSEXIT[DQ]|RETF[WDQ](?:_IMM16)?|JMP_M16(?:16|32|64)"),
    (INVALID, r"INVALID"),
    (NOP, r"NOP[WDQ]|NOP_RM(?:16|32|64)|PAUSE"),
    (TRAP, r"INT3"),
)
_STACK = (
    (
        ALWAYS,
        r"(?:PUSH|POP)_RM?(?:16|64)|PUSHQ_IMM(?:8|32)|PUSHFQ|POPFQ|PUSHQ_[FG]S|POPQ_[FG]S|LEAVEQ|"
        r"ENTERQ_IMM16_IMM8|IRET[DQ]|STD|CLD",
    ),
    (
        RM_IMM,
        r"(?:ADD|ADC|SUB|SBB|AND|OR|XOR|MOV)_RM64_IMM(?:8|32)|(?:INC|DEC|NEG|NOT)_RM64|"
        r"(?:SHL|SHR|SAR|ROL|ROR|RCL|RCR)_RM64_(?:CL|1|IMM8)",
    ),
    (STORE, r"MOV_RM64_R64"),
    (LOAD, r"MOV_R64_RM64"),
    (LEA, r"LEA_R64_M"),
    (RM_REG, r"(?:ADD|ADC|SUB|SBB|AND|OR|XOR)_RM64_R64"),
    (REG_RM, r"(?:ADD|ADC|SUB|SBB|AND|OR|XOR)_R64_RM64|IMUL_R64_RM64_IMM(?:8|32)|MOVSXD_R64_RM32"),
    (EXCHANGE, r"XCHG_RM64_R64"),
    (ACCESS, r"STAC|CLAC"),
)
# Operand 0 is a register but is only read.
_READS_OPERAND_0 = (
    *("CMP_", "TEST_", "PUSH", "BT_", "CALL_", "JMP_", "NOP_", "RESERVEDNOP_"),
    *("MUL_", "IMUL_RM", "DIV_", "IDIV_", "LTR_", "LLDT_", "LMSW_", "VERR_", "VERW_"),
    *("WRFSBASE_", "WRGSBASE_", "PTWRITE_", "INVEPT_", "INVVPID_", "INVPCID_", "VMWRITE_"),
    *("UMONITOR_", "UMWAIT_", "TPAUSE_", "INCSSP", "ENQCMD", "MOVDIR64B_", "SENDUIPI_"),
)


class CodeTables(NamedTuple):
    """One array a question, indexed by the decoder's code."""

    control: npt.NDArray[np.uint8]
    stack: npt.NDArray[np.uint8]
    aligns: npt.NDArray[np.bool_]  # AND with an immediate: may realign the stack pointer
    writes_first: npt.NDArray[np.bool_]  # operand 0, when a register, may be written
    endbr: int  # ENDBR64
    iret: tuple[int, int]  # IRETQ, IRETD


@cache
def code_tables() -> CodeTables:
    """The tables, made once for the installed decoder."""
    from iced_x86 import Code

    names = {name: value for name, value in vars(Code).items() if type(value) is int}
    size = max(names.values()) + 1
    tables = CodeTables(
        np.zeros(size, np.uint8),
        np.zeros(size, np.uint8),
        np.zeros(size, np.bool_),
        np.ones(size, np.bool_),
        names["ENDBR64"],
        (names["IRETQ"], names["IRETD"]),
    )
    for patterns, table in ((_CONTROL, tables.control), (_STACK, tables.stack)):
        one_of = re.compile("|".join(f"(?P<_{value}>{pattern})" for value, pattern in patterns))
        for name, code in names.items():
            found = one_of.fullmatch(name)
            if found is not None and found.lastgroup:
                table[code] = int(found.lastgroup[1:])
    for name in ("AND_RM64_IMM8", "AND_RM64_IMM32"):
        tables.aligns[names[name]] = True
    for name, code in names.items():
        if name.startswith(_READS_OPERAND_0):
            tables.writes_first[code] = False
    return tables
