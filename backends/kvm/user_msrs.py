"""Model-specific registers that KVM leaves to us, by KVM_CAP_X86_USER_SPACE_MSR.

KVM then exits with X86_RDMSR or X86_WRMSR where it would raise #GP for a register or value it
does not know; what no device of the user answers still gets its #GP, seen as an exit.
Documentation/virt/kvm/api.rst, 7.21.
"""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.device import Device

#: KVM_MSR_EXIT_REASON_INVAL and KVM_MSR_EXIT_REASON_UNKNOWN of <linux/kvm.h>.
_WANTED: Final = 1 << 0 | 1 << 1


def leave_to_us(device: Device, vm: int) -> bool:
    """Let KVM exit for registers it doesn't know; False where this KVM can't."""
    if not device.capability("X86_USER_SPACE_MSR"):
        return False
    request = struct.pack("<IIQ", CAPABILITIES["X86_USER_SPACE_MSR"], 0, _WANTED)
    ioctl.call_bytes(vm, "KVM_ENABLE_CAP", request)
    return True
