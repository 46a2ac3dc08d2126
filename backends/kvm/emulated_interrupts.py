"""Interrupts and exceptions of an emulated guest, delivered through its own tables.

Unicorn tells that one happened and leaves it there. Sources: Intel SDM vol. 3A, 6.12 (stack
switch, gates), 6.13 (error codes), 6.14 (64-bit mode), 6.15 (double fault), 22.1.4 (real mode).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Protocol

from kdash.backends.kvm.emulated_state import State
from kdash.backends.kvm.facts import Mode, Registers

_DOUBLE_FAULT, _INVALID_TSS, _NOT_PRESENT, _STACK, _PROTECTION, _PAGE = 8, 10, 11, 12, 13, 14
_WITH_ERROR_CODE: Final = frozenset((8, 10, 11, 12, 13, 14, 17, 21))
_CONTRIBUTORY: Final = frozenset((0, 10, 11, 12, 13))

#: Flags cleared on the way to a handler: TF, NT, RF, VM; in real mode TF, IF, AC.
_CLEARED: Final = 0x100 | 0x4000 | 0x10000 | 0x20000
_CLEARED_REAL: Final = 0x100 | 0x200 | 0x40000
_IF, _VM = 0x200, 0x20000

_TASK_GATE, _TSS_32_AVAILABLE, _TSS_32_BUSY = 5, 9, 11
_GATES: Final = (6, 7, 14, 15)  # 16-bit interrupt and trap gate, the same of 32 or 64 bits
_LOCAL: Final = 0b100  # of a selector: in the LDT
_CODE, _CONFORMING = 1 << 11, 1 << 10  # of a descriptor's second word, as are the next
_SYSTEM_OFF, _PRESENT, _LONG, _BIG = 1 << 12, 1 << 15, 1 << 21, 1 << 22


class Shutdown(Exception):  # noqa: N818 - an outcome of the guest
    """Triple fault."""


class CannotEmulate(Exception):  # noqa: N818 - an outcome of the guest, not an error of ours
    """What the emulator met and can't do."""


class NoCode(CannotEmulate):
    """CS:IP is where no memory is; KVM can't do that either, and calls it an emulation failure."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is to be delivered."""

    vector: int
    error_code: int = 0  # pushed where the vector has one and it is no instruction's
    software: bool = False  # INT n, INT3, INTO
    external: bool = False  # of an interrupt controller


class Fault(Exception):  # noqa: N818 - of the guest
    """Delivery met a fault itself.

    Args:
        event: the fault.
        address: linear, of a page fault.
    """

    def __init__(self, event: Event, address: int | None = None) -> None:
        super().__init__(event)
        self.event = event
        self.address = address


class Memory(Protocol):
    """The guest's memory by linear address, with supervisor's rights."""

    def read(self, linear: int, length: int) -> bytes:
        """`length` bytes; Fault where nothing is mapped."""
        ...

    def write(self, linear: int, data: bytes) -> None:
        """Write; Fault where nothing is mapped."""
        ...


def deliver(state: State, rflags: int, memory: Memory, event: Event) -> int:
    """Enter the handler of `event`: changes `state` and pushes onto the guest's stack.

    Returns:
        RFLAGS for the handler.

    Raises:
        Shutdown: when neither it nor a double fault could be delivered.
        CannotEmulate: when the guest's tables ask for what is not done here.
    """
    while True:
        try:
            return _Entry(state, rflags, memory, event).enter()
        except Fault as fault:
            if fault.address is not None:
                state.cr2 = fault.address
            event = _escalated(event, fault.event)


def _escalated(first: Event, second: Event) -> Event:
    """What a fault while `first` was delivered leads to (SDM table 6-5)."""
    benign = first.software or first.external
    if first.vector == _DOUBLE_FAULT and not benign:
        raise Shutdown
    contributory = second.vector in _CONTRIBUTORY
    if not benign and (
        (first.vector in _CONTRIBUTORY and contributory)
        or (first.vector == _PAGE and (contributory or second.vector == _PAGE))
    ):
        return Event(_DOUBLE_FAULT)
    return second


@dataclass(frozen=True, slots=True)
class _Descriptor:
    low: int
    high: int

    @property
    def privilege(self) -> int:
        return self.high >> 13 & 3

    @property
    def base(self) -> int:
        return self.low >> 16 | (self.high & 0xFF) << 16 | self.high & 0xFF00_0000

    @property
    def limit(self) -> int:
        limit = self.low & 0xFFFF | self.high & 0xF_0000
        return limit << 12 | 0xFFF if self.high & 1 << 23 else limit


class _Entry:
    """One attempt to enter a handler; nothing of the state changes before it succeeds."""

    def __init__(self, state: State, rflags: int, memory: Memory, event: Event) -> None:
        self._state = state
        self._registers: Registers = state.registers(rflags)
        self._memory = memory
        self._event = event
        self._external = 0 if event.software else 1  # EXT of an error code

    def enter(self) -> int:
        if self._registers.mode is Mode.REAL:
            return self._enter_real()
        if self._registers.rflags & _VM:
            raise CannotEmulate(f"interrupt {self._event.vector:#x} in virtual-8086 mode")
        return self._enter_protected()

    def _enter_real(self) -> int:
        registers, number = self._registers, self._event.vector
        base, limit = self._state.idt
        if number * 4 + 3 > limit:
            raise Fault(Event(_PROTECTION))
        ip, cs = struct.unpack("<HH", self._memory.read(base + number * 4, 4))
        sp = registers.rsp
        for value in (registers.rflags, registers.cs.selector, registers.rip):
            sp = (sp & ~0xFFFF) | ((sp - 2) & 0xFFFF)
            address = registers.ss.base + (sp & 0xFFFF)
            self._memory.write(address, struct.pack("<H", value & 0xFFFF))
        self._state.set_segment("cs", cs, cs << 4)
        self._state.set_general("rsp", sp)
        self._state.set_general("rip", ip)
        return registers.rflags & ~_CLEARED_REAL

    def _enter_protected(self) -> int:
        long = self._registers.mode is Mode.LONG
        kind, selector, offset, stack = self._gate(long)
        if not selector & ~3:
            raise Fault(Event(_PROTECTION, self._external))
        target = self._descriptor(selector, _PROTECTION)
        bad = Event(_PROTECTION, selector & ~3 | self._external)
        cpl = self._state.privilege
        if not target.high & _CODE or not target.high & _SYSTEM_OFF or target.privilege > cpl:
            raise Fault(bad)
        if long and not target.high & _LONG:
            raise Fault(bad)
        if not target.high & _PRESENT:
            raise Fault(Event(_NOT_PRESENT, selector & ~3 | self._external))
        inner = cpl if target.high & _CONFORMING else target.privilege
        if long:
            self._push_long(inner, stack)
        else:
            self._push_protected(inner, wide=kind > 7)
        flags = target.high & 0x00F0_FF00
        self._state.set_segment(
            "cs", selector & ~3 | inner, 0 if long else target.base, target.limit, flags
        )
        self._state.set_privilege(inner)
        self._state.set_general("rip", offset if kind > 7 else offset & 0xFFFF)
        cleared = _CLEARED if kind & 1 else _CLEARED | _IF
        return self._registers.rflags & ~cleared

    def _gate(self, long: bool) -> tuple[int, int, int, int]:
        """Kind, selector, offset and interrupt stack of the vector's gate."""
        base, limit = self._state.idt
        size, number = (16 if long else 8), self._event.vector
        bad = Event(_PROTECTION, number * 8 + 2 | self._external)
        if number * size + size - 1 > limit:
            raise Fault(bad)
        entry = self._memory.read(base + number * size, size)
        low, selector, stack, flags, middle = struct.unpack_from("<HHBBH", entry)
        kind = flags & 0x1F
        if kind == _TASK_GATE and not long:
            raise CannotEmulate(f"a task gate for interrupt {number:#x}")
        if kind not in _GATES or (long and kind < 8):
            raise Fault(bad)
        if self._event.software and flags >> 5 & 3 < self._state.privilege:
            raise Fault(bad)
        if not flags & 0x80:
            raise Fault(Event(_NOT_PRESENT, bad.error_code))
        offset = low | middle << 16
        if long:
            offset |= int.from_bytes(entry[8:12], "little") << 32
        return kind, selector, offset, stack & 7

    def _descriptor(self, selector: int, fault: int) -> _Descriptor:
        """A descriptor of the GDT or LDT."""
        base, limit = self._state.table("ldt" if selector & _LOCAL else "gdt")
        at = selector & ~7
        if at + 7 > limit:
            raise Fault(Event(fault, selector & ~3 | self._external))
        return _Descriptor(*struct.unpack("<II", self._memory.read(base + at, 8)))

    def _task_field(self, at: int, length: int) -> int:
        base, limit = self._state.table("tr")
        if at + length - 1 > limit:
            raise Fault(Event(_INVALID_TSS, self._state.selector("tr") & ~3 | self._external))
        return int.from_bytes(self._memory.read(base + at, length), "little")

    @property
    def _error(self) -> tuple[int, ...]:
        event = self._event
        return (
            (event.error_code,)
            if event.vector in _WITH_ERROR_CODE and not event.software and not event.external
            else ()
        )

    def _push_long(self, inner: int, stack: int) -> None:
        registers, state = self._registers, self._state
        top = registers.rsp
        if stack:
            top = self._task_field(0x24 + 8 * (stack - 1), 8)
        elif inner != state.privilege:
            top = self._task_field(4 + 8 * inner, 8)
        pushed = (
            registers.ss.selector, registers.rsp, registers.rflags, registers.cs.selector,
            registers.rip, *self._error,
        )  # fmt: skip
        top = (top & ~0xF) - 8 * len(pushed)
        self._memory.write(top, struct.pack(f"<{len(pushed)}Q", *reversed(pushed)))
        if inner != state.privilege:
            state.set_segment("ss", inner, 0, 0xFFFF_FFFF, inner << 13)
        state.set_general("rsp", top)

    def _push_protected(self, inner: int, wide: bool) -> None:
        registers, state = self._registers, self._state
        base, top, big = registers.ss.base, registers.rsp, bool(registers.ss.db)
        pushed: tuple[int, ...] = (registers.rflags, registers.cs.selector, registers.rip)
        selector = None
        if inner != state.privilege:
            if state.kind("tr") not in (_TSS_32_AVAILABLE, _TSS_32_BUSY):
                raise CannotEmulate("a stack switch without a 32-bit task state segment")
            top = self._task_field(4 + 8 * inner, 4)
            selector = self._task_field(8 + 8 * inner, 2)
            descriptor = self._descriptor(selector, _INVALID_TSS)
            if not descriptor.high & _PRESENT:
                raise Fault(Event(_STACK, selector & ~3 | self._external))
            base, big = descriptor.base, bool(descriptor.high & _BIG)
            pushed = (registers.ss.selector, registers.rsp, *pushed)
        pushed += self._error
        size, mask = (4 if wide else 2), (0xFFFF_FFFF if big else 0xFFFF)
        for value in pushed:
            top = (top & ~mask) | ((top - size) & mask)
            data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            self._memory.write((base + (top & mask)) & 0xFFFF_FFFF, data)
        if selector is not None:
            state.set_segment("ss", selector, base, descriptor.limit, descriptor.high & 0x00F0_FF00)
        state.set_general("rsp", top)
