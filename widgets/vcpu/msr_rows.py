"""Model-specific registers as rows: number, name, value, what it is and what its bits say.

Sources: Intel SDM vol. 4, table 2-2, and vol. 3A, "Page Attribute Table"; AMD APM vol. 2,
appendix A; for KVM's own Linux Documentation/virt/kvm/x86/msr.rst; bits of
IA32_ARCH_CAPABILITIES and HWCR as in arch/x86/include/asm/msr-index.h of Linux 6.19.
"""

from __future__ import annotations

from collections.abc import Callable

from kdash.backends.kvm.state_facts import Msr, MsrState
from kdash.widgets.vcpu.control_rows import APIC_BASE, names
from kdash.widgets.vcpu.flags import EFER
from kdash.widgets.vcpu.state_row import StateRow, gap_rows

WHAT = {
    "IA32_TSC": "time stamp counter",
    "IA32_APIC_BASE": "local APIC",
    "SMI_COUNT": "system management interrupts so far",
    "IA32_FEAT_CTL": "which features the firmware lets be used",
    "IA32_TSC_ADJUST": "what was added to the time stamp counter",
    "IA32_SPEC_CTRL": "speculation control",
    "IA32_PRED_CMD": "branch prediction barrier, written only",
    "IA32_UCODE_REV": "revision of the microcode",
    "PLATFORM_INFO": "ratios, and what the platform can do",
    "IA32_MTRRCAP": "memory types: ranges there are",
    "IA32_ARCH_CAPABILITIES": "vulnerabilities there are not",
    "MISC_FEATURES_ENABLES": "CPUID faulting, ring 3 MWAIT",
    "IA32_SYSENTER_CS": "SYSENTER: code segment",
    "IA32_SYSENTER_ESP": "SYSENTER: stack",
    "IA32_SYSENTER_EIP": "SYSENTER: where it goes",
    "IA32_MCG_CAP": "machine check: what there is",
    "IA32_MCG_STATUS": "machine check: state",
    "IA32_MCG_CTL": "machine check: what is reported",
    "IA32_MISC_ENABLE": "features switched on",
    "IA32_DEBUGCTL": "branch tracing and single steps",
    "LAST_BRANCH_FROM_IP": "last branch: from",
    "LAST_BRANCH_TO_IP": "last branch: to",
    "LAST_INT_FROM_IP": "branch before the last exception: from",
    "LAST_INT_TO_IP": "branch before the last exception: to",
    "POWER_CTL": "power management",
    "IA32_PAT": "types of PAT0 to PAT7",
    "MTRR_DEF_TYPE": "memory type outside of the ranges",
    "IA32_PERF_CAPABILITIES": "what the performance counters can do",
    "IA32_TSC_DEADLINE": "when the APIC timer fires",
    "IA32_XFD": "parts of XSAVE state whose use faults",
    "IA32_XSS": "parts of supervisor state that XSAVES saves",
    "EFER": "extended features",
    "STAR": "SYSCALL and SYSRET: segments",
    "LSTAR": "SYSCALL: where it goes from 64-bit code",
    "CSTAR": "SYSCALL: where it goes from 32-bit code",
    "SYSCALL_MASK": "SYSCALL: flags it clears",
    "FS_BASE": "where FS begins",
    "GS_BASE": "where GS begins",
    "KERNEL_GS_BASE": "what SWAPGS swaps GS_BASE with",
    "TSC_AUX": "what RDTSCP and RDPID give: the processor's number",
    "HWCR": "hardware configuration",
    "VM_HSAVE_PA": "SVM: where the host's state is saved",
    "VIRT_SPEC_CTRL": "speculation control of a guest",
    "KVM_WALL_CLOCK (old)": "where KVM writes the time of boot",
    "KVM_SYSTEM_TIME (old)": "where KVM keeps this VCPU's clock",
    "KVM_WALL_CLOCK_NEW": "where KVM writes the time of boot",
    "KVM_SYSTEM_TIME_NEW": "where KVM keeps this VCPU's clock",
    "KVM_ASYNC_PF_EN": "asynchronous page faults: where, and whether",
    "KVM_ASYNC_PF_INT": "asynchronous page faults: vector",
    "KVM_ASYNC_PF_ACK": "asynchronous page faults: acknowledged",
    "KVM_STEAL_TIME": "where KVM tells the time taken by others",
    "KVM_PV_EOI_EN": "end of interrupt without an exit",
    "KVM_POLL_CONTROL": "KVM polls before it lets a halted VCPU sleep",
    "KVM_MIGRATION_CONTROL": "ready to be migrated",
}

MISC_ENABLE = (
    (0, "fast-strings"), (3, "thermal-control"), (7, "performance-monitoring"),
    (11, "no-branch-trace"), (12, "no-PEBS"), (16, "SpeedStep"), (18, "MWAIT"),
    (22, "CPUID-limit"), (34, "no-NX"),
)  # fmt: skip
SPEC_CTRL = ((0, "IBRS"), (1, "STIBP"), (2, "SSBD"))
FEAT_CTL = ((0, "locked"), (1, "VMX-in-SMX"), (2, "VMX"), (18, "SGX"), (20, "LMCE"))
ARCH_CAPABILITIES = (
    (0, "RDCL_NO"), (1, "IBRS_ALL"), (2, "RSBA"), (3, "SKIP_L1DFLUSH"), (4, "SSB_NO"),
    (5, "MDS_NO"), (6, "PSCHANGE_MC_NO"), (7, "TSX_CTRL"), (8, "TAA_NO"), (13, "SBDR_SSDP_NO"),
    (14, "FBSDP_NO"), (15, "PSDP_NO"), (17, "FB_CLEAR"), (19, "RRSBA"), (20, "BHI_NO"),
    (24, "PBRSB_NO"), (26, "GDS_NO"), (27, "RFDS_NO"), (28, "RFDS_CLEAR"), (62, "ITS_NO"),
)  # fmt: skip
DEBUGCTL = ((0, "LBR"), (1, "BTF"), (6, "TR"), (7, "BTS"), (8, "BTINT"))
HWCR = ((4, "INVD-WBINVD"), (24, "TscFreqSel"), (30, "IrPerfEn"))
BITS = {
    "EFER": EFER,
    "IA32_MISC_ENABLE": MISC_ENABLE,
    "IA32_SPEC_CTRL": SPEC_CTRL,
    "VIRT_SPEC_CTRL": SPEC_CTRL,
    "IA32_FEAT_CTL": FEAT_CTL,
    "IA32_ARCH_CAPABILITIES": ARCH_CAPABILITIES,
    "IA32_DEBUGCTL": DEBUGCTL,
    "HWCR": HWCR,
}
#: Encodings of memory types in the PAT and the MTRRs; others are reserved.
MEMORY_TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
PAGE_MASK = (1 << 52) - (1 << 12)


def _apic_base(value: int) -> str:
    return f"{value & PAGE_MASK:x} {names(APIC_BASE, value)}".rstrip()


def _pat(value: int) -> str:
    return " ".join(MEMORY_TYPES.get(one & 7, "?") for one in value.to_bytes(8, "little"))


def _default_type(value: int) -> str:
    on = names(((11, "ranges"), (10, "fixed-ranges")), value)
    return f"{MEMORY_TYPES.get(value & 0xFF, '?')} {on or 'off'}"


def _shared_page(value: int) -> str:
    return f"{value & ~3:x}" if value & 1 else "off"


SAID: dict[str, Callable[[int], str]] = {
    "IA32_APIC_BASE": _apic_base,
    "IA32_PAT": _pat,
    "MTRR_DEF_TYPE": _default_type,
    "KVM_SYSTEM_TIME (old)": _shared_page,
    "KVM_SYSTEM_TIME_NEW": _shared_page,
    "KVM_STEAL_TIME": _shared_page,
    "KVM_PV_EOI_EN": _shared_page,
}


def meaning(msr: Msr) -> str:
    """What a register is, and what its value says; empty where we know neither."""
    what = WHAT.get(msr.name, "")
    if msr.value is None:
        return f"{what}: refused by KVM" if what else "refused by KVM"
    said = ""
    if msr.name in SAID:
        said = SAID[msr.name](msr.value)
    elif msr.name in BITS:
        said = names(BITS[msr.name], msr.value)
    return ": ".join(filter(None, (what, said)))


def msr_rows(state: MsrState) -> list[StateRow]:
    """The VCPU's, then those of the host's KVM."""
    return [*map(_row, state.msrs), *gap_rows(state.unavailable)]


def _row(msr: Msr) -> StateRow:
    value, said = "-" if msr.value is None else f"{msr.value:016x}", meaning(msr)
    return StateRow(
        "feature" if msr.feature else "vcpu",
        msr.name or "-",
        value,
        said,
        "warning" if msr.value is None else "" if msr.value else "muted",
        "\n".join(filter(None, (f"MSR {msr.number:x} {msr.name}".rstrip(), value, said))),
        f"{msr.number:x}",
    )
