"""x86-64 stack operations out of their raw bytes, each decoded once for each byte pattern."""

from __future__ import annotations

from functools import lru_cache

from iced_x86 import Code, Decoder, Instruction, OpKind, Register

from kdash.backends.stack.operations import Op, Operation
from kdash.backends.stack.state import NO_REGISTER, RSP

_SIMPLE = {
    Code.LEAVEQ: Operation(Op.LEAVE),
    Code.ENTERQ_IMM16_IMM8: Operation(Op.ENTER),
    # In a function iret ends a sequence that pushed its five words itself.
    Code.IRETQ: Operation(Op.POP),
    Code.IRETD: Operation(Op.POP),
    Code.STD: Operation(Op.SET_DIRECTION),
    Code.CLD: Operation(Op.CLEAR_DIRECTION),
    Code.STAC: Operation(Op.OPEN_USER),
    Code.CLAC: Operation(Op.CLOSE_USER),
}

_PARTS_OF_RSP = frozenset((Register.ESP, Register.SP, Register.SPL))


@lru_cache(maxsize=65536)
def parse_operation(key: int) -> Operation:
    """Decode the bytes of `stack_ops.operation_keys`."""
    instruction = Decoder(64, key.to_bytes(16, "little")).decode()
    code = instruction.code
    if code in _SIMPLE:
        return _SIMPLE[code]._replace(amount=_simple_amount(instruction))
    first = _number(instruction.op0_register) if instruction.op_count else NO_REGISTER
    growth = -instruction.stack_pointer_increment
    if growth > 0:
        return Operation(Op.PUSH, source=first, amount=growth)
    if growth < 0:
        return Operation(Op.POP, target=_written(instruction), amount=-growth)
    return _move(instruction, first) or _arithmetic(instruction, _written(instruction))


def _simple_amount(instruction: Instruction) -> int:
    if instruction.code == Code.ENTERQ_IMM16_IMM8:
        return instruction.immediate16
    return instruction.stack_pointer_increment


def _move(instruction: Instruction, first: int) -> Operation | None:
    """`mov` and `lea`, None for anything else."""
    second = _number(instruction.op1_register) if instruction.op_count > 1 else NO_REGISTER
    indexed = instruction.memory_index != Register.NONE
    base = NO_REGISTER if indexed else _number(instruction.memory_base)
    displacement = _signed(instruction.memory_displacement)
    if instruction.code == Code.MOV_RM64_R64 and instruction.op0_kind == OpKind.MEMORY:
        return Operation(Op.STORE, source=second, base=base, amount=displacement)
    if instruction.code == Code.MOV_R64_RM64 and instruction.op1_kind == OpKind.MEMORY:
        return Operation(Op.LOAD, target=first, base=base, amount=displacement)
    if instruction.code in (Code.MOV_RM64_R64, Code.MOV_R64_RM64):
        return Operation(Op.MOVE, target=first, source=second)
    if instruction.code != Code.LEA_R64_M:
        return None
    if base == NO_REGISTER:
        return Operation(Op.CLOBBER, target=first)
    if displacement == 0:
        return Operation(Op.MOVE, target=first, source=base)
    return Operation(Op.ADD, target=first, source=base, amount=displacement)


def _arithmetic(instruction: Instruction, first: int) -> Operation:
    code = instruction.code
    if code in (Code.ADD_RM64_IMM8, Code.ADD_RM64_IMM32):
        return Operation(Op.ADD, target=first, source=first, amount=_immediate(instruction))
    if code in (Code.SUB_RM64_IMM8, Code.SUB_RM64_IMM32):
        return Operation(Op.ADD, target=first, source=first, amount=-_immediate(instruction))
    if code in (Code.AND_RM64_IMM8, Code.AND_RM64_IMM32):
        return Operation(Op.ALIGN, target=first, amount=_immediate(instruction))
    if first == NO_REGISTER:
        return Operation(Op.NOTHING)
    second = _number(instruction.op1_register) if instruction.op_count > 1 else NO_REGISTER
    if first == second == RSP and code in (Code.XOR_RM64_R64, Code.XOR_R64_RM64):
        return Operation(Op.GIVE_UP)
    return Operation(Op.CLOBBER, target=first, source=second)


def _written(instruction: Instruction) -> int:
    """The register that operand 0 is; rsp also where it is a part of rsp that is written."""
    if not instruction.op_count:
        return NO_REGISTER
    register = instruction.op0_register
    return RSP if register in _PARTS_OF_RSP else _number(register)


def _number(register: int) -> int:
    return register - Register.RAX if Register.RAX <= register <= Register.R15 else NO_REGISTER


def _immediate(instruction: Instruction) -> int:
    return _signed(instruction.immediate(1))


def _signed(value: int) -> int:
    return value - ((value >> 63) << 64)
