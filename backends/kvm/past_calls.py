"""The state of a VCPU at a moment of the recording, asked for as of a live one."""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm._native import ffi
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.state_calls import StateCalls

#: Ioctl -> name of the recorded area that has its structure.
_AREAS: Final = {
    "KVM_GET_XSAVE": "XSAVE",
    "KVM_GET_XCRS": "XCRS",
    "KVM_GET_MP_STATE": "MP_STATE",
    "KVM_GET_DEBUGREGS": "DEBUGREGS",
}
#: Capability -> the same; there is no area where the host lacks it.
_CAPABILITIES: Final = {
    "XSAVE": "XSAVE",
    "XCRS": "XCRS",
    "MP_STATE": "MP_STATE",
    "DEBUGREGS": "DEBUGREGS",
}
EVENTS_SIZE: Final = 64  # struct kvm_vcpu_events


class PastCalls:
    """Answers from the moment shown of a recording; what never changes, from the live VCPU.

    Args:
        recording: it shows a moment in the past.
        index: the VCPU.
        live: of the same VCPU, for its CPUID and for what belongs to the host.
    """

    def __init__(self, recording: Recording, index: int, live: StateCalls) -> None:
        self._recording = recording
        self._index = index
        self._live = live

    def capability(self, name: str) -> int:
        """As of the host, of state that is recorded."""
        if name == "XSAVE2":
            return 0  # the area of 4096 bytes is what is recorded
        area = _CAPABILITIES.get(name)
        if area is not None:
            return int(self._recording.area(area, self._index) is not None)
        return self._live.capability(name)

    def system(self, name: str, data: bytes = b"") -> bytes:
        """What belongs to the host; of MSRs those that are recorded."""
        if name == "KVM_GET_MSR_INDEX_LIST":
            numbers = sorted(self._msrs())
            return struct.pack(f"<I{len(numbers)}I", len(numbers), *numbers)
        return self._live.system(name, data)

    def vcpu(self, name: str, data: bytes = b"") -> bytes:
        """A structure of the moment shown.

        Raises:
            KvmError: when it is not recorded.
        """
        if name == "KVM_GET_CPUID2":
            return self._live.vcpu(name, data)
        if name == "KVM_GET_SREGS":
            return bytes(ffi.buffer(self._recording.sregs(self._index)))
        if name == "KVM_GET_VCPU_EVENTS":
            return bytes(ffi.buffer(self._recording.events(self._index), EVENTS_SIZE))
        area = self._recording.area(_AREAS.get(name, ""), self._index)
        if area is None:
            raise KvmError(f"{name}: not recorded", "go back to the end of the recording")
        return bytes(self._recording.shadow(area.number))

    def vcpu_msrs(self, data: bytes) -> tuple[int, bytes]:
        """KVM_GET_MSRS: stops at the first that is not recorded."""
        known = self._msrs()
        changed = bytearray(data)
        (count,) = struct.unpack_from("<I", data)
        for place in range(count):
            (number,) = struct.unpack_from("<I", data, 8 + 16 * place)
            if number not in known:
                return place, bytes(changed)
            struct.pack_into("<Q", changed, 16 + 16 * place, known[number])
        return count, bytes(changed)

    def feature_msrs(self, data: bytes) -> tuple[int, bytes]:
        """They belong to the host."""
        return self._live.feature_msrs(data)

    def _msrs(self) -> dict[int, int]:
        """Recorded ones, and those that KVM keeps among the system registers."""
        sregs = self._recording.sregs(self._index)
        found = {
            0x1B: sregs.apic_base,
            0xC000_0080: sregs.efer,
            0xC000_0100: sregs.fs.base,
            0xC000_0101: sregs.gs.base,
        }
        area = self._recording.area("MSRS", self._index)
        if area is not None:
            data = bytes(self._recording.shadow(area.number))
            (count,) = struct.unpack_from("<I", data)
            for place in range(min(count, (len(data) - 8) // 16)):
                number, _, value = struct.unpack_from("<IIQ", data, 8 + 16 * place)
                found[number] = value
        return found
