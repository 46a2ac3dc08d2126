"""The emulator engine: a machine as in machine.py whose VCPU is unicorn."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from kdash.backends.kvm.emulated_memory import EmulatedMemory
from kdash.backends.kvm.emulated_state import check_layout
from kdash.backends.kvm.emulated_vcpu import EmulatedVcpu
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.guest_machine import GuestMachine, load
from kdash.backends.kvm.guests import Guest

if TYPE_CHECKING:
    from kdash.backends.kvm.state_facts import DeviceRegister


class EmulatedMachine(GuestMachine[EmulatedMemory, EmulatedVcpu]):
    """A guest loaded, and its emulated VCPU at the entry; used as Machine is.

    Raises:
        KvmError: when unicorn is not there, or memory can't be had.
    """

    def __init__(self, guest: Guest) -> None:
        try:
            from unicorn import UC_ARCH_X86, UC_MODE_64, UC_TLB_CPU, Uc
        except ImportError as error:
            raise KvmError(
                f"the emulator is not installed ({error})", "pip install unicorn"
            ) from None
        if guest.vcpus > 1 or guest.irqchip:
            what = "interrupt controllers" if guest.irqchip else "several VCPUs"
            raise _only_kvm(what)
        if guest.cpuid:
            raise _only_kvm("set what CPUID answers")
        super().__init__(guest, EmulatedMemory())
        with ExitStack() as resources:
            resources.callback(self.memory.close)
            uc = Uc(UC_ARCH_X86, UC_MODE_64)
            uc.ctl_set_tlb_mode(UC_TLB_CPU)
            # Unicorn looks the address up at which to end, and the fault of a lookup that fails
            # would count as the guest's; with a list of none there is nothing to look up.
            uc.ctl_exits_enabled(True)
            uc.ctl_set_exits([])
            check_layout(uc)
            for region in guest.regions:
                self.memory.attach(uc, region.start, region.size, readonly=region.readonly)
            load(self.memory, guest)
            self.hardware_breakpoints = False
            self.can_block_interrupts = False  # it delivers none by itself
            self.vcpu = EmulatedVcpu(uc, self.memory)
            self.vcpus = (self.vcpu,)
            resources.callback(self.vcpu.close)
            del uc
            self._start(self.vcpu)
            self._resources = resources.pop_all()

    def ioeventfd(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: nothing runs beside the emulator."""
        raise _only_kvm("ioeventfd")

    def irqfd(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: there are no interrupt controllers."""
        raise _only_kvm("irqfd")

    def coalesce(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: KVM alone collects writes."""
        raise _only_kvm("coalesced writes")

    def event_registers(self) -> tuple[DeviceRegister, ...]:
        """There are none."""
        return ()

    def serve_events(self) -> None:
        """There are none."""


def _only_kvm(what: str) -> KvmError:
    return KvmError(f"the emulator can't do this: {what}", "use KVM")
