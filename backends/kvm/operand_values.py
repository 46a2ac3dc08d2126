"""What stands in the memory that the next instruction is about to access."""

from __future__ import annotations

from collections.abc import Callable

from kdash.backends.kvm.facts import MemoryOperand, Registers
from kdash.backends.kvm.operands import accesses
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import ENCODED_SEGMENTS

_LARGEST = 8  # bytes of an operand that is shown as a number
_RCX = REGISTER_NAMES.index("rcx")


def memory_operands(
    code: bytes, registers: Registers, read: Callable[[int, int], bytes]
) -> tuple[MemoryOperand, ...]:
    """The memory operands of an instruction, in its order; of a repeated one the next element.

    Args:
        code: the instruction.
        registers: of the VCPU before it.
        read: gives memory by linear address, up to the first byte that can't be reached.
    """
    before = [getattr(registers, name) for name in REGISTER_NAMES]
    bases = [getattr(registers, name).base for name in ENCODED_SEGMENTS]
    after = list(before)
    after[_RCX] -= 1  # one element of a repeated instruction
    found: dict[int, MemoryOperand] = {}
    for access in accesses(code, registers.code_bits, before, bases, after):
        if access.length <= _LARGEST and access.linear not in found:
            data = read(access.linear, access.length)
            whole = len(data) == access.length
            value = int.from_bytes(data, "little") if whole else None
            found[access.linear] = MemoryOperand(access.linear, access.length, value)
    return tuple(found.values())
