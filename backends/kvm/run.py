"""A guest run to its outcome without a screen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.device_state import NONSENSE
from kdash.backends.kvm.engines import KVM, open_machine, open_runner
from kdash.backends.kvm.exit_reasons import exit_name
from kdash.backends.kvm.facts import Exit, GuestError, KvmError, Outcome, Registers
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recording import LIMIT
from kdash.backends.kvm.runner import Ending, OnSteps, Runner, Slice
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.stopping import Stopping
from kdash.backends.kvm.stops import Stops
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu_runner import VcpuRunner
from kdash.backends.wording import counted

if TYPE_CHECKING:
    from kdash.backends.kvm.past import Past

#: Bytes of output kept once they were passed on, for a recording.
KEPT: Final = 1 << 20
#: Looks a second at time, signals and output while the guest runs.
LOOKS: Final = 20
#: Steps between two looks.
STEPS_A_LOOK: Final = 4096
#: Outcomes that come to all VCPUs alike.
_FROM_OUTSIDE: Final = (Outcome.TIMEOUT, Outcome.MAX_STEPS, Outcome.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Request:
    """How a guest shall be run."""

    guest: Guest
    registers: Mapping[str, int] = field(default_factory=dict)  # of every VCPU, set before
    timeout: float | None = None  # seconds
    max_steps: int | None = None  # logical steps; makes it run step by step
    dumps: Sequence[tuple[int, int]] = ()  # linear address, bytes
    step_by_step: bool = False  # also without max_steps
    engine: str = KVM  # or EMULATOR
    devices: Sequence[DeviceClass] = ()  # of the user
    stdin: bytes = b""  # input of the serial port; of a boot sector what is typed
    record: str | None = None  # a file for all steps; makes it run step by step
    record_limit: int = LIMIT  # bytes the recording may take
    stops: Sequence[Wanted] = ()  # the first one met ends the run as INTERRUPTED


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what while the guest runs; None: nobody."""

    serial: Callable[[bytes], None] | None = None  # and the debug ports, and BIOS calls
    exit: Callable[[Exit], None] | None = None
    steps: OnSteps | None = None
    interrupted: Callable[[], bool] = lambda: False  # asked regularly; True ends the run


@dataclass(frozen=True, slots=True)
class VcpuReport:
    """What is known of one VCPU when the run has ended."""

    outcome: Outcome  # its own, or that of the run; INTERRUPTED where another ended it
    detail: str
    registers: Registers


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a run when it has ended."""

    engine: str
    outcome: Outcome
    detail: str
    exit_value: int  # written to the exit port
    serial: bytes
    debug_port: bytes
    exits: Mapping[str, int]  # by name, normalised
    raw_exits: Mapping[str, int]  # by name, as this host returned them
    ports: Mapping[int, tuple[int, int]]  # elements in and out by port
    mmio: tuple[int, int]  # reads, writes
    steps: int | None  # None: not stepped
    seconds: float
    vcpus: tuple[VcpuReport, ...]
    memory: Mapping[int, bytes]  # by the address asked for; shorter where memory ends
    teletype: bytes | None = None  # printed by BIOS calls; None: no BIOS
    failure: str = ""  # the traceback of a device that raised
    unwritten: str = ""  # why the recording is not in its file

    @property
    def registers(self) -> Registers:
        """Those of the first VCPU."""
        return self.vcpus[0].registers


def run_guest(request: Request, listeners: Listeners | None = None, path: str = DEVICE) -> Report:
    """Run a guest in the calling thread until it ends or is ended.

    Raises:
        KvmError: when KVM can't be used or refuses to go on.
        GuestError: when a register can't be set as asked, or a device does not fit.
    """
    listeners = listeners or Listeners()
    if request.record is not None:
        request = replace(request, step_by_step=True)
    recorded = request.guest.recorded
    with open_machine(request.guest, request.engine, path) as machine:
        if recorded is None:
            set_registers(machine, request.registers)
        runner = open_runner(
            machine, request.engine, listeners.steps, listeners.exit, request.devices
        )
        stops = Stops(request.guest.symbols)
        for wanted in request.stops:
            stops.add(wanted)
        stopping = Stopping(runner, stops, hardware=machine.hardware_breakpoints)
        stopping.begin()
        past = _recorded(machine, runner, request)
        if recorded is not None:
            set_registers(machine, request.registers)
            if request.max_steps is not None:
                request = replace(request, max_steps=runner.steps + request.max_steps)
        runner.board.receive(request.stdin)
        serial = _Serial(runner, listeners.serial)
        runner.start_ticks(LOOKS)
        try:
            _run(runner, request, listeners, serial, stopping)
        except NONSENSE as error:
            if recorded is None:
                raise
            title = recorded.about.title
            raise GuestError(f"{title}: its devices' state makes no sense ({error!r})") from None
        finally:
            runner.stop_ticks()
            if past is not None and runner.ending is None:
                past.close()
        serial.pass_on()
        unwritten = ""
        if past is not None and request.record is not None:
            try:
                past.save(request.record)
            except GuestError as error:  # what the guest did is told all the same
                unwritten = str(error)
            past.close()
        stepped = request.step_by_step or request.max_steps is not None or not stopping.full_speed
        report = _report(runner, request, serial, stepped=stepped)
        return replace(report, unwritten=unwritten)


def _recorded(machine: Machine, runner: Runner, request: Request) -> Past | None:
    """The recording of a run that shall be kept; None: it shall not.

    Raises:
        GuestError: when it can't be recorded.
        KvmError: when the engine records nothing.
    """
    loaded = request.guest.recorded
    if request.record is None and loaded is None:
        return None
    if request.engine != KVM:
        raise KvmError("the emulator can't do this: record", "use KVM")
    from kdash.backends.kvm.past import Past
    from kdash.backends.kvm.resumption import resume

    recorder = resume(machine, runner, loaded) if loaded is not None else None
    past = Past(machine, runner, request.engine, True, request.record_limit, recorder=recorder)
    if request.record is None:
        past.close()
        return None
    if past.why_not:
        raise GuestError(past.why_not)
    past.begin()
    return past


def set_registers(machine: Machine, registers: Mapping[str, int]) -> None:
    """Set registers of every VCPU before a guest starts.

    Raises:
        GuestError: when one can't be set as asked.
    """
    for (name, value), vcpu in product(registers.items(), machine.vcpus):
        try:
            vcpu.set_register(name, value)
        except ValueError as error:
            raise GuestError(str(error)) from None
        except KvmError as error:
            raise GuestError(f"{name}={value:#x}: {error.cause}") from None


class _Serial:
    """Output of all kinds on its way to whoever listens, or kept for the report."""

    def __init__(self, runner: Runner, listener: Callable[[bytes], None] | None) -> None:
        self._outputs = [runner.serial.sent, runner.debug_port.sent]
        if runner.bios:
            self._outputs.append(runner.bios.text.sent)
        self._listener = listener
        # What a recording brings was passed on when it was made.
        self._told = [one.total for one in self._outputs]
        self._begin = list(self._told)

    def pass_on(self) -> None:
        if not self._listener:
            return
        for number, sent in enumerate(self._outputs):
            data = bytes(sent[max(self._told[number] - sent.dropped, 0) :])
            self._told[number] = sent.total
            if len(sent) > 2 * KEPT:
                sent.keep(KEPT)
            if data:
                self._listener(data)

    @property
    def kept(self) -> bytes:
        return self.of(0)

    def of(self, number: int) -> bytes:
        """What came by the serial port, the debug ports or BIOS calls: 0, 1 or 2."""
        sent = self._outputs[number]
        return bytes(sent[max(self._begin[number] - sent.dropped, 0) :])


def _run(
    runner: Runner, request: Request, listeners: Listeners, serial: _Serial, stopping: Stopping
) -> None:
    end = Slice.AGAIN
    deadline = None if request.timeout is None else time.monotonic() + request.timeout
    stepped = request.step_by_step or request.max_steps is not None
    while runner.ending is None:
        if listeners.interrupted():
            runner.stop(Outcome.INTERRUPTED, f"interrupted at {runner.vcpu.rip:#x}")
        elif deadline is not None and time.monotonic() >= deadline:
            runner.stop(
                Outcome.TIMEOUT, f"no end in {request.timeout:g} s, at {runner.vcpu.rip:#x}"
            )
        elif request.max_steps is not None and runner.steps >= request.max_steps:
            runner.stop(
                Outcome.MAX_STEPS, f"{counted(runner.steps, 'step')}, at {runner.vcpu.rip:#x}"
            )
        elif stepped:
            left = STEPS_A_LOOK if request.max_steps is None else request.max_steps - runner.steps
            end = stopping.step(min(left, STEPS_A_LOOK))
        else:
            end = stopping.run()
        if end is Slice.BREAKPOINT:
            rip = runner.runners[stopping.vcpu or 0].vcpu.rip
            runner.stop(Outcome.INTERRUPTED, f"{stopping.verdict.text}, at {rip:#x}")
        serial.pass_on()


def _report(runner: Runner, request: Request, serial: _Serial, *, stepped: bool) -> Report:
    ending = runner.ending
    assert isinstance(ending, Ending)
    log, vcpu = runner.log, runner.vcpu
    return Report(
        engine=request.engine,
        outcome=ending.outcome,
        detail=ending.detail,
        exit_value=ending.value,
        serial=serial.kept,
        debug_port=serial.of(1),
        exits={exit_name(reason): count for reason, count in sorted(log.counts.items())},
        raw_exits={exit_name(reason): count for reason, count in _returned(runner)},
        ports={port: (counts[0], counts[1]) for port, counts in sorted(log.ports.items())},
        mmio=(log.mmio[0], log.mmio[1]),
        steps=runner.steps if stepped else None,
        seconds=runner.seconds,
        vcpus=tuple(_vcpu_report(one, ending) for one in runner.runners),
        memory={address: vcpu.read_linear(address, length) for address, length in request.dumps},
        teletype=serial.of(2) if runner.bios else None,
        failure=ending.trace,
    )


def _vcpu_report(runner: VcpuRunner[Any], whole: Ending) -> VcpuReport:
    ending = runner.ending or whole
    outcome = ending.outcome
    if runner.ending is None and outcome not in _FROM_OUTSIDE:
        outcome = Outcome.INTERRUPTED
    return VcpuReport(outcome, ending.detail, runner.vcpu.registers())


def _returned(runner: Runner) -> list[tuple[int, int]]:
    total: Counter[int] = Counter()
    for one in runner.runners:
        total.update(one.vcpu.returned())
    return sorted(total.items())
