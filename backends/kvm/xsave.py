"""x87, SSE and AVX state of a VCPU, from the XSAVE area or KVM_GET_FPU.

Layouts: Intel SDM vol. 1, 10.5.1 (the legacy region, that of FXSAVE) and 13.4 (the header and
the standard format, which is what KVM gives); struct kvm_fpu of asm/kvm.h, Linux 6.19.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from kdash.backends.kvm.control_state import parse_xcr0
from kdash.backends.kvm.cpuid import get_supported
from kdash.backends.kvm.device import require
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.state_calls import StateCalls
from kdash.backends.kvm.state_facts import ExtendedState

#: FCW, FSW, FTW, -, FOP, FIP, FDP, MXCSR, MXCSR_MASK of the legacy region.
_LEGACY: Final = struct.Struct("<HHBxHQQII")
_STACK: Final = 32  # ST0 in the legacy region; 16 bytes each, 10 of them used
_XMM: Final = 160
_HEADER: Final = 512  # XSTATE_BV
_EXTENDED: Final = 576  # the first component beyond the legacy region

#: Components of the XSAVE area (SDM vol. 1, 13.1).
AVX: Final = 2
OPMASK: Final = 5
ZMM_HI256: Final = 6
HI16_ZMM: Final = 7

#: Where components stand in the area: number -> offset, size (CPUID leaf 0DH).
Components = Mapping[int, tuple[int, int]]


def read_fpu(calls: StateCalls) -> ExtendedState:
    """The VCPU's state, in the fullest form that KVM gives it.

    Raises:
        KvmError: when KVM has no way to tell it.
    """
    size = calls.capability("XSAVE2")
    note = ""
    try:
        if size > 0:
            area = calls.vcpu("KVM_GET_XSAVE2", bytes(size))
            return parse_xsave(area, _components(calls), "KVM_GET_XSAVE2")
        require(calls.capability("XSAVE"), "XSAVE", "AVX registers")
        return parse_xsave(calls.vcpu("KVM_GET_XSAVE"), _components(calls), "KVM_GET_XSAVE")
    except KvmError as error:
        note = f"no MXCSR and no more than the XMM registers: {error.cause}"
    return parse_fpu(calls.vcpu("KVM_GET_FPU"), note)


def _components(calls: StateCalls) -> dict[int, tuple[int, int]]:
    """Where KVM puts the components that the guest has switched on in XCR0.

    Where they stand is a property of the host, whatever CPUID the guest sees.
    """
    enabled = parse_xcr0(calls.vcpu("KVM_GET_XCRS")) if calls.capability("XCRS") > 0 else 0
    return {
        entry.subleaf: (entry.ebx, entry.eax)
        for entry in get_supported(calls)
        if entry.leaf == 0xD and entry.subleaf >= AVX and (enabled or 0) >> entry.subleaf & 1
    }


def parse_xsave(area: bytes, components: Components, source: str) -> ExtendedState:
    """An XSAVE area in the standard format.

    Raises:
        KvmError: when it is too short to be one.
    """
    if len(area) < _EXTENDED:
        raise KvmError(f"{source} gave {len(area)} bytes, an XSAVE area has {_EXTENDED}", "")
    (present,) = struct.unpack_from("<Q", area, _HEADER)
    parts = {
        number: area[offset : offset + size] if present >> number & 1 else bytes(size)
        for number, (offset, size) in components.items()
        if offset >= _EXTENDED and offset + size <= len(area)
    }
    control, status, tag, opcode, ip, dp, mxcsr, mask = _LEGACY.unpack_from(area)
    return ExtendedState(
        source, control, status, tag, opcode, ip, dp, mxcsr, mask,
        _stack(area, _STACK), _vectors(area, parts),
        struct.unpack_from("<8Q", parts[OPMASK]) if len(parts.get(OPMASK, b"")) >= 64 else (),
        present,
    )  # fmt: skip


def _stack(area: bytes, offset: int) -> tuple[bytes, ...]:
    return tuple(area[offset + 16 * n : offset + 16 * n + 10] for n in range(8))


def _vectors(area: bytes, parts: Mapping[int, bytes]) -> tuple[bytes, ...]:
    vectors = [area[_XMM + 16 * n :][:16] for n in range(16)]
    if len(high := parts.get(AVX, b"")) >= 256:
        vectors = [low + high[16 * n :][:16] for n, low in enumerate(vectors)]
        if len(higher := parts.get(ZMM_HI256, b"")) >= 512:
            vectors = [low + higher[32 * n :][:32] for n, low in enumerate(vectors)]
            if len(more := parts.get(HI16_ZMM, b"")) >= 1024:
                vectors += [more[64 * n :][:64] for n in range(16)]
    return tuple(vectors)


def parse_fpu(data: bytes, note: str = "") -> ExtendedState:
    """A struct kvm_fpu. KVM leaves its MXCSR out (arch/x86/kvm/x86.c, Linux 6.12)."""
    control, status, tag, opcode, ip, dp = struct.unpack_from("<HHBxHQQ", data, 128)
    vectors = tuple(data[152 + 16 * n :][:16] for n in range(16))
    return ExtendedState(
        "KVM_GET_FPU", control, status, tag, opcode, ip, dp, None, 0,
        _stack(data, 0), vectors, note=note,
    )  # fmt: skip
