"""A runner for the emulator: the same slices, devices, log and endings as vcpu_runner.py."""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.board import Board, Ending, OnSteps, Slice
from kdash.backends.kvm.emulated_interrupts import CannotEmulate, NoCode, Shutdown
from kdash.backends.kvm.emulated_vcpu import EmulatedVcpu, Halt
from kdash.backends.kvm.exits import EMULATION, RawExit
from kdash.backends.kvm.facts import (
    ExitReason,
    InternalErrorExit,
    IoExit,
    MmioExit,
    OtherExit,
    Outcome,
)
from kdash.backends.kvm.records import Record, Steps
from kdash.backends.kvm.step import Kind
from kdash.backends.kvm.user_devices import DeviceError
from kdash.backends.kvm.vcpu import start_of
from kdash.backends.kvm.vcpu_runner import VcpuRunner

#: Instructions, or elements of a repeated one, of a slice: about 10 ms.
SLICE: Final = 256
_DELIVERY: Final = 3  # KVM_INTERNAL_ERROR_DELIVERY_EV


class EmulatedVcpuRunner(VcpuRunner[EmulatedVcpu]):
    """Drives an emulated VCPU; see VcpuRunner."""

    def __init__(self, board: Board, vcpu: EmulatedVcpu, on_steps: OnSteps | None = None) -> None:
        super().__init__(board, vcpu, on_steps)
        self._at: int | None = None  # the step exits are told to belong to
        self._record = self.vcpu.look()[1]  # of the instruction being executed
        # Devices that look at the guest are told of an OUT once it is executed.
        self._waiting: list[tuple[int, int, bytes]] = []  # port, size, data
        self._late_ports = frozenset(board.bus.unposted_ports())
        self.vcpu.accesses.serve_port = self._serve_port
        self.vcpu.accesses.serve_mmio = self._serve_mmio

    def settle(self) -> None:
        """Nothing is ever pending here."""

    def look(self) -> None:
        """There are no controllers in the kernel here, which halt a VCPU."""

    def halt(self) -> None:
        """Nor does one sleep in them."""

    def _run(self) -> Slice:
        vcpu = self.vcpu
        self._at = None
        self._stop_came, self.stepped_ip = False, None
        if not self._offer_interrupt():
            return Slice.ENDED if self.ending else Slice.WAITING
        if self._interrupt_waits:  # for IF: instruction by instruction until it is set
            return self._go(SLICE, None)
        try:
            halt = vcpu.run()
            self._serve_waiting()
        except Shutdown:
            self._exit(RawExit(ExitReason.SHUTDOWN, OtherExit()), vcpu.look()[1])
            return Slice.ENDED
        except CannotEmulate as reason:
            self._give_up(reason, vcpu.look()[1])
            return Slice.ENDED
        if halt is Halt.HALTED and not self.over:
            record = vcpu.look()[1]._replace(rip=vcpu.begun)
            self._exit(RawExit(ExitReason.HLT, OtherExit()), record)
        self._check_end(self._ip)
        if self.over:
            return Slice.ENDED
        if self._awaits_key:
            self._awaits_key = False
            return Slice.WAITING
        if halt is Halt.KICKED:
            return Slice.KICKED
        return Slice.BREAKPOINT if self._stop_came else Slice.AGAIN

    @property
    def _interrupt_waits(self) -> bool:
        pic = self.board.pic
        return pic is not None and pic.pending

    def _offer_interrupt(self) -> bool:
        try:
            return super()._offer_interrupt()
        except Shutdown:
            self._exit(RawExit(ExitReason.SHUTDOWN, OtherExit()), self.vcpu.look()[1])
        except CannotEmulate as reason:
            self._give_up(reason, self.vcpu.look()[1])
        return False

    def _step(self, count: int) -> Slice:
        return self._go(min(count, SLICE), self.board.steps)

    def _go(self, count: int, first: int | None) -> Slice:
        self._stop_came = False
        self.vcpu.begin_stops()
        for _ in range(count):
            self._at = None if first is None else self.board.steps
            whole = self._instruction()
            if self.over:
                return Slice.ENDED
            if self._awaits_key:
                self._awaits_key = False
                return Slice.WAITING
            if not whole:
                return Slice.KICKED
            if first is not None and self._stop_after() is Slice.BREAKPOINT:
                return Slice.BREAKPOINT
            if self._stop_came:
                self.stepped_ip = None
                return Slice.BREAKPOINT
            if self.halted or self._interrupt_waits:
                break
        return Slice.AGAIN

    def _stop_after(self) -> Slice:
        if self._accessed:
            after = self.vcpu.general_registers()
            self._record = self._record._replace(registers=after)
        return self._stop(self._record, met=self.vcpu.stop_met())

    def _instruction(self) -> bool:
        """Execute one instruction; False where a repeated one is not done yet."""
        vcpu = self.vcpu
        _, record = vcpu.look()
        self._record = record
        if self._accessed:
            self._before = record.registers, vcpu.segment_bases()
        start = start_of(record)
        self._ip = record.rip
        if start.kind is Kind.HLT and vcpu.privileged:
            vcpu.skip((start.rip + start.length) & ((1 << start.bits) - 1))
            self._count(record)
            self._exit(RawExit(ExitReason.HLT, OtherExit()), record)
            return True
        try:
            whole = self._execute(start.kind is Kind.REP, record.rip)
        except Shutdown:
            self._exit(RawExit(ExitReason.SHUTDOWN, OtherExit()), record)
            return True
        except CannotEmulate as reason:
            self._give_up(reason, record)
            return True
        if whole:
            self._count(record)
        self._check_end(record.rip)
        return whole

    def _execute(self, repeated: bool, rip: int) -> bool:
        for _ in range(SLICE):
            self.vcpu.execute()
            self._serve_waiting()
            ended = self.board.exit_port.value is not None or self.board.keyboard.reset
            if not repeated or self.vcpu.rip != rip or ended:
                return True
        return False

    def _count(self, record: Record) -> None:
        if self._at is None:
            return
        if self._on_steps:
            after = record._replace(registers=self.vcpu.general_registers())
            self._on_steps(Steps(after.pack(), self.board.steps, self.vcpu.index))
        self._counted(1)

    def _exit(self, raw: RawExit, record: Record) -> None:
        self._end(raw, record.rip, self._at, record)

    def _give_up(self, reason: CannotEmulate, record: Record) -> None:
        if isinstance(reason, NoCode):
            failure = InternalErrorExit(EMULATION, b"")
            self._exit(RawExit(ExitReason.INTERNAL_ERROR, failure), record)
            return
        raw = RawExit(ExitReason.INTERNAL_ERROR, InternalErrorExit(_DELIVERY, b""))
        self._log(raw, record.rip, self._at)
        self._finish(
            Ending(
                Outcome.INTERNAL_ERROR,
                f"INTERNAL_ERROR at {record.rip:#x}: the emulator can't do this: {reason}",
            )
        )

    # -- accesses

    def _serve_port(self, write: bool, port: int, size: int, data: bytes) -> bytes:
        self._ip = self.vcpu.rip
        if self._each_exit:
            self.vcpu.stop_soon()
        if write and port in self._late_ports:
            self._waiting.append((port, size, data))
            self.vcpu.stop_soon()
            return data
        try:
            if write:
                self.bus.write_port(port, size, data)
            else:
                data = self.bus.read_port(port, size, 1)
        finally:  # one that a device fails to answer is an exit too
            self._log_port(write, port, size, data)
        if self._interrupt_waits:
            self.vcpu.stop_soon()
        return data

    def _serve_waiting(self) -> None:
        while self._waiting:
            port, size, data = self._waiting.pop(0)
            try:
                self.bus.write_port(port, size, data)
            finally:
                self._log_port(True, port, size, data)

    def _log_port(self, write: bool, port: int, size: int, data: bytes) -> None:
        detail = IoExit("out" if write else "in", port, size, 1, data)
        self._log(RawExit(ExitReason.IO, detail), self._ip, self._at)

    def _serve_mmio(self, write: bool, address: int, size: int, data: bytes) -> bytes:
        self._ip = self.vcpu.rip
        if self._each_exit:
            self.vcpu.stop_soon()
        try:
            if write:
                self.bus.write_mmio(address, data)
            else:
                data = self.bus.read_mmio(address, size)
        finally:
            self._log(RawExit(ExitReason.MMIO, MmioExit(write, address, data)), self._ip, self._at)
        return data

    def _failed(self, failure: DeviceError, ip: int | None = None) -> Slice:
        return super()._failed(failure, self._ip if ip is None else ip)
