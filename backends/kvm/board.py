"""What the VCPUs of a machine share while it runs: devices, the log of exits, the ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from kdash.backends.kvm.device_state import Saved
from kdash.backends.kvm.devices import Bus, DebugPort, ExitPort
from kdash.backends.kvm.exit_log import ExitLog
from kdash.backends.kvm.facts import Exit, Outcome
from kdash.backends.kvm.keyboard import KEYBOARD_IRQ, KeyboardController
from kdash.backends.kvm.keys import keys_of
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.owners import owners
from kdash.backends.kvm.pc import Cmos, FirmwareConfiguration
from kdash.backends.kvm.pic import Pic
from kdash.backends.kvm.pit import Timer
from kdash.backends.kvm.records import Steps
from kdash.backends.kvm.uart import SERIAL_ENABLE, SERIAL_IRQ, Serial
from kdash.backends.kvm.user_devices import (
    DeviceClass,
    DeviceError,
    UserDevice,
    make_devices,
)

if TYPE_CHECKING:
    from kdash.backends.kvm.bios import Bios
    from kdash.backends.kvm.recorder import Recorder

#: Told of logical steps in batches, in order: a record each, RIP and code before, registers after.
OnSteps = Callable[[Steps], None]
OnExit = Callable[[Exit], None]


class Slice(Enum):
    """Why a slice returned."""

    AGAIN = auto()  # nothing in particular; go on
    KICKED = auto()  # a kick, a tick or a signal
    BREAKPOINT = auto()
    WAITING = auto()  # halted until a key is pressed
    ENDED = auto()  # `ending` says how


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    outcome: Outcome
    detail: str  # "HLT at 0x100b"
    value: int = 0  # what was written to the exit port
    trace: str = ""  # the traceback of a device that failed, as data


class Board:
    """The bus of one machine with its devices, the log, and how the run ended.

    Whoever touches a device, the log or the ending while VCPUs run holds `lock`.

    Args:
        machine: with the guest at its entry.
        on_exit: told of every exit, which is then slower.
        devices: further ones; they take over what the built-in ones claim.

    Raises:
        GuestError: when the devices don't fit together or into the machine.
    """

    def __init__(
        self,
        machine: Machine,
        on_exit: OnExit | None = None,
        devices: Sequence[DeviceClass] = (),
    ) -> None:
        self.lock = machine.lock
        self._vcpus = machine.vcpus
        self.pic = _own_controller(machine)
        self.serial = Serial(
            interrupt=self._line(machine, SERIAL_IRQ), enabled=self._serial_interrupts
        )
        self.debug_port = DebugPort()
        self.exit_port = ExitPort()
        self.keyboard = KeyboardController(self._line(machine, KEYBOARD_IRQ))
        memory = machine.guest.memory
        self._cmos = Cmos(memory)
        self._configuration = FirmwareConfiguration(memory, machine.guest.vcpus)
        self.timer = Timer()
        self.bus = Bus(
            (
                self.serial,
                self.debug_port,
                self.exit_port,
                self.keyboard,
                self._cmos,
                self._configuration,
                self.timer,
            )
        )
        if self.pic is not None:
            self.bus.add(self.pic)
        self.bios: Bios | None = None
        if machine.guest.disk is not None:
            from kdash.backends.kvm.bios import Bios  # for boot sectors alone

            self.bios = Bios(machine, machine.guest.disk, machine.guest.memory, self.keyboard)
            self.bus.add(self.bios)
        self.keys_may_come = False  # who waits for a key need not be ended
        self.log = ExitLog(on_exit)
        self.recorder: Recorder | None = None  # keeps what steps change
        self._users: tuple[UserDevice, ...] = ()
        self.steps = 0  # logical steps of all VCPUs
        self.ending: Ending | None = None
        self.ended: Callable[[], None] = lambda: None  # called when a VCPU or the run has ended
        self.interrupt: Callable[[], None] = lambda: None  # makes the VCPUs look at `ending`
        self.irqchip = machine.guest.irqchip
        self.blocks_interrupts = machine.vcpu.takes_interrupts and machine.can_block_interrupts
        self._left = set(range(machine.guest.vcpus))  # VCPUs that have not ended
        self._halted: set[int] = set()  # VCPUs that wait for our own controller's interrupts
        self._several = machine.guest.vcpus > 1
        machine.failed = self._failed
        if devices:
            self._add(machine, devices)
        self.log.owners = owners(self.bus, self._users, machine.guest.regions)

    def _add(self, machine: Machine, devices: Sequence[DeviceClass]) -> None:
        memory = [range(region.start, region.end) for region in machine.guest.regions]
        self._users = make_devices(devices, memory)
        for device in self._users:
            self.bus.add(device)
            device.attach(machine)

    @property
    def awaits_key(self) -> bool:
        """Whether a boot sector asked the BIOS for a key and there is none."""
        return self.bios is not None and self.bios.awaits_key

    def tick(self) -> None:
        """Time has gone by: some devices look at the clock."""
        if self.bios is not None:
            with self.lock:
                self.bios.tick()

    def type(self, data: bytes) -> None:
        """Press the keys that make a terminal send `data`."""
        with self.lock:
            self.keyboard.press(keys_of(data))

    def receive(self, data: bytes) -> None:
        """Input given from the start: typed for a boot sector, else for the serial port."""
        if self.bios is None:
            self.serial.receive(data)
        else:
            self.type(data)

    # -- going back

    def _saved(self) -> dict[str, Saved]:
        """All whose state a recording keeps, by name."""
        devices: dict[str, Saved] = {
            "serial": self.serial,
            "debug_port": self.debug_port,
            "exit_port": self.exit_port,
            "keyboard": self.keyboard,
            "cmos": self._cmos,
            "configuration": self._configuration,
            "timer": self.timer,
            "log": self.log,
        }
        if self.pic is not None:
            devices["pic"] = self.pic  # behind those that set its lines
        if self.bios is not None:
            devices["bios"] = self.bios
        for number, device in enumerate(self._users):
            if device.keeps_state:
                devices[f"device {number}"] = device
        return devices

    @property
    def users(self) -> tuple[UserDevice, ...]:
        """The user's devices."""
        return self._users

    @property
    def user_devices(self) -> tuple[str, ...]:
        """Names of the user's devices."""
        return tuple(device.name for device in self._users)

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Names of the user's devices whose state can't be kept."""
        return tuple(device.name for device in self._users if not device.keeps_state)

    def save(self) -> dict[str, Any]:
        """The state of all devices, of the log and of who has ended, as JSON can hold it.

        Raises:
            DeviceError: when a user's device raises.
        """
        state: dict[str, Any] = {name: one.save() for name, one in self._saved().items()}
        return state | {"left": sorted(self._left), "halted": sorted(self._halted)}

    def device_states(self) -> dict[str, Any]:
        """The state of our own devices and of the log; no code of a user's device is run."""
        with self.lock:
            own = {name: one for name, one in self._saved().items() if one not in self._users}
            return {name: one.save() for name, one in own.items()}

    def restore(self, state: Mapping[str, Any], steps: int) -> None:
        """Become what was saved, at so many steps; the run goes on from there.

        Raises:
            DeviceError: when a user's device raises.
        """
        self.steps = steps
        self.ending = None
        self._left = set(state["left"])
        self._halted = set(state["halted"])
        for name, one in self._saved().items():
            one.restore(state[name])
        if self.pic is not None:  # what was typed later waits again, and interrupts
            self.pic.set_line(KEYBOARD_IRQ, self.keyboard.interrupting)
            self.pic.set_line(SERIAL_IRQ, self.serial.interrupting)
        self._serial_interrupts(self.serial.interrupts_enabled)

    def has_halted(self, index: int) -> bool:
        """Whether VCPU `index` halted for an interrupt of our own controller."""
        return index in self._halted

    def halt(self, index: int, on: bool) -> None:
        """VCPU `index` has halted like that, or goes on."""
        if on is not self.has_halted(index):
            self._halted ^= {index}
            if self.recorder is not None:
                self.recorder.keep_devices()

    def has_left(self, index: int) -> bool:
        """Whether VCPU `index` has ended."""
        return index not in self._left

    def finish(self, index: int, ending: Ending) -> None:
        """VCPU `index` has ended, and with it the run; by HLT when it is the last to halt."""
        with self.lock:
            self._left.discard(index)
            if ending.outcome is Outcome.HLT and self._left:
                self.ended()
                return
        if self._several:
            ending = replace(ending, detail=f"{ending.detail} (VCPU {index})")
        self.end(ending)

    def _failed(self, failure: DeviceError) -> None:
        """A device raised outside of any VCPU."""
        self.end(Ending(failure.outcome, str(failure), trace=failure.trace))
        self.interrupt()

    def _line(self, machine: Machine, irq: int) -> Callable[[bool], None] | None:
        """How a device interrupts: by an irqfd, else by a controller of our own."""
        if machine.guest.irqchip:
            raise_line = machine.irqfd(irq)
            return lambda active: raise_line() if active else None
        pic = self.pic
        return None if pic is None else lambda active: pic.set_line(irq, active)

    @property
    def input_interrupts(self) -> bool:
        """Whether input, where it may come, would interrupt by the controller of our own."""
        if self.pic is None or not self.keys_may_come:
            return False
        if self.keyboard.interrupts and self.pic.lets_through(KEYBOARD_IRQ):
            return True
        return self.serial.awaits_input and self.pic.lets_through(SERIAL_IRQ)

    def _serial_interrupts(self, enabled: bool) -> None:
        """Who waits for an interrupt can't wait for its cause to be told afterwards."""
        for vcpu in self._vcpus:
            for ports in self.serial.ports:
                vcpu.set_posted(ports, posted=not enabled)
            vcpu.set_posted((SERIAL_ENABLE,), posted=False)

    def unposted_ports(self) -> tuple[int, ...]:
        """Ports whose writes must be taken before the guest goes on, when it starts."""
        return (*self.bus.unposted_ports(), SERIAL_ENABLE)

    def leave_out(self, index: int) -> None:
        """VCPU `index` never started; the run may end without it."""
        with self.lock:
            self._left.discard(index)

    def end(self, ending: Ending) -> None:
        """End the whole run; what ended it first counts."""
        with self.lock:
            if self.ending is not None:
                return
            self.ending = ending
        self.ended()


def _own_controller(machine: Machine) -> Pic | None:
    """The interrupt controller of a machine to which the kernel gives none."""
    if machine.guest.irqchip or not machine.vcpu.takes_interrupts:
        return None
    return Pic()
