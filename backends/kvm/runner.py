"""A machine with its devices, run in slices: at full speed or step by step.

A slice returns after one native batch or one exit, so that whoever drives it can look at
its watch, take commands, or show what is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from kdash.backends.kvm.board import Board, Ending, OnExit, OnSteps, Slice
from kdash.backends.kvm.crew import Crew
from kdash.backends.kvm.facts import Outcome, VcpuState
from kdash.backends.kvm.kvm_runner import KvmVcpuRunner
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu_runner import VcpuRunner

__all__ = ["Ending", "OnExit", "OnSteps", "Runner", "Slice"]

#: Instructions a VCPU steps before the next one's turn: few enough that one that waits for
#: another does not wait long, enough that changing over costs little.
TURN: Final = 32
#: Slices a second of several VCPUs, unless `start_ticks` says otherwise.
SLICES: Final = 20


class Runner:
    """Drives one machine: the board its VCPUs share, and each of them.

    At full speed several VCPUs run in a thread each; stepped they take turns in the
    caller's. Between two slices all of them stand still.

    Args:
        machine: with the guest at its entry; closed by its owner.
        on_steps: told of every logical step.
        on_exit: told of every exit, which is then slower.
        devices: further ones; they take over what the built-in ones claim.
        drive: the class that drives one VCPU.

    Raises:
        GuestError: when the devices don't fit together or into the machine.
    """

    def __init__(
        self,
        machine: Machine,
        on_steps: OnSteps | None = None,
        on_exit: OnExit | None = None,
        devices: Sequence[DeviceClass] = (),
        drive: type[VcpuRunner[Any]] = KvmVcpuRunner,
    ) -> None:
        self.machine = machine
        self.vcpu = machine.vcpu
        self.board = Board(machine, on_exit, devices)
        self.serial = self.board.serial
        self.debug_port = self.board.debug_port
        self.bios = self.board.bios
        self.log = self.board.log
        self.runners = tuple(drive(self.board, vcpu, on_steps) for vcpu in machine.vcpus)
        self.seconds = 0.0  # spent executing
        self.met: tuple[int, ...] = ()  # the VCPUs that met a stop in the last slice
        self._turn = 0  # the VCPU whose turn it is in stepping
        self._slices = SLICES
        self._crew: Crew | None = None
        self.board.interrupt = self.kick
        if len(self.runners) > 1:
            self._crew = Crew(self.runners)
            self.board.ended = self._crew.wake
            machine.at_close(self._crew.close)

    @property
    def ending(self) -> Ending | None:
        """How the run ended; None: it has not."""
        return self.board.ending

    @property
    def steps(self) -> int:
        """Logical steps of all VCPUs."""
        return self.board.steps

    def run(self) -> Slice:
        """Run all VCPUs at full speed until something happens.

        With interrupt controllers in the kernel a guest that halts waits there, so that
        `start_ticks` or a kick must bring the slice back.
        """
        return self._ended_if_asleep(self._timed(self._run))

    def step(self, count: int, only: int | None = None) -> Slice:
        """Step at most `count` instructions; `steps` tells how many were.

        Args:
            count: instructions of all VCPUs together.
            only: the VCPU to step; all that can run take turns unless given.
        """
        self.met = ()
        alone = only is not None or len(self.runners) == 1
        if alone:
            self._turn = only or 0
        end = self._timed(lambda: (self._step_one if alone else self._step_in_turn)(count))
        return self._ended_if_asleep(end)

    def _ended_if_asleep(self, end: Slice) -> Slice:
        """End the run when all VCPUs that started have halted and nothing can wake them."""
        if not self.board.irqchip or self.ending:
            return end
        if end is not Slice.KICKED and not any(one.halted for one in self.runners):
            return end
        for one in self.runners:
            one.look()
        started = [one for one in self.runners if one.state is not VcpuState.WAITING]
        if not all(one.sleeps for one in started):
            return end
        for one in self.runners:
            if one.state is VcpuState.WAITING:
                self.board.leave_out(one.vcpu.index)
        for one in started:
            one.halt()
        return Slice.ENDED

    def _timed(self, go: Callable[[], Slice]) -> Slice:
        began = time.perf_counter()
        try:
            return go()
        finally:
            if self.ending:
                self.machine.serve_events()
            self.seconds += time.perf_counter() - began

    def _run(self) -> Slice:
        self.met = ()
        if self._crew is None:
            end = self.runners[0].run()
            if end is Slice.BREAKPOINT:
                self.met = (0,)
            return end
        if self.ending is None:
            self.met = self._crew.go(1 / self._slices)
        if self.ending:
            return Slice.ENDED
        if self.met:
            return Slice.BREAKPOINT
        return Slice.WAITING if self._crew.waiting else Slice.KICKED

    def _step_one(self, count: int, alone: bool = True) -> Slice:
        end = self.runners[self._turn].step(count, alone)
        if end is Slice.BREAKPOINT:
            self.met = (self._turn,)
        return end

    def _step_in_turn(self, count: int) -> Slice:
        last = self.steps + count
        idle = 0  # turns without a step
        while self.steps < last and idle < len(self.runners):
            before = self.steps
            one = self.runners[self._turn]
            end = self._step_one(min(last - before, TURN), alone=False)
            if self.ending:
                return Slice.ENDED
            kicked = end is Slice.KICKED and one.state is VcpuState.RUNNABLE
            if kicked or end is Slice.BREAKPOINT:
                return end
            idle = 0 if self.steps > before else idle + 1
            self._turn = (self._turn + 1) % len(self.runners)
        return Slice.AGAIN

    def set_stops(
        self,
        places: Sequence[Place] = (),
        watched: Sequence[tuple[int, int]] = (),
        accessed: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Let slices of steps end where one of these is met; see VcpuRunner."""
        for one in self.runners:
            one.set_stops(places, watched, accessed)

    def settle(self) -> None:
        """Let KVM finish the accesses that were answered last, executing nothing after them."""
        for one in self.runners:
            one.settle()

    def rewound(self, dropped: Sequence[int]) -> None:
        """Go on as the board says after it was restored, less so many steps of each VCPU."""
        for one, steps in zip(self.runners, dropped, strict=True):
            one.rewound(steps)

    def stop(self, outcome: Outcome, detail: str) -> None:
        """End the run from outside: timeout, step limit, signal."""
        self.settle()
        self.machine.serve_events()
        self.board.end(Ending(outcome, detail))

    # -- interruption

    def kick(self) -> None:
        """Make a slice return soon, or the next one at once; from any thread."""
        for one in self.runners:
            one.vcpu.kick()
        if self._crew:
            self._crew.wake()

    def start_ticks(self, hertz: int) -> None:
        """Make slices in the calling thread return regularly until `stop_ticks`."""
        self._slices = hertz
        self.vcpu.start_ticks(hertz)  # for whichever VCPU that thread runs

    def stop_ticks(self) -> None:
        """End the regular returns."""
        self.vcpu.stop_ticks()
