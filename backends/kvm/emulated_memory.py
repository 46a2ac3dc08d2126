"""Memory of an emulated guest: mapped into unicorn instead of a VM."""

from __future__ import annotations

from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.emulated_interrupts import Event, Fault
from kdash.backends.kvm.memory import GuestMemory

#: Physical addresses the emulator serves; above it an access is told as beyond it.
PHYSICAL: Final = 1 << 40
_PAGE_FAULT: Final = 14
_WRITE: Final = 2  # of a page fault's error code


class EmulatedMemory(GuestMemory):
    """Guest memory mapped into unicorn instead of a VM."""

    def attach(self, uc: Any, start: int, size: int, *, readonly: bool) -> None:
        """Map `size` zeroed bytes at guest-physical `start`.

        Raises:
            KvmError: when the host has not so much memory.
        """
        from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ

        view = self._hold(start, size, readonly=readonly)
        self._show(len(self._slots) - 1)
        rights = UC_PROT_READ | UC_PROT_EXEC if readonly else UC_PROT_ALL
        uc.mem_map_ptr(start, size, rights, int(ffi.cast("uintptr_t", view)))

    def holes(self) -> list[tuple[int, int]]:
        """Start and end of each stretch without memory, up to PHYSICAL."""
        found, at = [], 0
        for start, mapping, _ in sorted(self._slots, key=lambda slot: slot[0]):
            if start > at:
                found.append((at, start))
            at = start + len(mapping)
        return [*found, (at, PHYSICAL)]


class LinearMemory:
    """Guest memory by linear address, as interrupt delivery uses it.

    Args:
        memory: the guest's.
        paging: a `struct kdash_paging *`.
    """

    def __init__(self, memory: GuestMemory, paging: Any) -> None:
        self._memory = memory
        self._paging = paging

    def read(self, linear: int, length: int) -> bytes:
        """`length` bytes.

        Raises:
            Fault: a page fault, where they can't be reached.
        """
        data = ffi.new("uint8_t[]", length)
        got = lib.kdash_read(self._memory.native, self._paging, linear, data, length)
        if got < length:
            raise Fault(Event(_PAGE_FAULT), linear + got)
        return bytes(ffi.buffer(data, length))

    def write(self, linear: int, data: bytes) -> None:
        """Write.

        Raises:
            Fault: a page fault, where it can't be reached.
        """
        linear &= (1 << 64) - 1
        done = self._memory.write_linear(self._paging, linear, data)
        if done < len(data):
            raise Fault(Event(_PAGE_FAULT, _WRITE), linear + done)
