"""Exits decoded: the union of kvm_run into a detail, and a detail into one line.

Structures: struct kvm_run of <linux/kvm.h>; api.rst, section 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.exit_fields import fields_of
from kdash.backends.kvm.exit_reasons import exit_name, exit_sentence
from kdash.backends.kvm.facts import (
    ExitDetail,
    ExitReason,
    FailEntryExit,
    InternalErrorExit,
    IoExit,
    MmioExit,
    MsrExit,
    OtherExit,
    SystemEventExit,
)
from kdash.backends.kvm.owners import Owners
from kdash.backends.kvm.ports import port_name

#: KVM_INTERNAL_ERROR_* of <linux/kvm.h>.
SUBERRORS: Final = {
    1: "an instruction could not be emulated",
    2: "two exceptions came at once",
    3: "an event could not be delivered",
    4: "the processor left the guest for an unexpected reason",
}
EMULATION: Final = 1
_INSTRUCTION_BYTES: Final = 1  # KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES

#: KVM_SYSTEM_EVENT_* of <linux/kvm.h>.
SYSTEM_EVENTS: Final = {
    1: "shutdown",
    2: "reset",
    3: "crash",
    4: "wake-up",
    5: "suspend",
    6: "end of an SEV guest",
    7: "end of a TDX guest",
}

#: VM-entry failures (Intel SDM vol. 3C, 27.8; bit 31 marks them) and AMD's VMEXIT_INVALID.
ENTRY_FAILURES: Final = {
    0x80000021: "invalid guest state",
    0x80000022: "loading the guest's MSRs failed",
    0x80000029: "machine check during entry",
    0xFFFFFFFFFFFFFFFF: "invalid guest state (AMD-V)",
}

#: error, reason, index, data of kvm_run's union for model-specific registers.
MSR_LAYOUT: Final = struct.Struct("<B7xIIQ")
#: KVM_MSR_EXIT_REASON_* of <linux/kvm.h>.
MSR_REASONS: Final = {
    1: "a register or value that KVM refuses",
    2: "a register that KVM does not know",
    4: "a register that is filtered",
}

_UNION_HEAD: Final = 64  # bytes of the union kept for an exit without a class of its own
_BITS_OF_PRINTABLE: Final = range(0x20, 0x7F)


@dataclass(frozen=True, slots=True)
class RawExit:
    """One return of KVM_RUN before it is told to anybody."""

    reason: int  # KVM_EXIT_*
    detail: ExitDetail


def decode_union(reason: int, union: bytes) -> ExitDetail:
    """The detail of an exit other than IO and MMIO, from kvm_run's union (256 bytes)."""
    if reason == ExitReason.FAIL_ENTRY:
        return FailEntryExit(*struct.unpack_from("<QI", union))
    if reason == ExitReason.INTERNAL_ERROR:
        return _internal_error(union)
    if reason == ExitReason.SYSTEM_EVENT:
        kind, count = struct.unpack_from("<II", union)
        return SystemEventExit(kind, struct.unpack_from(f"<{min(count, 16)}Q", union, 8))
    if reason in (ExitReason.X86_RDMSR, ExitReason.X86_WRMSR):
        _, why, index, data = MSR_LAYOUT.unpack_from(union)
        return MsrExit(reason == ExitReason.X86_WRMSR, index, data, why)
    return other_exit(reason, union)


#: Exits that leave in the union what an earlier one had there.
_WITHOUT_UNION: Final = {
    ExitReason.HLT,
    ExitReason.IRQ_WINDOW_OPEN,
    ExitReason.SHUTDOWN,
    ExitReason.INTR,
    ExitReason.NMI,
}


def other_exit(reason: int, union: bytes) -> OtherExit:
    """An exit that has no class of its own."""
    head = b"" if reason in _WITHOUT_UNION else union[:_UNION_HEAD]
    return OtherExit(head, fields_of(reason, head))


def _internal_error(union: bytes) -> InternalErrorExit:
    suberror, words, flags = struct.unpack_from("<IIQ", union)
    instruction = b""
    if suberror == EMULATION and words >= 3 and flags & _INSTRUCTION_BYTES:
        size = min(union[16], 15)
        instruction = union[17 : 17 + size]
    return InternalErrorExit(suberror, instruction)


def normalised_count(detail: ExitDetail) -> int:
    """How many exits this one counts for: a string instruction's elements count singly."""
    return max(detail.count, 1) if isinstance(detail, IoExit) else 1


def meaning(reason: int, detail: ExitDetail, owners: Owners | None = None) -> str:
    """The one line that is shown for an exit.

    Args:
        reason: KVM_EXIT_*.
        detail: its fields.
        owners: who answers where; None: not known, ports are told by their usual names.
    """
    match detail:
        case IoExit():
            return _io(detail, owners)
        case MmioExit():
            return _mmio(detail, owners)
        case FailEntryExit(hardware_entry_failure_reason=why, cpu=cpu):
            known = ENTRY_FAILURES.get(why)
            return (
                f"fail_entry on CPU {cpu}: reason {why:#x}{f', {known}' if known else ''}: "
                f"{exit_sentence(reason)}"
            )
        case InternalErrorExit():
            return _suberror(detail)
        case MsrExit():
            return _msr(detail, owners)
        case SystemEventExit(type=kind, data=data):
            words = " ".join(f"{word:#x}" for word in data)
            return f"system event: {SYSTEM_EVENTS.get(kind, f'type {kind}')}" + (
                f" ({words})" if words else ""
            )
    words = " ".join(f"{name} {value:#x}" for name, value in getattr(detail, "fields", ()))
    return f"{exit_name(reason).lower()}: {exit_sentence(reason)}" + (f": {words}" if words else "")


def _msr(detail: MsrExit, owners: Owners | None) -> str:
    from kdash.backends.kvm.msr_names import msr_name

    name = msr_name(detail.index)
    what = f"{'wrmsr' if detail.write else 'rdmsr'} {detail.index:#x}" + (
        f" ({name})" if name else ""
    )
    if detail.refused:
        tried = f" {detail.data:#x}" if detail.write else ""
        return f"{what}{tried}: #GP, {MSR_REASONS.get(detail.why, f'reason {detail.why:#x}')}"
    return f"{what}: {detail.data:#x}{_by(owners.of_msr(detail.index) if owners else '')}"


def _by(name: str) -> str:
    return f" ({name})" if name else ""


def _io(detail: IoExit, owners: Owners | None) -> str:
    name = (owners.of_port if owners else port_name)(detail.port, detail.direction == "out")
    amount = _bytes(detail.size)
    if detail.count != 1:
        amount = f"{detail.count} x {amount}"
    return f"{detail.direction} {detail.port:#x}, {amount}: {_values(detail)}{_by(name)}"


def _values(detail: IoExit) -> str:
    if detail.count == 1:
        value = detail.values[0] if detail.values else 0
        return f"{value:#x}{_character(value) if detail.size == 1 else ''}"
    if detail.size == 1:
        return quoted(detail.data[:48]) + (" ..." if len(detail.data) > 48 else "")
    shown = " ".join(f"{value:#x}" for value in detail.values[:8])
    return shown + (" ..." if detail.count > 8 else "")


def _mmio(detail: MmioExit, owners: Owners | None) -> str:
    value = int.from_bytes(detail.data, "little")
    kind = "write" if detail.write else "read"
    name = owners.of_address(detail.address, detail.write) if owners else ""
    return f"mmio {kind} {detail.address:#x}, {_bytes(len(detail.data))}: {value:#x}{_by(name)}"


def _suberror(detail: InternalErrorExit) -> str:
    what = SUBERRORS.get(detail.suberror, f"suberror {detail.suberror}")
    text = f"internal error: {what}"
    return f"{text}: {detail.instruction.hex(' ')}" if detail.instruction else text


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def _character(value: int) -> str:
    if value in _BITS_OF_PRINTABLE:
        return f" '{chr(value)}'"
    return {0x0A: " '\\n'", 0x0D: " '\\r'", 0x09: " '\\t'"}.get(value, "")


def quoted(data: bytes) -> str:
    """Bytes as text in quotes, with everything that is not printable ASCII escaped."""
    text = "".join(
        chr(byte) if byte in _BITS_OF_PRINTABLE and byte not in b'"\\' else _escape(byte)
        for byte in data
    )
    return f'"{text}"'


def _escape(byte: int) -> str:
    known = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}
    return known.get(byte, f"\\x{byte:02x}")
