"""A recording from a file, to be looked through like a guest: KVM is not needed for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kdash.backends.kvm import disassembly
from kdash.backends.kvm.device_state import Sent
from kdash.backends.kvm.facts import (
    Exit,
    Instruction,
    NotRecorded,
    Registers,
    RunState,
    Snapshot,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.guest_run import GuestRun
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.recorded_contents import devices_of, earlier_exits, exits_before
from kdash.backends.kvm.recording_file import Loaded, save
from kdash.backends.kvm.registers import changed
from kdash.backends.kvm.resumption import has_ended
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.snapshots import EXITS, LINES_WAIT, SERIAL
from kdash.backends.kvm.symbols import Symbols
from kdash.backends.kvm.text_screen import ScreenReader
from kdash.backends.kvm.travel import Search, Travel

if TYPE_CHECKING:
    from kdash.backends.kvm.lines import Lines
    from kdash.backends.kvm.recorded_inspector import RecordedInspector

_READ_ONLY = "a recording can be looked through, not changed or run on"


class RecordedRun(GuestRun):
    """What session.py needs of a run, for a recording from a file.

    Args:
        loaded: it; closed with the run.
        symbols: names of its addresses; None: those the file has.
        lines: source lines of its addresses; no file has them.
    """

    def __init__(
        self, loaded: Loaded, symbols: Symbols | None = None, lines: Lines | None = None
    ) -> None:
        super().__init__(Symbols.of(loaded.about.symbols) if symbols is None else symbols)
        self.lines = lines
        self._about = loaded.about
        self._file = loaded.name
        self._recording = loaded.recording
        self._travel = Travel(loaded.recording, self._is_interrupted)
        self._selected = self._travel.arrived
        self._screen = ScreenReader(self._recording)
        self._detail = ""
        self._remember()

    @property
    def _ended(self) -> bool:
        return has_ended(self._about)

    # -- what it shares with a guided run

    @property
    def free(self) -> bool:
        """Never for long: nothing is executed."""
        return False

    def kick(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Forget the recording; more than once does no harm."""
        self._recording.close()

    def restart(self) -> None:
        """Show the first moment."""
        self._pace = None
        self.seek(self._recording.first)

    @property
    def _vcpu_count(self) -> int:
        return self._recording.vcpu_count

    def _registers(self, vcpu: int) -> Registers:
        return self._recording.registers(vcpu)

    # -- going

    def begin(self, pace: Pace) -> None:
        """Go a pace through the recording."""
        self._remember()
        self._detail = ""
        self._pace = self._set_places(pace)

    def advance(self) -> bool:
        """Go all of the pace, or as far as the recording leads."""
        pace = self._pace
        if pace is None:
            return False
        end, _ = self._travel.replay(Search(self.stops, self._places, pace.exits), pace.steps)
        self._detail = self._travel.why
        if end is Slice.AGAIN and self._recording.position == self._recording.last:
            self._detail = "the recording ends here"
            if not self._ended:
                self._detail += "; s and c go on LIVE"
        self._selected = self._travel.arrived
        self._pace = None
        return False

    def stop(self) -> None:
        """Nothing goes."""
        self._pace = None

    def _go_back(self, go: Callable[[Travel], object]) -> None:
        self._remember()
        go(self._travel)
        self._detail = self._travel.why
        self._selected = self._travel.vcpu

    def _arm(self) -> None:
        """The next pace looks them up."""

    # -- looking

    def read_memory(self, linear: int, length: int) -> bytes:
        """Memory by linear address, up to the first byte that is not mapped."""
        return self._recording.read_linear(linear, length, self._selected)

    def fpu(self) -> None:
        """The recording has that state, but not told apart."""

    @property
    def inspector(self) -> RecordedInspector:
        """What the recording keeps beside registers and memory."""
        from kdash.backends.kvm.recorded_inspector import RecordedInspector  # for those who look

        return RecordedInspector(self._recording, self._about.machine.devices)

    def save(self, path: str, moment_only: bool = False) -> None:
        """Write it, or the moment shown, to another file."""
        save(path, self._recording, self._about, moment_only=moment_only)

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:
        """Of the last `count` recorded exits before the moment shown those before `index`."""
        recording = self._recording
        return earlier_exits(recording, recording.position, index, count)

    def _code(self, registers: Registers) -> tuple[Instruction, ...]:
        """Instructions around CS:IP with symbols and source lines."""
        read = partial(self._recording.read_linear, vcpu=self._selected)
        found = disassembly.around(
            registers, read, self._about.load, begin=self.symbols.begin(registers.rip)
        )
        named = disassembly.named(found, self.symbols)
        return named if self.lines is None else self.lines.of(named, LINES_WAIT)

    def snapshot(self) -> Snapshot:
        """All there is to show now."""
        recording, about = self._recording, self._about
        registers = recording.registers(self._selected)
        state = devices_of(recording)
        at_end = recording.position == recording.last
        ended = at_end and self._ended
        return Snapshot(
            guest=about.title,
            engine=about.engine,
            state=RunState.ENDED if ended else RunState.STOPPED,
            steps=recording.steps,
            exits_total=_total(state),
            seconds=0.0,
            registers=registers,
            changed=changed(self._before[self._selected], registers),
            disassembly=self._code(registers),
            exits=exits_before(recording, recording.position, EXITS),
            serial=_until(about.serial, about.dropped[0], _sent(state, "serial")),
            debug_port=_until(about.debug_port, about.dropped[1], _sent(state, "debug_port")),
            teletype=_until(about.teletype, about.dropped[2], _sent(state, "bios")),
            outcome=about.outcome if ended else None,
            detail=about.detail if ended else self._detail,
            breakpoints=frozenset(
                linear - registers.linear_ip + registers.rip for linear in self.stops.breakpoints
            ),
            stops=self.stops.points,
            stopped_at=self._travel.met,
            full_speed=recording.is_run(recording.position - 1),
            screen=self._screen.read(),
            vcpu=self._selected,
            vcpus=self._briefs(),
            recording=replace(recording.view(about.unsaved), from_file=True, file=self._file),
        )

    def _briefs(self) -> tuple[VcpuBrief, ...]:
        count = self._recording.vcpu_count
        if count == 1:
            return ()
        return tuple(
            VcpuBrief(number, VcpuState.RUNNABLE, self._recording.registers(number))
            for number in range(count)
        )

    # -- what a recording can't

    def _refuse(self, *_: object, **__: object) -> Any:
        raise NotRecorded(_READ_ONLY)

    set_register = write_memory = write_physical = set_fpu = _refuse
    send_serial = send_keys = run_from_here = _refuse


def _total(state: Any) -> int:
    """Exits, as far as the devices' state of a file tells them."""
    try:
        return sum(int(count) for _, count in state["log"]["counts"])
    except (KeyError, TypeError, ValueError):
        return 0


def _sent(state: Any, device: str) -> int:
    try:
        return int(state[device]["sent"])
    except (KeyError, TypeError, ValueError):
        return 0


def _until(data: bytes, dropped: int, total: int) -> bytes:
    sent = Sent()
    sent += data
    sent.dropped = dropped
    return sent.until(total)[-SERIAL:]
