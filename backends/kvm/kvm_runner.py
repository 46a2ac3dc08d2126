"""A VCPU that KVM executes, run in slices: native batches at full speed or of single steps.

The native loop hands over an exit that a device must answer (kvm_accesses.py), and an instruction
that is more than a plain one; what comes of them is decided here.
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm import irqchip, real_interrupts
from kdash.backends.kvm.board import Board, Ending, OnSteps, Slice
from kdash.backends.kvm.delivery import executed
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitReason, OtherExit, Outcome, VcpuState
from kdash.backends.kvm.kvm_accesses import KvmAccesses
from kdash.backends.kvm.origin import instruction_ip
from kdash.backends.kvm.records import RECORD, RIP, RSP, Record, Steps
from kdash.backends.kvm.step import Kind, Start, StepEnd, finish, step
from kdash.backends.kvm.vcpu import BatchEnd, Vcpu
from kdash.backends.kvm.vcpu_runner import INTERRUPTS, RFLAGS

#: Microseconds a halted VCPU waits for an interrupt while others could be stepped.
PATIENCE: Final = 300


class KvmVcpuRunner(KvmAccesses):
    """Drives a VCPU of KVM; see VcpuRunner."""

    def __init__(self, board: Board, vcpu: Vcpu, on_steps: OnSteps | None = None) -> None:
        super().__init__(board, vcpu, on_steps)
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
