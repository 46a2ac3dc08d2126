"""CPUID of a VCPU: what it answers, what KVM could let it answer, and setting it.

Layouts: struct kvm_cpuid2 and kvm_cpuid_entry2 of asm/kvm.h, Linux 6.19.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from kdash.backends.kvm import cpuid_names
from kdash.backends.kvm.cpuid_request import HOST, REGISTERS, CpuidRequest, CpuidSetting
from kdash.backends.kvm.facts import GuestError, KvmError
from kdash.backends.kvm.state_calls import Gaps, StateCalls
from kdash.backends.kvm.state_facts import CpuidEntry, CpuidLeaf, CpuidState

#: KVM_CPUID_FLAG_SIGNIFCANT_INDEX of asm/kvm.h: the answer depends on ECX.
INDEXED: Final = 1
ENTRIES: Final = 256  # asked for at first; KVM_MAX_CPUID_ENTRIES of Linux 6.19
ENTRIES_MOST: Final = 4096

_HEAD: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<7I12x")

# -- reading


def parse_entries(data: bytes) -> tuple[CpuidEntry, ...]:
    """The entries of a struct kvm_cpuid2, as many as are there."""
    if len(data) < _HEAD.size:
        return ()
    count, _ = _HEAD.unpack_from(data)
    whole = min(count, (len(data) - _HEAD.size) // _ENTRY.size)
    found = []
    for place in range(whole):
        leaf, sub, flags, *values = _ENTRY.unpack_from(data, _HEAD.size + place * _ENTRY.size)
        found.append(CpuidEntry(leaf, sub, bool(flags & INDEXED), *values))
    return tuple(found)


def pack_entries(entries: Sequence[CpuidEntry], room: int = 0) -> bytes:
    """A struct kvm_cpuid2 with `entries`, and zeroed room for `room` entries at least."""
    packed = b"".join(
        _ENTRY.pack(e.leaf, e.subleaf, INDEXED if e.indexed else 0, e.eax, e.ebx, e.ecx, e.edx)
        for e in entries
    )
    count = max(len(entries), room)
    return _HEAD.pack(count, 0) + packed.ljust(count * _ENTRY.size, b"\0")


def _all(ask: Callable[[str, bytes], bytes], name: str) -> tuple[CpuidEntry, ...]:
    room = ENTRIES
    while True:
        try:
            return parse_entries(ask(name, pack_entries((), room)))
        except KvmError as error:
            if error.errno != errno.E2BIG or room >= ENTRIES_MOST:
                raise
            room *= 2


def get_supported(calls: StateCalls) -> tuple[CpuidEntry, ...]:
    """What KVM can let a VCPU answer (KVM_GET_SUPPORTED_CPUID).

    Raises:
        KvmError: when KVM does not tell.
    """
    return _all(calls.system, "KVM_GET_SUPPORTED_CPUID")


def get_own(calls: StateCalls) -> tuple[CpuidEntry, ...]:
    """What the VCPU answers (KVM_GET_CPUID2); empty: it was never set, all answers are 0.

    Raises:
        KvmError: when KVM does not tell.
    """
    return _all(calls.vcpu, "KVM_GET_CPUID2")


def read_cpuid(calls: StateCalls) -> CpuidState:
    """Both, decoded; what KVM does not tell is a gap."""
    gaps = Gaps(calls)
    own = supported = ()  # type: tuple[CpuidEntry, ...]
    try:
        own = get_own(calls)
    except KvmError as error:
        gaps.tell("the VCPU's own CPUID", error)
    try:
        supported = get_supported(calls)
    except KvmError as error:
        gaps.tell("supported CPUID", error)
    return CpuidState(
        tuple(map(decode, own)),
        tuple(replace(decode(entry), supported=True) for entry in supported),
        gaps.found,
    )


def decode(entry: CpuidEntry) -> CpuidLeaf:
    """An entry with its name, what it says, and its feature bits by name."""
    name = cpuid_names.leaf_name(entry.leaf, entry.subleaf)
    return CpuidLeaf(entry, name, cpuid_names.meaning(entry), cpuid_names.features(entry))


# -- setting


def requested(
    requests: Iterable[CpuidRequest], supported: Callable[[], Sequence[CpuidEntry]]
) -> tuple[CpuidEntry, ...]:
    """The entries that `requests` ask for; `supported` is called where one is HOST."""
    entries: list[CpuidEntry] = []
    for request in requests:
        if isinstance(request, CpuidSetting):
            _apply(entries, request)
        else:
            entries = list(supported()) if request == HOST else []
    return tuple(entries)


def _apply(entries: list[CpuidEntry], setting: CpuidSetting) -> None:
    wanted = setting.subleaf or 0
    for place, entry in enumerate(entries):
        same = entry.subleaf == wanted if entry.indexed else setting.subleaf in (None, 0)
        if entry.leaf == setting.leaf and same:
            entries[place] = _changed(entry, setting)
            return
    indexed = setting.subleaf is not None
    entries.append(_changed(CpuidEntry(setting.leaf, wanted, indexed, 0, 0, 0, 0), setting))


def _changed(entry: CpuidEntry, setting: CpuidSetting) -> CpuidEntry:
    values = {register: getattr(entry, register) for register in REGISTERS}
    values[setting.register] = setting.value
    return replace(entry, **values)


def for_vcpu(entries: Iterable[CpuidEntry], index: int) -> tuple[CpuidEntry, ...]:
    """KVM's supported entries with the APIC id of VCPU `index`, where they hold one.

    KVM fills in that of the host's processor it is asked on (api.rst, 4.46): leaf 1 in EBX 31:24,
    the topology leaves in EDX (Intel SDM vol. 2A, CPUID).
    """
    return tuple(_numbered(entry, index) for entry in entries)


def _numbered(entry: CpuidEntry, index: int) -> CpuidEntry:
    if entry.leaf == 1:
        return replace(entry, ebx=entry.ebx & 0x00FF_FFFF | (index & 0xFF) << 24)
    return replace(entry, edx=index) if entry.leaf in (0xB, 0x1F) else entry


def set_cpuid(calls: StateCalls, requests: Sequence[CpuidRequest], index: int = 0) -> None:
    """Let the VCPU `index` answer as `requests` say. It must not have run yet.

    Raises:
        GuestError: when KVM refuses the values.
        KvmError: when KVM does not tell what it supports.
    """
    if not requests:
        return
    entries = requested(requests, lambda: for_vcpu(get_supported(calls), index))
    try:
        calls.vcpu("KVM_SET_CPUID2", pack_entries(entries))
    except KvmError as error:
        settings = [one.text for one in requests if isinstance(one, CpuidSetting)]
        told = ", ".join(settings) or str(requests[-1])
        raise GuestError(
            f"--cpuid {told}: refused by KVM: {error.cause}; compare with what it supports, "
            "in the cpuid view"
        ) from None
