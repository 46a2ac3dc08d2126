"""Which pages of its memory a guest wrote, from KVM's log of dirty pages.

KVM_GET_DIRTY_LOG clears what it tells (api.rst, 4.8), so one reads it: the recording where there
is one, which passes on what it saw (GuestMemory.written), else this.
"""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.memory import GuestMemory, Slot
from kdash.backends.kvm.state_facts import DirtyPages

_LOG: Final = struct.Struct("<IIQ")  # struct kvm_dirty_log: slot, padding, bitmap


class DirtyLog:
    """Pages written from now on.

    Raises:
        KvmError: when KVM refuses to log writes.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        memory.log_writes()
        self.read()  # what was written before nobody asked for

    def read(self) -> DirtyPages:
        """Pages written since the last time, by the guest, and by devices where it is recorded.

        Raises:
            KvmError: when KVM does not tell.
        """
        pages: list[int] = []
        total = 0
        for slot in self._memory.slots():
            total += slot.size // PAGE
            if not slot.readonly:
                numbers = set_bits(self._bitmap(slot))
                pages += (slot.guest + number * PAGE for number in numbers)
        return DirtyPages(tuple(sorted(pages)), total)

    def _bitmap(self, slot: Slot) -> bytes:
        if self._memory.written is not None:
            return self._memory.written(slot.number)
        words = ffi.new("uint64_t[]", -(-slot.size // (64 * PAGE)))
        address = int(ffi.cast("uintptr_t", words))
        log = _LOG.pack(slot.number, 0, address)
        ioctl.call_bytes(self._memory.vm, "KVM_GET_DIRTY_LOG", log)
        return bytes(ffi.buffer(words))


def set_bits(bitmap: bytes) -> list[int]:
    """Numbers of the bits set, in order; fast where few are."""
    found = []
    for place in range(0, len(bitmap), 8):
        word = int.from_bytes(bitmap[place : place + 8], "little")
        while word:
            lowest = word & -word
            found.append(place * 8 + lowest.bit_length() - 1)
            word ^= lowest
    return found
