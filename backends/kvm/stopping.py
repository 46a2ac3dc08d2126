"""Lets a machine go up to its stop points: at full speed where that can be, else by steps.

At full speed, up to four breakpoints are in the debug registers of the VCPU, and exits are
looked at as they come. More breakpoints, and watched memory, are compared after every step by
the native loop; accesses are decoded before each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.facts import Exit
from kdash.backends.kvm.guest_debug import HARDWARE
from kdash.backends.kvm.moments import Moment
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.stop_events import Arrival
from kdash.backends.kvm.stop_requests import ExitFilter
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.stops import Stops, Verdict

#: Steps until the next look at commands, where nothing else ends a slice.
STEPS_A_SLICE: Final = 1 << 20


class Stopping:
    """Goes slices of one machine and tells which stop points ended them.

    Args:
        runner: drives the machine.
        stops: the guest's stop points; they outlive the machine.
        hardware: whether debug registers can be used for breakpoints.
    """

    def __init__(self, runner: Runner, stops: Stops, *, hardware: bool) -> None:
        self._runner = runner
        self._stops = stops
        self._hardware = hardware
        self._places: tuple[Place, ...] = ()
        self._places_of: int | None = None
        self._exits: ExitFilter | None = None
        self._leaving: set[int] = set()  # VCPUs at a breakpoint that was told already
        self._looks = False
        self.verdict = Verdict()
        self.vcpu: int | None = None  # the one that met the stop

    def begin(
        self,
        places: Sequence[Place] = (),
        exits: ExitFilter | None = None,
        vcpu: int | None = None,
    ) -> None:
        """Prepare to go; stop points changed later need `arm`.

        Args:
            places: further ones to stop at, for this time.
            exits: which exit to stop at, for this time.
            vcpu: the only one that `places` are meant for.
        """
        self._places, self._exits, self._places_of = tuple(places), exits, vcpu
        if len(self._runner.runners) == 1:
            self._leaving = {0}  # whoever lets it go sees where it stands
        self.verdict, self.vcpu = Verdict(), None
        self.arm()

    def arm(self) -> None:
        """Take over the stop points as they are now."""
        stops = self._stops
        known = [Place(linear) for linear in stops.breakpoints]
        for number, one in enumerate(self._runner.runners):
            meant = self._places if self._places_of in (None, number) else ()
            one.set_stops((*known, *meant), stops.watched, stops.accessed)
        stops.hardware = stops.breakpoints if self.full_speed else frozenset()
        looks = bool(stops.exits) or self._exits is not None
        if looks != self._looks:
            self._looks = looks
            for one in self._runner.runners:
                one.stop_at_exits(looks)

    @property
    def full_speed(self) -> bool:
        """Whether `run` goes at full speed; else it steps."""
        stops = self._stops
        if stops.watched or stops.accessed or self._places:
            return False
        count = len(stops.breakpoints)
        return not count or (self._hardware and count <= HARDWARE)

    # -- going

    def run(self) -> Slice:
        """One slice as fast as can be."""
        if not self.full_speed:
            return self.step(STEPS_A_SLICE)
        armed = tuple(sorted(self._stops.hardware))
        if armed and self._leaving:
            return self._leave(armed)
        for one in self._runner.runners:
            one.vcpu.wanted_hardware = armed
        seen = self._runner.log.next_index
        return self._judged(self._runner.run(), seen)

    def _leave(self, armed: tuple[int, ...]) -> Slice:
        """Step off a breakpoint: in a debug register it would stop the guest again at once.

        Hosts differ in whether RFLAGS.RF holds it back, so that is not relied on.
        """
        for number in sorted(self._leaving):
            one = self._runner.runners[number]
            if not one.over and one.vcpu.registers().linear_ip in armed:
                before, seen = one.steps, self._runner.log.next_index
                end = self._runner.step(1, number)
                if one.steps == before:
                    return end
                self._leaving.discard(number)
                if (end := self._judged(end, seen)) in (Slice.BREAKPOINT, Slice.ENDED):
                    return end
            self._leaving.discard(number)
        return Slice.ENDED if self._runner.ending else Slice.AGAIN

    def step(self, count: int, only: int | None = None) -> Slice:
        """One slice of at most `count` steps, of one VCPU alone or of all in turn."""
        self._leaving.clear()
        seen = self._runner.log.next_index
        return self._judged(self._runner.step(count, only), seen)

    def _judged(self, end: Slice, seen: int) -> Slice:
        """A slice that ended at what no condition holds for has only paused."""
        if end is not Slice.BREAKPOINT:
            return end
        exits: tuple[Exit, ...] = ()
        if self._looks:
            self._runner.settle()
            if self._runner.ending:
                return Slice.ENDED
            exits = self._runner.log.latest(self._runner.log.next_index - seen)
        self._leaving |= set(self._runner.met)
        verdicts = [self._judge(number, exits) for number in self._runner.met]
        stopping = [one for one in verdicts if one is not None]
        if not stopping:
            return Slice.AGAIN
        self.vcpu, self.verdict = stopping[0]
        for _, verdict in stopping[1:]:
            numbers = {*self.verdict.numbers, *verdict.numbers}
            self.verdict = Verdict(tuple(sorted(numbers)), self.verdict.text or verdict.text)
        return Slice.BREAKPOINT

    def _judge(self, number: int, exits: Sequence[Exit]) -> tuple[int, Verdict] | None:
        """The VCPU and why it stops; None: it goes on."""
        runner = self._runner.runners[number]
        registers = runner.vcpu.registers()
        exits = [one for one in exits if one.vcpu == number]
        stepped = runner.stepped_ip is not None
        verdict = self._stops.judge(
            Arrival(
                Moment(registers, runner.vcpu.read_linear),
                runner.vcpu.changes() if stepped else (),
                runner.accesses if stepped else (),
                exits,
                runner.stepped_ip,
            )
        )
        wanted = self._exits
        if wanted is not None and (found := [one for one in exits if wanted.matches(one)]):
            return number, Verdict(verdict.numbers, verdict.text or found[0].meaning)
        arrived = self._places_of in (None, number) and any(
            registers.linear_ip == place.linear and registers.rsp >= place.minimum_sp
            for place in self._places
        )
        return (number, verdict) if arrived or verdict.numbers else None
