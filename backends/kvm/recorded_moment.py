"""The moment that a recording shows: registers and memory as they were then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import Registers
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import read_registers

_GENERAL: Final = lib.KDASH_REGISTERS
_SREGS_WORDS: Final = 39
_EVENTS: Final = _GENERAL + _SREGS_WORDS
_LINEAR: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Area:
    """Bytes that are recorded."""

    name: str  # "memory", "xsave", "devices", ...
    number: int
    size: int  # bytes, a multiple of 8
    guest: int = 0  # guest-physical address of memory
    slot: int = -1  # of memory
    readonly: bool = False
    vcpu: int = -1  # whose state it is
    host: Any = None  # the bytes it is taken from; None: of a file


class ShownMoment:
    """What can be read of the moment shown.

    Args:
        native: the recording's `struct kdash_recording *`.
    """

    _native: Any = ffi.NULL  # where making it failed

    def __init__(self, native: Any) -> None:
        self.areas: list[Area] = []
        self._native = native
        self._memory = ffi.new("struct kdash_memory *")

    def words(self, vcpu: int) -> Any:
        """The VCPU's `struct kvm_sync_regs` as 64-bit words, to be read or loaded."""
        return lib.kdash_recording_words(self._native, vcpu)

    def registers(self, vcpu: int = 0) -> Registers:
        """A VCPU's registers."""
        words = self.words(vcpu)
        sregs = ffi.cast("struct kvm_sregs *", words + _GENERAL)
        return read_registers(ffi.unpack(words, len(REGISTER_NAMES)), sregs)

    def sregs(self, vcpu: int) -> Any:
        """Its `struct kvm_sregs`."""
        return ffi.cast("struct kvm_sregs *", self.words(vcpu) + _GENERAL)

    def events(self, vcpu: int) -> Any:
        """Its `struct kvm_vcpu_events`."""
        return self.words(vcpu) + _EVENTS

    def shadow(self, area: int) -> Any:
        """The bytes of an area, by its number."""
        size = 16 if area == 0 else self.areas[area - 1].size
        return ffi.buffer(lib.kdash_recording_shadow(self._native, area), size)

    def area(self, name: str, vcpu: int = -1) -> Area | None:
        """An area by its name, and its VCPU."""
        for one in self.areas:
            if one.name == name and one.vcpu == vcpu:
                return one
        return None

    def structure(self, name: str, vcpu: int = -1) -> bytes | None:
        """What the area of that name holds at the moment shown; None where there is none."""
        area = self.area(name, vcpu)
        return None if area is None else bytes(self.shadow(area.number))

    def read(self, physical: int, length: int) -> bytes:
        """Memory by guest-physical address; IndexError where there is none."""
        data = bytearray()
        while len(data) < length:
            data += self._spot(physical + len(data), length - len(data))
        return bytes(data)

    def _spot(self, physical: int, length: int) -> bytes:
        for area in self.areas:
            if area.slot >= 0 and area.guest <= physical < area.guest + area.size:
                at = physical - area.guest
                return bytes(self.shadow(area.number)[at : min(at + length, area.size)])
        raise IndexError(f"no memory at {physical:#x}")

    def read_linear(self, linear: int, length: int, vcpu: int = 0) -> bytes:
        """Memory as a VCPU sees it, up to the first byte that is not mapped."""
        sregs = self.sregs(vcpu)
        paging = ffi.new("struct kdash_paging *", (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer))
        data = ffi.new("uint8_t[]", max(length, 1))
        got = lib.kdash_read(self._memory, paging, linear & _LINEAR, data, length)
        return bytes(ffi.buffer(data, got))

    def translate(self, linear: int, vcpu: int) -> int | None:
        """The guest-physical address of a linear one; None: not mapped."""
        sregs = self.sregs(vcpu)
        paging = ffi.new("struct kdash_paging *", (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer))
        physical = ffi.new("uint64_t *")
        failed = lib.kdash_translate(self._memory, paging, linear & _LINEAR, physical)
        return None if failed else int(physical[0])
