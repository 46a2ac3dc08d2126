"""System registers, debug registers, pending events and MP state of a VCPU.

Layouts: asm/kvm.h of Linux 6.19 (struct kvm_debugregs, kvm_xcrs, kvm_vcpu_events), which are
fixed by the ABI.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kdash.backends.kvm._native import ffi
from kdash.backends.kvm.facts import Registers
from kdash.backends.kvm.registers import read_segment
from kdash.backends.kvm.state_calls import Gaps, StateCalls
from kdash.backends.kvm.state_facts import (
    ControlState,
    DebugRegisters,
    DescriptorTable,
    PendingEvents,
)

#: KVM_VCPUEVENT_VALID_* of asm/kvm.h: which fields of the events mean something.
SHADOW_VALID: Final = 1 << 2
SMM_VALID: Final = 1 << 3
PAYLOAD_VALID: Final = 1 << 4
TRIPLE_FAULT_VALID: Final = 1 << 5

_EVENTS: Final = struct.Struct("<4BI 4B 4B II 4B B26xBQ")
_XCR: Final = struct.Struct("<IIQ")  # struct kvm_xcr: number, reserved, value


def read_control(calls: StateCalls, registers: Registers) -> ControlState:
    """All of it; what KVM does not tell is a gap.

    Args:
        calls: those of the VCPU.
        registers: of the VCPU at the same time.

    Raises:
        KvmError: when not even the system registers can be read.
    """
    data = calls.vcpu("KVM_GET_SREGS")
    sregs = ffi.new("struct kvm_sregs *")
    ffi.buffer(sregs)[:] = data
    gaps = Gaps(calls)
    debug = gaps.read("debug registers", "DEBUGREGS", "KVM_GET_DEBUGREGS")
    xcrs = gaps.read("XCR0", "XCRS", "KVM_GET_XCRS")
    state = gaps.read("MP state", "MP_STATE", "KVM_GET_MP_STATE")
    events = gaps.read("pending events", "VCPU_EVENTS", "KVM_GET_VCPU_EVENTS")
    return ControlState(
        registers,
        read_segment(sregs.tr),
        read_segment(sregs.ldt),
        _table(sregs.gdt),
        _table(sregs.idt),
        sregs.apic_base,
        parse_debug(debug) if debug else None,
        parse_xcr0(xcrs) if xcrs else None,
        struct.unpack_from("<I", state)[0] if state else None,
        parse_events(events) if events else None,
        gaps.found,
    )


def _table(native: Any) -> DescriptorTable:
    return DescriptorTable(native.base, native.limit)


def parse_debug(data: bytes) -> DebugRegisters:
    """A struct kvm_debugregs."""
    db0, db1, db2, db3, dr6, dr7 = struct.unpack_from("<6Q", data)
    return DebugRegisters((db0, db1, db2, db3), dr6, dr7)


def parse_xcr0(data: bytes) -> int | None:
    """XCR0 of a struct kvm_xcrs; None: it is not among those told."""
    (count,) = struct.unpack_from("<I", data)
    for place in range(min(count, (len(data) - 8) // _XCR.size)):
        number, _, value = _XCR.unpack_from(data, 8 + place * _XCR.size)
        if number == 0:
            return int(value)
    return None


def parse_events(data: bytes) -> PendingEvents:
    """A struct kvm_vcpu_events; fields that its flags don't vouch for are left alone."""
    (
        exception_injected, vector, has_error, exception_pending, error,
        interrupt_injected, interrupt, soft, shadow,
        nmi_injected, nmi_pending, nmi_masked, _,
        sipi, flags,
        smm, smi_pending, _, init_latched,
        triple_fault, has_payload, payload,
    ) = _EVENTS.unpack_from(data)  # fmt: skip
    in_smm = bool(flags & SMM_VALID)
    pays = bool(flags & PAYLOAD_VALID)
    return PendingEvents(
        # Without the payload's flag KVM tells a pending exception as an injected one.
        exception_pending=bool(exception_pending) and pays,
        exception_injected=bool(exception_injected),
        exception_vector=vector,
        exception_error_code=error if has_error else None,
        exception_payload=payload if has_payload and pays else None,
        interrupt_injected=bool(interrupt_injected),
        interrupt_vector=interrupt,
        interrupt_soft=bool(soft),
        interrupt_shadow=shadow if flags & SHADOW_VALID else 0,
        nmi_injected=bool(nmi_injected),
        nmi_pending=bool(nmi_pending),
        nmi_masked=bool(nmi_masked),
        sipi_vector=sipi,
        smm=bool(smm) and in_smm,
        smi_pending=bool(smi_pending) and in_smm,
        init_latched=bool(init_latched) and in_smm,
        triple_fault_pending=bool(triple_fault) and bool(flags & TRIPLE_FAULT_VALID),
    )
