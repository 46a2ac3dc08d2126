"""Where the instruction of an exit is, for exits taken at full speed.

KVM_RUN may return with RIP at the instruction or right behind it:
an IN and a read at it, HLT and an emulated MMIO write behind it, an OUT at it with VT-x and
AMD-V (arch/x86/kvm/x86.c, kvm_fast_pio) and behind it where KVM emulates.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.bios_layout import BIOS_PORT
from kdash.backends.kvm.disassembly import LONGEST, decode
from kdash.backends.kvm.facts import ExitReason
from kdash.backends.kvm.records import REGISTER_NAMES, Record

if TYPE_CHECKING:
    import iced_x86

_HLT: Final = 0xF4
_OUT_IMMEDIATE: Final = (0xE6, 0xE7)
_OUT_DX: Final = (0xEE, 0xEF)
_OUTS: Final = (0x6E, 0x6F)
_OPERAND_SIZE: Final = 0x66
_REPEATS: Final = (0xF2, 0xF3)
_SEGMENTS_AND_SIZES: Final = (0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)

#: The one port whose OUT is skipped before the exit on every host.
SKIPPED_PORT: Final = 0x7E


def instruction_ip(record: Record, out_rip_after: bool | None) -> int:
    """RIP of the instruction that caused the exit in `record`.

    Args:
        record: an exit taken at full speed.
        out_rip_after: whether this host returns from an OUT with RIP behind it.
    """
    if record.reason == ExitReason.HLT and record.before.endswith(bytes([_HLT])):
        return _back(record, 1)
    if record.reason == ExitReason.IO and record.write:
        return _out(record, out_rip_after)
    if record.reason == ExitReason.MMIO and record.write:
        return _back(record, _store_length(record))
    return record.rip


def _back(record: Record, length: int) -> int:
    mask = 0xFFFF_FFFF_FFFF_FFFF if record.bits == 64 else 0xFFFF_FFFF
    return (record.rip - length) & mask


def reveals_out(record: Record) -> bool:
    """Whether this OUT can show where the host leaves RIP: a single one, not OUTS.

    For port 0x7e KVM always returns with RIP behind it (kvm_fast_pio_out); after a BIOS call
    RIP may be elsewhere.
    """
    if record.port in (SKIPPED_PORT, BIOS_PORT) or _is_repeated_outs(record.code):
        return False
    return record.before[-1:] not in (b"\x6e", b"\x6f")


def _out(record: Record, out_rip_after: bool | None) -> int:
    """A repeated OUTS stays at RIP until its count is 0; a single one is always emulated."""
    if _is_repeated_outs(record.code):
        return record.rip
    if out_rip_after is False and record.port != SKIPPED_PORT and not _is_outs_before(record):
        return record.rip
    return _back(record, _out_length(record))


def _is_repeated_outs(code: bytes) -> bool:
    for position, byte in enumerate(code):
        if byte in _OUTS:
            return any(prefix in _REPEATS for prefix in code[:position])
        if byte not in (*_REPEATS, *_SEGMENTS_AND_SIZES):
            return False
    return False


def _is_outs_before(record: Record) -> bool:
    outs = record.before[-1:] in (b"\x6e", b"\x6f")
    return outs and record.code[:1] not in (b"\xe6", b"\xe7", b"\xee", b"\xef")


def _out_length(record: Record) -> int:
    before = record.before
    length = 0
    if len(before) >= 2 and before[-2] in _OUT_IMMEDIATE and before[-1] == record.port:
        length = 2
    elif before and before[-1] in (*_OUT_DX, *_OUTS):
        length = 1
    if length and len(before) > length and before[-1 - length] == _OPERAND_SIZE:
        length += 1
    return length


def _store_length(record: Record) -> int:
    """Length of the instruction before RIP that writes to the record's address; 0: none."""
    fallback = 0
    for length in range(min(LONGEST, len(record.before)), 0, -1):
        decoded = decode(record.before[-length:], record.rip - length, record.bits)
        if not decoded or decoded.len != length:
            continue
        match = _writes(decoded, record)
        if match:
            return length
        if match is False:
            fallback = fallback or length
    return fallback


def _writes(decoded: iced_x86.Instruction, record: Record) -> bool | None:
    """None: writes no memory; otherwise whether its address can be the record's.

    Only the offset in the page is compared, as paging keeps it.
    """
    from iced_x86 import InstructionInfoFactory, OpAccess

    stores = (OpAccess.WRITE, OpAccess.READ_WRITE, OpAccess.COND_WRITE, OpAccess.READ_COND_WRITE)
    seen = None
    for used in InstructionInfoFactory().info(decoded).used_memory():
        if used.access in stores:
            seen = bool(seen)
            address = _register(record, used.base) + _register(record, used.index) * used.scale
            if (address + used.displacement - record.address) & 0xFFF == 0:
                return True
    return seen


def _register(record: Record, register: iced_x86.Register_) -> int:
    """A register's value; 0 for none, and for what records do not hold."""
    from iced_x86 import RegisterExt

    if int(register) == 0:
        return 0
    index = _general_registers().get(RegisterExt.full_register(register))
    if index is None:
        return 0
    return record.registers[index] & ((1 << (8 * RegisterExt.size(register))) - 1)


@cache
def _general_registers() -> dict[int, int]:
    """Positions in a record by iced's number."""
    from iced_x86 import Register

    return {
        getattr(Register, name.upper()): index
        for index, name in enumerate(REGISTER_NAMES)
        if name not in ("rip", "rflags")
    }
