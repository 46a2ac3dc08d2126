"""Guest-physical memory: anonymous mappings given to KVM as slots."""

from __future__ import annotations

import mmap
from typing import Any

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import KvmError


class GuestMemory:
    """The memory slots of one VM, readable and writable by physical address.

    `native` is the table the native loop walks; it lives as long as this object.
    """

    def __init__(self) -> None:
        self.native = ffi.new("struct kdash_memory *")
        self._slots: list[tuple[int, mmap.mmap, Any]] = []

    def add(self, vm: int, guest: int, size: int) -> None:
        """Give the VM `size` bytes at guest-physical `guest`, zeroed.

        Raises:
            KvmError: when the host has not so much memory, or KVM refuses the slot.
        """
        number = len(self._slots)
        if number == lib.KDASH_SLOTS:
            raise KvmError(f"more than {number} memory slots", "use fewer, larger ones")
        try:
            mapping = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise KvmError(
                f"the guest's {size:#x} bytes of memory can't be had: {error.strerror}",
                "give the guest less with --memory",
                error.errno or 0,
            ) from None
        view = ffi.from_buffer("uint8_t[]", mapping, require_writable=True)
        self._slots.append((guest, mapping, view))
        region = ffi.new("struct kvm_userspace_memory_region *")
        region.slot, region.flags = number, 0
        region.guest_phys_addr, region.memory_size = guest, size
        region.userspace_addr = int(ffi.cast("uintptr_t", view))
        ioctl.call_pointer(vm, "KVM_SET_USER_MEMORY_REGION", region)
        slot = self.native.slots[number]
        slot.guest, slot.size, slot.host = guest, size, ffi.cast("uint8_t *", view)
        self.native.count = number + 1

    @property
    def size(self) -> int:
        """Bytes of all slots together."""
        return sum(len(mapping) for _, mapping, _ in self._slots)

    def write(self, physical: int, data: bytes) -> None:
        """Write within one slot; IndexError where no memory is."""
        mapping, offset = self._find(physical, len(data))
        mapping[offset : offset + len(data)] = data

    def read(self, physical: int, length: int) -> bytes:
        """Read within one slot; IndexError where no memory is."""
        mapping, offset = self._find(physical, length)
        return mapping[offset : offset + length]

    def _find(self, physical: int, length: int) -> tuple[mmap.mmap, int]:
        for guest, mapping, _ in self._slots:
            if guest <= physical and physical + length <= guest + len(mapping):
                return mapping, physical - guest
        raise IndexError(f"no memory at {physical:#x}, {length} bytes")

    def close(self) -> None:
        """Unmap everything; more than once does no harm. The VM must be gone before."""
        self.native.count = 0
        while self._slots:
            _, mapping, view = self._slots.pop()
            ffi.release(view)
            mapping.close()
