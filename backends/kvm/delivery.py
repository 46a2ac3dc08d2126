"""Which interrupt handler a step has entered.

A step that begins with the delivery of an interrupt executes the handler's first instruction
and not the one that was next; KVM does not tell. What is next is seen from where it went:
behind the first instruction of a handler in the table of the processor's mode (Intel SDM
vol. 3A, 6.10 and 6.14.1; vol. 3A, 21.1.4 for real mode).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.disassembly import LONGEST, decode
from kdash.backends.kvm.facts import Mode, Registers

if TYPE_CHECKING:
    from kdash.backends.kvm.records import Record
    from kdash.backends.kvm.vcpu import Vcpu

_VECTORS: Final = 256
_GATE: Final = struct.Struct("<HHBBH")
_LONG_GATE: Final = struct.Struct("<HHBBHII")
_PRESENT: Final = 0x80

Read = Callable[[int, int], bytes]  # linear address, length


def executed(vcpu: Vcpu, record: Record) -> Record:
    """The record of a step that may have begun with an interrupt: with what was executed."""
    after = vcpu.registers()
    handler = entered_handler(after, vcpu.interrupt_table, vcpu.read_linear)
    if handler is None:
        return record
    base = 0 if after.code_bits == 64 else after.cs.base
    code = vcpu.read_linear(base + handler, len(record.code))
    return record._replace(rip=handler, code=code, before=b"", bits=after.code_bits)


def entered_handler(registers: Registers, table: int, read: Read) -> int | None:
    """RIP of the handler whose first instruction was the last one executed, if one was.

    Args:
        registers: after the step.
        table: linear address of the interrupt table.
        read: guest memory by linear address.
    """
    base = 0 if registers.code_bits == 64 else registers.cs.base
    found = set(_handlers(registers, table, read))
    # Handlers are often stubs in a row: of two that could be, the nearer one was it.
    for handler in sorted(found, key=lambda ip: (registers.rip - ip) & 0xFFFF_FFFF_FFFF_FFFF):
        decoded = decode(read(base + handler, LONGEST), handler, registers.code_bits)
        if decoded and registers.rip in (decoded.next_ip, decoded.near_branch_target):
            return handler
    return None


def _handlers(registers: Registers, table: int, read: Read) -> Iterator[int]:
    """Entries of the table for the code segment there is now."""
    selector = registers.cs.selector
    if registers.mode is Mode.REAL:
        raw = read(table, 4 * _VECTORS)
        for ip, segment in struct.iter_unpack("<HH", raw[: len(raw) & ~3]):
            if segment == selector:
                yield ip
        return
    gate = _LONG_GATE if registers.mode is Mode.LONG else _GATE
    raw = read(table, gate.size * _VECTORS)
    for low, segment, _, kind, middle, *high in gate.iter_unpack(
        raw[: len(raw) - len(raw) % gate.size]
    ):
        if segment == selector and kind & _PRESENT:
            yield low | middle << 16 | (high[0] << 32 if high else 0)
