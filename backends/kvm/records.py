"""The fixed-size records that the native loop leaves, read from Python.

The layout is `struct kdash_record` of native.h.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from kdash.backends.kvm._native import ffi, lib

#: struct kvm_regs, in its order (asm/kvm.h).
REGISTER_NAMES: Final = (
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rsp",
    "rbp",
    *(f"r{number}" for number in range(8, 16)),
    "rip",
    "rflags",
)
RIP: Final = REGISTER_NAMES.index("rip")
RSP: Final = REGISTER_NAMES.index("rsp")

RECORD: Final = struct.Struct("<QIHBBIBBHQ16s16s16s18Q")

#: reason, port, size, write, count, address, data: all that serving an access needs.
ACCESS: Final = struct.Struct("<8xIHBBI4xQ16s176x")

if not RECORD.size == ACCESS.size == ffi.sizeof("struct kdash_record"):
    raise ImportError("the native module is of another version; build it again")

#: Bytes of exit data that a record holds.
DATA_SIZE: Final = lib.KDASH_DATA


class Record(NamedTuple):
    """One step or one exit."""

    rip: int  # step: RIP before; exit: RIP when KVM_RUN returned
    reason: int  # KVM_EXIT_*
    port: int
    size: int  # bytes an element
    write: bool
    elements: int
    bits: int  # default code size: 16, 32 or 64
    address: int  # MMIO: guest-physical
    data: bytes  # at most DATA_SIZE bytes: what was written, or the answer
    code: bytes  # from rip on
    before: bytes  # up to rip
    registers: tuple[int, ...]  # after, in the order of REGISTER_NAMES

    @classmethod
    def unpack(cls, raw: bytes | memoryview, offset: int = 0) -> Record:
        """Read the record at `offset` of `raw`."""
        fields = RECORD.unpack_from(raw, offset)
        rip, reason, port, size, write, count, code_length, before_length, bits, address = fields[
            :10
        ]
        data, code, before = fields[10:13]
        return cls(
            rip,
            reason,
            port,
            size,
            bool(write),
            count,
            bits,
            address,
            data[: min(size * count, DATA_SIZE)],
            code[:code_length],
            before[len(before) - before_length :],
            fields[13:],
        )


def single_bytes(records: bytes) -> tuple[int, bytes] | None:
    """Port and bytes where all `records` are accesses of one byte to one port; else None.

    Columns are compared as a whole, since output comes in long runs of such records.
    """
    amount = len(records) // RECORD.size
    port = records[12:14]
    wanted = port + b"\x01\x01" + (1).to_bytes(4, "little")  # port, size, write, count
    for offset, value in enumerate(wanted, start=12):
        if records[offset :: RECORD.size].count(value) != amount:
            return None
    return int.from_bytes(port, "little"), records[32 :: RECORD.size]
