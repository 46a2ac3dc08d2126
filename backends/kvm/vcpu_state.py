"""State that KVM is told of a VCPU: registers, x87 and SSE, what CPUID answers.

Each function takes the VCPU's file descriptor. What KVM refuses is raised as KvmError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.fpu import XSAVE_SIZE, FpuState
from kdash.backends.kvm.modes import enter_mode
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import BASES, SEGMENTS, check_register

#: KVM_MAX_CPUID_ENTRIES of arch/x86/include/asm/kvm_host.h, Linux 6.19.
CPUID_ENTRIES: Final = 256


def start(fd: int, mode: Mode, registers: Mapping[str, int], reset: bool, code: int) -> None:
    """Set the flat state of `mode` and the general registers; see Vcpu.start."""
    if not reset:
        sregs = ffi.new("struct kvm_sregs *")
        ioctl.call_pointer(fd, "KVM_GET_SREGS", sregs)
        enter_mode(sregs, mode, code)
        ioctl.call_pointer(fd, "KVM_SET_SREGS", sregs)
    words = ffi.new("uint64_t[]", [registers.get(name, 0) for name in REGISTER_NAMES])
    ioctl.call_pointer(fd, "KVM_SET_REGS", words)


def set_register(fd: int, name: str, value: int) -> None:
    """Set a general, control or segment register; see Vcpu.set_register.

    Raises:
        ValueError: when there is no such register or the value does not fit it.
    """
    check_register(name, value)
    if name in REGISTER_NAMES:
        words = ffi.new("uint64_t[]", len(REGISTER_NAMES))
        ioctl.call_pointer(fd, "KVM_GET_REGS", words)
        words[REGISTER_NAMES.index(name)] = value
        ioctl.call_pointer(fd, "KVM_SET_REGS", words)
    else:
        sregs = ffi.new("struct kvm_sregs *")
        ioctl.call_pointer(fd, "KVM_GET_SREGS", sregs)
        if name in SEGMENTS:
            segment = getattr(sregs, name)
            segment.selector = value
            if not sregs.cr0 & 1:
                segment.base = value << 4
        elif name in BASES:
            getattr(sregs, name.removesuffix("_base")).base = value
        else:
            setattr(sregs, name, value)
        ioctl.call_pointer(fd, "KVM_SET_SREGS", sregs)


def read_fpu(fd: int) -> FpuState:
    """The x87 and SSE registers."""
    return FpuState.unpack(_xsave(fd))


def write_fpu(fd: int, state: FpuState) -> None:
    """Set them; the rest of the extended state stays."""
    area = ffi.new("uint8_t[]", state.packed(_xsave(fd)))
    ioctl.call_pointer(fd, "KVM_SET_XSAVE", area)


def _xsave(fd: int) -> bytes:
    area = ffi.new("uint8_t[]", XSAVE_SIZE)
    ioctl.call_pointer(fd, "KVM_GET_XSAVE", area)
    return bytes(ffi.buffer(area))


def copy_cpuid(fd: int, index: int, device: int) -> None:
    """Let CPUID answer on VCPU `index` all that KVM supports; see Vcpu.copy_cpuid."""
    entries = ffi.new("uint32_t[]", 2 + CPUID_ENTRIES * 10)  # struct kvm_cpuid2
    entries[0] = CPUID_ENTRIES
    ioctl.call_pointer(device, "KVM_GET_SUPPORTED_CPUID", entries)
    for at in range(2, 2 + entries[0] * 10, 10):
        if entries[at] == 1:
            entries[at + 4] = entries[at + 4] & 0x00FF_FFFF | (index & 0xFF) << 24
        elif entries[at] in (0xB, 0x1F):
            entries[at + 6] = index
    ioctl.call_pointer(fd, "KVM_SET_CPUID2", entries)
