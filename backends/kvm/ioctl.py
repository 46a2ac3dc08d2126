"""KVM ioctls with their names, so that a refused one can be told to a person."""

from __future__ import annotations

import errno
import os
from typing import Any

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import KvmError

_REMEDIES = {
    errno.ENOTTY: "the file is no KVM device, or this kernel's KVM does not have the call;"
    " look what it is (ls -l), make the node anew (modprobe -r and modprobe the KVM module)"
    " or use a newer kernel",
    errno.ENOMEM: "free memory, or give the guest less with --memory",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "too many open files on this system; close some",
    errno.EBUSY: "another hypervisor may hold the processor's virtualisation; stop it",
    errno.EPERM: "this process may not do it; check the container's or service's restrictions",
    errno.EACCES: "this process may not do it; check the container's or service's restrictions",
    errno.EIO: "the VM belongs to another process, or it is broken; restart the guest",
}


def failure(call: str, number: int) -> KvmError:
    """What to raise when `call` failed with errno `number`."""
    name = errno.errorcode.get(number, f"errno {number}")
    remedy = _REMEDIES.get(number, "see the KVM API documentation for this call and error")
    return KvmError(f"{call} failed: {os.strerror(number)} ({name})", remedy, number)


def call(fd: int, name: str, argument: int = 0) -> int:
    """Issue the ioctl `name` with an integer argument.

    Raises:
        KvmError: when it fails, naming it and its errno.
    """
    value = lib.kdash_ioctl(fd, getattr(lib, name), argument)
    if value < 0:
        raise failure(name, -value)
    return value


def call_pointer(fd: int, name: str, argument: Any) -> int:
    """Issue the ioctl `name` with a pointer to a structure (cffi cdata).

    Raises:
        KvmError: when it fails, naming it and its errno.
    """
    value = lib.kdash_ioctl_pointer(fd, getattr(lib, name), argument)
    if value < 0:
        raise failure(name, -value)
    return value


def call_bytes(fd: int, name: str, data: bytes = b"") -> tuple[int, bytes]:
    """Issue the ioctl `name` on a structure given and returned as bytes.

    Args:
        fd: of the device, the VM or the VCPU.
        name: KVM_....
        data: what the structure starts with; zeros follow up to the size that the ioctl's
            number tells (asm-generic/ioctl.h), where `data` has fewer bytes.

    Returns:
        The ioctl's value, and the structure.

    Raises:
        KvmError: when it fails, naming it and its errno.
    """
    size = getattr(lib, name) >> 16 & 0x3FFF
    buffer = ffi.new("uint8_t[]", max(size, len(data)))
    ffi.buffer(buffer)[: len(data)] = data
    value = call_pointer(fd, name, buffer)
    return value, bytes(ffi.buffer(buffer))
