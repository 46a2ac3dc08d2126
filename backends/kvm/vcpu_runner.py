"""One VCPU of a machine, run in slices: what all engines do alike.

An engine runs and steps it in a class of its own (kvm_runner.py, emulated_runner.py). A slice
returns after one batch or one exit. What it does to devices, log and ending it does under the
board's lock, since every VCPU of the machine may.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic

from kdash.backends.kvm.bios_layout import BIOS_SEGMENT, WAITS_AT
from kdash.backends.kvm.board import Board, Ending, OnSteps, Slice
from kdash.backends.kvm.endings import ending_of, failed_instruction
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import (
    ExitReason,
    Outcome,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.guest_machine import VcpuT
from kdash.backends.kvm.records import (
    REGISTER_NAMES,
    Record,
)
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.user_devices import DeviceError

RFLAGS: Final = REGISTER_NAMES.index("rflags")
INTERRUPTS: Final = 1 << 9  # RFLAGS.IF

if TYPE_CHECKING:
    from kdash.backends.kvm.operands import Access


class VcpuRunner(ABC, Generic[VcpuT]):
    """Drives one VCPU, from one thread at a time.

    Args:
        board: what it shares with the machine's other VCPUs.
        vcpu: the VCPU.
        on_steps: told of every logical step.
    """

    def __init__(self, board: Board, vcpu: VcpuT, on_steps: OnSteps | None = None) -> None:
        self.board = board
        self.vcpu: VcpuT = vcpu
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
        self._awaits_key = False  # halted in int 16h
        self.after_sti = False  # the last step was STI
        self._ip = vcpu.rip  # of the instruction being stepped
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

    @abstractmethod
    def look(self) -> None:
        """See whether KVM has the VCPU halted or waiting."""

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

    @abstractmethod
    def halt(self) -> None:
        """End the VCPU at the HLT it sleeps in."""

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
                self.board.halt(self.vcpu.index, False)
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
            with self.board.lock:
                self.board.halt(self.vcpu.index, True)
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

    @abstractmethod
    def _run(self) -> Slice:
        """One slice at full speed of a VCPU that has not ended."""

    @abstractmethod
    def settle(self) -> None:
        """Finish the access that was answered last, executing nothing after it."""

    def rewound(self, dropped: int) -> None:
        """Go on from where the board and the VCPU were put, less so many steps."""
        self._awaits_key = False
        self.steps -= dropped
        if not self.board.has_left(self.vcpu.index):
            self.ending = None
            halted = self.board.has_halted(self.vcpu.index)
            self.state = VcpuState.HALTED if halted else VcpuState.RUNNABLE

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
        if accessed:
            from kdash.backends.kvm.operands import prepare  # for those who watch

            prepare()
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
            return Slice.ENDED if self.ending else Slice.WAITING
        try:
            if self.after_sti:
                return self._step_in_shadow()
            if self.state is VcpuState.RUNNABLE:
                return self._step(count)
            return self._wait(briefly=not alone)
        except DeviceError as failure:
            return self._failed(failure)

    @abstractmethod
    def _step(self, count: int) -> Slice:
        """One slice of at most `count` steps."""

    def _wait(self, briefly: bool) -> Slice:  # noqa: ARG002 - for engines that can wait
        """Go on with a VCPU that has halted or never started, if an interrupt comes."""
        return Slice.WAITING

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

    def _counted(self, steps: int) -> None:
        self.steps += steps
        self.board.steps += steps

    def _stop(self, record: Record, *, met: bool) -> Slice:
        """What comes of the step in `record`, when it is done."""
        if self._accessed:
            from kdash.backends.kvm.operands import accesses  # for those who watch

            done = accesses(record.code, record.bits, *self._before, record.registers)
            self.accesses = tuple(one for one in done if self._is_watched(one))
        if not (met or self._stop_came or (self._accessed and self.accesses)):
            return Slice.AGAIN
        self.stepped_ip = record.rip
        return Slice.BREAKPOINT

    def _is_watched(self, access: Access) -> bool:
        end = access.linear + access.length
        return any(
            access.linear < start + length and start < end for start, length in self._accessed
        )

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
        raw, code = failed_instruction(raw, ip, record)
        with self.board.lock:
            self._log(raw, ip, step, code)
            (told,) = self.log.latest(1)
        self._finish(ending_of(told, raw.reason, ip, waits_for_key=in_bios))

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

    def _failed(self, failure: DeviceError, ip: int | None = None) -> Slice:
        """A device raised: nobody can answer the access of the instruction at `ip`, or RIP."""
        detail = f"{failure}, at {self.vcpu.rip if ip is None else ip:#x}"
        self._finish(Ending(failure.outcome, detail, trace=failure.trace))
        return Slice.ENDED
