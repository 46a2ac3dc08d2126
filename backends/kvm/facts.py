"""What the KVM backend tells about a guest: frozen facts, standard library only.

Field names are those of the KVM API (Linux Documentation/virt/kvm/api.rst) and of the
Intel SDM. Register values are unsigned integers of the register's own width.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Mode(Enum):
    """The execution mode a VCPU is in (Intel SDM vol. 3A, 2.2)."""

    REAL = "real"
    PROTECTED = "protected"
    LONG = "long"


class RunState(Enum):
    """What the runner is doing with its guest."""

    READY = "ready"  # loaded, nothing executed
    RUNNING = "running"  # the VCPU thread is in its loop
    STOPPED = "stopped"  # between two steps
    ENDED = "ended"  # an outcome is known; only a restart goes on


class Outcome(Enum):
    """Why a run ended; the values are those of the JSON interface."""

    HLT = "hlt"
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal_error"
    FAIL_ENTRY = "fail_entry"
    EXIT_PORT = "exit_port"
    SYSTEM_EVENT = "system_event"
    UNHANDLED_EXIT = "unhandled_exit"
    TIMEOUT = "timeout"
    MAX_STEPS = "max_steps"
    INTERRUPTED = "interrupted"


class ExitReason(IntEnum):
    """KVM_EXIT_* of <linux/kvm.h> (Linux 6.19)."""

    UNKNOWN = 0
    EXCEPTION = 1
    IO = 2
    HYPERCALL = 3
    DEBUG = 4
    HLT = 5
    MMIO = 6
    IRQ_WINDOW_OPEN = 7
    SHUTDOWN = 8
    FAIL_ENTRY = 9
    INTR = 10
    SET_TPR = 11
    TPR_ACCESS = 12
    S390_SIEIC = 13
    S390_RESET = 14
    DCR = 15
    NMI = 16
    INTERNAL_ERROR = 17
    OSI = 18
    PAPR_HCALL = 19
    S390_UCONTROL = 20
    WATCHDOG = 21
    S390_TSCH = 22
    EPR = 23
    SYSTEM_EVENT = 24
    S390_STSI = 25
    IOAPIC_EOI = 26
    HYPERV = 27
    ARM_NISV = 28
    X86_RDMSR = 29
    X86_WRMSR = 30
    DIRTY_RING_FULL = 31
    AP_RESET_HOLD = 32
    X86_BUS_LOCK = 33
    XEN = 34
    RISCV_SBI = 35
    RISCV_CSR = 36
    NOTIFY = 37
    LOONGARCH_IOCSR = 38
    MEMORY_FAULT = 39
    TDX = 40
    ARM_SEA = 41


@dataclass(frozen=True)
class Segment:
    """One segment register with its hidden part (struct kvm_segment)."""

    selector: int = 0
    base: int = 0
    limit: int = 0xFFFF  # bytes, inclusive
    type: int = 0
    present: int = 1
    dpl: int = 0
    db: int = 0  # 1: 32-bit default operand size
    s: int = 1  # 0: system segment
    l: int = 0  # noqa: E741 - the SDM's name; 1: 64-bit code
    g: int = 0


@dataclass(frozen=True)
class Registers:
    """General, segment and control registers of one VCPU between two instructions."""

    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0
    rsi: int = 0
    rdi: int = 0
    rsp: int = 0
    rbp: int = 0
    r8: int = 0
    r9: int = 0
    r10: int = 0
    r11: int = 0
    r12: int = 0
    r13: int = 0
    r14: int = 0
    r15: int = 0
    rip: int = 0
    rflags: int = 2
    cs: Segment = Segment()
    ds: Segment = Segment()
    es: Segment = Segment()
    fs: Segment = Segment()
    gs: Segment = Segment()
    ss: Segment = Segment()
    cr0: int = 0
    cr2: int = 0
    cr3: int = 0
    cr4: int = 0
    cr8: int = 0
    efer: int = 0

    @property
    def mode(self) -> Mode:
        """The mode that CR0.PE and EFER.LMA say."""
        if not self.cr0 & 1:
            return Mode.REAL
        return Mode.LONG if self.efer & 0x400 else Mode.PROTECTED

    @property
    def code_bits(self) -> int:
        """Default size of the code at CS:IP: 16, 32 or 64."""
        if self.mode is Mode.LONG and self.cs.l:
            return 64
        return 32 if self.mode is not Mode.REAL and self.cs.db else 16

    @property
    def linear_ip(self) -> int:
        """Linear address of the next instruction."""
        base = 0 if self.code_bits == 64 else self.cs.base
        return (base + self.rip) & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class IoExit:
    """KVM_EXIT_IO: a port access that KVM left to us."""

    direction: str  # "in" or "out", as the guest sees it
    port: int
    size: int  # bytes an element: 1, 2 or 4
    count: int  # elements; more than 1 for string instructions
    data: bytes  # size * count bytes, as written or as answered

    @property
    def values(self) -> tuple[int, ...]:
        """The elements as unsigned integers."""
        return tuple(
            int.from_bytes(self.data[i : i + self.size], "little")
            for i in range(0, len(self.data), self.size)
        )


@dataclass(frozen=True)
class MmioExit:
    """KVM_EXIT_MMIO: an access to a guest-physical address without memory."""

    write: bool
    address: int  # guest-physical
    data: bytes  # 1 to 8 bytes, as written or as answered


@dataclass(frozen=True)
class FailEntryExit:
    """KVM_EXIT_FAIL_ENTRY: the processor refused the VCPU's state."""

    hardware_entry_failure_reason: int
    cpu: int


@dataclass(frozen=True)
class InternalErrorExit:
    """KVM_EXIT_INTERNAL_ERROR: KVM itself could not go on."""

    suberror: int  # 1: emulation failure, 2: simultaneous exceptions, 3: delivery, 4: unexpected
    instruction: bytes  # the bytes KVM could not emulate, empty when it does not say


@dataclass(frozen=True)
class SystemEventExit:
    """KVM_EXIT_SYSTEM_EVENT: shutdown, reset or crash asked for by the guest."""

    type: int
    data: tuple[int, ...]


@dataclass(frozen=True)
class MsrExit:
    """KVM_EXIT_X86_RDMSR or X86_WRMSR: a model-specific register that KVM leaves to us."""

    write: bool
    index: int  # number of the register
    data: int  # as written or as answered
    why: int  # KVM_MSR_EXIT_REASON_*: 1 invalid, 2 unknown to KVM, 4 filtered
    refused: bool = False  # nobody answered: the guest gets #GP


@dataclass(frozen=True)
class OtherExit:
    """Any other exit: its fields by name, and the head of kvm_run's union as it was."""

    raw: bytes = b""
    fields: tuple[tuple[str, int], ...] = ()  # names of struct kvm_run


ExitDetail = (
    IoExit | MmioExit | MsrExit | FailEntryExit | InternalErrorExit | SystemEventExit | OtherExit
)


@dataclass(frozen=True)
class Exit:
    """One return of KVM_RUN that means something to the guest."""

    index: int  # ordinal since the guest was loaded, from 0
    step: int | None  # logical step in which it came, from 0; None at full speed
    vcpu: int
    reason: int  # KVM_EXIT_* number; see ExitReason for the known ones
    name: str  # "IO", "HLT", ... ; "EXIT_<n>" for a number we have no name for
    ip: int  # RIP of the instruction that caused it
    detail: ExitDetail
    meaning: str  # one line: "out 0x3f8, 1 byte: 0x34 '4' (serial, transmit)"


@dataclass(frozen=True)
class SourceLine:
    """A line of source code an instruction came from (DWARF line table)."""

    file: str  # as the line table names it
    line: int  # from 1
    text: str = ""  # the line itself; empty where the file is not at hand
    path: str = ""  # the file that line was read from; empty where it is not at hand


@dataclass(frozen=True)
class MemoryOperand:
    """Memory that the next instruction is about to access."""

    linear: int  # address
    size: int  # bytes, of one element
    value: int | None  # what is there now; None: it can't be reached


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction of the guest."""

    ip: int  # RIP value
    linear: int  # linear address
    code: bytes
    text: str  # Intel syntax; "(bad)" where the bytes are no instruction
    current: bool = False  # the next one to execute
    target: int | None = None  # RIP a near branch or call goes to
    symbol: str = ""  # where it is: "main" or "main+0x4"; empty where no symbol is known
    source: SourceLine | None = None  # what it was compiled from, where that is known
    memory: tuple[MemoryOperand, ...] = ()  # of the current one
    target_symbol: str = ""  # what is at `target`, as `symbol`


@dataclass(frozen=True)
class TextScreen:
    """A text screen of the VGA: mode 3, at guest-physical 0xb8000."""

    columns: int
    rows: int
    cells: bytes  # row by row: a character code of code page 437, then its attribute


class VcpuState(Enum):
    """What one VCPU of a machine does between two stops."""

    RUNNABLE = "runnable"
    HALTED = "halted"  # executed HLT; with an in-kernel interrupt controller until an interrupt
    WAITING = "waiting"  # an application processor that waits for INIT and SIPI
    ENDED = "ended"  # an exit ended it


@dataclass(frozen=True)
class VcpuBrief:
    """One VCPU of a machine, as a tab shows it."""

    index: int
    state: VcpuState
    registers: Registers
    steps: int = 0  # logical steps done by it
    detail: str = ""  # how it ended: "HLT at 0x100b"


class StopKind(Enum):
    """What a stop point looks at."""

    BREAKPOINT = "breakpoint"  # CS:IP
    WATCH = "watch"  # bytes of memory changed
    ACCESS = "access"  # bytes of memory read or written
    EXIT = "exit"  # an exit of a kind, or at a port or address


@dataclass(frozen=True)
class StopPoint:
    """A place or event at which a guest that goes stops."""

    number: int  # as `break` and `watch` told it, from 1
    kind: StopKind
    where: str  # as shown: "main+0x4", "0x1008", "0x2000:8", "IO 0x3f8"
    address: int | None = None  # linear address of CS:IP or watched; physical of MMIO exits
    length: int = 0  # bytes watched
    condition: str = ""  # "rax == 5 && [rsp] != 0"; empty: always
    ignore: int = 0  # hits still to be passed over
    hits: int = 0  # times it was met with its condition true
    hardware: bool = False  # in a debug register while the guest runs at full speed
    temporary: bool = False  # gone once it stopped the guest
    exit_name: str = ""  # of exits: "IO", "MMIO"; empty: any
    port: int | None = None  # of exits: None: any


@dataclass(frozen=True)
class RecordingView:
    """The recorded past of a guest.

    A moment is a place in it, the state between two entries. An entry is one logical step, one
    run at full speed however far it went, or one change by a person.
    """

    first: int  # the oldest moment that can be shown
    last: int  # the newest: where the guest really is
    position: int  # the moment shown
    bytes: int  # memory taken
    limit: int  # memory allowed
    state_as_of: int = 0  # moment whose FPU, MSR and device state is shown at `position`
    unsaved: tuple[str, ...] = ()  # devices of the user whose state does not go back
    from_file: bool = False  # of a file: nothing can be executed until the guest goes on from it
    file: str = ""  # its name
    live_from: int | None = None  # the moment from which a guest of a file goes on live
    base: int = 0  # of `bytes`: the copy of the state that all of it starts from

    @property
    def replay(self) -> bool:
        """Whether the moment shown lies in the past."""
        return self.position < self.last


#: Detail of a snapshot: the guest halted until a key is pressed on its keyboard.
KEY_WANTED = "it waits for a key"

#: How `Snapshot.detail` begins while a user's device does not return, but can be ended.
IN_DEVICE = "in device "


@dataclass(frozen=True)
class Snapshot:
    """All a pane needs to draw a guest, taken between two steps or from a running guest."""

    guest: str  # title of the guest: file name or "article guest (12 bytes)"
    engine: str  # "kvm"
    state: RunState
    steps: int  # logical steps done one by one
    exits_total: int
    seconds: float  # time spent executing
    registers: Registers
    changed: frozenset[str]  # Registers fields that differ from the previous stop
    disassembly: tuple[Instruction, ...]  # around CS:IP, one of them current
    exits: tuple[Exit, ...]  # the latest ones, oldest first, a bounded window
    serial: bytes  # what the guest sent, a bounded tail
    outcome: Outcome | None = None  # set when state is ENDED
    detail: str = ""  # "HLT at 0x100b"; stopped: "breakpoint 1 at main+0x4"
    exit_value: int = 0  # what the guest wrote to the exit port
    failure: str = ""  # why the runner itself gave up: cause and remedy of a KvmError
    breakpoints: frozenset[int] = frozenset()  # RIP values at which `run` stops
    screen: TextScreen | None = None  # None: the guest never wrote there
    teletype: bytes = b""  # what the guest printed by BIOS calls, a bounded tail
    debug_port: bytes = b""  # what it wrote to ports 0xe9 and 0x402, a bounded tail
    vcpu: int = 0  # the one whose registers, code and changes these are
    vcpus: tuple[VcpuBrief, ...] = ()  # all of the machine's; empty: there is one
    recording: RecordingView | None = None  # None: nothing is recorded
    unrecorded: str = ""  # why nothing will be
    stops: tuple[StopPoint, ...] = ()  # breakpoints included
    stopped_at: tuple[int, ...] = ()  # numbers of the stop points that stopped it
    step_rate: float = 0.0  # steps a second since it was let go, where it is stepped
    exit_counts: tuple[tuple[str, int], ...] = ()  # by name, normalised; empty: not known
    full_speed: bool = False  # what goes on, or led here, is a run at full speed: no steps


@dataclass(frozen=True)
class Probe:
    """One thing that was looked at to say whether KVM can be used here."""

    name: str  # "/dev/kvm", "API version", "KVM_CAP_SYNC_REGS"
    verdict: str  # "ok", "warning" or "failed"
    detail: str  # what was found
    remedy: str = ""  # what to do, unless the verdict is ok


@dataclass(frozen=True)
class Capability:
    """One answer of KVM_CHECK_EXTENSION."""

    name: str  # "KVM_CAP_USER_MEMORY"
    number: int
    value: int  # 0: not there; otherwise 1 or a number of the capability's own meaning


class KvmError(Exception):
    """KVM can't be used or refused a call: `cause` says what, `remedy` what to do.

    `errno` is that of the failed call, 0 where none failed.
    """

    def __init__(self, cause: str, remedy: str, errno: int = 0) -> None:
        super().__init__(f"{cause}: {remedy}" if remedy else cause)
        self.cause = cause
        self.remedy = remedy
        self.errno = errno


class PastError(Exception):
    """What was asked would drop the recorded future of the moment shown; confirmed it does."""


class NotRecorded(Exception):  # noqa: N818 - it says what it is
    """There is no past to go to; the message says why."""


class GuestError(Exception):
    """A guest image that can't be loaded as asked."""


class GuestFileError(GuestError):
    """A guest file that can't be opened or read: the environment, not the guest."""
