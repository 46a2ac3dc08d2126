"""A run that a person guides: paces, breakpoints, what changed, snapshots.

Used by one thread; session.py brings the commands there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.engines import KVM, open_machine, open_runner
from kdash.backends.kvm.facts import (
    KEY_WANTED,
    PastError,
    Registers,
    RunState,
    Snapshot,
)
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guest_run import GuestRun
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.output import OutputTap
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.past import Past
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.snapshots import Snapshots, Standing
from kdash.backends.kvm.start import AS_LOADED, Start
from kdash.backends.kvm.stopping import STEPS_A_SLICE, Stopping
from kdash.backends.kvm.stops import Stops, Verdict
from kdash.backends.kvm.travel import Search, Travel
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu import Vcpu

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

#: Bytes of output kept, for moments in the past.
SENT: Final = 1 << 20
#: Kicks a second while the guest goes, each a chance to show it and to take commands.
TICKS: Final = 20


class GuidedRun(GuestRun):
    """One guest, its machine, and how far it shall run.

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
        self._snapshots = Snapshots(self._guest, self._engine, self._runner, self._past, self.stops)
        self._state = RunState.READY
        self._before = [vcpu.registers() for vcpu in machine.vcpus]
        self._selected = 0
        self._pace = None
        self._left: int | None = None
        self._stopping = Stopping(self._runner, self.stops, hardware=machine.hardware_breakpoints)
        self._places = ()
        self.broken = False
        self._runner.board.keys_may_come = True
        self.waiting = False
        self._began = 0, 0.0  # steps and seconds when it was let go
        self._fast = False  # whether it goes at full speed, or did last
        self._stopping.arm()

    def _set_registers(self, machine: Machine) -> None:
        if self._start.registers:
            from kdash.backends.kvm.run import set_registers  # most guests start as loaded

            set_registers(machine, self._start.registers)

    @property
    def _vcpu_count(self) -> int:
        return len(self._machine.vcpus)

    def _registers(self, vcpu: int) -> Registers:
        return self._past.registers(vcpu)

    @property
    def free(self) -> bool:
        """Whether it goes until a breakpoint or the end."""
        pace = self._pace  # another thread may ask
        return pace is not None and pace.is_free

    def kick(self) -> None:
        """Make `advance` return soon; from any thread while the machine is there."""
        self._runner.kick()

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

    # -- going

    def begin(self, pace: Pace) -> None:
        """Set a pace; `advance` then goes it. Nothing happens after the end of a run.

        In the past it goes through the recording, and on where that ends.
        """
        if (self._runner.ending or self.broken) and not self._past.active:
            return
        self._runner.settle()
        self._past.begin()
        self._past.settle()
        self._remember()
        pace = self._set_places(pace)
        self._pace = pace
        self._left = pace.steps
        self._state = RunState.RUNNING
        self._began = self._runner.steps, self._runner.seconds
        self._fast = False
        self._stopping.begin(self._places, pace.exits, self._selected if pace.over else None)
        self._runner.start_ticks(TICKS)

    def advance(self) -> bool:
        """Go one slice of the pace; whether there is more to go.

        Raises:
            KvmError: when KVM refuses to go on; the run is `broken` then.
        """
        if self._pace is None:
            return False
        try:
            end = self._slice(self._pace)
        except BaseException:
            self._pace, self.broken = None, True
            self._runner.stop_ticks()
            raise
        self.waiting = end is Slice.WAITING
        if end in (Slice.ENDED, Slice.BREAKPOINT) or self._left == 0:
            self.stop()
        return self.going

    def _slice(self, pace: Pace) -> Slice:
        if self._past.active:
            return self._replay(pace)
        before = self._runner.steps
        if pace.is_free and not pace.stepped:
            self._fast = self._stopping.full_speed
            end = self._stopping.run()
        elif self._left is None:
            end = self._stopping.step(STEPS_A_SLICE)
        else:
            end = self._stopping.step(self._left, only=self._selected)
            self._left -= self._runner.steps - before
        if end is Slice.BREAKPOINT and self._stopping.vcpu is not None:
            self._selected = self._stopping.vcpu
        return end

    def _replay(self, pace: Pace) -> Slice:
        """A slice of the recording; what it leaves of the pace is gone live."""
        search = Search(self.stops, self._places, pace.exits)
        travel = self._past.travel
        end, passed = travel.replay(search, self._left)
        if self._left is not None:
            self._left -= passed
        self._selected = travel.arrived
        self._stopping.verdict = Verdict(travel.met, travel.why)
        over = self._runner.ending and not self._past.active
        return Slice.ENDED if over and end is Slice.AGAIN else end

    def stop(self) -> None:
        """Stop between two instructions."""
        if self._pace is None:
            return
        self._pace = None
        self.waiting = False
        self._runner.stop_ticks()
        self._runner.settle()
        self._past.settle(ran=self._fast and self._runner.seconds > self._began[1])
        self._state = RunState.STOPPED

    # -- going back

    def _go_back(self, go: Callable[[Travel], object]) -> None:
        self.stop()
        travel = self._past.travel
        self._remember()
        go(travel)
        self._stopping.verdict = Verdict(travel.met, travel.why)
        if self._past.active:
            self._selected = travel.vcpu
        self._state = RunState.STOPPED

    def save(self, path: str, moment_only: bool = False) -> None:
        """Write what is recorded, or the moment shown, to a file.

        Raises:
            NotRecorded: when that is off.
            GuestFileError: when it can't be written.
        """
        self.stop()
        self._past.save(path, moment_only=moment_only)

    def run_from_here(self) -> None:
        """Make the moment shown the guest's state; what came later is forgotten.

        Raises:
            KvmError: when KVM refuses a state.
        """
        self.stop()
        self._resume()
        self._state = RunState.STOPPED

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

    def _arm(self) -> None:
        self._stopping.arm()

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

    def snapshot(self) -> Snapshot:
        """All there is to show now."""
        over = bool(self._runner.ending or self.broken) and not self._past.active
        if self._pace is None and over:
            self._state = RunState.ENDED
        self._pass_output_on()
        verdict = self._stopping.verdict
        return self._snapshots.take(
            Standing(
                state=self._state,
                vcpu=self._selected,
                before=self._before[self._selected],
                detail=KEY_WANTED if self.waiting else verdict.text,
                stopped_at=verdict.numbers,
                step_rate=self._step_rate(),
                full_speed=self._fast if self.going else self._past.by_run or self._fast_alone,
            )
        )

    @property
    def _fast_alone(self) -> bool:
        """Whether the last run was one at full speed, of a guest that is not recorded."""
        return self._fast and self._past.view() is None

    def _pass_output_on(self) -> None:
        """Tell the listener of new output, and keep no more of it than is ever shown."""
        self._tap.pass_on(self.on_output)
        for sent in (self._runner.serial.sent, self._runner.debug_port.sent):
            if len(sent) > 2 * SENT:
                sent.keep(SENT)
        self._tap.shortened()

    def _step_rate(self) -> float:
        """Steps a second since the guest was let go; 0 where it was not stepped."""
        steps, seconds = self._began
        seconds = self._runner.seconds - seconds
        return (self._runner.steps - steps) / seconds if seconds > 0 else 0.0

    @property
    def inspector(self) -> Inspector:
        """Reads of the machine what no snapshot has."""
        if self._inspector is None:
            from kdash.backends.kvm.inspector import Inspector  # for those who look

            self._inspector = Inspector(self._machine, self._path, self._engine, self._past)
        return self._inspector
