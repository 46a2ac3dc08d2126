"""A VCPU that KVM executes, run in slices: native batches at full speed or of single steps.

The native loop hands over an exit that a device must answer, and an instruction that is more
than a plain one; what comes of them is decided here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kdash.backends.kvm import irqchip, real_interrupts
from kdash.backends.kvm.board import Board, Ending, OnSteps, Slice
from kdash.backends.kvm.delivery import executed
from kdash.backends.kvm.exit_reasons import ACCESSES, UNCOUNTED
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import (
    ExitDetail,
    ExitReason,
    IoExit,
    MmioExit,
    MsrExit,
    OtherExit,
    Outcome,
    VcpuState,
)
from kdash.backends.kvm.origin import instruction_ip, reveals_out
from kdash.backends.kvm.records import (  # fmt: skip
    ACCESS,
    DATA_SIZE,
    RECORD,
    RIP,
    RSP,
    Record,
    Steps,
    first_bytes,
)
from kdash.backends.kvm.step import Kind, Start, StepEnd, finish, step
from kdash.backends.kvm.user_devices import DeviceError
from kdash.backends.kvm.vcpu import BatchEnd, Vcpu
from kdash.backends.kvm.vcpu_runner import INTERRUPTS, RFLAGS, VcpuRunner

#: Microseconds a halted VCPU waits for an interrupt while others could be stepped.
PATIENCE: Final = 300

#: Accesses that fit a record of the native loop.
_ACCESSES: Final = (ExitReason.IO, ExitReason.MMIO)
_CONTINUED: Final = (ExitReason.INTR, ExitReason.IRQ_WINDOW_OPEN, ExitReason.DEBUG)


class KvmVcpuRunner(VcpuRunner[Vcpu]):
    """Drives a VCPU of KVM; see VcpuRunner."""

    def __init__(self, board: Board, vcpu: Vcpu, on_steps: OnSteps | None = None) -> None:
        super().__init__(board, vcpu, on_steps)
        self._pending = False  # an access was answered and KVM has not finished it
        self._steps_now = False  # the slice is one of steps
        self._in_ring = False  # what is served is a write that KVM collected
        self._halted_in: int | None = None  # the step whose HLT halted it

    def rewound(self, dropped: int) -> None:
        """Go on from where the board and the VCPU were put, less so many steps."""
        self._pending = False
        super().rewound(dropped)
        if self.board.irqchip:
            state = irqchip.mp_state(self.vcpu.fd)
            self.state = irqchip.STATES.get(state, VcpuState.RUNNABLE)

    # -- interrupt controllers in the kernel

    def look(self) -> None:
        """See whether KVM has the VCPU halted or waiting."""
        if self.ending is None:
            before = self.state
            self.state = irqchip.STATES.get(irqchip.mp_state(self.vcpu.fd), VcpuState.RUNNABLE)
            if before is VcpuState.WAITING and self.state is VcpuState.RUNNABLE:
                self.vcpu.refresh()  # the startup IPI has set where it begins

    def halt(self) -> None:
        """End the VCPU at the HLT it sleeps in."""
        if self.ending is None:
            record = self.vcpu.describe_exit()._replace(reason=ExitReason.HLT)
            ip = instruction_ip(record, None)
            self._end(RawExit(ExitReason.HLT, OtherExit()), ip, self._halted_in, record)

    # -- full speed

    def _run(self) -> Slice:
        self._stop_came, self.stepped_ip, self.after_sti = False, None, False
        self._steps_now = False
        if not self._offer_interrupt():
            return Slice.WAITING
        end, filled = self.vcpu.run_batch()
        self._take_coalesced(None)
        posted = filled - 1 if end is BatchEnd.EXIT else filled
        if filled:
            with self.board.lock:
                if posted:
                    self._take_dealt_with(bytes(self.vcpu.record_bytes[: posted * RECORD.size]))
                self._pending = end is not BatchEnd.EXIT
                if end is BatchEnd.EXIT:
                    self._take(posted)
        if self.over:
            return Slice.ENDED
        if self._awaits_key:
            self._awaits_key = False
            return Slice.WAITING
        if end is BatchEnd.KICKED:
            return self._kicked()
        if self._stop_came:
            return Slice.BREAKPOINT
        return Slice.AGAIN

    def _kicked(self) -> Slice:
        """A kick came at full speed; at an INT of real mode KVM may stay for ever."""
        self.board.tick()
        # There IF is lost, so that the step which shows it can't begin with an interrupt.
        if self.vcpu.registers().rflags & INTERRUPTS or not real_interrupts.is_next(self.vcpu):
            return Slice.KICKED
        self.settle()
        if self.over:
            return Slice.ENDED
        before = self.vcpu.describe_exit()
        self.vcpu.set_stepping(True)
        if self.vcpu.enter(False) and self._stays(before):
            return self._cannot_interrupt(
                "it works where each step is taken: --max-steps, --record"
            )
        return Slice.KICKED

    def _take_dealt_with(self, records: bytes) -> None:
        """Tell the devices of accesses that native code dealt with; reads were nobody's."""
        alike = self.vcpu.alike
        reason, port, size, write, count, _, _ = ACCESS.unpack_from(records)
        if alike and size == count == 1:
            if write and reason == ExitReason.IO:
                self.bus.write_port(port, 1, first_bytes(records))
        else:
            for reason, port, size, write, count, _, data in ACCESS.iter_unpack(records):
                if write and reason == ExitReason.IO:
                    self.bus.write_port(port, size, data[: size * count])
        self.log.add_accesses(records, alike, self.vcpu.index)

    def _take(self, position: int) -> None:
        """Handle the exit at the end of a batch."""
        fields = ACCESS.unpack_from(self.vcpu.record_bytes, position * RECORD.size)
        reason, _, size, _, count, _, _ = fields
        if reason in _ACCESSES and size * count <= DATA_SIZE:
            self._take_access(position, fields)
        elif reason in ACCESSES:
            record = self.vcpu.record(position)
            raw = self._answer(self.vcpu.exit())
            ip = instruction_ip(record, self.vcpu.out_rip_after)
            self._log(raw, ip, None)
        elif reason not in _CONTINUED:
            record = self.vcpu.record(position)
            ip = instruction_ip(record, self.vcpu.out_rip_after)
            self._end(self.vcpu.exit(), ip, None, record)
        elif reason == ExitReason.DEBUG and self.vcpu.hardware:
            self._stop_came = True

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
        self._stop_came = self._each_exit
        self.log.add_access(record_bytes, reason, port, write, count, self.vcpu.index)
        if self.board.exit_port.value is not None or self.board.keyboard.reset:
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

    def _take_coalesced(self, step: int | None) -> None:
        """Give the writes that KVM collected to their devices."""
        if not self.vcpu.has_ring:
            return
        with self.board.lock:
            self._in_ring = True
            for address, port, data in self.vcpu.coalesced():
                if port:
                    self.bus.write_port(address, len(data), data)
                    raw = RawExit(ExitReason.IO, IoExit("out", address, len(data), 1, data))
                else:
                    self.bus.write_mmio(address, data)
                    raw = RawExit(ExitReason.MMIO, MmioExit(True, address, data))
                # Where in the guest it was written nobody knows any more.
                self._log(raw, self.vcpu.rip, step, "coalesced, seen here")
            self._in_ring = False

    def settle(self) -> None:
        """Let KVM finish the access that was answered last, executing nothing after it."""
        if not self._pending:
            return
        try:
            with self.board.lock:
                self._settle()
        except DeviceError as failure:
            self._failed(failure)

    def _settle(self) -> None:
        while self._pending:
            self._pending = False
            if not self.vcpu.enter(True):
                return
            raw = self.vcpu.exit()
            if raw.reason in ACCESSES:
                record = self.vcpu.describe_exit()
                self._log(self._answer(raw), record.rip, None)
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
        if isinstance(detail, MsrExit):
            return RawExit(raw.reason, self._answer_msr(detail))
        assert isinstance(detail, MmioExit)
        if detail.write:
            self.bus.write_mmio(detail.address, detail.data)
            return raw
        data = self.bus.read_mmio(detail.address, len(detail.data))
        self.vcpu.answer(data)
        return RawExit(raw.reason, MmioExit(False, detail.address, data))

    def _answer_msr(self, detail: MsrExit) -> MsrExit:
        if detail.write:
            known = self.bus.write_msr(detail.index, detail.data)
            self.vcpu.answer_msr(detail.data if known else None)
            return replace(detail, refused=not known)
        value = self.bus.read_msr(detail.index)
        self.vcpu.answer_msr(value)
        return replace(detail, data=value or 0, refused=value is None)

    # -- stepping

    def _step(self, count: int) -> Slice:
        self._steps_now = True
        self.settle()
        if self.over:
            return Slice.ENDED
        self._begin_step()
        if self._accessed:
            count = 1
        end, filled = self.vcpu.step_batch(count)
        self._take_coalesced(self.board.steps)
        whole = filled - 1 if end is BatchEnd.EXIT else filled
        if end is BatchEnd.DELIVERED and self._on_steps:
            self.vcpu.correct(whole - 1, executed(self.vcpu, self.vcpu.record(whole - 1)))
        self._count_steps(whole)
        if end is BatchEnd.BREAKPOINT or (whole and self._accessed):
            return self._stop(self.vcpu.record(whole - 1), met=end is BatchEnd.BREAKPOINT)
        if end is BatchEnd.SHADOW:
            self.after_sti = True
        if end in (BatchEnd.FULL, BatchEnd.SHADOW, BatchEnd.DELIVERED):
            return Slice.AGAIN
        if end is BatchEnd.KICKED:
            self.board.tick()
            return Slice.KICKED
        if end is BatchEnd.EXIT:
            return self._finish_step(self.vcpu.record(whole))
        return self._whole_step()

    def _count_steps(self, whole: int) -> None:
        if self._on_steps and whole:
            raw = self.vcpu.record_bytes[: whole * RECORD.size]
            self._on_steps(Steps(raw, self.board.steps, self.vcpu.index))
        self._counted(whole)

    def _whole_step(self) -> Slice:
        """An instruction that the native loop left to us: HLT, REP, an INT of real mode."""
        record = self.vcpu.describe_exit()
        self._ip = record.rip
        end, raw = step(self.vcpu, self._service)
        if end is StepEnd.COMPLETE and self._stays(record):
            try:
                with self.board.lock:
                    real_interrupts.take(self.vcpu, record.registers[RFLAGS])
            except real_interrupts.NoStackError as place:
                return self._cannot_interrupt(f"no stack to write at {place.args[0]:#x}")
        return self._stepped(end, raw, record)

    def _stays(self, record: Record) -> bool:
        """Whether the step in `record` was an INT that KVM will execute for ever."""
        after = self.vcpu.general_registers()
        stays = after[RIP] == record.rip and after[RSP] == record.registers[RSP]
        return stays and real_interrupts.is_next(self.vcpu)

    def _cannot_interrupt(self, why: str) -> Slice:
        """End the run at an INT that KVM will execute for ever."""
        detail = (
            f"INTERNAL_ERROR at {self.vcpu.rip:#x}: KVM on this host executes INT with a vector "
            f"above 0x7f again and again in real mode: {why}"
        )
        self._finish(Ending(Outcome.INTERNAL_ERROR, detail))
        return Slice.ENDED

    def _finish_step(self, record: Record) -> Slice:
        """The native loop, which takes plain instructions alone, met an exit in this one."""
        self._ip = record.rip
        end, raw = finish(self.vcpu, Start(record.rip, Kind.PLAIN), self._service)
        return self._stepped(end, raw, record)

    def _service(self, raw: RawExit) -> None:
        with self.board.lock:
            self._log(self._answer(raw), self._ip, self.board.steps)

    def _stepped(  # noqa: PLR0912 - each way a step can end
        self, end: StepEnd, raw: RawExit | None, record: Record
    ) -> Slice:
        if end is StepEnd.KICKED:
            return Slice.KICKED
        self._pending = False
        if end is StepEnd.HALTED:
            raw = RawExit(ExitReason.HLT, OtherExit())
        elif raw is not None and raw.reason == ExitReason.IRQ_WINDOW_OPEN:
            if self.vcpu.rip == record.rip:
                return Slice.AGAIN  # before the instruction
            raw = None
        if raw is not None and raw.reason != ExitReason.HLT:
            self._end(raw, self._ip, self.board.steps, record)
            return Slice.ENDED
        if self._on_steps or self._accessed:
            flags, after = record.registers[RFLAGS], self.vcpu.general_registers()
            record = record._replace(registers=after)
            masked = flags & INTERRUPTS and not after[RFLAGS] & INTERRUPTS
            if masked and not self.vcpu.caught and not real_interrupts.length_of(record.code):
                record = executed(self.vcpu, record)
        if self._on_steps:
            self._on_steps(Steps(record.pack(), self.board.steps, self.vcpu.index))
        self._counted(1)
        if raw is not None and self.board.irqchip:
            self._halted()
        elif raw is not None:
            self._end(raw, self._ip, self.board.steps - 1, record)
        else:
            self._check_end(self._ip)
        if self.board.recorder is not None:
            self.board.recorder.step(self.vcpu.index, record)
        if self.over:
            return Slice.ENDED
        if self._awaits_key:
            self._awaits_key = False
            return Slice.WAITING
        return self._stop(record, met=self.vcpu.stop_met())

    def _halted(self) -> None:
        """A HLT was stepped; some hosts leave the VCPU runnable then."""
        if irqchip.injected(self.vcpu.fd):
            return  # it is awake again; halted it would never get that interrupt
        irqchip.set_mp_state(self.vcpu.fd, irqchip.HALTED)
        self.state = VcpuState.HALTED
        self._halted_in = self.board.steps - 1

    def _wait(self, briefly: bool) -> Slice:
        """Step a VCPU that has halted or never started: it goes on when an interrupt comes."""
        if briefly and self.state is VcpuState.WAITING:
            return Slice.AGAIN
        self._begin_step()
        self.vcpu.begin_stops()
        self.vcpu.set_stepping(True)
        self.vcpu.patience = PATIENCE if briefly else 0
        end = self._whole_step()
        self.vcpu.patience = 0
        self.look()
        return end

    def _failed(self, failure: DeviceError, ip: int | None = None) -> Slice:  # noqa: ARG002
        self._pending = False
        if self._in_ring:
            return super()._failed(failure)
        raw = self.vcpu.exit()
        if isinstance(raw.detail, IoExit) and raw.detail.direction == "in":
            count = failure.answered + 1  # of a repeated one no more came to the device
            data = raw.detail.data[: raw.detail.size * count]
            raw = RawExit(raw.reason, replace(raw.detail, count=count, data=data))
        if raw.reason in ACCESSES:  # the one that was being served
            record = self.vcpu.describe_exit()
            self._ip = instruction_ip(record, self.vcpu.out_rip_after)
            with self.board.lock:
                self._log(raw, self._ip, self.board.steps if self._steps_now else None)
        return super()._failed(failure, self._ip)
