"""A VCPU of KVM as it stands: its registers, and memory as it sees that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import (
    Mode,
    Registers,
)
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.modes import CODE
from kdash.backends.kvm.records import REGISTER_NAMES, RIP
from kdash.backends.kvm.registers import (
    ENCODED_SEGMENTS,
    read_registers,
)
from kdash.backends.kvm.vcpu_state import copy_cpuid, read_fpu, set_register, start, write_fpu


class StandingVcpu:
    """What can be read and set of a VCPU while it does not run.

    Args:
        fd: its file descriptor.
        index: the VCPU's number.
        memory: the VM's memory, for the page walk.
    """

    def __init__(self, fd: int, index: int, memory: GuestMemory) -> None:
        self.fd = fd
        self.index = index
        self._memory = memory
        self._native: Any = ffi.new("struct kdash_vcpu *")

    @property
    def native(self) -> Any:
        """Its `struct kdash_vcpu`, for the recording."""
        return self._native

    @property
    def memory(self) -> GuestMemory:
        """The machine's."""
        return self._memory

    def start(
        self, mode: Mode, registers: Mapping[str, int], reset: bool = False, code: int = CODE
    ) -> None:
        """Set the flat state of `mode` and the general registers, others 0.

        With `reset` the segments stay as KVM made them: those of a processor out of reset.
        `code` is the code segment's selector.
        """
        start(self.fd, mode, registers, reset, code)
        self.refresh()

    def copy_cpuid(self, device: int) -> None:
        """Let CPUID answer all that KVM supports, as the open `device` says.

        The APIC id is that of the VCPU: KVM tells the one of the processor it is asked on
        (api.rst, 4.46; leaf 1 EBX 31:24, leaves 0BH and 1FH EDX of the Intel SDM, CPUID).
        """
        copy_cpuid(self.fd, self.index, device)

    def refresh(self) -> None:
        """Read the registers anew, after KVM was told to change them."""
        error = lib.kdash_refresh(self._native)
        if error < 0:
            raise ioctl.failure("KVM_GET_REGS", -error)

    @property
    def rip(self) -> int:
        """RIP when KVM_RUN last returned, or as set since."""
        return int(lib.kdash_sync_registers(self._native)[RIP])

    def registers(self) -> Registers:
        """All registers as KVM_RUN last left them."""
        words = lib.kdash_sync_registers(self._native)
        sregs = lib.kdash_sync_sregs(self._native)
        return read_registers(ffi.unpack(words, len(REGISTER_NAMES)), sregs)

    def set_register(self, name: str, value: int) -> None:
        """Set a general, control or segment register (a segment by its selector).

        In real mode the segment's base becomes 16 times the selector; `fs_base` and the
        like set the base alone.

        Raises:
            ValueError: when there is no such register or the value does not fit it.
            KvmError: when KVM refuses the value.
        """
        set_register(self.fd, name, value)
        self.refresh()

    def read_linear(self, linear: int, length: int) -> bytes:
        """Guest memory at a linear address, up to the first byte that can't be reached."""
        data = ffi.new("uint8_t[]", max(length, 1))
        mask = (1 << 64) - 1
        got = lib.kdash_read(self._memory.native, self._paging(), linear & mask, data, length)
        return bytes(ffi.buffer(data, got))

    def write_linear(self, linear: int, data: bytes) -> int:
        """Write at a linear address, ROM too; bytes written up to the first out of reach."""
        return self._memory.write_linear(self._paging(), linear, data)

    def _paging(self) -> Any:
        sregs = lib.kdash_sync_sregs(self._native)
        return ffi.new("struct kdash_paging *", (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer))

    def fpu(self) -> FpuState:
        """The x87 and SSE registers, which single steps do not bring along.

        Raises:
            KvmError: when KVM refuses.
        """
        return read_fpu(self.fd)

    def set_fpu(self, state: FpuState) -> None:
        """Set the x87 and SSE registers.

        Raises:
            KvmError: when KVM refuses.
        """
        write_fpu(self.fd, state)

    def general_registers(self) -> tuple[int, ...]:
        """In the order of REGISTER_NAMES, as KVM_RUN last left them."""
        words: list[int] = ffi.unpack(lib.kdash_sync_registers(self._native), len(REGISTER_NAMES))
        return tuple(words)

    def segment_bases(self) -> tuple[int, ...]:
        """In the order of registers.ENCODED_SEGMENTS, as KVM_RUN last left them."""
        sregs = lib.kdash_sync_sregs(self._native)
        return tuple(getattr(sregs, name).base for name in ENCODED_SEGMENTS)

    @property
    def interrupt_table(self) -> int:
        """Linear address of the interrupt table."""
        return int(lib.kdash_sync_sregs(self._native).idt.base)
