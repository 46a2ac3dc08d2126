"""Snapshots of a guest: what the run, its recording and its stop points show at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from kdash.backends.kvm import disassembly
from kdash.backends.kvm.facts import Instruction, Registers, RunState, Snapshot, VcpuBrief
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.past import Past
from kdash.backends.kvm.registers import changed
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.stops import Stops
from kdash.backends.kvm.text_screen import ScreenReader

#: Exits in a snapshot.
EXITS: Final = 200
#: Exits in a snapshot of a guest that makes more than that between two of them.
FLOOD: Final = 40
#: Bytes of serial output in a snapshot.
SERIAL: Final = 64 * 1024
#: Seconds a stopped guest is shown later at most, for the sake of its source lines.
LINES_WAIT: Final = 0.15


@dataclass(frozen=True, slots=True)
class Standing:
    """How a guided run stands."""

    state: RunState
    vcpu: int  # the one selected
    before: Registers  # of it, against which changes are told
    detail: str  # why it stands there, where it has not ended
    stopped_at: tuple[int, ...]  # numbers of the stop points met
    step_rate: float  # steps a second
    full_speed: bool = False  # as of Snapshot


class Snapshots:
    """Takes them; of the moment shown, where that is in the past.

    Args:
        guest: what runs.
        engine: what executes it.
        runner: drives it.
        past: its recording.
        stops: its stop points.
    """

    def __init__(self, guest: Guest, engine: str, runner: Runner, past: Past, stops: Stops) -> None:
        self._guest = guest
        self._engine = engine
        self._runner = runner
        self._past = past
        self._stops = stops
        self._screen = ScreenReader(past)
        self._told = 0  # exits there had been at the last one

    def take(self, now: Standing) -> Snapshot:
        """All there is to show."""
        runner, past = self._runner, self._past
        registers = past.registers(now.vcpu)
        ending = None if past.active else runner.ending
        serial, debug_port, teletype = past.sent()
        return Snapshot(
            guest=self._guest.title,
            engine=self._engine,
            state=now.state,
            steps=past.steps,
            exits_total=past.exits_total,
            exit_counts=() if past.active else runner.log.counted(),
            seconds=runner.seconds,
            registers=registers,
            changed=changed(now.before, registers),
            disassembly=self._code(now, registers),
            exits=past.exits(self._exits_wanted(now.state)),
            serial=serial[-SERIAL:],
            outcome=ending.outcome if ending else None,
            detail=ending.detail if ending else now.detail,
            exit_value=ending.value if ending else 0,
            failure=f"{ending.detail}\n{ending.trace}" if ending and ending.trace else "",
            breakpoints=self._breakpoints(registers),
            stops=self._stops.points,
            stopped_at=now.stopped_at,
            step_rate=now.step_rate,
            full_speed=now.full_speed,
            screen=self._screen.read(),
            debug_port=debug_port[-SERIAL:],
            teletype=teletype[-SERIAL:],
            vcpu=now.vcpu,
            vcpus=self._briefs(),
            recording=past.view(),
            unrecorded=past.why_not,
        )

    def _exits_wanted(self, state: RunState) -> int:
        """Telling an exit takes longer than making one; of many the screen shows the last."""
        log = self._runner.log
        came, self._told = log.next_index - self._told, log.next_index
        return FLOOD if came > EXITS and state is RunState.RUNNING else EXITS

    def _code(self, now: Standing, registers: Registers) -> tuple[Instruction, ...]:
        """Instructions around CS:IP with symbols and source lines."""
        guest = self._guest
        read = partial(self._past.read_linear, now.vcpu)
        begin = guest.symbols.begin(registers.rip)
        around = disassembly.around(registers, read, guest.load, begin=begin)
        found = disassembly.named(around, guest.symbols)
        if guest.lines is None:
            return found
        return guest.lines.of(found, 0.0 if now.state is RunState.RUNNING else LINES_WAIT)

    def _briefs(self) -> tuple[VcpuBrief, ...]:
        if len(self._runner.runners) == 1:
            return ()
        return tuple(self._past.brief(one.brief()) for one in self._runner.runners)

    def _breakpoints(self, registers: Registers) -> frozenset[int]:
        """RIP values of the breakpoints in the code segment there is now."""
        base = registers.linear_ip - registers.rip
        return frozenset(linear - base for linear in self._stops.breakpoints if linear >= base)
