"""KVM's binary statistics: descriptors parsed once, values read with one pread.

Format: Linux Documentation/virt/kvm/api.rst, 4.133 KVM_GET_STATS_FD; struct kvm_stats_header and
kvm_stats_desc of <linux/kvm.h>, 6.19.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.state_facts import Statistic

_HEADER: Final = struct.Struct("<6I")  # flags, name_size, num_desc, id, desc, data offset
_DESCRIPTOR: Final = struct.Struct("<IhHII")  # flags, exponent, size, offset, bucket_size; name
#: Far above what any kernel has, so that a damaged header costs no memory.
NAME_MOST: Final = 1024
DESCRIPTORS_MOST: Final = 4096
VALUES_MOST: Final = 65_536  # of all statistics together

_KINDS: Final = ("cumulative", "instant", "peak", "linear hist", "log hist")
_UNITS: Final = ("", "bytes", "seconds", "cycles", "boolean")
_BASES: Final = (10, 2)
_REPORT: Final = "this kernel's KVM contradicts its documentation; use another"


@dataclass(frozen=True, slots=True)
class Header:
    """Where things stand in the file."""

    name_size: int
    count: int
    descriptors: int
    data: int


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One statistic: what it is and where its values stand in the data."""

    name: str
    kind: str
    unit: str
    base: int
    exponent: int
    size: int  # values
    offset: int  # bytes, in the data
    bucket: int

    @property
    def end(self) -> int:
        """The first byte of the data behind its values."""
        return self.offset + 8 * self.size


def parse_header(data: bytes) -> Header:
    """A struct kvm_stats_header.

    Raises:
        KvmError: when it can't be one.
    """
    if len(data) < _HEADER.size:
        raise KvmError("KVM's statistics have no header", _REPORT)
    _, name_size, count, _, descriptors, values = _HEADER.unpack_from(data)
    if not 0 < name_size <= NAME_MOST or count > DESCRIPTORS_MOST:
        raise KvmError(f"KVM tells {count} statistics with names of {name_size} bytes", _REPORT)
    return Header(name_size, count, descriptors, values)


def parse_descriptors(data: bytes, header: Header) -> tuple[Descriptor, ...]:
    """The descriptors in `data`, which starts with the first of them.

    Raises:
        KvmError: when there are fewer than the header says, or values beyond all bounds.
    """
    size = _DESCRIPTOR.size + header.name_size
    if len(data) < size * header.count:
        raise KvmError("KVM's statistics end within their descriptors", _REPORT)
    found = tuple(_descriptor(data[at : at + size]) for at in range(0, size * header.count, size))
    if sum(one.size for one in found) > VALUES_MOST or any(one.offset >> 24 for one in found):
        raise KvmError("KVM's statistics have more values than can be", _REPORT)
    return found


def _descriptor(data: bytes) -> Descriptor:
    flags, exponent, size, offset, bucket = _DESCRIPTOR.unpack_from(data)
    name = data[_DESCRIPTOR.size :].split(b"\0")[0].decode("ascii", "backslashreplace")
    return Descriptor(
        name,
        _named(_KINDS, flags & 0xF),
        _named(_UNITS, flags >> 4 & 0xF),
        _BASES[flags >> 8 & 1],
        exponent,
        size,
        offset,
        bucket,
    )


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else f"unknown {number}"


def parse_values(
    data: bytes, descriptors: tuple[Descriptor, ...], scope: str
) -> tuple[Statistic, ...]:
    """The statistics whose values are all in `data`, the data block.

    Args:
        data: from the block's first byte on.
        descriptors: of the file.
        scope: whose they are.
    """
    return tuple(
        Statistic(
            one.name, scope, one.kind, one.unit, one.exponent, one.base,
            struct.unpack_from(f"<{one.size}Q", data, one.offset), one.bucket,
        )
        for one in descriptors
        if one.end <= len(data)
    )  # fmt: skip


class StatisticsFile:
    """The statistics of a VM or a VCPU.

    Args:
        fd: of the VM or the VCPU.
        scope: "vm" or "vcpu 0".

    Raises:
        KvmError: when there are none.
    """

    def __init__(self, fd: int, scope: str) -> None:
        self._scope = scope
        self._fd = ioctl.call(fd, "KVM_GET_STATS_FD")
        try:
            header = parse_header(os.pread(self._fd, _HEADER.size, 0))
            size = header.count * (_DESCRIPTOR.size + header.name_size)
            data = os.pread(self._fd, size, header.descriptors)
            self._descriptors = parse_descriptors(data, header)
        except BaseException:
            self.close()
            raise
        self._data = header.data
        self._size = max((one.end for one in self._descriptors), default=0)

    def read(self) -> tuple[Statistic, ...]:
        """All values now."""
        data = os.pread(self._fd, self._size, self._data)
        return parse_values(data, self._descriptors, self._scope)

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
