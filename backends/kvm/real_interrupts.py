"""INT n in real mode, where KVM does not get past it.

KVM's own instruction emulator takes the vector of INT n for a signed number (arch/x86/kvm/
emulate.c, em_int with SrcImmByte, Linux 6.18): above 0x7f it looks before the interrupt table,
fails without an exception and executes the instruction again, for ever; RFLAGS.IF, TF and AC are
lost, which it clears before it fails. So it is done where the flags before it are known: stepped.
Hosts that run real mode on the processor never come here.

What INT does: Intel SDM vol. 2A, INT n, and vol. 3A, 22.1.4.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.facts import Mode, Registers

if TYPE_CHECKING:
    from kdash.backends.kvm.memory import GuestMemory
    from kdash.backends.kvm.vcpu import Vcpu

_INT: Final = 0xCD
_SIGN: Final = 0x80  # vectors from here on
_PREFIXES: Final = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3"
_CLEARED: Final = 0x40300  # RFLAGS.TF, IF, AC


class NoStackError(Exception):
    """The stack is where nothing can be written; the address of the word is the argument."""


def length_of(code: bytes) -> int:
    """Bytes of an INT n with n above 0x7f at the head of real-mode `code`; 0: it is none."""
    at = len(code) - len(code.lstrip(_PREFIXES))
    found = code[at : at + 2]
    return at + 2 if len(found) == 2 and found[0] == _INT and found[1] >= _SIGN else 0


def is_next(vcpu: Vcpu) -> bool:
    """Whether such an INT is what the VCPU executes next."""
    registers = vcpu.registers()
    return registers.mode is Mode.REAL and length_of(_code(vcpu, registers)) > 0


def take(vcpu: Vcpu, rflags: int) -> None:
    """Execute the INT n that is next.

    Args:
        vcpu: the VCPU.
        rflags: before it.

    Raises:
        NoStackError: when the guest's stack is no memory, or read-only; nothing has changed.
    """
    registers = vcpu.registers()
    code = _code(vcpu, registers)
    length = length_of(code)
    table = vcpu.read_linear(vcpu.interrupt_table + 4 * code[length - 1], 4).ljust(4, b"\xff")
    ip, cs = struct.unpack("<HH", table)
    places = [registers.ss.base + (registers.rsp - back & 0xFFFF) for back in (2, 4, 6)]
    for place in places:
        if not _writable(vcpu.memory, place):
            raise NoStackError(place)
    behind = registers.rip + length & 0xFFFF
    for place, word in zip(places, (rflags & 0xFFFF, registers.cs.selector, behind), strict=True):
        vcpu.memory.write(place, struct.pack("<H", word))
    vcpu.set_register("rsp", registers.rsp & ~0xFFFF | registers.rsp - 6 & 0xFFFF)
    vcpu.set_register("rflags", rflags & ~_CLEARED)
    vcpu.set_register("cs", cs)
    vcpu.set_register("rip", ip)


def _code(vcpu: Vcpu, registers: Registers) -> bytes:
    return vcpu.read_linear(registers.cs.base + registers.rip, 15)


def _writable(memory: GuestMemory, place: int) -> bool:
    return any(
        slot.guest <= place and place + 2 <= slot.guest + slot.size and not slot.readonly
        for slot in memory.slots()
    )
