"""A virtual machine: device, VM, memory and VCPUs, closed exactly once each."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm import coalesced, ioctl, irqchip
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.device import DEVICE, Device, require
from kdash.backends.kvm.eventfds import IoEvents, IrqLine, OnWrites, needs_irqchip
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.guest_debug import BLOCK_INTERRUPTS
from kdash.backends.kvm.guest_machine import GuestMachine, load
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.user_devices import DeviceError
from kdash.backends.kvm.user_msrs import leave_to_us
from kdash.backends.kvm.vcpu import Vcpu

if TYPE_CHECKING:
    from kdash.backends.kvm.state_facts import DeviceRegister

#: Four pages that VT-x without unrestricted guests needs for real mode (api.rst, 4.35
#: KVM_SET_TSS_ADDR and 4.42 KVM_SET_IDENTITY_MAP_ADDR), below the largest BIOS image.
IDENTITY_MAP: Final = 0xFEFF_C000
TASK_STATE: Final = IDENTITY_MAP + 0x1000


class Machine(GuestMachine[GuestMemory, Vcpu]):
    """A VM with a guest loaded and its VCPUs at the entry.

    `vcpus` are all of them by index, `vcpu` the first.

    Args:
        guest: what to load.
        path: the KVM device.

    Raises:
        KvmError: when KVM can't be used or refuses a call; nothing stays open then.
    """

    def __init__(self, guest: Guest, path: str = DEVICE) -> None:
        super().__init__(guest, GuestMemory())
        with ExitStack() as resources:
            # Closing runs backwards: VCPU, VM, memory.
            resources.callback(self.memory.close)
            with Device(path) as device:
                vm = device.create_vm()
                resources.callback(os.close, vm)
                _reserve(device, vm)
                if guest.memory <= 0:
                    raise KvmError("a guest without memory", "give it some with --memory")
                for region in guest.regions:
                    if region.readonly:
                        value = device.capability("READONLY_MEM")
                        require(value, "READONLY_MEM", "read-only memory of the guest")
                    self.memory.add(vm, region.start, region.size, readonly=region.readonly)
                load(self.memory, guest)
                self.hardware_breakpoints = hardware_breakpoints(device)
                _check_count(device, guest.vcpus)
                leave_to_us(device, vm)
                if guest.irqchip:
                    irqchip.create(device, vm)
                vcpus: list[Vcpu] = []
                for index in range(guest.vcpus):
                    vcpus.append(Vcpu(vm, index, device.run_size, self.memory))
                    resources.callback(vcpus[-1].close)
                    _set_cpuid(vcpus[-1], guest, device)
            self.vcpus = tuple(vcpus)
            self.vcpu = self.vcpus[0]
            for vcpu in self.vcpus:
                self._start(vcpu)
            self._lines: list[IrqLine] = []
            self._events = IoEvents(vm, self.lock, self._device_failed)
            resources.callback(self._events.close)
            self._vm = vm
            self._resources = resources.pop_all()

    def _start(self, vcpu: Vcpu) -> None:
        guest = self.guest
        if guest.startup_ipi and vcpu.index:
            vcpu.refresh()  # as it comes out of reset
            return
        if guest.irqchip and vcpu.index:
            irqchip.set_mp_state(vcpu.fd, irqchip.RUNNABLE)
        super()._start(vcpu)

    # -- for devices

    def ioeventfd(
        self,
        address: int,
        size: int,
        callback: OnWrites,
        *,
        datamatch: int | None = None,
        mmio: bool = False,
    ) -> None:
        """Call `callback` for writes that don't stop the VCPU, in a thread of the machine.

        Args:
            address: a port, or with `mmio` a guest-physical address without memory.
            size: bytes written: 1, 2, 4 or 8; writes of other sizes exit as ever.
            callback: told how many such writes there were since its last call. It is never
                called while another device is, and never twice at a time.
            datamatch: only for this value; others exit as ever.
            mmio: whether it is an address.

        Raises:
            ValueError: when there is no such size or value.
            KvmError: when KVM lacks KVM_CAP_IOEVENTFD or refuses it.
        """
        self._require("IOEVENTFD", "writes that don't stop the VCPU")
        self._events.add(address, size, callback, datamatch, port=not mmio)

    def irqfd(self, irq: int) -> Callable[[], None]:
        """A function that interrupts the guest by line `irq`, from any thread.

        Args:
            irq: 0 to 15 of the PICs, 0 to 23 of the IOAPIC; raised for a moment (an edge).

        Raises:
            ValueError: when there is no such line.
            KvmError: when the machine has no interrupt controllers, KVM lacks
                KVM_CAP_IRQFD or refuses it.
        """
        if not self.guest.irqchip:
            raise needs_irqchip()
        self._require("IRQFD", "interrupts by devices")
        line = IrqLine(self._vm, irq)
        self._lines.append(line)
        self.at_close(line.close)
        return line

    def coalesce(self, addresses: range, *, mmio: bool = False) -> None:
        """Let KVM collect writes to `addresses`; their device gets them at the next exit.

        They come in order before that exit. Reads exit as ever.

        Args:
            addresses: ports, or with `mmio` guest-physical addresses without memory.
            mmio: whether they are addresses.

        Raises:
            KvmError: when KVM lacks KVM_CAP_COALESCED_MMIO or KVM_CAP_COALESCED_PIO, or
                refuses it.
        """
        page = self._require("COALESCED_MMIO", "collected writes")
        if not mmio:
            self._require("COALESCED_PIO", "collected writes to ports")
        coalesced.register(self._vm, addresses, port=not mmio)
        for vcpu in self.vcpus:
            vcpu.use_ring(page)

    @property
    def can_block_interrupts(self) -> bool:
        """Whether KVM can keep interrupts from a VCPU that is stepped."""
        value = ioctl.call(self._vm, "KVM_CHECK_EXTENSION", CAPABILITIES["SET_GUEST_DEBUG2"])
        return bool(value > 0 and value & BLOCK_INTERRUPTS)

    def event_registers(self) -> tuple[DeviceRegister, ...]:
        """How often ioeventfds and irqfds were used until now."""
        from kdash.backends.kvm.controller_rows import event_registers  # for those who look

        return event_registers(self._events.counts, self._lines)

    def controller(self, name: str, vcpu: int) -> bytes | None:
        """The structure of a controller in the kernel, as controller_rows.py asks; None: none."""
        if not self.guest.irqchip:
            return None
        kind, _, number = name.partition(" ")
        fd = self._vm if vcpu < 0 else self.vcpus[vcpu].fd
        try:
            return ioctl.call_bytes(fd, f"KVM_GET_{kind}", int(number or 0).to_bytes(4, "little"))[
                1
            ]
        except KvmError:
            return None

    def serve_events(self) -> None:
        """Call devices for all writes to ioeventfds until now."""
        self._events.serve()

    def _device_failed(self, error: DeviceError) -> None:
        self.failed(error)

    def _require(self, name: str, purpose: str) -> int:
        value = ioctl.call(self._vm, "KVM_CHECK_EXTENSION", CAPABILITIES[name])
        require(value, name, purpose)
        return value


def _set_cpuid(vcpu: Vcpu, guest: Guest, device: Device) -> None:
    if not guest.cpuid:
        if guest.host_cpuid:
            vcpu.copy_cpuid(device.fd)
        return
    from kdash.backends.kvm.cpuid import set_cpuid  # for those who ask
    from kdash.backends.kvm.cpuid_request import HOST, NONE
    from kdash.backends.kvm.state_calls import MachineCalls

    with closing(MachineCalls(vcpu.fd, device.path)) as calls:
        set_cpuid(calls, (HOST if guest.host_cpuid else NONE, *guest.cpuid), vcpu.index)


def _check_count(device: Device, wanted: int) -> None:
    """Refuse more VCPUs than KVM has; where it doesn't say, four (api.rst, 4.7)."""
    name = "MAX_VCPUS" if device.capability("MAX_VCPUS") > 0 else "NR_VCPUS"
    most = max(device.capability(name), 0) or 4
    if wanted > most:
        raise KvmError(
            f"{wanted} VCPUs are more than the {most} that KVM_CAP_{name} allows",
            f"use --vcpus {most} or fewer",
        )


def hardware_breakpoints(device: Device) -> bool:
    """Whether breakpoints can be in debug registers of a VCPU.

    KVM_CAP_SET_GUEST_DEBUG2 (Linux 5.12) says which controls there are; x86 had this one before.
    """
    controls = device.capability("SET_GUEST_DEBUG2")
    if controls:
        return bool(controls & lib.KVM_GUESTDBG_USE_HW_BP)
    return bool(device.capability("SET_GUEST_DEBUG"))


def _reserve(device: Device, vm: int) -> None:
    if device.capability("SET_IDENTITY_MAP_ADDR"):
        address = ffi.new("uint64_t *", IDENTITY_MAP)
        ioctl.call_pointer(vm, "KVM_SET_IDENTITY_MAP_ADDR", address)
    if device.capability("SET_TSS_ADDR"):
        ioctl.call(vm, "KVM_SET_TSS_ADDR", TASK_STATE)
