"""A run of a guest on a machine: its making, what is looked up and what a person changes.

Whoever changes something has stopped it first; guided.py lets it go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.engines import KVM, open_machine, open_runner
from kdash.backends.kvm.facts import (
    Exit,
    PastError,
    Registers,
)
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guest_run import GuestRun
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.output import OutputTap
from kdash.backends.kvm.past import Past
from kdash.backends.kvm.start import AS_LOADED, Start
from kdash.backends.kvm.stops import Stops
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu import Vcpu

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

#: Bytes of output kept, for moments in the past.
SENT: Final = 1 << 20


class LiveRun(GuestRun):
    """One guest and its machine.

    Raises:
        KvmError: when KVM can't be used.
        GuestError: when a device does not fit, or a register can't be set.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a guest needs
        self,
        guest: Guest,
        path: str = DEVICE,
        devices: Sequence[DeviceClass] = (),
        engine: str = KVM,
        start: Start = AS_LOADED,
        stops: Stops | None = None,
    ) -> None:
        super().__init__(guest.symbols, stops)
        self.lines = guest.lines
        self._guest = guest
        self._start = start
        self._devices = devices
        self._path = path
        self._engine = engine
        self._begin_machine(open_machine(guest, engine, path))

    def _begin_machine(self, machine: Machine) -> None:
        recorder = None
        try:
            if self._guest.recorded is None:
                self._set_registers(machine)
            self._runner = open_runner(machine, self._engine, devices=self._devices)
            if self._guest.recorded is not None:
                from kdash.backends.kvm.resumption import resume

                recorder = resume(machine, self._runner, self._guest.recorded)
                if not recorder.recording.in_past:
                    self._set_registers(machine)
                    recorder.edited()
        except BaseException:
            machine.close()
            raise
        self._runner.board.receive(self._start.stdin)
        sent = [self._runner.serial.sent, self._runner.debug_port.sent]
        if self._runner.bios:
            sent.append(self._runner.bios.text.sent)
        self._tap = OutputTap(sent)
        self._tap.shortened()  # what a file brings was passed on when it was recorded
        self._machine = machine
        start = self._start
        self._past = Past(
            machine, self._runner, self._engine, start.record, start.record_limit, recorder=recorder
        )
        self._past.interrupted = self._is_interrupted
        self._inspector: Inspector | None = None
        self._before = [vcpu.registers() for vcpu in machine.vcpus]
        self._selected = 0
        self._pace = None
        self._places = ()
        self.broken = self.waiting = False
        self._runner.board.keys_may_come = True

    def _set_registers(self, machine: Machine) -> None:
        if self._start.registers:
            from kdash.backends.kvm.run import set_registers  # most guests start as loaded

            set_registers(machine, self._start.registers)

    @property
    def _vcpu_count(self) -> int:
        return len(self._machine.vcpus)

    def _registers(self, vcpu: int) -> Registers:
        return self._past.registers(vcpu)

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:
        """Of the last `count` recorded exits before the moment shown those before `index`."""
        return self._past.earlier_exits(index, count)

    def close(self) -> None:
        """Free the machine; more than once does no harm."""
        if self._inspector is not None:
            self._inspector.close()
        self._past.close()
        self._machine.close()

    def restart(self) -> None:
        """Load the guest into a new machine.

        Raises:
            KvmError: when that can't be made; the old one stays.
            GuestError: when a device does not fit it; the old one stays.

        A guest that goes on from a file goes back to the first moment instead.
        """
        if self._guest.recorded is not None:
            self.seek(self._past.recording.first)
            return
        old, new = self._machine, open_machine(self._guest, self._engine, self._path)
        inspector, past = self._inspector, self._past
        self._begin_machine(new)
        past.close()
        if inspector is not None:
            inspector.close()
        self.stops.forget_hits()
        old.close()

    def _resume(self) -> None:
        self._tap.pass_on(self.on_output)
        self._past.resume()
        self._tap.shortened()

    def _change(self, confirm: bool, what: str) -> None:
        """Make sure that the guest is where it is shown, before something changes it."""
        if self._past.active and not confirm:
            raise PastError(f"{what} {self._past.future}")
        self._runner.settle()
        self._resume()

    # -- looking and changing

    def set_register(self, name: str, value: int, confirm: bool = False) -> None:
        """Set a register between two instructions.

        Args:
            name: of the register.
            value: its new value.
            confirm: in the past, go on and forget what came later.

        Raises:
            ValueError: when there is no such register or the value does not fit.
            KvmError: when KVM refuses the value.
            PastError: in the past, unless confirmed.
        """
        self._change(confirm, f"setting {name}")
        self._vcpu.set_register(name, value)
        self._past.edited()

    @property
    def _vcpu(self) -> Vcpu:
        return self._machine.vcpus[self._selected]

    def send_serial(self, data: bytes) -> None:
        """Input of the serial port; the guest reads it when it runs."""
        with self._runner.board.lock:
            self._runner.serial.receive(data)
        self.waiting = False

    def send_keys(self, data: bytes) -> None:
        """Press the keys that make a terminal send `data`."""
        self._runner.board.type(data)
        self.waiting = False

    def read_memory(self, linear: int, length: int) -> bytes:
        """Guest memory by linear address, up to the first byte that is not mapped."""
        return self._past.read_linear(self._selected, linear, length)

    def write_physical(self, address: int, data: bytes, confirm: bool = False) -> int:
        """Write guest memory by physical address; the bytes written, none where no memory is.

        Raises:
            PastError: in the past, unless confirmed.
        """
        self._change(confirm, "writing memory")
        try:
            self._machine.memory.write(address, data)
        except IndexError:
            return 0
        self._past.edited()
        return len(data)

    def write_memory(self, linear: int, data: bytes, confirm: bool = False) -> int:
        """Write guest memory by linear address, ROM too, between two instructions.

        Returns:
            Bytes written, up to the first that is not mapped.

        Raises:
            PastError: in the past, unless confirmed.
        """
        self._change(confirm, "writing memory")
        written = self._vcpu.write_linear(linear, data)
        self._past.edited()
        return written

    def fpu(self) -> FpuState | None:
        """The x87 and SSE registers; None where that is not known."""
        if self._past.active:
            return FpuState.of(self.inspector.fpu(self._selected))
        self._runner.settle()
        return self._vcpu.fpu()

    def set_fpu(self, state: FpuState, confirm: bool = False) -> None:
        """Set the x87 and SSE registers.

        Raises:
            KvmError: when the engine can't.
            PastError: in the past, unless confirmed.
        """
        self._change(confirm, "setting registers")
        self._vcpu.set_fpu(state)
        self._past.edited()

    def _pass_output_on(self) -> None:
        """Tell the listener of new output, and keep no more of it than is ever shown."""
        self._tap.pass_on(self.on_output)
        for sent in (self._runner.serial.sent, self._runner.debug_port.sent):
            if len(sent) > 2 * SENT:
                sent.keep(SENT)
        self._tap.shortened()

    @property
    def inspector(self) -> Inspector:
        """Reads of the machine what no snapshot has."""
        if self._inspector is None:
            from kdash.backends.kvm.inspector import Inspector  # for those who look

            self._inspector = Inspector(self._machine, self._path, self._engine, self._past)
        return self._inspector
