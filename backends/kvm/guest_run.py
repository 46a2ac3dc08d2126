"""A run of a guest as session.py drives it: what one on a machine and one from a file do alike.

Stop points, the places a pace stops at, and the ways back through a recording.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdash.backends.kvm import disassembly
from kdash.backends.kvm.facts import Exit, Registers, StopKind
from kdash.backends.kvm.output import OnOutput
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.stop_requests import ExitFilter, Wanted
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.stops import Stops
from kdash.backends.kvm.symbols import Symbols
from kdash.backends.kvm.travel import Search, Travel

if TYPE_CHECKING:
    from kdash.backends.kvm.lines import Lines


class GuestRun(ABC):
    """Used by one thread at a time.

    Args:
        symbols: names of the guest's addresses.
        stops: its stop points; they outlive the run.
    """

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:  # noqa: ARG002 - as below
        """Of the last `count` recorded exits before the moment shown those before `index`."""
        return ()

    #: Source lines of the guest's addresses; None where none are known.
    lines: Lines | None = None

    def __init__(self, symbols: Symbols, stops: Stops | None = None) -> None:
        self.symbols = symbols
        self.stops = stops or Stops(symbols)
        self.broken = False  # KVM refused to go on; only a restart does
        self.waiting = False  # for a key; only one lets the guest go on
        self.on_output: OnOutput | None = None
        self.interrupted: Callable[[], bool] = lambda: False  # asked while searching the past
        self._pace: Pace | None = None
        self._places: tuple[Place, ...] = ()  # to stop at, of the pace
        self._selected = 0
        self._before: Sequence[Registers] = ()  # what changes are told against, by VCPU

    @abstractmethod
    def _registers(self, vcpu: int) -> Registers:
        """Those of the moment shown."""

    @property
    @abstractmethod
    def _vcpu_count(self) -> int:
        """How many VCPUs there are."""

    @abstractmethod
    def _go_back(self, go: Callable[[Travel], object]) -> None:
        """Show another moment of what is recorded.

        Raises:
            NotRecorded: when there is no past.
        """

    @abstractmethod
    def read_memory(self, linear: int, length: int) -> bytes:
        """Memory of the moment shown by linear address, up to the first byte not mapped."""

    def _is_interrupted(self) -> bool:
        return self.interrupted()

    @property
    def going(self) -> bool:
        """Whether a pace is set and not yet done."""
        return self._pace is not None

    @property
    def selected(self) -> int:
        """The VCPU shown."""
        return self._selected

    def select_vcpu(self, index: int) -> None:
        """Show, step and change VCPU `index` from now on.

        Raises:
            ValueError: when there is no such VCPU.
        """
        count = self._vcpu_count
        if not 0 <= index < count:
            raise ValueError(f"no VCPU {index}; they are 0 to {count - 1}")
        self._selected = index

    # -- a pace

    def _remember(self) -> None:
        """What is shown now is what changes are told against."""
        self._before = [self._registers(number) for number in range(self._vcpu_count)]

    def _set_places(self, pace: Pace) -> Pace:
        """Take over where a pace stops; returns it, of one step where there is no call to pass."""
        self._places = ()
        if pace.over:
            self._places = self._return_of_call()
            return pace if self._places else Pace(steps=1)
        if pace.until is not None:
            self._places = (Place(self.linear(pace.until)),)
        return pace

    def linear(self, ip: int) -> int:
        """The linear address of an RIP value in the code segment there is now."""
        return replace(self._registers(self._selected), rip=ip).linear_ip

    def _return_of_call(self) -> tuple[Place, ...]:
        """Where the call at CS:IP comes back to, and RSP when it does; empty for no call."""
        registers = self._registers(self._selected)
        code = self.read_memory(registers.linear_ip, disassembly.LONGEST)
        length = disassembly.length_to_step_over(code, registers.rip, registers.code_bits)
        if length is None:
            return ()
        mask = (1 << registers.code_bits) - 1
        return (Place(self.linear((registers.rip + length) & mask), registers.rsp),)

    # -- going back; NotRecorded where there is no past

    def step_back(self, count: int = 1) -> None:
        """Go so many moments back, at most to the first that is recorded."""
        self._go_back(lambda travel: travel.back(count, Search(self.stops)))

    def reverse_next(self) -> None:
        """Go one step back, a call that has returned as a whole."""
        self._go_back(lambda travel: travel.back_over(self._selected))

    def reverse_continue(self, exits: bool = False) -> None:
        """Go back to a stop point, to the last exit if `exits`, else to the first moment."""
        search = Search(self.stops, exits=ExitFilter() if exits else None)
        self._go_back(lambda travel: travel.back_to(search))

    def seek(self, moment: int) -> None:
        """Show the moment nearest to `moment`."""
        self._go_back(lambda travel: travel.seek(moment))

    # -- stop points

    @abstractmethod
    def _arm(self) -> None:
        """The stop points have changed."""

    def add_stop(self, wanted: Wanted) -> int:
        """Add a stop point, also while the guest runs; returns its number.

        Raises:
            ConditionError: when its condition means nothing.
        """
        number = self.stops.add(wanted)
        self._arm()
        return number

    def add_breakpoint(self, ip: int) -> None:
        """Add a breakpoint at an RIP value in the code segment there is now, once."""
        linear = self.linear(ip)
        if linear not in self.stops.breakpoints:
            self.add_stop(Wanted(StopKind.BREAKPOINT, linear))

    def remove_breakpoint(self, ip: int) -> None:
        """Remove all breakpoints at an RIP value."""
        self.stops.remove_breakpoints(self.linear(ip))
        self._arm()

    def remove_stop(self, number: int) -> None:
        """Remove a stop point.

        Raises:
            StopError: when there is none of that number.
        """
        self.stops.remove(number)
        self._arm()
