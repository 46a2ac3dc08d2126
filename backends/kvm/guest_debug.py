"""Single-stepping and the breakpoints in a VCPU's debug registers: KVM_SET_GUEST_DEBUG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib

#: Breakpoints there are debug registers for: DR0 to DR3.
HARDWARE: Final = 4
_DR7_FIXED: Final = 1 << 10  # reads as one

#: KVM_GUESTDBG_BLOCKIRQ (asm/kvm.h, Linux 5.15).
BLOCK_INTERRUPTS: Final = 0x0010_0000


class GuestDebug:
    """What KVM_RUN returns at; KVM is only told of what differs.

    Args:
        fd: the VCPU's file descriptor.
        native: its `struct kdash_vcpu`, which arms the debug registers itself while stepping.
    """

    def __init__(self, fd: int, native: Any) -> None:
        self._fd = fd
        self._native = native
        self._control = 0
        self.hardware: tuple[int, ...] = ()  # linear addresses of the breakpoints

    def set_stepping(self, on: bool, shadowed: bool) -> None:
        """Switch single-stepping on or off; breakpoints in debug registers go.

        With `shadowed` no interrupt comes before the next instruction.
        """
        control = lib.KVM_GUESTDBG_SINGLESTEP | (BLOCK_INTERRUPTS if shadowed else 0)
        self._set(control if on else 0, ())

    def set_hardware(self, addresses: Sequence[int]) -> None:
        """Let KVM_RUN return at these linear addresses (at most HARDWARE); not while stepping."""
        control = lib.KVM_GUESTDBG_USE_HW_BP if addresses else 0
        self._set(control, tuple(addresses))

    def _set(self, control: int, addresses: tuple[int, ...]) -> None:
        if (control, addresses) == (self._control, self.hardware):
            return
        debug = ffi.new("struct kvm_guest_debug *")
        debug.control = lib.KVM_GUESTDBG_ENABLE | control if control else 0
        if addresses:
            # DR7: local enable of each, R/W and LEN 0 for execution (Intel SDM vol. 3B, 18.2.4).
            debug.arch.debugreg[7] = _DR7_FIXED | sum(1 << 2 * i for i in range(len(addresses)))
            for number, address in enumerate(addresses):
                debug.arch.debugreg[number] = address
        ioctl.call_pointer(self._fd, "KVM_SET_GUEST_DEBUG", debug)
        self._control, self.hardware = control, addresses
        self._native.stepping = control & ~lib.KVM_GUESTDBG_USE_HW_BP
        self._native.armed_count = 0
