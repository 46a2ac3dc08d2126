"""A machine with its devices, run in slices: at full speed or step by step.

A slice returns after one native batch or one exit, so that whoever drives it can look at
its watch, take commands, or show what is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from kdash.backends.kvm.bios import Bios
from kdash.backends.kvm.devices import Bus, DebugPort, ExitPort
from kdash.backends.kvm.disassembly import decode, instruction_text
from kdash.backends.kvm.exit_log import ExitLog
from kdash.backends.kvm.exit_reasons import OUTCOMES, UNCOUNTED
from kdash.backends.kvm.exits import EMULATION, RawExit
from kdash.backends.kvm.facts import (
    Exit,
    ExitDetail,
    ExitReason,
    InternalErrorExit,
    IoExit,
    MmioExit,
    OtherExit,
    Outcome,
)
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.origin import instruction_ip, reveals_out
from kdash.backends.kvm.pc import Cmos, FirmwareConfiguration, KeyboardController
from kdash.backends.kvm.records import ACCESS, DATA_SIZE, RECORD, RIP, RSP, Record, single_bytes
from kdash.backends.kvm.step import Kind, Start, StepEnd, finish, step
from kdash.backends.kvm.uart import Serial
from kdash.backends.kvm.user_devices import DeviceClass, DeviceError, make_devices
from kdash.backends.kvm.vcpu import BatchEnd

#: Told of every logical step: its record (RIP and code before, registers after), its number.
OnStep = Callable[[Record, int], None]
OnExit = Callable[[Exit], None]

_ACCESSES: Final = (ExitReason.IO, ExitReason.MMIO)
_CONTINUED: Final = (ExitReason.INTR, ExitReason.IRQ_WINDOW_OPEN, ExitReason.DEBUG)


class Slice(Enum):
    """Why a slice returned."""

    AGAIN = auto()  # nothing in particular; go on
    KICKED = auto()  # a kick, a tick or a signal
    BREAKPOINT = auto()
    ENDED = auto()  # `ending` says how


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    outcome: Outcome
    detail: str  # "HLT at 0x100b"
    value: int = 0  # what was written to the exit port
    trace: str = ""  # the traceback of a device that failed, as data


class Runner:
    """Drives one machine from one thread.

    Args:
        machine: with the guest at its entry; closed by its owner.
        on_step: told of every logical step, which is then slower.
        on_exit: told of every exit, which is then slower.
        devices: further ones; they take over what the built-in ones claim.

    Raises:
        GuestError: when the devices don't fit together or into the machine.
    """

    def __init__(
        self,
        machine: Machine,
        on_step: OnStep | None = None,
        on_exit: OnExit | None = None,
        devices: Sequence[DeviceClass] = (),
    ) -> None:
        self.machine = machine
        self.vcpu = machine.vcpu
        self.serial = Serial()
        self.debug_port = DebugPort()
        self.exit_port = ExitPort()
        self.keyboard = KeyboardController()
        memory = machine.guest.memory
        self.bus = Bus(
            (
                self.serial,
                self.debug_port,
                self.exit_port,
                self.keyboard,
                Cmos(memory),
                FirmwareConfiguration(memory),
            )
        )
        self.bios: Bios | None = None
        if machine.guest.disk is not None:
            self.bios = Bios(machine, machine.guest.disk, machine.guest.memory)
            self.bus.add(self.bios)
        self.log = ExitLog(on_exit)
        self.steps = 0
        self.seconds = 0.0
        self.ending: Ending | None = None
        self._on_step = on_step
        self._stops: tuple[tuple[int, int], ...] = ()
        self._pending = False  # an access was answered and KVM has not finished it
        self._ip = self.vcpu.rip  # of the instruction being stepped
        if devices:
            self._add(devices)
        self.vcpu.post_all()
        self.vcpu.set_posted(self.bus.unposted_ports(), posted=False)

    def _add(self, devices: Sequence[DeviceClass]) -> None:
        memory = [range(region.start, region.end) for region in self.machine.guest.regions]
        for device in make_devices(devices, memory):
            self.bus.add(device)
            device.attach(self.machine)

    # -- full speed

    def run(self) -> Slice:
        """Run at full speed until something happens."""
        if self.ending:
            return Slice.ENDED
        try:
            return self._run()
        except DeviceError as failure:
            return self._failed(failure)

    def _run(self) -> Slice:
        began = time.perf_counter()
        end, filled = self.vcpu.run_batch()
        self.seconds += time.perf_counter() - began
        posted = filled - 1 if end is BatchEnd.EXIT else filled
        if posted:
            self._take_posted(bytes(self.vcpu.record_bytes[: posted * RECORD.size]))
        if end is BatchEnd.EXIT:
            self._pending = False
            self._take(posted)
        elif filled:
            self._pending = True
        if self.ending:
            return Slice.ENDED
        if end is BatchEnd.KICKED:
            return Slice.KICKED
        return Slice.AGAIN

    def _take_posted(self, records: bytes) -> None:
        same = single_bytes(records)
        if same is not None:
            self.bus.write_port(same[0], 1, same[1])
        else:
            for _, port, size, _, count, _, data in ACCESS.iter_unpack(records):
                self.bus.write_port(port, size, data[: size * count])
        self.log.add_outs(records)

    def _take(self, position: int) -> None:
        """Handle the exit at the end of a batch."""
        fields = ACCESS.unpack_from(self.vcpu.record_bytes, position * RECORD.size)
        reason, _, size, _, count, _, _ = fields
        if reason in _ACCESSES and size * count <= DATA_SIZE:
            self._take_access(position, fields)
        elif reason in _ACCESSES:
            record = self.vcpu.record(position)
            raw = self._answer(self.vcpu.exit())
            self.log.add(raw, instruction_ip(record, self.vcpu.out_rip_after), None)
        elif reason not in _CONTINUED:
            record = self.vcpu.record(position)
            ip = instruction_ip(record, self.vcpu.out_rip_after)
            self._end(self.vcpu.exit(), ip, None, record)

    def _take_access(self, position: int, fields: tuple[Any, ...]) -> None:
        """Serve an access whose data is in its record."""
        reason, port, size, write, count, address, data = fields
        is_io = reason == ExitReason.IO
        self._pending = True
        if write:
            data = data[: size * count]
            if is_io:
                self.bus.write_port(port, size, data)
                self._learn(position)
            else:
                self.bus.write_mmio(address, data)
        else:
            bus = self.bus
            answer = bus.read_port(port, size, count) if is_io else bus.read_mmio(address, size)
            self.vcpu.answer(answer, position)
        start = position * RECORD.size
        record_bytes = bytes(self.vcpu.record_bytes[start : start + RECORD.size])
        self.log.add_access(record_bytes, reason, port, write, count)
        if self.exit_port.value is not None or self.keyboard.reset:
            record = self.vcpu.record(position)
            self._check_end(instruction_ip(record, self.vcpu.out_rip_after))

    def _learn(self, position: int) -> None:
        """At the first OUT that can show it, see whether finishing it moves RIP."""
        if self.vcpu.out_rip_after is not None:
            return
        record = self.vcpu.record(position)
        if reveals_out(record):
            self.settle()
            self.vcpu.out_rip_after = self.vcpu.rip == record.rip
            self.log.out_rip_after = self.vcpu.out_rip_after

    def settle(self) -> None:
        """Let KVM finish the access that was answered last, executing nothing after it."""
        try:
            self._settle()
        except DeviceError as failure:
            self._failed(failure)

    def _settle(self) -> None:
        while self._pending:
            self._pending = False
            if not self.vcpu.enter(True):
                return
            raw = self.vcpu.exit()
            if raw.reason in _ACCESSES:
                record = self.vcpu.describe_exit()
                self.log.add(self._answer(raw), record.rip, None)
            elif raw.reason not in UNCOUNTED:
                record = self.vcpu.describe_exit()
                self._end(raw, instruction_ip(record, self.vcpu.out_rip_after), None, record)

    def _answer(self, raw: RawExit) -> RawExit:
        """Give an access to its device; returns the exit with the answer filled in."""
        self._pending = True
        detail = raw.detail
        if isinstance(detail, IoExit):
            if detail.direction == "out":
                self.bus.write_port(detail.port, detail.size, detail.data)
                return raw
            data = self.bus.read_port(detail.port, detail.size, detail.count)
            self.vcpu.answer(data)
            answered: ExitDetail = IoExit("in", detail.port, detail.size, detail.count, data)
            return RawExit(raw.reason, answered)
        assert isinstance(detail, MmioExit)
        if detail.write:
            self.bus.write_mmio(detail.address, detail.data)
            return raw
        data = self.bus.read_mmio(detail.address, len(detail.data))
        self.vcpu.answer(data)
        return RawExit(raw.reason, MmioExit(False, detail.address, data))

    # -- stepping

    def set_stops(self, stops: tuple[tuple[int, int], ...]) -> None:
        """Stop stepping where RIP is the first of a pair and RSP at least the second."""
        self._stops = stops
        self.vcpu.set_breakpoints(stops)

    def step(self, count: int) -> Slice:
        """Step at most `count` instructions; `steps` tells how many were."""
        if self.ending:
            return Slice.ENDED
        began = time.perf_counter()
        try:
            return self._step(count)
        except DeviceError as failure:
            return self._failed(failure)
        finally:
            self.seconds += time.perf_counter() - began

    def _step(self, count: int) -> Slice:
        self.settle()
        if self.ending:
            return Slice.ENDED
        end, filled = self.vcpu.step_batch(count)
        whole = filled - 1 if end is BatchEnd.EXIT else filled
        self._count_steps(whole)
        if end is BatchEnd.FULL:
            return Slice.AGAIN
        if end is BatchEnd.BREAKPOINT:
            return Slice.BREAKPOINT
        if end is BatchEnd.KICKED:
            return Slice.KICKED
        if end is BatchEnd.EXIT:
            return self._finish_step(self.vcpu.record(whole))
        return self._whole_step()

    def _count_steps(self, whole: int) -> None:
        if self._on_step:
            for position in range(whole):
                self._on_step(self.vcpu.record(position), self.steps + position)
        self.steps += whole

    def _whole_step(self) -> Slice:
        """An instruction that the native loop left to us: HLT or REP."""
        record = self.vcpu.describe_exit()
        self._ip = record.rip
        end, raw = step(self.vcpu, self._service)
        return self._stepped(end, raw, record)

    def _finish_step(self, record: Record) -> Slice:
        """The native loop, which takes plain instructions alone, met an exit in this one."""
        self._ip = record.rip
        end, raw = finish(self.vcpu, Start(record.rip, Kind.PLAIN), self._service)
        return self._stepped(end, raw, record)

    def _service(self, raw: RawExit) -> None:
        self.log.add(self._answer(raw), self._ip, self.steps)

    def _stepped(self, end: StepEnd, raw: RawExit | None, record: Record) -> Slice:
        if end is StepEnd.KICKED:
            return Slice.KICKED
        self._pending = False
        if end is StepEnd.HALTED:
            raw = RawExit(ExitReason.HLT, OtherExit())
        if raw is not None and raw.reason != ExitReason.HLT:
            self._end(raw, self._ip, self.steps, record)
            return Slice.ENDED
        if self._on_step:
            after = record._replace(registers=self.vcpu.general_registers())
            self._on_step(after, self.steps)
        self.steps += 1
        if raw is not None:
            self._end(raw, self._ip, self.steps - 1, record)
        else:
            self._check_end(self._ip)
        if self.ending:
            return Slice.ENDED
        return Slice.BREAKPOINT if self._at_stop() else Slice.AGAIN

    def _at_stop(self) -> bool:
        if not self._stops:
            return False
        registers = self.vcpu.general_registers()
        return any(
            registers[RIP] == rip and registers[RSP] >= lowest for rip, lowest in self._stops
        )

    # -- endings

    def _check_end(self, ip: int) -> None:
        """End the run when a device was told to."""
        if self.keyboard.reset:
            self.settle()
            detail = f"reset by the keyboard controller at {ip:#x}"
            self.ending = Ending(Outcome.SYSTEM_EVENT, detail)
            return
        value = self.exit_port.value
        if value is not None:
            self.settle()
            self.ending = Ending(Outcome.EXIT_PORT, f"exit port: {value:#x} at {ip:#x}", value)

    def _end(self, raw: RawExit, ip: int, step: int | None, record: Record) -> None:
        raw, code = _failed_instruction(raw, ip, record)
        self.log.add(raw, ip, step, code)
        (told,) = self.log.latest(1)
        outcome = OUTCOMES.get(raw.reason, Outcome.UNHANDLED_EXIT)
        detail = f"{told.name} at {ip:#x}"
        if outcome is not Outcome.HLT:
            detail = f"{detail}: {told.meaning.partition(': ')[2] or told.meaning}"
        self.ending = Ending(outcome, detail)

    def _failed(self, failure: DeviceError) -> Slice:
        """A device raised: nobody can answer the access, and the guest stays at it."""
        self._pending = False
        detail = f"{failure}, at {self.vcpu.rip:#x}"
        self.ending = Ending(Outcome.UNHANDLED_EXIT, detail, trace=failure.trace)
        return Slice.ENDED

    def stop(self, outcome: Outcome, detail: str) -> None:
        """End the run from outside: timeout, step limit, signal."""
        self.settle()
        if self.ending is None:
            self.ending = Ending(outcome, detail)


def _failed_instruction(raw: RawExit, ip: int, record: Record) -> tuple[RawExit, str]:
    """The text of the instruction KVM could not emulate, and its bytes without those behind.

    KVM gives as many bytes as it had fetched, or none; then those at RIP are taken.
    """
    detail = raw.detail
    if not isinstance(detail, InternalErrorExit) or detail.suberror != EMULATION:
        return raw, ""
    code = detail.instruction or record.code
    decoded = decode(code, ip, record.bits)
    if not decoded:
        return raw, ""
    whole = InternalErrorExit(detail.suberror, code[: decoded.len])
    return RawExit(raw.reason, whole), instruction_text(code, ip, record.bits)
