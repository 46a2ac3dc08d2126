"""Guest-physical memory: anonymous mappings given to KVM as slots."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import GuestError, KvmError
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.sizes import size_text

#: KVM_MEM_READONLY of <linux/kvm.h>: the guest reads memory, its writes exit as MMIO.
READONLY: Final = 1 << 1
#: KVM_MEM_LOG_DIRTY_PAGES.
LOG_DIRTY_PAGES: Final = 1 << 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One memory slot."""

    number: int
    guest: int  # guest-physical address
    size: int  # bytes
    readonly: bool
    host: Any  # uint8_t *


class GuestMemory:
    """The memory slots of one VM, readable and writable by physical address.

    `native` is the table the native loop walks; it lives as long as this object.
    """

    def __init__(self) -> None:
        self.native = ffi.new("struct kdash_memory *")
        self._slots: list[tuple[int, mmap.mmap, Any]] = []
        self._readonly: list[bool] = []
        self.vm = -1
        self.on_write: Callable[[int, int], None] | None = None  # told of address and bytes
        #: Slot to the bitmap of pages written, where somebody else reads KVM's log: it clears it.
        self.written: Callable[[int], bytes] | None = None

    def add(self, vm: int, guest: int, size: int, *, readonly: bool = False) -> None:
        """Give the VM `size` bytes at guest-physical `guest`, zeroed.

        Args:
            vm: the VM's file descriptor.
            guest: guest-physical address.
            size: bytes, whole pages.
            readonly: ROM, for the guest; needs KVM_CAP_READONLY_MEM. `write` still writes.

        Raises:
            GuestError: when there is memory already.
            KvmError: when the host has not so much memory, or KVM refuses the slot.
        """
        number = len(self._slots)
        if number == lib.KDASH_SLOTS:
            raise KvmError(f"more than {number} memory slots", "use fewer, larger ones")
        for start, mapping, _ in self._slots:
            if guest < start + len(mapping) and start < guest + size:
                raise GuestError(
                    f"memory at {guest:#x}-{guest + size - 1:#x} overlaps that at "
                    f"{start:#x}-{start + len(mapping) - 1:#x}"
                )
        view = self._hold(guest, size, readonly=readonly)
        self.vm = vm
        region = ffi.new("struct kvm_userspace_memory_region *")
        region.slot, region.flags = number, READONLY if readonly else 0
        region.guest_phys_addr, region.memory_size = guest, size
        region.userspace_addr = int(ffi.cast("uintptr_t", view))
        ioctl.call_pointer(vm, "KVM_SET_USER_MEMORY_REGION", region)
        self._show(number)

    def _hold(self, guest: int, size: int, *, readonly: bool) -> Any:
        """Map zeroed bytes as the next slot; its view, which pins the mapping.

        Raises:
            KvmError: when the host has not so much memory.
        """
        try:
            mapping = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise KvmError(
                f"{size_text(size)} of memory for the guest can't be had: {error.strerror}",
                "give the guest less with --memory",
                error.errno or 0,
            ) from None
        view = ffi.from_buffer("uint8_t[]", mapping, require_writable=True)
        self._slots.append((guest, mapping, view))
        self._readonly.append(readonly)
        return view

    def _show(self, number: int) -> None:
        """Enter a slot into the table that native code walks."""
        guest, mapping, view = self._slots[number]
        slot = self.native.slots[number]
        slot.guest, slot.size, slot.host = guest, len(mapping), ffi.cast("uint8_t *", view)
        self.native.count = number + 1

    @property
    def size(self) -> int:
        """Bytes of all slots together."""
        return sum(len(mapping) for _, mapping, _ in self._slots)

    def write(self, physical: int, data: bytes) -> None:
        """Write, across slots that touch; IndexError, nothing written, where no memory is."""
        done = 0
        for mapping, offset, length in list(self._spans(physical, len(data))):
            mapping[offset : offset + length] = data[done : done + length]
            done += length
        if self.on_write is not None:
            self.on_write(physical, len(data))

    def slots(self) -> tuple[Slot, ...]:
        """All of them, by number."""
        return tuple(
            Slot(number, guest, len(mapping), readonly, self.native.slots[number].host)
            for number, ((guest, mapping, _), readonly) in enumerate(
                zip(self._slots, self._readonly, strict=True)
            )
        )

    def log_writes(self) -> None:
        """Let KVM note which pages the guest writes (KVM_GET_DIRTY_LOG).

        Raises:
            KvmError: when it can't.
        """
        for slot in self.slots():
            if not slot.readonly:
                region = ffi.new("struct kvm_userspace_memory_region *")
                region.slot, region.flags = slot.number, LOG_DIRTY_PAGES
                region.guest_phys_addr, region.memory_size = slot.guest, slot.size
                region.userspace_addr = int(ffi.cast("uintptr_t", slot.host))
                ioctl.call_pointer(self.vm, "KVM_SET_USER_MEMORY_REGION", region)

    def write_linear(self, paging: Any, linear: int, data: bytes) -> int:
        """Write at a linear address, page by page.

        Args:
            paging: a `struct kdash_paging` with the control registers.
            linear: where to begin.
            data: what to write.

        Returns:
            Bytes written: fewer than there are where a page is not mapped or is no memory.
        """
        physical = ffi.new("uint64_t *")
        done = 0
        while done < len(data):
            at = (linear + done) & ((1 << 64) - 1)
            part = data[done : done + PAGE - at % PAGE]
            if lib.kdash_translate(self.native, paging, at, physical):
                break
            try:
                self.write(physical[0], part)
            except IndexError:
                break
            done += len(part)
        return done

    def read(self, physical: int, length: int) -> bytes:
        """Read, across slots that touch; IndexError where no memory is."""
        return b"".join(
            mapping[offset : offset + part]
            for mapping, offset, part in self._spans(physical, length)
        )

    def _spans(self, physical: int, length: int) -> Iterator[tuple[mmap.mmap, int, int]]:
        """Mapping, offset in it and bytes of each slot touched."""
        at, end = physical, physical + length
        while at < end:
            for guest, mapping, _ in self._slots:
                if guest <= at < guest + len(mapping):
                    part = min(end, guest + len(mapping)) - at
                    yield mapping, at - guest, part
                    at += part
                    break
            else:
                raise IndexError(f"no memory at {at:#x} ({physical:#x}, {length} bytes)")

    def close(self) -> None:
        """Unmap everything; more than once does no harm. The VM must be gone before."""
        self.native.count = 0
        while self._slots:
            _, mapping, view = self._slots.pop()
            ffi.release(view)
            mapping.close()
