"""What each exit reason means, in one sentence.

Source: Documentation/virt/kvm/api.rst, section 5 (struct kvm_run), up to Linux 6.19.
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.facts import ExitReason, Outcome

SENTENCES: Final[dict[ExitReason, str]] = {
    ExitReason.UNKNOWN: "the processor left the guest for a reason KVM has no name for",
    ExitReason.EXCEPTION: "the guest raised an exception that KVM hands to user space",
    ExitReason.IO: "the guest accessed an I/O port that KVM does not serve itself",
    ExitReason.HYPERCALL: "the guest called the hypervisor",
    ExitReason.DEBUG: "a single step, breakpoint or watchpoint was hit",
    ExitReason.HLT: "the guest halted and waits for an interrupt",
    ExitReason.MMIO: "the guest accessed a physical address without memory",
    ExitReason.IRQ_WINDOW_OPEN: "the guest can take an interrupt now",
    ExitReason.SHUTDOWN: "triple fault: a fault came while a double fault was delivered",
    ExitReason.FAIL_ENTRY: "the processor refused to enter the guest with this state",
    ExitReason.INTR: "a signal interrupted KVM_RUN",
    ExitReason.SET_TPR: "the guest lowered its task priority register",
    ExitReason.TPR_ACCESS: "the guest accessed its task priority register",
    ExitReason.S390_SIEIC: "an interception on s390 needs an answer",
    ExitReason.S390_RESET: "a reset was asked for on s390",
    ExitReason.DCR: "the guest accessed a device control register on PowerPC",
    ExitReason.NMI: "a non-maskable interrupt of the host arrived in the guest",
    ExitReason.INTERNAL_ERROR: "KVM itself could not go on",
    ExitReason.OSI: "the guest called the open-source interface on PowerPC",
    ExitReason.PAPR_HCALL: "the guest made a PAPR hypercall on PowerPC",
    ExitReason.S390_UCONTROL: "a page fault of a user-controlled VM on s390",
    ExitReason.WATCHDOG: "the guest's watchdog ran out on PowerPC",
    ExitReason.S390_TSCH: "the guest executed TEST SUBCHANNEL on s390",
    ExitReason.EPR: "the guest acknowledges an external interrupt on PowerPC",
    ExitReason.SYSTEM_EVENT: "the guest asked for shutdown, reset, or reported a crash",
    ExitReason.S390_STSI: "the guest executed STORE SYSTEM INFORMATION on s390",
    ExitReason.IOAPIC_EOI: "the guest ended a level-triggered interrupt of the user's I/O APIC",
    ExitReason.HYPERV: "the guest used a Hyper-V interface that user space serves",
    ExitReason.ARM_NISV: "an access without decoded syndrome on Arm",
    ExitReason.X86_RDMSR: "the guest reads a model-specific register left to user space",
    ExitReason.X86_WRMSR: "the guest writes a model-specific register left to user space",
    ExitReason.DIRTY_RING_FULL: "the ring of dirty pages is full and must be harvested",
    ExitReason.AP_RESET_HOLD: "an SEV-ES guest's processor waits for its start",
    ExitReason.X86_BUS_LOCK: "the guest locked the bus",
    ExitReason.XEN: "the guest made a Xen hypercall",
    ExitReason.RISCV_SBI: "the guest called the supervisor binary interface on RISC-V",
    ExitReason.RISCV_CSR: "the guest accessed a control register left to user space on RISC-V",
    ExitReason.NOTIFY: "the guest kept the processor from taking events for too long",
    ExitReason.LOONGARCH_IOCSR: "the guest accessed an I/O control register on LoongArch",
    ExitReason.MEMORY_FAULT: "the guest touched memory that user space must convert or provide",
    ExitReason.TDX: "a TDX guest called its host",
    ExitReason.ARM_SEA: "a synchronous external abort of the guest on Arm",
}

#: Exits that are accesses: answered, then finished by entering the guest again.
ACCESSES: Final = frozenset(
    {ExitReason.IO, ExitReason.MMIO, ExitReason.X86_RDMSR, ExitReason.X86_WRMSR}
)

#: Exits that end a run by themselves, and as what.
OUTCOMES: Final[dict[int, Outcome]] = {
    ExitReason.HLT: Outcome.HLT,
    ExitReason.SHUTDOWN: Outcome.SHUTDOWN,
    ExitReason.INTERNAL_ERROR: Outcome.INTERNAL_ERROR,
    ExitReason.FAIL_ENTRY: Outcome.FAIL_ENTRY,
    ExitReason.SYSTEM_EVENT: Outcome.SYSTEM_EVENT,
}

#: Exits that say nothing about the guest; they differ from host to host.
UNCOUNTED: Final = frozenset({ExitReason.DEBUG, ExitReason.INTR, ExitReason.IRQ_WINDOW_OPEN})


def exit_name(reason: int) -> str:
    """KVM_EXIT_<name>; EXIT_<n> for a number without one."""
    try:
        return ExitReason(reason).name
    except ValueError:
        return f"EXIT_{reason}"


def exit_sentence(reason: int) -> str:
    """What the reason means."""
    try:
        return SENTENCES[ExitReason(reason)]
    except ValueError:
        return "an exit newer than this program"
