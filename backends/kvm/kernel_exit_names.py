"""Names of the processor's exit reasons, as the tracepoint kvm:kvm_exit numbers them.

Sources: Intel SDM vol. 3D, appendix C (VMX basic exit reasons); AMD APM vol. 2, appendix C (SVM
exit codes); names as in asm/vmx.h and asm/svm.h of Linux 6.19. ISA numbers: KVM_ISA_VMX and
KVM_ISA_SVM of arch/x86/kvm/trace.h.
"""

from __future__ import annotations

from typing import Final

VMX, SVM = 1, 2

_VMX: Final = dict(enumerate((
    "EXCEPTION_NMI", "EXTERNAL_INTERRUPT", "TRIPLE_FAULT", "INIT_SIGNAL", "SIPI_SIGNAL", "IO_SMI",
    "OTHER_SMI", "INTERRUPT_WINDOW", "NMI_WINDOW", "TASK_SWITCH", "CPUID", "GETSEC", "HLT", "INVD",
    "INVLPG", "RDPMC", "RDTSC", "RSM", "VMCALL", "VMCLEAR", "VMLAUNCH", "VMPTRLD", "VMPTRST",
    "VMREAD", "VMRESUME", "VMWRITE", "VMOFF", "VMON", "CR_ACCESS", "DR_ACCESS", "IO_INSTRUCTION",
    "MSR_READ", "MSR_WRITE", "INVALID_STATE", "MSR_LOAD_FAIL", "35", "MWAIT_INSTRUCTION",
    "MONITOR_TRAP_FLAG", "38", "MONITOR_INSTRUCTION", "PAUSE_INSTRUCTION", "MCE_DURING_VMENTRY",
    "42", "TPR_BELOW_THRESHOLD", "APIC_ACCESS", "EOI_INDUCED", "GDTR_IDTR", "LDTR_TR",
    "EPT_VIOLATION", "EPT_MISCONFIG", "INVEPT", "RDTSCP", "PREEMPTION_TIMER", "INVVPID", "WBINVD",
    "XSETBV", "APIC_WRITE", "RDRAND", "INVPCID", "VMFUNC", "ENCLS", "RDSEED", "PML_FULL", "XSAVES",
    "XRSTORS", "65", "SPP_EVENT", "UMWAIT", "TPAUSE", "LOADIWKEY", "70", "71", "72", "73",
    "BUS_LOCK", "NOTIFY",
)))  # fmt: skip

_SVM: Final = {
    0x060: "interrupt", 0x061: "nmi", 0x062: "smi", 0x063: "init", 0x064: "vintr",
    0x065: "cr0_sel_write", 0x066: "read_idtr", 0x067: "read_gdtr", 0x068: "read_ldtr",
    0x069: "read_tr", 0x06A: "write_idtr", 0x06B: "write_gdtr", 0x06C: "write_ldtr",
    0x06D: "write_tr", 0x06E: "rdtsc", 0x06F: "rdpmc", 0x070: "pushf", 0x071: "popf",
    0x072: "cpuid", 0x073: "rsm", 0x074: "iret", 0x075: "swint", 0x076: "invd", 0x077: "pause",
    0x078: "hlt", 0x079: "invlpg", 0x07A: "invlpga", 0x07B: "ioio", 0x07C: "msr",
    0x07D: "task_switch", 0x07E: "ferr_freeze", 0x07F: "shutdown", 0x080: "vmrun",
    0x081: "vmmcall", 0x082: "vmload", 0x083: "vmsave", 0x084: "stgi", 0x085: "clgi",
    0x086: "skinit", 0x087: "rdtscp", 0x088: "icebp", 0x089: "wbinvd", 0x08A: "monitor",
    0x08B: "mwait", 0x08C: "mwait_cond", 0x08D: "xsetbv", 0x08E: "rdpru", 0x08F: "efer_write_trap",
    0x0A2: "invpcid", 0x0A5: "bus_lock", 0x0A6: "idle_hlt", 0x400: "npf",
    0x401: "avic_incomplete_ipi", 0x402: "avic_unaccelerated_access", 0x403: "vmgexit",
}  # fmt: skip


def exit_name(isa: int, reason: int) -> str:
    """The name of a reason; its number where it has none."""
    if isa == VMX:
        # Bit 31 says that the entry itself failed (SDM vol. 3C, table 24-14).
        failed = " at entry" if reason >> 31 & 1 else ""
        return _VMX.get(reason & 0xFFFF, f"{reason & 0xFFFF}") + failed
    if isa == SVM:
        for first, count, name in ((0, 16, "read_cr{}"), (0x10, 16, "write_cr{}"),
                                   (0x20, 16, "read_dr{}"), (0x30, 16, "write_dr{}"),
                                   (0x40, 32, "excp {}")):  # fmt: skip
            if first <= reason < first + count:
                return name.format(reason - first)
        return _SVM.get(reason, f"{reason:#x}")
    return f"isa {isa}: {reason:#x}"
