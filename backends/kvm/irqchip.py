"""Interrupt controllers and the timer in the kernel: PIC, IOAPIC, local APICs, PIT.

Structures: <linux/kvm.h>; api.rst, 4.24 (KVM_CREATE_IRQCHIP), 4.71 (KVM_CREATE_PIT2), 4.38
(KVM_GET_MP_STATE).
"""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.device import Device, require
from kdash.backends.kvm.facts import VcpuState

#: Interrupt lines of the PC: 0-15 of the PICs, 0-23 of the IOAPIC.
LINES: Final = 24
#: KVM_PIT_SPEAKER_DUMMY: port 0x61 is the kernel's too, as its timer's gate and output are there.
_SPEAKER: Final = 1
#: struct kvm_pit_config: flags and 15 words of padding.
_PIT: Final = struct.Struct("<I60x")
_MP_STATE: Final = struct.Struct("<I")  # struct kvm_mp_state
_INJECTED: Final = 8  # offset of interrupt.injected in struct kvm_vcpu_events (asm/kvm.h)

#: KVM_MP_STATE_* of <linux/kvm.h>.
RUNNABLE: Final = 0
HALTED: Final = 3
STATES: Final = {
    0: VcpuState.RUNNABLE,
    1: VcpuState.WAITING,  # UNINITIALIZED: for INIT
    2: VcpuState.WAITING,  # INIT_RECEIVED: for SIPI
    3: VcpuState.HALTED,
    4: VcpuState.RUNNABLE,  # SIPI_RECEIVED
}


def create(device: Device, vm: int) -> None:
    """Give the VM interrupt controllers and a timer; before its VCPUs are created.

    Raises:
        KvmError: when KVM has none, naming the capability.
    """
    for name, purpose in (
        ("IRQCHIP", "interrupt controllers in the kernel (--irqchip)"),
        ("PIT2", "the timer in the kernel (--irqchip)"),
        ("MP_STATE", "telling which VCPUs have halted (--irqchip)"),
    ):
        require(device.capability(name), name, purpose)
    ioctl.call(vm, "KVM_CREATE_IRQCHIP")
    ioctl.call_bytes(vm, "KVM_CREATE_PIT2", _PIT.pack(_SPEAKER))


def mp_state(vcpu: int) -> int:
    """The VCPU's KVM_MP_STATE_*; INIT and SIPI that have arrived are taken by that.

    Raises:
        KvmError: when KVM refuses to tell.
    """
    (state,) = _MP_STATE.unpack(ioctl.call_bytes(vcpu, "KVM_GET_MP_STATE")[1])
    return int(state)


def injected(vcpu: int) -> bool:
    """Whether KVM has taken an interrupt from its controllers that the VCPU has yet to get.

    Raises:
        KvmError: when KVM refuses to tell.
    """
    _, events = ioctl.call_bytes(vcpu, "KVM_GET_VCPU_EVENTS")
    return bool(events[_INJECTED])


def set_mp_state(vcpu: int, state: int) -> None:
    """Set the VCPU's KVM_MP_STATE_*.

    Raises:
        KvmError: when KVM refuses it.
    """
    ioctl.call_bytes(vcpu, "KVM_SET_MP_STATE", _MP_STATE.pack(state))
