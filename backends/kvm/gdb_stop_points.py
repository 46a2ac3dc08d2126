"""The breakpoints and watchpoints gdb wants, brought to the session when the guest goes.

gdb removes all of them at each stop and inserts them again to go on; the session hears of
the differences alone. Nothing is written into the guest's memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from kdash.backends.kvm.facts import Registers, Snapshot, StopKind
from kdash.backends.kvm.gdb_arguments import PATIENCE
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.stop_requests import Wanted

_KINDS: Final = {
    0: StopKind.BREAKPOINT,
    1: StopKind.BREAKPOINT,
    2: StopKind.WATCH,
    # A read watchpoint stops at writes too, as on x86 hardware; gdb passes over those that
    # changed the value.
    3: StopKind.ACCESS,
    4: StopKind.ACCESS,
}
_REASONS: Final = {0: b"swbreak", 1: b"hwbreak", 2: b"watch", 3: b"rwatch", 4: b"awatch"}


class Point(NamedTuple):
    """A stop point as gdb asks for it."""

    type: int  # of the Z packet: 0 software, 1 hardware, 2 write, 3 read, 4 access
    address: int
    length: int  # bytes watched


class StopPoints:
    """Those of one gdb.

    Args:
        session: the guest.
    """

    def __init__(self, session: VcpuSession) -> None:
        self._session = session
        self._wanted: set[Point] = set()
        self._placed: dict[tuple[Point, int], int] = {}  # with linear address -> its number
        self.understood: frozenset[bytes] = frozenset()  # swbreak, hwbreak as far as gdb can

    def knows(self, kind: int) -> bool:
        """Whether there are stop points of this type."""
        return kind in _KINDS

    def insert(self, point: Point) -> None:
        """Want it from the next time the guest goes.

        Raises:
            StopError: when so much can't be watched.
        """
        _request(point, point.address)
        self._wanted.add(point)

    def remove(self, point: Point) -> None:
        """Want it no more."""
        self._wanted.discard(point)

    def forget(self) -> None:
        """Want none, and set none."""
        self._wanted.clear()
        self.place()

    def place(self, *, breakpoints: bool = True) -> None:
        """Set in the session what is wanted.

        Args:
            breakpoints: whether those matter; to a single step they do not.
        """
        registers = self._session.snapshot().registers
        wanted = {(point, linear) for point in self._wanted for linear in _linear(point, registers)}
        for key in [key for key in self._placed if key not in wanted]:
            if breakpoints or key[0].type > 1:
                self._session.remove_stop(self._placed.pop(key))
        for key in wanted - self._placed.keys():
            if breakpoints or key[0].type > 1:
                self._placed[key] = self._session.add_stop(_request(*key)).result(PATIENCE)

    def reason(self, snapshot: Snapshot) -> bytes | None:
        """Which of them stopped the guest, for a stop reply; None: none did.

        Empty where gdb would not know it again: the breakpoint is meant as a linear address,
        and RIP is another number.
        """
        met = {
            point for (point, _), number in self._placed.items() if number in snapshot.stopped_at
        } & self._wanted
        if not met:
            return None
        point = max(met)  # a watchpoint says more; gdb sees by RIP that it is at a breakpoint
        reason = _REASONS[point.type]
        if point.type > 1:
            return b"%s:%x;" % (reason, point.address)
        known = point.address == snapshot.registers.rip and reason in self.understood
        return reason + b":;" if known else b""


def _request(point: Point, linear: int) -> Wanted:
    return Wanted(_KINDS[point.type], linear, max(point.length, 1))


def _linear(point: Point, registers: Registers) -> set[int]:
    """Where to stop: a breakpoint may be meant as linear address or as RIP in CS."""
    if point.type > 1:
        return {point.address}
    return {point.address, replace(registers, rip=point.address).linear_ip}
