"""What is read of a VCPU on demand alone: frozen facts, standard library only.

A snapshot holds what every picture needs. This is the rest of a VCPU's state, read when a
person looks at it. Names are those of the KVM API (Linux Documentation/virt/kvm/api.rst),
the Intel SDM and the AMD APM.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdash.backends.kvm.facts import Registers, Segment


@dataclass(frozen=True)
class DescriptorTable:
    """GDTR or IDTR (struct kvm_dtable)."""

    base: int  # linear
    limit: int  # bytes, inclusive


@dataclass(frozen=True)
class DebugRegisters:
    """DR0 to DR3, DR6 and DR7 (struct kvm_debugregs)."""

    db: tuple[int, int, int, int]  # linear addresses
    dr6: int
    dr7: int


@dataclass(frozen=True)
class PendingEvents:
    """What is to be delivered to a VCPU before its next instruction (struct kvm_vcpu_events)."""

    exception_pending: bool = False
    exception_injected: bool = False
    exception_vector: int = 0
    exception_error_code: int | None = None  # None: the exception has none
    exception_payload: int | None = None  # CR2 or DR6 to be set with it; None: none
    interrupt_injected: bool = False
    interrupt_vector: int = 0
    interrupt_soft: bool = False  # of an INT instruction
    interrupt_shadow: int = 0  # 1: after MOV SS, 2: after STI
    nmi_injected: bool = False
    nmi_pending: bool = False
    nmi_masked: bool = False
    sipi_vector: int = 0
    smm: bool = False  # in system management mode
    smi_pending: bool = False
    init_latched: bool = False
    triple_fault_pending: bool = False


@dataclass(frozen=True)
class ControlState:
    """The system registers of a VCPU, and what waits for it.

    A part that KVM would not tell is None; `unavailable` says why, by the part's name.
    """

    registers: Registers
    tr: Segment
    ldt: Segment
    gdt: DescriptorTable
    idt: DescriptorTable
    apic_base: int
    debug: DebugRegisters | None = None
    xcr0: int | None = None
    mp_state: int | None = None  # KVM_MP_STATE_*; see MP_STATES
    events: PendingEvents | None = None
    unavailable: tuple[tuple[str, str], ...] = ()


#: KVM_MP_STATE_* of <linux/kvm.h>: number -> name and meaning.
MP_STATES: dict[int, tuple[str, str]] = {
    0: ("RUNNABLE", "executes, or could"),
    1: ("UNINITIALIZED", "an application processor that has not had an INIT"),
    2: ("INIT_RECEIVED", "had an INIT, waits for a SIPI"),
    3: ("HALTED", "executed HLT and waits for an interrupt"),
    4: ("SIPI_RECEIVED", "has just had a SIPI"),
    5: ("STOPPED", "stopped"),
    6: ("CHECK_STOP", "in a special error state"),
    7: ("OPERATING", "operating"),
    8: ("LOAD", "in a special load or start-up state"),
    9: ("AP_RESET_HOLD", "in the hold loop of an SEV-ES guest"),
    10: ("SUSPENDED", "suspended, waits for a wake-up"),
}


@dataclass(frozen=True)
class ExtendedState:
    """x87, SSE and AVX registers of a VCPU."""

    source: str  # the call that told: "KVM_GET_XSAVE2", "KVM_GET_XSAVE", "KVM_GET_FPU"
    control: int  # FCW
    status: int  # FSW
    tag: int  # abridged: bit n set when physical register n holds a value
    opcode: int  # of the last x87 instruction
    ip: int
    dp: int
    mxcsr: int | None  # None: not told
    mxcsr_mask: int  # bits of MXCSR that may be set; 0: not told
    stack: tuple[bytes, ...]  # ST0 to ST7, 10 bytes each
    vectors: tuple[bytes, ...]  # 16 registers, or 32 with AVX-512, of `vector_bytes` each
    opmasks: tuple[int, ...] = ()  # K0 to K7 with AVX-512
    components: int = 3  # XSTATE_BV: the parts that are not in their initial state
    note: str = ""  # what could not be read, and why

    @property
    def vector_bytes(self) -> int:
        """16: XMM, 32: YMM, 64: ZMM."""
        return len(self.vectors[0])

    @property
    def top(self) -> int:
        """Physical number of ST0."""
        return self.status >> 11 & 7


@dataclass(frozen=True)
class Msr:
    """A model-specific register."""

    number: int
    name: str  # "IA32_TSC"; empty where we know none
    value: int | None  # None: KVM lists it and does not let it be read
    feature: bool = False  # a property of the host's KVM, not of the VCPU


@dataclass(frozen=True)
class MsrState:
    """The model-specific registers that KVM lists."""

    msrs: tuple[Msr, ...]  # in order of their numbers, of the VCPU first
    unavailable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CpuidEntry:
    """What CPUID answers for one leaf and subleaf (struct kvm_cpuid_entry2)."""

    leaf: int  # EAX
    subleaf: int  # ECX, where `indexed`
    indexed: bool  # the answer depends on ECX
    eax: int
    ebx: int
    ecx: int
    edx: int


@dataclass(frozen=True)
class CpuidLeaf:
    """An entry with the names of what it says."""

    entry: CpuidEntry
    name: str  # "version and features"; empty where we know none
    meaning: str  # decoded fields: 'AuthenticAMD'
    features: tuple[str, ...]  # names of the feature bits set, in the order of the registers
    supported: bool = False  # KVM could show it; the VCPU has none


@dataclass(frozen=True)
class CpuidState:
    """What CPUID answers on a VCPU, and what KVM could let it answer."""

    own: tuple[CpuidLeaf, ...]  # KVM_GET_CPUID2; empty: it was never set
    supported: tuple[CpuidLeaf, ...]  # KVM_GET_SUPPORTED_CPUID
    unavailable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PageLevel:
    """One entry that a page walk read."""

    table: str  # "PML5", "PML4", "PDPT", "PD", "PT"
    index: int
    address: int  # guest-physical, of the entry
    raw: int | None  # None: no memory there
    flags: tuple[str, ...]  # names of the bits set: "P", "RW", "US", ...
    next: int | None  # guest-physical address it leads to: a table or a page; None: it stops


@dataclass(frozen=True)
class PageWalk:
    """How a linear address becomes a guest-physical one."""

    linear: int  # as asked for
    paging: str  # "off", "32-bit", "PAE", "4-level", "5-level"
    levels: tuple[PageLevel, ...]
    physical: int | None  # None: it is not mapped
    page: int  # bytes of the page; 0 where paging is off or nothing is mapped
    stop: str  # why and where it stops; empty where it arrives
    rights: tuple[str, ...] = ()  # what all levels together allow: "write", "user", "execute"
    memory: bool = True  # there is memory at `physical`


@dataclass(frozen=True)
class Statistic:
    """One counter or other value that KVM keeps (struct kvm_stats_desc)."""

    name: str  # "exits"
    scope: str  # "vm" or "vcpu 0"
    kind: str  # "cumulative", "instant", "peak", "linear hist", "log hist"
    unit: str  # "", "bytes", "seconds", "cycles", "boolean"
    exponent: int  # with `base`: the value is in base**exponent units
    base: int  # 2 or 10
    values: tuple[int, ...]  # one, or a bucket each
    bucket: int = 0  # size of a bucket of a linear histogram


@dataclass(frozen=True)
class DirtyPages:
    """Pages of guest memory written since they were last asked for."""

    pages: tuple[int, ...]  # guest-physical addresses, in order
    total: int  # pages the machine has
    unavailable: str = ""  # why it is not known


@dataclass(frozen=True)
class KernelExits:
    """Exits by reason as the kernel's tracepoint counted them, in-kernel ones included."""

    counts: tuple[tuple[str, int], ...]  # most frequent first
    unavailable: str = ""  # why they are not known


@dataclass(frozen=True)
class StatisticsState:
    """What KVM counts for a machine."""

    time: float  # monotonic, seconds
    statistics: tuple[Statistic, ...]  # of the VM first
    dirty: DirtyPages
    exits: KernelExits
    unavailable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DeviceRegister:
    """One thing that a device holds."""

    device: str  # "serial", "pit", or the class of a user's device
    name: str
    value: str
    meaning: str
