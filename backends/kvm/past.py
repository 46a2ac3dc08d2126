"""The guest as it is shown: live, or at a moment of its recorded past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from kdash.backends.kvm.device_state import Sent
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import (
    Exit,
    KvmError,
    NotRecorded,
    RecordingView,
    Registers,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorded_contents import devices_of, earlier_exits, exits_before
from kdash.backends.kvm.recorder import Recorder
from kdash.backends.kvm.recording import LIMIT, Recording
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.state_facts import DeviceRegister
from kdash.backends.kvm.travel import Travel
from kdash.backends.kvm.user_devices import DeviceError, UserDevice

#: RAM up to which a guest is recorded unless told otherwise: its copy takes as much again,
#: and making it delays the first step by about a millisecond for each MiB that is used.
MOST_RAM: Final = 64 << 20
#: Bytes that a recording takes beside the copy of the guest's memory, before any history.
BESIDE_MEMORY: Final = 512 << 10

#: Exits of a file that are shown before those that came since.
EXITS_OF_FILE: Final = 200


class Past:
    """Where a guest that is guided is shown, and how it goes back and forth.

    Args:
        machine: the machine.
        runner: what drives it.
        engine: KVM or EMULATOR.
        record: whether to record; None: where the guest has little memory.
        limit: bytes of history.
        recorder: of a guest that goes on from a file.
    """

    def __init__(  # noqa: PLR0913 - what is recorded, and how
        self,
        machine: Machine,
        runner: Runner,
        engine: str,
        record: bool | None = None,
        limit: int = LIMIT,
        *,
        recorder: Recorder | None = None,
    ) -> None:
        self._machine = machine
        self._runner = runner
        self._limit = limit
        self._recorder = recorder
        self._asked = record is True
        self.interrupted: Callable[[], bool] = lambda: False  # asked while searching
        self._before_log: tuple[int, tuple[Exit, ...]] = (-1, ())  # the index they end before
        self.why_not = "" if recorder else _why_not(machine, engine, record, limit)

    def close(self) -> None:
        """Forget everything; more than once does no harm."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    # -- recording

    def begin(self) -> None:
        """Record from here on, unless that is off, done already, or can't be.

        Raises:
            KvmError: when it can't be and was asked for.
        """
        if self._recorder is not None or self.why_not:
            return
        try:
            self._recorder = Recorder(self._machine, self._runner.board, self._limit)
        except (KvmError, DeviceError) as error:
            if self._asked:
                raise
            self.why_not = f"nothing is recorded: {error}"

    def settle(self, *, ran: bool = False) -> None:
        """Keep what a run at full speed did; the guest stands still.

        Args:
            ran: there was one, so that it is a moment even if it changed nothing.
        """
        if self._recorder is not None and not self.active:
            self._recorder.settle(ran=ran)

    def edited(self) -> None:
        """Keep what a person changed."""
        if self._recorder is not None:
            self._recorder.edited()

    @property
    def recording(self) -> Recording:
        """What is recorded.

        Raises:
            NotRecorded: when nothing is.
        """
        if self._recorder is None:
            raise NotRecorded(self.why_not or "nothing is recorded yet: step or run the guest")
        return self._recorder.recording

    # -- what is shown

    @property
    def active(self) -> bool:
        """Whether a moment in the past is shown."""
        return self._recorder is not None and self._recorder.recording.in_past

    def view(self) -> RecordingView | None:
        """What is recorded; None: nothing."""
        if self._recorder is None:
            return None
        return self._recorder.view()

    def registers(self, vcpu: int) -> Registers:
        """A VCPU's registers."""
        if self.active:
            return self.recording.registers(vcpu)
        return self._machine.vcpus[vcpu].registers()

    def read_linear(self, vcpu: int, linear: int, length: int) -> bytes:
        """Memory as a VCPU sees it, up to the first byte that is not mapped."""
        if self.active:
            return self.recording.read_linear(linear, length, vcpu)
        return self._machine.vcpus[vcpu].read_linear(linear, length)

    def read(self, physical: int, length: int) -> bytes:
        """Memory by guest-physical address; IndexError where there is none."""
        return (self.recording if self.active else self._machine.memory).read(physical, length)

    def exits(self, count: int) -> tuple[Exit, ...]:
        """The last exits before the moment shown, oldest first."""
        if self.active:
            return exits_before(self.recording, self.recording.position, count)
        latest = self._runner.log.latest(count)
        if self._recorder is None or len(latest) == min(count, self._runner.log.total):
            return latest
        return (*self._exits_of_file(latest), *latest)[-count:]

    def devices(self) -> tuple[DeviceRegister, ...]:
        """What the devices hold at the moment shown; of the user's own where they are."""
        from kdash.backends.kvm.controller_rows import KERNELS, controller_registers
        from kdash.backends.kvm.device_rows import device_registers

        board, machine = self._runner.board, self._machine
        state = devices_of(self.recording) if self.active else board.device_states()
        found = device_registers(state)
        if machine.guest.irqchip:
            found = tuple(one for one in found if one.device != KERNELS)
            structure = self.recording.structure if self.active else machine.controller
            found = (*found, *controller_registers(structure, len(machine.vcpus)))
        if not self.active:
            found = (*found, *machine.event_registers())
        return (*found, *(_of_user(device) for device in board.users))

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:
        """Of the last `count` exits that are recorded before the moment shown those before `index`.

        Oldest first. What came at full speed is not among them.
        """
        if self._recorder is None:
            return ()
        moment = self.recording.position if self.active else self.recording.last
        return earlier_exits(self.recording, moment, index, count)

    def _exits_of_file(self, latest: Sequence[Exit]) -> Sequence[Exit]:
        """Those that the log has not, of a guest that goes on from a file."""
        first = latest[0].index if latest else self._runner.log.next_index
        if self._before_log[0] != first:
            found = exits_before(self.recording, self.recording.last, EXITS_OF_FILE)
            self._before_log = first, tuple(one for one in found if one.index < first)
        return self._before_log[1]

    @property
    def exits_total(self) -> int:
        """Exits up to the moment shown."""
        if not self.active:
            return self._runner.log.total
        return sum(count for _, count in devices_of(self.recording)["log"]["counts"])

    @property
    def steps(self) -> int:
        """Logical steps up to the moment shown."""
        return self.recording.steps if self.active else self._runner.steps

    def sent(self) -> tuple[bytes, bytes, bytes]:
        """What the guest had sent: serial port, debug ports, printed by BIOS calls."""
        runner = self._runner
        text = runner.bios.text.sent if runner.bios else None
        if not self.active:
            return bytes(runner.serial.sent), bytes(runner.debug_port.sent), bytes(text or b"")
        state = devices_of(self.recording)
        return (
            runner.serial.sent.until(state["serial"]["sent"]),
            runner.debug_port.sent.until(state["debug_port"]["sent"]),
            text.until(state["bios"]["sent"]) if text is not None else b"",
        )

    @property
    def by_run(self) -> bool:
        """Whether a run at full speed led to the moment shown."""
        return self._recorder is not None and self.recording.is_run(self.recording.position - 1)

    @property
    def future(self) -> str:
        """What going on from the moment shown would forget, in words."""
        lost = self.recording.last - self.recording.position
        moments = "moment" if lost == 1 else f"{lost:,} moments"
        return f"at moment {self.recording.position:,} forgets the {moments} recorded after it"

    def brief(self, live: VcpuBrief) -> VcpuBrief:
        """A VCPU at the moment shown."""
        if not self.active:
            return live
        registers = self.recording.registers(live.index)
        return replace(live, registers=registers, state=VcpuState.RUNNABLE, detail="")

    @property
    def travel(self) -> Travel:
        """Goes through what is recorded.

        Raises:
            NotRecorded: when nothing is.
        """
        return Travel(self.recording, self.interrupted)

    def save(self, path: str, *, moment_only: bool = False) -> None:
        """Write what is recorded, or the moment shown, to a file.

        Raises:
            NotRecorded: when recording is off.
            GuestFileError: when it can't be written.
        """
        from kdash.backends.kvm.recording_about import About
        from kdash.backends.kvm.recording_file import save
        from kdash.backends.kvm.resumption import inputs_of, machine_about

        self.begin()
        self.settle()
        runner, guest = self._runner, self._machine.guest
        serial, debug_port = runner.serial.sent, runner.debug_port.sent
        teletype = runner.bios.text.sent if runner.bios else Sent()
        about = About(
            title=guest.title,
            engine=KVM,
            load=guest.load,
            symbols=tuple(guest.symbols.addresses.items()),
            outcome=runner.ending.outcome if runner.ending else None,
            detail=runner.ending.detail if runner.ending else "",
            serial=bytes(serial),
            debug_port=bytes(debug_port),
            teletype=bytes(teletype),
            dropped=(serial.dropped, debug_port.dropped, teletype.dropped),
            unsaved=runner.board.unsaved,
            exit_value=runner.ending.value if runner.ending else 0,
            machine=machine_about(self._machine, runner.board),
            inputs=inputs_of(runner.board),
        )
        save(path, self.recording, about, moment_only=moment_only)

    def resume(self) -> None:
        """Put the machine into the moment shown; what came later is forgotten.

        Raises:
            KvmError: when KVM refuses a state.
        """
        if self._recorder is not None and self.active:
            self._runner.rewound(self._recorder.restore())


def _why_not(machine: Machine, engine: str, record: bool | None, limit: int) -> str:
    """What keeps a guest from being recorded; empty: nothing."""
    if record is False:
        return "nothing is recorded: --recording off"
    if engine != KVM:
        return "nothing is recorded: the emulator can't"
    if record is None and machine.memory.size > MOST_RAM:
        return (
            f"nothing is recorded: the guest has {machine.memory.size >> 20} MiB of memory, more "
            f"than {MOST_RAM >> 20} MiB; --recording on records it all the same"
        )
    least = machine.memory.size + (machine.memory.size >> 7) + BESIDE_MEMORY
    if limit < least:
        return (
            f"nothing is recorded: {limit >> 10:,} KiB don't hold a copy of the guest's memory; "
            f"--record-memory {-(-least >> 20)}M is the least"
        )
    return ""


def _of_user(device: UserDevice) -> DeviceRegister:
    """Where a user's device is, and whether its state goes back with the guest."""
    places = [f"ports {one.start:#x}-{one[-1]:#x}" for one in device.ports]
    places += [f"MMIO {one.start:#x}-{one[-1]:#x}" for one in device.mmio]
    kept = "goes back with the guest" if device.keeps_state else "does not go back"
    return DeviceRegister(device.name, "state", "kept" if device.keeps_state else "-",
                          ", ".join([*places, kept]))  # fmt: skip
