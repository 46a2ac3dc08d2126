"""Looks at the state that a recording in a file holds: no machine, and no KVM, is asked.

What a recording does not keep, CPUID and KVM's counters, says so and what to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NoReturn

from kdash.backends.kvm import page_walk
from kdash.backends.kvm.control_state import read_control
from kdash.backends.kvm.controller_rows import KERNELS, controller_registers
from kdash.backends.kvm.device_rows import device_registers
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.msrs import read_msrs
from kdash.backends.kvm.past_calls import PastCalls
from kdash.backends.kvm.recorded_contents import devices_of
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.state_facts import (
    ControlState,
    CpuidState,
    DeviceRegister,
    ExtendedState,
    MsrState,
    PageWalk,
    StatisticsState,
)
from kdash.backends.kvm.xsave import parse_xsave

_LEGACY: Final = "no more than the XMM registers: a recording does not say where the others are"
_GO_ON: Final = "let the guest go on (:run-from-here)"


class _NoMachine:
    """The calls that a live VCPU would answer: what is recorded of it is there, else nothing."""

    def capability(self, name: str) -> int:
        """Pending events are in every recording."""
        return int(name == "VCPU_EVENTS")

    def _refuse(self, name: object, *_: object) -> NoReturn:
        raise KvmError(f"{name} is not in a recording", _GO_ON)

    system = vcpu = _refuse

    def vcpu_msrs(self, data: bytes) -> NoReturn:  # noqa: ARG002 - as of StateCalls
        """Never asked: a recording has its own."""
        self._refuse("this")

    def feature_msrs(self, data: bytes) -> NoReturn:  # noqa: ARG002 - as of StateCalls
        """They belong to a host."""
        self._refuse("what the host's KVM can do")


class RecordedInspector:
    """What inspector.py's `Inspector` tells, at the moment shown of a recording.

    Args:
        recording: it.
        users: names of the user's devices it was made with.
    """

    def __init__(self, recording: Recording, users: tuple[str, ...] = ()) -> None:
        self._recording = recording
        self._users = users

    def _calls(self, vcpu: int) -> PastCalls:
        return PastCalls(self._recording, vcpu, _NoMachine())

    def control(self, vcpu: int = 0) -> ControlState:
        """System and debug registers, pending events, MP state.

        Raises:
            KvmError: when they are not recorded, as of every method here.
        """
        return read_control(self._calls(vcpu), self._recording.registers(vcpu))

    def fpu(self, vcpu: int = 0) -> ExtendedState:
        """x87 and SSE registers; where the others lie in the area, only their host knows."""
        area = self._calls(vcpu).vcpu("KVM_GET_XSAVE")
        return replace(parse_xsave(area, {}, "KVM_GET_XSAVE"), note=_LEGACY)

    def msrs(self, vcpu: int = 0) -> MsrState:
        """Model-specific registers."""
        return read_msrs(self._calls(vcpu))

    def cpuid(self, vcpu: int = 0) -> CpuidState:  # noqa: ARG002 - as of Inspector
        """It belongs to a machine."""
        raise KvmError("what CPUID answered is not in a recording", _GO_ON)

    def statistics(self) -> StatisticsState:
        """They belong to a machine."""
        raise KvmError("KVM's counters are not in a recording", _GO_ON)

    def devices(self) -> tuple[DeviceRegister, ...]:
        """What the devices hold; of the user's own that they were there."""
        state = devices_of(self._recording)
        kept = {
            name: "its state is kept" if f"device {number}" in state else "its state is not kept"
            for number, name in enumerate(self._users)
        }
        controllers = controller_registers(self._recording.structure, self._recording.vcpu_count)
        own = device_registers(state)
        if controllers:
            own = tuple(one for one in own if one.device != KERNELS)
        users = (DeviceRegister(name, "state", "-", told) for name, told in kept.items())
        return (*own, *controllers, *users)

    def walk(self, linear: int, vcpu: int = 0) -> PageWalk:
        """How `linear` becomes a guest-physical address."""
        return page_walk.walk(linear, self._recording.registers(vcpu), self._recording.read)

    def physical(self, address: int, length: int) -> bytes:
        """Guest-physical memory, up to the first byte that is not there."""
        found = b""
        while len(found) < length:
            try:
                found += self._recording.read(address + len(found), 1)
            except IndexError:
                break
        return found
