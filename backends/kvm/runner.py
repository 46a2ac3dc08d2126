"""A machine with its devices, run in slices: at full speed or step by step.

A slice returns after one native batch or one exit, so that whoever drives it can look at
its watch, take commands, or show what is known.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from kdash.backends.kvm.board import Board, Ending, OnExit, OnSteps, Slice
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu_runner import VcpuRunner

__all__ = ["Ending", "OnExit", "OnSteps", "Runner", "Slice"]


class Runner:
    """Drives one machine: the board its VCPUs share, and each of them.

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
        drive: type[VcpuRunner] = VcpuRunner,
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

    @property
    def ending(self) -> Ending | None:
        """How the run ended; None: it has not."""
        return self.board.ending

    @property
    def steps(self) -> int:
        """Logical steps of all VCPUs."""
        return self.board.steps

    def run(self) -> Slice:
        """Run at full speed until something happens."""
        began = time.perf_counter()
        try:
            return self.runners[0].run()
        finally:
            self.seconds += time.perf_counter() - began

    def step(self, count: int) -> Slice:
        """Step at most `count` instructions; `steps` tells how many were."""
        began = time.perf_counter()
        try:
            return self.runners[0].step(count)
        finally:
            self.seconds += time.perf_counter() - began

    def set_stops(self, stops: tuple[tuple[int, int], ...]) -> None:
        """Stop stepping where RIP is the first of a pair and RSP at least the second."""
        for one in self.runners:
            one.set_stops(stops)

    def settle(self) -> None:
        """Let KVM finish the accesses that were answered last, executing nothing after them."""
        for one in self.runners:
            one.settle()

    def stop(self, outcome: Outcome, detail: str) -> None:
        """End the run from outside: timeout, step limit, signal."""
        self.settle()
        self.board.end(Ending(outcome, detail))

    # -- interruption

    def kick(self) -> None:
        """Make a slice return soon, or the next one at once; from any thread."""
        self.vcpu.kick()

    def start_ticks(self, hertz: int) -> None:
        """Make slices in the calling thread return regularly until `stop_ticks`."""
        self.vcpu.start_ticks(hertz)

    def stop_ticks(self) -> None:
        """End the regular returns."""
        self.vcpu.stop_ticks()
