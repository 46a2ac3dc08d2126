"""Model-specific registers of a VCPU: which there are, their names and values.

Layouts: struct kvm_msr_list, kvm_msrs and kvm_msr_entry of asm/kvm.h, Linux 6.19.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Sequence
from typing import Final

from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.msr_names import msr_name
from kdash.backends.kvm.state_calls import Gaps, StateCalls
from kdash.backends.kvm.state_facts import Msr, MsrState

#: Asked for though KVM does not list them: they are part of kvm_sregs there.
BESIDE: Final = (0x1B, 0xC000_0080, 0xC000_0100, 0xC000_0101)  # APIC_BASE, EFER, FS and GS base
ROOM: Final = 512  # numbers asked for at first
ROOM_MOST: Final = 1 << 14
AT_ONCE: Final = 255  # entries of one KVM_GET_MSRS; MAX_IO_MSRS of arch/x86/kvm/x86.c is 256

_COUNT: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<IIQ")

Ask = Callable[[str, bytes], bytes]
#: KVM_GET_MSRS: a struct kvm_msrs to how many entries were read, and the structure.
AskMsrs = Callable[[bytes], tuple[int, bytes]]


def read_msrs(calls: StateCalls) -> MsrState:
    """All that KVM lists, with values; what KVM does not tell is a gap."""
    gaps = Gaps(calls)
    msrs: list[Msr] = []
    for part, listing, ask, feature in (
        ("MSRs", "KVM_GET_MSR_INDEX_LIST", calls.vcpu_msrs, False),
        ("feature MSRs", "KVM_GET_MSR_FEATURE_INDEX_LIST", calls.feature_msrs, True),
    ):
        try:
            if feature and calls.capability("GET_MSR_FEATURES") <= 0:
                raise KvmError("KVM lacks KVM_CAP_GET_MSR_FEATURES", "")
            numbers = set(list_msrs(calls.system, listing))
        except KvmError as error:
            gaps.tell(part, error)
            continue
        if not feature:
            numbers.update(BESIDE)
        values = read_values(ask, sorted(numbers))
        msrs += (Msr(number, msr_name(number), value, feature) for number, value in values)
    return MsrState(tuple(msrs), gaps.found)


def list_msrs(ask: Ask, name: str) -> tuple[int, ...]:
    """Numbers that `name`, one of the two listing ioctls, tells.

    Raises:
        KvmError: when KVM does not tell.
    """
    room = ROOM
    while True:
        try:
            return parse_list(ask(name, _COUNT.pack(room) + bytes(4 * room)))
        except KvmError as error:
            if error.errno != errno.E2BIG or room >= ROOM_MOST:
                raise
            room *= 4


def parse_list(data: bytes) -> tuple[int, ...]:
    """The numbers in a struct kvm_msr_list, as many as are there."""
    if len(data) < _COUNT.size:
        return ()
    count = min(_COUNT.unpack_from(data)[0], len(data) // 4 - 1)
    return struct.unpack_from(f"<{count}I", data, 4)


def read_values(ask: AskMsrs, numbers: Sequence[int]) -> list[tuple[int, int | None]]:
    """The value of each MSR of `numbers`, None of one that KVM does not let be read.

    KVM_GET_MSRS stops at the first it refuses and returns how many came before: that one is
    left out, and the rest asked for again.
    """
    found: list[tuple[int, int | None]] = []
    left = list(numbers)
    while left:
        batch = left[:AT_ONCE]
        got = _read_some(ask, batch)
        found += zip(batch, got, strict=False)
        if len(got) < len(batch):
            found.append((batch[len(got)], None))
        left = left[len(got) + (len(got) < len(batch)) :]
    return found


def _read_some(ask: AskMsrs, numbers: Sequence[int]) -> list[int]:
    """Values of the first of `numbers`, up to the first that is refused."""
    entries = b"".join(_ENTRY.pack(number, 0, 0) for number in numbers)
    try:
        count, data = ask(_HEAD.pack(len(numbers), 0) + entries)
    except KvmError:
        return []
    return [
        _ENTRY.unpack_from(data, _HEAD.size + place * _ENTRY.size)[2]
        for place in range(min(count, len(numbers)))
    ]
