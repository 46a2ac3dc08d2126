"""A run that a person guides: paces, breakpoints, what changed, snapshots.

Used by one thread; session.py brings the commands there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kdash.backends.kvm.facts import (
    KEY_WANTED,
    RunState,
    Snapshot,
)
from kdash.backends.kvm.live_run import LiveRun
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.snapshots import Snapshots, Standing
from kdash.backends.kvm.stopping import STEPS_A_SLICE, Stopping
from kdash.backends.kvm.stops import Verdict
from kdash.backends.kvm.travel import Search, Travel

#: Kicks a second while the guest goes, each a chance to show it and to take commands.
TICKS: Final = 20


class GuidedRun(LiveRun):
    """One guest, its machine, and how far it shall run.

    Raises:
        KvmError: when KVM can't be used.
        GuestError: when a device does not fit, or a register can't be set.
    """

    def _begin_machine(self, machine: Machine) -> None:
        super()._begin_machine(machine)
        self._snapshots = Snapshots(self._guest, self._engine, self._runner, self._past, self.stops)
        self._state = RunState.READY
        self._left: int | None = None
        self._stopping = Stopping(self._runner, self.stops, hardware=machine.hardware_breakpoints)
        self._began = 0, 0.0  # steps and seconds when it was let go
        self._fast = False  # whether it goes at full speed, or did last
        self._stopping.arm()

    @property
    def free(self) -> bool:
        """Whether it goes until a breakpoint or the end."""
        pace = self._pace  # another thread may ask
        return pace is not None and pace.is_free

    def kick(self) -> None:
        """Make `advance` return soon; from any thread while the machine is there."""
        self._runner.kick()

    # -- going

    def begin(self, pace: Pace) -> None:
        """Set a pace; `advance` then goes it. Nothing happens after the end of a run.

        In the past it goes through the recording, and on where that ends.
        """
        if (self._runner.ending or self.broken) and not self._past.active:
            return
        self._runner.settle()
        self._past.begin()
        self._past.settle()
        self._remember()
        pace = self._set_places(pace)
        self._pace = pace
        self._left = pace.steps
        self._state = RunState.RUNNING
        self._began = self._runner.steps, self._runner.seconds
        self._fast = False
        self._stopping.begin(self._places, pace.exits, self._selected if pace.over else None)
        self._runner.start_ticks(TICKS)

    def advance(self) -> bool:
        """Go one slice of the pace; whether there is more to go.

        Raises:
            KvmError: when KVM refuses to go on; the run is `broken` then.
        """
        if self._pace is None:
            return False
        try:
            end = self._slice(self._pace)
        except BaseException:
            self._pace, self.broken = None, True
            self._runner.stop_ticks()
            raise
        self.waiting = end is Slice.WAITING
        if end in (Slice.ENDED, Slice.BREAKPOINT) or self._left == 0:
            self.stop()
        return self.going

    def _slice(self, pace: Pace) -> Slice:
        if self._past.active:
            return self._replay(pace)
        before, self._fast = self._runner.steps, False
        if pace.is_free and not pace.stepped:
            self._fast = self._stopping.full_speed
            end = self._stopping.run()
        elif self._left is None:
            end = self._stopping.step(STEPS_A_SLICE)
        else:
            end = self._stopping.step(self._left, only=self._selected)
            self._left -= self._runner.steps - before
        if end is Slice.BREAKPOINT and self._stopping.vcpu is not None:
            self._selected = self._stopping.vcpu
        return end

    def _replay(self, pace: Pace) -> Slice:
        """A slice of the recording; what it leaves of the pace is gone live."""
        search = Search(self.stops, self._places, pace.exits)
        travel = self._past.travel
        end, passed = travel.replay(search, self._left)
        if self._left is not None:
            self._left -= passed
        self._selected = travel.arrived
        self._stopping.verdict = Verdict(travel.met, travel.why)
        self._fast = not self._past.active and self._past.by_run
        over = self._runner.ending and not self._past.active
        return Slice.ENDED if over and end is Slice.AGAIN else end

    def stop(self) -> None:
        """Stop between two instructions."""
        if self._pace is None:
            return
        self._pace = None
        self.waiting = False
        self._runner.stop_ticks()
        self._runner.settle()
        self._past.settle(ran=self._fast and self._runner.seconds > self._began[1])
        self._state = RunState.STOPPED

    # -- going back

    def _go_back(self, go: Callable[[Travel], object]) -> None:
        self.stop()
        travel = self._past.travel
        self._remember()
        go(travel)
        self._stopping.verdict = Verdict(travel.met, travel.why)
        if self._past.active:
            self._selected = travel.vcpu
        self._state = RunState.STOPPED

    def save(self, path: str, moment_only: bool = False) -> None:
        """Write what is recorded, or the moment shown, to a file.

        Raises:
            NotRecorded: when that is off.
            GuestFileError: when it can't be written.
        """
        self.stop()
        self._past.save(path, moment_only=moment_only)

    def run_from_here(self) -> None:
        """Make the moment shown the guest's state; what came later is forgotten.

        Raises:
            KvmError: when KVM refuses a state.
        """
        self.stop()
        self._resume()
        self._state = RunState.STOPPED

    # -- looking

    def _arm(self) -> None:
        self._stopping.arm()

    def snapshot(self) -> Snapshot:
        """All there is to show now."""
        over = bool(self._runner.ending or self.broken) and not self._past.active
        if self._pace is None and over:
            self._state = RunState.ENDED
        self._pass_output_on()
        verdict = self._stopping.verdict
        return self._snapshots.take(
            Standing(
                state=self._state,
                vcpu=self._selected,
                before=self._before[self._selected],
                detail=KEY_WANTED if self.waiting else verdict.text,
                stopped_at=verdict.numbers,
                step_rate=self._step_rate(),
                full_speed=self._at_full_speed(),
            )
        )

    def _at_full_speed(self) -> bool:
        """Whether a run at full speed goes on, or is the last that happened to the guest."""
        if self._past.active and not self.going:
            self._fast = self._past.by_run  # who goes on from there has this behind him
        return self._fast

    def _step_rate(self) -> float:
        """Steps a second since the guest was let go; 0 where it was not stepped."""
        steps, seconds = self._began
        seconds = self._runner.seconds - seconds
        return (self._runner.steps - steps) / seconds if seconds > 0 else 0.0
