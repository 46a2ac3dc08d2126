"""Looks at a machine's state on demand; keeps what is worth keeping between two looks.

Used by the VCPU's thread alone, between two entries of the guest; session.py brings the
questions there.
"""

from __future__ import annotations

from kdash.backends.kvm import page_walk
from kdash.backends.kvm.control_state import read_control
from kdash.backends.kvm.cpuid import read_cpuid
from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.msrs import read_msrs
from kdash.backends.kvm.state_calls import MachineCalls
from kdash.backends.kvm.state_facts import (
    ControlState,
    CpuidState,
    ExtendedState,
    MsrState,
    PageWalk,
)
from kdash.backends.kvm.vcpu import Vcpu
from kdash.backends.kvm.xsave import read_fpu


class Inspector:
    """Reads the state of one machine.

    Args:
        machine: it outlives the inspector.
        path: the KVM device.
        engine: KVM or EMULATOR; of the emulator's machine only memory can be read.
    """

    def __init__(self, machine: Machine, path: str = DEVICE, engine: str = KVM) -> None:
        self._machine = machine
        self._path = path
        self._engine = engine
        self._calls: dict[int, MachineCalls] = {}

    def close(self) -> None:
        """Close what was opened; more than once does no harm."""
        while self._calls:
            self._calls.popitem()[1].close()

    def _vcpu(self, index: int) -> Vcpu:
        vcpus = getattr(self._machine, "vcpus", (self._machine.vcpu,))
        if not 0 <= index < len(vcpus):
            raise KvmError(f"there is no VCPU {index}", f"the guest has {len(vcpus)}")
        found: Vcpu = vcpus[index]
        return found

    def _ask(self, index: int, what: str) -> MachineCalls:
        if self._engine != KVM:
            raise KvmError(f"the emulator does not tell {what}", "run the guest on /dev/kvm")
        if index not in self._calls:
            self._calls[index] = MachineCalls(self._vcpu(index).fd, self._path)
        return self._calls[index]

    # -- one VCPU

    def control(self, vcpu: int = 0) -> ControlState:
        """System and debug registers, pending events, MP state.

        Raises:
            KvmError: when they can't be read, as of every method here.
        """
        return read_control(self._ask(vcpu, "system registers"), self._vcpu(vcpu).registers())

    def fpu(self, vcpu: int = 0) -> ExtendedState:
        """x87, SSE and AVX registers."""
        return read_fpu(self._ask(vcpu, "FPU and SSE registers"))

    def msrs(self, vcpu: int = 0) -> MsrState:
        """Model-specific registers."""
        return read_msrs(self._ask(vcpu, "model-specific registers"))

    def cpuid(self, vcpu: int = 0) -> CpuidState:
        """What CPUID answers."""
        return read_cpuid(self._ask(vcpu, "CPUID"))

    def walk(self, linear: int, vcpu: int = 0) -> PageWalk:
        """How `linear` becomes a guest-physical address."""
        return page_walk.walk(linear, self._vcpu(vcpu).registers(), self._machine.memory.read)

    # -- the machine

    def physical(self, address: int, length: int) -> bytes:
        """Guest-physical memory, up to the first byte that is not there."""
        memory = self._machine.memory.native
        found = b""
        while len(found) < length:
            at = address + len(found)
            slot = next(
                (s for s in memory.slots[0 : memory.count] if s.guest <= at < s.guest + s.size),
                None,
            )
            if slot is None:
                break
            part = min(length - len(found), slot.guest + slot.size - at)
            found += self._machine.memory.read(at, part)
        return found
