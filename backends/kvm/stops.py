"""Stop points: breakpoints, watched memory and exits at which a guest that goes stops.

`Stops` numbers and counts them. Whether a moment meets them is a question of its own
(`Stops.would_stop`), so that it can be asked of a recorded moment as well as of a live one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kdash.backends.kvm.facts import Exit, StopKind, StopPoint
from kdash.backends.kvm.stop_events import Arrival, Stop, accesses_between, event_told
from kdash.backends.kvm.stop_requests import ExitFilter, StopError, Wanted
from kdash.backends.kvm.stop_table import Change
from kdash.backends.kvm.symbols import Symbols

if TYPE_CHECKING:
    from kdash.backends.kvm.moments import Moment
    from kdash.backends.kvm.operands import Access


class Verdict(NamedTuple):
    """Which stop points stop the guest, and why in words."""

    numbers: tuple[int, ...] = ()
    text: str = ""


class Stops:
    """The stop points of a guest, by number.

    Args:
        symbols: names for conditions and for telling where.
    """

    def __init__(self, symbols: Symbols | None = None) -> None:
        self._symbols = symbols or Symbols()
        self._stops: dict[int, Stop] = {}
        self._next = 1
        self.hardware: frozenset[int] = frozenset()  # addresses in debug registers

    # -- the table

    def check(self, wanted: Wanted) -> None:
        """Refuse what could not be added.

        Raises:
            ConditionError: telling where its condition means nothing.
        """
        if wanted.condition.strip():
            from kdash.backends.kvm.conditions import parse

            parse(wanted.condition, self._symbols.address)

    def add(self, wanted: Wanted) -> int:
        """Add a stop point; returns its number.

        Raises:
            ConditionError: telling where its condition means nothing.
        """
        text = wanted.condition.strip()
        condition = None
        if text:
            from kdash.backends.kvm.conditions import parse

            condition = parse(text, self._symbols.address)
        number = self._next
        self._next += 1
        point = StopPoint(
            number,
            wanted.kind,
            self._where(wanted),
            wanted.exits.address if wanted.kind is StopKind.EXIT else wanted.address,
            wanted.length if wanted.kind in (StopKind.WATCH, StopKind.ACCESS) else 0,
            text,
            wanted.ignore,
            temporary=wanted.temporary,
            exit_name=wanted.exits.name or "",
            port=wanted.exits.port,
        )
        self._stops[number] = Stop(point, condition, wanted.exits)
        return number

    def _where(self, wanted: Wanted) -> str:
        if wanted.kind is StopKind.EXIT:
            return str(wanted.exits)
        assert wanted.address is not None
        name = self._symbols.nearest(wanted.address) or f"{wanted.address:#x}"
        return name if wanted.kind is StopKind.BREAKPOINT else f"{name}:{wanted.length}"

    def remove(self, number: int) -> None:
        """Forget a stop point.

        Raises:
            StopError: when there is none of that number.
        """
        self._known(number)
        del self._stops[number]

    def ignore(self, number: int, count: int) -> None:
        """Pass over the next `count` hits.

        Raises:
            StopError: when there is none of that number.
        """
        self._change(self._known(number), ignore=max(count, 0))

    def remove_breakpoints(self, linear: int) -> None:
        """Forget every breakpoint at a linear address."""
        for one in self._of(StopKind.BREAKPOINT):
            if one.point.address == linear:
                del self._stops[one.point.number]

    def forget_hits(self) -> None:
        """Begin counting anew: another machine runs the guest."""
        for one in list(self._stops.values()):
            self._change(one, hits=0)

    def _known(self, number: int) -> Stop:
        if number not in self._stops:
            known = ", ".join(str(one) for one in self._stops) or "none"
            raise StopError(f"no stop point {number}; there are: {known}")
        return self._stops[number]

    def _change(self, one: Stop, *, hits: int | None = None, ignore: int | None = None) -> None:
        point = one.point
        point = replace(
            point,
            hits=point.hits if hits is None else hits,
            ignore=point.ignore if ignore is None else ignore,
        )
        self._stops[point.number] = one._replace(point=point)

    def _of(self, *kinds: StopKind) -> list[Stop]:
        return [one for one in self._stops.values() if one.point.kind in kinds]

    # -- what there is

    def __bool__(self) -> bool:
        return bool(self._stops)

    @property
    def points(self) -> tuple[StopPoint, ...]:
        """All, in the order of their numbers."""
        return tuple(
            replace(
                one.point,
                hardware=one.point.kind is StopKind.BREAKPOINT
                and one.point.address in self.hardware,
            )
            for one in self._stops.values()
        )

    @property
    def breakpoints(self) -> frozenset[int]:
        """Linear addresses of breakpoints."""
        return frozenset(
            one.point.address
            for one in self._of(StopKind.BREAKPOINT)
            if one.point.address is not None
        )

    @property
    def watched(self) -> tuple[tuple[int, int], ...]:
        """Linear address and length of memory whose changes stop the guest."""
        return self._ranges(StopKind.WATCH)

    @property
    def accessed(self) -> tuple[tuple[int, int], ...]:
        """Linear address and length of memory the use of which stops the guest."""
        return self._ranges(StopKind.ACCESS)

    def _ranges(self, kind: StopKind) -> tuple[tuple[int, int], ...]:
        points = (one.point for one in self._of(kind))
        return tuple((one.address, one.length) for one in points if one.address is not None)

    @property
    def exits(self) -> tuple[ExitFilter, ...]:
        """Which exits stop the guest."""
        return tuple(one.exits for one in self._of(StopKind.EXIT))

    # -- judging

    def would_stop(self, arrival: Arrival) -> tuple[int, ...]:
        """Numbers of the stop points met, conditions heeded; nothing is counted."""
        return tuple(
            one.point.number
            for one in self._stops.values()
            if one.event(arrival) is not None and self._holds(one, arrival.moment)
        )

    def told(self, numbers: Collection[int], arrivals: Sequence[Arrival]) -> str:
        """What the stop points of these numbers met, in words; empty: nothing."""
        texts = []
        for one in self._stops.values():
            if one.point.number in numbers:
                events = (one.event(arrival) for arrival in arrivals)
                met = next((event for event in events if event is not None), "")
                texts.append(event_told(one.point, met))
        return "; ".join(texts)

    @staticmethod
    def _holds(one: Stop, moment: Moment) -> bool:
        from kdash.backends.kvm.conditions import CannotEvaluate

        try:
            return one.holds(moment)
        except CannotEvaluate:
            return True

    def judge(self, arrival: Arrival) -> Verdict:
        """Count the stop points met, and say which of them stop the guest."""
        from kdash.backends.kvm.conditions import CannotEvaluate

        numbers, texts = [], []
        for one in list(self._stops.values()):
            event = one.event(arrival)
            if event is None:
                continue
            note = ""
            try:
                if not one.holds(arrival.moment):
                    continue
            except CannotEvaluate as reason:
                note = f" (its condition has no value: {reason})"
            point = one.point
            left = max(point.ignore - 1, 0)
            self._change(one, hits=point.hits + 1, ignore=left)
            if point.ignore:
                continue
            if point.temporary:
                del self._stops[point.number]
            numbers.append(point.number)
            texts.append(event_told(point, event) + note)
        return Verdict(tuple(numbers), "; ".join(texts))

    def of_step(self, before: Moment, after: Moment, exits: Sequence[Exit] = ()) -> Arrival:
        """What one recorded step did, as far as these stop points ask.

        Args:
            before: the moment before it.
            after: the moment it led to.
            exits: those that belong to it.
        """
        changes = [
            Change(linear, old, new)
            for linear, length in self.watched
            if len(old := before.read(linear, length)) == length
            if old != (new := after.read(linear, length))
        ]
        accessed: list[Access] = []
        if self.accessed:
            accessed = list(accesses_between(before.registers, before.read, after.registers))
        return Arrival(after, changes, accessed, exits, before.registers.rip)
