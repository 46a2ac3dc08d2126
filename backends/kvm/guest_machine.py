"""What machines of all engines have: a guest in memory, VCPUs at its entry, an end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from kdash.backends.kvm.closing import Closing
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.modes import GDT, TABLES, descriptors, page_tables
from kdash.backends.kvm.user_devices import DeviceError

if TYPE_CHECKING:
    from kdash.backends.kvm.emulated_vcpu import EmulatedVcpu
    from kdash.backends.kvm.vcpu import Vcpu

MemoryT = TypeVar("MemoryT", bound=GuestMemory)
VcpuT = TypeVar("VcpuT", "Vcpu", "EmulatedVcpu")


class GuestMachine(Closing, Generic[MemoryT, VcpuT]):
    """Memory and VCPUs of a guest, closed exactly once each.

    The class of an engine makes the VCPUs, and leaves in `_resources` how all of it is closed.

    Args:
        guest: what is loaded.
        memory: the guest's, still without any.
    """

    vcpus: tuple[VcpuT, ...]  # by index
    vcpu: VcpuT  # the first
    hardware_breakpoints: bool  # whether debug registers can hold some

    def __init__(self, guest: Guest, memory: MemoryT) -> None:
        self.guest = guest
        self.memory = memory
        self.lock = RLock()  # held while a device is called
        self.failed: Callable[[DeviceError], None] = lambda _: None  # a device raised in a thread
        self._resources = ExitStack()

    def _start(self, vcpu: VcpuT) -> None:
        """Put a VCPU at the guest's entry."""
        guest = self.guest
        registers = guest.start_registers(vcpu.index)
        vcpu.start(guest.mode, registers, guest.reset, guest.code_selector)
        if guest.mode is Mode.LONG and guest.tables != TABLES:
            vcpu.set_register("cr3", guest.tables)

    def at_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` first when the machine is closed; the last one given first."""
        self._resources.callback(callback)

    def close(self) -> None:
        """Free everything; more than once does no harm."""
        self._resources.close()


def load(memory: GuestMemory, guest: Guest) -> None:
    """Write the image, and the tables its mode needs, into zeroed memory."""
    if guest.mode is not Mode.REAL:
        table = descriptors(guest.mode)
        # An image that lies there brings its own.
        if not any(part.overlaps(GDT, GDT + len(table)) for part in guest.contents):
            memory.write(GDT, table)
    if guest.mode is Mode.LONG:
        memory.write(guest.tables, page_tables(guest.tables))
    for region in guest.regions:
        memory.write(region.start, region.data)
    for part in guest.contents:
        memory.write(part.address, part.data)
