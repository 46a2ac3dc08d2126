"""The exit with which KVM_RUN returned, out of a VCPU's run mapping."""

from __future__ import annotations

from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.exits import RawExit, decode_union
from kdash.backends.kvm.facts import (
    ExitDetail,
    ExitReason,
    IoExit,
    KvmError,
    MmioExit,
    OtherExit,
)

#: What to do about a kernel that gives what it says it never does.
REMEDY: Final = "this kernel's KVM contradicts its documentation; use another"
_NOTHING: Final = OtherExit()


def returned_exit(native: Any) -> RawExit:
    """The last exit of a `struct kdash_vcpu`.

    Raises:
        KvmError: when its data is outside the mapping.
    """
    reason = lib.kdash_exit_reason(native)
    return RawExit(reason, _detail(native, reason))


def _detail(native: Any, reason: int) -> ExitDetail:
    if reason == ExitReason.DEBUG:
        return _NOTHING
    union = bytes(ffi.buffer(lib.kdash_exit_union(native), 256))
    if reason == ExitReason.IO:
        direction, size = union[0], union[1]
        port, count = int.from_bytes(union[2:4], "little"), int.from_bytes(union[4:8], "little")
        data = bytes(ffi.buffer(_io_data(native), size * count))
        return IoExit("out" if direction else "in", port, size, count, data)
    if reason == ExitReason.MMIO:
        length = min(int.from_bytes(union[16:20], "little"), 8)
        address = int.from_bytes(union[:8], "little")
        return MmioExit(bool(union[20]), address, union[8 : 8 + length])
    return decode_union(reason, union)


def _io_data(native: Any) -> Any:
    data = lib.kdash_io_data(native)
    if data == ffi.NULL:
        raise KvmError("KVM_RUN gave I/O data outside its mapping", REMEDY)
    return data
