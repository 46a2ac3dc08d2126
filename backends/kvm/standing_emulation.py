"""An emulated VCPU as it stands: its registers, and memory as it sees that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.emulated_inspection import read_fpu, reset_fpu, write_fpu
from kdash.backends.kvm.emulated_memory import EmulatedMemory
from kdash.backends.kvm.emulated_state import State, flush_translations
from kdash.backends.kvm.facts import Mode, Registers
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.modes import CODE, RESET_BASE, RESET_SELECTOR
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import BASES, ENCODED_SEGMENTS, SEGMENTS, check_register

_MASK: Final = (1 << 64) - 1


class StandingEmulation:
    """What StandingVcpu of standing_vcpu.py offers, of unicorn.

    Args:
        uc: what executes.
        memory: the guest's.
    """

    index = 0

    def __init__(self, uc: Any, memory: EmulatedMemory) -> None:
        from unicorn import x86_const as x86

        self._uc: Any = uc
        self._x86 = x86
        self._memory = memory
        self._state = State(uc)

    @property
    def unicorn(self) -> Any:
        """What executes, to read what has no method here."""
        return self._uc

    def start(
        self, mode: Mode, registers: Mapping[str, int], reset: bool = False, code: int = CODE
    ) -> None:
        """Set the flat state of `mode` and the general registers, others 0.

        With `reset` the code segment is that of a processor out of reset; `code` is its
        selector otherwise.
        """
        self._state.enter_mode(mode, code)
        if reset:
            self._state.set_segment("cs", RESET_SELECTOR, RESET_BASE)
            self._state.store()
        for name in REGISTER_NAMES:
            self._write(name, registers.get(name, 0))
        reset_fpu(self._uc)

    def _write(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._x86, f"UC_X86_REG_{name.upper()}"), value)

    @property
    def rip(self) -> int:
        """RIP of the next instruction."""
        return int(self._uc.reg_read(self._x86.UC_X86_REG_RIP))

    def registers(self) -> Registers:
        """All registers."""
        rflags = self._uc.reg_read(self._x86.UC_X86_REG_RFLAGS)
        return self._state.load().registers(rflags)

    def general_registers(self) -> tuple[int, ...]:
        """In the order of REGISTER_NAMES."""
        registers = self.registers()
        return tuple(getattr(registers, name) for name in REGISTER_NAMES)

    def set_register(self, name: str, value: int) -> None:
        """Set a general, control or segment register, as Vcpu does.

        Raises:
            ValueError: when there is no such register or the value does not fit it.
        """
        check_register(name, value)
        if name in BASES:
            segment = name.removesuffix("_base")
            selector = getattr(self.registers(), segment).selector
            self._state.set_segment(segment, selector, value)
            self._state.store()
        elif name in SEGMENTS:
            registers = self.registers()
            base = getattr(registers, name).base if registers.cr0 & 1 else value << 4
            self._state.set_segment(name, value, base)
            self._state.store()
        elif name == "efer":
            self._uc.msr_write(0xC000_0080, value)
        else:
            self._write(name, value)
            flush_translations(self._uc)

    def read_linear(self, linear: int, length: int) -> bytes:
        """Guest memory at a linear address, up to the first byte that can't be reached."""
        return self._read(self.registers(), linear, length)

    def _read(self, registers: Registers, linear: int, length: int) -> bytes:
        data = ffi.new("uint8_t[]", max(length, 1))
        paging = paging_of(registers)
        got = lib.kdash_read(self._memory.native, paging, linear & _MASK, data, length)
        return bytes(ffi.buffer(data, got))

    def write_linear(self, linear: int, data: bytes) -> int:
        """Write at a linear address; bytes written up to the first out of reach."""
        done = self._memory.write_linear(paging_of(self.registers()), linear, data)
        self._uc.ctl_flush_tb()  # code may have been translated from there
        return done

    def fpu(self) -> FpuState:
        """The x87 and SSE registers."""
        return FpuState.of(read_fpu(self._uc))

    def set_fpu(self, state: FpuState) -> None:
        """Set the x87 and SSE registers."""
        write_fpu(self._uc, state)

    def segment_bases(self) -> tuple[int, ...]:
        """In the order of registers.ENCODED_SEGMENTS."""
        registers = self.registers()
        return tuple(getattr(registers, name).base for name in ENCODED_SEGMENTS)

    def skip(self, rip: int) -> None:
        """Go on at `rip`."""
        self._write("rip", rip)

    @property
    def privileged(self) -> bool:
        """Whether the guest runs at privilege level 0."""
        return self._state.privilege == 0


def paging_of(registers: Registers) -> Any:
    """A `struct kdash_paging *` for the page walk."""
    return ffi.new(
        "struct kdash_paging *", (registers.cr0, registers.cr3, registers.cr4, registers.efer)
    )
