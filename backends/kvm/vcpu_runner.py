"""One VCPU of a machine, run in slices: at full speed or step by step.

A slice returns after one native batch or one exit. What it does to devices, log and ending
it does under the board's lock, since every VCPU of the machine may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kdash.backends.kvm import irqchip
from kdash.backends.kvm.bios_layout import BIOS_SEGMENT, WAITS_AT
from kdash.backends.kvm.board import Board, Ending, OnSteps, Slice
from kdash.backends.kvm.delivery import entered_handler
from kdash.backends.kvm.disassembly import decode, instruction_text
from kdash.backends.kvm.exit_reasons import OUTCOMES, UNCOUNTED
from kdash.backends.kvm.exits import EMULATION, RawExit
from kdash.backends.kvm.facts import (
    ExitDetail,
    ExitReason,
    InternalErrorExit,
    IoExit,
    MmioExit,
    OtherExit,
    Outcome,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.origin import instruction_ip, reveals_out
from kdash.backends.kvm.records import (
    ACCESS,
    DATA_SIZE,
    RECORD,
    REGISTER_NAMES,
    Record,
    Steps,
    first_bytes,
)
from kdash.backends.kvm.step import Kind, Start, StepEnd, finish, step
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.user_devices import DeviceError
from kdash.backends.kvm.vcpu import BatchEnd, Vcpu

#: Microseconds a halted VCPU waits for an interrupt while others could be stepped.
PATIENCE: Final = 300
RFLAGS: Final = REGISTER_NAMES.index("rflags")
INTERRUPTS: Final = 1 << 9  # RFLAGS.IF

if TYPE_CHECKING:
    from kdash.backends.kvm.operands import Access

_ACCESSES: Final = (ExitReason.IO, ExitReason.MMIO)
_CONTINUED: Final = (ExitReason.INTR, ExitReason.IRQ_WINDOW_OPEN, ExitReason.DEBUG)


class VcpuRunner:
    """Drives one VCPU, from one thread at a time.

    Args:
        board: what it shares with the machine's other VCPUs.
        vcpu: the VCPU.
        on_steps: told of every logical step.
    """

    def __init__(self, board: Board, vcpu: Vcpu, on_steps: OnSteps | None = None) -> None:
        self.board = board
        self.vcpu = vcpu
        self.bus = board.bus
        self.log = board.log
        self.steps = 0  # logical steps of this VCPU
        self.state = VcpuState.RUNNABLE
        self.ending: Ending | None = None  # of this VCPU alone
        self._on_steps = on_steps
        self._accessed: tuple[tuple[int, int], ...] = ()
        self._before: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # registers, bases
        self.accesses: tuple[Access, ...] = ()  # of the last step, where they are asked for
        self.stepped_ip: int | None = None  # RIP of the last step, where one led to a stop
        self._each_exit = False  # is a stop
        self._stop_came = False  # in the slice that is going on
        self._pending = False  # an access was answered and KVM has not finished it
        self._awaits_key = False  # halted in int 16h
        self.after_sti = False  # the last step was STI
        self._ip = vcpu.rip  # of the instruction being stepped
        self._halted_in: int | None = None  # the step whose HLT halted it
        if board.irqchip:
            self.look()
        vcpu.post_all()
        vcpu.set_posted(board.unposted_ports(), posted=False)
        vcpu.set_claimed(self.bus.claimed_ports, self.bus.claimed_mmio)

    @property
    def over(self) -> bool:
        """Whether this VCPU or the whole run has ended."""
        return self.ending is not None or self.board.ending is not None

    def brief(self) -> VcpuBrief:
        """This VCPU as a list of them shows it."""
        detail = self.ending.detail if self.ending else ""
        registers = self.vcpu.registers()
        return VcpuBrief(self.vcpu.index, self.state, registers, self.steps, detail)

    # -- interrupt controllers in the kernel

    def look(self) -> None:
        """See whether KVM has the VCPU halted or waiting."""
        if self.ending is None:
            before = self.state
            self.state = irqchip.STATES.get(irqchip.mp_state(self.vcpu.fd), VcpuState.RUNNABLE)
            if before is VcpuState.WAITING and self.state is VcpuState.RUNNABLE:
                self.vcpu.refresh()  # the startup IPI has set where it begins

    @property
    def halted(self) -> bool:
        """Whether the VCPU had halted when it was looked at last."""
        return self.state is VcpuState.HALTED

    @property
    def sleeps(self) -> bool:
        """Whether the VCPU has halted where no maskable interrupt can wake it."""
        if self.ending is not None:
            return True
        flags = self.vcpu.general_registers()[RFLAGS]
        return self.halted and not flags & INTERRUPTS

    def halt(self) -> None:
        """End the VCPU at the HLT it sleeps in."""
        if self.ending is None:
            record = self.vcpu.describe_exit()._replace(reason=ExitReason.HLT)
            ip = instruction_ip(record, None)
            self._end(RawExit(ExitReason.HLT, OtherExit()), ip, self._halted_in, record)

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

    # -- interrupts of our own controller

    def _offer_interrupt(self) -> bool:
        """Let the first VCPU take the interrupt that waits; False: it has halted and none does."""
        pic = self.board.pic
        if pic is None or self.vcpu.index:
            return True
        with self.board.lock:
            if pic.pending:
                self.vcpu.offer_interrupt(pic.acknowledge)
                self.state = VcpuState.RUNNABLE
        return not self.halted

    def _waits_for_interrupt(self) -> bool:
        """Whether the VCPU, which has halted, goes on by an interrupt there is or may come."""
        pic = self.board.pic
        if pic is None or self.vcpu.index or not self.vcpu.interruptible:
            return False
        if pic.pending:
            return True
        if self.board.input_interrupts:
            self.state = VcpuState.HALTED
        return self.halted

    # -- full speed

    def stop_at_exits(self, on: bool) -> None:
        """Let a slice end with BREAKPOINT after each exit."""
        self._each_exit = on
        self.vcpu.end_at_each_exit(on)

    def run(self) -> Slice:
        """Run at full speed until something happens."""
        if self.over:
            return Slice.ENDED
        try:
            return self._run()
        except DeviceError as failure:
            return self._failed(failure)

    def _run(self) -> Slice:
        self._stop_came, self.stepped_ip, self.after_sti = False, None, False
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
            self.board.tick()
            return Slice.KICKED
        if self._stop_came:
            return Slice.BREAKPOINT
        return Slice.AGAIN

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
        elif reason in _ACCESSES:
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
            for address, port, data in self.vcpu.coalesced():
                if port:
                    self.bus.write_port(address, len(data), data)
                    raw = RawExit(ExitReason.IO, IoExit("out", address, len(data), 1, data))
                else:
                    self.bus.write_mmio(address, data)
                    raw = RawExit(ExitReason.MMIO, MmioExit(True, address, data))
                # Where in the guest it was written nobody knows any more.
                self._log(raw, self.vcpu.rip, step, "coalesced, seen here")

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
            if raw.reason in _ACCESSES:
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
        assert isinstance(detail, MmioExit)
        if detail.write:
            self.bus.write_mmio(detail.address, detail.data)
            return raw
        data = self.bus.read_mmio(detail.address, len(detail.data))
        self.vcpu.answer(data)
        return RawExit(raw.reason, MmioExit(False, detail.address, data))

    def rewound(self, dropped: int) -> None:
        """Go on from where the board and the VCPU were put, less so many steps."""
        self._pending = self._awaits_key = False
        self.steps -= dropped
        if not self.board.has_left(self.vcpu.index):
            self.ending = None
            self.state = VcpuState.RUNNABLE
        if self.board.irqchip:
            state = irqchip.mp_state(self.vcpu.fd)
            self.state = irqchip.STATES.get(state, VcpuState.RUNNABLE)

    # -- stepping

    def set_stops(
        self,
        places: Sequence[Place] = (),
        watched: Sequence[tuple[int, int]] = (),
        accessed: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Let a slice of steps end where one of these is met.

        Args:
            places: linear addresses of CS:IP.
            watched: linear address and length of memory, which a step changes.
            accessed: the same, which it reads or writes; steps are slower then.
        """
        self._accessed = tuple(accessed)
        self.vcpu.set_stops(places, watched)

    def step(self, count: int, alone: bool = True) -> Slice:
        """Step at most `count` instructions; `steps` tells how many were.

        Args:
            count: how many.
            alone: no other VCPU waits for its turn.
        """
        if self.over:
            return Slice.ENDED
        if self.board.irqchip:
            self.look()
        elif not self._offer_interrupt():
            return Slice.WAITING
        try:
            if self.after_sti:
                return self._step_in_shadow()
            if self.state is VcpuState.RUNNABLE:
                return self._step(count)
            return self._wait(briefly=not alone)
        except DeviceError as failure:
            return self._failed(failure)

    def _begin_step(self) -> None:
        """Look at what a step that begins now may have to be compared with."""
        self._stop_came = False
        if self._accessed:
            self._before = self.vcpu.general_registers(), self.vcpu.segment_bases()

    def _step_in_shadow(self) -> Slice:
        """Step the instruction behind STI, which no interrupt may precede.

        Stopping between the two ends that protection (on VT-x too, arch/x86/kvm/vmx/vmx.c,
        vmx_vcpu_run), and a guest that halts there would miss what it waits for.
        """
        self.after_sti = False
        self.vcpu.shadowed = self.board.blocks_interrupts
        try:
            return self._step(1)
        finally:
            self.vcpu.shadowed = False

    def _step(self, count: int) -> Slice:
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
            self.vcpu.correct(whole - 1, self._delivered(self.vcpu.record(whole - 1)))
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

    def _delivered(self, record: Record) -> Record:
        """The record of a step that may have begun with an interrupt: with what was executed."""
        vcpu = self.vcpu
        after = vcpu.registers()
        handler = entered_handler(after, vcpu.interrupt_table, vcpu.read_linear)
        if handler is None:
            return record
        base = 0 if after.code_bits == 64 else after.cs.base
        code = vcpu.read_linear(base + handler, len(record.code))
        return record._replace(rip=handler, code=code, before=b"", bits=after.code_bits)

    def _count_steps(self, whole: int) -> None:
        if self._on_steps and whole:
            raw = self.vcpu.record_bytes[: whole * RECORD.size]
            self._on_steps(Steps(raw, self.board.steps, self.vcpu.index))
        self._counted(whole)

    def _counted(self, steps: int) -> None:
        self.steps += steps
        self.board.steps += steps

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
            if flags & INTERRUPTS and not after[RFLAGS] & INTERRUPTS:
                record = self._delivered(record)
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

    def _stop(self, record: Record, *, met: bool) -> Slice:
        """What comes of the step in `record`, when it is done."""
        if self._accessed:
            from kdash.backends.kvm.operands import accesses  # for those who watch

            self.accesses = tuple(
                one
                for one in accesses(record.code, record.bits, *self._before, record.registers)
                if any(
                    one.linear < start + length and start < one.linear + one.length
                    for start, length in self._accessed
                )
            )
        if not (met or self._stop_came or (self._accessed and self.accesses)):
            return Slice.AGAIN
        self.stepped_ip = record.rip
        return Slice.BREAKPOINT

    # -- endings

    def _check_end(self, ip: int) -> None:
        """End the run when a device was told to."""
        if self.board.keyboard.reset:
            self.settle()
            detail = f"reset by the keyboard controller at {ip:#x}"
            self._finish(Ending(Outcome.SYSTEM_EVENT, detail))
            return
        value = self.board.exit_port.value
        if value is not None:
            self.settle()
            self._finish(Ending(Outcome.EXIT_PORT, f"exit port: {value:#x} at {ip:#x}", value))

    def _end(self, raw: RawExit, ip: int, step: int | None, record: Record) -> None:
        if raw.reason == ExitReason.HLT and self._waits_for_interrupt():
            return
        in_bios = raw.reason == ExitReason.HLT and self._in_int_16h()
        if in_bios and self.board.keys_may_come:
            # Where KVM emulates, a HLT that was stepped is told once more, one instruction on.
            self._awaits_key = self.vcpu.rip == WAITS_AT
            if self._awaits_key:
                self._log(raw, ip, step)
            return
        raw, code = _failed_instruction(raw, ip, record)
        with self.board.lock:
            self._log(raw, ip, step, code)
            (told,) = self.log.latest(1)
        outcome = OUTCOMES.get(raw.reason, Outcome.UNHANDLED_EXIT)
        detail = f"{told.name} at {ip:#x}"
        if in_bios:
            detail = f"{detail}: the guest waits for a key"
        if outcome is not Outcome.HLT:
            detail = f"{detail}: {told.meaning.partition(': ')[2] or told.meaning}"
        self._finish(Ending(outcome, detail))

    def _in_int_16h(self) -> bool:
        """Whether the guest, a boot sector, halted because there is no key."""
        return self.board.awaits_key and self.vcpu.registers().cs.base == BIOS_SEGMENT << 4

    def _log(self, raw: RawExit, ip: int, step: int | None, code: str = "") -> None:
        self._stop_came = self._each_exit
        self.log.add(raw, ip, step, code, self.vcpu.index)

    def _finish(self, ending: Ending) -> None:
        """End this VCPU, and with it the run."""
        self.ending = ending
        self.state = VcpuState.HALTED if ending.outcome is Outcome.HLT else VcpuState.ENDED
        self.board.finish(self.vcpu.index, ending)

    def _failed(self, failure: DeviceError) -> Slice:
        """A device raised: nobody can answer the access, and the guest stays at it."""
        self._pending = False
        detail = f"{failure}, at {self.vcpu.rip:#x}"
        self._finish(Ending(Outcome.UNHANDLED_EXIT, detail, trace=failure.trace))
        return Slice.ENDED


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
