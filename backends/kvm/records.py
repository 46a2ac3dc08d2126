"""The fixed-size records that the native loop leaves, read from Python.

The layout is `struct kdash_record` of native.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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

_DATA: Final = ffi.offsetof("struct kdash_record", "data")
#: Bytes of exit data that a record holds.
DATA_SIZE: Final = lib.KDASH_DATA
_WINDOW: Final = lib.KDASH_WINDOW


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

    def by_element(self) -> Iterator[Record]:
        """The access as one of each of its elements; its data must be all there."""
        for at in range(0, self.size * self.elements, self.size):
            yield self._replace(elements=1, data=self.data[at : at + self.size])

    def pack(self) -> bytes:
        """The record as the native loop would have left it."""
        code, before = self.code, self.before.rjust(_WINDOW, b"\0")
        return RECORD.pack(
            self.rip,
            self.reason,
            self.port,
            self.size,
            self.write,
            self.elements,
            len(code),
            len(self.before),
            self.bits,
            self.address,
            self.data,
            code,
            before,
            *self.registers,
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """Logical steps of one VCPU in a row, as records.

    `raw` may be the native loop's own buffer: take from it what is to be kept.
    """

    raw: bytes | memoryview
    first: int  # number of the first among the machine's steps
    vcpu: int

    def __len__(self) -> int:
        return len(self.raw) // RECORD.size

    def __iter__(self) -> Iterator[Record]:
        """Each step with what belongs together put together."""
        for offset in range(0, len(self.raw), RECORD.size):
            yield Record.unpack(self.raw, offset)

    def fields(self) -> Iterator[tuple[Any, ...]]:
        """Each step as the fields of RECORD, which is four times as fast."""
        return RECORD.iter_unpack(self.raw)


def first_bytes(records: bytes) -> bytes:
    """The first byte of data of each of `records`, as one column."""
    return records[_DATA :: RECORD.size]
