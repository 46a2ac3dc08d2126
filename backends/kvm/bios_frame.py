"""A BIOS call seen from inside: the caller's registers, flags and memory."""

from __future__ import annotations

from typing import Final, Protocol

from kdash.backends.kvm.bios_layout import BIOS_SEGMENT, STUB
from kdash.backends.kvm.bios_text import Memory
from kdash.backends.kvm.facts import Mode, Registers, Segment

_CARRY: Final = 1 << 0
_ZERO: Final = 1 << 6
_ROM: Final = range(BIOS_SEGMENT << 4, (BIOS_SEGMENT << 4) + 0x10000)


class Vcpu(Protocol):
    """What a call needs of the VCPU."""

    def registers(self) -> Registers:
        """All registers."""
        ...

    def set_register(self, name: str, value: int) -> None:
        """Set one."""
        ...


class Frame:
    """The call that brought the VCPU into a stub.

    Registers are set by `commit`; flags, which IRET restores, in their place on the stack.
    """

    def __init__(self, vcpu: Vcpu, memory: Memory) -> None:
        self._vcpu = vcpu
        self._memory = memory
        self._registers = vcpu.registers()
        self._set: dict[str, int] = {}

    @property
    def from_stub(self) -> bool:
        """Whether the VCPU is in a stub: in real mode, in the BIOS's segment."""
        registers = self._registers
        return (
            registers.mode is Mode.REAL
            and registers.cs.base == BIOS_SEGMENT << 4
            and registers.rip < 256 * STUB
        )

    @property
    def vector(self) -> int:
        """The interrupt's number. RIP is at the stub's OUT or right behind it."""
        return self._registers.rip // STUB

    def value(self, name: str) -> int:
        """A general register as it is."""
        value = self._set.get(name)
        return int(getattr(self._registers, name)) if value is None else value

    def word(self, name: str) -> int:
        """Its low 16 bits."""
        return self.value(name) & 0xFFFF

    def low(self, name: str) -> int:
        """Bits 0 to 7."""
        return self.value(name) & 0xFF

    def high(self, name: str) -> int:
        """Bits 8 to 15."""
        return self.value(name) >> 8 & 0xFF

    def set16(self, name: str, value: int) -> None:
        """Set the low 16 bits."""
        self._set[name] = self.value(name) & ~0xFFFF | value & 0xFFFF

    def set32(self, name: str, value: int) -> None:
        """Set the register to 32 bits."""
        self._set[name] = value & 0xFFFF_FFFF

    def set_high(self, name: str, value: int) -> None:
        """Set bits 8 to 15."""
        self.set16(name, self.low(name) | value << 8)

    def carry(self, on: bool) -> None:
        """Set or clear the carry flag the caller sees."""
        self._flag(_CARRY, on)

    def zero(self, on: bool) -> None:
        """Set or clear the zero flag the caller sees."""
        self._flag(_ZERO, on)

    def fail(self, status: int) -> None:
        """The usual failure: AH the status, carry set."""
        self.set_high("rax", status)
        self.carry(True)

    def _flag(self, bit: int, on: bool) -> None:
        stack = self._registers.ss.base + ((self._registers.rsp + 4) & 0xFFFF)
        try:
            flags = int.from_bytes(self._memory.read(stack, 2), "little")
            flags = flags | bit if on else flags & ~bit
            self._memory.write(stack, flags.to_bytes(2, "little"))
        except IndexError:
            pass  # a stack where no memory is: IRET reads all ones there

    def jump(self, offset: int) -> None:
        """Go on at an offset in the BIOS's segment, not back to the caller."""
        self._set["rip"] = offset

    def again(self) -> None:
        """Make the same call once more."""
        self.jump(self.vector * STUB)

    @property
    def caller(self) -> tuple[int, ...]:
        """What tells this call from others: its stack and where it returns to."""
        stack = self._registers.ss.base + (self._registers.rsp & 0xFFFF)
        try:
            return (stack, *self._memory.read(stack, 4))
        except IndexError:
            return (stack,)

    def address(self, segment: str, offset: int) -> int:
        """The physical address of an offset in a segment register's segment."""
        register = getattr(self._registers, segment)
        assert isinstance(register, Segment)
        return register.base + (offset & 0xFFFF)

    def read(self, segment: str, offset: int, length: int) -> bytes:
        """The caller's memory; IndexError where none is."""
        return self._memory.read(self.address(segment, offset), length)

    def write(self, segment: str, offset: int, data: bytes) -> None:
        """Write the caller's memory; IndexError where none is."""
        self.write_physical(self.address(segment, offset), data)

    def read_physical(self, address: int, length: int) -> bytes:
        """Memory by physical address; IndexError where none is."""
        return self._memory.read(address, length)

    def write_physical(self, address: int, data: bytes) -> None:
        """Write by physical address; IndexError where no memory is, or ROM."""
        if address < _ROM.stop and address + len(data) > _ROM.start:
            raise IndexError(f"ROM at {address:#x}, {len(data)} bytes")
        self._memory.write(address, data)

    def commit(self) -> None:
        """Give the VCPU what was set."""
        for name, value in self._set.items():
            self._vcpu.set_register(name, value)
