"""Puts a machine of KVM into a moment of its recording."""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi
from kdash.backends.kvm.facts import KvmError, Mode
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.vcpu import Vcpu

#: IP reaches so far in real mode, with the code segment at 0.
_REACH: Final = 0xFFFF
_NOP_HLT: Final = b"\x90\xf4"
#: State of the VM: a structure for each of the two PICs and the IOAPIC, in the order of
#: KVM_IRQCHIP_*, and the timer; bytes of each (asm/kvm.h).
VM_STATE: Final = {"IRQCHIP 0": 520, "IRQCHIP 1": 520, "IRQCHIP 2": 520, "PIT2": 112}


def check_shown(recording: Recording) -> None:
    """Refuse state of a file that tells KVM to take more than its structure holds.

    Raises:
        KvmError: when it does.
    """
    for area in recording.areas:
        if area.name == "MSRS":  # struct kvm_msrs: their number; index and value of each
            heads = [(0, 8), *((at, at + 8) for at in range(8, area.size, 16))]
        elif area.name.startswith("IRQCHIP"):  # struct kvm_irqchip: which it is
            heads = [(0, 4)]
        else:
            continue
        ours = bytes(ffi.buffer(area.host, area.size))
        shown = bytes(recording.shadow(area.number))
        if any(ours[start:end] != shown[start:end] for start, end in heads):
            raise KvmError(
                f"the recording's {area.name} are others than KVM has here",
                "go on with it where it was made",
            )


def put(machine: Machine, recording: Recording) -> None:
    """Put memory, controllers and VCPUs of the moment shown into the machine.

    Raises:
        KvmError: when KVM refuses a state.
    """
    recording.restore()
    for area in recording.areas:
        if area.name in VM_STATE:
            request = f"KVM_SET_{area.name.partition(' ')[0]}"
            ioctl.call_pointer(machine.memory.vm, request, area.host)
    for vcpu in machine.vcpus:
        _restore_vcpu(vcpu, recording)


def leave_halt(machine: Machine, vcpu: Vcpu) -> None:
    """Let the VCPU do a NOP or a HLT more, in memory that is restored after it.

    Where KVM emulates, a HLT that was stepped is told once more by the next run without
    stepping, after its first instruction, whatever that is.
    """
    slot = next((one for one in machine.memory.slots() if not one.readonly), None)
    if machine.guest.irqchip or slot is None or slot.guest > _REACH:
        return
    machine.memory.write(slot.guest, _NOP_HLT)
    vcpu.start(Mode.REAL, {"rip": slot.guest, "rflags": 2})
    vcpu.set_stepping(False)
    while not vcpu.enter(False):
        pass  # a kick of earlier


def _restore_vcpu(vcpu: Vcpu, recording: Recording) -> None:
    words = recording.words(vcpu.index)
    ioctl.call_pointer(vcpu.fd, "KVM_SET_SREGS", recording.sregs(vcpu.index))
    ioctl.call_pointer(vcpu.fd, "KVM_SET_REGS", words)
    for area in recording.areas:
        if area.vcpu == vcpu.index and area.host is not None:
            ioctl.call_pointer(vcpu.fd, f"KVM_SET_{area.name}", area.host)
    ioctl.call_pointer(vcpu.fd, "KVM_SET_VCPU_EVENTS", recording.events(vcpu.index))
    vcpu.refresh()
