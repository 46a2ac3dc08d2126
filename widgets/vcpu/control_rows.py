"""System and debug registers, pending events and MP state as rows."""

from __future__ import annotations

from collections.abc import Iterator

from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.state_facts import (
    MP_STATES,
    ControlState,
    DebugRegisters,
    PendingEvents,
)
from kdash.widgets.vcpu.flags import IOPL_SHIFT, RFLAGS, set_bits
from kdash.widgets.vcpu.state_row import StateRow, gap_rows

# Intel SDM vol. 1, 13.3: XCR0.
XCR0 = (
    (0, "x87"), (1, "SSE"), (2, "AVX"), (3, "BNDREGS"), (4, "BNDCSR"), (5, "opmask"),
    (6, "ZMM_Hi256"), (7, "Hi16_ZMM"), (9, "PKRU"), (17, "XTILECFG"), (18, "XTILEDATA"),
)  # fmt: skip
# Intel SDM vol. 3A, 12.4.4: IA32_APIC_BASE.
APIC_BASE = ((8, "BSP"), (10, "x2APIC"), (11, "enabled"))
# Intel SDM vol. 3B, 18.2.3: DR6. BLD and RTM are set when they did not happen.
DR6 = ((0, "B0"), (1, "B1"), (2, "B2"), (3, "B3"), (13, "BD"), (14, "BS"), (15, "BT"))
DR6_INVERTED = ((11, "BLD"), (16, "RTM"))
# Intel SDM vol. 3B, 18.2.4: DR7.
DR7 = ((8, "LE"), (9, "GE"), (11, "RTM"), (13, "GD"))
KINDS = ("execute", "write", "I/O", "read/write")
LENGTHS = (1, 2, 8, 4)

# Intel SDM vol. 3A, table 6-1.
EXCEPTIONS = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF",
    10: "#TS", 11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC",
    19: "#XM", 20: "#VE", 21: "#CP",
}  # fmt: skip


def names(bits: tuple[tuple[int, str], ...], value: int) -> str:
    """Names of the bits set, by `bits` of number and name."""
    return " ".join(name for bit, name in bits if value >> bit & 1)


def control_rows(state: ControlState) -> list[StateRow]:
    """Every register with its bits by name, then what waits for the VCPU."""
    return [
        *_controls(state),
        *_debug(state.debug),
        *_tables(state),
        *_vcpu(state),
        *gap_rows(state.unavailable),
    ]


def _controls(state: ControlState) -> Iterator[StateRow]:
    registers = state.registers
    for name in ("cr0", "cr2", "cr3", "cr4", "cr8", "efer"):
        value = getattr(registers, name)
        meaning = " ".join(set_bits(name, value)) or _address(name, registers)
        yield StateRow("control", name, f"{value:x}", meaning)
    rflags = registers.rflags
    flags = names(RFLAGS, rflags).upper()
    iopl = rflags >> IOPL_SHIFT & 3
    yield StateRow("control", "rflags", f"{rflags:x}", f"{flags} IOPL{iopl}".strip())
    if state.xcr0 is not None:
        yield StateRow("control", "xcr0", f"{state.xcr0:x}", names(XCR0, state.xcr0))
    base = state.apic_base
    where = f"at {base & 0x000F_FFFF_FFFF_F000:x} {names(APIC_BASE, base)}"
    yield StateRow("control", "apic base", f"{base:x}", where)


def _address(name: str, registers: Registers) -> str:
    if name == "cr2":
        return "linear address of the last page fault" if registers.cr2 else ""
    return "page tables" if name == "cr3" and registers.cr0 >> 31 else ""


def _debug(debug: DebugRegisters | None) -> Iterator[StateRow]:
    if debug is None:
        return
    for number, address in enumerate(debug.db):
        yield StateRow("debug", f"dr{number}", f"{address:x}", breakpoint_meaning(debug, number))
    happened = " ".join((names(DR6, debug.dr6), names(DR6_INVERTED, ~debug.dr6))).strip()
    yield StateRow("debug", "dr6", f"{debug.dr6:x}", happened)
    on = " ".join(
        f"{scope}{number}"
        for number in range(4)
        for scope, bit in (("L", 0), ("G", 1))
        if debug.dr7 >> (2 * number + bit) & 1
    )
    yield StateRow("debug", "dr7", f"{debug.dr7:x}", f"{on} {names(DR7, debug.dr7)}".strip())


def breakpoint_meaning(debug: DebugRegisters, number: int) -> str:
    """What DR7 says of breakpoint `number` (Intel SDM vol. 3B, 18.2.4); "off" where disabled."""
    if not debug.dr7 >> 2 * number & 3:
        return "off"
    kind = KINDS[debug.dr7 >> (16 + 4 * number) & 3]
    length = LENGTHS[debug.dr7 >> (18 + 4 * number) & 3]
    hit = ", hit" if debug.dr6 >> number & 1 else ""
    return f"{kind}{hit}" if kind == "execute" else f"{kind}, {length} bytes{hit}"


def _tables(state: ControlState) -> Iterator[StateRow]:
    for name, table in (("gdtr", state.gdt), ("idtr", state.idt)):
        size = 16 if name == "idtr" and state.registers.efer & 0x400 else 8
        entries = (table.limit + 1) // size
        yield StateRow(
            "tables", name, f"{table.base:x}", f"limit {table.limit:x}, {entries} entries"
        )
    for name, segment in (("tr", state.tr), ("ldtr", state.ldt)):
        yield StateRow("tables", name, f"{segment.selector:04x}", segment_meaning(segment))
    for name in ("cs", "ds", "es", "fs", "gs", "ss"):
        segment = getattr(state.registers, name)
        yield StateRow("segments", name, f"{segment.selector:04x}", segment_meaning(segment))


def segment_meaning(segment: Segment) -> str:
    """The hidden part of a segment register in words."""
    parts = [f"base {segment.base:x}", f"limit {segment.limit:x}", _segment_type(segment)]
    parts.append(f"dpl{segment.dpl}")
    if not segment.present:
        parts.append("not present")
    return " ".join(part for part in parts if part)


# Intel SDM vol. 3A, table 3-2: types of system segments.
SYSTEM_TYPES = {1: "TSS16", 2: "LDT", 3: "TSS16 busy", 9: "TSS", 11: "TSS busy"}


def _segment_type(segment: Segment) -> str:
    if not segment.s:
        return SYSTEM_TYPES.get(segment.type, f"system type {segment.type}")
    if segment.type & 8:
        bits = 64 if segment.l else 32 if segment.db else 16
        return f"code{bits}{' readable' if segment.type & 2 else ''}"
    return (
        f"data{' writable' if segment.type & 2 else ''}{' expand-down' if segment.type & 4 else ''}"
    )


def _vcpu(state: ControlState) -> Iterator[StateRow]:
    if state.mp_state is not None:
        name, meaning = MP_STATES.get(state.mp_state, (str(state.mp_state), "unknown to kdash"))
        yield StateRow("vcpu", "MP state", name, meaning)
    if state.events is not None:
        yield from event_rows(state.events)


def event_rows(events: PendingEvents) -> list[StateRow]:
    """What waits for the VCPU; one row that says so where nothing does."""
    rows: list[StateRow] = []

    def add(name: str, value: str, meaning: str = "") -> None:
        rows.append(StateRow("events", name, value, meaning))

    if events.exception_injected or events.exception_pending:
        vector = events.exception_vector
        how = "injected" if events.exception_injected else "pending"
        about = [EXCEPTIONS.get(vector, "")]
        if events.exception_error_code is not None:
            about.append(f"error code {events.exception_error_code:x}")
        if events.exception_payload is not None:
            about.append(f"payload {events.exception_payload:x}")
        add("exception", f"{vector} {how}", ", ".join(filter(None, about)))
    if events.interrupt_injected:
        add("interrupt", f"{events.interrupt_vector:#x} injected",
            "of an INT instruction" if events.interrupt_soft else "external")  # fmt: skip
    if events.interrupt_shadow:
        after = "MOV SS" if events.interrupt_shadow & 1 else "STI"
        add("shadow", str(events.interrupt_shadow), f"no interrupt yet: just after {after}")
    nmi = [
        word
        for word, on in (
            ("injected", events.nmi_injected),
            ("pending", events.nmi_pending),
            ("masked", events.nmi_masked),
        )
        if on
    ]
    if nmi:
        add("NMI", " ".join(nmi), "until IRET" if events.nmi_masked else "")
    if events.smm or events.smi_pending:
        value = " ".join(
            word for word, on in (("in SMM", events.smm), ("pending", events.smi_pending)) if on
        )
        add("SMI", value)
    if events.init_latched:
        add("INIT", "latched")
    if events.sipi_vector:
        add("SIPI", f"{events.sipi_vector:#x}", f"starts at {events.sipi_vector << 12:x}")
    if events.triple_fault_pending:
        add("triple fault", "pending", "the VCPU shuts down")
    return rows or [StateRow("events", "pending", "none", "", "muted")]
