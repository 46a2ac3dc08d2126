"""Memory that an instruction accesses by itself, decoded before it is executed.

What the processor reads on its own is not among it: page walks, descriptor tables, the frame
of an exception. Neither are the elements of a gather or scatter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kdash.backends.kvm.records import REGISTER_NAMES

if TYPE_CHECKING:
    import iced_x86

#: Instructions whose operands are remembered.
REMEMBERED: Final = 1 << 16

_RCX: Final = REGISTER_NAMES.index("rcx")
_RFLAGS: Final = REGISTER_NAMES.index("rflags")
_DIRECTION: Final = 1 << 10  # RFLAGS.DF
#: Of struct kvm_regs, by the number of a register in an instruction.
_BY_NUMBER: Final = tuple(
    REGISTER_NAMES.index(name)
    for name in ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                 *(f"r{number}" for number in range(8, 16)))
)  # fmt: skip


def prepare() -> None:
    """Load the decoder now, rather than in the guest's time at the first step."""
    _factory()


class Access(NamedTuple):
    """Memory read or written by an instruction."""

    linear: int
    length: int  # bytes
    write: bool  # also where it is read before


class _Operand(NamedTuple):
    """One piece of memory of an instruction, before registers are known."""

    base: tuple[int, int] | None  # index into struct kvm_regs, mask
    scaled: tuple[int, int] | None
    scale: int
    displacement: int
    mask: int  # of the address size
    segment: int  # index into SEGMENTS; -1: none is added
    size: int  # bytes, of one element
    write: bool
    repeated: bool


@cache
def _factory() -> iced_x86.InstructionInfoFactory:
    from iced_x86 import InstructionInfoFactory

    return InstructionInfoFactory()


@lru_cache(maxsize=REMEMBERED)
def _operands(code: bytes, bits: int, ip: int | None) -> tuple[_Operand, ...] | None:
    """The memory of the first instruction of `code`; None: RIP says where, and is not given."""
    from iced_x86 import Decoder

    decoded = Decoder(bits, code, ip=ip or 0).decode()
    if not decoded:
        return ()
    if ip is None and decoded.is_ip_rel_memory_operand:
        return None
    used = _factory().info(decoded).used_memory()
    return tuple(found for one in used if (found := _operand(decoded, one, bits)) is not None)


def _operand(decoded: iced_x86.Instruction, used: Any, bits: int) -> _Operand | None:
    from iced_x86 import CodeSize, MemorySizeExt, OpAccess, Register, RegisterExt

    if used.access == OpAccess.NO_MEM_ACCESS:
        return None
    repeated = decoded.is_string_instruction and (
        decoded.has_rep_prefix or decoded.has_repne_prefix
    )
    registers: list[tuple[int, int] | None] = []
    for register in (used.base, used.index):
        if register == Register.NONE:
            registers.append(None)
        elif RegisterExt.is_gpr(register):
            mask = (1 << 8 * RegisterExt.size(register)) - 1
            whole = RegisterExt.full_register(register)
            registers.append((_BY_NUMBER[RegisterExt.number(whole)], mask))
        else:
            return None
    sizes = {CodeSize.CODE16: 16, CodeSize.CODE32: 32, CodeSize.CODE64: 64}
    added = bits != 64 or used.segment in (Register.FS, Register.GS)
    return _Operand(
        registers[0],
        registers[1],
        used.scale,
        used.displacement,
        (1 << sizes.get(used.address_size, bits)) - 1,
        used.segment - Register.ES if added and used.segment != Register.NONE else -1,
        MemorySizeExt.size(decoded.memory_size if repeated else used.memory_size),
        used.access not in (OpAccess.READ, OpAccess.COND_READ),
        repeated,
    )


def accesses(
    code: bytes, bits: int, before: Sequence[int], bases: Sequence[int], after: Sequence[int]
) -> Iterator[Access]:
    """The memory that an executed instruction accessed.

    Args:
        code: bytes that begin with it.
        bits: 16, 32 or 64.
        before: struct kvm_regs, in the order of REGISTER_NAMES, before it.
        bases: of the segments before it, in the order of SEGMENTS.
        after: struct kvm_regs after it: they say how far a REP instruction got.
    """
    operands = _operands(code, bits, None)
    if operands is None:
        operands = _operands(code, bits, before[REGISTER_NAMES.index("rip")]) or ()
    wrap = (1 << (64 if bits == 64 else 32)) - 1
    for one in operands:
        offset = one.displacement
        if one.base:
            offset += before[one.base[0]] & one.base[1]
        if one.scaled:
            offset += (before[one.scaled[0]] & one.scaled[1]) * one.scale
        linear = offset & one.mask
        if one.segment >= 0:
            linear += bases[one.segment]
        length = one.size
        if one.repeated:
            count = (before[_RCX] - after[_RCX]) & one.mask
            length = count * one.size
            if before[_RFLAGS] & _DIRECTION:
                linear -= max(length - one.size, 0)
        if length:
            yield Access(linear & wrap, length, one.write)
