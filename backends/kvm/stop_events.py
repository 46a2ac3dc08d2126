"""What a step or a run did, and which event of a stop point that is, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from kdash.backends.kvm.facts import Exit, Registers, StopKind, StopPoint
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import ENCODED_SEGMENTS
from kdash.backends.kvm.stop_requests import ExitFilter
from kdash.backends.kvm.stop_table import Change

if TYPE_CHECKING:
    from kdash.backends.kvm.conditions import Condition
    from kdash.backends.kvm.moments import Moment, Read
    from kdash.backends.kvm.operands import Access

_LONGEST_INSTRUCTION: Final = 15  # bytes (Intel SDM vol. 2A, 2.3.11)


class Arrival(NamedTuple):
    """A moment, and what the step or the run to it did."""

    moment: Moment
    changes: Sequence[Change] = ()  # of watched memory
    accesses: Sequence[Access] = ()
    exits: Sequence[Exit] = ()
    ip: int | None = None  # RIP of the instruction that led here, where one step did


class Stop(NamedTuple):
    """A stop point and what belongs to it."""

    point: StopPoint
    condition: Condition | None
    exits: ExitFilter

    def event(self, arrival: Arrival) -> str | None:
        """What of it happened, in words; None: nothing did."""
        point = self.point
        if point.kind is StopKind.BREAKPOINT:
            return "" if arrival.moment.registers.linear_ip == point.address else None
        if point.kind is StopKind.EXIT:
            found = (one.meaning for one in arrival.exits if self.exits.matches(one))
            return next(found, None)
        assert point.address is not None
        by = "" if arrival.ip is None else f", by the instruction at {arrival.ip:#x}"
        if point.kind is StopKind.WATCH:
            change = _changed(point.address, point.length, arrival.changes)
            return None if change is None else f"{change}{by}"
        for one in arrival.accesses:
            if _overlap(one.linear, one.length, point.address, point.length):
                what = "write" if one.write else "read"
                return f"{what} of {one.length} bytes at {one.linear:#x}{by}"
        return None

    def holds(self, moment: Moment) -> bool:
        """Whether its condition holds; CannotEvaluate where it has no value."""
        return self.condition is None or bool(self.condition.evaluate(moment))


def accesses_between(before: Registers, read: Read, after: Registers) -> Iterable[Access]:
    """Memory accessed by the instruction that led from one state to the next."""
    from kdash.backends.kvm.operands import accesses

    return accesses(
        read(before.linear_ip, _LONGEST_INSTRUCTION),
        before.code_bits,
        [getattr(before, name) for name in REGISTER_NAMES],
        [getattr(before, name).base for name in ENCODED_SEGMENTS],
        [getattr(after, name) for name in REGISTER_NAMES],
    )


def event_told(point: StopPoint, event: str) -> str:
    """A stop point that was met, and what of it happened, in words."""
    kind = "temporary breakpoint" if point.temporary else "breakpoint"
    match point.kind:
        case StopKind.BREAKPOINT:
            return f"{kind} {point.number} at {point.where}"
        case StopKind.WATCH:
            return f"watchpoint {point.number}: {event}"
        case StopKind.ACCESS:
            return f"access watchpoint {point.number}: {event}"
    return f"exit stop {point.number}: {event}"


def _overlap(first: int, length: int, second: int, other: int) -> bool:
    return first < second + other and second < first + length


def _changed(address: int, length: int, changes: Iterable[Change]) -> str | None:
    """The change of watched memory in words; what did not change is left out."""
    told = []
    for linear, old, new in changes:
        start, end = max(linear, address), min(linear + len(old), address + length)
        if start >= end:
            continue
        was, now = old[start - linear : end - linear], new[start - linear : end - linear]
        if was == now:
            continue
        if len(was) <= 8:
            values = f"{_number(was)} -> {_number(now)}"
        else:
            first = next(at for at in range(len(was)) if was[at] != now[at]) & ~7
            start += first
            was, now = was[first : first + 8], now[first : first + 8]
            values = f"{_number(was)} -> {_number(now)}"
        told.append(f"{start:#x}, {len(was)} byte{'s' * (len(was) > 1)}: {values}")
    return "; ".join(told) or None


def _number(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}"
