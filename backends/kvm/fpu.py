"""The x87 and SSE registers as KVM_GET_XSAVE gives them.

KVM_GET_FPU leaves MXCSR out (kvm_arch_vcpu_ioctl_get_fpu of arch/x86/kvm/x86.c, Linux 6.12).
Layout of the area: Intel SDM vol. 1, 10.5.1 (FXSAVE: ST0 first, each in 16 bytes, a tag
word of one bit a register) and 13.4 (the header behind it).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kdash.backends.kvm.state_facts import ExtendedState

#: Bytes of a `struct kvm_xsave` (asm/kvm.h).
XSAVE_SIZE: Final = 4096
_LEGACY: Final = struct.Struct("<HHBxHQQI4x128s256s")
_MXCSR_MASK: Final = slice(28, 32)
_XSTATE_BV: Final = 512
_X87_AND_SSE: Final = 3

_EMPTY, _VALID, _ZERO, _SPECIAL = 3, 0, 1, 2  # tags of two bits (Intel SDM vol. 1, 8.1.7)


@dataclass(frozen=True, slots=True)
class FpuState:
    """One VCPU's x87 and SSE registers between two instructions."""

    st: tuple[bytes, ...]  # ST0 to ST7, 10 bytes each
    control: int
    status: int
    tags: int  # bit n: physical register n is in use
    opcode: int  # of the last x87 instruction, 11 bits
    instruction: int  # its RIP
    operand: int  # linear address of its operand
    xmm: tuple[bytes, ...]  # XMM0 to XMM15, 16 bytes each
    mxcsr: int

    @classmethod
    def unpack(cls, area: bytes) -> FpuState:
        """From an area of XSAVE."""
        fields = _LEGACY.unpack_from(area)
        control, status, tags, opcode, ip, dp, mxcsr, registers, vectors = fields
        return cls(
            tuple(registers[at : at + 10] for at in range(0, 128, 16)),
            control,
            status,
            tags,
            opcode,
            ip,
            dp,
            tuple(vectors[at : at + 16] for at in range(0, 256, 16)),
            mxcsr,
        )

    @classmethod
    def of(cls, state: ExtendedState) -> FpuState:
        """The part of an extended state that this is."""
        return cls(
            st=state.stack,
            control=state.control,
            status=state.status,
            tags=state.tag,
            opcode=state.opcode,
            instruction=state.ip,
            operand=state.dp,
            xmm=tuple(vector[:16] for vector in state.vectors[:16]),
            mxcsr=state.mxcsr or 0,
        )

    def packed(self, area: bytes) -> bytes:
        """An area of XSAVE with these registers in it, all else as in `area`."""
        changed = bytearray(area)
        _LEGACY.pack_into(
            changed,
            0,
            self.control,
            self.status,
            self.tags,
            self.opcode,
            self.instruction,
            self.operand,
            self.mxcsr,
            b"".join(register.ljust(16, b"\0") for register in self.st),
            b"".join(self.xmm),
        )
        changed[_MXCSR_MASK] = area[_MXCSR_MASK]
        changed[_XSTATE_BV] |= _X87_AND_SSE  # else they count as never used
        return bytes(changed)

    @property
    def tag_word(self) -> int:
        """The tag word of FSAVE: two bits a physical register, its kind."""
        top = self.status >> 11 & 7
        word = 0
        for physical in range(8):
            used = self.tags >> physical & 1
            tag = _kind(self.st[(physical - top) & 7]) if used else _EMPTY
            word |= tag << 2 * physical
        return word


def in_use(tag_word: int) -> int:
    """The `tags` of a tag word of FSAVE."""
    return sum(1 << n for n in range(8) if tag_word >> 2 * n & 3 != _EMPTY)


def _kind(register: bytes) -> int:
    exponent = int.from_bytes(register[8:10], "little") & 0x7FFF
    mantissa = int.from_bytes(register[:8], "little")
    if exponent == 0x7FFF:
        return _SPECIAL
    if exponent == 0:
        return _SPECIAL if mantissa else _ZERO
    return _VALID if mantissa >> 63 else _SPECIAL
