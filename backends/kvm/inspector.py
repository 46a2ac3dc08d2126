"""Looks at a machine's state on demand; keeps what is worth keeping between two looks.

Used by the VCPU's thread alone, between two entries of the guest; session.py brings the
questions there.
"""

from __future__ import annotations

import time
from typing import Any

from kdash.backends.kvm import emulated_inspection, page_walk
from kdash.backends.kvm.binary_stats import StatisticsFile
from kdash.backends.kvm.control_state import read_control
from kdash.backends.kvm.cpuid import read_cpuid
from kdash.backends.kvm.device import DEVICE, require
from kdash.backends.kvm.dirty_log import DirtyLog
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import KvmError, Registers
from kdash.backends.kvm.kernel_exits import ExitTrace, NotHereError
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.msrs import read_msrs
from kdash.backends.kvm.past import Past
from kdash.backends.kvm.past_calls import PastCalls
from kdash.backends.kvm.state_calls import MachineCalls, StateCalls
from kdash.backends.kvm.state_facts import (
    ControlState,
    CpuidState,
    DeviceRegister,
    DirtyPages,
    ExtendedState,
    KernelExits,
    MsrState,
    PageWalk,
    StatisticsState,
)
from kdash.backends.kvm.vcpu import Vcpu
from kdash.backends.kvm.xsave import read_fpu


class Inspector:
    """Reads the state of one machine.

    Args:
        machine: it outlives the inspector.
        path: the KVM device.
        engine: KVM or EMULATOR; the emulator tells no CPUID and no statistics.
        past: where it shows a moment of a recording, the state is that moment's.
    """

    def __init__(
        self,
        machine: Machine,
        path: str = DEVICE,
        engine: str = KVM,
        past: Past | None = None,
    ) -> None:
        self._machine = machine
        self._path = path
        self._engine = engine
        self._past = past
        self._calls: dict[int, MachineCalls] = {}
        self._files: list[StatisticsFile] | None = None  # None: not opened yet
        self._gaps: tuple[tuple[str, str], ...] = ()
        self._trace: ExitTrace | None = None
        self._no_trace = ""  # why there is none
        self._log: DirtyLog | None = None

    def close(self) -> None:
        """Close what was opened; more than once does no harm."""
        while self._calls:
            self._calls.popitem()[1].close()
        for file in self._files or ():
            file.close()
        self._files = None
        if self._trace is not None:
            self._trace.close()
            self._trace = None

    def _vcpu(self, index: int) -> Vcpu:
        vcpus = getattr(self._machine, "vcpus", (self._machine.vcpu,))
        if not 0 <= index < len(vcpus):
            raise KvmError(f"there is no VCPU {index}", f"the guest has {len(vcpus)}")
        found: Vcpu = vcpus[index]
        return found

    def _unicorn(self, index: int) -> Any:
        """What executes the VCPU of an emulated machine."""
        vcpu: Any = self._vcpu(index)  # an EmulatedVcpu
        return vcpu.unicorn

    def _moment(self, index: int, what: str) -> StateCalls:
        """The calls for the state that is shown: live, or of the recording."""
        live = self._ask(index, what)
        if self._past is not None and self._past.active:
            return PastCalls(self._past.recording, index, live)
        return live

    def _registers(self, index: int) -> Registers:
        live = self._vcpu(index)
        return live.registers() if self._past is None else self._past.registers(index)

    def _read(self, address: int, length: int) -> bytes:
        memory = self._machine.memory if self._past is None else self._past
        return memory.read(address, length)

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
        if self._engine != KVM:
            return emulated_inspection.read_control(self._unicorn(vcpu), self._registers(vcpu))
        return read_control(self._moment(vcpu, "system registers"), self._registers(vcpu))

    def fpu(self, vcpu: int = 0) -> ExtendedState:
        """x87, SSE and AVX registers."""
        if self._engine != KVM:
            return emulated_inspection.read_fpu(self._unicorn(vcpu))
        return read_fpu(self._moment(vcpu, "FPU and SSE registers"))

    def msrs(self, vcpu: int = 0) -> MsrState:
        """Model-specific registers."""
        if self._engine != KVM:
            return emulated_inspection.read_msrs(self._unicorn(vcpu))
        return read_msrs(self._moment(vcpu, "model-specific registers"))

    def cpuid(self, vcpu: int = 0) -> CpuidState:
        """What CPUID answers."""
        return read_cpuid(self._moment(vcpu, "CPUID"))

    def devices(self) -> tuple[DeviceRegister, ...]:
        """What the devices hold."""
        if self._past is None:
            raise KvmError("the devices' state is not known here", "look at a guest that runs")
        return self._past.devices()

    def walk(self, linear: int, vcpu: int = 0) -> PageWalk:
        """How `linear` becomes a guest-physical address."""
        return page_walk.walk(linear, self._registers(vcpu), self._read)

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
            found += self._read(at, part)
        return found

    def statistics(self) -> StatisticsState:
        """What KVM counts; pages written and exits in the kernel from the first time on."""
        calls = self._ask(0, "statistics")
        if self._files is None:
            self._open_statistics(calls)
        exits = self._exits()
        dirty = self._dirty()
        found = tuple(one for file in self._files or () for one in file.read())
        return StatisticsState(time.monotonic(), found, dirty, exits, self._gaps)

    def _open_statistics(self, calls: MachineCalls) -> None:
        self._files = []
        try:
            name = "BINARY_STATS_FD"
            require(calls.capability(name), name, "statistics")
            self._files.append(StatisticsFile(self._machine.memory.vm, "vm"))
            for vcpu in self._machine.vcpus:
                self._files.append(StatisticsFile(vcpu.fd, f"vcpu {vcpu.index}"))
        except KvmError as error:
            self._gaps = (("statistics", error.cause),)

    def _exits(self) -> KernelExits:
        if self._trace is None and not self._no_trace:
            try:
                self._trace = ExitTrace()
            except NotHereError as why:
                self._no_trace = str(why)
        return KernelExits((), self._no_trace) if self._trace is None else self._trace.read()

    def _dirty(self) -> DirtyPages:
        try:
            if self._log is None:
                self._log = DirtyLog(self._machine.memory)
            return self._log.read()
        except KvmError as error:
            return DirtyPages((), 0, error.cause)
