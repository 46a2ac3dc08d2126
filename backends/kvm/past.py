"""The guest as it is shown: live, or at a moment of its recorded past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from kdash.backends.kvm import disassembly
from kdash.backends.kvm.conditions import Moment
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import (
    Exit,
    NotRecorded,
    RecordingView,
    Registers,
    StopKind,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorder import Recorder, devices_of, exits_before, exits_of
from kdash.backends.kvm.recording import LIMIT, Recording
from kdash.backends.kvm.runner import Runner, Slice
from kdash.backends.kvm.stop_requests import ExitFilter
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.stops import Arrival, Stops

#: RAM up to which a guest is recorded unless told otherwise: its copy takes as much again,
#: and making it delays the first step by about a millisecond for each MiB that is used.
MOST_RAM: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Search:
    """What going through the past stops at."""

    stops: Stops
    places: tuple[Place, ...] = ()
    exits: ExitFilter | None = None

    def __bool__(self) -> bool:
        return bool(self.stops or self.places or self.exits is not None)


class Past:
    """Where a guest that is guided is shown, and how it goes back and forth.

    Args:
        machine: the machine.
        runner: what drives it.
        engine: KVM or EMULATOR.
        record: whether to record; None: where the guest has little memory.
        limit: bytes of history.
    """

    def __init__(
        self,
        machine: Machine,
        runner: Runner,
        engine: str,
        record: bool | None = None,
        limit: int = LIMIT,
    ) -> None:
        self._machine = machine
        self._runner = runner
        self._limit = limit
        self._recorder: Recorder | None = None
        self.why_not = _why_not(machine, engine, record)

    def close(self) -> None:
        """Forget everything; more than once does no harm."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    # -- recording

    def begin(self) -> None:
        """Record from here on, unless that is off or done already.

        Raises:
            KvmError: when that can't be.
        """
        if self._recorder is None and not self.why_not:
            self._recorder = Recorder(self._machine, self._runner.board, self._limit)

    def settle(self) -> None:
        """Keep what a run at full speed did; the guest stands still."""
        if self._recorder is not None and not self.active:
            self._recorder.settle()

    def edited(self) -> None:
        """Keep what a person changed."""
        if self._recorder is not None:
            self._recorder.edited()

    @property
    def recording(self) -> Recording:
        """What is recorded.

        Raises:
            NotRecorded: when nothing is.
        """
        if self._recorder is None:
            raise NotRecorded(self.why_not or "nothing is recorded yet: step or run the guest")
        return self._recorder.recording

    # -- what is shown

    @property
    def active(self) -> bool:
        """Whether a moment in the past is shown."""
        return self._recorder is not None and self._recorder.recording.in_past

    def view(self) -> RecordingView | None:
        """What is recorded; None: nothing."""
        if self._recorder is None:
            return None
        return self._recorder.view()

    def registers(self, vcpu: int) -> Registers:
        """A VCPU's registers."""
        if self.active:
            return self.recording.registers(vcpu)
        return self._machine.vcpus[vcpu].registers()

    def read_linear(self, vcpu: int, linear: int, length: int) -> bytes:
        """Memory as a VCPU sees it, up to the first byte that is not mapped."""
        if self.active:
            return self.recording.read_linear(linear, length, vcpu)
        return self._machine.vcpus[vcpu].read_linear(linear, length)

    def read(self, physical: int, length: int) -> bytes:
        """Memory by guest-physical address; IndexError where there is none."""
        return (self.recording if self.active else self._machine.memory).read(physical, length)

    def exits(self, count: int) -> tuple[Exit, ...]:
        """The last exits before the moment shown, oldest first."""
        if self.active:
            return exits_before(self.recording, self.recording.position, count)
        return self._runner.log.latest(count)

    @property
    def exits_total(self) -> int:
        """Exits up to the moment shown."""
        if not self.active:
            return self._runner.log.total
        return sum(count for _, count in devices_of(self.recording)["log"]["counts"])

    @property
    def steps(self) -> int:
        """Logical steps up to the moment shown."""
        return self.recording.steps if self.active else self._runner.steps

    def sent(self) -> tuple[bytes, bytes, bytes]:
        """What the guest had sent: serial port, debug ports, printed by BIOS calls."""
        runner = self._runner
        text = runner.bios.text.sent if runner.bios else None
        if not self.active:
            return bytes(runner.serial.sent), bytes(runner.debug_port.sent), bytes(text or b"")
        state = devices_of(self.recording)
        return (
            runner.serial.sent.until(state["serial"]["sent"]),
            runner.debug_port.sent.until(state["debug_port"]["sent"]),
            text.until(state["bios"]["sent"]) if text is not None else b"",
        )

    @property
    def vcpu(self) -> int:
        """The VCPU whose step begins at the moment shown."""
        return self.recording.vcpu_at(self.recording.position)

    @property
    def arrived(self) -> int:
        """The VCPU whose step led to the moment shown."""
        return self.recording.vcpu_at(max(self.recording.position - 1, self.recording.first))

    @property
    def future(self) -> str:
        """What going on from the moment shown would forget, in words."""
        lost = self.recording.last - self.recording.position
        steps = "step" if lost == 1 else f"{lost} steps"
        return f"at step {self.steps} forgets the {steps} recorded after it"

    def brief(self, live: VcpuBrief) -> VcpuBrief:
        """A VCPU at the moment shown."""
        if not self.active:
            return live
        registers = self.recording.registers(live.index)
        return replace(live, registers=registers, state=VcpuState.RUNNABLE, detail="")

    def check(self) -> None:
        """See that there is a past.

        Raises:
            NotRecorded: when there is none.
        """
        _ = self.recording

    # -- going

    def seek(self, moment: int) -> int:
        """Show the moment nearest to `moment`."""
        return self.recording.seek(moment)

    def back(self, count: int) -> None:
        """Go so many moments back, at most to the first."""
        self.seek(max(self.recording.position - count, 0))

    def back_over(self, vcpu: int) -> None:
        """Go one step back, over a call that has just returned to before it."""
        recording = self.recording
        before = recording.registers(vcpu)
        self.back(1)
        if recording.vcpu_at(recording.position) != vcpu:
            return
        at = recording.registers(vcpu)
        code = recording.read_linear(at.linear_ip, disassembly.LONGEST, vcpu)
        if before == at or not disassembly.returns(code, at.rip, at.code_bits):
            return
        # The return address lies at RSP; before it was pushed RSP was above.
        found = recording.find(backwards=True, above=(vcpu, at.rsp))
        if found is not None:
            recording.seek(found)

    def back_to(self, search: Search) -> bool:
        """Go back to what is searched for; False: none, the first moment is shown."""
        found = self._nearest(search, backwards=True)
        self.seek(self.recording.first if found is None else found)
        return found is not None

    def replay(self, search: Search, count: int | None) -> tuple[Slice, int]:
        """Show what comes next, executing nothing: to a stop, so many moments, or all of it.

        Returns:
            BREAKPOINT at a stop, else AGAIN; and the moments passed.
        """
        recording = self.recording
        began = recording.position
        end = recording.last if count is None else min(began + count, recording.last)
        found = self._nearest(search, backwards=False)
        recording.seek(began)
        if found is not None and found <= end:
            return Slice.BREAKPOINT, recording.seek(found) - began
        return Slice.AGAIN, recording.seek(end) - began

    def _nearest(self, search: Search, *, backwards: bool) -> int | None:
        """The next moment that a search stops at; some other moment is shown then."""
        if not search:
            return None
        recording = self.recording
        while (found := self._candidate(search, backwards)) is not None:
            recording.seek(found)
            if self._stops(search, found, backwards):
                return found
            recording.seek(found)
        return None

    def _candidate(self, search: Search, backwards: bool) -> int | None:
        """The next moment worth a look."""
        recording = self.recording
        stops = search.stops
        if stops.accessed:
            moment = recording.position + (-1 if backwards else 1)
            return moment if recording.first <= moment <= recording.last else None
        places = [(linear, 0) for linear in stops.breakpoints]
        return recording.find(
            backwards=backwards,
            stops=[*places, *search.places],
            changed=[part for watch in stops.watched for part in self._physical(*watch)],
            exits=bool(stops.exits) or search.exits is not None,
        )

    def _physical(self, linear: int, length: int) -> Iterator[tuple[int, int]]:
        """Where watched memory is, as the moment shown maps it, page by page."""
        end = linear + length
        while linear < end:
            part = min(PAGE - linear % PAGE, end - linear)
            physical = self.recording.translate(linear, self.vcpu)
            if physical is not None:
                yield physical, part
            linear += part

    def _stops(self, search: Search, moment: int, backwards: bool) -> bool:
        """Whether the search stops at a moment: where it came, or by the step that is passed."""
        recording = self.recording
        vcpu = recording.vcpu_at(max(moment - 1, recording.first))
        here = self._moment(moment, vcpu)
        registers = here.registers
        if any(
            registers.linear_ip == place.linear and registers.rsp >= place.minimum_sp
            for place in search.places
        ):
            return True
        if backwards and search.stops.would_stop(Arrival(here)):
            return True
        step = moment if backwards else moment - 1
        by = recording.vcpu_at(step)
        exits = exits_of(recording, step)
        if search.exits is not None and any(search.exits.matches(one) for one in exits):
            return True
        before, after = self._moment(step, by), self._moment(step + 1, by)
        arrival = search.stops.of_step(before, after, exits)
        met = set(search.stops.would_stop(arrival))
        if backwards:  # where that step led to is no news
            met -= {one.number for one in search.stops.points if one.kind is StopKind.BREAKPOINT}
        return bool(met)

    def _moment(self, moment: int, vcpu: int) -> Moment:
        recording = self.recording
        recording.seek(moment)

        def read(linear: int, length: int) -> bytes:
            recording.seek(moment)
            return recording.read_linear(linear, length, vcpu)

        return Moment(recording.registers(vcpu), read)

    def resume(self) -> None:
        """Put the machine into the moment shown; what came later is forgotten.

        Raises:
            KvmError: when KVM refuses a state.
        """
        if self._recorder is not None and self.active:
            self._recorder.restore()
            self._runner.rewound()


def _why_not(machine: Machine, engine: str, record: bool | None) -> str:
    """What keeps a guest from being recorded; empty: nothing."""
    if record is False:
        return "nothing is recorded: recording is off"
    if engine != KVM:
        return "nothing is recorded: the emulator can't"
    if record is None and machine.memory.size > MOST_RAM:
        return (
            f"nothing is recorded: the guest has {machine.memory.size >> 20} MiB of memory, more "
            f"than {MOST_RAM >> 20} MiB; --record on records it all the same"
        )
    return ""
