"""Coalesced writes: KVM collects them in a ring and the VCPU goes on.

Source: api.rst, 4.116 (KVM_(UN)REGISTER_COALESCED_MMIO); structures of <linux/kvm.h>.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from kdash.backends.kvm import ioctl

#: struct kvm_coalesced_mmio_zone: addr, size, pio.
_ZONE: Final = struct.Struct("<QII")
#: struct kvm_coalesced_mmio: phys_addr, len, pio, data.
WRITE: Final = struct.Struct("<QII8s")


class CoalescedWrite(NamedTuple):
    """One write of the guest that did not exit."""

    address: int  # guest-physical, or the port
    port: bool
    data: bytes

    @classmethod
    def unpack(cls, raw: bytes) -> list[CoalescedWrite]:
        """All writes in the entries of a ring, in order."""
        return [
            cls(address, bool(port), data[:length])
            for address, length, port, data in WRITE.iter_unpack(raw)
        ]


def register(vm: int, addresses: range, port: bool) -> None:
    """Let KVM collect writes to `addresses`.

    Raises:
        KvmError: when KVM refuses it.
    """
    zone = _ZONE.pack(addresses.start, len(addresses), port)
    ioctl.call_bytes(vm, "KVM_REGISTER_COALESCED_MMIO", zone)
